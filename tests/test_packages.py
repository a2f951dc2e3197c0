"""The project as it is installed: every package is in it, and it runs where nothing of the checkout can be seen."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from cases import REPOSITORY
from cases.pages import pages

FOLDERS = ("configs", "controllers", "networks", "sim")
MODULES_A_FOLDER = 14
READERS = ("simbench", "hdf5", "excel", "xarray", "opendss", "cgmes")
"""extras whose packages the product imports where they are installed"""


def folders() -> list[Path]:
    """Folders of the product that hold modules."""
    return [one.parent for folder in FOLDERS for one in sorted((REPOSITORY / folder).rglob("__init__.py"))]


def test_every_folder_of_the_product_is_declared_as_a_package() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = [".".join(("gridferry", *one.relative_to(REPOSITORY).parts)) for one in folders()]
    assert sorted(declared) == sorted(there)


def test_no_folder_of_the_product_lacks_its_init_file() -> None:
    holding = {one.parent for folder in FOLDERS for one in (REPOSITORY / folder).rglob("*.py")}
    assert holding == set(folders())


def test_a_folder_of_the_product_can_be_taken_in_at_a_glance() -> None:
    full = {one.relative_to(REPOSITORY): len([*one.glob("*.py")]) - 1 for one in folders()}
    assert {name: n for name, n in full.items() if n > MODULES_A_FOLDER} == {}


def python(*arguments: str | Path, cwd: Path, executable: str | Path = sys.executable) -> str:
    """Run Python away from the checkout and return what it printed."""
    done = subprocess.run(
        [executable, *map(str, arguments)],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_script_beside_folders_that_bear_our_folders_names_runs(tmp_path: Path) -> None:
    for name in ("networks", "controllers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('these are mine')\n")
    (tmp_path / "sim.py").write_text("raise RuntimeError('this is mine')\n")
    (tmp_path / "study.py").write_text(
        "from gridferry.sim import run\n"
        "print(run('three_bus', controller='rules', steps=2, out='out').summary['status'])\n"
    )
    assert python("study.py", cwd=tmp_path).split() == ["completed"]


@pytest.mark.slow
def test_a_wheel_runs_configs_and_plug_ins_in_an_environment_of_its_own(tmp_path: Path) -> None:
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    source = tmp_path / "source"  # setuptools builds in the folder that it is given
    for name in (*FOLDERS, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        source.mkdir(exist_ok=True)
        copy(REPOSITORY / name, source / name)
    python(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path / "wheels", source, cwd=tmp_path)
    (wheel,) = (tmp_path / "wheels").iterdir()
    python("-m", "venv", tmp_path / "fresh", cwd=tmp_path)
    fresh = tmp_path / "fresh" / "bin" / "python"
    python(*pip, "install", "--no-deps", wheel, cwd=tmp_path, executable=fresh)
    site = python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path, executable=fresh)
    # the libraries of this environment: its link to the checkout stands in a .pth file, which is not read from there
    (Path(site.strip()) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    gridferry = fresh.with_name("gridferry")
    (tmp_path / "my_rule.py").write_text((REPOSITORY / "tests" / "plugins" / "night_charger.py").read_text())
    rule = "my_rule.py:NightCharger"
    message = [
        python(gridferry, "run", "three_bus", "--steps", "3", "--out", "a", cwd=tmp_path, executable=fresh),
        python(
            *(gridferry, "run", "three_bus", "--controller", rule, "--steps", "3", "--out", "b"),
            cwd=tmp_path,
            executable=fresh,
        ),
        python(gridferry, "check", rule, cwd=tmp_path, executable=fresh),
        python(gridferry, "list", "configs", "--json", cwd=tmp_path, executable=fresh),
        python(gridferry, "new", "controller", "mine", cwd=tmp_path, executable=fresh),
    ]
    assert [(tmp_path / one / "summary.json").is_file() for one in "ab"] == [True, True]
    assert "passed" in message[2]
    assert (tmp_path / "mine.py").is_file()
    assert str(REPOSITORY) not in "".join(message)


def test_every_library_that_the_product_imports_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    declared = {
        re.split(r"[<>=\[]", one)[0].lower().replace("_", "-")
        for one in (*project["dependencies"], *(one for name in READERS for one in optional[name]))
    }
    brought_by = packages_distributions()
    imported = {
        name.partition(".")[0]
        for folder in FOLDERS
        for path in (REPOSITORY / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    others = imported - sys.stdlib_module_names - {"gridferry"}
    undeclared = {
        name for name in others if not {one.lower().replace("_", "-") for one in brought_by.get(name, [])} & declared
    }
    assert others
    assert undeclared == set()


def test_the_architecture_page_lists_every_folder_of_the_product() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Folders")[2]
    listed = [row.split("`")[1] for row in page.splitlines() if row.startswith("| `")]
    assert sorted(listed) == sorted(str(one.relative_to(REPOSITORY)) for one in folders())


def test_files_that_the_pages_name_are_there() -> None:
    named = re.compile(r"\b(?:benchmarks|configs|controllers|docs|networks|sim|tests)/[\w/]+\.\w+")
    found = {path for page in pages() for path in named.findall(page.read_text(encoding="utf-8"))}
    assert found
    assert [path for path in sorted(found) if not (REPOSITORY / path).exists()] == []
