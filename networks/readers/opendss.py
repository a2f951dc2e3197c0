"""OpenDSS feeders through pandapower's converter; their commands are looked at before they run.

The converter makes a balanced equivalent, and says what differs.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gridferry.networks.readers.spec_error import SpecError, check_file

# what a feeder is made of; other commands write files, show windows or start programs
_COMMANDS = (
    *("clear", "new", "edit", "more", "set", "redirect", "compile", "solve", "calcvoltagebases", "setkvbase"),
    *(
        "buscoords",
        "latlongcoords",
        "makebuslist",
        "open",
        "close",
        "enable",
        "disable",
        "batchedit",
        "select",
        "reset",
    ),
)
_INCLUDES = ("redirect", "compile")
_DATA = re.compile(r"""\b(?:file|csvfile|sngfile|dblfile)\s*=\s*["'(\[]*([^"')\]\s]+)""", re.IGNORECASE)
_DEEPEST = 20


def files_of(path: Path, depth: int = 0) -> Iterator[Path]:
    """Return the file and those that it reads; raises `SpecError` for commands that make no feeder."""
    if depth > _DEEPEST:
        raise SpecError(f"{path.name} includes files more than {_DEEPEST} deep")
    yield path
    in_comment = False
    for number, raw in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        line = raw.strip()
        if in_comment or line.startswith("/*"):
            in_comment = "*/" not in line
            continue
        line = re.split(r"!|//", line)[0].strip()
        if not line:
            continue
        yield from _data(path, line)
        command = line.lower().partition(" ")[0]
        if command.startswith("~") or "=" in command:
            continue  # properties of the element before
        if not any(one.startswith(command) for one in _COMMANDS):
            raise SpecError(f'{path.name}, line {number}: the command "{command}" makes no feeder; leave it out')
        if command in _INCLUDES or (len(command) > 2 and any(one.startswith(command) for one in _INCLUDES)):
            name = line.partition(" ")[2].strip().strip("\"'()[]{}")
            included = path.parent / name.removeprefix("file=").strip("\"'()[]{}").replace("\\", "/")
            check_file(included)
            yield from files_of(included, depth + 1)


def _data(path: Path, line: str) -> Iterator[Path]:
    """Files with numbers that a line names."""
    for name in _DATA.findall(line):
        if (file := path.parent / name.replace("\\", "/")).is_file():
            yield file


def net_of_dss(path: Path) -> Any:
    """Read the feeder of a master file."""
    from pandapower.converter.opendss import from_opendss

    here = Path.cwd()
    try:
        with tempfile.TemporaryDirectory(prefix="gridferry-") as scratch, contextlib.redirect_stdout(io.StringIO()):
            os.chdir(scratch)
            net = from_opendss(str(path.absolute()))
            os.chdir(here)
    finally:
        os.chdir(here)
    if not len(net.bus):
        raise SpecError(f"{path.name} makes no buses; name the file that makes the whole circuit")
    return net


def notes_of(net: Any) -> Iterator[str]:
    """Return what the converter says of a net that it has made."""
    report = net.get("opendss_import")
    if not isinstance(report, Mapping):
        return
    yield "OpenDSS feeder as its balanced equivalent, transformers at the taps of OpenDSS's own solution"
    folded = {"single": report.get("single_phase_lines"), "two": report.get("two_phase_lines")}
    for phases, number in folded.items():
        if number:
            yield f"{number} {phases}-phase lines count as balanced ones of three phases"
    if report.get("n_split_phase_transformers"):
        yield f"{report['n_split_phase_transformers']} split-phase transformers count as balanced ones"
    warnings = [str(one) for one in report.get("warnings", ())]
    yield from warnings[:10]
    if len(warnings) > 10:
        yield f"and {len(warnings) - 10} more approximations of the converter"
