"""A ``results.duckdb`` that somebody else made can show its tables, and reach no other file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cases.waiting_run import write_case
from gridferry.networks.faults import InputError
from gridferry.sim.results.run_directory import open_results


@pytest.fixture
def hostile(gridferry, tmp_path):
    """A run whose table of buses was replaced by a view of a file that is no business of its reader."""
    (tmp_path / "secret.csv").write_text("step,network,bus\n0,dn1,top-secret\n")
    config = write_case(tmp_path)
    assert gridferry("run", config, "--steps", 1, "--out", "out")[0] == 0
    with duckdb.connect("out/results.duckdb") as results:
        results.execute("DROP TABLE bus_info")
        results.execute(f"CREATE VIEW bus_info AS SELECT * FROM read_csv('{tmp_path}/secret.csv')")
    return config


@pytest.mark.parametrize("to", ["csv", "parquet", "hdf5"])
def test_view_in_the_place_of_a_table_is_refused_by_export(gridferry, hostile, to):
    code, out, err = gridferry("export", "out", "--format", to)
    assert (code, out) == (2, "")
    assert err == "out/results.duckdb: bus_info: a view where a run has a table; give another run directory\n"
    assert not Path("out/export").exists()


def test_view_in_the_place_of_a_table_is_refused_by_report_and_resume(gridferry, hostile):
    for arguments in (("report", "out"), ("run", hostile, "--out", "out", "--resume")):
        code, _, err = gridferry(*arguments)
        assert code == 2, arguments
        assert "a view where a run has a table" in err


def test_other_views_reach_no_file_and_the_lock_on_that_holds(hostile, tmp_path):
    with duckdb.connect("out/results.duckdb") as results:
        results.execute("ALTER VIEW bus_info RENAME TO leak")
        results.execute("CREATE TABLE bus_info (network VARCHAR, bus VARCHAR, v_min_pu DOUBLE, v_max_pu DOUBLE)")
    for query in ("SELECT * FROM leak", "SET enable_external_access = true", f"COPY bus TO '{tmp_path}/x.csv'"):
        with pytest.raises(InputError, match=r"cannot be read as .* (disabled|locked)"):  # noqa: SIM117
            with open_results(Path("out")) as own:
                own.execute(query)
    assert not (tmp_path / "x.csv").exists()


def test_database_that_lacks_a_table_is_bad_input(gridferry, hostile):
    with duckdb.connect("out/results.duckdb") as results:
        results.execute("DROP VIEW bus_info")
    code, _, err = gridferry("export", "out")
    assert code == 2
    assert "bus_info" in err


def test_a_table_that_a_foreign_record_calls_a_kinds_own_is_neither_a_view_nor_a_path(gridferry, hostile, tmp_path):
    with duckdb.connect("out/results.duckdb") as results:
        results.execute("ALTER VIEW bus_info RENAME TO leak")
        results.execute("CREATE TABLE bus_info (network VARCHAR, bus VARCHAR, v_min_pu DOUBLE, v_max_pu DOUBLE)")
        results.execute('CREATE TABLE "../../outside" (a INTEGER)')
        results.execute("INSERT INTO kind_info VALUES ('x', '../../outside', 1, false)")
    assert gridferry("export", "out")[0] == 0
    assert not (tmp_path.parent / "outside.csv").exists()
    assert not list(tmp_path.glob("**/outside.csv"))
    with duckdb.connect("out/results.duckdb") as results:
        results.execute("INSERT INTO kind_info VALUES ('x', 'leak', 1, false)")
    code, _, err = gridferry("export", "out")
    assert (code, err) == (2, "out/results.duckdb: leak: a view where a run has a table; give another run directory\n")


ODD = (
    "(0, 'n', 'a,b', 0.1), (1, '', '\"quoted\"', 'nan'), (2, NULL, 'two\nlines', '-inf'), (3, 'NULL', ' space ', NULL),"
    "(4, 'ü', 'null', 1e300), (5, 'x', 'y', -0.0), (6, 'x', 'y', 123456789.123456789), (7, 'x', 'y', 5e-324)"
)


def test_exported_csv_is_byte_for_byte_what_the_database_itself_writes(gridferry, tmp_path):
    config = write_case(tmp_path)
    assert gridferry("run", config, "--steps", 2, "--out", "out")[0] == 0
    with duckdb.connect("out/results.duckdb") as results:
        results.execute(f"INSERT INTO bus (step, network, bus, v_pu) VALUES {ODD}")
        results.execute("INSERT INTO network (step, network, converged) VALUES (9, 'n', true), (9, 'n', NULL)")
        for table in ("bus", "network", "device", "step", "plan"):
            results.execute(f"COPY (SELECT * FROM \"{table}\" ORDER BY rowid) TO '{table}.csv' (FORMAT CSV, HEADER)")
    assert gridferry("export", "out")[0] == 0
    for table in ("bus", "network", "device", "step", "plan"):
        assert Path(f"out/export/{table}.csv").read_bytes() == Path(f"{table}.csv").read_bytes()
