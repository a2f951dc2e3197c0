"""A joint confidence on two networks with a link: seconds of planning, tuning and certificate, and what it costs.

The plan is that of `mvdc_2dn_joint_confidence`. It is evaluated on fresh days, and beside the best that one confidence
for all limits could do: ``1 - s (1 - 0.95)`` with the largest s on a grid of 0.01 whose plan the same fresh days
certify. Both pay for what they plan at the forecast, in AC; the saving is that over doing nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import NoteKind, Plan
from gridferry.controllers.mvdc_drcc import MvdcDrcc
from gridferry.controllers.reliability.days import CHUNK, bad_days
from gridferry.controllers.reliability.tuning import tune
from gridferry.controllers.schedule.ac_evaluation import evaluate_rest
from gridferry.controllers.uncertainty.certificate import certified_share, most_bad, most_bad_to_repeat
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

GRID = 0.01
SMALL = (
    *("controller.joint_confidence=0.8", "controller.joint_days=200"),
    *("time.start=2024-07-25T19:00:00+02:00", "time.steps=3"),
)


class Study:
    """The case, its plans by confidence, and seconds spent on them and on sampled days."""

    def __init__(self, *settings: str):
        case = build_case(load_config("mvdc_2dn_joint_confidence", settings))
        controller = case.controller()
        assert isinstance(controller, MvdcDrcc)
        self.plant, self.controller, self.settings = case.plant, controller, controller.settings
        self.forecast, self.seen = case.forecaster.at(0), at_start(case.plant)
        self.seconds = {"planning": 0.0, "tuning": 0.0, "certificate": 0.0}

    def plan_at(self, confidence: float) -> Plan:
        """Plan as the controller does for an individual confidence."""
        began = time.perf_counter()
        settings = self.settings.model_copy(update={"confidence": confidence, "joint_confidence": None})
        plan = MvdcDrcc(self.plant, settings).plan(self.seen, self.forecast)
        self.seconds["planning"] += time.perf_counter() - began
        return plan

    def bad(self, purpose: Purpose, days: int, plan: Plan, most: int | None) -> int:
        """Bad days among those of a purpose."""
        began = time.perf_counter()
        maker = self.controller.margins
        drawn = maker.days(0, self.forecast.steps, purpose, CHUNK, days)
        found = bad_days(self.plant, plan, self.seen, self.forecast, maker.errors, drawn, most)
        part = "tuning" if purpose is Purpose.TUNING else "certificate"
        self.seconds[part] += time.perf_counter() - began
        return found

    def cost(self, plan: Plan) -> float:
        """Cost at the forecast [USD]."""
        assert plan.prediction is not None
        return float(plan.prediction.cost.sum())


@dataclass(frozen=True)
class Result:
    """Confidence that was tuned, the share that fresh days certify, and the extra cost as a share of the saving."""

    confidence: float
    certified: float
    more: float


def main(*, smoke: bool = False) -> Result:
    """Print seconds, certificates and costs."""
    small = SMALL if smoke else ()
    fresh = 400 if smoke else 100_000
    study = Study(*small)
    settings = study.settings
    target, days = settings.joint_confidence, settings.joint_days
    assert target is not None
    began = time.perf_counter()
    allowed = most_bad_to_repeat(target, days)
    plan, confidence = tune(study.plan_at, partial(study.bad, Purpose.TUNING, days), settings.confidence, allowed)
    good = days - study.bad(Purpose.CERTIFICATE, days, plan, None)
    total = time.perf_counter() - began
    split = ", ".join(f"{part} {seconds:.1f}" for part, seconds in study.seconds.items())
    print(f"joint confidence {target:.0%} of mvdc_2dn, {days} days: {total:.1f} s ({split})")
    print(f"  individual confidence {confidence:.4f}, certified {certified_share(good, days):.2%}")
    if smoke:
        made = study.controller.plan(study.seen, study.forecast).solver
        found = made.note(NoteKind.INDIVIDUAL_CONFIDENCE)
        assert found is not None
        print(f"  the controller's own: {found.value:.4f}")
    bad = study.bad(Purpose.OUT_OF_SAMPLE, fresh, plan, None)
    certified = certified_share(fresh - bad, fresh)
    print(f"  {fresh} fresh days: {1 - bad / fresh:.3%} keep every limit, at least {certified:.3%} certified")
    scale, best = largest_scale(study, fresh, most_bad(target, fresh), (1.0 - confidence) / 0.05)
    saving = float(evaluate_rest(study.plant, study.seen, study.forecast).cost.sum()) - study.cost(best)
    more = (study.cost(plan) - study.cost(best)) / saving
    print(f"  largest scale of 1 - 0.95 that the same days certify: {scale:.2f}; the tuned plan costs")
    print(f"  {study.cost(plan) - study.cost(best):.3f} USD more, {more:.2%} of the saving of {saving:.2f} USD")
    return Result(confidence, certified, more)


def largest_scale(study: Study, days: int, most: int, near: float) -> tuple[float, Plan]:
    """Return the largest scale on the grid whose plan has few enough bad days, and the plan."""
    plans: dict[int, Plan] = {}

    def holds(step: int) -> bool:
        plans[step] = study.plan_at(1.0 - 0.05 * GRID * step)
        found = study.bad(Purpose.OUT_OF_SAMPLE, days, plans[step], most) <= most
        print(f"    scale {GRID * step:.2f}: {'holds' if found else 'does not hold'}", flush=True)
        return found

    low = max(int(near / GRID), 1)
    while not holds(low):
        low -= 1
    high = low + 1
    while holds(high):
        low, high = high, high + 2 * (high - low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return GRID * low, plans[low]


if __name__ == "__main__":
    main()
