"""What a process does before it starts: nothing is compiled, and nothing is imported that the command has no use for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_NUMBA_FUNCTIONS = """
from numba.core.dispatcher import Dispatcher
for name, module in list(sys.modules.items()):
    if name.startswith("pandapower"):
        found = [one for one in vars(module).values() if isinstance(one, Dispatcher)]
        seen = seen + len(found)
        compiled |= {one.__name__ for one in found if one.signatures}
"""


def after(arguments: list[str], then: str, folder: Path) -> str:
    """Run the command in a process of its own, then ``then``; return what that prints on its last line."""
    code = f"import sys\nfrom sim.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0\n{then}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=600, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def idle_day(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["run", "three_bus", "--controller", "idle", "--out", str(tmp_path_factory.mktemp("idle") / "run")]


def test_a_run_has_numba_compile_nothing_of_pandapower(idle_day: list[str], tmp_path: Path) -> None:
    then = f"compiled, seen = set(), 0{_NUMBA_FUNCTIONS}print(seen, *sorted(compiled))"
    seen, *compiled = after([*idle_day, "--steps", "3"], then, tmp_path).split()
    assert int(seen) > 5  # numba is there, and pandapower would use it
    # whatever it is asked, pandapower uses this one, and keeps it compiled on disk from the first process on
    assert set(compiled) <= {"_python_set_elements_oos"}
