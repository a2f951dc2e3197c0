"""The networks of the storage model: flows, limits and energy cost under the power of stores and links."""

from __future__ import annotations

from collections.abc import Sequence

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from gridferry.controllers.contract import Forecast, NoteKind, Plant
from gridferry.controllers.model import distflow
from gridferry.controllers.model import energy_cost as costs
from gridferry.controllers.model.flow_bounds import largest_flow, lowered_per_mw
from gridferry.controllers.model.link import LinkPower
from gridferry.controllers.model.parts import MessOptions, Parts, StoreModel

_LEAST_LOSS_PRICE = 1e-3
"""losses cost at least this share of the mean price, so that the cones are tight where energy is free"""
_EXCESS_PRICE = 1000.0
"""oversteping a limit by 1 pu² through a step costs as much as this many MW at the highest price"""


def mess_networks(
    plant: Plant,
    forecast: Forecast,
    options: MessOptions,
    models: Sequence[StoreModel],
    links: Sequence[LinkPower],
    slope: Float[np.ndarray, " horizon"],
    dear: float,
    parts: Parts,
) -> tuple[list[distflow.BranchFlow], list[cp.Expression], list[cp.Expression], float]:
    """Flows, limits and energy cost of every network, under the power of the stores."""
    horizon = forecast.steps
    least = _LEAST_LOSS_PRICE * float(np.abs(forecast.buy_price).mean())
    loss_price = np.maximum(least - slope, 0.0) + options.loss_price
    if options.relaxed:
        loss_price = loss_price + dear + 1.5 * _EXCESS_PRICE * dear * lowered_per_mw(plant.feeders)
    p_bus, q_bus, reach = _injections(plant, forecast, models, links)
    decided = {*p_bus.variables(), *q_bus.variables()}
    strict = not options.relaxed and options.allowed is None
    flows, imports, losses, correction = [], [], [], 0.0
    low = high = np.full((horizon, plant.n_bus), options.v_margin_pu)
    if options.margins is not None:
        low, high = low + options.margins.lower, high + options.margins.upper
    for feeder, buses, branches in zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True):
        base = feeder.base_mva
        flow = distflow.branch_flow(feeder, p_bus[:, buses] / base, q_bus[:, buses] / base)
        excess = [
            parts.give((horizon, 1), _EXCESS_PRICE * dear * plant.step_h, options, what)
            for what in (NoteKind.VIOLATED_V_SQ, NoteKind.VIOLATED_I_SQ)
        ]
        taken = None if options.taken is None else options.taken[:, branches]
        parts.constraints += [
            *flow.constraints,
            *distflow.voltage_limits(feeder, flow, low[:, buses], high[:, buses], excess[0]),
            *distflow.current_limits(feeder, flow, excess[1], taken),
        ]
        largest = largest_flow(
            feeder,
            (np.abs(forecast.net_load_mw(plant)) + reach)[:, buses] / base,
            (np.abs(forecast.load_q_mvar) + reach)[:, buses] / base,
            float(feeder.v_min_pu.min()) * (1.0 if strict else 0.5),
            rated=strict,
        )
        import_mw, loss_mw = base * flow.p_import, base * flow.losses
        energy = costs.energy_cost(
            import_mw, forecast.buy_price, plant.export_price_ratio, plant.step_h, base * largest.exchange
        )
        parts.constraints += energy.constraints
        parts.binaries += energy.binaries
        parts.guesses += energy.guesses
        parts.costs.append(energy.per_step)
        grid = [*flow.constraints, *energy.constraints]
        parts.follows |= {one for part in grid for one in part.variables()} - decided
        if np.any(loss_price):
            parts.loss_prices.append(plant.step_h * (loss_price @ loss_mw))
            correction += plant.step_h * float(loss_price @ (base * largest.losses))
        flows.append(flow)
        imports.append(import_mw)
        losses.append(loss_mw)
    if np.any(loss_price):
        parts.loss_prices += [plant.step_h * (loss_price @ cp.sum(power.loss, axis=1)) for power in links]
        parts.loss_prices += [plant.step_h * (loss_price @ one.stored.loss) for one in models]
        rated = sum(one.s_max_mva * one.loss_coefficient for one in plant.terminals) if links else 0.0
        rated += sum(one.s_max_mva * one.loss_coefficient for one in plant.storages)
        correction += plant.step_h * float(loss_price.sum() * rated)
    return flows, imports, losses, correction


def _injections(
    plant: Plant, forecast: Forecast, models: Sequence[StoreModel], links: Sequence[LinkPower]
) -> tuple[cp.Expression, cp.Expression, Float[np.ndarray, "horizon bus"]]:
    """Net injection of every bus [MW, Mvar], and the largest power that devices could bring there [MVA]."""
    p_bus: cp.Expression = cp.Constant(-forecast.net_load_mw(plant))
    q_bus: cp.Expression = cp.Constant(-forecast.load_q_mvar)
    reach = np.zeros((1, plant.n_bus))
    pairs = [(bus, power) for one in models for bus, power in zip(one.bus, one.at, strict=True)]
    if pairs:
        place = sp.csr_array(
            (np.ones(len(pairs)), (np.arange(len(pairs)), [bus for bus, _ in pairs])), shape=(len(pairs), plant.n_bus)
        )
        p_bus = p_bus + cp.vstack([power.p for _, power in pairs]).T @ place
        q_bus = q_bus + cp.vstack([power.q for _, power in pairs]).T @ place
        for one in models:
            for bus in set(one.bus):
                reach[:, bus] += one.store.s_max_mva
    for link, power in zip(plant.links, links, strict=False):
        there = [terminal.bus for terminal in link.terminals]
        place = sp.csr_array((np.ones(len(there)), (np.arange(len(there)), there)), shape=(len(there), plant.n_bus))
        p_bus, q_bus = p_bus + power.p @ place, q_bus + power.q @ place
        np.add.at(reach[0], there, [terminal.s_max_mva for terminal in link.terminals])
    return p_bus, q_bus, np.repeat(reach, forecast.steps, axis=0)
