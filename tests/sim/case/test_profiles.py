"""Profiles: what a step has of the rows of a file, and times that are found in it or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import REPOSITORY
from gridferry.networks.faults import InputError
from gridferry.sim.case.profiles.file import open_profile
from gridferry.sim.case.profiles.table import ProfileTable, read_profile
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.profile_schema import ProfileSource, Resample

DATA = REPOSITORY / "configs" / "data"
DAY = datetime(2024, 6, 20)


def read(path: Path, time: str, columns: Sequence[str], clock: Clock, **keys: Any) -> ProfileTable:
    return read_profile(open_profile(path, ProfileSource(file=path.name, time=time, **keys)), columns, clock)


def table(folder: Path, text: str, wanted: tuple[str, ...] = ("a",), clock: Clock | None = None) -> ProfileTable:
    path = folder / "p.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, "t", wanted, clock or Clock(DAY, 3600, 2))


def fault(folder: Path, text: str, **kwargs: Any) -> str:
    with pytest.raises(InputError) as caught:
        table(folder, text, **kwargs)
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------- resampling


@settings(max_examples=60, deadline=None)
@given(
    spacing=st.sampled_from([60, 300, 420, 600, 900, 3600]),
    step=st.sampled_from([60, 300, 450, 600, 900, 1800, 3600]),
    late=st.integers(0, 20),
    seed=st.integers(0, 1000),
)
def test_the_mean_of_a_step_is_the_mean_over_its_seconds(spacing: int, step: int, late: int, seed: int) -> None:
    steps = 7
    begin = 60 * late
    rows = -(-(begin + steps * step) // spacing) + 1
    values = np.random.default_rng(seed).normal(size=max(rows, 2))
    clock = Clock(DAY + timedelta(seconds=begin), step, steps)
    times = spacing * np.arange(len(values))
    file = open_profile(DATA / "three_bus_profiles.csv", ProfileSource(file="f.csv", time="time_h"))
    profile = ProfileTable(file, clock, times, spacing, {"a": values}, {"a": {}})
    by_second = np.repeat(values, spacing)[begin : begin + steps * step].reshape(steps, step).mean(axis=1)
    assert profile.resampled("a", Resample.MEAN) == pytest.approx(by_second, rel=1e-12, abs=1e-12)


def test_a_profile_on_the_runs_own_step_is_served_bit_by_bit() -> None:
    clock = Clock(DAY.replace(year=2017, month=7, day=1), 600, 144)
    profile = read(DATA / "three_bus_profiles.csv", "time_h", ["p_pv_mw", "traffic_delay_min"], clock)
    frame = pd.read_csv(DATA / "three_bus_profiles.csv", float_precision="round_trip")
    for column in ("p_pv_mw", "traffic_delay_min"):
        for how in Resample:
            assert np.array_equal(profile.resampled(column, how), frame[column].to_numpy())


def test_a_finer_run_repeats_rows_a_coarser_one_averages_them(tmp_path: Path) -> None:
    text = "t,a\n0,1\n1,3\n2,8\n3,0\n"
    finer = table(tmp_path, text, clock=Clock(DAY, 1800, 8))
    assert finer.resampled("a", Resample.MEAN).tolist() == [1, 1, 3, 3, 8, 8, 0, 0]
    assert finer.resampled("a", Resample.PREVIOUS).tolist() == [1, 1, 3, 3, 8, 8, 0, 0]
    assert finer.resampled("a", Resample.LINEAR).tolist() == [1, 2, 3, 5.5, 8, 4, 0, 0]
    coarser = table(tmp_path, text, clock=Clock(DAY, 7200, 2))
    assert coarser.resampled("a", Resample.MEAN).tolist() == [2, 4]
    assert coarser.resampled("a", Resample.PREVIOUS).tolist() == [1, 8]


# --------------------------------------------------------------------------------------------------------------- times


def test_a_summer_day_of_the_year_is_found_by_local_time_with_its_offset() -> None:
    start = datetime.fromisoformat("2024-06-20T00:00:00+02:00")
    profile = read(DATA / "year_profiles.csv", "time_utc", ["load_mw", "pv_mw"], Clock(start, 900, 96))
    frame = pd.read_csv(DATA / "year_profiles.csv")
    first = frame.index[frame["time_utc"] == "2024-06-19T22:00Z"][0]
    expected = frame["load_mw"].to_numpy()[first : first + 96]
    assert np.array_equal(profile.resampled("load_mw", Resample.MEAN), expected)


@pytest.mark.parametrize("zone", ["", "+02:00", "Z"])
def test_csv_and_parquet_stamps_say_the_same(tmp_path: Path, zone: str) -> None:
    start = datetime.fromisoformat("2024-06-20T01:00:00" + zone)
    stamps = pd.date_range(start - timedelta(hours=1), periods=4, freq="h")
    frame = pd.DataFrame({"t": stamps, "a": [1.0, 2.5, 3.0, 4.0]})
    frame.to_parquet(tmp_path / "p.parquet")
    text = "t,a\n" + "".join(f"{one.isoformat()},{value}\n" for one, value in zip(stamps, frame["a"], strict=True))
    clock = Clock(start, 3600, 3)
    from_csv = table(tmp_path, text, clock=clock)
    from_parquet = read(tmp_path / "p.parquet", "t", ["a"], clock)
    for one in (from_csv, from_parquet):
        assert one.resampled("a", Resample.MEAN).tolist() == [2.5, 3.0, 4.0]


def test_hours_count_from_local_midnight_also_for_a_run_that_starts_later(tmp_path: Path) -> None:
    for zone in ("", "+02:00"):
        clock = Clock(datetime.fromisoformat("2024-06-20T02:00:00" + zone), 3600, 2)
        assert table(tmp_path, "t,a\n0,1\n1,2\n2,3\n3,4\n", clock=clock).resampled("a", Resample.MEAN).tolist() == [
            3,
            4,
        ]


def test_a_run_beyond_the_file_is_refused_with_what_it_covers(tmp_path: Path) -> None:
    message = fault(tmp_path, "t,a\n0,1\n1,2\n", clock=Clock(DAY, 3600, 3))
    assert "covers 2024-06-20T00:00 to 2024-06-20T02:00" in message
    assert "to 2024-06-20T03:00" in message
    assert "steps = 2 at most" in message
    assert "choose another start" in fault(tmp_path, "t,a\n2,1\n3,2\n", clock=Clock(DAY, 3600, 1))
    assert 'say stamps = "end"' in fault(tmp_path, "t,a\n1,1\n2,2\n", clock=Clock(DAY, 3600, 1))
    assert "23:00 to hour 32;" in fault(tmp_path, "t,a\n0,1\n1,2\n", clock=Clock(datetime(9999, 12, 31, 23), 3600, 9))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("t,a\n0,1\n1,2\n1,3\n2,4\n3,5\n", "line 4", "time of the row before"),
        ("t,a\n0,1\n1,2\n\n3,3\n4,4\n", "line 5", "fill the gap"),
        ("t,a\n0,1\n2,2\n1,3\n3,4\n4,5\n5,5\n", "line 4", "earlier"),
        ("t,a\n0,1\n,2\n2,3\n", "line 3", "missing time"),
        ("t,a\n0,1\nnoon,2\n2,3\n", "line 3", '"noon"'),
        ("t,a\n0,1\n1e300,2\n2,3\n", "line 3", "no number of hours"),
        ("t,a\n0,1\n0.167,2\n0.333,3\n", "line 3", "whole number of seconds"),
        ("t,a\n2024-06-20,1\n2024-06-2o,2\n", "line 3", "is no time"),
        ("t,a\n2024-06-20T00:00,1\n2024-06-20T01:00Z,2\n", "line 3", "offset, or none"),
    ],
)
def test_times_that_are_no_regular_clock_are_refused_by_line(tmp_path: Path, text: str, line: str, words: str) -> None:
    message = fault(tmp_path, text)
    assert line in message
    assert words in message


def test_stamps_and_start_must_both_have_an_offset_or_neither(tmp_path: Path) -> None:
    aware = "t,a\n2024-06-20T00:00Z,1\n2024-06-20T01:00Z,2\n"
    naive = aware.replace("Z", "")
    assert "write it with one" in fault(tmp_path, aware)
    clock = Clock(datetime.fromisoformat("2024-06-20T00:00:00+00:00"), 3600, 2)
    assert "leave it out" in fault(tmp_path, naive, clock=clock)
    assert table(tmp_path, aware, clock=clock).spacing_s == table(tmp_path, naive).spacing_s == 3600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no such column"),
        ("tt,a\n0,1\n1,2\n", 'did you mean "tt"'),
        ("t,a\n0,1\n", "at least two"),
        ("t,a\n0,1\n1,2,3\n", "cannot be read as CSV"),
        ("t,a,a\n0,1,1\n1,2,2\n", "twice"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in fault(tmp_path, text)
    (tmp_path / "p.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(tmp_path / "p.parquet", "t", ["a"], Clock(DAY, 3600, 2))
