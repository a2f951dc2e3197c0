"""Links under uncertainty: what the closed-form margins save, and how fast plans are judged in AC.

* plan: the whole plan of the case of two networks (margins, re-linearising, solving) with 30 and with 300 samples;
* full scenario formulation: the same chance constraints with auxiliary variables for every bus, step, side and sample,
  written as one cone program [Mohajerin Esfahani and Kuhn 2018] and solved by Clarabel, against margins and one solve.
  Both take the same sensitivities of squared voltages and must find the same cost. The errors are unbounded here: with
  a box the full formulation has five times the variables, ours none more;
* Monte Carlo: days judged in AC, beside power-grid-model solving the same flows alone and a loop of pandapower.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import clarabel
import cvxpy as cp
import numpy as np
import pandapower as pp
import scipy.sparse as sp

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Forecast
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.dispatch_model import DispatchModel, build_dispatch_model
from gridferry.controllers.model.networks import Limits
from gridferry.controllers.model.objective import ModelOptions, stands_still
from gridferry.controllers.mvdc_drcc import MvdcDrcc, MvdcDrccSettings
from gridferry.controllers.plans.injections import device_injections
from gridferry.controllers.solve import solve
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.controllers.uncertainty.error_model import ErrorModel, Purpose
from gridferry.controllers.uncertainty.margins import Norm, wasserstein_margin
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import operating_point, voltage_response
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.grid.pandapower_net import net_of_feeder
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine
from gridferry.sim.study.monte_carlo import reliability

BETA, RADIUS = 0.05, 0.003


@dataclass(frozen=True, eq=False)
class Setting:
    """The case, cut to some steps, and its linearisation."""

    case: Case
    controller: MvdcDrcc
    forecast: Forecast
    sources: ErrorMap
    sensitivity: np.ndarray
    errors: ErrorModel


def setting(steps: int, **options: object) -> Setting:
    given = ["time.steps=" + str(steps)] + [f"controller.{key}={value!r}" for key, value in options.items()]
    case = build_case(load_config("mvdc_2dn", given))
    controller = case.controller()
    assert isinstance(controller, MvdcDrcc)
    forecast = case.forecaster.at(0)
    plant = case.plant
    sources = controller.margins.ambiguity(0, forecast).errors
    v = operating_point(plant, -forecast.net_load_mw(plant), -forecast.load_q_mvar)
    p_per, q_per = sources.injections(forecast)
    of_networks = [
        2.0 * np.abs(v[:, at, None]) * voltage_response(feeder, v[:, at], p_per[:, at], q_per[:, at])
        for feeder, at in zip(plant.feeders, plant.bus_slices, strict=True)
    ]
    assert isinstance(controller.settings, MvdcDrccSettings)
    _, errors = plant_errors(plant, controller.settings.errors)
    return Setting(case, controller, forecast, sources, np.concatenate(of_networks, axis=1), errors)


def limits(given: Setting) -> tuple[np.ndarray, np.ndarray]:
    feeders = given.case.plant.feeders
    low = np.concatenate([feeder.v_min_pu for feeder in feeders]) ** 2
    high = np.concatenate([feeder.v_max_pu for feeder in feeders]) ** 2
    shape = given.sensitivity.shape[:2]
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)


def between(given: Setting, low: np.ndarray, high: np.ndarray) -> DispatchModel:
    """The model with these limits of squared voltages."""
    plant = given.case.plant
    limits = Limits(v_low_sq=low, v_high_sq=high, rating=np.ones((given.forecast.steps, plant.n_branch)))
    outlook = Outlook(plant, at_start(plant), given.forecast)
    return build_dispatch_model(outlook, limits, ModelOptions(plans=stands_still))


def by_margins(given: Setting, samples: np.ndarray) -> tuple[float, float]:
    """Seconds and cost with the margins in closed form."""
    began = time.perf_counter()
    low, high = limits(given)

    def margin(a: np.ndarray) -> np.ndarray:
        return wasserstein_margin(a, samples, confidence=1 - BETA, radius=RADIUS, norm=Norm.ONE)

    cost = solve(between(given, low + margin(-given.sensitivity), high - margin(given.sensitivity)).model).objective
    return time.perf_counter() - began, cost


def by_scenarios(given: Setting, samples: np.ndarray) -> tuple[float, float, int]:
    """Seconds inside Clarabel, cost and number of variables with every sample in the problem."""
    plant = given.case.plant
    low, high = limits(given)
    model = between(given, 0.0 * low, 4.0 * high)
    constraints = list(model.model.constraints)
    flows = [network.flow for network in model.networks.values()]
    for flow, buses, feeder in zip(flows, plant.bus_slices, plant.feeders, strict=True):
        away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
        for t in range(given.forecast.steps):
            a = given.sensitivity[t, buses][away]
            own = np.flatnonzero(np.abs(a).max(axis=0) > 0)
            y = flow.v_sq[t, away]
            for excess, sign in ((low[t, buses][away] - y, -1.0), (y - high[t, buses][away], 1.0)):
                constraints += chance(excess, sign * a[:, own], samples[:, t][:, own])
    problem = cp.Problem(cp.Minimize(model.model.cost), constraints)
    data, _, inverse = problem.get_problem_data(cp.CLARABEL, ignore_dpp=True)
    dims = data["dims"]
    cones = [clarabel.ZeroConeT(dims.zero), clarabel.NonnegativeConeT(dims.nonneg)]
    cones += [clarabel.SecondOrderConeT(size) for size in dims.soc]
    options = clarabel.DefaultSettings()
    options.verbose = False
    n = len(data["c"])
    began = time.perf_counter()
    answer = clarabel.DefaultSolver(sp.csc_matrix((n, n)), data["c"], data["A"], data["b"], cones, options).solve()
    seconds = time.perf_counter() - began
    return seconds, answer.obj_val + float(inverse[-1][cp.settings.OFFSET]), n


def chance(y: cp.Expression, a: np.ndarray, samples: np.ndarray) -> list[cp.Constraint]:
    """``sup CVaR[y + aᵀξ] ≤ 0`` over the ball in the 1-norm: τ, λ and one s for every sample."""
    rows, n = a.shape[0], len(samples)
    tau, price, s = cp.Variable(rows), cp.Variable(rows), cp.Variable((rows, n))
    column = cp.reshape(y - tau, (rows, 1), order="C")
    return [
        price >= np.abs(a).max(axis=1),
        s >= 0,
        s >= column @ np.ones((1, n)) + a @ samples.T,
        tau + (RADIUS * price + cp.sum(s, axis=1) / n) / BETA <= 0,
    ]


def plans(steps: int, rounds: int) -> float:
    """Print the time of a plan with few and many samples; returns their ratio."""
    times: dict[int, list[float]] = {30: [], 300: []}
    made = {n: setting(steps, samples=n) for n in times}
    for _ in range(rounds):
        for n, given in made.items():
            began = time.perf_counter()
            given.controller.plan(at_start(given.case.plant), given.forecast)
            times[n].append(time.perf_counter() - began)
    few, many = median(times[30]), median(times[300])
    print(f"plan of two networks, {steps} steps, median of {rounds}")
    print(f"  N = 30: {few:.3f} s, N = 300: {many:.3f} s, ratio {many / few:.2f} (published: 1550.37 / 53.05 = 29.2)")
    return many / few


def formulations(steps: int, sizes: tuple[int, ...]) -> dict[int, float]:
    """Print both formulations side by side; returns how many times faster the margins are."""
    given = setting(steps)
    drawn = given.errors.draw(max(sizes), steps, seed=0, purpose=Purpose.IN_SAMPLE)
    by_margins(given, drawn[:5])
    ratios = {}
    print(f"chance constraints of {steps} steps: margins in closed form, and every sample in the problem (Clarabel)")
    for n in sizes:
        ours, cost = min(by_margins(given, drawn[:n]) for _ in range(3))
        theirs, other, columns = by_scenarios(given, drawn[:n])
        ratios[n] = theirs / ours
        apart = abs(cost - other) / abs(other)
        print(
            f"  N = {n:3d}: ours {ours:.3f} s in all, full {theirs:9.2f} s in the solver with {columns} variables, "
            f"{ratios[n]:8.1f} x; costs apart by {apart:.1e}",
            flush=True,
        )
    return ratios


def monte_carlo(days: int, loop: int) -> dict[str, float]:
    """Print flows per second of the Monte Carlo, of power-grid-model alone and of a loop of pandapower."""
    given = setting(24)
    plant, forecast = given.case.plant, given.forecast
    plan = given.controller.plan(at_start(plant), forecast)
    p, q = device_injections(plant, forecast, plan.p_mw, plan.q_mvar)
    errors = given.errors
    days_drawn = errors.stream(days, 24, seed=0, purpose=Purpose.OUT_OF_SAMPLE)
    evaluated = reliability(plant, plan, at_start(plant), forecast, given.sources, days_drawn)
    p_bus, q_bus = p - forecast.net_load_mw(plant), q - forecast.load_q_mvar
    p_per, q_per = given.sources.injections(forecast)
    alone = 0.0
    engines = [PowerGridModelEngine(feeder, threads=0) for feeder in plant.feeders]
    for chunk in errors.stream(days, 24, seed=0, purpose=Purpose.OUT_OF_SAMPLE, chunk=85):
        p_all = p_bus + np.einsum("nhs,hbs->nhb", chunk, p_per)
        q_all = q_bus + np.einsum("nhs,hbs->nhb", chunk, q_per)
        for engine, buses in zip(engines, plant.bus_slices, strict=True):
            flows = [np.ascontiguousarray(one[:, :, buses].reshape(-1, 33)) for one in (p_all, q_all)]
            began = time.perf_counter()
            engine.solve_polar(*flows)
            alone += time.perf_counter() - began
    net, net_bus = net_of_feeder(plant.feeders[0])
    pp.create_loads(net, net_bus, p_mw=0.0, q_mvar=0.0)
    taken = []
    for row in range(loop + 1):
        net.load["p_mw"], net.load["q_mvar"] = -p_bus[row % 24, :33], -q_bus[row % 24, :33]
        began = time.perf_counter()
        pp.runpp(net)
        taken.append(time.perf_counter() - began)
    rates = {
        "ours": evaluated.flows / evaluated.seconds,
        "power-grid-model alone": evaluated.flows / alone,
        "pandapower loop": loop / sum(taken[1:]),
    }
    print(f"AC Monte Carlo: {days} days, 24 steps, 2 networks, {evaluated.flows} flows in {evaluated.seconds:.1f} s")
    for name, rate in rates.items():
        print(f"  {name:24s} {rate:10.0f} flows/s")
    print(f"  ours / power-grid-model alone: {evaluated.seconds / alone:.2f} x its time")
    return rates


def main(smoke: bool = False) -> None:
    """Print all three."""
    if smoke:
        plans(3, 1)
        formulations(2, (5, 10))
        monte_carlo(20, 3)
        return
    plans(24, 5)
    monte_carlo(10_000, 50)
    formulations(24, (30, 100, 300))


if __name__ == "__main__":
    main()
