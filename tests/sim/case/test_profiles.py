from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import REPOSITORY
from gridferry import sim
from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.registry import kinds_with
from gridferry.networks.faults import InputError
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix
from gridferry.sim.case.conditions import Conditions, build_conditions
from gridferry.sim.case.profile_table import ProfileTable, read_profile
from gridferry.sim.case.profile_times import Clock
from gridferry.sim.config.document import Document
from gridferry.sim.config.kinds import config_model
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.schema import Resample

DATA = REPOSITORY / "configs" / "data"
DAY = datetime(2024, 6, 20)


def table(folder: Path, text: str, wanted: tuple[str, ...] = ("a",), clock: Clock | None = None) -> ProfileTable:
    path = folder / "p.csv"
    path.write_text(text, encoding="utf-8")
    return read_profile(path, "t", wanted, clock or Clock(DAY, 3600, 2))


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
    profile = ProfileTable("f.csv", clock, times, spacing, {"a": values}, {"a": {}}, ("t", "a"))
    by_second = np.repeat(values, spacing)[begin : begin + steps * step].reshape(steps, step).mean(axis=1)
    assert profile.resampled("a", Resample.MEAN) == pytest.approx(by_second, rel=1e-12, abs=1e-12)


def test_a_profile_on_the_runs_own_step_is_served_bit_by_bit() -> None:
    clock = Clock(DAY.replace(year=2017, month=7, day=1), 600, 144)
    profile = read_profile(DATA / "three_bus_profiles.csv", "time_h", ["p_pv_mw", "traffic_delay_min"], clock)
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
    profile = read_profile(DATA / "year_profiles.csv", "time_utc", ["load_mw", "pv_mw"], Clock(start, 900, 96))
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
    from_parquet = read_profile(tmp_path / "p.parquet", "t", ["a"], clock)
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
    said = fault(tmp_path, "t,a\n0,1\n1,2\n", clock=Clock(DAY, 3600, 3))
    assert "covers 2024-06-20T00:00 to 2024-06-20T02:00" in said
    assert "to 2024-06-20T03:00" in said
    assert "steps = 2 at most" in said
    assert "choose another start" in fault(tmp_path, "t,a\n1,1\n2,2\n", clock=Clock(DAY, 3600, 1))
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
    said = fault(tmp_path, text)
    assert line in said
    assert words in said


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
        read_profile(tmp_path / "p.parquet", "t", ["a"], Clock(DAY, 3600, 2))


# ---------------------------------------------------------------------------------------------------------- evaluation


def feeder(name: str, gen_mw: float = 0.0) -> Feeder:
    plain = plain_feeder(
        name,
        base_mva=1.0,
        base_kv=10.0,
        bus_names=["1", "2", "3"],
        p_load_mw=np.array([0.0, 1.0, 2.0]),
        q_load_mvar=np.array([0.0, 0.5, -0.25]),
        from_bus=np.array([0, 1]),
        to_bus=np.array([1, 2]),
        r_ohm=np.ones(2),
        x_ohm=np.ones(2),
    )
    return Feeder(**{**vars(plain), "p_gen_mw": np.array([0.0, 0.0, gen_mw])})


def plant(steps: int, *feeders: Feeder, names: Sequence[str] = ()) -> Plant:
    generators = [Generator(name, "pv", 0, 1, 0.0) for name in names]
    roads = DistanceMatrix(("S1", "S2"), np.zeros((2, 2)), 40.0, 0.0)
    return Plant(feeders, (), tuple(generators), roads, 3600, steps, steps, 0, 1.0, "USD")


def conditions(folder: Path, text: str, gen_mw: float = 0.0, steps: int = 2, **parts: Any) -> Conditions:
    (folder / "p.csv").write_text(text, encoding="utf-8")
    document = {
        "name": "case",
        "time": {"start": DAY, "step_s": 3600, "steps": steps},
        "profiles": {"p": {"file": "p.csv", "time": "t"}},
        "networks": [{"name": "n1", "feeder": "x"}, {"name": "n2", "feeder": "x"}],
        **parts,
    }
    config = config_model(kinds_with(())).model_validate(document)
    loaded = LoadedConfig(config, Path("case.toml"), folder, {}, Document("case.toml", document))
    names = [one.name for one in config.generators]
    return build_conditions(loaded, plant(steps, feeder("n1"), feeder("n2", gen_mw), names=names))


TEXT = "t,a,b\n0,0.5,10\n1,2,20\n2,4,-1\n"


def test_loads_add_up_by_bus_factor_and_network(tmp_path: Path) -> None:
    got = conditions(
        tmp_path,
        TEXT,
        loads=[
            {"network": "n1", "factor": "p.a"},
            {"network": "n1", "bus": 3, "p_mw": "p.b", "q_mvar": -1.0},
            {"network": "n2", "bus": "2", "factor": {"column": "p.a", "scale": 3.0, "per_unit": True}},
        ],
    )
    # columns: three buses of n1, three of n2; per unit of the file's largest value, 4, which lies beyond the run
    assert got.load_p_mw.tolist() == [[0, 0.5, 1 + 10, 0, 0.375, 0], [0, 2, 4 + 20, 0, 1.5, 0]]
    assert got.load_q_mvar.tolist() == [[0, 0.25, -0.125 - 1, 0, 0.1875, 0], [0, 1, -0.5 - 1, 0, 0.75, 0]]
    assert got.series == {}
    arrays = [values for values in vars(got).values() if isinstance(values, np.ndarray)]
    assert not any(values.flags.writeable for values in arrays)


