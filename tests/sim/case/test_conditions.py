"""Conditions: series of a config evaluated for every step, with every fault told at its place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from gridferry import sim
from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.devices.registry import kinds_with
from gridferry.networks.faults import InputError
from gridferry.networks.feeder import Feeder, plain_feeder
from gridferry.networks.roads.travel import DistanceMatrix
from gridferry.sim.case.conditions import Conditions, build_conditions
from gridferry.sim.case.profiles.file import open_profile
from gridferry.sim.case.profiles.table import read_profile
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.document import Document
from gridferry.sim.config.kinds import config_model
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.profile_schema import ProfileSource, Resample
from gridferry.sim.config.schema import LoadConfig

DAY = datetime(2024, 6, 20)
SOURCE = ProfileSource(file="p.csv", time="t")


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


def test_loads_at_a_bus_replace_the_scaled_nominal_ones(tmp_path: Path) -> None:
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
    assert got.load_p_mw.tolist() == [[0, 0.5, 10, 0, 0.375, 0], [0, 2, 20, 0, 1.5, 0]]
    assert got.load_q_mvar.tolist() == [[0, 0.25, -1, 0, 0.1875, 0], [0, 1, -1, 0, 0.75, 0]]
    assert got.series == {}
    arrays = [values for values in vars(got).values() if isinstance(values, np.ndarray)]
    assert not any(values.flags.writeable for values in arrays)


def test_the_power_factor_of_a_load_gives_its_reactive_power(tmp_path: Path) -> None:
    """cos φ = 0.8: tan φ = 0.75, of given power and of scaled nominal power; bus 2 has 1 MW."""
    got = conditions(
        tmp_path,
        TEXT,
        loads=[
            {"network": "n1", "bus": 3, "p_mw": "p.b", "cos_phi": 0.8},
            {"network": "n2", "bus": 2, "factor": "p.a", "cos_phi": 0.8},
            {"network": "n2", "bus": 3, "p_mw": 5.0, "cos_phi": 1},
        ],
    )
    nominal = feeder("n2").p_load_mw[1]
    expected = [[0, 0, 7.5, 0, 0.75 * 0.5 * nominal, 0], [0, 0, 15, 0, 0.75 * 2 * nominal, 0]]
    assert got.load_q_mvar == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cos_phi": 0.9, "q_mvar": 1.0}, "give either q_mvar or cos_phi"),
        ({"cos_phi": 0.0}, "greater than 0"),
        ({"cos_phi": 1.1}, "less than or equal to 1"),
        ({"cosphi": 0.9}, "cosphi"),
    ],
)
def test_a_power_factor_that_makes_no_sense_is_refused(keys: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LoadConfig.model_validate({"network": "n1", "bus": 3, "p_mw": 1.0, **keys})


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
                {"network": "n2", "factor": -1.0},
                {"network": "n1", "factor": "p.c"},
            ],
            generators=[{"name": "g", "network": "n1", "bus": 2, "p_mw": {"column": "p.b"}}],
            prices={"buy": "p.d", "sell": "q.d"},
        )
    said = [str(one) for one in caught.value.faults]
    path = tmp_path / "p.csv"
    expected = [
        ('case.toml: loads[0].p_mw = "p.load_b": no such column in', 'did you mean "load_a"'),
        ("case.toml: loads[1].factor = -1.0: must not be negative", ""),
        (f'{path}: line 4, column "c": "oops" is no finite number', ""),
        ('case.toml: loads[2].factor = "p.c": is negative at line 3', "(-1)"),
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
    got = read_profile(open_profile(tmp_path / "p.parquet", SOURCE), ["a", "b"], Clock(DAY, 3600, 2))
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
            table = read_profile(open_profile(path, SOURCE), names, clock)
            served[:] = [table.resampled(name, Resample.MEAN) for name in names]

        read()  # what is done once only, such as importing, is not counted
        calls.append(calls_of(read))
        assert np.array_equal(np.stack(served, axis=1), values)
    assert (calls[1] - calls[0]) / (lengths[1] - lengths[0]) <= 2
