"""Plans of the joint controller rest on a tight relaxation: flows, losses, usable energy; their notes are true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases.carrying import carrying
from cases.dispatch import dispatch
from cases.joint_trade import EXACT, controller, corrected, equipped, joint, trade, within
from cases.parts import seen_as, with_devices, with_series
from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import ControllerError, NoteKind
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.routes.diving import Search, route_values
from gridferry.controllers.uncertainty.sensitivities import operating_point


def test_a_corrected_plan_says_that_its_bound_is_for_the_incumbent_routes() -> None:
    case = trade(0)
    plan = joint(case, **EXACT)
    stays = replace(plan, position=np.zeros_like(plan.position))
    repaired = joint(corrected(case, stays), **EXACT)
    assert repaired.solver.objective > plan.solver.objective + 1.0
    assert repaired.solver.note(NoteKind.BOUND_FOR_ROUTES) is not None


def test_the_prediction_of_a_store_knows_the_strings_it_loses() -> None:
    holds = np.ones((6, 2))
    holds[3:, 1] = 0.5
    plan = joint(equipped(trade(0), usable_energy_share=holds), **EXACT)
    assert plan.prediction is not None
    assert plan.prediction.energy_mwh[4:, 1].max() <= 0.45 + 1e-5


def test_a_store_that_can_hold_nothing_for_a_while_gives_nothing_then() -> None:
    holds = np.ones((6, 2))
    holds[2:4, 1] = 0.0
    plan = joint(equipped(trade(0), usable_energy_share=holds), **EXACT)
    assert not plan.p_mw[3, 1].any()


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.2])
def test_negative_prices_leave_no_false_converter_loss_in_batteries(ratio: float) -> None:
    plan = joint(trade(3, horizon=5, export_ratio=ratio, cheaper_by=90.0), **EXACT, time_limit_s=30.0)
    assert plan.solver.cone_gap < 1e-5


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.2])
def test_exact_storage_plans_at_negative_prices_violate_nothing_and_say_so(ratio: float) -> None:
    plant, _, forecast = trade(3, horizon=5, export_ratio=ratio, cheaper_by=90.0)
    plant = with_devices(plant, links=())
    plan = controller(MessExact, plant).plan(at_start(plant), forecast)
    assert plan.solver.violations == ()
    assert plan.solver.cone_gap < 1e-5


def test_routes_that_swap_two_alike_trucks_are_other_routes() -> None:
    plant, observation, forecast = carrying(horizon=4, trip=5.0, trucks=2)
    observation = seen_as(plant, observation, energy_mwh=np.array([1.0, 0.0]), trips_today=np.array([1, 1]))
    given = dispatch((plant, observation, forecast))
    built = given.build()
    search = Search(built, given)

    def evaluate(targets: list[int], order: list[int]) -> float:
        values = route_values(built, np.array([targets] * 4))
        ways = [built.routes[truck][1] for truck in order]
        search.evaluate({one: values[one] for way in ways for one in (way.parked, way.departs)})
        assert search.best is not None
        return search.best.outcome.objective

    poor = evaluate([0, 1], [0, 1])
    # the other truck first, as where one of them reconsiders
    assert evaluate([1, 0], [1, 0]) < poor - 1.0


def test_a_profile_that_is_not_a_number_is_refused() -> None:
    plant, observation, forecast = trade(0)
    unknown = with_series(plant, forecast, generation_mw=np.full((forecast.steps, 1), np.nan))
    with pytest.raises(ControllerError, match=r"p_mw.* is not finite"):
        joint((plant, observation, unknown), **EXACT)


@pytest.mark.parametrize("name", ["congestion", "buy_price", "load_p_mw", "load_q_mvar"])
def test_a_forecast_that_is_not_a_number_is_refused(name: str) -> None:
    plant, observation, forecast = trade(0)
    value = getattr(forecast, name).copy()
    value.flat[0] = np.nan
    with pytest.raises(ControllerError, match=f"{name} is not finite"):
        joint((plant, observation, replace(forecast, **{name: value})), **EXACT)


@pytest.mark.parametrize(
    ("seed", "horizon", "ratio", "cheaper", "low"), [(617418, 3, 1.2, 0.0, 0.995), (534441, 4, 0.25, 60.0, 0.99)]
)
def test_an_upper_voltage_limit_is_not_kept_by_fictitious_losses(
    seed: int, horizon: int, ratio: float, cheaper: float, low: float
) -> None:
    case = within(trade(seed, horizon, ratio, cheaper), low, 1.003)
    plant, _, forecast = case
    plan = joint(case, **EXACT)
    assert plan.solver.cone_gap < 1e-5
    p, q = device_injections(plant, forecast, plan.p_mw, plan.q_mvar, plan.position)
    v = np.abs(operating_point(plant, p - forecast.net_load_mw(plant), q - forecast.load_q_mvar))
    assert v.max() <= 1.003 + 2e-5
