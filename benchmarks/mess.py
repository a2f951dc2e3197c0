"""Mobile storage: outer approximation against SCIP directly, and a warm re-plan against a cold one.

Both methods get the same model, the same options and the same routes to try first, in turn in one run. For each:
seconds, cost, bound and gap proved. The two-truck case is asked for 1 % within 60 s, outer approximation only.
"""

from __future__ import annotations

import time
from dataclasses import replace

from gridferry.controllers.conformance.dry_run import after
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead
from gridferry.controllers.contract import Forecast, Observation, Plan
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.solve import Method
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import find_config

LIMIT_S = 300.0


def day_of(config: str) -> Sample:
    case = build_case(load_config(find_config(config)))
    return Sample(config, case.plant, case.forecaster.at(0))


def timed(day: Sample, settings: MessExactSettings, observation: Observation, forecast: Forecast) -> tuple[Plan, float]:
    controller = MessExact(day.plant, settings)
    began = time.perf_counter()
    plan = controller.plan(observation, forecast)
    return plan, time.perf_counter() - began


def say(label: str, plan: Plan, seconds: float) -> None:
    cost, bound, gap = plan.solver.objective, plan.solver.bound, plan.solver.gap
    print(f"  {label:<22} {seconds:8.2f} s   cost {cost:12.4f}   bound {bound:12.4f}   gap {gap:.1e}")


def against_scip(config: str, gap: float, limit_s: float) -> None:
    day = day_of(config)
    print(f"{config}, gap {gap:g}")
    took = {}
    for method in Method:
        settings = MessExactSettings(method=method, gap=gap, time_limit_s=limit_s)
        plan, took[method] = timed(day, settings, at_start(day.plant), day.day)
        say(method.value, plan, took[method])
    print(
        f"  SCIP takes {took[Method.SCIP] / took[Method.OUTER_APPROXIMATION]:.1f} times as long (limit {limit_s:g} s)"
    )


def two_trucks(limit_s: float) -> None:
    day = day_of("trucks_ieee33_two")
    print("trucks_ieee33_two, gap 0.01")
    say(
        "outer_approximation",
        *timed(day, MessExactSettings(gap=1e-2, time_limit_s=limit_s), at_start(day.plant), day.day),
    )


def replanning(config: str, gap: float, steps: int) -> None:
    day = day_of(config)
    settings = MessExactSettings(gap=gap, time_limit_s=LIMIT_S)
    controller, observation = MessExact(day.plant, settings), at_start(day.plant)
    warm, cold = [], []
    for step in range(steps):
        forecast = look_ahead(day, step, day.plant.horizon_steps)
        began = time.perf_counter()
        plan = controller.plan(observation, forecast)
        if step:
            warm.append(time.perf_counter() - began)
            cold.append(timed(day, settings, replace(observation, previous_plan=None), forecast)[1])
        observation = after(day.plant, observation, plan, forecast)
    print(f"re-planning {config}, gap {gap:g}, {len(warm)} steps after the first")
    for label, times in (("warm", warm), ("cold", cold)):
        print(f"  {label} {sum(times) / len(times):.2f} s each, {max(times):.2f} s at most")


def main(*, smoke: bool = False) -> None:
    against_scip("three_bus", 1e-2 if smoke else 1e-4, 3600.0 if smoke else LIMIT_S)
    if smoke:
        return
    against_scip("three_bus_as_published", 1e-4, LIMIT_S)
    against_scip("trucks_ieee33", 1e-3, LIMIT_S)
    two_trucks(60.0)
    replanning("three_bus", 1e-4, 12)
    replanning("trucks_ieee33", 1e-3, 5)
