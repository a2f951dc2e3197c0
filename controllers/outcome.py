"""Outcome of planning: status, termination and notes of a plan.

All of it is data; `SolverOutcome.words` is the one place that makes sentences of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isnan

from gridferry.controllers import tolerances


def relative_gap(objective: float, bound: float) -> float:
    """``(objective - bound) / |objective|``."""
    return (objective - bound) / max(abs(objective), tolerances.ROUNDING)


class Status(StrEnum):
    """Status of a solution."""

    OPTIMAL = "optimal"
    LOCALLY_OPTIMAL = "locally_optimal"
    """on the exact equations, by a local search, as the relaxation was not tight; its bound is kept"""
    FEASIBLE = "feasible"
    RULE = "rule"


class Termination(StrEnum):
    """Reason why planning ended."""

    UNKNOWN = ""
    RULE = "rule"
    """nothing was solved"""
    SOLVED = "solved"
    """a problem without integers, to the solver's accuracy"""
    GAP_REACHED = "gap_reached"
    TIME_LIMIT = "time_limit"
    ACCURACY_EXHAUSTED = "accuracy_exhausted"
    """the solver's accuracy is exhausted: rounding permits no better bound"""
    NUMERICAL_TROUBLE = "numerical_trouble"
    """the solver stopped with numerical trouble, but has a plan"""
    CONTINUED = "continued"
    """the previous plan is continued, by the controller's choice"""
    PREVIOUS_PLAN = "previous_plan"
    """the host dispatched the rest of the previous plan"""


class NoteKind(StrEnum):
    """Subject of a note; a note's value is in the unit named here, NaN where it has none."""

    BOUND_FOR_ROUTES = "bound_for_routes"
    """the bound holds for the routes decided at this step"""
    BOUND_FOR_INCUMBENT = "bound_for_incumbent"
    """the bound holds for the incumbent routes"""
    BOUND_FOR_STAYING = "bound_for_staying"
    """the bound holds for trucks that stay"""
    FIRST_STAGE = "first_stage"
    """termination and bound are those of the first stage, with zero transit time"""
    CONTINUES = "continues"
    """the plan of this earlier step is continued"""
    INFEASIBLE = "infeasible"
    """proved, as a relaxation has no solution"""
    NO_PLAN_FOUND = "no_plan_found"
    """no plan that keeps every limit was found on the exact equations; that there is none is not proved"""
    SOLVER_TROUBLE = "solver_trouble"
    """the solver stopped before a plan that keeps every limit was found, which says nothing about plans"""
    VIOLATED_V_LOW = "violated_v_low_pu"
    """largest violation of a lower voltage limit, at the place [pu]"""
    VIOLATED_V_HIGH = "violated_v_high_pu"
    """largest violation of an upper voltage limit, at the place [pu]"""
    VIOLATED_LOADING = "violated_loading"
    """largest violation of a rating, at the place, as a share of it"""
    VIOLATED_EXCHANGE = "violated_exchange_mw"
    """largest violation of a limit of import or export, at the place [MW]"""
    VIOLATED_ENERGY = "violated_energy_mwh"
    """largest violation of an energy due [MWh]"""
    VIOLATED_OTHER = "violated_other"
    """largest violation of another limit of a device, in the unit that the place names"""
    INFEASIBLE_WITHOUT_DELAYS = "infeasible_without_delays"
    """no schedule keeps every limit, even with zero transit time"""
    LIMITS_WIDENED = "limits_widened"
    """by how much limits were widened to find the plan, on the one scale of violations"""
    RELAXATION_GAP = "relaxation_gap_pu2"
    """the relaxation is not tight: largest slack of a cone; the prediction is no power flow [pu²]"""
    ROUNDS = "rounds"
    """rounds of computing margins and solving"""
    MARGINS_UNSETTLED = "margins_unsettled_pu"
    """change of margins in the last round [pu, or share of a rating]"""
    INDIVIDUAL_CONFIDENCE = "individual_confidence"
    """confidence of every single limit, tuned for a joint one"""
    JOINT_CERTIFIED = "joint_certified"
    """share of days on which AC keeps every voltage and current, certified by fresh days; as much as was wanted"""
    JOINT_NOT_REACHED = "joint_not_reached"
    """the same where it is less than was wanted: no individual confidence was found that holds the joint one"""
    RESTS = "rests"
    """a device that the controller does not plan, or whose kind cannot be optimised"""
    DOES_NOTHING = "does_nothing"
    """doing nothing violates limits less than any plan found, or alike and costs less"""
    POWER_PLANNED_ANEW = "power_planned_anew"
    """the power was planned anew for the trips of a search"""
    AC_CORRECTIONS = "ac_corrections"
    """corrected plans that the host requested in the step"""
    NO_ROW = "no_row"
    """devices without a row in the replayed file in this step, while others or other steps have one"""

    @property
    def is_violation(self) -> bool:
        """Whether the note is about a violated limit."""
        return self.value.startswith("violated")


@dataclass(frozen=True)
class Note:
    """Note on a plan.

    Attributes
    ----------
    kind : what
    value : how much, or which, in the unit of the kind; NaN where it has none
    place : where, in words: a bus and a step, a store, a stage; empty where it is about the plan
    """

    kind: NoteKind
    value: float = float("nan")
    place: str = ""

    @property
    def words(self) -> str:
        """The note as text for users."""
        text = _NOTES[self.kind].format(0.0 if isnan(self.value) else self.value)
        return f"{self.place}: {text}" if self.place else text


