"""Physics of a store: one step of its energy balance, and its limits on a setpoint.

    E(t+1) = κ E(t) + Δ (η_ch P_ch - P_dh/η_dh - A √(P² + Q²)),   P = P_dh - P_ch      [A, eq. 37; B, §2.2]

A setpoint is limited in this order:

1. P by the ramp from the power of the step before, and by the least power: what is below it is 0,
2. P by the largest power and the converter's rating,
3. P by the cycles left of the day,
4. P by the window of energy, so that the step ends on the bound; the loss is that of the Q which step 5 leaves,
5. Q by the rating at that P,
6. Q by the window of energy, where its loss alone would empty the store.

P and Q only ever shrink towards 0, but for the ramp: a store that must not stop at once goes on. Every other limit is
kept all the same, as is being out of service. Where limits leave less than the least power, P is 0. A store outside its
window may stay where it is, but gets no further out.

A derated store has its power and its converter's rating times the availability. Where the usable share of the rated
energy falls, stored energy falls in proportion at the start of the step: failed strings take theirs with them. Strings
that come back are empty. The window is relative to the usable energy; cycles are relative to the rated energy, as wear
and warranties are.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip, reactive_within
from gridferry.controllers.devices.steps import Now
from gridferry.controllers.devices.stores.depth import filled_by, use_segments
from gridferry.controllers.devices.stores.storage import Storage, StoreState

ROUNDING = 16 * sys.float_info.epsilon
"""by which a step on a bound may be beyond it, as a share of the values that it is computed from"""


@dataclass(frozen=True, slots=True)
class StoreStep:
    """Result of a step of a store: ``E(t+1) - E(t) = charged - discharged - loss``.

    Attributes
    ----------
    p_mw, q_mvar : injection [MW, Mvar]
    shortfall_mwh : ``Δ |P requested - P done|`` [MWh]
    charged_mwh, discharged_mwh : energy drawn from and given to the grid [MWh]
    loss_mwh : lost in conversion, negative for a published efficiency above 1, and with strings that dropped out [MWh]
    cycles_today : cycles of the local day that the step belongs to, this step included
    wear_cost : cost of the energy charged, and of the depth of cycles [currency]
    clips : why it differs from what was requested, by more than a watt
    """

    p_mw: float
    q_mvar: float
    shortfall_mwh: float
    charged_mwh: float
    discharged_mwh: float
    loss_mwh: float
    cycles_today: float
    wear_cost: float
    clips: tuple[Clip, ...]


def initial_store(storage: Storage, now: Now) -> StoreState:
    """Return the state at the start of a run: the initial state of charge, of the usable energy."""
    share = now.series.get("usable_energy_share", 1.0)
    return StoreState(storage.soc_initial * storage.energy_mwh * share, usable_energy_share=share)


def step_store(
    storage: Storage, state: StoreState, p_mw: float, q_mvar: float, now: Now
) -> tuple[StoreState, StoreStep]:
    """Simulate a step of a store: do the request within all limits."""
    availability = now.series.get("availability", 1.0)
    if availability <= 0:
        return idle_store(storage, state, p_mw, q_mvar, now, Clip.OUT_OF_SERVICE)
    left = _strings(storage, state, now)
    derated = _derated(storage, availability)
    reached, first = _reached(storage, state, p_mw, now.step_h)
    p, q, clips = _clip_to_limits(derated, left, reached, q_mvar, now.step_h)
    if 0 < abs(p) < storage.p_min_mw - NEGLIGIBLE_MW:
        first, (p, q, _) = (*first, Clip.LEAST_POWER), _clip_to_limits(derated, left, 0.0, q_mvar, now.step_h)
    as_requested = max(abs(p - p_mw), abs(q - q_mvar)) <= NEGLIGIBLE_MW
    return _move(storage, state, left, p_mw, now, p, q, () if as_requested else (*first, *clips))


def _reached(storage: Storage, state: StoreState, p_mw: float, step_h: float) -> tuple[float, tuple[Clip, ...]]:
    """Power that ramp and least power leave of a request, and why it is another [MW]."""
    p = storage.reachable(p_mw, state.p_mw, step_h)
    if abs(p - p_mw) <= NEGLIGIBLE_MW:
        return p, ()
    return p, (Clip.RAMP if abs(p_mw - state.p_mw) > storage.ramp_mw(step_h) else Clip.LEAST_POWER,)


def idle_store(
    storage: Storage, state: StoreState, p_mw: float, q_mvar: float, now: Now, why: Clip
) -> tuple[StoreState, StoreStep]:
    """Simulate a step without power, whatever is requested."""
    clips = (why,) if max(abs(p_mw), abs(q_mvar)) > NEGLIGIBLE_MW else ()
    return _move(storage, state, _strings(storage, state, now), p_mw, now, 0.0, 0.0, clips)


def store_row(
    storage: Storage, before: StoreState, after: StoreState, done: StoreStep, now: Now
) -> dict[str, float | int | str | bool | None]:
    """Return the values of `STORE_COLUMNS`."""
    return {
        "energy_start_mwh": before.energy_mwh,
        "energy_mwh": after.energy_mwh,
        "soc": after.energy_mwh / storage.energy_mwh,
        "availability": now.series.get("availability", 1.0),
        "usable_energy_share": after.usable_energy_share,
        "charged_mwh": done.charged_mwh,
        "discharged_mwh": done.discharged_mwh,
        "cycles_today": done.cycles_today,
        "wear_cost": done.wear_cost,
    }


def _derated(storage: Storage, availability: float) -> Storage:
    if availability >= 1:
        return storage
    return replace(storage, p_max_mw=availability * storage.p_max_mw, s_max_mva=availability * storage.s_max_mva)


def _strings(storage: Storage, state: StoreState, now: Now) -> StoreState:
    """Return the state with the usable energy of this step: where that falls, stored energy falls with it.

    What the store loses by itself in the step is taken from it, too.
    """
    share, keeps = now.series.get("usable_energy_share", 1.0), storage.kept(now.step_h)
    if share == state.usable_energy_share and keeps == 1.0:
        return state
    if share != state.usable_energy_share:
        # a store without usable energy is empty
        keeps *= min(share / state.usable_energy_share, 1.0) if state.usable_energy_share > 0 else 0.0
    depth = tuple(keeps * filled for filled in filled_by(storage, state))
    return StoreState(keeps * state.energy_mwh, state.cycles_today, share, state.p_mw, depth)


def _move(
    storage: Storage,
    state: StoreState,
    left: StoreState,
    p_requested: float,
    now: Now,
    p: float,
    q: float,
    clips: tuple[Clip, ...],
) -> tuple[StoreState, StoreStep]:
    step_h = now.step_h
    charge, discharge = max(-p, 0.0), max(p, 0.0)
    into = storage.eta_charge * charge
    out = discharge / storage.eta_discharge
    converter = storage.loss_coefficient * math.hypot(p, q)
    low, high = _window(storage, left)
    # the clip lands on the bound up to rounding
    energy = min(max(left.energy_mwh + step_h * (into - out - converter), low), high)
    cycles = state.cycles_today + step_h / (2 * storage.energy_mwh) * storage.counted(charge, discharge)
    cycles = min(cycles, max(storage.cycles_max_per_day, state.cycles_today))
    wear_cost, depth = storage.cost_per_mwh_charged * step_h * charge, left.depth_mwh
    if storage.wear_by_depth:
        depth, deep = use_segments(storage, filled_by(storage, left), energy - left.energy_mwh)
        wear_cost += deep
    done = StoreStep(
        p_mw=p,
        q_mvar=q,
        shortfall_mwh=step_h * abs(p_requested - p),
        charged_mwh=step_h * charge,
        discharged_mwh=step_h * discharge,
        loss_mwh=step_h * ((charge - into) + (out - discharge) + converter) + (state.energy_mwh - left.energy_mwh),
        cycles_today=cycles,
        wear_cost=wear_cost,
        clips=clips,
    )
    return StoreState(energy, 0.0 if now.ends_day else cycles, left.usable_energy_share, p, depth), done


def _clip_to_limits(
    storage: Storage, state: StoreState, p_requested: float, q_requested: float, step_h: float
) -> tuple[float, float, tuple[Clip, ...]]:
    """Reduce a setpoint to what the limits allow; returns P, Q and the reasons. A feasible one passes unchanged."""
    clips: list[Clip] = []
    p = _within(p_requested, min(storage.p_max_mw, storage.s_max_mva), Clip.RATING, clips)
    p = _within(p, _cycle_limit(storage, state, step_h, p), Clip.CYCLES, clips)
    q = reactive_within(storage.s_max_mva, p, q_requested)
    if _inside(storage, state, p, q, step_h):
        if abs(q - q_requested) > NEGLIGIBLE_MW and Clip.RATING not in clips:
            clips.append(Clip.RATING)
        return p, q, tuple(clips)
    return _clip_to_window(storage, state, p, q_requested, step_h, clips)


def _within(p: float, limit: float, why: Clip, clips: list[Clip]) -> float:
    if abs(p) <= limit:
        return p
    if abs(p) - limit > NEGLIGIBLE_MW:
        clips.append(why)
    return math.copysign(limit, p)


def _cycle_limit(storage: Storage, state: StoreState, step_h: float, p: float) -> float:
    """Largest power in the direction of ``p`` that the remaining cycles allow [MW] [A, eq. 38]."""
    if math.isinf(storage.cycles_max_per_day):
        return math.inf
    left = max(storage.cycles_max_per_day - state.cycles_today, 0.0) * 2 * storage.energy_mwh / step_h
    return left / (storage.counted(1.0, 0.0) if p < 0 else storage.counted(0.0, 1.0))


def _window(storage: Storage, state: StoreState) -> tuple[float, float]:
    """Least and largest energy at the end of a step [MWh]."""
    low, high = window(storage, state.usable_energy_share)
    return min(low, state.energy_mwh), max(high, state.energy_mwh)


def window(storage: Storage, usable: float) -> tuple[float, float]:
    """Least and largest energy of a store, given the usable share of its rated energy [MWh].

    Divided by the usable energy, both lie within the limits of the state of charge, to the last bit.
    """
    energy_mwh = usable * storage.energy_mwh
    low, high = storage.soc_min * energy_mwh, storage.soc_max * energy_mwh
    # a product divided by its factor can come out one bit further than it went in
    if energy_mwh > 0 and low / energy_mwh < storage.soc_min:
        low = math.nextafter(low, math.inf)
    if energy_mwh > 0 and high / energy_mwh > storage.soc_max:
        high = math.nextafter(high, 0.0)
    return low, high


def _inside(storage: Storage, state: StoreState, p: float, q: float, step_h: float) -> bool:
    """Whether the step ends inside the window, up to rounding."""
    gain = -storage.eta_charge * p if p < 0 else -p / storage.eta_discharge
    energy = state.energy_mwh + step_h * (gain - storage.loss_coefficient * math.hypot(p, q))
    low, high = _window(storage, state)
    slack = ROUNDING * (high + step_h * storage.s_max_mva)
    return low - slack <= energy <= high + slack


def _clip_to_window(
    storage: Storage, state: StoreState, p_requested: float, q_requested: float, step_h: float, clips: list[Clip]
) -> tuple[float, float, tuple[Clip, ...]]:
    """Limit the power so that the step ends on the bound that ``p_requested`` and its Q would break."""
    s_max, loss = storage.s_max_mva, storage.loss_coefficient
    low, high = _window(storage, state)
    q_size = abs(q_requested)
    spare, room = (state.energy_mwh - low) / step_h, (high - state.energy_mwh) / step_h
    charge = max(-p_requested, 0.0)
    apparent = min(math.hypot(p_requested, q_size), s_max)
    if storage.eta_charge * charge - loss * apparent > room:
        p = -min(_fullest_charge(storage.eta_charge, loss, q_size, s_max, room), charge)
        return _clipped(
            p_requested, q_requested, p, reactive_within(s_max, p, q_requested), s_max, Clip.ENERGY_FULL, clips
        )
    if p_requested > 0:
        p = min(_emptying_discharge(1 / storage.eta_discharge, loss, q_size, s_max, spare), p_requested)
        most = spare / loss if p == 0 and loss > 0 else math.inf
    elif (own := (storage.eta_charge * charge + spare) / loss if loss > 0 else math.inf) >= charge:
        p, most = p_requested, math.sqrt((own - charge) * (own + charge))
    else:
        # the converter loses more than the store gains: only where A > η_ch
        p, most = -min(spare / (loss - storage.eta_charge), charge), 0.0
    q = reactive_within(s_max, p, q_requested)
    q = math.copysign(min(abs(q), most), q_requested)
    return _clipped(p_requested, q_requested, p, q, s_max, Clip.ENERGY_EMPTY, clips)


def _clipped(
    p_requested: float, q_requested: float, p: float, q: float, s_max: float, why: Clip, clips: list[Clip]
) -> tuple[float, float, tuple[Clip, ...]]:
    beside = reactive_within(s_max, p, q_requested)
    if abs(beside - q_requested) > NEGLIGIBLE_MW and Clip.RATING not in clips:
        clips.append(Clip.RATING)
    if max(abs(p - p_requested), abs(q - beside)) > NEGLIGIBLE_MW:
        clips.append(why)
    return p, q, tuple(clips)


def _emptying_discharge(c: float, loss: float, q: float, s_max: float, spare: float) -> float:
    """Solve ``c P + A min(√(P² + q²), S) = spare`` for P ≥ 0; 0 where the loss alone is more [MW]."""
    if loss * min(q, s_max) >= spare:
        return 0.0
    at_rating = (spare - loss * s_max) / c
    if at_rating > 0 and math.hypot(at_rating, q) >= s_max:
        return at_rating
    # the smaller root of (c² - A²) P² - 2 c spare P + spare² - A² q² = 0, in the form that does not cancel
    root = math.sqrt(spare * spare + (c - loss) * (c + loss) * q * q)
    return (spare - loss * q) * (spare + loss * q) / (c * spare + loss * root)


def _fullest_charge(eta: float, loss: float, q: float, s_max: float, room: float) -> float:
    """Solve ``η P - A min(√(P² + q²), S) = room`` for P > 0 [MW]."""
    at_rating = (room + loss * s_max) / eta
    if eta <= loss or math.hypot(at_rating, q) >= s_max:
        return at_rating
    root = math.sqrt(room * room + (eta - loss) * (eta + loss) * q * q)
    return (room * eta + loss * root) / ((eta - loss) * (eta + loss))
