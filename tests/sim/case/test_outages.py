"""Outages through the whole loop: from a profile to the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.adapters.devices import DeviceSimulator
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.runner import Run, run
from gridferry.sim.loop.validation import validate

HOURS = 0.25 * np.arange(8)
LINK = [1.0, 1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]
STRINGS = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Two feeders for two hours: the link out, then derated; a battery that loses half its strings; a dead truck."""
    rows = "\n".join(f"{h},{a},{c}" for h, a, c in zip(HOURS, LINK, STRINGS, strict=True))
    (tmp_path / "outages.csv").write_text(f"hour,mvdc1,bess1\n{rows}\n")
    path = tmp_path / "outages.toml"
    path.write_text(
        """
        extends = "two_feeders"
        name = "outages"
        time.steps = 8
        profiles.outages = { file = "outages.csv", time = "hour" }
        [links.mvdc1]
        availability = "outages.mvdc1"
        [batteries.bess1]
        usable_energy_share = "outages.bess1"
        [trucks.T1]
        availability = 0.0
        """
    )
    return path


def requested(path: Path) -> Path:
    """Power over the link, into bess1 and from the truck, which is sent to another station in step 4."""
    lines = ["step,device,p_mw,q_mvar,station"]
    for step in range(8):
        lines += [f"{step},mvdc1-1,-0.8,0.0,", f"{step},mvdc1-2,0.76,0.1,", f"{step},bess1,-0.1,0.0,"]
        lines.append(f"{step},T1,0.2,0.0,{'dn1-east' if step < 4 else 'dn2-south'}")
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(of: Run, device: str, column: str) -> list[object]:
    table = of.table("device").sort_values("step")
    return table.loc[table["device"] == device, column].tolist()


def test_the_record_says_what_was_out_what_was_clipped_and_what_was_lost(case: Path, tmp_path: Path) -> None:
    verdict = validate(requested(tmp_path / "plan.csv"), case, out=tmp_path / "run")
    done = verdict.run
    assert rows(done, "mvdc1-2", "availability") == LINK
    assert rows(done, "bess1", "usable_energy_share") == STRINGS
    link = np.array([rows(done, "mvdc1-1", "p_mw"), rows(done, "mvdc1-2", "p_mw")], dtype=float)
    assert (link[:, 2:4] == 0).all()
    assert (np.abs(link[:, [0, 1, 5, 6, 7]]) > 0.7).all()
    # half of 1 MVA at either end, less the losses where it arrives
    assert link[0, 4] == -0.5
    assert 0.47 < link[1, 4] < 0.5
    clipped = rows(done, "mvdc1-2", "clipped")
    assert clipped[2:4] == ["out_of_service"] * 2
    assert "rating" in str(clipped[4]) or "balance" in str(clipped[4])
    assert [clipped[i] for i in (0, 1, 5, 6, 7)] == [""] * 5
    assert {"out_of_service"} == {one.reasons for one in verdict.shortfalls if one.step == 2}
    # the truck gives nothing, but drives
    assert rows(done, "T1", "p_mw") == [0.0] * 8
    assert rows(done, "T1", "departed") == [False] * 4 + [True] + [False] * 3
    assert set(rows(done, "T1", "clipped")) == {"out_of_service", "in_transit"}
    # half of what bess1 held at the end of step 3 is lost in step 4, beside 2 % of 0.1 MW for a quarter of an hour
    energy = np.array(rows(done, "bess1", "energy_mwh"), dtype=float)
    loss = np.array(rows(done, "bess1", "loss_mwh"), dtype=float)
    converter = 0.25 * 0.02 * 0.1
    assert loss == pytest.approx([converter] * 4 + [energy[3] / 2 + converter] + [converter] * 3, abs=1e-12)
    assert energy[4] == pytest.approx(energy[3] / 2 + 0.25 * 0.1 - converter, abs=1e-12)
    assert energy[6] == pytest.approx(energy[5] + 0.25 * 0.1 - converter, abs=1e-12)
    assert done.summary["fleet"]["soc_min"] == pytest.approx(min(energy.min() / 1.5, 0.5))
    assert done.summary["balance_error_rel_max"] < 1e-8


