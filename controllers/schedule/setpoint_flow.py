"""AC power flow of given setpoints over a horizon: where devices inject, and what the grid makes of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant, Prediction
from gridferry.controllers.model.energy_cost import feed_in_cost, grid_cost
from gridferry.controllers.model.storage_plan import energies
from gridferry.controllers.uncertainty.voltage_margins import operating_point
from gridferry.networks.admittance import branch_flows, bus_injections


def device_injections(
    plant: Plant,
    p: Float[np.ndarray, "horizon device"],
    q: Float[np.ndarray, "horizon device"],
    destination: Int[np.ndarray, "horizon truck"] | None = None,
) -> tuple[Float[np.ndarray, "horizon bus"], Float[np.ndarray, "horizon bus"]]:
    """What devices inject at every bus [MW, Mvar].

    Parameters
    ----------
    destination : station of each truck, or the one it drives to, where its power is then zero; without it trucks are
        left out
    """
    trucks = len(plant.trucks)
    at = np.zeros((plant.n_device, plant.n_bus))
    fixed = [one.bus for one in plant.batteries] + [one.bus for one in plant.terminals]
    at[np.arange(trucks, plant.n_device), fixed] = 1.0
    p_bus, q_bus = p @ at, q @ at
    if destination is not None and trucks:
        row, bus = np.arange(len(p))[:, None], plant.station_bus[destination]
        np.add.at(p_bus, (row, bus), p[:, :trucks])
        np.add.at(q_bus, (row, bus), q[:, :trucks])
    return p_bus, q_bus


def power_flow(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    p: Float[np.ndarray, "horizon device"],
    q: Float[np.ndarray, "horizon device"],
    destination: Int[np.ndarray, "horizon truck"] | None = None,
) -> Prediction:
    """What the AC flow says of given setpoints under the forecast; the cost is without driving.

    Raises
    ------
    ControllerError
        where there is no flow.
    """
    p_device, q_device = device_injections(plant, p, q, destination)
    p_bus, q_bus = p_device - forecast.net_load_mw(plant), q_device - forecast.load_q_mvar
    v = operating_point(plant, p_bus, q_bus)
    branch, imports, losses = [], [], []
    for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True):
        branch.append(branch_flows(feeder, v[:, buses]).s_parent_mva)
        injected = bus_injections(feeder, v[:, buses]).real
        imports.append(injected[:, feeder.slack] - p_bus[:, buses][:, feeder.slack])
        losses.append(injected.sum(axis=1))
    flow = np.concatenate(branch, axis=1)
    cost = grid_cost(np.stack(imports, axis=1), forecast.buy_price, plant.export_price_ratio, plant.step_h)
    tariffs = np.array([one.feed_in_tariff for one in plant.generators])
    if len(tariffs):
        cost = cost + feed_in_cost(forecast.generation_mw, tariffs, plant.step_h)
    wear = np.array([store.cost_per_mwh_charged for store in plant.storages])
    return Prediction(
        v_pu=np.abs(v),
        p_branch_mw=flow.real,
        q_branch_mvar=flow.imag,
        import_mw=np.stack(imports, axis=1),
        losses_mw=np.stack(losses, axis=1),
        energy_mwh=energies(plant, observation, p, q, forecast),
        cost=cost + plant.step_h * np.maximum(-p[:, : len(wear)], 0.0) @ wear,
    )
