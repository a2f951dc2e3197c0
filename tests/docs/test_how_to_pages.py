"""The pages that say how to add something: their files are written, their commands run, in a folder of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cases import REPOSITORY
from cases.pages import fenced

PAGES = ("add_a_controller", "add_a_cost", "add_a_device")
BIN = Path(sys.executable).parent


def run_command(line: str, folder: Path) -> str:
    """Run a command in a folder and return what it said, with single spaces."""
    program, *arguments = shlex.split(line)
    done = subprocess.run(
        [BIN / program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
    return " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_files_of_a_page_are_written_and_its_commands_do_what_it_says(name: str, tmp_path: Path) -> None:
    commands = 0
    for language, _, content in fenced((REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")):
        if language != "console":
            first, _, rest = content.partition("\n")
            assert first.startswith("# "), f"a block of {language} has no file name in its first line"
            (tmp_path / first.removeprefix("# ")).write_text(rest, encoding="utf-8")
            continue
        said = ""
        for line in content.splitlines():
            if line.startswith("$ "):
                said = run_command(line.removeprefix("$ "), tmp_path)
                commands += 1
            else:
                expected = " ".join(line.split())
                assert expected in said, f"{name}: not said: {expected}\n{said}"
    assert commands >= 4
