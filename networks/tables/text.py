"""How a CSV file is written: encoding, comments, separator and decimal sign, found out where no guess is needed.

Spreadsheets write CSV by the habits of their country. A separator is taken where the header has the needed columns
under it; a decimal comma where cells can be read in no other way.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

from gridferry.networks.faults import Fault, InputError

_SEPARATORS = (",", ";", "\t", "|")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_COMMENT = "#"
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_ESCAPED = frozenset(map(chr, range(0xDC80, 0xDD00)))
"""what bytes become that are no text"""
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


Needed = Callable[[Sequence[str]], bool]
"""Whether the cells of a header have what is needed."""


@runtime_checkable
class TextKeys(Protocol):
    """What is given of how a file is written; ``None`` where it is to be found out."""

    @property
    def separator(self) -> str | None:
        """What stands between two cells."""

    @property
    def encoding(self) -> str | None:
        """Encoding of the bytes."""

    @property
    def comment(self) -> str | None:
        """What lines begin with that are no rows."""


@dataclass(frozen=True)
class Text:
    """Lines of a file, and how they are written.

    Attributes
    ----------
    lines : the header and all rows; empty ones are no rows
    numbers : of each line in the file, from 1 on
    separator : what stands between two cells
    columns : the header's cells
    notes : what was found out
    fault : of bytes that are no text; harmless in columns that nobody reads
    """

    lines: list[str]
    numbers: Sequence[int]
    separator: str
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    fault: Fault | None


def read_text(path: Path, needed: Needed, keys: TextKeys | None = None) -> Text:
    """Read the lines of a CSV file without comments and blank rows at its end.

    Parameters
    ----------
    keys : what the user says of it, where there are keys to say that

    Raises
    ------
    InputError
        for bytes that are no text of the encoding, with one that they are text of.
    OSError
        where the file cannot be read.
    """
    text, notes, fault = _decoded(path, keys)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    comment = None if keys is None else keys.comment
    kept: Sequence[int] = range(len(lines))
    if (comment or _COMMENT) in text:
        kept = _without_comments(lines, comment, needed, notes)
    first = next((at for at in kept if lines[at].strip()), 0)
    kept = kept[kept.index(first) :]
    header = lines[first]
    if fault is not None and any(one in _ESCAPED for one in header):
        raise InputError(fault)
    given = None if keys is None else keys.separator
    separator = given or _separator(header, needed)
    if separator != "," and given is None:
        notes.append(f"separator = {shown(separator)}")
    blank = re.compile(rf'[\s"{re.escape(separator)}]*')
    end = len(kept)
    while end > 1 and blank.fullmatch(lines[kept[end - 1]]):
        end -= 1
    dropped = sum(bool(lines[at]) for at in kept[end:])
    kept = kept[:end]
    if dropped:
        notes.append(f"{dropped} blank row{'s' if dropped > 1 else ''} at its end left out")
    numbers = [at + 1 for at in kept]
    return Text([lines[at] for at in kept], numbers, separator, cells_of(header, separator), tuple(notes), fault)


def cells_of(line: str, separator: str) -> tuple[str, ...]:
    """Split a line into its cells."""
    return tuple(next(csv.reader([line], delimiter=separator), ()))


def shown(separator: str) -> str:
    """Write a separator as in TOML."""
    return '"\\t"' if separator == "\t" else f'"{separator}"'


def _decoded(path: Path, keys: TextKeys | None) -> tuple[str, list[str], Fault | None]:
    """Text of a file, notes, and the fault of bytes that are no text, which only some columns may have."""
    raw = path.read_bytes()
    found = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8-sig")
    given = None if keys is None else keys.encoding
    encoding = found if given in (None, "utf-8") else given
    notes = [f'encoding = "{found}"'] if given is None and found == "utf-16" else []
    try:
        return raw.decode(encoding), notes, None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = Fault(str(path), f"line {line}", _not_text(raw, error, keys))
        if encoding != "utf-8-sig":
            raise InputError(fault) from None
        return raw.decode(encoding, "surrogateescape"), notes, fault


def _not_text(raw: bytes, error: UnicodeDecodeError, keys: TextKeys | None) -> str:
    byte = raw[error.start]
    wrong = f"not {((keys and keys.encoding) or 'UTF-8').upper()} text (byte 0x{byte:02x})"
    if keys is None:
        return f"{wrong}; save the file as UTF-8"
    begin, end = raw.rfind(b"\n", 0, error.start) + 1, raw.find(b"\n", error.start)
    word = raw[begin : end if end >= 0 else len(raw)].decode("cp1252", "replace").strip()[:40]
    if keys.encoding is None and "\ufffd" not in word:
        return f'{wrong}; encoding = "cp1252" in its table reads the line as {word!r}; or save the file as UTF-8'
    return f"{wrong}; say by encoding what it is, or save the file as UTF-8"


def _without_comments(lines: list[str], given: str | None, needed: Needed, notes: list[str]) -> Sequence[int]:
    """Leave out comments: as the user says, or lines with a hash where the header is the first without one."""
    sign, every = given or _COMMENT, range(len(lines))
    kept = [at for at in every if not lines[at].lstrip().startswith(sign)]
    if len(kept) == len(lines) or given is not None:
        return kept or every
    header = next((lines[at] for at in kept if lines[at].strip()), "")
    if not any(needed(cells_of(header, one)) for one in _SEPARATORS):
        return every
    number = len(lines) - len(kept)
    notes.append(f'comment = "{sign}": {number} line{"s" if number > 1 else ""} left out')
    return kept


def _separator(header: str, needed: Needed) -> str:
    """Return the separator under which a header has what is needed and most cells; a comma where none has."""
    having = [one for one in _SEPARATORS if needed(cells_of(header, one))]
    # where what is needed is not there, the message is to name what is
    return max(having or _SEPARATORS, key=lambda one: len(cells_of(header, one)))


def number_of(cell: str, decimal: str | None = ".") -> float | None:
    """Read a number; Python's digit groups ``1_000`` are refused, as are points beside a decimal comma."""
    if decimal == ",":
        cell = cell.replace(".", "_").replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def has_decimal_comma(columns: Iterable[Sequence[str | None]]) -> bool | None:
    """Whether numbers are written with a decimal comma; ``None`` where ``1,234`` could be 1.234 and 1234.

    Parameters
    ----------
    columns : the cells of each column
    """
    numbers = [
        cell for cell in chain.from_iterable(columns) if cell and "," in cell and _COMMA_NUMBER.fullmatch(cell.strip())
    ]
    if not numbers:
        return False
    return None if all(_MAYBE_THOUSANDS.fullmatch(cell.strip()) for cell in numbers) else True