def test_a_run_resumed_where_usable_energy_falls_equals_the_full_run(case: Path, tmp_path: Path) -> None:
    whole = run(case, controller="rules", out=tmp_path / "whole")
    run(case, controller="rules", steps=4, out=tmp_path / "halves")
    halves = run(case, controller="rules", out=tmp_path / "halves", resume=True)
    for device in ("bess1", "bess2", "T1", "mvdc1-1"):
        for column in ("p_mw", "energy_mwh", "loss_mwh", "usable_energy_share", "clipped"):
            one, other = (np.array(rows(each, device, column)) for each in (whole, halves))
            if one.dtype == float:
                np.testing.assert_array_equal(one, other)
            else:
                assert one.tolist() == other.tolist()
    assert rows(whole, "bess1", "loss_mwh")[4] > 0.1
    assert whole.summary["balance_error_rel_max"] < 1e-8


def test_a_battery_with_reduced_usable_energy_from_the_start_begins_without_a_loss(case: Path, tmp_path: Path) -> None:
    done = run(
        case, controller="idle", steps=1, overrides=["batteries.bess2.usable_energy_share=0.8"], out=tmp_path / "run"
    )
    assert rows(done, "bess2", "energy_start_mwh") == [0.8 * 0.5 * 1.5]
    assert rows(done, "bess2", "loss_mwh") == [0.0]


def test_every_device_has_its_own_series(case: Path) -> None:
    conditions = build_case(load_config(case)).conditions
    ones = [1.0] * 8
    found = {
        (device, key): values.tolist()
        for device, given in conditions.series.items()
        for key, values in given.items()
        if key != "p_mw"
    }
    assert found == {
        ("trucks.T1", "availability"): [0.0] * 8,
        ("trucks.T1", "usable_energy_share"): ones,
        ("batteries.bess1", "availability"): ones,
        ("batteries.bess1", "usable_energy_share"): STRINGS,
        ("batteries.bess2", "availability"): ones,
        ("batteries.bess2", "usable_energy_share"): ones,
        ("links.mvdc1", "availability"): LINK,
    }
    assert build_case(load_config("two_feeders")).conditions.forecast_outage is None


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("batteries.0.availability=1.2", ["batteries[0].availability = 1.2", "[0, 1]", "in service"]),
        ("trucks.T1.availability=-0.5", ["trucks[0].availability = -0.5", "[0, 1]"]),
        ("links.0.availability=2", ["links[0].availability = 2", "[0, 1]"]),
        ("trucks.T1.usable_energy_share=0", ["trucks[0].usable_energy_share = 0", "(0, 1]", "availability = 0"]),
        ("links.0.availability=outages.gone", ['links[0].availability = "outages.gone"', "no such column"]),
        ("forecast.outage=-1", ["forecast.outage = -1", "must not be negative"]),
    ],
)
def test_shares_outside_their_range_are_refused(case: Path, setting: str, expected: list[str]) -> None:
    assert all(part in fault(case, setting) for part in expected)


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        ("50", "mvdc1", ['links[0].availability = "outages.mvdc1"', "outside [0, 1] at line 4", "(50)", "scale"]),
        ("-1", "bess1", ['batteries[0].usable_energy_share = "outages.bess1"', "outside (0, 1] at line 4", "(-1)"]),
        ("", "bess1", ['line 4, column "bess1"', "missing value"]),
    ],
)
def test_shares_outside_their_range_are_refused_by_row(
    case: Path, value: str, column: str, expected: list[str]
) -> None:
    path = case.parent / "outages.csv"
    lines = path.read_text().split("\n")
    cells = lines[3].split(",")
    cells[1 if column == "mvdc1" else 2] = value
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]))
    assert all(part in fault(case) for part in expected)


def fault(case: Path, *settings: str) -> str:
    with pytest.raises(InputError) as caught:
        build_case(load_config(case, settings))
    (only,) = caught.value.faults
    return str(only)


