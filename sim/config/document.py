"""Config document before validation: merged TOML files and settings of the command line.

A later layer is merged into an earlier one: tables are merged key by key, everything else is replaced. Where the
earlier layer has an array, a table patches single entries, by their ``name`` or their number from 0::

    extends = "three_bus.toml"

    [trucks.T1]
    soc_initial = 0.4

The same rule reads ``--set trucks.T1.soc_initial=0.4``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from gridferry.networks.faults import Fault, InputError, no_such

Loc = tuple[str | int, ...]
"""Where a value stands: keys of tables and numbers of array entries."""

_MISSING = object()
_BARE = re.compile(r"[A-Za-z0-9_-]+")
DEEPEST = 20
"""tables in one another that a document can have"""

_LONGEST = 200
"""characters of a value that a fault shows"""


def key_text(loc: Loc) -> str:
    """Place in a document as text: ``trucks[0].soc_min``."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else json.dumps(part))
    return text


def toml_text(value: object) -> str:
    """Write a value as in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key_text((key,))} = {toml_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, int) and value.bit_length() > 256:
        return hex(value)
    return str(value)


def value_text(value: object) -> str:
    """Write a value as in TOML, shortened for a message."""
    text = toml_text(value)
    if len(text) <= _LONGEST:
        return text
    # of a path, the end is what tells; of anything else the beginning
    return text[:40] + "…" + text[-(_LONGEST - 41) :] if "/" in text else text[: _LONGEST - 1] + "…"


@dataclass
class Document:
    """Merged config, with the origin of each value.

    Attributes
    ----------
    source : the file the user named
    values : the merged tables
    origins : place → the file or setting that put the value there
    """

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, str] = field(default_factory=dict)

    def lay_over(self, patch: Mapping[str, Any], source: str) -> list[Fault]:
        """Merge a layer; return the faults of entries that do not exist."""
        faults: list[Fault] = []
        self._merge(self.values, patch, (), source, faults)
        return faults

    def _merge(
        self, target: dict[str, Any] | list[Any], patch: Mapping[str, Any], loc: Loc, source: str, faults: list[Fault]
    ) -> None:
        into: Any = target
        for key, value in patch.items():
            if isinstance(target, list):
                slot = _entry(target, key)
                if slot is None:
                    known = [
                        str(one.get("name", i)) if isinstance(one, dict) else str(i) for i, one in enumerate(target)
                    ]
                    faults.append(
                        Fault(source, key_text((*loc, key)), no_such(f"entry of {key_text(loc)}", key, known))
                    )
                    continue
                old = target[slot]
                here: Loc = (*loc, slot)
            else:
                old = target.get(key, _MISSING)
                here = (*loc, key)
            if isinstance(value, Mapping) and isinstance(old, (dict, list)):
                self._merge(old, value, here, source, faults)
                continue
            into[here[-1]] = deepcopy(value)
            self.origins = {at: name for at, name in self.origins.items() if at[: len(here)] != here}
            self.origins[here] = source

    def origin(self, loc: Loc) -> str:
        """File or setting that the value at ``loc`` came from."""
        for length in range(len(loc), 0, -1):
            if loc[:length] in self.origins:
                return self.origins[loc[:length]]
        return self.source

    def value(self, loc: Loc, missing: object = None) -> Any:
        """Value at ``loc``; ``missing`` where there is none."""
        value: Any = self.values
        for part in loc:
            if isinstance(part, int):
                if not (isinstance(value, list) and part < len(value)):
                    return missing
            elif not (isinstance(value, dict) and part in value):
                return missing
            value = value[part]
        return value

    def fault(self, loc: Loc, message: str) -> Fault:
        """Fault at ``loc``, with file, key and, if it is a single one, the value."""
        value = self.value(loc, _MISSING)
        shown = value is not _MISSING and not isinstance(value, dict)
        return Fault(self.origin(loc), f"{key_text(loc)} = {value_text(value)}" if shown else key_text(loc), message)


def _entry(entries: list[Any], key: str) -> int | None:
    """Index of an entry, given by name or number."""
    for number, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.get("name") == key:
            return number
    if key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(entries):
        return int(key)
    return None


# ------------------------------------------------------------------------------------------------------------- reading


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file.

    Raises
    ------
    InputError
        when it is no file, no UTF-8 text, or no TOML; with the line where that is known.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(Fault(str(path), "", _unreadable(path, error))) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"not UTF-8 text (byte 0x{raw[error.start]:02x}); a config is a TOML file saved as UTF-8"
        raise InputError(Fault(f"{path}:{line}", "", message)) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)", str(error))
        line = int(where[1]) if where and where[1] else text.count("\n") + 1
        column = f" (column {where[2]})" if where and where[2] else ""
        found = str(error)[: where.start()] if where else str(error)
        way = _way_of_line(text.splitlines()[line - 1 : line])
        raise InputError(Fault(f"{path}:{line}", "", f"not valid TOML{column}: {found}; {way}")) from None
    except (ValueError, RecursionError):
        # tomllib lets int() refuse numbers of thousands of digits, and recurses into nested arrays
        raise InputError(Fault(str(path), "", "a number too long or tables nested too deep to be a config")) from None
    if not shallow(document):
        raise InputError(Fault(str(path), "", f"tables nested more than {DEEPEST} deep; no config is"))
    return document


def _way_of_line(lines: list[str]) -> str:
    """How to correct a line of a config."""
    written = re.search(r'"([^"]*\\[^"]*)"', lines[0]) if lines else None
    if written is None:
        return "correct this line"
    return f"a backslash in double quotes begins an escape; write a Windows path in single quotes, '{written[1]}'"


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        inside = sorted(one.name for one in path.glob("*.toml"))
        return f"is a folder; name a config in it ({', '.join(inside[:12]) or 'there is none'})"
    if isinstance(error, FileNotFoundError):
        return no_such("file", path.name, sorted(one.name for one in path.parent.glob("*.toml")))
    return f"cannot be read: {error.strerror}"


def shallow(document: dict[str, Any]) -> bool:
    """Whether tables and arrays are nested no more than `DEEPEST` deep."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return True
    return False


def read_layers(
    path: Path, resolve: Callable[[str, Path], Path], seen: tuple[Path, ...] = ()
) -> list[tuple[Path, dict[str, Any]]]:
    """Read a config and what it extends, the most basic first.

    Parameters
    ----------
    path : the config
    resolve : finds the file meant by ``extends``, given the folder of the file that says so
    """
    chain = (*seen, path.resolve())
    document = read_toml(path)
    base = document.pop("extends", _MISSING)
    if base is _MISSING:
        return [(path, document)]
    key = f"extends = {value_text(base)}"
    if not isinstance(base, str):
        raise InputError(Fault(str(path), key, 'expected the name of another config, such as "three_bus.toml"'))
    found = resolve(base, path.parent)
    if found.resolve() in chain:
        loop = " → ".join(one.name for one in (*chain, found))
        raise InputError(Fault(str(path), key, f"goes round in a circle ({loop}); one of them must stand alone"))
    if not found.is_file():
        known = sorted(one.name for one in found.parent.glob("*.toml"))
        raise InputError(Fault(str(path), key, no_such("file", base, known)))
    return [*read_layers(found, resolve, chain), (path, document)]
