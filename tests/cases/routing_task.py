"""What the search for routes is given: a case, options, and ample time."""

from __future__ import annotations

import time

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.model.parts import MessOptions
from gridferry.controllers.model.solution import Task
from gridferry.controllers.solve import SolveOptions

Case = tuple[Plant, Observation, Forecast]
EXACT = SolveOptions(gap=0.0, gap_abs=1e-3)


def task(case: Case, asked: SolveOptions = EXACT, seconds: float = 3600.0, options: MessOptions | None = None) -> Task:
    return Task(*case, options or MessOptions(), asked, time.perf_counter() + seconds)