def test_percent_and_shares_of_a_step_make_fractions(case: Path) -> None:
    # five minutes out of fifteen; a sum of three thirds must not come out above 1
    minutes = "\n".join(f"{i / 12},{0 if i == 3 else 100}" for i in range(24))
    (case.parent / "fine.csv").write_text(f"hour,percent\n{minutes}\n")
    settings = (
        "profiles.fine={file='fine.csv', time='hour'}",
        "batteries.bess2.availability={column='fine.percent', scale=0.01}",
    )
    availability = build_case(load_config(case, settings)).conditions.series["batteries.bess2"]["availability"]
    assert availability == pytest.approx([1.0, 2 / 3, *[1.0] * 6], abs=1e-12)
    assert availability.max() <= 1.0


def test_no_forecast_arrives_where_the_config_says_so(case: Path) -> None:
    forecaster = build_case(load_config(case, ["forecast.outage=1"])).forecaster
    assert np.isnan(forecaster.at(3).load_p_mw).all()
    reported = build_case(load_config(case, ["forecast.outage=1", "forecast.foresight=true"])).forecaster.at(3)
    assert np.isfinite(reported.load_p_mw).all()


def test_in_a_scenario_that_connects_no_outages_all_devices_are_in_service(case: Path) -> None:
    simulator = DeviceSimulator()
    built = build_case(load_config(case))
    simulator.init("Devices-0", case=built)
    (made,) = simulator.create(1, "Devices")
    around = {"congestion": {"Roads-0": [0.0] * 6}}
    ports = [one["extra_info"]["name"] for one in made["children"] if one["type"] == "Port"]
    assert ports[:6] == ["T1", "bess1", "bess2", "mvdc1-1", "mvdc1-2", "dn1-pv1"]
    suns = [one.key for one in built.plant.devices if "p_mw" in one.series]
    given = dict(zip(suns, [0.3, *[0.1] * 7], strict=True))
    asked_of = {"Port-4": {"P_set[MW]": {"S-0": 0.5}}, "Port-0": {"P_set[MW]": {"S-1": 0.1}}}
    simulator.step(0, {made["eid"]: around, **asked_of}, 0)
    wanted = {
        "Port-4": ["P[MW]"],
        "Port-0": ["P[MW]"],
        "Port-5": ["P[MW]"],
        "Devices-0": ["state"],
        "Device-1": ["E[MWh]"],
    }
    done = simulator.get_data(wanted)
    assert [done[f"Port-{i}"]["P[MW]"] for i in (4, 0, 5)] == [0.5, 0.1, 0.0]
    assert [done["Devices-0"]["state"][one]["usable_energy_share"] for one in ("trucks.T1", "batteries.bess1")] == [
        1.0,
        1.0,
    ]
    out = {"links.mvdc1": {"availability": 0.0}, "batteries.bess1": {"usable_energy_share": 0.5}}
    series = out | {device: {"p_mw": p_mw} for device, p_mw in given.items()}
    simulator.step(900, {made["eid"]: around | {"series": {"X-0": series}}, **asked_of}, 0)
    done = simulator.get_data(
        {"Port-3": ["P[MW]"], **wanted, "Feed-0": ["P[MW]"], "Feed-1": ["P[MW]"], "Position-0": ["position"]}
    )
    assert done["Port-3"]["P[MW]"] == 0.0
    assert done["Device-1"]["E[MWh]"] == 0.5 * 0.75
    assert done["Port-5"]["P[MW]"] == 0.3
    # all generators and the truck, wherever they are
    assert sum(done["Feed-0"]["P[MW]"] + done["Feed-1"]["P[MW]"]) == pytest.approx(sum(given.values()) + 0.1)
    assert done["Position-0"]["position"] == done["Devices-0"]["state"]["trucks.T1"]["station"]
    for device, key, wrong in (
        ("batteries.bess9", "availability", 1.0),
        ("batteries.bess1", "speed", 1.0),
        ("links.mvdc1", "availability", float("nan")),
        ("links.mvdc1", "availability", 1.5),
        ("batteries.bess1", "usable_energy_share", 0.0),
        ("generators.dn1-pv1", "p_mw", -0.1),
    ):
        with pytest.raises(ValueError, match=f"{device}.{key}"):
            simulator.step(1800, {made["eid"]: around | {"series": {"X-0": {device: {key: wrong}}}}}, 0)
