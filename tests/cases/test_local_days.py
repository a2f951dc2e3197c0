"""In a time zone, days are those of its clocks: 92 and 100 quarter-hours where they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.controllers.conformance.sample_plants import three_bus
from gridferry.controllers.contract import Plant
from gridferry.controllers.plans.first_step import nows_of_step, surroundings
from gridferry.networks.faults import InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.forecasts import measured_rows
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.loop.runner import run
from gridferry.sim.loop.validation import validate

CONFIG = """
name = "local"
[time]
start = {start}
timezone = "{zone}"
step_s = {step_s}
steps = {steps}
[[networks]]
name = "dn1"
feeder = "three_bus"
[[loads]]
network = "dn1"
factor = 1.0
[prices]
buy = 100.0
[[batteries]]
name = "B"
network = "dn1"
bus = "3"
energy_mwh = 2.0
p_max_mw = 1.0
soc_initial = 1.0
cycles_max_per_day = 0.25
"""


def local(folder: Path, start: str, steps: int = 100, zone: str = "Europe/Berlin", step_s: int = 900) -> LoadedConfig:
    path = folder / "local.toml"
    path.write_text(CONFIG.format(start=start, zone=zone, steps=steps, step_s=step_s), encoding="utf-8")
    return load_config(path)


def plant(folder: Path, start: str, steps: int = 100, zone: str = "Europe/Berlin") -> Plant:
    return build_case(local(folder, start, steps, zone)).plant


def on_the_clock(clock: Clock) -> Plant:
    return replace(
        three_bus(900).plant,
        steps=clock.steps,
        first_step_of_day=clock.start_of_day_s // 900,
        clock_changes=tuple((at // 900, by // 900) for at, by in clock.changes),
    )


def shown(start: datetime, steps: int) -> list[datetime]:
    """What the clocks on the wall show at every quarter-hour, by way of UTC."""
    begin = start.astimezone(UTC)
    return [(begin + timedelta(minutes=15 * step)).astimezone(start.tzinfo) for step in range(steps)]


def starts() -> Iterator[datetime]:
    """Days before and on which clocks change: at night, at midnight, for the day that Samoa left out."""
    for zone, *days in (
        ("Europe/Berlin", "2024-03-30", "2024-03-31", "2024-10-26", "2024-10-27", "2024-07-01"),
        ("America/Santiago", "2024-04-06", "2024-09-07", "2024-09-08"),  # at midnight
        ("America/Nuuk", "2024-03-30", "2024-10-26"),  # from 23:00 to midnight, and back from midnight
        ("Australia/Lord_Howe", "2024-04-06", "2024-10-05"),  # by half an hour
        ("Pacific/Apia", "2011-12-28", "2011-12-29"),  # by a day
        ("Asia/Kathmandu", "2024-01-01"),
    ):
        for day in days:
            yield datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))


@settings(max_examples=60, deadline=None)
@given(start=st.sampled_from(list(starts())), begins=st.integers(0, 95), steps=st.integers(1, 300))
def test_the_plants_days_are_those_of_the_clocks_on_the_wall(start: datetime, begins: int, steps: int) -> None:
    first = (start.astimezone(UTC) + timedelta(minutes=15 * begins)).astimezone(start.tzinfo)
    of = on_the_clock(Clock(first, 900, steps))
    clock = shown(first, steps)
    beyond = shown(first, steps + 200)
    for step in (0, steps // 2, steps - 1):
        day = clock[step].date()
        later = next(ahead for ahead in range(1, 200) if beyond[step + ahead].date() != day)
        tomorrow = clock[step].replace(tzinfo=None) + timedelta(days=1)
        again = next(ahead for ahead in range(1, 200) if beyond[step + ahead].replace(tzinfo=None) >= tomorrow)
        assert of.steps_left_of_day(step) == later
        assert of.steps_of_coming_day(step) == again
        assert of.step_of_day(step) == clock[step].hour * 4 + clock[step].minute // 15
        assert of.days_from(0, steps)[step] == (day - clock[0].date()).days
        assert nows_of_step(of, step, [{}])[0].ends_day == (later == 1)


def test_the_days_on_which_clocks_change_have_92_and_100_quarter_hours(tmp_path: Path) -> None:
    for start, steps in (("2024-03-31T00:00:00", 92), ("2024-10-27T00:00:00", 100), ("2024-07-15T00:00:00", 96)):
        of = plant(tmp_path, start)
        assert (of.steps_left_of_day(0), of.day_of(steps - 1), of.day_of(steps)) == (steps, 0, 1)


def test_devices_plans_and_forecasts_end_a_day_in_the_same_step() -> None:
    """Trips, labour, cycles and the energy due go by what a device is told of the step."""
    base = three_bus(900)
    of = replace(base.plant, steps=200, horizon_steps=200, first_step_of_day=0, clock_changes=((12, -4),))
    forecast = base.day.rows(np.arange(200) % base.day.steps)
    planned = [nows[0].ends_day for nows, _ in surroundings(of, 0, forecast, 200)]
    done = [nows_of_step(of, step, [{}] * len(of.devices))[0].ends_day for step in range(200)]
    assert planned == done
    assert np.flatnonzero(done).tolist() == [99, 195]
    assert (np.flatnonzero(np.diff(of.days_from(0, 200))) + 1).tolist() == [100, 196]


def test_cycles_are_counted_by_the_local_day_of_100_quarter_hours(tmp_path: Path) -> None:
    """A quarter of a cycle is used up from 19:00 to 20:00; the hour before midnight is of the same day."""
    local(tmp_path, "2024-10-27T00:00:00", steps=104)
    rows = [f"{step},B,1.0,0.0," for step in (*range(80, 84), *range(96, 100), *range(100, 104))]
    (tmp_path / "plan.csv").write_text("\n".join(["step,device,p_mw,q_mvar,station", *rows]) + "\n")
    verdict = validate(tmp_path / "plan.csv", tmp_path / "local.toml", out=tmp_path / "run")
    again = validate(verdict.run.directory / "plan.csv", tmp_path / "local.toml", out=tmp_path / "again")
    assert again.run.summary["fleet"] == verdict.run.summary["fleet"]  # times of the plan are those of the run
    device = verdict.run.table("device").set_index("step")
    assert device.loc[80:83, "p_mw"].tolist() == [1.0] * 4
    assert device.loc[96:99, "p_mw"].tolist() == [0.0] * 4
    assert device.loc[100:103, "p_mw"].tolist() == [1.0] * 4  # of the next day
    assert device["cycles_today"].max() == pytest.approx(0.25, abs=1e-9)


def test_times_of_the_record_have_the_offset_that_holds(tmp_path: Path) -> None:
    clock = local(tmp_path, "2024-10-27T00:00:00", steps=104).config.time.clock
    said = [clock.at(step).isoformat() for step in (0, 11, 12, 99, 100)]
    assert said == [
        "2024-10-27T00:00:00+02:00",
        "2024-10-27T02:45:00+02:00",
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T23:45:00+01:00",
        "2024-10-28T00:00:00+01:00",
    ]


def test_every_step_of_a_run_has_a_time_of_its_own(tmp_path: Path) -> None:
    done = run(local(tmp_path, "2024-10-27T01:00:00", steps=10), out=tmp_path / "run")
    with duckdb.connect(str(done.directory / "results.duckdb"), read_only=True) as results:
        times = [time for (time,) in results.execute("SELECT time FROM step ORDER BY step").fetchall()]
    assert times[6] == "2024-10-27T02:30:00+02:00"
    assert times[8:] == ["2024-10-27T02:00:00+01:00", "2024-10-27T02:15:00+01:00"]


def test_persistence_takes_the_same_time_on_the_wall_of_the_day_before(tmp_path: Path) -> None:
    of = plant(tmp_path, "2024-10-26T00:00:00", steps=96 + 100 + 96)
    at_end = 96 + 100  # midnight after the day of 100 quarter-hours
    rows = measured_rows(of, at_end, at_end + 96)
    assert rows[32] == 96 + 36  # 08:00, four quarter-hours later after midnight than usual
    assert rows[0] == 96
    during = measured_rows(of, 96 + 40, 96 + 100)
    assert during[0] == 36  # 09:00, on the day before
    of = plant(tmp_path, "2024-03-30T00:00:00", steps=96 + 92 + 96)
    rows = measured_rows(of, 96 + 92, 96 + 92 + 96)
    assert rows[8:12].tolist() == [8, 9, 10, 11]  # from 02:00 to 03:00 there was nothing to measure: the day before
    assert rows[12] == 96 + 8


def test_profiles_meet_the_steps_across_the_change(tmp_path: Path) -> None:
    """Rows by UTC, hours of the day by the local clock: a price that is the hour that clocks show."""
    config = local(tmp_path, "2024-10-27T00:00:00")
    zone = ZoneInfo("Europe/Berlin")
    hours = [datetime(2024, 10, 26, 12, tzinfo=UTC) + timedelta(hours=hour) for hour in range(72)]
    rows = [f"{hour.isoformat()},{hour.astimezone(zone).hour}" for hour in hours]
    (tmp_path / "price.csv").write_text("\n".join(["t,price", *rows]) + "\n")
    text = (tmp_path / "local.toml").read_text().replace("buy = 100.0", 'buy = "p.price"')
    config.path.write_text(text + '[profiles.p]\nfile = "price.csv"\ntime = "t"\n')
    price = build_case(load_config(config.path)).conditions.buy_price
    assert price[[0, 4, 8, 11, 12, 15, 16, 99]].tolist() == [0, 1, 2, 2, 2, 2, 3, 23]
    elapsed = [f"{hour},{hour}" for hour in range(25)]
    (tmp_path / "price.csv").write_text("\n".join(["t,price", *elapsed]) + "\n")
    price = build_case(load_config(config.path)).conditions.buy_price
    assert price[[12, 99]].tolist() == [3, 24]  # hours since midnight: 25 of them


@pytest.mark.parametrize(
    ("start", "zone", "step_s", "message"),
    [
        ("2024-10-27T00:00:00", "Europe/Berlyn", 900, 'no such time zone; .* "Europe/Berlin"'),
        ("2024-10-27T00:00:00", "../etc/passwd", 900, "no such time zone"),
        ("2024-10-27T02:30:00", "Europe/Berlin", 900, r"twice; write 2024-10-27T02:30:00\+02:00 or .*\+01:00"),
        ("2024-03-31T02:30:00", "Europe/Berlin", 900, "the clocks skip this time; choose another"),
        ("2024-10-27T00:00:00", "Europe/Berlin", 7200, "change by -3600 s .* splits a step"),
        ("2024-10-26T22:07:00Z", "Europe/Berlin", 900, "no step of 900 s begins then"),
    ],
)
def test_times_that_are_none_are_refused_with_the_way_out(
    tmp_path: Path, start: str, zone: str, step_s: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        local(tmp_path, start, 10, zone, step_s)


def test_a_start_with_an_offset_is_the_same_moment_in_the_zone(tmp_path: Path) -> None:
    for start in ("2024-10-27T00:00:00", "2024-10-27T00:00:00+02:00", "2024-10-26T22:00:00Z"):
        clock = local(tmp_path, start).config.time.clock
        assert clock.at(0).isoformat() == "2024-10-27T00:00:00+02:00"
