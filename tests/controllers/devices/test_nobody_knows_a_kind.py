"""Outside its folder and the registry nobody knows a kind of device: who needs something of one asks for a trait."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from cases import REPOSITORY
from gridferry.controllers.devices.registry import BUILT_IN, find_kind

CLASS = re.compile(r"^class ([A-Z]\w+)[(:]", re.MULTILINE)
KINDS_FOLDER = REPOSITORY / "controllers" / "devices"
NOT_OURS = re.compile(
    r"random\.Generator|from collections.abc import .*Generator|-> Generator\["
    r'|generators: Literal\["pq"\]|entry\.generators|"balanced", "generators"'
)
"""others have classes of that name, too, and a network a key for its own generators"""
TEMPLATES = {REPOSITORY / "sim" / "commands" / name for name in ("new_app.py", "new_config.py")}
"""write a config with our kinds, as those that come with the project are"""


def names_of_kinds() -> set[str]:
    """Public classes in the folders of our kinds, their tables, and what a plant or a config would have of them."""
    files = [file for table in BUILT_IN for file in (KINDS_FOLDER / table).glob("*.py")]
    classes = {name for file in files for name in CLASS.findall(file.read_text(encoding="utf-8"))}
    assert {find_kind(table).__name__ for table in BUILT_IN} <= classes
    return classes | {*BUILT_IN, "terminals"}


def uses(file: Path, names: set[str]) -> Iterator[str]:
    """Lines of a file that use one of the names as an identifier, or have it as a text of its own."""
    with tokenize.open(file) as text:
        for token in tokenize.generate_tokens(text.readline):
            word = token.string.strip("\"'") if token.type == tokenize.STRING else token.string
            if token.type in (tokenize.NAME, tokenize.STRING) and word in names and not NOT_OURS.search(token.line):
                yield f"{file.relative_to(REPOSITORY)}:{token.start[0]}: {token.line.strip()}"


def test_no_file_but_its_own_and_the_registry_names_a_kind() -> None:
    names = names_of_kinds()
    assert [*uses(KINDS_FOLDER / "links" / "device.py", names)]
    found = [
        line
        for folder in ("networks", "controllers", "sim")
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        if file.parent.name not in BUILT_IN and file not in {KINDS_FOLDER / "registry.py", *TEMPLATES}
        for line in uses(file, names)
    ]
    assert found == []
