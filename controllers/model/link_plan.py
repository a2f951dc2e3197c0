"""Read a plan out of a solved model of links and batteries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers.contract import Note, NoteKind, Observation, Plant
from gridferry.controllers.model import distflow
from gridferry.controllers.model import storage as stores
from gridferry.controllers.model.link import loss_slack_mw
from gridferry.controllers.model.link_dispatch import MvdcModel, SquaredLimits
from gridferry.controllers.model.storage_plan import within_ratings

_MISSED = 3e-6
"""less than this of a limit is noise of the solver [pu, pu² of current, MWh]"""
_OVERLOADED = 1e-4
"""a smaller share above a rating is noise"""


def setpoints(
    plant: Plant, built: MvdcModel
) -> tuple[Float[np.ndarray, "horizon port"], Float[np.ndarray, "horizon port"]]:
    """Return P and Q of every device within its ratings; trucks at zero, charging and discharging netted."""
    horizon = len(built.import_mw[0].value)
    p, q = np.zeros((horizon, plant.n_port)), np.zeros((horizon, plant.n_port))
    for one in built.batteries:
        p[:, one.index], q[:, one.index] = one.power.p.value, one.power.q.value
    column = len(plant.storages)
    for link, power in zip(plant.links, built.links, strict=True):
        where = slice(column, column + len(link.terminals))
        p[:, where], q[:, where] = power.p.value, power.q.value
        column = where.stop
    return within_ratings(plant, p, q)


def voltages(built: MvdcModel) -> Float[np.ndarray, "horizon bus"]:
    """Voltages of all buses in the model's flow [pu]."""
    return np.concatenate([np.sqrt(np.maximum(flow.v_sq.value, 0.0)) for flow in built.flows], axis=1)


def cone_gap(built: MvdcModel) -> float:
    """Largest ``ℓ v - p² - q²`` over all networks [pu²]."""
    return max(distflow.cone_gap(flow) for flow in built.flows)


def loss_slack(plant: Plant, built: MvdcModel) -> float:
    """Largest converter loss that the plan counts on beyond the true one, over links and batteries [MW]."""
    slack = [loss_slack_mw(link, power) for link, power in zip(plant.links, built.links, strict=True)]
    for one in built.batteries:
        a = plant.storages[one.index].loss_coefficient
        if a > 0:
            true = a * np.hypot(one.power.p.value, one.power.q.value)
            slack.append(float(np.max(one.stored.loss.value - true, initial=0.0)))
    return max(slack, default=0.0)


def wasteful(plant: Plant, built: MvdcModel, observation: Observation) -> Bool[np.ndarray, "horizon storage"]:
    """Steps in which a battery charges and discharges at once and, netted, would hold more than its window."""
    horizon = len(built.import_mw[0].value)
    waste = np.zeros((horizon, len(plant.storages)), dtype=bool)
    for one in built.batteries:
        store = plant.storages[one.index]
        charge, discharge = one.power.charge.value, one.power.discharge.value
        both = stores.simultaneous(charge, discharge)
        net = charge - discharge
        gain = store.eta_charge * np.maximum(net, 0.0) - np.maximum(-net, 0.0) / store.eta_discharge
        start = float(observation.energy_mwh[one.index])
        energy = start + plant.step_h * np.cumsum(gain - one.stored.loss.value)
        if both.any() and np.max(energy) > max(store.soc_max * store.energy_mwh, start) + 1e-6:
            waste[:, one.index] = both
    return waste


@dataclass(frozen=True)
class Tightest:
    """The limit that is missed by most.

    Attributes
    ----------
    note : what it is, where and when, and by how much
    words : the same for an error, with the limit
    """

    note: Note
    words: str


def tightest(plant: Plant, built: MvdcModel, limits: SquaredLimits, step: int) -> Tightest | None:
    """Say which limit an elastic solution misses most: a voltage first, then a current, then an energy.

    Parameters
    ----------
    step : step of the run that the horizon begins with
    """
    missed = built.missed
    if missed is None:
        return None
    found = _voltage(plant, missed.low.value, missed.high.value, limits, step)
    if found is not None:
        return found
    found = _current(plant, built, step)
    if found is not None:
        return found
    short = [(float(one.value[0]), index, t) for index, t, one in missed.energy]
    most = max(short, default=(0.0, 0, 0))
    if most[0] > _MISSED:
        name = plant.ports[most[1]].name
        end = step + most[2] - 1
        words = f"battery {name} misses the energy it must hold at the end of step {end} by {most[0]:.4g} MWh"
        return Tightest(Note(NoteKind.VIOLATED_ENERGY, most[0], f"battery {name} at the end of step {end}"), words)
    return None


def _current(plant: Plant, built: MvdcModel, step: int) -> Tightest | None:
    worst: Tightest | None = None
    for number, (feeder, flow) in enumerate(zip(plant.feeders, built.flows, strict=True), start=1):
        share = np.sqrt(np.maximum(flow.i_sq.value, 0.0)) / feeder.i_max_pu
        if not share.size:
            continue
        t, branch = (int(i) for i in np.unravel_index(np.argmax(share), share.shape))
        over = float(share[t, branch]) - 1.0
        if over > _OVERLOADED and (worst is None or over > worst.note.value):
            where = f"branch {feeder.branch_names[branch]} of network {number} ({feeder.name}) at step {step + t}"
            words = f"{where}: its current is {100 * over:.3g} % above its rating"
            worst = Tightest(Note(NoteKind.VIOLATED_LOADING, over, where), words)
    return worst


def _voltage(plant: Plant, low: np.ndarray, high: np.ndarray, limits: SquaredLimits, step: int) -> Tightest | None:
    below = np.sqrt(limits.low) - np.sqrt(np.maximum(limits.low - np.maximum(low, 0.0), 0.0))
    above = np.sqrt(limits.high + np.maximum(high, 0.0)) - np.sqrt(limits.high)
    under = below.max(initial=0.0) >= above.max(initial=0.0)
    by = below if under else above
    if by.max(initial=0.0) <= _MISSED:
        return None
    t, bus = (int(i) for i in np.unravel_index(np.argmax(by), by.shape))
    k = next(k for k, buses in enumerate(plant.bus_slices) if buses.start <= bus < buses.stop)
    feeder = plant.feeders[k]
    local = bus - plant.bus_slices[k].start
    edge = feeder.v_min_pu[local] if under else feeder.v_max_pu[local]
    margin = np.sqrt(limits.low[t, bus]) - edge if under else edge - np.sqrt(limits.high[t, bus])
    where = f"bus {feeder.bus_names[local]} of network {k + 1} ({feeder.name}) at step {step + t}"
    kind = NoteKind.VIOLATED_V_LOW if under else NoteKind.VIOLATED_V_HIGH
    words = f"{where}: the voltage stays {by[t, bus]:.4g} pu {'below' if under else 'above'} its limit of {edge:.4g} pu"
    if margin > _MISSED:
        words += f" {'raised' if under else 'lowered'} by the margin of {margin:.4g} pu"
    return Tightest(Note(kind, float(by[t, bus]), where), words)
