"""Runs as people use them elsewhere: Excel, xarray and netCDF, notebooks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray

from gridferry.sim import Run, run
from gridferry.sim.results.export import export_run


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = ["currency='=1+1'"]
    return run("two_feeders", controller="rules", overrides=settings, steps=3, out=tmp_path_factory.mktemp("run") / "r")


def test_excel_has_a_sheet_per_table_and_no_formula(done: Run, tmp_path: Path) -> None:
    (path,) = export_run(done.directory, "excel", tmp_path)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == done.tables()
    bus = pd.read_excel(path, sheet_name="bus", dtype={"bus": str})
    np.testing.assert_allclose(bus["v_pu"], done.table("bus")["v_pu"], rtol=1e-14)
    assert bus["time"].tolist() == done.table("bus")["time"].tolist()
    money = [one for one in book["column_info"].iter_rows() for one in one if one.value == "=1+1"]
    assert money
    assert {one.data_type for one in money} == {"s"}


def test_netcdf_has_every_table_over_time_and_what_it_is_about_with_units(done: Run, tmp_path: Path) -> None:
    (path,) = export_run(done.directory, "netcdf", tmp_path)
    with xarray.open_dataset(path, group="bus", engine="h5netcdf") as bus:
        assert bus["v_pu"].dims == ("time", "bus")
        assert bus["v_pu"].attrs["units"] == "pu"
        table = done.table("bus")
        row = table[(table["network"] == "dn2") & (table["bus"] == "18")]
        np.testing.assert_array_equal(bus["v_pu"].sel(bus="dn2/18"), row["v_pu"])
        # the config begins at midnight of +02:00
        assert bus["time"].to_numpy()[0] == np.datetime64("2024-07-28T22:00")
    truck = done.dataset("trucks")["energy_mwh"].sel(device="T1")
    np.testing.assert_array_equal(truck, done.table("trucks")["energy_mwh"])
    assert done.dataset("step")["buy_price"].dims == ("time",)
    with pytest.raises(KeyError, match="no such table"):
        done.dataset("nothing")


def test_a_notebook_shows_the_page_and_the_map_of_a_step(done: Run, tmp_path: Path) -> None:
    shown = done.plot()
    assert shown._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert 'id="verdict"' in shown.save(tmp_path / "page.html").read_text(encoding="utf-8")
    step = done.map(2)
    assert '"frame":2' in step.html
    assert step.html.count("<figure") == 1
    with pytest.raises(ValueError, match="step 3 was not recorded; there are 3"):
        done.map(3)


def test_every_table_of_a_run_is_read_with_the_time_beside_the_step(done: Run) -> None:
    clock = done.table("step").set_index("step")["time"]
    for name in done.tables():
        table = done.table(name)
        if name.endswith("_info"):
            assert len(table) > 0 or name == "station_info"
        else:
            assert [*table][:2] == ["step", "time"]
            assert table["time"].tolist() == clock[table["step"]].tolist()
