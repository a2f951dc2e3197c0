"""What is dispatched where there is no forecast, or the controller has no plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.one_line import LOAD, Deaf, Stubborn, decide, flat, line, powers, voltage
from gridferry.controllers.conformance.sample_plants import look_ahead, three_bus
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    Forecast,
    Observation,
    Plan,
    Plant,
)
from gridferry.controllers.devices import Port
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerStoppedError, Fallback, dispatch_faults


class Failing(Controller):
    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        raise ControllerError("no plan today")


@pytest.mark.parametrize(
    ("name", "width"),
    [("load_p_mw", 2), ("buy_price", 0), ("availability", 3), ("usable_energy_share", 1), ("load_q_mvar", 2)],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_forecast_that_is_not_finite_never_reaches_the_controller(name: str, width: int, bad: float) -> None:
    plant = line()
    broken = flat(plant, **{name: np.full((4, width) if width else 4, bad)})
    dispatch = decide(Stubborn, plant, broken, allowed=3)
    assert dispatch.fallback == Fallback.IDLE
    assert dispatch.failure.startswith(f"step 0: the forecast is not finite: {name}")
    assert not dispatch.plan.p_mw.any()
    prediction = dispatch.plan.prediction
    assert prediction is not None
    checked = not name.startswith(("load", "availability", "usable_energy_share"))
    assert np.isfinite(prediction.v_pu).all() == checked
    assert np.isfinite(dispatch.ac_excess_pu) == checked
    assert np.isfinite(prediction.cost).all() == (checked and name != "buy_price")
    with pytest.raises(ControllerStoppedError, match="the forecast is not finite"):
        decide(Stubborn, plant, broken, on_failure=OnFailure.STOP)


def test_without_a_forecast_the_previous_plan_is_continued_as_far_as_devices_can() -> None:
    plant = line()
    nothing = flat(plant, load_p_mw=np.full((4, 2), np.nan), availability=np.full((4, 3), np.nan))
    dispatch = decide(Stubborn, plant, nothing, previous_plan=powers(plant, 0.0, -1.0), energy_mwh=np.array([8.5]))
    assert dispatch.fallback == Fallback.PREVIOUS_PLAN
    assert dispatch.plan.p_mw[0, 0] == pytest.approx(-0.5)  # to 90 % of 10 MWh


def test_a_previous_plan_that_would_break_limits_gives_way_to_idling() -> None:
    plant = line()
    dispatch = decide(Failing, plant, previous_plan=powers(plant, 0.0, -1.0))
    assert (dispatch.fallback, dispatch.ac_excess_pu) == (Fallback.IDLE, 0.0)
    assert not dispatch.plan.p_mw.any()
    where = f"no plan today ({__file__}, line "
    assert where in dispatch.failure
    assert "; the previous plan breaks limits by up to 0.00542 pu" in dispatch.failure
    kept = decide(Failing, plant, previous_plan=powers(plant, 0.0, -0.4))
    assert (kept.fallback, kept.plan.p_mw[0, 0]) == (Fallback.PREVIOUS_PLAN, -0.4)
    assert kept.failure.startswith(f"step 0: ControllerError: {where}")


def test_a_previous_plan_that_violates_limits_less_than_idling_is_continued() -> None:
    plant = line(v_min_pu=0.995)
    dispatch = decide(Failing, plant, previous_plan=powers(plant, 0.0, 0.25))
    assert dispatch.fallback == Fallback.PREVIOUS_PLAN
    assert dispatch.ac_excess_pu == pytest.approx(0.995 - voltage(LOAD - 0.25), rel=1e-6)


@pytest.mark.parametrize(
    ("availability", "usable_energy_share", "energy_mwh", "given_mw"),
    [
        (1.0, 1.0, 5.0, 2.5),
        (0.5, 1.0, 5.0, 1.5),  # of 3 MW
        (0.0, 1.0, 5.0, 0.0),
        (1.0, 1.0, 2.0, 1.0),  # down to 1 MWh
        (1.0, 0.5, 2.0, 0.5),  # half of it is lost, the rest goes down to 0.5 MWh
        (1.0, 1.0, 0.5, 0.0),
    ],
)
def test_a_previous_plan_gives_what_is_in_service_and_what_the_store_holds(
    availability: float, usable_energy_share: float, energy_mwh: float, given_mw: float
) -> None:
    plant = line(v_min_pu=0.9)
    forecast = flat(
        plant, availability=np.full((4, 3), availability), usable_energy_share=np.full((4, 1), usable_energy_share)
    )
    dispatch = decide(
        Failing, plant, forecast, previous_plan=powers(plant, 0.0, 2.5), energy_mwh=np.array([energy_mwh])
    )
    assert dispatch.fallback == Fallback.PREVIOUS_PLAN
    assert dispatch.plan.p_mw[0, 0] == pytest.approx(given_mw)


def test_a_previous_plan_that_is_cut_is_predicted_anew() -> None:
    plant = line(v_min_pu=0.9)
    made = decide(Deaf, plant).plan.prediction
    assert made is not None
    plain = {name: values for name, values in vars(made).items() if name not in ("energy_mwh", "costs")}
    rows = {name: np.repeat(values, 2, axis=0) for name, values in plain.items()}
    costs = {name: np.repeat(values, 2, axis=0) for name, values in made.costs.items()}
    promised = replace(made, **rows, costs=costs, energy_mwh=np.array([[7.0], [5.0], [3.0]]))
    previous = replace(powers(plant, 0.0, 2.0), prediction=promised)
    for energy_mwh, left_mwh in ((5.0, 3.0), (2.0, 1.0)):
        dispatch = decide(Failing, plant, previous_plan=previous, energy_mwh=np.array([energy_mwh]))
        assert dispatch.fallback == Fallback.PREVIOUS_PLAN
        assert dispatch.plan.prediction is not None
        assert dispatch.plan.prediction.energy_mwh[1, 0] == pytest.approx(left_mwh)
        as_promised = bool(dispatch.plan.prediction.v_pu[0, 1] == made.v_pu[0, 1])
        assert as_promised == (left_mwh == 3.0)


def test_a_link_of_a_previous_plan_stays_balanced_when_it_is_derated() -> None:
    plant = line(v_min_pu=0.9)
    previous = powers(plant, 0.0, 0.0)
    previous.p_mw[1, 1:] = -0.9, 0.9
    dispatch = decide(Failing, plant, flat(plant, availability=np.full((4, 3), 0.5)), previous_plan=replace(previous))
    p_1, p_2 = dispatch.plan.p_mw[0, 1:]
    assert p_1 + p_2 + 0.02 * (abs(p_1) + abs(p_2)) == pytest.approx(0.0, abs=1e-9)
    assert p_1 == pytest.approx(-0.5)


LATE: list[tuple[str, Callable[[Plant], dict[str, Any]], float]] = [
    ("there", lambda plant: {"station": np.array([2]), "transit_steps": np.array([0])}, 1.0),
    ("on the road", lambda plant: {"station": np.array([2]), "transit_steps": np.array([1])}, 0.0),
    ("still elsewhere", lambda plant: {"station": np.array([1]), "transit_steps": np.array([0])}, 0.0),
]


@pytest.mark.parametrize(("where", "observed", "given_mw"), LATE, ids=[one[0] for one in LATE])
def test_a_late_truck_gives_none_of_its_previous_plans_power(
    where: str, observed: Callable[[Plant], dict[str, Any]], given_mw: float
) -> None:
    sample = three_bus()
    p = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    previous = Plan(p, np.zeros_like(p), np.full((2, 1), 2))
    dispatch = decide(Failing, sample.plant, look_ahead(sample, 1, 3), previous_plan=previous, **observed(sample.plant))
    assert dispatch.fallback == Fallback.PREVIOUS_PLAN
    assert dispatch.plan.p_mw[0, 0] == pytest.approx(given_mw)
    assert dispatch.plan.position[0, 0] == 2


def test_idling_is_reported_to_have_no_plan_to_continue_at_the_first_step() -> None:
    plant = line()
    assert decide(Failing, plant).failure.endswith("nothing is left of a previous plan")
    assert decide(Failing, plant, on_failure=OnFailure.IDLE).failure.endswith(")")


class Charger(Battery):
    """A battery that only draws."""

    @property
    def ports(self) -> tuple[Port, ...]:
        return tuple(replace(one, p_max_mw=0.0) for one in super().ports)


@pytest.mark.parametrize(("p_mw", "says"), [(-3.0, ()), (-3.1, ("B: requests -3.1 MW of 3",))])
def test_a_port_that_only_draws_may_draw_up_to_its_rating(p_mw: float, says: tuple[str, ...]) -> None:
    plant = line()
    battery, link = plant.devices
    plant = replace(plant, devices=(Charger(**vars(battery)), link))
    assert tuple(dispatch_faults(plant, powers(plant, p_mw))) == says
