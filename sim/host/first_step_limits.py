"""What the devices leave of row 0 of a plan: where trucks are, what is in service, and what a store can supply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Link, Observation, Plan, Plant
from gridferry.controllers.devices import Setpoint, StepConditions, StoreState, step_link
from gridferry.controllers.devices.storage import clip_to_limits

_ROUNDING_MW = 1e-6
"""a setpoint that is cut by less is as planned: solvers meet limits to about this much"""


def device_bus(plant: Plant, plan: Plan, observation: Observation) -> Int[np.ndarray, " device"]:
    """Bus of every device in this step; -1 for a truck that drives, departs, or is elsewhere than the plan has it."""
    parked = (observation.transit_steps == 0) & (plan.destination[0] == observation.station)
    trucks = np.where(parked, plant.station_bus[observation.station], -1) if len(plant.trucks) else parked.astype(int)
    fixed = [battery.bus for battery in plant.batteries] + [terminal.bus for terminal in plant.terminals]
    return np.concatenate([trucks, np.array(fixed, dtype=np.int64)]).astype(np.int64)


def available_row(
    plant: Plant, plan: Plan, observation: Observation, forecast: Forecast
) -> tuple[Float[np.ndarray, " device"], Float[np.ndarray, " device"], Int[np.ndarray, " device"]]:
    """Return P and Q of row 0 as far as devices are there and available, and the bus of each [MW, Mvar].

    Only what is derated is cut, to its share of the rating; NaN where the availability is.
    """
    at = device_bus(plant, plan, observation)
    p, q = np.where(at >= 0, plan.p_mw[0], 0.0), np.where(at >= 0, plan.q_mvar[0], 0.0)
    if forecast.availability is None:
        return p, q, at
    share = forecast.availability[0]
    if (share == 1.0).all():
        return p, q, at
    share = np.where(np.isfinite(share), np.clip(share, 0.0, 1.0), np.nan)
    s_max = share * plant.device_s_max_mva
    most = np.minimum(share * plant.device_p_max_mw, s_max)
    cut = ~(share >= 1.0)
    p = np.where(cut, np.clip(p, -most, most), p)
    room = np.sqrt(np.maximum(s_max**2 - p**2, 0.0))
    q = np.where(cut, np.clip(q, -room, room), q)
    for link, own in _links(plant):
        if cut[own].any() and np.isfinite(p[own] + q[own]).all():
            p[own], q[own] = _balanced(link, plan.p_mw[0, own], plan.q_mvar[0, own], float(share[own].min()))
    return p, q, at


def supplied_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Plan:
    """Return a finite plan with row 0 cut to what its devices will do.

    Trucks that are not where the plan has them give nothing; stores keep their rating, cycles and window under the
    availability and capacity forecast for this step, links their rating and balance. Where those are not finite,
    devices count as whole. What the plan predicted is left out where it does not hold for what is left.
    """
    share, holds = _known(forecast.availability, plant.n_device), _known(forecast.capacity, len(plant.storages))
    there = device_bus(plant, plan, observation) >= 0
    p, q = np.zeros(plant.n_device), np.zeros(plant.n_device)
    for i, storage in enumerate(plant.storages):
        left, held = float(share[i]), float(holds[i])
        if not (there[i] and left > 0 and held > 0):
            continue
        derated = replace(storage, p_max_mw=left * storage.p_max_mw, s_max_mva=left * storage.s_max_mva)
        before = 1.0 if observation.capacity is None else float(observation.capacity[i])
        energy = min(held / before, 1.0) * float(observation.energy_mwh[i])
        state = StoreState(energy, float(observation.cycles_today[i]), held)
        p[i], q[i], _ = clip_to_limits(derated, state, float(plan.p_mw[0, i]), float(plan.q_mvar[0, i]), plant.step_h)
    for link, own in _links(plant):
        p[own], q[own] = _balanced(link, plan.p_mw[0, own], plan.q_mvar[0, own], float(share[own].min()))
    rows_p, rows_q = plan.p_mw.copy(), plan.q_mvar.copy()
    rows_p[0], rows_q[0] = p, q
    as_planned = np.allclose(rows_p[0], plan.p_mw[0], rtol=0.0, atol=_ROUNDING_MW)
    as_planned = as_planned and np.allclose(rows_q[0], plan.q_mvar[0], rtol=0.0, atol=_ROUNDING_MW)
    return replace(plan, p_mw=rows_p, q_mvar=rows_q, prediction=plan.prediction if as_planned else None)


def _links(plant: Plant) -> Iterator[tuple[Link, slice]]:
    """Every link, and where its terminals lie on the device axis."""
    first = len(plant.storages)
    for link in plant.links:
        yield link, slice(first, first + len(link.terminals))
        first += len(link.terminals)


def _balanced(
    link: Link, p_mw: Float[np.ndarray, " terminal"], q_mvar: Float[np.ndarray, " terminal"], share: float
) -> tuple[list[float], list[float]]:
    """P and Q of a link's terminals as it will balance them under its share of the ratings."""
    if share <= 0:
        nothing = [0.0] * len(link.terminals)
        return nothing, nothing
    derated = replace(link, terminals=tuple(replace(one, s_max_mva=share * one.s_max_mva) for one in link.terminals))
    asked = [Setpoint(float(p), float(q)) for p, q in zip(p_mw, q_mvar, strict=True)]
    done = step_link(derated, asked, StepConditions(step_h=1.0))
    return [one.p_mw for one in done], [one.q_mvar for one in done]


def _known(shares: Float[np.ndarray, "horizon entity"] | None, width: int) -> Float[np.ndarray, " entity"]:
    if shares is None:
        return np.ones(width)
    return np.where(np.isfinite(shares[0]), np.clip(shares[0], 0.0, 1.0), 1.0)
