"""How a CSV file is written: encoding, comments, separator and decimal sign, found out where no guess is needed.

Spreadsheets write CSV by the habits of their country. A separator is taken where the header has the time column under
it and under no other; a decimal comma where cells can be read in no other way.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.config.profile_schema import ProfileSource

_SEPARATORS = (",", ";", "\t", "|")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_COMMENT = "#"
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_ESCAPED = frozenset(map(chr, range(0xDC80, 0xDD00)))
"""what bytes become that are no text"""
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


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


def read_text(path: Path, source: ProfileSource) -> Text:
    """Read the lines of a CSV file without comments and blank rows at its end.

    Raises
    ------
    InputError
        for bytes that are no text of the encoding, with one that they are text of.
    OSError
        where the file cannot be read.
    """
    text, notes, fault = _decoded(path, source)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = _without_comments(lines, source, notes) if (source.comment or _COMMENT) in text else range(len(lines))
    first = next((at for at in kept if lines[at].strip()), 0)
    kept = kept[kept.index(first) :]
    header = lines[first]
    if fault is not None and any(one in _ESCAPED for one in header):
        raise InputError(fault)
    separator = source.separator or _separator(header, source.time)
    if separator != "," and source.separator is None:
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


def _decoded(path: Path, source: ProfileSource) -> tuple[str, list[str], Fault | None]:
    """Text of a file, notes, and the fault of bytes that are no text, which only some columns may have."""
    raw = path.read_bytes()
    found = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8-sig")
    encoding = found if source.encoding in (None, "utf-8") else source.encoding
    notes = [f'encoding = "{found}"'] if source.encoding is None and found == "utf-16" else []
    try:
        return raw.decode(encoding), notes, None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = Fault(str(path), f"line {line}", _not_text(raw, error, source))
        if encoding != "utf-8-sig":
            raise InputError(fault) from None
        return raw.decode(encoding, "surrogateescape"), notes, fault


def _not_text(raw: bytes, error: UnicodeDecodeError, source: ProfileSource) -> str:
    byte = raw[error.start]
    wrong = f"not {(source.encoding or 'UTF-8').upper()} text (byte 0x{byte:02x})"
    begin, end = raw.rfind(b"\n", 0, error.start) + 1, raw.find(b"\n", error.start)
    word = raw[begin : end if end >= 0 else len(raw)].decode("cp1252", "replace").strip()[:40]
    if source.encoding is None and "\ufffd" not in word:
        return f'{wrong}; encoding = "cp1252" in its table reads the line as {word!r}; or save the file as UTF-8'
    return f"{wrong}; say by encoding what it is, or save the file as UTF-8"


def _without_comments(lines: list[str], source: ProfileSource, notes: list[str]) -> Sequence[int]:
    """Leave out comments: as the config says, or lines with a hash where the header is the first without one."""
    sign, every = source.comment or _COMMENT, range(len(lines))
    kept = [at for at in every if not lines[at].lstrip().startswith(sign)]
    if len(kept) == len(lines) or source.comment is not None:
        return kept or every
    header = next((lines[at] for at in kept if lines[at].strip()), "")
    if not any(source.time in cells_of(header, one) for one in _SEPARATORS):
        return every
    number = len(lines) - len(kept)
    notes.append(f'comment = "{sign}": {number} line{"s" if number > 1 else ""} left out')
    return kept


def _separator(header: str, time: str) -> str:
    """Return the separator under which a header has the time column and most cells; a comma where none has."""
    by_number = {one: len(cells_of(header, one)) for one in _SEPARATORS}
    having = [one for one in _SEPARATORS if time in cells_of(header, one)]
    # where the time column is not there, the message is to name the others
    return max(having or _SEPARATORS, key=lambda one: by_number[one])


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
