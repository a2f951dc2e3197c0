"""Days on which AC keeps every voltage and current under a plan, among days drawn of forecast errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Complex, Float

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.schedule.grid_limits import GridViolation, plain_limits
from gridferry.controllers.schedule.sampled_evaluation import SampledEvaluation
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep

CHUNK = 64
"""days drawn and solved at once, which keeps work arrays in the cache"""
_TOLERANCE_PU = 1e-9
"""error that is left of a voltage, well below what counts as a violation [pu]"""


def bad_days(
    plant: Plant,
    plan: Plan,
    observation: Observation,
    forecast: Forecast,
    errors: ErrorMap,
    days: Iterator[Float[np.ndarray, "_ horizon source"]],
    most: int | None = None,
) -> int:
    """Count the days on which a limit of a voltage or current is violated, or a network has no power flow.

    Parameters
    ----------
    observation, forecast : what the plan was made for; devices start as observed
    errors, days : sources of errors, and samples of them in chunks
    most : counting ends where there are more; all days are counted when not given
    """
    sampled = sorted({one.device.key for one in errors.ports})
    solvers = [partial(_solve, feeder) for feeder in plant.feeders]
    evaluation = SampledEvaluation(plant, plan, observation, forecast, sampled, solvers)
    limits, bad = plain_limits(plant), 0
    for chunk in days:
        found = evaluation.under(errors, chunk)
        bad += int(_violated(limits.violation(found.flow)).any(axis=1).sum())
        if most is not None and bad > most:
            break
    return bad


def _violated(grid: GridViolation) -> np.ndarray:
    violated = grid.unsolved > 0
    for one in (grid.v_low_pu, grid.v_high_pu, grid.loading):
        violated = violated | (one > 0).any(axis=-1)
    return violated


def _solve(
    feeder: Feeder, p_mw: Float[np.ndarray, "row bus"], q_mvar: Float[np.ndarray, "row bus"]
) -> Complex[np.ndarray, "row bus"]:
    return solve_sweep(feeder, p_mw, q_mvar, tolerance_pu=_TOLERANCE_PU, threads=0)[0]


Counting = Callable[[Plan, int | None], int]
"""number of bad days under a plan; counting may end where there are more than given"""
