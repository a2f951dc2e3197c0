"""plan.csv: what is written reads back exactly, what is left out idles, what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plugins.capacitor_bank import CapacitorBank

from gridferry.controllers.conformance.sample_plants import no_devices, three_bus, two_feeders
from gridferry.controllers.plans.plan_file import PLAN_HEADER, PlannedSchedule, write_plan
from gridferry.controllers.plans.plan_reader import read_plan
from gridferry.controllers.plans.plan_times import RunTimes
from gridferry.networks.faults import InputError

START = datetime(2024, 7, 15, 6)
HEADER = "step,device,p_mw,q_mvar,position\n"
"""of a file without times"""
PLANT = two_feeders().plant  # T1 (stations S1, S2, S4), B1, B2, L1-1, L1-2; 120 steps


def ports(values: np.ndarray) -> np.ndarray:
    """Columns of all ports, those that follow a profile at rest."""
    return np.pad(values, ((0, 0), (0, PLANT.n_port - 5)))


def read(tmp_path: Path, rows: str, header: str = HEADER) -> PlannedSchedule:
    path = tmp_path / "plan.csv"
    path.write_text(header + rows, encoding="utf-8")
    return read_plan(path, PLANT)


def faults(tmp_path: Path, rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(InputError) as raised:
        read(tmp_path, rows, header)
    return [f"{fault.key}: {fault.message}" for fault in raised.value.faults]


@settings(max_examples=15, deadline=None)
@given(
    p=hnp.arrays(np.float64, (PLANT.steps, 5), elements=st.floats(allow_nan=False, allow_infinity=False)),
    q=hnp.arrays(np.float64, (PLANT.steps, 5), elements=st.floats(-1e-300, 1e300)),
    where=hnp.arrays(np.int64, (PLANT.steps, 1), elements=st.sampled_from([0, 1, 3])),
)
def test_a_written_plan_reads_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, p: np.ndarray, q: np.ndarray, where: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.csv"
    p, q = ports(p), ports(q)
    write_plan(path, PLANT, PlannedSchedule(p, q, where, np.ones_like(where, dtype=bool)), START)
    back = read_plan(path, PLANT, START)
    assert not back.without_row
    assert back.p_mw.tobytes() == p.tobytes()
    assert back.q_mvar.tobytes() == q.tobytes()
    assert np.array_equal(back.position, where)


def test_a_written_plan_has_names_times_and_an_empty_position_for_what_has_none(tmp_path: Path) -> None:
    p = ports(np.full((120, 5), 0.1))
    write_plan(
        tmp_path / "plan.csv", PLANT, PlannedSchedule(p, p, np.full((120, 1), 3), np.ones((120, 1), dtype=bool)), START
    )
    lines = (tmp_path / "plan.csv").read_text().splitlines()
    assert [PLAN_HEADER.strip(), *lines[1 + 7 * 5 :][:5]] == [
        "step,device,p_mw,q_mvar,position,time,step_s",
        "7,T1,0.1,0.1,S4,2024-07-15T07:45:00,900",
        "7,B1,0.1,0.1,,2024-07-15T07:45:00,900",
        "7,B2,0.1,0.1,,2024-07-15T07:45:00,900",
        "7,L1-1,0.1,0.1,,2024-07-15T07:45:00,900",
        "7,L1-2,0.1,0.1,,2024-07-15T07:45:00,900",
    ]


@pytest.mark.parametrize("rows", ["3,T1,0.5,0.1,S4\n4,B2,-0.2,0,\n5,T1,-0.5,0,\n", ""])
def test_the_old_name_of_the_position_gives_the_same_schedule(tmp_path: Path, rows: str) -> None:
    new, old = read(tmp_path, rows), read(tmp_path, rows, "step,device,p_mw,q_mvar,station\n")
    for one, other in ((new.p_mw, old.p_mw), (new.q_mvar, old.q_mvar), (new.position, old.position)):
        assert np.array_equal(one, other)


def test_faults_name_the_column_as_the_file_does_and_both_names_are_one_too_many(tmp_path: Path) -> None:
    (text,) = faults(tmp_path, "1,T1,0,0,S9\n", "step,device,p_mw,q_mvar,station\n")
    assert text.startswith("line 2, station: ")
    (text,) = faults(tmp_path, "", "step,device,p_mw,q_mvar,position,station\n")
    assert text == 'line 1, position: named twice in the header, "station" being its old name; keep one'


def test_a_port_that_follows_a_position_shares_its_row_and_any_kinds_labels_are_read(tmp_path: Path) -> None:
    bank = CapacitorBank("C1", bus=2, capacitors=3, q_each_mvar=0.3, loss_each_mw=0.003, cost_per_switching=5.0)
    plant = replace(PLANT, devices=(*PLANT.devices, bank))
    path = tmp_path / "plan.csv"
    path.write_text(HEADER + "7,T1,0.1,0,S4\n7,C1,0.1,0.0,2\n9,C1,0,0,1\n")
    back = read_plan(path, plant)
    assert back.p_mw.shape == (120, plant.n_port)
    assert back.position[[0, 7, 8, 9, 119]].tolist() == [[1, 0], [3, 2], [3, 2], [3, 1], [3, 1]]
    path.write_text(HEADER + "9,C1,0,0,4\n")
    with pytest.raises(InputError, match='no such position of "C1"; there is 0, 1, 2, 3'):
        read_plan(path, plant)


def test_what_is_left_out_idles_and_a_truck_stays_where_it_was_last_sent(tmp_path: Path) -> None:
    schedule = read(tmp_path, "3,T1,0.5,0.1,S4\n4,B2,-0.2,0,\n5,T1,-0.5,0,\n6,T1,0,0,S1\n")
    expected = np.zeros((120, PLANT.n_port))
    expected[3, 0], expected[4, 2], expected[5, 0] = 0.5, -0.2, -0.5
    assert np.array_equal(schedule.p_mw, expected)
    assert schedule.q_mvar[3, 0] == 0.1
    # it starts at S2 (1), is sent to S4 (3) at step 3 and to S1 (0) at step 6
    assert schedule.position[:, 0].tolist() == [1] * 3 + [3] * 3 + [0] * 114


def test_rows_in_any_order_and_further_columns_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    header = "\ufeffstation, p_mw ,q_mvar,device,step,note\n"
    schedule = read(tmp_path, ",1.5,0,B1,2,x\nS1,0.5,0,T1, 1 ,\n\n", header)
    assert schedule.p_mw[2, 1] == 1.5
    assert schedule.position[:2, 0].tolist() == [1, 0]


def test_a_plant_without_devices_has_an_empty_plan(tmp_path: Path) -> None:
    plant = no_devices().plant
    path = tmp_path / "plan.csv"
    path.write_text(HEADER)
    assert read_plan(path, plant).p_mw.shape == (24, 0)


@pytest.mark.parametrize(
    ("row", "key", "says"),
    [
        ("1,L1_2,0,0,", "line 2, device", 'there is T1, B1, B2, L1-1, L1-2 (did you mean "L1-2"?)'),
        ("1,T1,0,0,S9", "line 2, position", '"S9": no such position of "T1"; there is S1, S2, S4'),
        ("1,T1,0,0,S42", "line 2, position", 'there is S1, S2, S4 (did you mean "S4"?)'),
        ("1,T1,0,0,S3", "line 2, position", '"S3": no such position of "T1"; there is S1, S2, S4'),
        ("1,B1,0,0,S1", "line 2, position", '"S1": "B1" has no position; leave the cell empty'),
        ("1,B1,lots,0,", "line 2, p_mw", '"lots" is no finite number'),
        ("1,B1,nan,0,", "line 2, p_mw", '"nan" is no finite number'),
        ("1,B1,0,-inf,", "line 2, q_mvar", '"-inf" is no finite number'),
        ("1,B1,0,,", "line 2, q_mvar", '"" is no finite number; write 0'),
        ("-1,B1,0,0,", "line 2, step", "-1 lies outside the run, whose steps are 0 to 119"),
        ("120,B1,0,0,", "line 2, step", "120 lies outside the run"),
        ("1.5,B1,0,0,", "line 2, step", '"1.5" is no whole number'),
        ("nan,B1,0,0,", "line 2, step", '"nan" is no whole number'),
        ("1_0,B1,0,0,", "line 2, step", '"1_0" is no whole number'),
        ("1,B1,0,0,,x", "line 2", "has 6 cells, the header 5"),
        ("1,B1,0,0,\n1,B1,2,0,", "line 3, step", '1: device "B1" has this step in line 2 already'),
    ],
)
def test_a_fault_names_line_column_value_and_way_out(tmp_path: Path, row: str, key: str, says: str) -> None:
    found = faults(tmp_path, row + "\n")
    assert len(found) == 1
    assert found[0].startswith(f"{key}: ")
    assert says in found[0]


def test_all_faults_of_a_file_come_together(tmp_path: Path) -> None:
    found = faults(tmp_path, "0,B1,x,0,\n0,B9,1,0,\n999,B2,0,y,\n")
    assert [one.split(": ")[0] for one in found] == [
        "line 2, p_mw",
        "line 3, device",
        "line 4, step",
        "line 4, q_mvar",
    ]


def test_a_hopeless_file_is_cut_short(tmp_path: Path) -> None:
    found = faults(tmp_path, "".join(f"{step},B1,?{step},0,\n" for step in range(100)))
    assert len(found) == 51
    assert "50 more faults" in found[-1]


def test_missing_columns_are_named_with_the_most_similar_one(tmp_path: Path) -> None:
    found = faults(tmp_path, "", "step,device,p_mW,q_mvar\n")
    assert [one.split(": ")[0] for one in found] == ["line 1, p_mw", "line 1, position"]
    assert 'did you mean "p_mW"' in found[0]
    assert len(faults(tmp_path, "", "")) == 4


def test_a_missing_file_and_a_binary_one_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_plan(tmp_path / "nowhere.csv", PLANT)
    (tmp_path / "binary.csv").write_bytes(b"\x00\x81\xff")
    with pytest.raises(InputError, match="UTF-8"):
        read_plan(tmp_path / "binary.csv", PLANT)
    with pytest.raises(InputError):
        read_plan(tmp_path, three_bus().plant)


def test_times_count_by_the_clock_of_a_zone_also_where_it_changes() -> None:
    run = RunTimes(start=datetime(2024, 10, 27, tzinfo=ZoneInfo("Europe/Berlin")), step_s=900, steps=100)
    times = [run.begin(step) for step in range(100)]
    assert [run.seconds(one) for one in times] == [900.0 * step for step in range(100)]
    assert [one.isoformat() for one in (times[8], times[12], times[99])] == [
        "2024-10-27T02:00:00+02:00",
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T23:45:00+01:00",
    ]
    # without an offset a time is by the clock of the run; with another one it is the same moment
    assert run.seconds(datetime(2024, 10, 27, 12)) == 13 * 3600.0
    assert run.seconds(datetime(2024, 10, 27, 11, tzinfo=UTC)) == 13 * 3600.0
    plain = RunTimes(start=datetime(2024, 10, 27), step_s=900, steps=96)
    assert plain.seconds(datetime(2024, 10, 27, 12, tzinfo=UTC)) == 12 * 3600.0