@dataclass(frozen=True)
class SolverOutcome:
    """Outcome of planning; objective and bound are costs in the currency.

    Attributes
    ----------
    status : optimal (within the requested gap), locally optimal (on the exact equations, with a larger gap), feasible
        (stopped before the gap, or violates limits), rule (nothing was solved)
    ended : what a controller adds in its own words; shown to people, and read by nobody else
    objective, bound : cost of the plan, and a proved lower bound of it; NaN without a solver
    gap : ``(objective - bound) / |objective|``; NaN without a solver
    cone_gap : largest ``l v - p² - q²`` [pu²]; NaN without DistFlow
    seconds : time the solver took
    reference : what the horizon would cost if nothing were done, in the currency of the objective; NaN where unknown
    termination : why the solver stopped
    notes : what else is to be known of the plan
    """

    status: Status = Status.RULE
    ended: str = ""
    objective: float = float("nan")
    bound: float = float("nan")
    gap: float = float("nan")
    cone_gap: float = float("nan")
    seconds: float = 0.0
    reference: float = float("nan")
    termination: Termination = Termination.UNKNOWN
    notes: tuple[Note, ...] = ()

    @property
    def words(self) -> str:
        """Termination and notes as text for users; empty for a rule without notes."""
        parts = [_TERMINATIONS[self.termination], *(note.words for note in self.notes), self.ended]
        return "; ".join(part for part in parts if part)

    def note(self, kind: NoteKind) -> Note | None:
        """Return the first note of a kind, if any."""
        return next((note for note in self.notes if note.kind is kind), None)

    @property
    def violations(self) -> tuple[Note, ...]:
        """Notes on violated limits."""
        return tuple(note for note in self.notes if note.kind.is_violation)


_TERMINATIONS = {
    Termination.UNKNOWN: "",
    Termination.RULE: "",
    Termination.SOLVED: "solved",
    Termination.GAP_REACHED: "gap reached",
    Termination.TIME_LIMIT: "time limit",
    Termination.ACCURACY_EXHAUSTED: "accuracy exhausted",
    Termination.NUMERICAL_TROUBLE: "numerical trouble",
    Termination.CONTINUED: "continues the plan",
    Termination.PREVIOUS_PLAN: "previous plan",
}
_CERTIFIED = f"with {tolerances.CERTIFIED_WITH:.0%} confidence"
_NOTES = {
    NoteKind.BOUND_FOR_ROUTES: "the bound is for the routes decided at step {:.0f}",
    NoteKind.BOUND_FOR_INCUMBENT: "the bound is for the incumbent routes",
    NoteKind.BOUND_FOR_STAYING: "the bound is for staying",
    NoteKind.FIRST_STAGE: "first stage, without delays",
    NoteKind.CONTINUES: "of step {:.0f}",
    NoteKind.INFEASIBLE: "no plan keeps every limit",
    NoteKind.NO_PLAN_FOUND: "no plan that keeps every limit was found; that there is none is not proved",
    NoteKind.SOLVER_TROUBLE: "the solver stopped before a plan that keeps every limit was found",
    NoteKind.VIOLATED_V_LOW: "the voltage stays {:.4g} pu below its limit",
    NoteKind.VIOLATED_V_HIGH: "the voltage stays {:.4g} pu above its limit",
    NoteKind.VIOLATED_LOADING: "the loading stays {:.3%} of the rating above its limit",
    NoteKind.VIOLATED_EXCHANGE: "the exchange with the grid above stays {:.4g} MW above its limit",
    NoteKind.VIOLATED_ENERGY: "energy due falls short by {:.4g} MWh",
    NoteKind.VIOLATED_OTHER: "violated by {:.4g}",
    NoteKind.INFEASIBLE_WITHOUT_DELAYS: "no schedule keeps every limit even with zero transit time",
    NoteKind.LIMITS_WIDENED: "limits were widened by {:g} of a band, rating or rated energy to find the plan",
    NoteKind.RELAXATION_GAP: "the relaxation is not tight, by {:.3g} pu²: not a power flow",
    NoteKind.ROUNDS: "{:.0f} rounds",
    NoteKind.MARGINS_UNSETTLED: "margins changed by {:.3g} pu in the last round",
    NoteKind.INDIVIDUAL_CONFIDENCE: "individual confidence {:.4f}",
    NoteKind.JOINT_CERTIFIED: f"all voltages and currents hold; of all days on at least {{:.2%}}, {_CERTIFIED}",
    NoteKind.JOINT_NOT_REACHED: (
        f"all voltages and currents hold; joint confidence not reached: of all days on at least {{:.2%}}, {_CERTIFIED}"
    ),
    NoteKind.RESTS: "is not planned and rests",
    NoteKind.DOES_NOTHING: "does nothing, as no plan found is better",
    NoteKind.POWER_PLANNED_ANEW: "power planned anew for the trips found",
    NoteKind.AC_CORRECTIONS: "corrected by AC, {:.0f} plans requested",
    NoteKind.NO_ROW: "without a row in the plan, rests or stays",
}
