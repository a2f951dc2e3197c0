"""Costs of a run: by cost term, and as in the summary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import duckdb

from gridferry.controllers.schedule.settlement import ENERGY

PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "grid": (ENERGY,),
    "truck": ("fuel", "labour"),
    "ess": ("wear",),
    "res": ("feed_in",),
}
"""Sums of cost terms that the summary and table ``step`` have under other names; further terms have their own."""

SOLVED = "(SELECT step FROM network GROUP BY step HAVING bool_and(converged))"
"""Steps in which every network has a power flow."""


def published(terms: Mapping[str, float], name: str) -> float:
    """Return a sum of cost terms in the summary; missing terms count as zero."""
    return math.fsum(terms.get(term, 0.0) for term in PUBLISHED[name])


def cost_figures(connection: duckdb.DuckDBPyConnection, step_h: float) -> dict[str, Any]:
    """Return the figures of ``cost`` in the summary [currency].

    All of them are over the same steps: those in which every network has a power flow.
    """
    (income, energy) = connection.execute(
        f"""
        WITH demand AS (SELECT step, sum(p_load_mw) AS load, sum(p_gen_mw) AS gen FROM bus GROUP BY step)
        SELECT coalesce(sum(load * sell_price), 0) * {step_h}, coalesce(sum((load - gen) * buy_price), 0) * {step_h}
        FROM demand JOIN step USING (step) WHERE step IN {SOLVED}
        """
    ).fetchall()[0]
    sums = connection.execute(
        f"""
        SELECT term, sum(cost) FILTER (isfinite(cost) AND step IN {SOLVED})
        FROM cost WHERE cost IS NOT NULL GROUP BY term ORDER BY min(rowid)
        """
    ).fetchall()
    terms = {term: total or 0.0 for term, total in sums}
    paid = {name: published(terms, name) for name in PUBLISHED}
    return {
        "income": income,
        "grid": paid["grid"],
        "mess": paid["truck"] + paid["ess"],
        "truck": paid["truck"],
        "ess": paid["ess"],
        "res": paid["res"],
        "profit": income - math.fsum(terms.values()),
        "procurement_cost": paid["grid"],
        "controllable_cost": paid["grid"] - energy,
        "terms": terms,
    }


def operating_cost(summary: Mapping[str, Any]) -> float | None:
    """Return the operating cost in a summary: the sum of all cost terms [currency].

    ``None`` if it has none: of an earlier version, or of a run with steps without a power flow.

    Income is left out: loads are what they are, whoever plans.
    """
    terms = summary.get("cost", {}).get("terms")
    return None if terms is None else math.fsum(terms.values())
