"""Links and batteries under forecast errors: costs, margins, reliability at the corner, errors that say the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.joint_trade import nothing_due
from cases.parts import of_kind, seen_as, storages, with_devices
from cases.strained import ERRORS, strained
from gridferry.controllers.conformance.sample_plants import read_only
from gridferry.controllers.conformance.suite import assert_conforms
from gridferry.controllers.contract import ControllerError, Forecast, NoteKind, Observation, Plan, Plant, Status
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.schedule.grid_limits import slack_buses
from gridferry.controllers.settings import read_settings
from gridferry.controllers.solve import InfeasibleError
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import operating_point
from gridferry.networks.faults import InputError


def controller(plant: Plant, **settings: Any) -> MvdcDrcc:
    options = {"errors": ERRORS} | settings
    return MvdcDrcc(plant, read_settings(MvdcDrcc.Settings, options, "test", "controller"))


def planned(given: tuple[Plant, Observation, Forecast], **settings: Any) -> Plan:
    plant, observation, forecast = given
    return controller(plant, **settings).plan(observation, forecast)


def injections(plant: Plant, forecast: Forecast, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    p, q = device_injections(plant, forecast, plan.p_mw, plan.q_mvar)
    return p - forecast.net_load_mw(plant), q - forecast.load_q_mvar


@pytest.mark.parametrize(
    "scenario",
    [
        "none",
        "deterministic",
        pytest.param("robust", marks=pytest.mark.slow),
        pytest.param("drcc", marks=pytest.mark.slow),
    ],
)
def test_it_keeps_what_every_controller_promises(scenario: str) -> None:
    joint = {"joint_confidence": 0.5, "joint_days": 20} if scenario == "drcc" else {}
    assert_conforms(MvdcDrcc, {"scenario": scenario, **joint}, steps=2)


def test_more_caution_costs_more() -> None:
    given = strained()
    chain = [
        planned(given, scenario="deterministic"),
        planned(given, confidence=0.8, radius=0.001),
        planned(given, confidence=0.9, radius=0.001),
        planned(given, confidence=0.9, radius=0.01),
        planned(given, scenario="robust"),
        planned(given, scenario="none"),
    ]
    costs = [plan.solver.objective for plan in chain]
    assert costs == sorted(costs)
    assert costs[0] < costs[1] - 1e-4 < costs[2] - 2e-4 < costs[3] - 3e-4 < costs[4] - 4e-4


def test_a_plans_voltages_are_those_of_the_ac_power_flow() -> None:
    plant, _, forecast = given = strained()
    plan = planned(given)
    assert plan.solver.status is Status.OPTIMAL
    assert plan.solver.cone_gap < 1e-6
    v = operating_point(plant, *injections(plant, forecast, plan))
    assert plan.prediction is not None
    assert plan.prediction.v_pu == pytest.approx(np.abs(v), abs=1e-6)


@pytest.mark.parametrize("scenario", ["robust", "drcc"])
def test_voltages_at_the_plan_keep_the_margins_of_the_plan_itself(scenario: str) -> None:
    plant, _, forecast = given = strained()
    plan = planned(given, scenario=scenario)
    serving = controller(plant, scenario=scenario)
    margins = serving._margins_at(forecast, serving.margins.ambiguity(6, forecast), plan.p_mw, plan.q_mvar)
    assert plan.prediction is not None
    v = plan.prediction.v_pu[:, 1:4]
    assert (v >= 0.996 + margins.lower[:, 1:4] - 2e-5).all()
    assert (v[:, -1] - 0.996 - margins.lower[:, 3]).min() < 1e-3


def test_a_robust_plan_holds_in_ac_at_the_worst_errors_of_the_box() -> None:
    plant, _, forecast = given = strained()
    sources, _ = plant_errors(plant, ErrorSettings(**ERRORS))
    p_per, q_per = sources.injections(forecast)
    worst = np.where([name.startswith("load") for name in sources.sources], 0.24, -0.6)
    lowest = {}
    for secant in (True, False):
        p, q = injections(plant, forecast, planned(given, scenario="robust", secant=secant))
        lowest[secant] = np.abs(operating_point(plant, p + p_per @ worst, q + q_per @ worst)).min()
    assert lowest[True] >= 0.996 - 2e-6
    # the tangent alone leaves a gap
    assert lowest[False] < 0.996 - 2e-6


def test_a_plan_that_cannot_exist_names_the_tightest_bus_and_step_and_by_how_much() -> None:
    plant, observation, forecast = nothing_due(strained(v_min=1.006))
    with pytest.raises(
        InfeasibleError, match=r"tightest is bus \d of network [12] \(dn[12]\) at step \d+.* below"
    ) as caught:
        controller(plant, scenario="deterministic").plan(observation, forecast)
    words = str(caught.value)
    by = float(words.split("stays ")[1].split(" pu")[0])
    for widened, possible in ((by + 1e-5, True), (by - 1e-4, False)):
        other = replace(plant, feeders=tuple(one.with_limits(1.006 - widened, 1.05) for one in plant.feeders))
        serving = controller(other, scenario="deterministic")
        if possible:
            assert serving.plan(observation, forecast).solver.status is Status.OPTIMAL
        else:
            with pytest.raises(InfeasibleError):
                serving.plan(observation, forecast)


def test_limits_violated_on_request_are_violated_at_the_minimum_and_reported() -> None:
    case = nothing_due(strained(v_min=1.006))
    plan = planned(case, scenario="deterministic", on_infeasible="relax")
    assert plan.solver.status is Status.FEASIBLE
    (violated,) = plan.solver.violations
    assert violated.kind is NoteKind.VIOLATED_V_LOW
    assert violated.place.startswith("bus ")
    v_pu = plan.prediction.v_pu[:, ~slack_buses(case[0])]
    assert v_pu.min() == pytest.approx(1.006 - violated.value, abs=1e-9)


def test_margins_wider_than_the_band_are_an_error_too() -> None:
    with pytest.raises(InfeasibleError, match="margin of"):
        planned(strained(v_min=0.998, v_max=1.0005), scenario="robust")


def test_a_battery_that_cannot_be_full_again_is_named() -> None:
    plant, observation, forecast = strained(v_min=0.9, steps=1)
    empty = read_only(seen_as(plant, observation, energy_mwh=np.array([0.1, 0.0])))
    store = replace(of_kind(plant, "batteries")[0].storage, soc_end_min=0.9)
    full = with_devices(
        plant, batteries=(replace(of_kind(plant, "batteries")[0], storage=store), of_kind(plant, "batteries")[1])
    )
    with pytest.raises(InfeasibleError, match="battery B1 falls short of the energy due"):
        controller(full, scenario="deterministic").plan(empty, forecast)


def test_a_step_keeps_its_samples_while_the_horizon_recedes() -> None:
    plant, _, forecast = strained()
    serving = controller(plant)
    now, later = serving.margins.ambiguity(6, forecast), serving.margins.ambiguity(8, forecast)
    assert (now.samples[:, 2:] == later.samples[:, :-2]).all()


def test_samples_that_come_with_the_forecast_are_used() -> None:
    plant, observation, forecast = strained()
    serving = controller(plant)
    calm = read_only(replace(forecast, error_samples=np.zeros((3, 8, 4)), error_support=np.zeros((2, 8, 4))))
    deterministic = controller(plant, scenario="deterministic").plan(observation, forecast)
    assert serving.plan(observation, calm).solver.objective == pytest.approx(deterministic.solver.objective, abs=1e-5)
    wrong = read_only(replace(forecast, error_samples=np.zeros((3, 8, 2))))
    with pytest.raises(ControllerError, match="4 sources is needed: load:1, load:2, pv:1, wind:2"):
        serving.plan(observation, wrong)


def test_waste_that_pays_opens_no_cone_unnoticed() -> None:
    plant, observation, forecast = strained(v_min=0.9)
    price = forecast.buy_price.copy()
    price[2:5] = -60.0
    plan = controller(plant, scenario="deterministic").plan(observation, read_only(replace(forecast, buy_price=price)))
    assert plan.solver.cone_gap < 1e-5
    v = operating_point(plant, *injections(plant, forecast, plan))
    assert plan.prediction is not None
    assert plan.prediction.v_pu == pytest.approx(np.abs(v), abs=1e-5)


def test_batteries_lose_what_they_lose_where_dumping_pays_less_later_than_charging_now() -> None:
    plant, observation, forecast = strained(v_min=0.9)
    lossy = [
        replace(one, storage=replace(one.storage, loss_coefficient=0.02, eta_charge=1.0, eta_discharge=1.0))
        for one in of_kind(plant, "batteries")
    ]
    plant = with_devices(plant, batteries=tuple(lossy))
    price = -np.where(np.arange(forecast.steps) % 4 == 3, 5.0, 60.0)
    plan = planned((plant, observation, replace(forecast, buy_price=price)), scenario="deterministic")
    assert plan.solver.cone_gap < 1e-5
    assert plan.prediction is not None
    for index, store in enumerate(storages(plant)):
        p, q = plan.p_mw[:, index], plan.q_mvar[:, index]
        energy = observation.energy_mwh[index] - plant.step_h * np.cumsum(p + 0.02 * np.hypot(p, q))
        assert energy.max() <= store.soc_max * store.energy_mwh + 1e-5


def test_a_branch_that_cannot_carry_the_load_is_named_with_its_overload() -> None:
    plant, observation, forecast = strained(v_min=0.9)
    tight = tuple(replace(feeder, i_max_pu=np.full(3, 0.05)) for feeder in plant.feeders)
    with pytest.raises(InfeasibleError, match=r"branch \S+ of network [12] \(dn[12]\) at step \d+: its current is \d"):
        controller(replace(plant, feeders=tight), scenario="deterministic").plan(observation, forecast)


def test_errors_come_from_a_file_with_a_column_for_every_source(tmp_path: Path) -> None:
    plant, observation, forecast = strained()
    rows = np.tile(np.linspace(-0.1, 0.1, 24)[:, None], (4, 4))
    file = tmp_path / "errors.csv"
    np.savetxt(file, rows, delimiter=",", header="a,b,c,d", comments="")
    errors = {"file": str(file), "columns": ["a", "b", "c", "d"]}
    serving = controller(plant, errors=errors)
    assert serving.margins.ambiguity(6, forecast).samples[0, 0] == pytest.approx(rows[plant.step_of_day(6)])
    assert serving.plan(observation, forecast).solver.status is Status.OPTIMAL
    with pytest.raises(InputError, match=r"errors.columns: 2 columns for 4 sources; .* load:1, load:2, pv:1, wind:2"):
        controller(plant, errors=errors | {"columns": ["a", "b"]})
