"""Limit violations by place, each with a link to its spot in the pictures."""

from __future__ import annotations

from typing import Any

from gridferry.sim.results.metrics import ViolatedPlace, violated_places
from gridferry.sim.results.report.markup import cell, table, text
from gridferry.sim.results.report.source import Source
from gridferry.sim.results.run_directory import run_facts

_SHOWN = 200
_UNIT = {"voltage": "pu", "loading": "%", "import": "MW", "export": "MW"}


def violations(source: Source, networks: list[dict[str, Any]]) -> str:
    """Return the section: places with number, times and size of their violations; steps without a power flow."""
    found = violated_places(source.results, run_facts(source.run))
    parts = [_diverged(source)]
    if not found:
        return "".join([*parts, "<p>None.</p>"])
    total = sum(one.steps for one in found)
    parts.append(
        f"<p>{total} violations at {len(found)} places{_cut(found)}. A time leads to its spot in the pictures.</p>"
    )
    heads = ("where", "what", "worst", "limit", "by", "at", "steps", "from", "to")
    rows = (_row(source, networks, one) for one in found[:_SHOWN])
    return "".join([*parts, table("violations", heads, rows)])


def _cut(found: list[ViolatedPlace]) -> str:
    return f"; the worst {_SHOWN}" if len(found) > _SHOWN else ""


def _row(source: Source, networks: list[dict[str, Any]], one: ViolatedPlace) -> str:
    worst = one.worst
    unit = _UNIT[worst.kind]
    where = f"{worst.network} {worst.element}".strip()
    sizes = (f"{worst.value:.5g} {unit}", f"{worst.limit:.5g} {unit}", f"{worst.excess:.3g} {unit}")
    at = (spot(source, networks, one, step) for step in (worst.step, one.first, one.last))
    linked = [f"<td>{link}</td>" for link in at]
    what = {"voltage": "voltage", "loading": "loading"}.get(worst.kind, worst.kind)
    cells = "".join(map(cell, sizes)) + linked[0] + cell(one.steps) + linked[1] + linked[2]
    return f"<tr><td>{text(where)}</td><td>{text(what)}</td>{cells}</tr>"


def spot(source: Source, networks: list[dict[str, Any]], one: ViolatedPlace, step: int) -> str:
    """Return the time of a step as a link to where it shows what is violated at a place."""
    worst, number = one.worst, [net["name"] for net in networks].index(one.worst.network)
    link = f'data-frame="{step // source.block}"'
    target = "plot-import"
    if worst.kind in ("voltage", "loading"):
        of = "bus" if worst.kind == "voltage" else "line"
        link += f' data-network="{number}" data-of="{of}" data-k="{networks[number][of].index(worst.element)}"'
        target = "map"
    return f'<a href="#{target}" {link}>{text(source.clock(step))}</a>'


def _diverged(source: Source) -> str:
    steps = [
        step
        for (step,) in source.results.execute(
            "SELECT DISTINCT step FROM network WHERE NOT converged ORDER BY step"
        ).fetchall()
    ]
    if not steps:
        return ""
    shown = ", ".join(
        f'<a href="#map" data-frame="{one // source.block}">{text(source.clock(one))}</a>' for one in steps[:_SHOWN]
    )
    return f"<p>{len(steps)} steps have no power-flow solution: {shown}{' …' if len(steps) > _SHOWN else ''}</p>"
