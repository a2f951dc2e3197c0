"""A joint confidence: tuning on days drawn for it, a certificate of fresh days, and what runs say of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binom

from cases.battery_day import battery_day, chain
from cases.joint_trade import Case, controller
from cases.parts import seen_as
from gridferry.controllers.contract import AcFeedback, Controller, ControllerError, NoteKind, Plan
from gridferry.controllers.joint import Joint
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.reliability.tuning import tune
from gridferry.controllers.settings import read_settings
from gridferry.controllers.solve import InfeasibleError
from gridferry.controllers.uncertainty.certificate import certified_share, most_bad, most_bad_to_repeat
from gridferry.controllers.uncertainty.error_model import EmpiricalErrors, Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.networks.admittance import branch_flows
from gridferry.networks.faults import InputError
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim import run
from gridferry.sim.config.reading import find_config
from gridferry.sim.results.report.page import write_report
from gridferry.sim.results.report.verdict import answer
from gridferry.sim.results.run_directory import load_run
from gridferry.sim.study.day_ahead import Figures, Job, evaluate

ERRORS = ErrorSettings(load_std=0.08, truncation=3.0)
JOINT = {"joint_confidence": 0.9, "joint_days": 1000, "samples": 30, "confidence": 0.5, "errors": ERRORS}
OPTIMISERS = (MvdcDrcc, Joint)


# --------------------------------------------------------------------------------------------------------- certificate


def test_the_certified_share_is_the_one_at_which_so_many_good_days_are_just_too_lucky() -> None:
    """Clopper and Pearson: at the bound, 1 % of samples have as many good days or more."""
    for good, days in ((959, 1000), (9659, 10_000), (300, 300), (1, 5)):
        share = certified_share(good, days)
        assert binom.sf(good - 1, days, share) == pytest.approx(0.01, rel=1e-9)
        assert share == pytest.approx(beta.ppf(0.01, good, days - good + 1), rel=1e-12)
    assert certified_share(0, 100) == 0.0


@pytest.mark.parametrize(("share", "days"), [(0.95, 10_000), (0.9, 500), (0.99, 400)])
def test_bad_days_are_as_many_as_the_certificate_bears(share: float, days: int) -> None:
    most = most_bad(share, days)
    if most >= 0:
        assert certified_share(days - most, days) >= share
    assert certified_share(days - most - 1, days) < share
    assert most_bad_to_repeat(share, days) <= most


def test_what_tuning_permits_is_certified_by_fresh_days_almost_always() -> None:
    """Where the true share is what tuning saw, give or take what 10,000 days may mistake."""
    rng = np.random.default_rng(0)
    days, target = 10_000, 0.95
    seen = most_bad_to_repeat(target, days) / days
    true = seen + np.sqrt(seen / days) * rng.standard_normal(20_000)
    assert (rng.binomial(days, true) <= most_bad(target, days)).mean() > 0.985


# -------------------------------------------------------------------------------------------------------------- tuning


MOST, NEAR = 50, 1.0 + 1.0 / np.sqrt(51)


def tuned(holds: Any, *, none_below: float = 0.0, start: float = 0.95) -> tuple[float, list[float]]:
    """Tune where a plan of a share β has as many bad days as given; plans below a share do not exist."""
    tried: list[float] = []

    def plan_at(confidence: float) -> Plan:
        tried.append(1.0 - confidence)
        if 1.0 - confidence < none_below:
            raise InfeasibleError("margins leave nothing")
        return Plan(np.full((1, 1), 1.0 - confidence), np.zeros((1, 1)), np.zeros((1, 0), dtype=np.int64))

    _, found = tune(plan_at, lambda plan, most: holds(plan.p_mw[0, 0]), start, MOST)
    return 1.0 - found, tried


@pytest.mark.parametrize("at", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("edge", [0.003, 0.0499, 0.07, 0.6])
def test_the_largest_share_that_holds_is_found_wherever_the_search_begins(edge: float, at: float) -> None:
    found, tried = tuned(lambda share: 10 if share <= edge else 1000, start=at)
    assert edge / NEAR <= found <= edge
    assert len(tried) <= 18


def test_a_plan_with_nearly_all_the_bad_days_that_it_may_have_ends_the_search() -> None:
    assert tuned(lambda share: 45)[1] == [pytest.approx(0.05)]


def test_a_search_passes_over_confidences_without_a_plan() -> None:
    found, _ = tuned(lambda share: 10 if share <= 0.2 else 1000, none_below=0.15)
    assert 0.2 / NEAR <= found <= 0.2


def test_where_none_holds_the_strictest_plan_is_taken() -> None:
    assert tuned(lambda share: 1000)[0] < 2e-4
    found, _ = tuned(lambda share: 1000, none_below=0.03)
    assert 0.03 <= found <= 0.03 * NEAR**2


def test_where_there_is_no_plan_at_all_the_first_trouble_is_told() -> None:
    with pytest.raises(InfeasibleError, match="margins leave nothing"):
        tuned(lambda share: 0, none_below=2.0)


# --------------------------------------------------------------------------------------------------------------- plans


def strained(energy_mwh: float = 2.0) -> Case:
    """Two hours near the rating of a line of 1.732 MVA, which the battery at its end can relieve, and two more."""
    return battery_day(chain((0.1, 0.1), kv=20.0, ka=0.05), [1.6, 1.5, 0.2, 0.2], [50.0] * 4, energy_mwh=energy_mwh)


def made(given: Case, optimiser: type[Controller], **settings: Any) -> Controller:
    return controller(optimiser, given[0], **{**JOINT, **settings})


def planned(given: Case, optimiser: type[Controller], **settings: Any) -> Plan:
    return made(given, optimiser, **settings).plan(*given[1:])


@pytest.fixture(scope="module", params=OPTIMISERS, ids=lambda one: one.__name__)
def together(request: pytest.FixtureRequest) -> tuple[type[Controller], Plan]:
    """A controller and its plan with a joint confidence."""
    return request.param, planned(strained(), request.param)


def share_of_good_days(given: Case, plan: Plan, days: int = 4000) -> float:
    """By a sweep of its own over the errors that a study would draw."""
    plant, _, ahead = given
    (feeder,) = plant.feeders
    _, model = plant_errors(plant, ERRORS)
    load = model.draw(days, ahead.steps, seed=9, purpose=Purpose.OUT_OF_SAMPLE)
    p_device, _ = device_injections(plant, ahead, plan.p_mw, plan.q_mvar)
    p = p_device - ahead.load_p_mw * (1 + load[:, :, :1])
    flows = branch_flows(feeder, solve_sweep(feeder, p, 0 * p)[0])
    return float((np.maximum(flows.i_parent_pu, flows.i_child_pu) <= feeder.i_max_pu).all(axis=(1, 2)).mean())


def test_a_plan_has_the_joint_confidence_and_no_more_caution_than_that_takes(
    together: tuple[type[Controller], Plan],
) -> None:
    given, (optimiser, plan) = strained(), together
    alone = planned(given, optimiser, joint_confidence=None)
    assert share_of_good_days(given, alone) < 0.85
    certified = plan.solver.note(NoteKind.JOINT_CERTIFIED)
    assert certified is not None
    assert 0.9 <= certified.value <= share_of_good_days(given, plan) <= 0.98
    strict = planned(given, optimiser, joint_confidence=None, confidence=0.99)
    assert alone.prediction.cost.sum() < plan.prediction.cost.sum() < strict.prediction.cost.sum()
    assert "fresh days: all voltages and currents hold; of all days on at least 9" in plan.solver.words


def test_equal_inputs_give_equal_plans_also_where_they_are_tuned(together: tuple[type[Controller], Plan]) -> None:
    optimiser, plan = together
    again = planned(strained(), optimiser)
    np.testing.assert_array_equal(plan.p_mw, again.p_mw)
    assert plan.memory == again.memory
    assert plan.solver.notes == again.solver.notes


def test_later_plans_have_the_confidence_that_the_first_one_found(together: tuple[type[Controller], Plan]) -> None:
    given, (optimiser, plan) = strained(), together
    found = plan.solver.note(NoteKind.INDIVIDUAL_CONFIDENCE)
    assert found is not None
    later = made(given, optimiser).plan(seen_as(given[0], given[1], previous_plan=plan), given[2])
    assert later.memory["individual_confidence"] == found.value
    assert later.solver.note(NoteKind.INDIVIDUAL_CONFIDENCE) == found
    assert later.solver.note(NoteKind.JOINT_CERTIFIED) is None
    plain = planned(given, optimiser, joint_confidence=None, confidence=found.value)
    np.testing.assert_allclose(later.prediction.cost.sum(), plain.prediction.cost.sum(), rtol=1e-5)


def test_a_corrected_first_plan_is_not_tuned_again_but_certified_and_has_its_own_time(
    together: tuple[type[Controller], Plan],
) -> None:
    given, (optimiser, plan) = strained(), together
    if optimiser is not Joint:
        assert not optimiser.accepts_ac_feedback
        return
    plant, observation, forecast = given
    feedback = AcFeedback(np.zeros(2), np.zeros(2), np.array([0.05]), plan, spent_s=1e6)
    again = made(given, Joint).plan(replace(observation, ac_feedback=feedback), forecast)
    assert again.memory["individual_confidence"] == plan.memory["individual_confidence"]
    assert again.solver.note(NoteKind.JOINT_CERTIFIED) is not None
    assert again.prediction.p_branch_mw[0, 0] < plan.prediction.p_branch_mw[0, 0]
    with pytest.raises(ControllerError, match="used up"):
        made(given, Joint).plan(seen_as(plant, observation, previous_plan=plan, ac_feedback=feedback), forecast)


def test_where_no_confidence_holds_the_plan_says_so() -> None:
    """A battery that is too small: on every fourth day the line is overloaded whatever it does."""
    plan = planned(strained(0.1), MvdcDrcc, on_infeasible="relax", confidence=0.999)
    note = plan.solver.note(NoteKind.JOINT_NOT_REACHED)
    assert note is not None
    assert note.value < 0.9
    assert plan.solver.note(NoteKind.JOINT_CERTIFIED) is None
    assert "fresh days: all voltages and currents hold; joint confidence not reached" in plan.solver.words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scenario": "robust"}, 'joint_confidence tunes the confidence of scenario "drcc", not of "robust"'),
        ({"joint_days": 20}, "20 joint_days certify at most 0.7943, joint_confidence is more"),
        ({"joint_confidence": 1.0}, "less than 1"),
    ],
)
def test_what_cannot_be_tuned_or_certified_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_settings(MvdcDrcc.Settings, {"joint_confidence": 0.9, **settings}, "test", "controller")


def test_observed_days_that_certify_are_not_those_that_tune() -> None:
    model = EmpiricalErrors(np.arange(40.0).reshape(40, 1, 1) / 40.0)
    tuning, fresh = (
        set(model.draw(400, 1, seed=0, purpose=one).ravel()) for one in (Purpose.TUNING, Purpose.CERTIFICATE)
    )
    assert not tuning & fresh


# ---------------------------------------------------------------------------------------------------------------- runs


SMALL = {
    **{"controller.joint_days": 200, "controller.joint_confidence": 0.8, "controller.samples": 20},
    **{"time.start": "2024-07-14T18:00:00+02:00", "time.steps": 3, "batteries.bess.soc_end": 0.1},
}


def summary_of(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """Summary of the first hour of an evening on the street whose rating binds."""
    overrides = [f"{key}={value}" for key, value in {**SMALL, **more}.items()]
    return run("rated_street", overrides=overrides, steps=1, out=tmp_path / "run").summary


def test_summary_report_and_verdict_have_the_certificate(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, **{"controller.confidence": 0.4})
    found = summary["joint_reliability"]
    assert found["reached"]
    assert found["certified"] >= 0.8
    assert 0.0 <= found["individual_confidence"] < 1.0
    assert found["kept"].endswith("of 200 fresh days")
    assert summary["verdict"] == "feasible and executed"
    page = write_report(tmp_path / "run").read_text()
    words = f"At least {found['certified']:.2%} of days keep all voltages and currents under its first plan, certified"
    assert words in page


def test_a_verdict_says_that_the_joint_confidence_is_not_reached(tmp_path: Path) -> None:
    """Whatever a battery of 1 kW does, the rating is broken on most days."""
    more = {"controller.on_infeasible": "relax", "controller.confidence": 0.9998, "batteries.bess.p_max_mw": 0.001}
    summary = summary_of(tmp_path, **more)
    assert not summary["joint_reliability"]["reached"]
    assert summary["verdict"].endswith("; joint confidence not reached")
    assert "Joint confidence not reached: at least" in " ".join(answer(load_run(tmp_path / "run")).sentences)


def test_a_study_has_the_certificate_beside_what_its_own_days_say() -> None:
    settings = tuple(f"{key}={value}" for key, value in {**SMALL, "controller.confidence": 0.4}.items())
    found = evaluate(Job(find_config("rated_street"), settings, 20, 0, None))
    assert isinstance(found, Figures)
    assert 0.8 <= found.certified < 1.0
    assert 0.0 <= found.individual_confidence < 1.0
