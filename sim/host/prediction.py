"""AC on the forecast: what row 0 of a plan means for the grid, before it is dispatched.

The exact power flow is solved with what is forecast, so what is left against AC is the error of the forecast and what
the devices could not follow. Where a plan predicts nothing itself, as a setpoint rule's, this is its prediction; and
limits are checked on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant, Prediction
from gridferry.networks.admittance import branch_flows, bus_injections
from gridferry.networks.power_flow import solve_sweep
from gridferry.sim.host.first_step_limits import available_row


@dataclass(frozen=True, eq=False)
class RowFlow:
    """AC power flow on the forecast under row 0 of a plan; NaN in networks without a solution.

    Attributes
    ----------
    p_mw, q_mvar : what the devices are expected to give, as far as they are parked and available [MW, Mvar]
    v_pu : voltages [pu]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    loading : current at the more loaded end, as a share of the rating; 0 where none is known
    import_mw, losses_mw : drawn from the grid above, and losses, of each network [MW]
    """

    p_mw: Float[np.ndarray, " device"]
    q_mvar: Float[np.ndarray, " device"]
    v_pu: Float[np.ndarray, " bus"]
    p_branch_mw: Float[np.ndarray, " branch"]
    q_branch_mvar: Float[np.ndarray, " branch"]
    loading: Float[np.ndarray, " branch"]
    import_mw: Float[np.ndarray, " network"]
    losses_mw: Float[np.ndarray, " network"]


def solve_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> RowFlow:
    """Solve AC under row 0 of a plan; a forecast that is not finite gives NaN."""
    p_device, q_device, at = available_row(plant, plan, observation, forecast)
    there = at >= 0
    p, q = -forecast.load_p_mw[0], -forecast.load_q_mvar[0]
    with np.errstate(invalid="ignore"):  # what is not finite is found below
        np.add.at(p, plant.generator_bus, forecast.generation_mw[0])
        np.add.at(p, at[there], p_device[there])
        np.add.at(q, at[there], q_device[there])
    solved = RowFlow(
        p_mw=p_device,
        q_mvar=q_device,
        v_pu=np.full(plant.n_bus, np.nan),
        p_branch_mw=np.full(plant.n_branch, np.nan),
        q_branch_mvar=np.full(plant.n_branch, np.nan),
        loading=np.full(plant.n_branch, np.nan),
        import_mw=np.full(len(plant.feeders), np.nan),
        losses_mw=np.full(len(plant.feeders), np.nan),
    )
    for k, (feeder, buses, branches) in enumerate(
        zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True)
    ):
        if not (np.isfinite(p[buses]).all() and np.isfinite(q[buses]).all()):
            continue
        v, converged = solve_sweep(feeder, p[None, buses], q[None, buses], tolerance_pu=1e-10, max_passes=200)
        if not converged[0]:
            continue
        flows = branch_flows(feeder, v[0])
        injected = bus_injections(feeder, v[0])
        solved.v_pu[buses] = np.abs(v[0])
        solved.p_branch_mw[branches] = flows.s_parent_mva.real
        solved.q_branch_mvar[branches] = flows.s_parent_mva.imag
        solved.loading[branches] = np.maximum(flows.i_parent_pu, flows.i_child_pu) / feeder.i_max_pu
        solved.import_mw[k] = injected[feeder.slack].real - p[buses][feeder.slack]
        solved.losses_mw[k] = injected.real.sum()
    return solved


def predict_row(plant: Plant, flow: RowFlow, observation: Observation, forecast: Forecast) -> Prediction:
    """Return the flow as the prediction of a plan's first step."""
    value = np.where(flow.import_mw > 0, flow.import_mw, flow.import_mw * plant.export_price_ratio)
    price = forecast.buy_price[0] if np.isfinite(forecast.buy_price[0]) else np.nan
    return Prediction(
        v_pu=flow.v_pu[None],
        p_branch_mw=flow.p_branch_mw[None],
        q_branch_mvar=flow.q_branch_mvar[None],
        import_mw=flow.import_mw[None],
        losses_mw=flow.losses_mw[None],
        energy_mwh=np.stack([observation.energy_mwh, _energy_after(plant, flow, observation, forecast)]),
        cost=np.array([price * (value.sum() * plant.step_h)]),
    )


def _energy_after(
    plant: Plant, flow: RowFlow, observation: Observation, forecast: Forecast
) -> Float[np.ndarray, " storage"]:
    energy = observation.energy_mwh.copy()
    if forecast.capacity is not None:
        # what a store can no longer hold is gone
        before = np.ones(len(energy)) if observation.capacity is None else observation.capacity
        energy = energy * np.minimum(forecast.capacity[0] / before, 1.0)
    for i, storage in enumerate(plant.storages):
        p, q = flow.p_mw[i], flow.q_mvar[i]
        gain = storage.eta_charge * max(-p, 0.0) - max(p, 0.0) / storage.eta_discharge
        energy[i] += plant.step_h * (gain - storage.loss_coefficient * float(np.hypot(p, q)))
    return energy
