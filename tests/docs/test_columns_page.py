"""The dictionary of columns: a page made from record.sql and the kinds of devices, rewritten by running this file."""

from __future__ import annotations

from itertools import groupby

from cases import REPOSITORY
from gridferry.controllers.devices.registry import BUILT_IN, find_kind
from gridferry.sim.results.kind_tables import kind_columns
from gridferry.sim.results.record_tables import INFO_TABLES, TABLES, DescribedColumn, column_dictionary

PAGE = REPOSITORY / "docs" / "columns.md"
INTRODUCTION = """# Columns of the results

What every column of every table means, made by `PYTHONPATH=tests python tests/docs/test_columns_page.py` from
[record.sql](../sim/results/record.sql) and the kinds of devices. `gridferry list columns` prints it, with the columns
of installed kinds. Powers are injections into the grid unless said otherwise. [guide.md](guide.md#results) says which
tables there are.
"""


def described() -> list[DescribedColumn]:
    return column_dictionary(find_kind(name) for name in BUILT_IN)


def page() -> str:
    parts = [INTRODUCTION]
    for table, columns in groupby(described(), lambda one: one.table):
        rows = "".join(f"| `{one.name}` | {one.unit} | {one.meaning.replace('|', ' ')} |\n" for one in columns)
        parts.append(f"## {table}\n\n| column | unit | meaning |\n| --- | --- | --- |\n{rows}")
    return "\n".join(parts)


def test_the_page_has_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_column_of_every_table_is_described() -> None:
    found = {(one.table, one.name): one for one in described()}
    assert len(found) == len(described())
    kinds = {kind.table: kind_columns(kind) for kind in map(find_kind, BUILT_IN)}
    tables = {**TABLES, **INFO_TABLES, **kinds}
    assert {*found} == {(table, name) for table, columns in tables.items() for name in columns}
    assert [one for one in found.values() if not one.meaning] == []
    assert (found["bus", "v_pu"].unit, found["network", "import_mw"].unit) == ("pu", "MW")
    for table, columns in tables.items():
        if "step" in columns:
            assert [*columns][:2] == ["step", "time"], table


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
