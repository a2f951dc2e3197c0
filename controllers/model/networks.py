"""A network in the dispatch model: its flow, its limits, and what its energy costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.planning.block import Likely, SoftLimit
from gridferry.controllers.model import distflow
from gridferry.controllers.model.energy_cost import energy_cost
from gridferry.controllers.model.flow_bounds import LargestFlow, largest_flow
from gridferry.controllers.model.limits import Limits


@dataclass(frozen=True, kw_only=True, eq=False)
class Injections:
    """Net injection of the buses of a network.

    Attributes
    ----------
    p_mw, q_mvar : (horizon, bus) [MW, Mvar]
    p_largest_mw, q_largest_mvar : largest magnitude that they could have [MW, Mvar]
    """

    p_mw: cp.Expression
    q_mvar: cp.Expression
    p_largest_mw: Float[np.ndarray, "horizon bus"]
    q_largest_mvar: Float[np.ndarray, "horizon bus"]


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkBlock:
    """A network over the horizon.

    Attributes
    ----------
    flow : in per unit
    import_mw, losses_mw : (horizon,) [MW]
    largest : flow that it cannot exceed, in per unit
    cost : of energy from the grid above (horizon,) [currency]
    constraints : by name
    soft : its limits, by name
    currents : those that are of ratings
    binaries, likely : where import and export exclude each other
    recourse : variables that follow from the injections
    """

    flow: distflow.BranchFlow
    import_mw: cp.Expression
    losses_mw: cp.Expression
    largest: LargestFlow
    cost: cp.Expression
    constraints: Mapping[str, list[cp.Constraint]]
    soft: Mapping[str, SoftLimit]
    currents: list[distflow.CurrentSlack]
    binaries: list[cp.Variable]
    likely: list[Likely]
    recourse: set[cp.Variable]


def network_block(
    plant: Plant,
    number: int,
    injections: Injections,
    limits: Limits,
    price: Float[np.ndarray, " horizon"],
    *,
    strict: bool,
) -> NetworkBlock:
    """Return a network under the power of devices and loads [A, eqs. 6-12, 16, 26-27, 35].

    Parameters
    ----------
    number : of the network in the plant
    price : of energy bought [currency/MWh]
    strict : limits are kept, so that flows are smaller
    """
    feeder, base = plant.feeders[number], plant.feeders[number].base_mva
    buses, branches = plant.bus_slices[number], plant.branch_slices[number]
    flow = distflow.branch_flow(feeder, injections.p_mw / base, injections.q_mvar / base)
    low, high = distflow.voltage_slack(feeder, flow, limits.v_low_sq[:, buses], limits.v_high_sq[:, buses])
    currents = distflow.current_slack(feeder, flow, limits.rating[:, branches])
    step = np.arange(len(price))
    soft = {
        "lower_voltage": SoftLimit(slack=low, step=step, unit="pu²"),
        "upper_voltage": SoftLimit(slack=high, step=step, unit="pu²"),
    }
    for one in currents:
        weight = 1.0 / feeder.i_max_pu[one.branch] ** 2
        soft[one.name] = SoftLimit(slack=one.slack, step=step, weight=weight, unit="pu²")
    largest = largest_flow(
        feeder,
        injections.p_largest_mw / base,
        injections.q_largest_mvar / base,
        float(feeder.v_min_pu.min()) * (1.0 if strict else 0.5),
        rated=strict,
    )
    import_mw = base * flow.p_import
    energy = energy_cost(import_mw, price, plant.export_price_ratio, plant.step_h, base * largest.exchange)
    constraints = {
        **flow.named,
        "current_at_ends": [constraint for one in currents for constraint in one.constraints],
        "import_and_export": energy.constraints,
    }
    decided = {*injections.p_mw.variables(), *injections.q_mvar.variables()}
    return NetworkBlock(
        flow=flow,
        import_mw=import_mw,
        losses_mw=base * flow.losses,
        largest=largest,
        cost=energy.per_step,
        constraints=constraints,
        soft=soft,
        currents=currents,
        binaries=energy.binaries,
        likely=energy.likely,
        recourse={one for part in (*flow.constraints, *energy.constraints) for one in part.variables()} - decided,
    )
