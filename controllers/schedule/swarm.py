"""Particle swarm optimisation by pymoo, with the parameters of the published method [A, eqs. 52-54]."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from pymoo.algorithms.soo.nonconvex.pso import PSO
from pymoo.core.problem import Problem

from gridferry.controllers.solve import TimeRecord


@dataclass(frozen=True)
class SwarmOptions:
    """Options of the particle swarm.

    Attributes
    ----------
    iterations : how often every particle moves
    inertia_first, inertia_last : inertia of the first and the last move, linear in between
    cognitive, social : pull of a particle's own best point, and of the swarm's; C1 and C2
    seed : of everything that is drawn
    deadline : time, by `time.perf_counter`, after which no particle moves any more [s]
    record : of whether it cut the search short
    """

    iterations: int = 500
    inertia_first: float = 0.9
    inertia_last: float = 0.1
    cognitive: float = 2.0
    social: float = 2.0
    seed: int = 0
    deadline: float = float("inf")
    record: TimeRecord = field(default_factory=TimeRecord, compare=False, repr=False)


Fitness = Callable[
    [Float[np.ndarray, "particle variable"]],
    tuple[Float[np.ndarray, " particle"], Float[np.ndarray, " particle"]],
]
"""Cost of every particle, and its violation of limits: less of that always comes first."""


class _FitnessProblem(Problem):
    """The swarm's problem as pymoo has it."""

    def __init__(self, fitness: Fitness, low: np.ndarray, high: np.ndarray):
        super().__init__(n_var=len(low), n_obj=1, n_ieq_constr=1, xl=low, xu=high)
        self._fitness = fitness

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: object, **__: object) -> None:
        out["F"], out["G"] = self._fitness(x)


def swarm(
    fitness: Fitness,
    low: Float[np.ndarray, " variable"],
    high: Float[np.ndarray, " variable"],
    starts: Float[np.ndarray, "particle variable"],
    options: SwarmOptions,
) -> Float[np.ndarray, " variable"]:
    """Return the best point found; never worse than the starts.

    Parameters
    ----------
    low, high : box of the points
    starts : where the particles begin; they are drawn back into the box
    """
    flight = PSO(
        pop_size=len(starts),
        sampling=np.clip(starts, low, high),
        w=options.inertia_first,
        c1=options.cognitive,
        c2=options.social,
        adaptive=False,
        pertube_best=False,
    )
    flight.setup(_FitnessProblem(fitness, low, high), termination=("n_gen", options.iterations + 1), seed=options.seed)
    falls = np.linspace(options.inertia_first, options.inertia_last, max(options.iterations, 1))
    flight.next()
    for inertia in falls[: options.iterations]:
        if time.perf_counter() > options.deadline:
            options.record.cut = True
            break
        flight.w = float(inertia)
        flight.next()
    return np.array(flight.opt[0].X, dtype=np.float64)
