"""Plans as people write them: by step or time, long or wide, through spreadsheets, in kW; and what their faults say."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.controllers.conformance.sample_plants import two_feeders
from gridferry.controllers.plans.plan_file import PlannedSchedule, write_plan
from gridferry.controllers.plans.plan_reader import PowerUnit, read_plan
from gridferry.networks.faults import InputError
from gridferry.sim.commands.validate import validate_command

START = datetime(2024, 7, 15, 6)
PLANT = two_feeders().plant  # T1 (stations S1, S2, S4), B1, B2, L1-1, L1-2; 120 steps of 900 s
B1 = 1


def read(
    folder: Path, text: str, start: datetime = START, hold: bool = False, unit: PowerUnit = "MW"
) -> PlannedSchedule:
    (folder / "plan.csv").write_text(text, encoding="utf-8")
    return read_plan(folder / "plan.csv", PLANT, start, hold=hold, unit=unit)


def faults(folder: Path, text: str, start: datetime = START) -> list[str]:
    with pytest.raises(InputError) as raised:
        read(folder, text, start)
    return [f"{fault.key}: {fault.message}" for fault in raised.value.faults]


def test_a_plan_by_time_is_that_by_step_and_needs_no_q(tmp_path: Path) -> None:
    by_time = "time,device,p_mw,position\n2024-07-15T06:15,B1,0.5,\n2024-07-15T06:30:00,T1,0,S4\n"
    by_step = "step,device,p_mw,q_mvar,position\n1,B1,0.5,0,\n2,T1,0,0,S4\n"
    one, other = read(tmp_path, by_time), read(tmp_path, by_step)
    assert np.array_equal(one.p_mw, other.p_mw)
    assert np.array_equal(one.position, other.position)
    assert one.p_mw[1, B1] == 0.5
    assert "no step of 900 s begins then" in faults(tmp_path, by_time.replace("06:15", "06:20"))[0]
    assert "lies outside the run" in faults(tmp_path, by_time.replace("06:15", "05:00"))[0]


def test_hours_by_time_are_held_on_request_only(tmp_path: Path) -> None:
    text = "time,device,p_mw,position\n" + "".join(f"2024-07-15T{6 + i:02d}:00,B1,{i}.5,\n" for i in range(12))
    assert "--hold" in faults(tmp_path, text)[0]
    assert read(tmp_path, text, hold=True).p_mw[:9, B1].tolist() == [0.5] * 4 + [1.5] * 4 + [2.5]


@pytest.mark.parametrize("index", ["step", "time"])
def test_a_wide_plan_has_a_column_for_each_device(tmp_path: Path, index: str) -> None:
    first = ["3", "4"] if index == "step" else ["2024-07-15T06:45", "2024-07-15T07:00"]
    text = f"{index},B1,T1,T1.position,B1.q_mvar\n{first[0]},0.25,,S4,0.125\n{first[1]},,-0.5,,\n"
    found = read(tmp_path, text)
    assert found.p_mw[3:5, [B1, 0]].tolist() == [[0.25, 0], [0, -0.5]]
    assert found.q_mvar[3:5, B1].tolist() == [0.125, 0]
    assert found.position[3, 0] == 3  # S4
    (fault,) = faults(tmp_path, text.replace("B1,", "B11,", 1).replace("B1.q", "T1.q"))
    assert fault.startswith("line 1, B11: no such device")
    assert 'did you mean "B1"' in fault


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=120, max_size=120),
    separator=st.sampled_from([",", ";", "\t"]),
    comma=st.booleans(),
    stamp=st.sampled_from(["%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M"]),
    dropped=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_our_own_plan_survives_a_spreadsheet(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    separator: str,
    comma: bool,
    stamp: str,
    dropped: bool,
    encoding: str,
) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.csv"
    p = np.zeros((120, PLANT.n_port))
    p[:, B1] = values
    where = np.ones((120, 1), dtype=np.int64)
    write_plan(path, PLANT, PlannedSchedule(p, p.copy(), where, where > 0), START)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows[1:]:
        row[2:4] = [one.replace(".", ",") if comma else one for one in row[2:4]]
        row[2:4] = [f'"{one}"' if separator in one else one for one in row[2:4]]
        row[5] = datetime.fromisoformat(row[5]).strftime(stamp)
    if dropped:  # a spreadsheet writes no empty cells at the end of rows
        rows = [[*row[:4], *row[5:], row[4]] for row in rows]
        rows = [row[:-1] if row[-1] == "" else row for row in rows]
    text = "".join(separator.join(row) + "\r\n" for row in rows) + separator * 6 + "\r\n"
    path.write_bytes(text.encode(encoding))
    back = read_plan(path, PLANT, START)
    assert back.p_mw.tolist() == p.tolist()
    assert back.q_mvar.tolist() == p.tolist()
    assert not back.without_row


def test_local_times_of_the_night_when_clocks_go_back_are_steps_by_their_order(tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2024, 10, 27, tzinfo=berlin)
    moments = [(start.astimezone(ZoneInfo("UTC")) + timedelta(minutes=15 * i)).astimezone(berlin) for i in range(100)]
    text = "time,device,p_mw,position\n" + "".join(f"{one:%Y-%m-%d %H:%M},B1,{i},\n" for i, one in enumerate(moments))
    assert read(tmp_path, text, start).p_mw[:100, B1].tolist() == list(range(100))


def test_powers_in_kw_are_read_by_option_or_by_their_heading(tmp_path: Path) -> None:
    text = "step,device,p_mw,position\n3,B1,250,\n"
    assert read(tmp_path, text, unit="kW").p_mw[3, B1] == 0.25
    assert read(tmp_path, text.replace("p_mw", "p_kw")).p_mw[3, B1] == 0.25
    assert read(tmp_path, "step,B1.p_kw\n3,250\n").p_mw[3, B1] == 0.25


def test_a_wrong_name_in_every_row_is_one_fault(tmp_path: Path) -> None:
    rows = "".join(f"{step},B9,0.1,0,\n" for step in range(52))
    (fault,) = faults(tmp_path, "step,device,p_mw,q_mvar,position\n" + rows)
    assert fault.startswith('line 2, device: "B9": no such device')
    assert fault.endswith("(and in 51 more lines)")


@pytest.mark.parametrize("timed", [False, True])
def test_a_plan_numbered_from_1_is_refused_with_the_hint(tmp_path: Path, timed: bool) -> None:
    last = 20 if timed else 120
    times = [f",{START + timedelta(minutes=15 * i):%Y-%m-%dT%H:%M}" if timed else "" for i in range(last)]
    text = f"step,device,p_mw,position{',time' if timed else ''}\n"
    text += "".join(f"{step + 1},B1,0.1,{times[step]}\n" for step in range(last))
    (fault,) = faults(tmp_path, text)
    assert fault == f"line 2, step: its steps are numbered 1 to {last}; they count from 0, so subtract 1 from each"


def test_a_plan_without_trucks_needs_no_column_of_positions(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_text(  # as a spreadsheet saved it: from row 17 on without the last comma
        "step,device,p_mw,q_mvar,station\n" + "".join(f"{i},B1,0.1,0{',' if i < 16 else ''}\n" for i in range(24))
    )
    (tmp_path / "short.csv").write_text("step,device,p_mw\n" + "".join(f"{i},B1,100\n" for i in range(24)))
    config = tmp_path / "battery.toml"
    config.write_text(
        """
name = "battery"
controller.use = "idle"
[time]
start = 2024-07-15T00:00:00
step_s = 3600
steps = 24
[[networks]]
name = "dn1"
feeder = "three_bus"
[[batteries]]
name = "B1"
network = "dn1"
bus = "3"
p_max_mw = 0.5
energy_mwh = 5.0
soc_initial = 0.9
soc_end = 0.42
"""
    )
    for name, unit in (("excel", "MW"), ("short", "kW")):
        plan = tmp_path / f"{name}.csv"
        assert validate_command(plan, str(config), [], None, False, False, tmp_path / name, False, True, unit=unit) == 0
    assert (tmp_path / "excel" / "plan.csv").read_text() == (tmp_path / "short" / "plan.csv").read_text()
