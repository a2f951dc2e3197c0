"""Summary of a run: what ``summary.json`` holds."""

from __future__ import annotations

from typing import Any

import duckdb

from gridferry.sim.case.case import Case
from gridferry.sim.loop.base_case import base_case_figures
from gridferry.sim.loop.execution import execution_of, verdict_of
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.metrics import RunFacts, summarise

_MOST_AT_REST = 500_000
"""voltages of a base case that is evaluated at once beside a run, which holds all of its steps in memory"""


def run_summary(
    case: Case, connection: duckdb.DuckDBPyConnection, facts: RunFacts, failure: str, base_case: bool
) -> dict[str, Any]:
    """Return the summary of a run: what was run, its figures, and the verdict if it came to its end.

    Parameters
    ----------
    failure : why it did not; empty if it did
    base_case : add the figures of doing nothing, however long the run; else of a run of moderate size
    """
    config, steps = case.loaded.config, recorded_steps(connection)
    found = summarise(connection, facts)
    diverged = found["grid"]["diverged_steps"] > 0
    summary = {
        "status": "failed" if failure else "diverged" if diverged else "completed",
        "config": config.name,
        "controller": config.controller.use,
        "steps": steps,
        "step_s": case.plant.step_s,
        "seed": config.seed,
        "currency": config.currency,
        **({"failure": failure} if failure else {}),
        **found,
    }
    if failure:
        return summary
    execution = execution_of(connection, case.plant)
    feasible = not diverged and not found["grid"]["violations"]
    summary |= {
        "verdict": verdict_of(feasible, execution).value + _joint(found),
        "execution": {**vars(execution), "reasons": execution.reasons},
    }
    if base_case or steps * case.plant.n_bus <= _MOST_AT_REST:
        summary["base_case"] = base_case_figures(case, steps)
        costs = summary["base_case"].get("operating_cost"), operating_cost(summary)
        if costs[0] is not None and costs[1] is not None:
            summary["base_case"]["saving"] = costs[0] - costs[1]
    return summary


def _joint(found: dict[str, Any]) -> str:
    """What the verdict says of a joint confidence that was wanted and is not reached."""
    return "" if found.get("joint_reliability", {}).get("reached", True) else "; joint confidence not reached"


def recorded_steps(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the number of steps in a record."""
    return int(connection.execute("SELECT count(*) FROM step").fetchall()[0][0])
