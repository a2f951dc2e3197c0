"""What the host sends out: plans checked and corrected by AC on the forecast, and fallbacks that are safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cases.parts import forecast_of, seen_as
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, read_only, three_bus
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
    Storage,
)
from gridferry.controllers.devices import Port
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.links.device import Link, Terminal
from gridferry.networks.feeder import plain_feeder
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, ControllerStoppedError, Dispatch, Fallback, dispatch_faults

R = 0.01  # of the only branch [pu]
LOAD = 1.0  # [MW] = [pu]
V_MIN = 0.985


def voltage(p_mw: float) -> float:
    """Far end of a line of resistance R that feeds a power: the larger root of v² - v + R P = 0."""
    return 0.5 * (1.0 + np.sqrt(1.0 - 4.0 * R * p_mw))


def line(v_min_pu: float = V_MIN, v_max_pu: float = 1.1, i_max_pu: float = np.inf) -> Plant:
    """A line without reactance; at its end 1 MW of load, a battery of 3 MW and one end of a link."""
    feeder = plain_feeder(
        "line",
        base_mva=1.0,
        base_kv=10.0,
        bus_names=["1", "2"],
        p_load_mw=np.array([0.0, LOAD]),
        q_load_mvar=np.zeros(2),
        from_bus=np.array([0]),
        to_bus=np.array([1]),
        r_ohm=np.array([100.0 * R]),
        x_ohm=np.zeros(1),
        i_max_ka=np.array([i_max_pu / (np.sqrt(3.0) * 10.0)]),
        v_min_pu=v_min_pu,
        v_max_pu=v_max_pu,
    )
    store = Storage(10.0, 3.0, 3.0, 1.0, 1.0, 0.0, 0.1, 0.9, 0.5, None, np.inf, 0.0)
    link = Link("L", (Terminal("L-1", 0, 0, 1.0, 0.02), Terminal("L-2", 0, 1, 1.0, 0.02)), 0)
    return Plant((feeder,), (), (Battery("B", 0, 1, store), link), None, 3600, 24, 4, 0, 1.0, "USD")


def flat(plant: Plant, **given: np.ndarray) -> Forecast:
    rows = plant.horizon_steps
    plain = {
        "load_p_mw": np.tile([0.0, LOAD], (rows, 1)),
        "load_q_mvar": np.zeros((rows, 2)),
        "buy_price": np.full(rows, 50.0),
        "sell_price": np.full(rows, 80.0),
    }
    return read_only(forecast_of(plant, **{**plain, **given}))


def powers(plant: Plant, *battery_mw: float) -> Plan:
    """A plan of the battery's powers, row by row."""
    p = np.zeros((len(battery_mw), plant.n_port))
    p[:, 0] = battery_mw
    return Plan(p, np.zeros_like(p), np.zeros((len(p), 0), dtype=np.int64))


class Filler(Controller):
    """Charges as much as v = 1 - R P and the rating seem to allow; keeps a share of the correction."""

    class Settings(ControllerSettings):
        heed: float = 1.0

    settings: Settings
    accepts_ac_feedback = True

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        feeder = self.plant.feeders[0]
        v_low, rating = 0.0, 0.0
        if observation.ac_feedback is not None:
            v_low, rating = observation.ac_feedback.v_low_pu[1], observation.ac_feedback.rating[0]
        by_voltage = (1.0 - feeder.v_min_pu[1] - self.settings.heed * v_low) / R
        by_current = feeder.i_max_pu[0] * (1.0 - rating)
        drawn = max(min(by_voltage, by_current, 3.9), 0.0)
        plan = powers(self.plant, LOAD - drawn, 0.0)
        return replace(plan, memory={"v_low": float(v_low), "rating": float(rating)})


class Stubborn(Controller):
    """Charges 2 MW; 1.5 MW when told of a little too much, 2.5 MW when told of more."""

    accepts_ac_feedback = True

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.ac_feedback is None:
            return powers(self.plant, -2.0)
        return powers(self.plant, -1.5 if observation.ac_feedback.v_low_pu[1] < 0.02 else -2.5)


class Deaf(Stubborn):
    accepts_ac_feedback = False


