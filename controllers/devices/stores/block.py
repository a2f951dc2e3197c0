"""Optimisation block of a store: charging and discharging, reactive power, energy, cycles, wear.

E(t+1) = κ E(t) + Δ (η_ch P_ch - P_dh/η_dh - loss)        [A, eq. 37, in energy; B, §2.2]
loss ≥ A ‖(P_dh - P_ch, Q)‖
N = N_today + Σ Δ/(2Ē) (η_ch P_ch + P_dh/η_dh) ≤ N_max     per day   [A, eq. 38]
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.devices.planning.block import Ahead, Exclusive, Losses, SoftLimit
from gridferry.controllers.devices.planning.routing import by_day
from gridferry.controllers.devices.stores.block_extras import (
    DepthWear,
    LeastPower,
    depth_wear,
    depth_wear_of,
    least_power,
    ramp_limit,
)
from gridferry.controllers.devices.stores.storage import Storage


@dataclass(frozen=True, eq=False)
class StoragePower:
    """Power variables of a battery, or of a truck at one of its stations.

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
    """Limit the power by the converter, where the battery is connected [A, eqs. 22, 39-41].

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


@dataclass(frozen=True, eq=False)
class StoredEnergy:
    """Energy variables of a battery: at the start of every step and at the end of the last.

    Attributes
    ----------
    energy : (horizon+1,) [MWh]
    loss : converter loss (horizon,) [MW]
    constraints : recursion, window
    cones : those of them that relax the converter loss
    change_mwh : energy that the cells gain (horizon,) [MWh]
    most : most that it may hold at the end of each step [MWh]
    keeps : share of its energy that it keeps at the start of each step
    drawn_mwh : taken from the cells beside the power (horizon,) [MWh]
    """

    energy: cp.Variable
    loss: cp.Expression
    constraints: list[cp.Constraint]
    cones: list[cp.SOC]
    change_mwh: cp.Expression
    most: Float[np.ndarray, " horizon"]
    keeps: Float[np.ndarray, " horizon"]
    drawn_mwh: cp.Expression


def stored_energy(
    store: Storage,
    step_h: float,
    energy_start_mwh: float,
    power: StoragePower,
    usable: Float[np.ndarray, " horizon"] | None = None,
    usable_before: float = 1.0,
    *,
    drawn_mwh: cp.Expression | float = 0.0,
) -> StoredEnergy:
    """Balance the energy from step to step, within the window [A, eq. 37; B, §2.2].

    A battery measured outside its window may stay there, but gets no further out.

    Parameters
    ----------
    usable : usable share of the rated energy in each step, 1 when not given. Where it falls, stored energy falls with
        it; where it rises, both ends of the window rise
    usable_before : the share in the step before the first
    drawn_mwh : taken from the cells in each step, beside the power (horizon,) [MWh]
    """
    horizon = power.charge.shape[0]
    energy = cp.Variable(horizon + 1)
    gain = store.eta_charge * power.charge - power.discharge / store.eta_discharge
    share = np.ones(horizon) if usable is None else usable
    keeps = np.ones(horizon) if usable is None else retained_share(usable, usable_before)
    keeps = store.kept(step_h) * keeps
    resting = energy_start_mwh * np.cumprod(keeps)
    low = np.minimum(store.soc_min * store.energy_mwh * share, resting)
    high = np.maximum(store.soc_max * store.energy_mwh * share, resting)
    constraints: list[cp.Constraint] = [energy[0] == energy_start_mwh, energy[1:] >= low, energy[1:] <= high]
    loss: cp.Expression = cp.Constant(np.zeros(horizon))
    cones: list[cp.SOC] = []
    if store.loss_coefficient > 0:
        loss = cp.Variable(horizon)
        cones = [cp.SOC(loss, store.loss_coefficient * cp.vstack([power.p, power.q]), axis=0)]
    change = step_h * (gain - loss) - drawn_mwh
    constraints += [*cones, energy[1:] == cp.multiply(keeps, energy[:-1]) + change]
    drawn = cp.Constant(np.zeros(horizon)) + drawn_mwh
    return StoredEnergy(energy, loss, constraints, cones, change, high, keeps, drawn)


def retained_share(usable: Float[np.ndarray, " horizon"], usable_before: float = 1.0) -> Float[np.ndarray, " horizon"]:
    """Share of its energy that a battery retains at the start of each step, where its usable energy falls."""
    before = np.append(usable_before, usable[:-1])
    return np.minimum(np.divide(usable, before, out=np.ones(len(usable)), where=before > 0), 1.0)


def cycle_limit(
    store: Storage,
    step_h: float,
    power: StoragePower,
    day: Int[np.ndarray, " horizon"],
    cycles_today: float,
) -> list[cp.Constraint]:
    """Limit the cycles of each day; those already done count for the first day [A, eq. 38].

    Parameters
    ----------
    day : number of the day of each step, from 0
    """
    if not np.isfinite(store.cycles_max_per_day):
        return []
    per_step = step_h / (2 * store.energy_mwh) * store.counted(power.charge, power.discharge)
    used = np.where(np.arange(day[-1] + 1) == 0, cycles_today, 0.0)
    return [by_day(day) @ per_step <= np.maximum(store.cycles_max_per_day - used, 0.0)]


@dataclass(frozen=True, eq=False)
class Store:
    """Variables and constraints of a store, wherever it is connected.

    Attributes
    ----------
    constraints : by name
    soft : the energy due, where any is, and the ramp
    least, depth : least power, and wear by depth of cycle
    exclusive : charging and discharging
    losses : of the converter, where it has any
    wear : cost of the energy charged, and of the depth of cycles (horizon,) [currency]
    """

    store: Storage
    ahead: Ahead
    power: StoragePower
    stored: StoredEnergy
    constraints: dict[str, list[cp.Constraint]]
    soft: dict[str, SoftLimit]
    least: LeastPower
    depth: DepthWear

    @property
    def exclusive(self) -> dict[str, Exclusive]:
        """Complementarity of charging and discharging."""
        power = self.power
        return {
            "charging": Exclusive(
                first=power.charge, second=power.discharge, largest=self.store.p_max_mw, simultaneous=self._simultaneous
            )
        }

    @property
    def losses(self) -> tuple[Losses, ...]:
        """Converter losses; none for a converter without."""
        store = self.store
        if store.loss_coefficient == 0:
            return ()
        return (
            Losses(
                mw=self.stored.loss,
                largest_mw=store.s_max_mva * store.loss_coefficient,
                fictitious_mw=self._fictitious_mw,
                cones=self.stored.cones,
            ),
        )

    @property
    def wear(self) -> cp.Expression:
        """Cost of wear by energy drawn from the grid, and by depth (horizon,) [A, eq. 29] [currency]."""
        return self.ahead.step_h * self.store.cost_per_mwh_charged * self.power.charge + self.depth.cost

    def wear_of(
        self, p_mw: Float[np.ndarray, " horizon"], q_mvar: Float[np.ndarray, " horizon"]
    ) -> Float[np.ndarray, " horizon"]:
        """Cost of wear of given injections [currency]."""
        store, step_h = self.store, self.ahead.step_h
        charge, discharge = np.maximum(-p_mw, 0.0), np.maximum(p_mw, 0.0)
        gain = store.eta_charge * charge - discharge / store.eta_discharge
        change = step_h * (gain - store.loss_coefficient * np.hypot(p_mw, q_mvar)) - self.stored.drawn_mwh.value
        throughput = step_h * store.cost_per_mwh_charged * charge
        return throughput + depth_wear_of(store, self.ahead, change, self.stored.keeps)

    def _simultaneous(self) -> Bool[np.ndarray, " horizon"]:
        """Steps with simultaneous charging and discharging that cannot be netted, as the store would overflow.

        Elsewhere netting gives the same injection, loses less and costs no more, so that nothing needs forbidding.
        """
        power = self.power
        both: np.ndarray = np.minimum(power.charge.value, power.discharge.value) > tolerances.POWER_MW
        return both if both.any() and self._overflows(self.stored.loss.value) else np.zeros_like(both)

    def _fictitious_mw(self) -> float:
        """Largest fictitious converter loss of a store that would overflow without it [MW].

        Other stores end with more energy than planned.
        """
        true = self.store.loss_coefficient * np.hypot(self.power.p.value, self.power.q.value)
        return float(np.max(self.stored.loss.value - true)) if self._overflows(true) else 0.0

    def _overflows(self, loss_mw: Float[np.ndarray, " horizon"]) -> bool:
        """Whether the store would leave its window at given losses with charging and discharging netted."""
        store, stored = self.store, self.stored
        net = self.power.charge.value - self.power.discharge.value
        gain = store.eta_charge * np.maximum(net, 0.0) - np.maximum(-net, 0.0) / store.eta_discharge
        energy = float(stored.energy.value[0])
        change = self.ahead.step_h * (gain - loss_mw) - stored.drawn_mwh.value
        for keeps, moved, most in zip(stored.keeps, change, stored.most, strict=True):
            energy = keeps * energy + moved
            if energy > most + tolerances.ENERGY_MWH:
                return True
        return False


def store_of(store: Storage, ahead: Ahead, power: StoragePower, drawn_mwh: cp.Expression | float = 0.0) -> Store:
    """Build a store's energy, cycle and energy-due constraints from its measured state.

    Parameters
    ----------
    power : wherever it is connected
    drawn_mwh : taken from the cells in each step, beside the power (horizon,) [MWh]
    """
    state, share = ahead.state, ahead.series["usable_energy_share"]
    stored = stored_energy(
        store, ahead.step_h, state.energy_mwh, power, share, state.usable_energy_share, drawn_mwh=drawn_mwh
    )
    cycles = cycle_limit(store, ahead.step_h, power, ahead.day, state.cycles_today)
    due = store.due(ahead.day_ends, ahead.horizon, ahead.soc_at_end)
    soft = {}
    if due:
        at = np.array(list(due), dtype=np.int64)
        least = np.array(list(due.values())) * store.energy_mwh * share[at - 1]
        soft["energy_due"] = SoftLimit(
            slack=stored.energy[at] - least,
            step=at - 1,
            whole=store.energy_mwh,
            words="falls short of the energy due",
        )
    soft |= ramp_limit(store, ahead, power.p)
    least = least_power(store, power.charge, power.discharge)
    depth = depth_wear(store, ahead, stored.change_mwh, stored.keeps)
    constraints = {
        "energy": stored.constraints,
        "cycles": cycles,
        "least_power": least.constraints,
        "depth": depth.constraints,
    }
    return Store(store, ahead, power, stored, constraints, soft, least, depth)
