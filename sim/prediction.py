"""What a setpoint rule's plan means for the grid: its row 0 under the forecast, where it predicts nothing itself.

The exact power flow is solved with what is forecast, so what is left against AC is the error of the forecast and what
the devices could not follow.
"""

from __future__ import annotations

import numpy as np

from controllers.contract import Forecast, Observation, Plan, Plant, Prediction
from networks.admittance import branch_flows, bus_injections
from networks.sweep import solve_sweep


def predict_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Prediction:
    """Predict the first step of a plan; voltages and flows of a network without a solution are NaN."""
    p, q = _injections(plant, plan, observation, forecast)
    v_pu = np.full((1, plant.n_bus), np.nan)
    p_branch, q_branch = np.full((1, plant.n_branch), np.nan), np.full((1, plant.n_branch), np.nan)
    imported, losses = np.full((1, len(plant.feeders)), np.nan), np.full((1, len(plant.feeders)), np.nan)
    for k, (feeder, buses, branches) in enumerate(
        zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True)
    ):
        v, converged = solve_sweep(feeder, p[None, buses], q[None, buses], tolerance_pu=1e-10, max_passes=200)
        if not converged[0]:
            continue
        flows = branch_flows(feeder, v[0])
        injected = bus_injections(feeder, v[0])
        v_pu[0, buses] = np.abs(v[0])
        p_branch[0, branches] = flows.s_parent_mva.real
        q_branch[0, branches] = flows.s_parent_mva.imag
        imported[0, k] = injected[feeder.slack].real - p[buses][feeder.slack]
        losses[0, k] = injected.real.sum()
    energy_value = np.where(imported > 0, imported, imported * plant.export_price_ratio).sum() * plant.step_h
    return Prediction(
        v_pu=v_pu,
        p_branch_mw=p_branch,
        q_branch_mvar=q_branch,
        import_mw=imported,
        losses_mw=losses,
        energy_mwh=np.stack([observation.energy_mwh, _energy_after(plant, plan, observation)]),
        cost=np.array([forecast.buy_price[0] * energy_value]),
    )


def _injections(
    plant: Plant, plan: Plan, observation: Observation, forecast: Forecast
) -> tuple[np.ndarray, np.ndarray]:
    p, q = -forecast.load_p_mw[0], -forecast.load_q_mvar[0]
    np.add.at(p, plant.generator_bus, forecast.generation_mw[0])
    at = _device_bus(plant, plan, observation)
    there = at >= 0
    np.add.at(p, at[there], plan.p_mw[0, there])
    np.add.at(q, at[there], plan.q_mvar[0, there])
    return p, q


def _device_bus(plant: Plant, plan: Plan, observation: Observation) -> np.ndarray:
    """Bus of every device in this step; -1 for a truck that drives."""
    parked = (observation.transit_steps == 0) & (plan.destination[0] == observation.station)
    trucks = np.where(parked, plant.station_bus[observation.station], -1) if len(plant.trucks) else parked.astype(int)
    fixed = [battery.bus for battery in plant.batteries] + [terminal.bus for terminal in plant.terminals]
    return np.concatenate([trucks, np.array(fixed, dtype=np.int64)]).astype(np.int64)


def _energy_after(plant: Plant, plan: Plan, observation: Observation) -> np.ndarray:
    stores = len(plant.storages)
    at = _device_bus(plant, plan, observation)[:stores]
    energy = observation.energy_mwh.copy()
    for i, storage in enumerate(plant.storages):
        if at[i] >= 0:
            p, q = plan.p_mw[0, i], plan.q_mvar[0, i]
            flow = storage.eta_charge * max(-p, 0.0) - max(p, 0.0) / storage.eta_discharge
            energy[i] += plant.step_h * (flow - storage.loss_coefficient * float(np.hypot(p, q)))
    return energy
