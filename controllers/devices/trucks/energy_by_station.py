"""Energy that travels with a truck: its battery's energy told apart by where the truck is.

With whole trucks nothing new is said. Fractions of a truck, though, could charge at one station and discharge at
another without a trip if they shared one store; here each carries its own, so that energy only gets elsewhere on the
road. At the start of step t, with the trips that leave and arrive then,

    e_s(t) = e_s(t-1) + Δ gain_s(t-1) + Σ_into c_a - Σ_out c_a
    e_min z_s(t) ≤ e_s(t), e_s(t) + Δ gain_s(t) ≤ e_max z_s(t)          e_min y_a ≤ c_a ≤ e_max y_a

which makes the relaxation of the whole problem far tighter (the formulation is ours).
"""

from __future__ import annotations

from collections.abc import Sequence

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from gridferry.controllers.devices.planning.routing import Route
from gridferry.controllers.devices.stores.block import StoragePower
from gridferry.controllers.devices.stores.storage import Storage


def energy_by_station(
    store: Storage, step_h: float, energy_start_mwh: float, route: Route, at: Sequence[StoragePower]
) -> list[cp.Constraint]:
    """Tie the power at every station to the energy that the truck brought there.

    Parameters
    ----------
    energy_start_mwh : energy at the start of the horizon [MWh]
    at : its power at each of its stations, in the order of the route's places
    """
    start, arrives = route.network.start, route.network.arrives
    horizon, places = route.parked.shape
    arcs, nodes = route.network.arcs, horizon * places
    low = min(store.soc_min * store.energy_mwh, energy_start_mwh)
    high = max(store.soc_max * store.energy_mwh, energy_start_mwh)
    here = cp.Variable((horizon, places))
    gains = []
    constraints: list[cp.Constraint] = [here >= low * route.parked, here <= high * route.parked]
    for power in at:
        gain = store.eta_charge * power.charge - power.discharge / store.eta_discharge
        if store.loss_coefficient > 0:
            loss = cp.Variable(horizon)
            constraints.append(cp.SOC(loss, store.loss_coefficient * cp.vstack([power.p, power.q]), axis=0))
            gain = gain - loss
        gains.append(gain)
    after = here + step_h * cp.vstack(gains).T
    constraints += [after >= low * route.parked, after <= high * route.parked]
    before = sp.diags_array(np.ones(max(nodes - places, 0)), offsets=-places, shape=(nodes, nodes))
    source = np.zeros(nodes)
    if arrives < horizon:
        source[arrives * places + start] = energy_start_mwh
    balance = cp.vec(here, order="C") - sp.csr_array(before) @ cp.vec(after, order="C")
    if len(arcs):
        carried = cp.Variable(len(arcs))
        each, shape = np.arange(len(arcs)), (nodes, len(arcs))
        out = sp.csr_array((np.ones(len(arcs)), (arcs.departure * places + arcs.origin, each)), shape=shape)
        into = sp.csr_array((np.ones(len(arcs)), (arcs.arrival * places + arcs.target, each)), shape=shape)
        balance = balance + (out - into) @ carried
        constraints += [carried >= low * route.departs, carried <= high * route.departs]
    return [balance == source, *constraints]
