"""A profile file opened: names of its columns, its cells, and where each row stands, be it CSV, Parquet or Excel."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.tables.text import Text, has_decimal_comma, read_text, shown
from gridferry.sim.config.profile_schema import ProfileSource

MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None")
"""What stands in a cell without a value."""


class ProfileFile(ABC):
    """An opened file.

    Attributes
    ----------
    path : the file
    source : its table in the config
    columns : names of all columns
    notes : how it is read, as far as the config does not say
    decimal : decimal sign of numbers in texts; ``None`` where the config says nothing and texts have to be looked at
    """

    kind: str
    columns: tuple[str, ...] = ()
    decimal: str | None = "."

    def __init__(self, path: Path, source: ProfileSource):
        self.path, self.source = path, source
        self.notes: list[str] = []

    @property
    def hint(self) -> str:
        """What a message about columns that are not there says of how the file is read."""
        return ""

    def settle_decimal(self, cells: pa.Table) -> None:  # noqa: B027
        """Find out the decimal sign of texts, where the config does not say it."""

    @abstractmethod
    def cells(self, columns: Sequence[str]) -> pa.Table:
        """Read columns: texts of a CSV, else what the file has; raises `InputError` where that cannot be."""

    def row_text(self, row: int) -> str:
        """Place of a row, as an editor or a spreadsheet counts."""
        return f"row {row + 1}"

    def fault(self, key: str, message: str) -> InputError:
        """Error about a place in the file."""
        return InputError(Fault(str(self.path), key, message))

    def _reading(self, read: Callable[[], Any], error_type: type[Exception]) -> Any:
        try:
            return read()
        except (OSError, error_type) as error:
            words = " ".join(str(error).split())
            raise self.fault("", f"cannot be read as {self.kind}: {words}") from None


class ParquetFile(ProfileFile):
    """A Parquet file."""

    kind = "Parquet"

    def __init__(self, path: Path, source: ProfileSource):
        super().__init__(path, source)
        self.columns = tuple(self._reading(lambda: pq.read_schema(path), pa.ArrowException).names)

    def cells(self, columns: Sequence[str]) -> pa.Table:
        """Read columns as they are."""
        return self._reading(lambda: pq.read_table(self.path, columns=list(columns)), pa.ArrowException)


class CsvFile(ProfileFile):
    """A CSV file in the dialect that the config says or that is found out."""

    def __init__(self, path: Path, source: ProfileSource):
        super().__init__(path, source)
        self.decimal = source.decimal
        self.kind = "CSV"
        self._text: Text = self._reading(lambda: read_text(path, lambda cells: source.time in cells, source), csv.Error)
        self.columns, self.notes = self._text.columns, [*self._text.notes]
        self.kind = f"CSV (separator {shown(self._text.separator)}, one header line)"

    @property
    def hint(self) -> str:
        """What a message about columns that are not there says of how the file is read."""
        return f" (read with separator = {shown(self._text.separator)})" if self._text.separator != "," else ""

    def settle_decimal(self, cells: pa.Table) -> None:
        """Find out the decimal sign; raises `InputError` where ``1,234`` could be 1.234 and 1234."""
        if self.decimal is not None:
            return
        with_comma = (one for one in cells.columns if pc.any(pc.match_substring(one, ",")).as_py())
        found = has_decimal_comma(column.to_pylist() for column in with_comma)
        if found is None:
            way = 'say decimal = "," where 1,234 is 1.234; where it is 1234, write it without the comma'
            raise self.fault("", f"has numbers such as 1,234 that can be read in two ways; {way}")
        self.decimal = "," if found else "."
        if found:
            self.notes.append('decimal = ","')

    def cells(self, columns: Sequence[str]) -> pa.Table:
        """Read columns as texts."""
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            null_values=MISSING,
            strings_can_be_null=True,
        )
        raw = pa.BufferReader("\n".join(self._text.lines).encode("utf-8", "surrogateescape"))
        parse = pa_csv.ParseOptions(delimiter=self._text.separator)
        options = {"parse_options": parse, "convert_options": convert}
        try:
            return pa_csv.read_csv(raw, read_options=pa_csv.ReadOptions(use_threads=False), **options)
        except pa.ArrowException as error:
            if self._text.fault is not None:
                raise InputError(self._text.fault) from None
            words = " ".join(str(error).split())
            raise self.fault("", f"cannot be read as {self.kind}: {words}") from None

    def row_text(self, row: int) -> str:
        """Place of a row, as an editor counts: ``line 17``."""
        filled = [number for number, line in zip(self._text.numbers, self._text.lines, strict=True) if line]
        return f"line {filled[row + 1]}"


class ExcelFile(ProfileFile):
    """A sheet of an Excel file; its first row with a cell has the names of the columns."""

    kind = "Excel"

    def __init__(self, path: Path, source: ProfileSource):
        super().__init__(path, source)
        try:
            import openpyxl
        except ModuleNotFoundError:
            message = "Excel files need the package openpyxl; install it with: pip install 'gridferry[excel]'"
            raise self.fault("", message) from None
        # openpyxl raises what its parts raise: of ZIP, of XML, of a missing part
        book = self._reading(lambda: openpyxl.load_workbook(path, read_only=True, data_only=True), Exception)
        try:
            names = book.sheetnames
            if source.sheet is not None and source.sheet not in names:
                raise self.fault(f'sheet "{source.sheet}"', no_such("sheet", source.sheet, names))
            if source.sheet is None and len(names) > 1:
                self.notes.append(f'sheet = "{names[0]}", the first of {", ".join(names)}')
            sheet = book[source.sheet or names[0]]
            rows = self._reading(lambda: [tuple(row) for row in sheet.iter_rows(values_only=True)], Exception)
        finally:
            book.close()
        numbered = [(i, row) for i, row in enumerate(rows, start=1) if any(one not in (None, "") for one in row)]
        if not numbered:
            raise self.fault("", "has no cells; name the sheet with the profiles by sheet")
        self._numbers = [number for number, _ in numbered]
        self._rows = [row for _, row in numbered[1:]]
        self.columns = tuple("" if one is None else str(one).strip() for one in numbered[0][1])

    def cells(self, columns: Sequence[str]) -> pa.Table:
        """Read columns as numbers or times where all cells are, else as texts."""
        places = [self.columns.index(one) for one in columns]
        return pa.table(
            {
                name: _column([row[at] if at < len(row) else None for row in self._rows])
                for name, at in zip(columns, places, strict=True)
            }
        )

    def row_text(self, row: int) -> str:
        """Place of a row, as the spreadsheet counts."""
        return f"row {self._numbers[row + 1]}"


def _column(cells: list[Any]) -> pa.Array:
    filled = [one for one in cells if one is not None]
    if all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in filled):
        return pa.array(cells, pa.float64())
    if all(isinstance(one, datetime) for one in filled):
        return pa.array(cells, pa.timestamp("us"))
    return pa.array([None if one is None else one.isoformat() if isinstance(one, date) else str(one) for one in cells])


def open_profile(path: Path, source: ProfileSource) -> ProfileFile:
    """Open a profile file.

    Raises
    ------
    InputError
        where it cannot be read, with the key that says how it is written.
    """
    kinds: dict[str, type[ProfileFile]] = {".parquet": ParquetFile, ".pq": ParquetFile, ".xlsx": ExcelFile}
    return kinds.get(path.suffix.lower(), CsvFile)(path, source)
