"""Reliability of a schedule by AC power flow under samples of forecast errors.

Devices are simulated under the schedule, with loads and outputs that differ from the forecast by the sampled errors.
Every sample, step and network is solved in AC (`gridferry.controllers.schedule.sampled_evaluation`). Samples are
streamed, and only three numbers of each are kept. Limits are those of voltages, and of the currents of rated branches.
Where the traffic errs, trucks drive anew in every sample, and may come late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.schedule.ac_evaluation import Evaluation, Schedules, evaluate
from gridferry.controllers.schedule.sampled_evaluation import SampledEvaluation
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.networks.droop import Solver
from gridferry.networks.feeder import Feeder
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine
from gridferry.sim.study.estimates import Estimate, mean, share

_TOLERANCE_PU = 1e-10
"""bound of the voltage error that sweeps leave [pu]"""
_FLOWS = 2_048
"""Power flows in one batch at most; bounds memory, and keeps the work arrays in the cache."""


@dataclass(frozen=True)
class Reliability:
    """Reliability, cost and losses of a schedule in AC.

    Attributes
    ----------
    samples, steps : sampled days (horizons) and steps of each
    flows, diverged : power flows solved, and those of them without a solution; these count as outside the limits, and
        samples with one are left out of losses and costs
    joint : share of samples with every bus, rated branch and step inside its limits
    step : share of sample-steps with every bus and rated branch inside
    worst_bus_step : lowest share over single steps of a bus or rated branch, what an individual chance constraint
        promises; its interval is that of this bus-step by itself
    losses_mwh : mean losses of all networks per sample [MWh]
    controllable_cost : mean per sample of all energy bought less all sold, each network by itself, and what devices
        cost, less the energy of loads and outputs at the buying price [currency]
    seconds : time taken
    """

    samples: int
    steps: int
    flows: int
    diverged: int
    joint: Estimate
    step: float
    worst_bus_step: Estimate
    losses_mwh: float
    controllable_cost: Estimate
    seconds: float


def reliability(
    plant: Plant,
    plan: Plan,
    observation: Observation,
    forecast: Forecast,
    error_map: ErrorMap,
    errors: Iterable[Float[np.ndarray, "_ horizon source"]],
    *,
    v_tolerance_pu: float = 1e-6,
    threads: int = 0,
) -> Reliability:
    """Evaluate a plan by AC power flow under sampled errors.

    Parameters
    ----------
    plan : for all steps of the forecast
    observation, forecast : what it was made for; error samples of the forecast are not used
    error_map, errors : sources, and their samples in chunks (`ErrorModel.stream`)
    v_tolerance_pu : a voltage this far outside its limits still counts as inside [pu]
    threads : threads of the AC power flow; 0 takes as many as there are processors

    Raises
    ------
    ValueError
        for shapes that do not fit the plant, the forecast and the sources.
    """
    began = time.perf_counter()
    _check(plant, plan, forecast, error_map)
    solvers = [_solver(feeder, threads) for feeder in plant.feeders]
    sampled = [one.device.key for one in error_map.ports]
    evaluation = SampledEvaluation(plant, plan, observation, forecast, sampled, solvers)
    counted = _Counted(plant, forecast.steps, v_tolerance_pu)
    price = forecast.buy_price * plant.step_h
    for chunk in _portions(errors, forecast.steps, len(error_map.sources)):
        found = evaluation.under(error_map, chunk)
        counted.add(found, (evaluation.injected_mw - found.flow.p_mw.sum(axis=2)) @ price)
    return counted.reliability(time.perf_counter() - began)


def reliability_in(
    plant: Plant,
    plan: Plan,
    observation: Observation,
    realities: Iterable[Forecast],
    *,
    v_tolerance_pu: float = 1e-6,
) -> Reliability:
    """Evaluate a plan by AC power flow in each of some realities, in which trucks drive as the traffic has it.

    Parameters
    ----------
    plan, observation : as for `reliability`
    realities : what surrounds the devices in every step of the plan
    """
    began = time.perf_counter()
    schedules, counted = Schedules.of_plan(plan, plan.steps), _Counted(plant, plan.steps, v_tolerance_pu)
    for reality in realities:
        found = evaluate(plant, schedules, observation, reality)
        counted.add(found, reality.net_load_mw(plant).sum(axis=1) @ (reality.buy_price * plant.step_h))
    return counted.reliability(time.perf_counter() - began)


class _Counted:
    """What samples came to: three numbers of each, and how often each limit was kept in each step."""

    def __init__(self, plant: Plant, steps: int, v_tolerance_pu: float):
        self._plant = plant
        self._v_min = np.concatenate([feeder.v_min_pu for feeder in plant.feeders]) - v_tolerance_pu
        self._v_max = np.concatenate([feeder.v_max_pu for feeder in plant.feeders]) + v_tolerance_pu
        self._rated = np.flatnonzero(np.isfinite(np.concatenate([feeder.i_max_pu for feeder in plant.feeders])))
        most = np.concatenate([feeder.loading_max for feeder in plant.feeders]) + tolerances.LOADING_AC
        self._most = most[self._rated]
        self._inside = np.zeros((steps, plant.n_bus + self._rated.size), dtype=np.int64)
        self._diverged = 0
        self._kept = [np.zeros((0, 3))]

    def add(self, found: Evaluation, demand: np.ndarray | float) -> None:
        """Count samples; ``demand`` is what the energy of their loads and outputs costs [currency]."""
        flow, cost = found.flow, found.cost.sum(axis=1)
        # a diverged flow is NaN, which no comparison passes
        within: Bool[np.ndarray, "sample horizon limited"] = (flow.v_pu >= self._v_min) & (flow.v_pu <= self._v_max)
        if self._rated.size:
            within = np.concatenate([within, flow.loading[..., self._rated] <= self._most], axis=2)
        self._inside += within.sum(axis=0)
        self._diverged += int(np.isnan(flow.import_mw).sum())
        losses = flow.losses_mw.sum(axis=(1, 2)) * self._plant.step_h
        self._kept.append(np.stack([np.all(within, axis=2).sum(axis=1), losses, cost - demand], axis=1))

    def reliability(self, seconds: float) -> Reliability:
        """Return the figures of all samples."""
        steps_inside, losses_mwh, controllable = np.concatenate(self._kept).T
        samples, steps = len(steps_inside), len(self._inside)
        return Reliability(
            samples=samples,
            steps=steps,
            flows=samples * steps * len(self._plant.feeders),
            diverged=self._diverged,
            joint=share(int((steps_inside == steps).sum()), samples),
            step=float(steps_inside.sum()) / max(samples * steps, 1),
            worst_bus_step=share(int(self._inside.min()), samples),
            losses_mwh=mean(losses_mwh[np.isfinite(losses_mwh)]).value,
            controllable_cost=mean(controllable[np.isfinite(controllable)]),
            seconds=seconds,
        )


def _solver(feeder: Feeder, threads: int) -> Solver:
    """Sweeps, and Newton's method for the rows in which they do not converge."""

    def solve(p_mw: np.ndarray, q_mvar: np.ndarray) -> np.ndarray:
        v, converged = solve_sweep(feeder, p_mw, q_mvar, _TOLERANCE_PU, threads=threads)
        if not converged.all():
            v[~converged], _ = PowerGridModelEngine(feeder).solve_batch(p_mw[~converged], q_mvar[~converged])
        return v

    return solve


def _portions(
    errors: Iterable[np.ndarray], steps: int, sources: int
) -> Iterator[Float[np.ndarray, "sample horizon source"]]:
    """Divide chunks with too many flows."""
    most = max(1, _FLOWS // steps)
    for chunk in errors:
        if chunk.shape[1:] != (steps, sources):
            raise ValueError(f"error samples have shape {chunk.shape}; (sample, {steps}, {sources}) is needed")
        for start in range(0, len(chunk), most):
            yield chunk[start : start + most]


def _check(plant: Plant, plan: Plan, forecast: Forecast, error_map: ErrorMap) -> None:
    if plan.steps != forecast.steps:
        raise ValueError(f"the plan has {plan.steps} steps and the forecast {forecast.steps}; they must have the same")
    sources, ports = len(error_map.sources), len(error_map.ports)
    if (error_map.load.shape, error_map.generation.shape) != ((plant.n_bus, sources), (ports, sources)):
        raise ValueError(
            f"the error map has shapes {error_map.load.shape}, {error_map.generation.shape}, which do not fit the "
            f"plant's {plant.n_bus} buses and {ports} ports that err"
        )
