"""Many stores in one step: arrays for those whose request is within every limit, `step` one by one for the rest.

What limits leave of a request beyond them is said once, in `gridferry.controllers.devices.stores.step`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from gridferry.controllers.devices.device import Device, outcomes_of, step_each
from gridferry.controllers.devices.steps import Now, Outcomes, Requests, States
from gridferry.controllers.devices.stores.step import ROUNDING, window
from gridferry.controllers.devices.stores.storage import Storage


@dataclass(frozen=True, slots=True)
class StoreSteps:
    """What many stores do in a step, ``(sample,)`` each, as far as it is within all limits.

    Attributes
    ----------
    within : where the request is, and no strings drop out or come back; elsewhere the others mean nothing
    states : the fields of `gridferry.controllers.devices.stores.storage.StoreState` after the step
    wear_cost : cost of the energy charged [currency]
    """

    within: np.ndarray
    states: dict[str, np.ndarray]
    wear_cost: np.ndarray


def step_stores(
    storage: Storage, states: States, p: np.ndarray, q: np.ndarray, now: Now, series: Mapping[str, np.ndarray]
) -> StoreSteps:
    """Do requests ``(sample,)`` that are within all limits [MW, Mvar].

    Parameters
    ----------
    series : values that differ between the samples; all are beyond a limit where the share of the strings does
    """
    step_h = now.step_h
    share = np.minimum(series.get("availability", now.series.get("availability", 1.0)), 1.0)
    capacity = now.series.get("capacity", 1.0)
    before = np.asarray(states["energy_mwh"], dtype=np.float64)
    charge, discharge = np.maximum(-p, 0.0), np.maximum(p, 0.0)
    into, out = storage.eta_charge * charge, discharge / storage.eta_discharge
    s_max = share * storage.s_max_mva
    within = np.abs(p) <= share * min(storage.p_max_mw, storage.s_max_mva)
    within &= states["capacity"] == capacity if "capacity" not in series else False
    gain = into - out
    if q.any():
        with np.errstate(over="ignore"):
            within &= q * q <= (s_max - p) * (s_max + p)
        gain -= storage.loss_coefficient * np.hypot(p, q)
    elif storage.loss_coefficient:
        gain -= storage.loss_coefficient * np.abs(p)
    reached = before + step_h * gain
    low, high = window(storage, capacity)
    highest = np.maximum(before, high)
    energy = np.minimum(np.maximum(reached, np.minimum(before, low)), highest)
    within &= np.abs(reached - energy) <= ROUNDING * (highest + step_h * s_max)
    used = np.asarray(states["cycles_today"], dtype=np.float64)
    cycles = used + step_h / (2 * storage.energy_mwh) * (into + out)
    if np.isfinite(storage.cycles_max_per_day):
        most = np.maximum(used, storage.cycles_max_per_day)
        within &= cycles <= (1 + ROUNDING) * most
        cycles = np.minimum(cycles, most)
    after = {
        "energy_mwh": energy,
        "cycles_today": np.zeros(len(p)) if now.ends_day else cycles,
        "capacity": np.asarray(states["capacity"], dtype=np.float64),
    }
    return StoreSteps(within, after, (storage.cost_per_mwh_charged * step_h) * charge)


def with_rest_alone(
    device: Device[Any],
    together: Bool[np.ndarray, " sample"],
    given: tuple[States, Requests, Now, Mapping[str, np.ndarray]],
    done: tuple[dict[str, np.ndarray], Outcomes],
) -> tuple[States, Outcomes]:
    """Keep what was done together where that is right, and do the other samples one by one.

    Parameters
    ----------
    given : as `gridferry.controllers.devices.device.Device.step_many` has it
    done : the states after the step and the outcomes, of all samples
    """
    if together.all():
        return done
    samples = np.flatnonzero(~together)
    alone = step_each(device, samples, *given)
    states, outcomes = done
    states = {name: values.copy() for name, values in states.items()}
    for name, values in states.items():
        values[samples] = [getattr(state, name) for state, _ in alone]
    own = outcomes_of(device, alone)
    merged = {
        name: _merged(getattr(outcomes, name), samples, getattr(own, name))
        for name in ("bus", "p_mw", "q_mvar", "position", "stored_mwh")
    }
    money = {name: _merged(term, samples, own.money[name]) for name, term in outcomes.money.items()}
    return states, replace(outcomes, **merged, money=money)


def _merged(all_of: np.ndarray, samples: np.ndarray, own: np.ndarray) -> np.ndarray:
    merged = all_of.copy()
    merged[samples] = own
    return merged
