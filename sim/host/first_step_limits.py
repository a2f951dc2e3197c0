"""What the devices leave of row 0 of a plan: where trucks are, what is in service, and what a store can supply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.devices import Outcome
from gridferry.controllers.plans.first_step import step_first_row

_ROUNDING_MW = 1e-6
"""a setpoint that is cut by less is as planned: solvers meet limits to about this much"""


@dataclass(frozen=True, eq=False)
class FirstStep:
    """What the devices are expected to do in the first step of a plan.

    Attributes
    ----------
    p_mw, q_mvar : injection of every port, NaN where it is not known what is in service [MW, Mvar]
    bus : where, -1 on the road
    energy_mwh : energy of every store at its end, NaN where it is not known what it can hold [MWh]
    """

    p_mw: Float[np.ndarray, " port"]
    q_mvar: Float[np.ndarray, " port"]
    bus: Int[np.ndarray, " port"]
    energy_mwh: Float[np.ndarray, " storage"]


def first_step(
    plant: Plant, plan: Plan, observation: Observation, forecast: Forecast, *, as_requested: bool = False
) -> FirstStep:
    """Return what the devices make of row 0 of a plan under the forecast.

    Parameters
    ----------
    as_requested : of devices that are whole, power counts as requested, also beyond their limits
    """
    done = step_first_row(plant, plan, observation, forecast)
    p, q, bus = _powers(done)
    share = np.ones(plant.n_device) if forecast.availability is None else forecast.availability[0]
    if as_requested:
        asked = np.flatnonzero((bus[: plant.n_device] >= 0) & (share >= 1.0))
        p[asked], q[asked] = plan.p_mw[0, asked], plan.q_mvar[0, asked]
    unknown = np.flatnonzero(~np.isfinite(share))
    p[unknown] = q[unknown] = np.nan
    stores = [device.stored_mwh(state) for device, (state, _) in zip(plant.devices, done, strict=True) if device.stores]
    energy = np.array(stores, dtype=np.float64)
    if forecast.capacity is not None:
        energy[~np.isfinite(forecast.capacity[0])] = np.nan
    return FirstStep(p, q, bus, energy)


def supplied_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> Plan:
    """Return a finite plan with row 0 cut to what its devices will do.

    Where availability and capacity forecast for this step are not finite, devices count as whole. What the plan
    predicted is left out where it does not hold for what is left.
    """
    p, q, _ = _powers(step_first_row(plant, plan, observation, forecast))
    rows_p, rows_q = plan.p_mw.copy(), plan.q_mvar.copy()
    rows_p[0], rows_q[0] = p[: plant.n_device], q[: plant.n_device]
    as_planned = np.allclose(rows_p[0], plan.p_mw[0], rtol=0.0, atol=_ROUNDING_MW)
    as_planned = as_planned and np.allclose(rows_q[0], plan.q_mvar[0], rtol=0.0, atol=_ROUNDING_MW)
    return replace(plan, p_mw=rows_p, q_mvar=rows_q, prediction=plan.prediction if as_planned else None)


def _powers(
    done: Sequence[tuple[Any, Outcome]],
) -> tuple[Float[np.ndarray, " port"], Float[np.ndarray, " port"], Int[np.ndarray, " port"]]:
    """P, Q and bus of all ports [MW, Mvar]."""
    ports = [port for _, outcome in done for port in outcome.ports]
    return (
        np.array([port.p_mw for port in ports], dtype=np.float64),
        np.array([port.q_mvar for port in ports], dtype=np.float64),
        np.array([port.bus for port in ports], dtype=np.int64),
    )
