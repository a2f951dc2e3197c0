"""Exports have the values of the database."""

import json
import resource
import shutil
from pathlib import Path

import duckdb
import h5py
import numpy as np
import pandas as pd
import pytest

from gridferry.sim.results.record_tables import all_tables
from gridferry.sim.results.run_directory import open_results

# columns of names that look like numbers
NAMES = ("bus", "line", "from_bus", "to_bus")


def assert_same(name, found, expected):
    """Compare a column of a file with that of the database, exactly."""
    if pd.api.types.is_numeric_dtype(expected.dtype):
        assert np.array_equal(np.asarray(found, float), expected.to_numpy(float, na_value=np.nan), equal_nan=True), name
    else:
        assert [one or "" for one in found] == expected.fillna("").tolist(), name


@pytest.mark.parametrize("to", ["csv", "parquet", "hdf5"])
def test_export_has_the_values_of_the_database(gridferry, finished, to):
    directory, _ = finished
    code, out, _ = gridferry("export", directory, "--format", to, "--out", "a/b", "--json")
    assert code == 0
    files = [Path(one) for one in json.loads(out)["files"]]
    assert all(one.is_file() for one in files)
    with open_results(directory) as results:
        tables = {name: results.execute(f"SELECT * FROM {name} ORDER BY rowid").df() for name in all_tables(results)}
    assert len(tables["device"]) == 6 * 5
    assert {"trucks", "batteries", "links", "generators"} <= set(tables)
    for name, table in tables.items():
        if to == "hdf5":
            with h5py.File("a/b/results.h5") as file:
                assert list(file[name]) == sorted(table.columns)
                for column in table:
                    values = file[name][column][()]
                    missing = values.dtype.kind == "i" and (values == -1).any()
                    if values.dtype.kind == "O":
                        values = [one.decode() for one in values]
                    assert_same(column, np.where(values == -1, np.nan, values) if missing else values, table[column])
            continue
        path = f"a/b/{name}.{to}"
        read = (
            pd.read_parquet(path)
            if to == "parquet"
            else pd.read_csv(path, float_precision="round_trip", dtype=dict.fromkeys(NAMES, str))
        )
        assert read.columns.tolist() == table.columns.tolist()
        for column in table:
            values = read[column]
            numeric = pd.api.types.is_numeric_dtype(table[column].dtype)
            assert_same(
                column, values.to_numpy(float, na_value=np.nan) if numeric else values.fillna(""), table[column]
            )


@pytest.mark.parametrize("to", ["csv", "parquet", "hdf5"])
def test_export_to_a_full_disk_ends_with_the_name_of_a_file(gridferry, finished, tmp_path, to):
    here = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, here[1]))  # what is larger fails to be written, as on a full disk
    try:
        code, _, err = gridferry("export", finished[0], "--format", to, "--out", tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, here)
    assert (code, len(err.splitlines())) == (3, 1)
    assert err.startswith(f"{tmp_path}/full/")


def test_export_of_nothing_or_to_nothing_is_refused(gridferry, finished, tmp_path):
    (tmp_path / "file").touch()
    for arguments, words in (
        (("gone",), "no such file"),
        ((finished[0], "--format", "xlsx"), "csv, parquet, hdf5"),
        ((finished[0], "--out", "file"), "cannot be created"),
    ):
        code, _, err = gridferry("export", *arguments)
        assert code == 2
        assert words in err
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "results.duckdb").write_bytes(b"no database" * 1000)
    code, _, err = gridferry("export", "torn")
    assert code == 2
    assert "cannot be opened" in err


def test_texts_that_spreadsheets_would_run_are_neutralised_on_request(gridferry, finished):
    shutil.copytree(finished[0], "run")
    bad = ["=1+1", " @SUM(A1)", "-1", "\t=1", "\uff1d1"]
    with duckdb.connect("run/results.duckdb") as results:
        for step, text in enumerate([*bad, "plain=1"]):
            results.execute("UPDATE step SET solver_ended = ? WHERE step = ?", [text, step])
    for options, sign in (((), ""), (("--for-spreadsheets",), "'")):
        assert gridferry("export", "run", *options)[0] == 0
        table = pd.read_csv("run/export/step.csv", keep_default_na=False)
        assert table["solver_ended"].tolist() == [*(sign + one for one in bad), "plain=1"]
        assert pd.read_csv("run/export/network.csv")["import_mw"].dtype == float
    code, _, err = gridferry("export", "run", "--for-spreadsheets", "--format", "parquet")
    assert code == 2
    assert "is for csv" in err
