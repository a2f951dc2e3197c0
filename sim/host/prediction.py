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
from gridferry.sim.host.first_step_limits import first_step


@dataclass(frozen=True, eq=False)
class RowFlow:
    """AC power flow on the forecast under row 0 of a plan; NaN in networks without a solution.

    Attributes
    ----------
    energy_mwh : energy of every store at the end of the step [MWh]
    v_pu : voltages [pu]
    p_branch_mw, q_branch_mvar : flow into every branch at its parent end [MW, Mvar]
    loading : current at the more loaded end, as a share of the rating; 0 where none is known
    import_mw, losses_mw : drawn from the grid above, and losses, of each network [MW]
    """

    energy_mwh: Float[np.ndarray, " storage"]
    v_pu: Float[np.ndarray, " bus"]
    p_branch_mw: Float[np.ndarray, " branch"]
    q_branch_mvar: Float[np.ndarray, " branch"]
    loading: Float[np.ndarray, " branch"]
    import_mw: Float[np.ndarray, " network"]
    losses_mw: Float[np.ndarray, " network"]


def solve_row(
    plant: Plant, plan: Plan, observation: Observation, forecast: Forecast, *, as_requested: bool = False
) -> RowFlow:
    """Solve AC under what the devices make of row 0 of a plan; a forecast that is not finite gives NaN.

    ``as_requested`` is that of `first_step`.
    """
    done = first_step(plant, plan, observation, forecast, as_requested=as_requested)
    there = done.bus >= 0
    p, q = -forecast.load_p_mw[0], -forecast.load_q_mvar[0]
    with np.errstate(invalid="ignore"):  # what is not finite is found below
        np.add.at(p, done.bus[there], done.p_mw[there])
        np.add.at(q, done.bus[there], done.q_mvar[there])
    solved = RowFlow(
        energy_mwh=done.energy_mwh,
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
        energy_mwh=np.stack([observation.energy_mwh, flow.energy_mwh]),
        cost=np.array([price * (value.sum() * plant.step_h)]),
    )
