"""What the controller planned: against AC, in what time, with what gap and notes; where it failed."""

from __future__ import annotations

import json
from typing import Any

from gridferry.sim.results.report.markup import cell, table, text
from gridferry.sim.results.report.source import Source, panel
from gridferry.sim.results.run_directory import FAILURES

_SHOWN = 200
_ERRORS = """
    WITH error AS (SELECT step, abs(v_plan_pu - v_pu) AS pu FROM bus WHERE NOT isnan(v_plan_pu) AND NOT isnan(v_pu))
    SELECT step, 'largest of all buses' AS name, max(pu) AS value FROM error GROUP BY step
    UNION ALL SELECT step, 'RMS', sqrt(avg(pu ** 2)) FROM error GROUP BY step ORDER BY name DESC, step
"""
_LOSSES = """
    SELECT step, 'AC' AS name, sum(losses_mw) AS value FROM network GROUP BY step
    UNION ALL SELECT step, 'planned', sum(losses_plan_mw) FROM network GROUP BY step ORDER BY name, step
"""


def plan_against_ac(source: Source) -> str:
    """Return the picture of errors of predicted voltages, and of losses, planned and real."""
    panels = [
        panel(unit, _series(source, query), title)
        for query, unit, title in ((_ERRORS, "pu", "|V planned − V in AC|"), (_LOSSES, "MW", "losses"))
    ]
    gaps = _of_step(source, "cone_gap")
    panels += [panel("pu²", gaps, "relaxation gap")] if gaps else []
    return source.picture("plan-against-ac", "", {"type": "lines", "panels": panels})


def solver(source: Source) -> str:
    """Return times, gaps, how solving ended, and notes."""
    wanted = (
        ("decision_seconds", "s", "decision time"),
        ("solver_seconds", "s", "time in the solver"),
        ("gap", "", "relative gap"),
        ("gap_of_saving", "", "gap as a share of the saving"),
    )
    drawn = [(_of_step(source, name), unit, title) for name, unit, title in wanted]
    panels = [panel(unit, own, title) for own, unit, title in drawn if any(any(one["values"]) for one in own)]
    shown = source.picture("solver", "", {"type": "lines", "panels": panels}) if panels else ""
    ends = source.results.execute(
        "SELECT solver_status, solver_termination, count(*), min(step) FROM step GROUP BY ALL ORDER BY min(step)"
    ).fetchall()
    heads = ("status", "ended", "steps", "first at")
    shown += table(
        "solver-ends", heads, (_counted(source, (status, end), count, at) for status, end, count, at in ends)
    )
    notes: dict[tuple[str, str], list[int]] = {}
    for step, found in source.results.execute(
        "SELECT step, solver_notes FROM step WHERE length(solver_notes) > 2 ORDER BY step"
    ).fetchall():
        for one in json.loads(found):
            notes.setdefault((str(one["kind"]), str(one["place"])), []).append(step)
    if notes:
        rows = [
            _counted(source, (kind.replace("_", " "), place), len(at), at[0]) for (kind, place), at in notes.items()
        ]
        shown += "<h3>Notes</h3>" + table("notes", ("note", "place", "steps", "first at"), rows[:_SHOWN])
    return shown


def failures(source: Source) -> str:
    """Return the failures of the controller."""
    steps = source.run.table("step")
    failed = steps[steps["failure"] != ""]
    fell_back = int((failed["fallback"] != "").sum())
    lead = f"<p>In {len(failed)} of {len(steps)} steps; {fell_back} fell back. Tracebacks are in {FAILURES}.</p>"
    rows = [
        f"<tr><td>{_at(source, int(step))}</td><td>{text(instead)}</td><td>{text(why)}</td></tr>"
        for step, instead, why in failed.head(_SHOWN)[["step", "fallback", "failure"]].to_numpy()
    ]
    more = f"<p>The first {_SHOWN}:</p>" if len(failed) > _SHOWN else ""
    return lead + more + table("failures", ("at", "dispatched instead", "failure"), rows)


def _of_step(source: Source, column: str) -> list[dict[str, Any]]:
    """Series of a column of table ``step``; none where the record is too old to have it."""
    names = {name for (name,) in source.results.execute("SELECT column_name FROM (DESCRIBE step)").fetchall()}
    query = f"SELECT step, '{column}' AS name, {column} AS value FROM step WHERE isfinite({column}) ORDER BY step"
    return _series(source, query) if column in names else []


def _series(source: Source, query: str) -> list[dict[str, Any]]:
    found = source.series(source.frame(query))
    return [
        {"name": name, "colour": k, "style": "under" if name == "planned" else ("", "dash")[k % 2], **own}
        for k, (name, own) in enumerate(found.items())
    ]


def _counted(source: Source, words: tuple[str, ...], count: int, first: int) -> str:
    return f"<tr>{''.join(f'<td>{text(one)}</td>' for one in words)}{cell(count)}<td>{_at(source, first)}</td></tr>"


def _at(source: Source, step: int) -> str:
    return f'<a href="#map" data-frame="{step // source.block}">{text(source.clock(step))}</a>'
