"""Many schedules of a store at once: arrays within all limits, `step` one by one beyond them.

What limits leave of a request beyond them is said once, in `gridferry.controllers.devices.stores.step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from gridferry.controllers.devices.device import Device, simulate_each
from gridferry.controllers.devices.steps import Now, Outcomes, Requests
from gridferry.controllers.devices.stores.depth import filled_by, wear_of_schedules
from gridferry.controllers.devices.stores.step import ROUNDING, window
from gridferry.controllers.devices.stores.storage import Storage, StoreState


@dataclass(frozen=True, slots=True)
class StoreSchedules:
    """Results of many schedules of a store, valid for those within all limits.

    Attributes
    ----------
    within : which are, in all steps, and without strings that drop out or come back (sample,); of the others the rest
        means nothing
    energy_mwh : after each step (sample, horizon) [MWh]
    wear_cost : cost of the energy charged, and of the depth of cycles (sample, horizon) [currency]
    """

    within: np.ndarray
    energy_mwh: np.ndarray
    wear_cost: np.ndarray


def simulate_store(
    storage: Storage,
    start: StoreState,
    p: np.ndarray,
    q: np.ndarray,
    nows: Sequence[Now],
    series: Mapping[str, Any],
    *,
    drawn_mwh: np.ndarray | float = 0.0,
) -> StoreSchedules:
    """Do requests ``(sample, horizon)`` that are within all limits [MW, Mvar].

    Parameters
    ----------
    series : values that differ between the samples (sample, horizon)
    drawn_mwh : taken from the cells, beside the power (sample, horizon) [MWh]
    """
    step_h = nows[0].step_h
    share = np.minimum(_values("availability", nows, series), 1.0)
    charge, discharge = np.maximum(-p, 0.0), np.maximum(p, 0.0)
    into, out = storage.eta_charge * charge, discharge / storage.eta_discharge
    within = np.abs(p) <= share * min(storage.p_max_mw, storage.s_max_mva)
    within &= _values("usable_energy_share", nows, series) == start.usable_energy_share
    if storage.p_min_mw:
        within &= (p == 0.0) | (np.abs(p) >= storage.p_min_mw)
    if np.isfinite(storage.ramp_mw_per_h):
        ramps = np.abs(np.diff(p, prepend=np.full((len(p), 1), start.p_mw)))
        within &= ramps <= (1 + ROUNDING) * storage.ramp_mw(step_h)
    gain = into - out
    if q.any():
        s_max = share * storage.s_max_mva
        with np.errstate(over="ignore"):
            within &= q * q <= (s_max - p) * (s_max + p)
        gain -= storage.loss_coefficient * np.hypot(p, q)
    elif storage.loss_coefficient:
        gain -= storage.loss_coefficient * np.abs(p)
    rounding_mwh = ROUNDING * step_h * storage.s_max_mva
    ends = _within_window(storage, start, step_h * gain - drawn_mwh, rounding_mwh, storage.kept(step_h))
    if np.isfinite(storage.cycles_max_per_day):
        used = step_h / (2 * storage.energy_mwh) * storage.counted(charge, discharge)
        for day in days_of(nows):
            already = start.cycles_today if day.start == 0 else 0.0
            cycles = already + np.add.accumulate(used[:, day], axis=1)
            within[:, day] &= cycles <= (1 + ROUNDING) * max(already, storage.cycles_max_per_day)
    fits = within.all(axis=1) & np.isfinite(ends).all(axis=1)
    wear_cost = (storage.cost_per_mwh_charged * step_h) * charge
    if storage.wear_by_depth:
        energy = np.concatenate([np.full((len(ends), 1), start.energy_mwh), ends], axis=1)
        wear_cost = wear_cost + wear_of_schedules(storage, filled_by(storage, start), energy, storage.kept(step_h))
    return StoreSchedules(fits, ends, wear_cost)


def days_of(nows: Sequence[Now]) -> list[slice]:
    """Split steps into local days."""
    ends = [step + 1 for step, now in enumerate(nows) if now.ends_day]
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, len(nows)], strict=True) if a < b]


def with_rest_alone(
    device: Device[Any],
    together: Bool[np.ndarray, " sample"],
    given: tuple[Any, Requests, Sequence[Now], Mapping[str, np.ndarray]],
    outcomes: Outcomes,
) -> Outcomes:
    """Take the array results where they are valid, and step the other samples one by one.

    Parameters
    ----------
    given : as `gridferry.controllers.devices.device.Device.simulate_many` has it
    """
    if together.all():
        return outcomes
    samples = np.flatnonzero(~together)
    own = simulate_each(device, samples, *given)
    merged = {
        name: _merged(getattr(outcomes, name), samples, getattr(own, name))
        for name in ("bus", "p_mw", "q_mvar", "stored_mwh", "reached")
        if getattr(outcomes, name).size
    }
    money = {name: _merged(term, samples, own.money[name]) for name, term in outcomes.money.items()}
    return replace(outcomes, **merged, money=money)


def _values(key: str, nows: Sequence[Now], series: Mapping[str, Any]) -> np.ndarray:
    """Values of a series of a store: of every sample, or one row for all."""
    if key in series:
        values: np.ndarray = series[key]
        return values
    return np.array([[now.series.get(key, 1.0) for now in nows]])


def _within_window(
    storage: Storage, start: StoreState, change: np.ndarray, rounding_mwh: float, keeps: float
) -> np.ndarray:
    """Energy after each step (sample, horizon) [MWh]; NaN from where it would leave the window of the store.

    A step on a bound that rounding puts beyond it ends on the bound, as in `step`; availability does not narrow that.
    """
    low, high = window(storage, start.usable_energy_share)
    before = np.full((len(change), 1), start.energy_mwh)
    energy = np.add.accumulate(np.concatenate([before, change], axis=1), axis=1)
    energy = energy[:, 1:]
    outside = ~((low <= energy) & (energy <= high)).all(axis=1)
    leaves = np.flatnonzero(outside) if keeps == 1.0 else np.arange(len(change))
    if len(leaves):
        now = before[leaves, 0]
        for step in range(change.shape[1]):
            now = keeps * now
            reached, highest = now + change[leaves, step], np.maximum(now, high)
            now = np.minimum(np.maximum(reached, np.minimum(now, low)), highest)
            now = np.where(np.abs(reached - now) <= ROUNDING * highest + rounding_mwh, now, np.nan)
            energy[leaves, step] = now
    return energy


def _merged(all_of: np.ndarray, samples: np.ndarray, own: np.ndarray) -> np.ndarray:
    merged = all_of.copy()
    merged[samples] = own
    return merged
