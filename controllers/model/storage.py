"""A battery over the horizon: charging and discharging, reactive power, energy, cycles.

E(t+1) = E(t) + Δ (η_ch P_ch - P_dh/η_dh - loss)          [A, eq. 37, in energy; B, §2.2]
loss ≥ A ‖(P_dh - P_ch, Q)‖
N = N_today + Σ Δ/(2Ē) (η_ch P_ch + P_dh/η_dh) ≤ N_max     per day   [A, eq. 38]
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Storage


@dataclass(frozen=True, eq=False)
class StoragePower:
    """Power of a battery, or of a truck at one of its stations, over the horizon.

    Attributes
    ----------
    charge, discharge : P_ch, P_dh, at the grid's side, non-negative (horizon,) [MW]
    q : reactive injection (horizon,) [Mvar]
    constraints : the limits
    """

    charge: cp.Expression
    discharge: cp.Expression
    q: cp.Expression
    constraints: list[cp.Constraint]

    @property
    def p(self) -> cp.Expression:
        """Active injection (horizon,) [MW]."""
        return self.discharge - self.charge


def storage_power(
    store: Storage,
    horizon: int,
    present: cp.Expression | None = None,
    available: Float[np.ndarray, " horizon"] | None = None,
) -> StoragePower:
    """Keep the power within the converter's limits where the battery is connected [A, eqs. 22, 39-41].

    ``0 ≤ P_ch, P_dh``, ``P_ch + P_dh ≤ P̄ z``, ``(P_dh - P_ch)² + Q² ≤ S̄² z²``

    The sum is bounded, not each of the two: a battery that does not do both at once is not touched by it, and the
    relaxation is tighter.

    Parameters
    ----------
    present : z, 1 where it is connected (horizon,); always when not given
    available : share of the rating that is in service, which multiplies z; all of it when not given
    """
    share = np.ones(horizon) if available is None else available
    z = share if present is None else cp.multiply(share, present)
    charge, discharge, q = cp.Variable(horizon), cp.Variable(horizon), cp.Variable(horizon)
    constraints = [
        charge >= 0,
        discharge >= 0,
        charge + discharge <= store.p_max_mw * z,
        # implied by the cone; as plain rows they vanish with z, which leaves a solver nothing flat
        q <= store.s_max_mva * z,
        q >= -store.s_max_mva * z,
        cp.SOC(store.s_max_mva * z, cp.vstack([discharge - charge, q]), axis=0),
    ]
    return StoragePower(charge, discharge, q, constraints)


def one_way(
    store: Storage, power: StoragePower, steps: Bool[np.ndarray, " horizon"]
) -> tuple[list[cp.Constraint], list[cp.Variable]]:
    """Forbid charging and discharging at once in the given steps; returns constraints and the binaries they need."""
    where = np.flatnonzero(steps)
    if not len(where):
        return [], []
    charging = cp.Variable(len(where))
    limits = [
        power.charge[where] <= store.p_max_mw * charging,
        power.discharge[where] <= store.p_max_mw * (1 - charging),
    ]
    return limits, [charging]


@dataclass(frozen=True, eq=False)
class StoredEnergy:
    """Energy of a battery at the start of every step and at the end of the last.

    Attributes
    ----------
    energy : (horizon+1,) [MWh]
    loss : converter loss (horizon,) [MW]
    short : energy by which each floor is missed (floor,) [MWh], 0 unless `energy_floors` was told otherwise
    constraints : recursion, window
    most : most that it may hold at the end of each step [MWh]
    keeps : share of its energy that it keeps at the start of each step
    """

    energy: cp.Variable
    loss: cp.Expression
    constraints: list[cp.Constraint]
    most: Float[np.ndarray, " horizon"]
    keeps: Float[np.ndarray, " horizon"]


def stored_energy(
    store: Storage,
    step_h: float,
    energy_start_mwh: float,
    power: StoragePower,
    holds: Float[np.ndarray, " horizon"] | None = None,
    held_before: float = 1.0,
) -> StoredEnergy:
    """Carry the energy from step to step, within the window [A, eq. 37; B, §2.2].

    A battery measured outside its window may stay where it is, but gets no further out.

    Parameters
    ----------
    holds : share of the rated energy that it can hold in each step, all of it when not given. Where the share falls
        the energy falls with it; where it rises, room is added, and the least to be held rises with it
    held_before : the share in the step before the first
    """
    horizon = power.charge.shape[0]
    energy = cp.Variable(horizon + 1)
    gain = store.eta_charge * power.charge - power.discharge / store.eta_discharge
    share = np.ones(horizon) if holds is None else holds
    keeps = np.ones(horizon) if holds is None else kept_share(holds, held_before)
    held = energy_start_mwh * np.cumprod(keeps)
    low = np.minimum(store.soc_min * store.energy_mwh * share, held)
    high = np.maximum(store.soc_max * store.energy_mwh * share, held)
    constraints: list[cp.Constraint] = [energy[0] == energy_start_mwh, energy[1:] >= low, energy[1:] <= high]
    loss: cp.Expression = cp.Constant(np.zeros(horizon))
    if store.loss_coefficient > 0:
        loss = cp.Variable(horizon)
        constraints.append(cp.SOC(loss, store.loss_coefficient * cp.vstack([power.p, power.q]), axis=0))
    constraints.append(energy[1:] == cp.multiply(keeps, energy[:-1]) + step_h * (gain - loss))
    return StoredEnergy(energy, loss, constraints, high, keeps)


def kept_share(holds: Float[np.ndarray, " horizon"], held_before: float = 1.0) -> Float[np.ndarray, " horizon"]:
    """Share of its energy that a battery keeps at the start of each step, where it can hold less than before."""
    before = np.append(held_before, holds[:-1])
    return np.minimum(np.divide(holds, before, out=np.ones(len(holds)), where=before > 0), 1.0)


def energy_floors(
    stored: StoredEnergy, at: Int[np.ndarray, " floor"], least_mwh: float, short: cp.Variable | np.ndarray | float = 0.0
) -> list[cp.Constraint]:
    """Ask for an energy at the end of days and of the horizon; ``short`` is what may be missing (floor,) [MWh]."""
    return [stored.energy[at] >= least_mwh - short] if len(at) else []


def cycle_limit(
    store: Storage,
    step_h: float,
    power: StoragePower,
    day: Int[np.ndarray, " horizon"],
    cycles_today: float,
) -> list[cp.Constraint]:
    """Keep each day's cycles within the limit; those already done count for the first day [A, eq. 38].

    Parameters
    ----------
    day : number of the day of each step, from 0
    """
    if not np.isfinite(store.cycles_max_per_day):
        return []
    per_step = (
        step_h / (2 * store.energy_mwh) * (store.eta_charge * power.charge + power.discharge / store.eta_discharge)
    )
    used = np.where(np.arange(day[-1] + 1) == 0, cycles_today, 0.0)
    return [by_day(day) @ per_step <= np.maximum(store.cycles_max_per_day - used, 0.0)]


def by_day(day: Int[np.ndarray, " step"]) -> Float[np.ndarray, "day step"]:
    """Matrix that sums steps into days."""
    return (day[None, :] == np.arange(day.max(initial=0) + 1)[:, None]).astype(float)


def simultaneous(
    charge: Float[np.ndarray, " horizon"], discharge: Float[np.ndarray, " horizon"]
) -> Bool[np.ndarray, " horizon"]:
    """Steps in which a solution charges and discharges at once, by more than a watt."""
    return np.minimum(charge, discharge) > 1e-6
