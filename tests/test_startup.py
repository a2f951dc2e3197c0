"""What a process does before it starts: it compiles nothing, and imports nothing that the command has no use for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SIMULATE = {"pandapower", "numba", "lightsim2grid", "power_grid_model", "mosaik", "mosaik_api_v3", "networkx"}
SOLVE = {"cvxpy", "clarabel", "highspy", "pyscipopt", "pymoo"}
SCIPY = {"scipy.signal", "scipy.optimize", "scipy.stats"}
SHOW = {"matplotlib"}
STORE = {"duckdb", "h5py"}
HEAVY = SIMULATE | SOLVE | SCIPY | SHOW | STORE

_RUN = """
import json, sys
from gridferry.sim.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
"""
_MODULES = "import json, sys\nprint()\nprint(json.dumps(list(sys.modules)))\n"
_COMPILED = """
from numba.core.dispatcher import Dispatcher
modules = [module for name, module in list(sys.modules.items()) if name.startswith("pandapower")]
functions = [one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)]
found = {one.__name__: len(one.signatures) for one in functions}
print()
print(json.dumps(found))
"""


def said_at_the_end(code: str, folder: Path, *arguments: str) -> list[str] | dict[str, int]:
    """Run code in a process of its own, and read the JSON on its last line."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def heavy_imports_of(folder: Path, *arguments: str) -> set[str]:
    return HEAVY & set(said_at_the_end(_RUN + _MODULES, folder, *arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("startup")


@pytest.fixture(scope="module")
def imported_by_an_idle_run(folder: Path) -> set[str]:
    return heavy_imports_of(folder, "run", "three_bus", "--controller", "idle", "--steps", "3", "--out", "run")


def test_an_idle_run_has_numba_compile_nothing_of_pandapower(folder: Path) -> None:
    arguments = ("run", "three_bus", "--controller", "idle", "--steps", "3", "--out", "compiled")
    signatures = said_at_the_end(_RUN + _COMPILED, folder, *arguments)
    assert "gen_Ybus" in signatures  # numba is there, and pandapower would have it compile
    # whatever it is asked, pandapower uses this one; it keeps it on disk, compiled, from the first process on
    assert {name for name, count in signatures.items() if count} <= {"_python_set_elements_oos"}


def test_an_idle_run_imports_what_it_simulates_with_and_nothing_else(
    folder: Path, imported_by_an_idle_run: set[str]
) -> None:
    # pandapower itself imports what draws and fits where that is installed, whoever asks
    with_pandapower = HEAVY & set(said_at_the_end(f"import pandapower\n{_MODULES}", folder))
    assert imported_by_an_idle_run - with_pandapower == {"mosaik", "mosaik_api_v3", "duckdb"}
    assert not with_pandapower & (SOLVE | STORE)


def test_a_report_imports_what_reads_results_and_no_simulator(folder: Path, imported_by_an_idle_run: set[str]) -> None:
    assert heavy_imports_of(folder, "report", "run") == {"duckdb"}


@pytest.mark.parametrize("arguments", [("list", "networks"), ("list", "configs")])
def test_what_only_reads_configs_imports_nothing_heavy(folder: Path, arguments: tuple[str, ...]) -> None:
    assert heavy_imports_of(folder, *arguments) == set()


def test_a_check_of_a_config_imports_the_engine_of_its_power_flow_and_no_simulator(folder: Path) -> None:
    assert heavy_imports_of(folder, "check", "three_bus") & ({"mosaik", "mosaik_api_v3"} | SOLVE | STORE) == set()


def test_a_list_of_controllers_imports_the_controllers_and_no_simulator(folder: Path) -> None:
    assert heavy_imports_of(folder, "list", "controllers") <= SOLVE | SCIPY
