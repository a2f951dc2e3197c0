"""Runs with places and duties: what is recorded of trucks that wait, what verdicts see, what configs may say."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gridferry.networks.faults import InputError
from gridferry.sim import Run, validate
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.results.report import write_report

CASE = """
    name = "stations"
    prices.buy = 100.0
    [time]
    start = 2024-07-15T05:00:00
    step_s = 3600
    steps = 4
    [[networks]]
    name = "dn1"
    feeder = "ieee33"
    [[loads]]
    network = "dn1"
    factor = 0.2
    [[stations]]
    name = "S1"
    network = "dn1"
    bus = "18"
    places = 1
    p_max_mw = 0.3
    [[stations]]
    name = "S2"
    network = "dn1"
    bus = "33"
    [roads]
    distance_km = [[0.0, 10.0], [10.0, 0.0]]
    speed_km_h = 20.0
    [[trucks]]
    name = "T"
    station = "S1"
    energy_mwh = 1.0
    p_max_mw = 0.5
    soc_end = "free"
    shift = ["06:00", "22:00"]
    depot = "S2"
    return_by = "07:00"
    [[trucks]]
    name = "U"
    station = "S1"
    energy_mwh = 1.0
    p_max_mw = 0.5
    soc_end = "free"
    drive_mwh_per_km = 0.02
"""


def config(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the case with other lines, each of which is there once."""
    text = textwrap.dedent(CASE)
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "case.toml"
    path.write_text(text)
    return path


def played(folder: Path, rows: str) -> tuple[Run, VerdictKind]:
    """Play a plan, and return its run."""
    plan = folder / "plan.csv"
    plan.write_text("step,device,p_mw,q_mvar,position\n" + textwrap.dedent(rows).strip() + "\n")
    found = validate(plan, config(folder), out=folder / "run")
    return found.run, found.kind


def test_a_truck_that_waits_is_recorded_and_what_it_was_to_do_is_not_executed(tmp_path: Path) -> None:
    """T has the place and 0.3 of its 0.4 MW; it leaves at 06:00, and U, which waited, charges."""
    run, verdict = played(
        tmp_path,
        """
        0,T,-0.4,0,S1
        0,U,-0.2,0,S1
        1,T,0,0,S2
        1,U,-0.2,0,S1
        2,T,0,0,S2
        2,U,0,0,S2
        3,T,0,0,S2
        3,U,0,0,S2
        """,
    )
    trucks = run.table("trucks").set_index(["step", "device"])
    device = run.table("device").set_index(["step", "device"])
    assert trucks.loc[0, "U"]["phase"] == "waiting"
    assert (device.loc[(0, "U"), "clipped"], device.loc[(0, "T"), "clipped"]) == ("not_plugged", "station")
    assert device.loc[(0, "T"), "p_mw"] == pytest.approx(-0.3)
    assert device.loc[(1, "U"), "p_mw"] == pytest.approx(-0.2)
    assert trucks.loc[(2, "U"), "loss_mwh"] == pytest.approx(0.2)
    assert verdict is VerdictKind.NOT_EXECUTED
    assert run.summary["execution"]["places_violated"] == 0
    page = write_report(run.directory).read_text(encoding="utf-8")
    assert "waiting" in page


def test_a_depot_that_is_not_reached_in_time_is_in_the_verdict(tmp_path: Path) -> None:
    """The trip an hour later ends at 08:00."""
    run, verdict = played(
        tmp_path,
        """
        0,T,0,0,S1
        1,T,0,0,S1
        2,T,0,0,S2
        3,T,0,0,S2
        """,
    )
    assert verdict is VerdictKind.NOT_EXECUTED
    assert run.summary["execution"]["places_violated"] == 1
    assert any("depot" in reason for reason in run.summary["execution"]["reasons"])


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        (("places = 1", "places = 0"), "stations[0].places", "must be at least 1"),
        (("places = 1", "place = 1"), "stations[0].place", "places"),
        (("p_max_mw = 0.3", "p_max_mw = 0"), "stations[0].p_max_mw", "must be above 0"),
        (('"22:00"]', '"25:00"]'), "trucks[0].shift[1]", "25:00"),
        (('"22:00"]', '"06:00"]'), "trucks[0].shift", "begins when it ends"),
        (('depot = "S2"', ""), "trucks[0].depot", "needed with return_by"),
        (('depot = "S2"', 'depot = "S3"'), "trucks[0].depot", "there is S1, S2"),
        (('return_by = "07:00"', "return_by = 7.0"), "trucks[0].return_by", "in quotes"),
        (("drive_mwh_per_km = 0.02", "drive_mwh_per_km = -0.02"), "trucks[1].drive_mwh_per_km", "must be at least 0"),
        (("drive_mwh_per_km = 0.02", "drive_kwh_per_km = 20"), "trucks[1].drive_kwh_per_km", "drive_mwh_per_km"),
        (("drive_mwh_per_km = 0.02", "labour_per_h = [1.0, 2.0]"), "trucks[1].labour_per_h", "24"),
        (("drive_mwh_per_km = 0.02", 'labour = "shift_if_used"'), "trucks[1].labour", "needs a shift"),
    ],
)
def test_what_is_wrong_with_stations_and_duties_is_named(
    tmp_path: Path, change: tuple[str, str], key: str, words: str
) -> None:
    with pytest.raises(InputError) as found:
        build_case(load_config(config(tmp_path, change)))
    assert any(one.key.startswith(key) and words in str(one) for one in found.value.faults), str(found.value)
