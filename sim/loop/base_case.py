"""The base case of a run: the same reality, and nothing done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers.contract import Observation, hold
from gridferry.controllers.plans.first_step import nows_of_step, observed
from gridferry.controllers.schedule.ac_evaluation import Evaluation, Schedules, evaluate
from gridferry.controllers.schedule.grid_limits import GridViolation, plain_limits
from gridferry.sim.case.case import Case


def base_case_figures(case: Case, steps: int) -> dict[str, Any]:
    """Return the figures of doing nothing in the first steps of a run, for its summary.

    Returns
    -------
    ``operating_cost``, ``import_mwh``, ``losses_mwh`` : absent where a power flow has no solution
    ``v_min_pu``, ``v_max_pu``, ``loading_max_percent`` : where there is one
    ``violations``, ``diverged_steps`` : as of the run
    """
    found, violation = at_rest(case, steps)
    flow, step_h = found.flow, case.plant.step_h
    solved = flow.converged[0].all(axis=-1)
    figures: dict[str, Any] = {}
    if solved.all():
        figures["operating_cost"] = float(found.cost.sum())
        figures["import_mwh"] = float(np.maximum(flow.import_mw, 0.0).sum() * step_h)
        figures["losses_mwh"] = float(flow.losses_mw.sum() * step_h)
    if np.isfinite(flow.v_pu).any():
        figures |= {"v_min_pu": float(np.nanmin(flow.v_pu)), "v_max_pu": float(np.nanmax(flow.v_pu))}
        if any(np.isfinite(one.i_max_pu).any() for one in case.plant.feeders):
            figures["loading_max_percent"] = 100.0 * float(np.nanmax(flow.loading, initial=0.0))
    figures["violations"] = int(violation.broken.sum())
    return figures | {"diverged_steps": int((~solved).sum())}


def at_rest(case: Case, steps: int) -> tuple[Evaluation, GridViolation]:
    """Evaluate doing nothing in the first steps of a run, and by how much it violates limits of the grid."""
    plant, grid, start = case.plant, case.loaded.config.grid, observation_at_start(case)
    rest = Schedules.of_plan(hold(plant, start, steps), steps)
    found = evaluate(plant, rest, start, case.conditions.rows(slice(steps)))
    limits = replace(
        plain_limits(plant),
        v_tolerance_pu=grid.v_tolerance_pu,
        loading_tolerance=grid.loading_tolerance_percent / 100.0,
    )
    return found, limits.violation(found.flow)


def observation_at_start(case: Case) -> Observation:
    """Return what is measured at the start of a run."""
    plant, series = case.plant, case.conditions.series_at(0)
    nows = nows_of_step(plant, 0, [series[device.key] for device in plant.devices])
    states = [device.initial_state(now) for device, now in zip(plant.devices, nows, strict=True)]
    return Observation(
        step=0,
        **observed(plant, states),
        v_pu=np.full(plant.n_bus, np.nan),
        p_branch_mw=np.full(plant.n_branch, np.nan),
        q_branch_mvar=np.full(plant.n_branch, np.nan),
        peak_import_mw=plant.peak_import_mw(),
    )
