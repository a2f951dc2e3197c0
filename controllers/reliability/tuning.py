"""Plans that keep all limits together with a joint confidence: tuned on days drawn for that, certified on fresh ones.

Margins promise every single bus, branch and step its own confidence. How often all hold together, AC says. So the
individual confidence is found by bisection on what may be broken, ``β = 1 - confidence``: the largest β whose plan
breaks a limit on so few of the days drawn for tuning that as many fresh days will certify the joint confidence. The
same days are used for every β. Then fresh days, from streams of their own, certify the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from gridferry.controllers.contract import Forecast, Note, NoteKind, Observation, Plan, Plant
from gridferry.controllers.reliability.days import CHUNK, Counting, bad_days
from gridferry.controllers.solve import NoPlanError
from gridferry.controllers.uncertainty.certificate import certified_share, most_bad_to_repeat
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.margin_settings import MarginMaker, MarginSettings

_MEMORY = "individual_confidence"
_STRICTEST = 1e-4
"""smaller shares β change margins no more: those over a support are the robust ones then"""
_ENOUGH = 0.85
"""bisection ends where a plan has this share of the bad days that it may have"""

Planning = Callable[[float], Plan]
"""plan with margins for an individual confidence"""


def jointly_reliable(
    maker: MarginMaker, observation: Observation, forecast: Forecast, plan_at: Planning, plant: Plant
) -> Plan:
    """Return a plan with the joint confidence of the settings, with its certificate.

    Tuning takes many plans. It is done for the first plan of a run; later ones have the confidence found then, and no
    certificate. A corrected first plan is certified anew.

    Raises
    ------
    ControllerError
        where there is no plan at any confidence.
    """
    settings = maker.settings
    assert settings.joint_confidence is not None
    found = _tuned_before(observation)
    if found is not None:
        return _noted(plan_at(found), found)
    feedback = observation.ac_feedback
    found = None if feedback is None or feedback.plan is None else feedback.plan.memory.get(_MEMORY)
    count = partial(_bad_days, maker, observation, forecast, plant)
    if found is not None:
        plan, found = plan_at(found), float(found)
    else:
        most = most_bad_to_repeat(settings.joint_confidence, settings.joint_days)
        plan, found = tune(plan_at, partial(count, Purpose.TUNING), settings.confidence, most)
    return _noted(plan, found, *_certificate(plan, partial(count, Purpose.CERTIFICATE), settings))


def tuned_in_this_step(observation: Observation) -> bool:
    """Whether a correction is wanted of a plan that was tuned; the time that this took is not the correction's."""
    feedback = observation.ac_feedback
    tuned = feedback is not None and feedback.plan is not None and _MEMORY in feedback.plan.memory
    return tuned and _tuned_before(observation) is None


def _tuned_before(observation: Observation) -> float | None:
    previous = observation.previous_plan
    return None if previous is None else previous.memory.get(_MEMORY)


def _noted(plan: Plan, confidence: float, *notes: Note) -> Plan:
    individual = Note(NoteKind.INDIVIDUAL_CONFIDENCE, confidence)
    solver = replace(plan.solver, notes=(*plan.solver.notes, individual, *notes))
    return replace(plan, solver=solver, memory={**plan.memory, _MEMORY: confidence})


def _bad_days(
    maker: MarginMaker,
    observation: Observation,
    forecast: Forecast,
    plant: Plant,
    purpose: Purpose,
    plan: Plan,
    most: int | None = None,
) -> int:
    days = maker.days(observation.step, forecast.steps, purpose, CHUNK)
    return bad_days(plant, plan, observation, forecast, maker.errors, days, most)


def _certificate(plan: Plan, count: Counting, settings: MarginSettings) -> list[Note]:
    days = settings.joint_days
    good = days - count(plan, None)
    share = certified_share(good, days)
    reached = settings.joint_confidence is not None and share >= settings.joint_confidence
    kind = NoteKind.JOINT_CERTIFIED if reached else NoteKind.JOINT_NOT_REACHED
    return [Note(kind, share, f"{good} of {days} fresh days")]


# -------------------------------------------------------------------------------------------------------------- tuning


@dataclass
class _Bracket:
    """Shares β: the largest with no plan, one whose plan holds, the smallest whose plan does not.

    Shares that differ by the factor ``near`` are near enough.
    """

    near: float
    none: float = 0.0
    holds: float = 0.0
    fails: float = math.inf

    def next(self) -> float | None:
        """Return the share to be tried next; ``None`` where the search has ended."""
        if self.holds:
            if self.fails / self.holds <= self.near or self.holds == 1.0:
                return None
            return min(2.0 * self.holds, 1.0) if math.isinf(self.fails) else math.sqrt(self.holds * self.fails)
        if math.isinf(self.fails):
            return min(2.0 * self.none, 1.0) if self.none < 1.0 else None
        if self.none:
            return math.sqrt(self.none * self.fails) if self.fails / self.none > self.near else None
        return 0.5 * self.fails if self.fails > _STRICTEST else None


def tune(plan_at: Planning, count: Counting, confidence: float, most: int) -> tuple[Plan, float]:
    """Return the plan at the lowest individual confidence that holds, and this; else that of the fewest bad days.

    Parameters
    ----------
    plan_at : makes a plan for a confidence; one that is stricter may have none
    count : counts the bad days of a plan
    confidence : where the search begins
    most : bad days that a plan may have

    Raises
    ------
    NoPlanError
        where there is no plan at any confidence tried.
    """
    # a number of bad days varies by its root, so that β need not be known better
    bracket = _Bracket(near=1.0 + 1.0 / math.sqrt(most + 1))
    best: tuple[Plan, float] | None = None
    trouble: NoPlanError | None = None
    share: float | None = 1.0 - confidence
    while share is not None:
        at = confidence if share == 1.0 - confidence else 1.0 - share
        try:
            plan = plan_at(at)
        except NoPlanError as error:
            if error.out_of_time:
                raise
            trouble = trouble or error
            bracket.none, share = share, None
            share = bracket.next()
            continue
        bad = count(plan, most)
        if bad <= most:
            bracket.holds, best = share, (plan, at)
            if bad >= _ENOUGH * most and most > 0:
                break
        else:
            bracket.fails = share
            if not bracket.holds:
                best = plan, at
        share = bracket.next()
    if best is None:
        assert trouble is not None
        raise trouble
    return best
