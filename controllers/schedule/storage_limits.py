"""Schedules of a store limited by its window, its cycles and the energy due.

Requested power is scaled towards zero, P and Q by the same factor (the energy of a step is proportional to both). The
only exception is energy due at the end of a day: the store charges for it, as late as possible. All in numpy, for many
schedules at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Storage

_MANY_CYCLES = 1e6
"""no store does more cycles in a day"""


@dataclass(frozen=True, eq=False)
class StoreAhead:
    """State and limits of a store at the start of the horizon, and energy due.

    Attributes
    ----------
    store : its limits
    energy_mwh, cycles_today, p_mw : measured [MWh, cycles, MW]
    due_mwh : least energy by the steps at whose start it is due, the horizon's length for its end [MWh]
    drawn_mwh : taken from it in each step for driving (row, horizon) [MWh]
    """

    store: Storage
    energy_mwh: float
    cycles_today: float
    due_mwh: Mapping[int, float]
    p_mw: float = 0.0
    drawn_mwh: Float[np.ndarray, "#row #horizon"] = field(default_factory=lambda: np.zeros((1, 1)))


@dataclass(frozen=True, eq=False)
class LimitedPower:
    """Schedules of power within all limits.

    Attributes
    ----------
    p_mw, q_mvar : injection [MW, Mvar]
    energy_mwh : at the start of every step and at the end of the last [MWh]
    """

    p_mw: Float[np.ndarray, "row horizon"]
    q_mvar: Float[np.ndarray, "row horizon"]
    energy_mwh: Float[np.ndarray, "row horizon+1"]


def keep_limits(
    state: StoreAhead,
    p_mw: Float[np.ndarray, "row horizon"],
    q_mvar: Float[np.ndarray, "row horizon"],
    most_mw: Float[np.ndarray, "row horizon"],
    day: Int[np.ndarray, " horizon"],
    step_h: float,
) -> LimitedPower:
    """Limit requested schedules of a store [A, eqs. 22, 37-41].

    A store outside its window may stay where it is, but gets no further out. A schedule within the limits stays as it
    is, up to rounding.

    Parameters
    ----------
    p_mw, q_mvar : wanted injection [MW, Mvar]
    most_mw : largest power where the store is connected, beside its own limits; 0 where it is not
    day : number of the day of each step, from 0
    """
    store, horizon = state.store, len(day)
    present = most_mw > 0
    most_mw = np.minimum(most_mw, min(store.p_max_mw, store.s_max_mva))
    p, q = _within_rating(store, np.clip(p_mw, -most_mw, most_mw), q_mvar * present)
    low = min(store.soc_min * store.energy_mwh, state.energy_mwh)
    high = max(store.soc_max * store.energy_mwh, state.energy_mwh)
    needed = _needed(state, most_mw, day, step_h)
    day_end = np.append(np.flatnonzero(np.diff(day)) + 1, horizon)
    gain = store.eta_charge - store.loss_coefficient
    counted = store.counted(1.0, 0.0)
    stored_share = max(gain, 0.0) / counted
    keeps, jumpy = store.kept(step_h), store.p_min_mw > 0 or np.isfinite(store.ramp_mw_per_h)
    drawn = np.broadcast_to(state.drawn_mwh, p.shape)
    energy = np.empty((len(p), horizon + 1))
    energy[:, 0] = state.energy_mwh
    budget = np.zeros(len(p))
    for step in range(horizon):
        if step == 0 or day[step] != day[step - 1]:
            budget[:] = _budget(store, state.cycles_today if step == 0 else 0.0)
        now, least = keeps * energy[:, step], np.maximum(needed[:, step + 1], low)
        if jumpy:
            before = p[:, step - 1] if step else np.full(len(p), state.p_mw)
            reached = [
                store.reachable(*both, step_h) for both in zip(p[:, step].tolist(), before.tolist(), strict=True)
            ]
            p[:, step], q[:, step] = _within_rating(store, np.array(reached) * present[:, step], q[:, step])
        change, moved = _change(store, p[:, step], q[:, step], step_h)
        # reserve cycles for charging the energy due at the end of the day
        spare = stored_share * budget + now - needed[:, day_end[day[step]]]
        share = np.minimum(1.0, _ratio(budget, moved))
        share = np.minimum(share, _ratio(high - now, change))
        share = np.minimum(share, _ratio(now - least, -change))
        share = np.minimum(share, _ratio(spare, stored_share * moved - change, tolerances.ROUNDING * store.energy_mwh))
        p[:, step] *= share
        q[:, step] *= share
        change, moved = share * change, share * moved
        if jumpy and (small := np.abs(p[:, step]) < store.p_min_mw - tolerances.POWER_MW).any():
            p[small, step] = 0.0
            change, moved = _change(store, p[:, step], q[:, step], step_h)
        missing = needed[:, step + 1] - (now + change) + drawn[:, step]
        # what a solver's tolerance leaves missing is not worth the least power
        negligible = max(tolerances.ROUNDING * store.energy_mwh, tolerances.ENERGY_DUE_MWH * (store.p_min_mw > 0))
        late = (missing > negligible) & present[:, step]
        if late.any() and gain > 0:
            at_most = np.minimum(most_mw[:, step], budget / (step_h * counted))
            charge = _charge(store, (needed[late, step + 1] - now[late]) / step_h, q[late, step])
            charge = np.clip(charge, store.p_min_mw, np.maximum(at_most[late], store.p_min_mw))
            p[late, step], q[late, step] = _within_rating(store, -charge, q[late, step])
            change, moved = _change(store, p[:, step], q[:, step], step_h)
        energy[:, step + 1] = now + change - drawn[:, step]
        budget -= moved
    return LimitedPower(p + 0.0, q + 0.0, energy)  # -0.0 becomes 0.0


def _within_rating(store: Storage, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limit P by its bound, then Q by the rating at that P."""
    most = min(store.p_max_mw, store.s_max_mva)
    p = np.clip(p, -most, most)
    room = np.sqrt(np.maximum(store.s_max_mva**2 - p**2, 0.0)) * (1 - tolerances.ROUNDING)
    return p, np.clip(q, -room, room)


