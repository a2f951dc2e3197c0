"""The published two stages beside the exact optimum over random days: ``python -m benchmarks two_stage``.

A day is that of ``two_stage.toml`` beside this file, in hours, with the load of every bus, the price, wind and sun
multiplied by random factors, so that several trips pay. Both plan it from its start with right forecasts. Printed is
what the two stages cost above the exact plan, of its cost and of what that saves over rest. The exact plan is within
its gap of the optimum. Days on which no plan keeps every limit are left out.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import mean, median

import numpy as np

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Forecast, Plan, Plant
from gridferry.controllers.mess_exact import MessExact, MessExactSettings
from gridferry.controllers.mess_two_stage import MessTwoStage, MessTwoStageSettings
from gridferry.controllers.schedule.ac_evaluation import evaluate_rest
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

CONFIG = Path(__file__).with_suffix(".toml")
DAYS, GAP, LIMIT_S = 20, 2e-3, 3600.0
MOVES = 100


def random_day(forecast: Forecast, seed: int) -> Forecast:
    """The day with other loads, prices, wind and sun, by factors of their own that last for some steps."""
    rng = np.random.default_rng(seed)

    def factor(spread: float) -> np.ndarray:
        noise = np.convolve(rng.normal(size=forecast.steps + 2), np.ones(3) / np.sqrt(3), mode="valid")
        return np.exp(spread * noise)

    load = np.stack([factor(0.2) for _ in range(forecast.load_p_mw.shape[1])], axis=1)
    price = factor(0.4)
    series = {
        name: {key: factor(0.5) * one if key == "p_mw" else one for key, one in own.items()}
        for name, own in forecast.series.items()
    }
    return replace(
        forecast,
        load_p_mw=load * forecast.load_p_mw,
        load_q_mvar=load * forecast.load_q_mvar,
        buy_price=price * forecast.buy_price,
        series=series,
    )


def trips(plant: Plant, plan: Plan) -> int:
    """Trips of all trucks."""
    before = np.vstack([at_start(plant).position, plan.position[:-1]])
    return int((plan.position != before).sum())


def main(*, smoke: bool = False) -> list[float]:
    """Print a line for each day; returns the excesses as shares of the cost."""
    days, iterations = (1, 5) if smoke else (DAYS, MOVES)
    case = build_case(load_config(str(CONFIG)))
    plant, seen = case.plant, at_start(case.plant)
    exact = MessExact(plant, MessExactSettings(gap=1e-2 if smoke else GAP, time_limit_s=LIMIT_S))
    two = MessTwoStage(plant, MessTwoStageSettings(gap=GAP, time_limit_s=LIMIT_S, iterations=iterations))
    print(
        f"{CONFIG.name}, {days} random days in {plant.steps} steps; exact to a gap of {GAP:g}; {iterations} moves of "
        f"{two.settings.particles} particles"
    )
    print(" day      rest     exact  trips   gap [%]  two stages  trips  above [%]  of the saving [%]")
    shares: list[float] = []
    lost: list[float] = []
    for day in count():
        if len(shares) == days:
            break
        forecast = random_day(case.forecaster.at(0), day)
        plan = exact.plan(seen, forecast)
        if plan.solver.violations:
            continue
        other = two.plan(seen, forecast)
        cost, rest = plan.solver.objective, float(evaluate_rest(plant, seen, forecast).cost.sum())
        above = other.solver.objective - cost
        shares.append(above / abs(cost))
        lost.append(above / (rest - cost))
        print(
            f"{day:4d} {rest:9.2f} {cost:9.2f} {trips(plant, plan):6d} {100 * plan.solver.gap:9.3f}"
            f" {other.solver.objective:11.2f} {trips(plant, other):6d} {100 * shares[-1]:10.2f}"
            f" {100 * lost[-1]:10.2f}{'  breaks limits' if other.solver.violations else ''}",
            flush=True,
        )
    print(f"above: mean {mean(shares):.2%}, median {median(shares):.2%}, largest {max(shares):.2%} of the exact cost")
    print(f"of the saving: mean {mean(lost):.2%}, median {median(lost):.2%}, largest {max(lost):.2%}")
    return shares


if __name__ == "__main__":
    main()
