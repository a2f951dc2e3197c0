"""Read a solved storage model: setpoints within every limit, what they cost, and whether they are a power flow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Observation, Plant
from gridferry.controllers.model import distflow, routing
from gridferry.controllers.model import storage as stores
from gridferry.controllers.model.link import loss_slack_mw as link_slack
from gridferry.controllers.model.parts import StoreModel
from gridferry.controllers.model.storage_dispatch import MessModel

_NOTHING = 1e-6
"""smaller powers are the solver's noise [MW]"""


def setpoints(
    plant: Plant, built: MessModel
) -> tuple[Float[np.ndarray, "horizon port"], Float[np.ndarray, "horizon port"]]:
    """Return P and Q of every device, charging and discharging netted, within the converters' limits."""
    p, q = np.zeros((built.horizon, plant.n_port)), np.zeros((built.horizon, plant.n_port))
    for index, one in enumerate(built.stores):
        present = np.ones((built.horizon, 1))
        if index < len(built.routes):
            present = np.round(built.routes[index].parked.value)
        power = np.stack([at.p.value for at in one.at], axis=1)
        reactive = np.stack([at.q.value for at in one.at], axis=1)
        p[:, index], q[:, index] = (power * present).sum(axis=1), (reactive * present).sum(axis=1)
    first = len(plant.storages)
    for link in built.links:
        where = slice(first, first + link.p.shape[1])
        p[:, where], q[:, where] = link.p.value, link.q.value
        first = where.stop
    return within_ratings(plant, p, q)


def within_ratings(
    plant: Plant, p: Float[np.ndarray, "horizon port"], q: Float[np.ndarray, "horizon port"]
) -> tuple[Float[np.ndarray, "horizon port"], Float[np.ndarray, "horizon port"]]:
    """Take off what exceeds the ratings by a solver's tolerance, and its noise around zero."""
    most = np.minimum(plant.port_p_max_mw, plant.port_s_max_mva)
    p = np.where(np.abs(p) < _NOTHING, 0.0, np.clip(p, -most, most))
    room = np.sqrt(np.maximum(plant.port_s_max_mva**2 - p**2, 0.0)) * (1 - 1e-12)
    return p, np.where(np.abs(q) < _NOTHING, 0.0, np.clip(q, -room, room))


def destinations(built: MessModel, observation: Observation) -> Int[np.ndarray, "horizon truck"]:
    """Return where every truck stands or drives to in every step."""
    target = np.zeros((built.horizon, len(built.routes)), dtype=np.int64)
    for index, (way, stations) in enumerate(zip(built.routes, built.stations, strict=True)):
        start = stations.index(int(observation.position[index]))
        target[:, index] = routing.destinations(way.departs.value, way.arcs, stations, start, built.horizon)
    return target


def wasteful(plant: Plant, built: MessModel, observation: Observation) -> Bool[np.ndarray, "horizon storage"]:
    """Steps in which a store charges and discharges at once and could not do without: netted, it would overflow.

    Elsewhere netting gives the same injection, loses less and costs no more, so that nothing needs forbidding.
    """
    waste = np.zeros((built.horizon, len(built.stores)), dtype=bool)
    for index, one in enumerate(built.stores):
        both = stores.simultaneous(one.total.charge.value, one.total.discharge.value)
        if both.any() and _overflows(plant, one, float(observation.energy_mwh[index]), one.stored.loss.value):
            waste[:, index] = both
    return waste


def _overflows(plant: Plant, one: StoreModel, start_mwh: float, loss_mw: Float[np.ndarray, " horizon"]) -> bool:
    """Whether a store that nets charging and discharging would leave its window under given converter losses."""
    net = one.total.charge.value - one.total.discharge.value
    gain = one.store.eta_charge * np.maximum(net, 0.0) - np.maximum(-net, 0.0) / one.store.eta_discharge
    energy = start_mwh
    for keeps, moved, most in zip(one.stored.keeps, plant.step_h * (gain - loss_mw), one.stored.most, strict=True):
        energy = keeps * energy + moved
        if energy > most + 1e-6:
            return True
    return False


def cost_per_step(
    plant: Plant, built: MessModel, p: Float[np.ndarray, "horizon port"]
) -> Float[np.ndarray, " horizon"]:
    """What the model says that its setpoints cost; wear is counted on the netted charging power [currency]."""
    cost: np.ndarray = built.cost_per_step.value.copy()
    for index, one in enumerate(built.stores):
        less = one.total.charge.value - np.maximum(-p[:, index], 0.0)
        cost -= plant.step_h * one.store.cost_per_mwh_charged * less
    return cost


def cone_gap(built: MessModel) -> float:
    """Largest ``ℓ v - p² - q²`` over all networks [pu²]."""
    return max(distflow.cone_gap(flow) for flow in built.flows)


def open_cones_mw(plant: Plant, built: MessModel) -> float:
    """Most power that an open cone makes up in a branch, ``|z| (ℓ - (p² + q²)/w)`` [MW].

    A gap says little where the impedance is next to nothing; this is what it does to the flow.
    """
    return max(
        feeder.base_mva * distflow.made_up(feeder, flow)
        for feeder, flow in zip(plant.feeders, built.flows, strict=True)
    )


def loss_slack_mw(plant: Plant, built: MessModel, observation: Observation) -> float:
    """Largest converter loss that the plan counts on beyond the true one, over links and stores [MW].

    Of stores only those that would overflow without it; others just end with more energy than was asked for.
    """
    slack = max((link_slack(link, power) for link, power in zip(plant.links, built.links, strict=False)), default=0.0)
    for index, one in enumerate(built.stores):
        if one.store.loss_coefficient > 0:
            true = one.store.loss_coefficient * np.hypot(one.total.p.value, one.total.q.value)
            if _overflows(plant, one, float(observation.energy_mwh[index]), true):
                slack = max(slack, float(np.max(one.stored.loss.value - true)))
    return slack