def _change(store: Storage, p: np.ndarray, q: np.ndarray, step_h: float) -> tuple[np.ndarray, np.ndarray]:
    """Energy gained in a step, and energy moved that counts for cycles [MWh]."""
    charge, discharge = np.maximum(-p, 0.0), np.maximum(p, 0.0)
    gain = store.eta_charge * charge - discharge / store.eta_discharge - store.loss_coefficient * np.hypot(p, q)
    return step_h * gain, step_h * store.counted(charge, discharge)


def _charge(store: Storage, gain_mw: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Solve ``η_ch P - A √(P² + Q²) = gain`` for P [MW]; where Q must then give way, the store gains more."""
    eta, loss = store.eta_charge, store.loss_coefficient
    square = (eta - loss) * (eta + loss)
    return (eta * gain_mw + loss * np.sqrt(gain_mw**2 + square * q**2)) / square


def _ratio(room: np.ndarray, taken: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    """Share of requested energy that fits, at most 1."""
    room = np.maximum(room, 0.0)
    return np.divide(room, taken, out=np.ones_like(taken), where=taken > room + rounding)


def _budget(store: Storage, cycles: float) -> float:
    """Energy that the remaining cycles of a day allow to be counted [MWh]."""
    return min(max(store.cycles_max_per_day - cycles, 0.0), _MANY_CYCLES) * 2.0 * store.energy_mwh


def _needed(
    state: StoreAhead, most_mw: Float[np.ndarray, "row horizon"], day: Int[np.ndarray, " horizon"], step_h: float
) -> Float[np.ndarray, "row horizon+1"]:
    """Minimum energy at the start of every step from which the energy due can be reached; -inf if always."""
    store, horizon = state.store, len(day)
    gain = max(store.eta_charge - store.loss_coefficient, 0.0)
    per_step = step_h * gain * most_mw
    in_a_day = _budget(store, 0.0) * gain / store.counted(1.0, 0.0)
    low, drawn = store.soc_min * store.energy_mwh, np.broadcast_to(state.drawn_mwh, most_mw.shape)
    needed = np.full((len(most_mw), horizon + 1), -np.inf)
    later = np.full(len(most_mw), -np.inf)
    day_end = later
    for step in range(horizon, -1, -1):
        later = np.maximum(later, state.due_mwh.get(step, -np.inf))
        begins_day = 0 < step < horizon and day[step] != day[step - 1]
        if begins_day:
            later = np.maximum(later, day_end - in_a_day)
        if begins_day or step == horizon:
            day_end = later
        needed[:, step] = later
        if step > 0:
            drives, kept = drawn[:, step - 1] > 0, store.kept(step_h)
            later = np.where(drives, np.maximum(later, low) + drawn[:, step - 1], later - per_step[:, step - 1]) / kept
    return needed
