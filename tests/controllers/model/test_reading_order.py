"""From `joint` every equation of the dispatch model is reached in few files, which the architecture's page lists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cases import REPOSITORY

MODEL = ("controllers/model/", "controllers/routes/", "controllers/devices/")
"""folders in which a variable, a constraint or a cost of the model could be stated"""


def listed() -> list[str]:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("## From `joint` to every equation")[1].split("\n## ")[0]
    return re.findall(r"^\| `([\w/]+\.py)`", section, flags=re.MULTILINE)


def neighbours(file: str) -> set[str]:
    """Files of the project that a file imports, or names as the block of a kind."""
    source = (REPOSITORY / file).read_text(encoding="utf-8")
    names = set(re.findall(r"\"(gridferry[\w.]+):\w+\"", source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    files = {Path(*name.split(".")[1:]).with_suffix(".py") for name in names if name.startswith("gridferry.")}
    return {one.as_posix() for one in files if (REPOSITORY / one).is_file()}


def reached(start: str) -> set[str]:
    found, left = {start}, [start]
    while left:
        new = neighbours(left.pop()) - found
        found |= new
        left += new
    return found


def kinds() -> set[str]:
    """Files of the kinds of devices and couplings that name a block: whoever plans has whatever a plant has."""
    files = (REPOSITORY / "controllers/devices").glob("*/*.py")
    naming = (one for one in files if 'block: ClassVar[str] = "' in one.read_text(encoding="utf-8"))
    return {one.relative_to(REPOSITORY).as_posix() for one in naming}


def test_every_file_that_states_a_part_of_the_model_is_listed_twelve_beside_one_of_each_kind() -> None:
    every = reached("controllers/joint.py").union(*map(reached, kinds()))
    model = {file for file in every if file.startswith(MODEL)}
    stating = {file for file in model if "import cvxpy" in (REPOSITORY / file).read_text(encoding="utf-8")}
    assert stating <= set(listed())
    assert len(listed()) == len(set(listed()))
    of_kinds = {file for file in listed() if re.fullmatch(r"controllers/devices/\w+/block\.py", file)}
    assert len(set(listed()) - of_kinds | {"controllers/devices/stores/block.py"}) <= 12


def test_they_are_in_an_order_in_which_one_leads_to_the_next() -> None:
    first, *others = listed()
    assert first == "controllers/joint.py"
    known = neighbours(first) | {file for kind in kinds() for file in neighbours(kind)}
    for file in others:
        assert file in known, f"nothing above it leads to {file}"
        known |= neighbours(file)