class Lost(Stubborn):
    """Has no plan that keeps a correction."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.ac_feedback is not None:
            raise ControllerError("nothing keeps that")
        return super().plan(observation, forecast)


class Failing(Controller):
    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        raise ControllerError("no plan today")


def decide(
    kind: type[Controller],
    plant: Plant,
    forecast: Forecast | None = None,
    *,
    allowed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_failure: OnFailure = OnFailure.PREVIOUS_PLAN,
    **observed: Any,
) -> Dispatch:
    controller = kind(plant, kind.Settings(**(settings or {})))
    host = ControllerHost(plant, controller, on_failure, ac_corrections=allowed)
    return host.decide(seen_as(plant, at_start(plant), **observed), forecast or flat(plant))


# ------------------------------------------------------------------------------------------------------- corrections


def test_a_plan_that_breaks_a_voltage_limit_in_ac_is_corrected_by_the_mismatch() -> None:
    plant = line()
    first = decide(Filler, plant)
    drawn = (1.0 - V_MIN) / R
    assert first.corrections == 0
    assert first.ac_excess_pu == pytest.approx(V_MIN - voltage(drawn), rel=1e-6)
    corrected = decide(Filler, plant, allowed=5)
    assert (corrected.corrections, corrected.ac_excess_pu, corrected.ac_excess_percent) == (1, 0.0, 0.0)
    assert corrected.plan.memory["v_low"] == pytest.approx(first.ac_excess_pu, rel=1e-12)
    assert corrected.plan.p_mw[0, 0] == pytest.approx(LOAD - drawn + first.ac_excess_pu / R)
    assert corrected.plan.prediction is not None
    assert corrected.plan.prediction.v_pu[0, 1] >= V_MIN - 1e-6
    assert (corrected.fallback, corrected.failure) == (Fallback.NONE, "")


def test_corrections_add_up_until_their_number_is_used_up() -> None:
    tries = [decide(Filler, line(), allowed=allowed, settings={"heed": 0.5}) for allowed in range(4)]
    excess = [one.ac_excess_pu for one in tries]
    assert [one.corrections for one in tries] == [0, 1, 2, 3]
    assert all(after < before for before, after in pairwise(excess))
    for number, one in enumerate(tries):
        assert one.plan.memory["v_low"] == pytest.approx(sum(excess[:number]), rel=1e-9)


def test_an_overloaded_branch_takes_its_excess_off_the_rating() -> None:
    plant = line(v_min_pu=0.9, i_max_pu=1.5)
    first, corrected = decide(Filler, plant), decide(Filler, plant, allowed=3)
    loading = 1.5 / voltage(1.5) / 1.5
    assert first.ac_excess_percent == pytest.approx(100.0 * (loading - 1.0), rel=1e-6)
    assert first.ac_excess_pu == 0.0
    assert (corrected.corrections, corrected.ac_excess_percent) == (1, 0.0)
    assert corrected.plan.memory["rating"] == pytest.approx(loading - 1.0, rel=1e-6)


def test_of_plans_that_all_violate_limits_the_one_with_the_smallest_violation_is_dispatched() -> None:
    dispatch = decide(Stubborn, line(), allowed=2)
    assert dispatch.plan.p_mw[0, 0] == -1.5
    assert dispatch.corrections == 2
    assert dispatch.ac_excess_pu == pytest.approx(V_MIN - voltage(LOAD + 1.5), rel=1e-6)


def test_a_controller_that_cannot_correct_a_plan_is_called_once() -> None:
    dispatch = decide(Deaf, line(), allowed=3)
    assert (dispatch.plan.p_mw[0, 0], dispatch.corrections) == (-2.0, 0)
    assert dispatch.ac_excess_pu == pytest.approx(V_MIN - voltage(LOAD + 2.0), rel=1e-6)


def test_a_correction_that_fails_leaves_the_best_plan_and_is_noted() -> None:
    dispatch = decide(Lost, line(), allowed=3, on_failure=OnFailure.STOP)
    assert (dispatch.plan.p_mw[0, 0], dispatch.corrections, dispatch.fallback) == (-2.0, 1, Fallback.NONE)
    assert dispatch.failure == "step 0: correction 1: ControllerError: nothing keeps that"


def test_no_correction_is_requested_for_the_voltage_of_the_slack_bus() -> None:
    dispatch = decide(Filler, line(v_min_pu=0.9, v_max_pu=0.999), allowed=3)
    assert dispatch.corrections == 0
    assert dispatch.ac_excess_pu == pytest.approx(0.001)


def test_ac_counts_a_device_out_of_service_as_nothing_and_a_derated_one_at_its_share() -> None:
    plant = line(v_min_pu=0.9)
    for share, power in ((0.0, 0.0), (0.25, 0.75), (1.0, 2.0)):
        dispatch = decide(Deaf, plant, flat(plant, availability=np.full((4, 3), share)))
        assert dispatch.plan.prediction is not None
        assert dispatch.plan.prediction.v_pu[0, 1] == pytest.approx(voltage(LOAD + power), abs=1e-9)
        assert dispatch.plan.prediction.energy_mwh[1, 0] == pytest.approx(5.0 + power)
        assert dispatch.plan.p_mw[0, 0] == -2.0  # what a device gives is the device's to say


def test_ac_counts_a_battery_that_is_almost_full_as_what_it_will_do() -> None:
    plant = line(v_min_pu=0.9)
    full = decide(Deaf, plant, energy_mwh=np.array([8.5]))  # 0.5 MWh below its window's end, and asked for 2 MW
    assert full.plan.prediction is not None
    assert full.plan.prediction.energy_mwh[1, 0] == 9.0
    assert full.plan.prediction.v_pu[0, 1] == pytest.approx(voltage(LOAD + 0.5), abs=1e-9)
    assert full.plan.p_mw[0, 0] == -2.0


def test_a_forecast_whose_power_flow_collapses_leaves_the_plan_unchecked() -> None:
    plant = line()
    dispatch = decide(Stubborn, plant, flat(plant, load_p_mw=np.tile([0.0, 30.0], (4, 1))), allowed=3)
    assert np.isnan([dispatch.ac_excess_pu, dispatch.ac_excess_percent]).all()
    assert (dispatch.corrections, dispatch.plan.p_mw[0, 0]) == (0, -2.0)


# -------------------------------------------------------------------------------------- forecasts that are not finite


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


# ----------------------------------------------------------------------------------------------------------- fallbacks


def test_a_previous_plan_that_would_break_limits_gives_way_to_idling() -> None:
    plant = line()
    dispatch = decide(Failing, plant, previous_plan=powers(plant, 0.0, -1.0))
    assert (dispatch.fallback, dispatch.ac_excess_pu) == (Fallback.IDLE, 0.0)
    assert not dispatch.plan.p_mw.any()
    assert "no plan today; the previous plan breaks limits by up to 0.00542 pu" in dispatch.failure
    kept = decide(Failing, plant, previous_plan=powers(plant, 0.0, -0.4))
    assert (kept.fallback, kept.plan.p_mw[0, 0]) == (Fallback.PREVIOUS_PLAN, -0.4)
    assert kept.failure == "step 0: ControllerError: no plan today"


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
    assert decide(Failing, plant, on_failure=OnFailure.IDLE).failure == "step 0: ControllerError: no plan today"


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
