"""The verdict on a run in a sentence: held or broken, by what, where and when; what it cost; what failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.metrics import Violation, violated_places
from gridferry.sim.results.report.markup import text
from gridferry.sim.results.run_directory import Run, open_results, run_facts


@dataclass(frozen=True)
class Answer:
    """Answer to whether a run held.

    Attributes
    ----------
    kept : limits were kept, devices did what was planned, nothing is missing; ``None``: kept, but not done as planned
    sentences : why, what it cost, what failed
    """

    kept: bool | None
    sentences: tuple[str, ...]

    @property
    def word(self) -> str:
        """The answer in a word or three."""
        return "not as planned" if self.kept is None else "yes" if self.kept else "no"


def answer(run: Run) -> Answer:
    """Return whether a run held, in sentences."""
    summary = run.summary
    if summary["steps"] == 0:
        return Answer(False, ("Not run: no step was recorded.",))
    with open_results(run.directory) as results:
        places = violated_places(results, run_facts(run))
        begins = [time for (time,) in results.execute("SELECT time FROM step ORDER BY step").fetchall()]
        (diverged,) = results.execute("SELECT min(step) FROM network WHERE NOT converged").fetchall()[0]
        (failed,) = results.execute("SELECT min(step) FROM step WHERE failure <> ''").fetchall()[0]
    reasons = summary.get("execution", {}).get("reasons", [])
    unfinished = summary["status"] in ("failed", "running")
    broken = bool(places) or diverged is not None
    sentences = []
    if unfinished:
        sentences.append(f"Not finished, after {summary['steps']} steps: {summary.get('failure', 'stopped')}.")
    if places:
        total = sum(one.steps for one in places)
        worst = max((one.worst for one in places), key=lambda one: one.excess / abs(one.limit or 1.0))
        many = f"{total} limit violations at {len(places)} places, the worst: " if total > 1 else ""
        sentences.append(f"Broken: {many}{_violation(worst)}.")
    if diverged is not None:
        count = summary["grid"]["diverged_steps"]
        sentences.append(f"No power flow in {_steps(count)}, first at {clock(begins[diverged])}.")
    if not broken:
        every = "So far, every" if unfinished else "Held: every"
        sentences.append(f"{every} limit was kept in AC, in all {_steps(len(begins))} from {clock(begins[0])} on.")
    if reasons:
        sentences.append(f"Not done as planned: {'; '.join(reasons)}.")
    sentences += [
        *_certificate(summary),
        *_cost(summary),
        _failures(summary, None if failed is None else begins[failed]),
    ]
    kept = not broken and not unfinished
    return Answer(None if kept and reasons else kept, tuple(sentences))


def verdict(run: Run) -> str:
    """Return the verdict as HTML."""
    found = answer(run)
    kind = {True: "kept", False: "broken", None: "partly"}[found.kept]
    first, *rest = found.sentences
    return f'<p id="verdict" class="{kind}"><strong>{text(first)}</strong> {text(" ".join(rest))}</p>'


def clock(time: str) -> str:
    """Write a time of the record for people, as the run's clock showed it."""
    return pd.Timestamp(time[:16]).strftime("%H:%M on %a %d %b %Y")


def _steps(number: int) -> str:
    return f"{number} step" + ("s" if number != 1 else "")


def _violation(one: Violation) -> str:
    where = f"bus {one.element} of {one.network}" if one.kind == "voltage" else f"line {one.element} of {one.network}"
    where = where if one.kind in ("voltage", "loading") else f"{one.kind} of {one.network}"
    unit = {"voltage": "pu", "loading": "%"}.get(one.kind, "MW")
    side = "below" if one.value < one.limit else "above"
    return f"{where} at {one.value:.5g} {unit}, {one.excess:.3g} {unit} {side} its limit, at {clock(one.time)}"


def _certificate(summary: dict[str, Any]) -> list[str]:
    found = summary.get("joint_reliability")
    if found is None:
        return []
    share = f"at least {found['certified']:.2%} of days keep all voltages and currents under its first plan"
    known = f"certified with {found['certified_with']:.0%} confidence, as {found['kept']} did"
    return [f"{'' if found['reached'] else 'Joint confidence not reached: '}{share}, {known}.".capitalize()]


def _cost(summary: dict[str, Any]) -> list[str]:
    cost, currency = operating_cost(summary), summary["currency"]
    if cost is None:
        return []
    base = summary.get("base_case", {}).get("operating_cost")
    if base is None:
        return [f"It cost {cost:,.2f} {currency}."]
    share = f" ({abs(base - cost) / abs(base):.2%})" if base else ""
    saving = f"{abs(base - cost):,.2f} {currency}{share} {'less' if cost <= base else 'more'} than doing nothing"
    violations = summary["base_case"].get("violations")
    return [
        f"It cost {cost:,.2f} {currency}: {saving}, which breaks limits {violations} times."
        if violations
        else f"It cost {cost:,.2f} {currency}: {saving}."
    ]


def _failures(summary: dict[str, Any], first: str | None) -> str:
    solver = summary["solver"]
    if first is None:
        return "Nothing failed."
    fell = f"; {solver['fallbacks']} fell back" if solver.get("fallbacks") else ""
    return f"The controller failed in {_steps(solver['failures'])}, first at {clock(first)}{fell}."
