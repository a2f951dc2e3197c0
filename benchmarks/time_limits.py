"""Time limits beside the time that plans take: ``python -m benchmarks time_limits``.

Every controller with an optimiser plans the first step of a case under limits that it cannot meet, and of a case where
no plan keeps every limit, so that violations are minimised too. Kept is a limit where the plan, or the message that
there is none, takes at most 1.2 times as long and a second.
"""

from __future__ import annotations

import time

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import ControllerError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

RELAX = 'controller.on_infeasible="relax"'
CASES = (
    ("trucks_ieee33", "mess_exact", (0.5, 2.0, 8.0), ()),
    ("trucks_ieee33", "mess_exact", (1.0, 4.0), ("networks.dn1.v_min_pu=0.99", RELAX)),
    ("trucks_ieee33_two", "mess_two_stage", (2.0, 8.0), ()),
    ("mvdc_3dn", "mvdc_drcc", (1.0, 3.0), ()),
    ("mvdc_3dn", "mvdc_drcc", (1.0, 3.0), ("networks.dn1.v_min_pu=0.99", RELAX)),
    ("joint_3dn", "joint", (1.0, 3.0, 8.0), ()),
    ("joint_3dn", "joint", (3.0, 8.0), ("networks.dn1.v_min_pu=0.99", RELAX)),
)


def main(*, smoke: bool = False) -> list[float]:
    """Print a line for each plan; returns by how much they take longer than their limits [s]."""
    over = []
    print("  limit [s]  taken [s]  of a processor   ratio   kept  ended")
    for config, use, limits, settings in CASES[:1] if smoke else CASES:
        print(f"{config}, {use}{', no plan keeps every limit' if settings else ''}")
        for limit in limits[:1] if smoke else limits:
            case = build_case(load_config(config, [*settings, f"controller.time_limit_s={limit}"], use))
            controller, forecast, seen = case.controller(), case.forecaster.at(0), at_start(case.plant)
            began, worked = time.perf_counter(), time.process_time()
            try:
                ended = controller.plan(seen, forecast).solver.termination.value.replace("_", " ")
            except ControllerError as error:
                ended = f"no plan{' in time' if error.out_of_time else ''}: {str(error)[:60]}"
            taken, worked = time.perf_counter() - began, time.process_time() - worked
            over.append(taken - limit)
            kept = "yes" if taken <= 1.2 * limit + 1.0 else "NO"
            figures = f"  {limit:9.2f}  {taken:9.2f}  {worked:14.2f}  {taken / limit:6.2f}"
            print(f"{figures}  {kept:>5s}  {ended}", flush=True)
    return over


if __name__ == "__main__":
    main()
