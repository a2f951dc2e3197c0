"""A SimBench grid with its own profiles in a run is what pandapower makes of them step by step."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from cases import REPOSITORY
from gridferry.sim import run
from gridferry.sim.config.reading import find_config

# the benchmarks are no package of the project
PLAIN = runpy.run_path(str(REPOSITORY / "benchmarks" / "plain_time_series.py"))


def test_hours_around_noon_of_the_shipped_street_equal_a_plain_time_series(tmp_path: Path) -> None:
    """PV and storages of the grid in service; the whole day is compared by ``python -m benchmarks acceptance``."""
    done = run("simbench_lv_rural1", overrides=["time.start=2016-07-15T11:00:00", "time.steps=4"], out=tmp_path / "run")
    found = PLAIN["largest_difference_pu"](done.table("bus"), "1-LV-rural1--1-sw", "15.07.2016 11:00", range(0, 4, 3))
    assert found < 1e-8
    assert done.table("bus")["p_own_mw"].max() > 0.01


@pytest.mark.parametrize("config", ["simbench_lv_rural1", "simbench_mv_rural"])
def test_a_simbench_day_is_a_config_of_a_few_lines(config: str) -> None:
    assert len(find_config(config).read_text().splitlines()) <= 25