def test_generators_prices_and_roads_follow_their_series(tmp_path: Path) -> None:
    got = conditions(
        tmp_path,
        TEXT,
        generators=[
            {"name": "g", "network": "n1", "bus": 2, "p_mw": {"column": "p.a", "scale": 2.0}},
            {"name": "h", "network": "n1", "bus": 2, "p_mw": 0.25},
        ],
        prices={"buy": {"column": "p.b", "scale": -1.0}, "sell": 80.0},
        roads={"distance_km": [[0.0]], "speed_km_h": 40.0, "congestion": "p.a"},
    )
    produced = {device: given["p_mw"].tolist() for device, given in got.series.items()}
    assert produced == {"generators.g": [1.0, 4.0], "generators.h": [0.25, 0.25]}
    assert (got.buy_price.tolist(), got.sell_price.tolist()) == ([-10, -20], [80, 80])
    assert got.congestion.tolist() == [[0.5, 0.5], [2.0, 2.0]]


def test_fixed_generation_of_a_feeder_is_carried_as_negative_load(tmp_path: Path) -> None:
    got = conditions(tmp_path, TEXT, gen_mw=0.3, loads=[{"network": "n2", "factor": 1.0}])
    assert got.load_p_mw[1].tolist() == [0, 0, 0, 0, 1.0, 1.7]


def test_empty_cells_outside_the_run_do_no_harm(tmp_path: Path) -> None:
    got = conditions(tmp_path, "t,a\n0,1\n1,2\n2,\n3,x\n", prices={"buy": "p.a", "sell": "p.a"})
    assert got.buy_price.tolist() == got.sell_price.tolist() == [1, 2]


def test_every_fault_is_told_with_its_place_and_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        conditions(
            tmp_path,
            "t,load_a,b,c,d\n\n0,0.5,,-1,\n1,2,inf,oops,1\n",
            loads=[
                {"network": "n1", "bus": 2, "p_mw": "p.load_b"},
                {"network": "n1", "bus": 9, "p_mw": "p.load_a"},
                {"network": "n3", "factor": -1.0},
                {"network": "n1", "factor": "p.c"},
            ],
            generators=[{"name": "g", "network": "n1", "bus": 2, "p_mw": {"column": "p.b"}}],
            prices={"buy": "p.d", "sell": "q.d"},
        )
    said = [str(one) for one in caught.value.faults]
    path = tmp_path / "p.csv"
    expected = [
        ('case.toml: loads[0].p_mw = "p.load_b": no such column in', 'did you mean "load_a"'),
        ("case.toml: loads[1].bus = 9: no such bus in n1", "1, 2, 3"),
        ('case.toml: loads[2].network = "n3": no such network', "n1, n2"),
        ("case.toml: loads[2].factor = -1.0: must not be negative", ""),
        (f'{path}: line 4, column "c": "oops" is no finite number', ""),
        ('case.toml: loads[3].factor = "p.c": is negative at line 3', "(-1)"),
        (f'{path}: line 3, column "b": missing value', "1 more: line 4"),
        (f'{path}: line 3, column "d": missing value', ""),
        ('case.toml: prices.sell = "q.d": no such profile; there is p', ""),
    ]
    for start, words in expected:
        assert any(one.startswith(start) and words in one for one in said), (start, said)
    assert len(said) == len(expected)


def test_per_unit_needs_a_positive_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="largest value is -1"):
        conditions(tmp_path, "t,a\n0,-2\n1,-1\n", prices={"buy": {"column": "p.a", "per_unit": True}})


def test_parquet_faults_are_told_by_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": [0, 1], "a": [1.0, np.nan], "b": ["1.5", "x"]})
    frame.to_parquet(tmp_path / "p.parquet")
    got = read_profile(tmp_path / "p.parquet", "t", ["a", "b"], Clock(DAY, 3600, 2))
    assert [str(one).split(": ", 1)[1] for one in got.faults("a") + got.faults("b")] == [
        'row 2, column "a": missing value; fill it in',
        'row 2, column "b": "x" is no finite number; fill it in',
    ]


def calls_of(action: Callable[[], object]) -> int:
    """How many functions of ours an action calls; what checks shapes around them is not counted."""
    counted, ours = 0, str(Path(sim.__file__).parent)

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal counted
        counted += event == "call" and frame.f_code.co_filename.startswith(ours)

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("stamped", [False, True])
def test_each_row_of_33_load_profiles_takes_a_call_or_two_for_its_time_and_none_for_its_values(
    tmp_path: Path, stamped: bool
) -> None:
    lengths, names, calls = (96, 35136), [f"l{k}" for k in range(33)], []
    for rows in lengths:
        values = np.round(np.random.default_rng(1).random((rows, len(names))), 4)
        frame = pd.DataFrame(values, columns=names)
        stamps = pd.date_range("2024-01-01", periods=rows, freq="15min")
        frame.insert(0, "t", stamps if stamped else np.arange(rows) / 4)
        path = tmp_path / f"{rows}.csv"
        frame.to_csv(path, index=False)
        clock = Clock(datetime(2024, 1, 1), 900, rows)
        served: list[np.ndarray] = []

        def read(path: Path = path, clock: Clock = clock, served: list[np.ndarray] = served) -> None:
            table = read_profile(path, "t", names, clock)
            served[:] = [table.resampled(name, Resample.MEAN) for name in names]

        read()  # what is done once only, such as importing, is not counted
        calls.append(calls_of(read))
        assert np.array_equal(np.stack(served, axis=1), values)
    assert (calls[1] - calls[0]) / (lengths[1] - lengths[0]) <= 2
