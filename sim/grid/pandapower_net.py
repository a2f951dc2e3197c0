"""pandapower nets for the AC simulator: the source's own, or one built from a feeder."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandapower as pp
from jaxtyping import Int

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network


def net_of_network(network: Network) -> tuple[pp.pandapowerNet, Int[np.ndarray, " bus"]]:
    """Return a pandapower net with one load at every feeder bus and no other load or source, and those loads' buses.

    The load at position ``i`` of ``net.load`` is the negative injection of the feeder's bus ``i``. What the source had
    as loads, static generators and storages is in the feeder's nominal figures and is left out here.
    """
    if network.source_net is None or network.net_bus is None:
        net, net_bus = net_of_feeder(network.feeder)
    else:
        net, net_bus = deepcopy(network.source_net), network.net_bus
        for table in ("load", "sgen", "storage"):
            net[table] = net[table].iloc[0:0].copy()
        net.ext_grid.loc[net.ext_grid.in_service, "vm_pu"] = network.feeder.slack_v_pu
        at_slack = net.gen.bus.isin(net.ext_grid.bus)
        net.gen.loc[at_slack, "vm_pu"] = network.feeder.slack_v_pu
    pp.create_loads(net, net_bus, p_mw=0.0, q_mvar=0.0)
    # the source's table may be of whole numbers, and what is written into it would be cut off
    net.load = net.load.astype({"p_mw": np.float64, "q_mvar": np.float64})
    return net, net_bus


def net_of_feeder(feeder: Feeder) -> tuple[pp.pandapowerNet, Int[np.ndarray, " bus"]]:
    """Build a pandapower net of a feeder, without loads; plain lines become lines, other π sections impedances.

    Raises
    ------
    InputError
        naming the branch, if one has an off-nominal tap: pandapower's impedance element carries none.
    """
    tapped = np.flatnonzero((feeder.tap_parent != 1.0) | (feeder.tap_child != 1.0))
    if len(tapped):
        raise InputError(
            Fault(
                feeder.name,
                f"branch {feeder.branch_names[one]}",
                'has an off-nominal tap and no pandapower net to take it from; set ac_engine = "power-grid-model" '
                "under [grid], or give the feeder as a pandapower net",
            )
            for one in tapped
        )
    net = pp.create_empty_network(name=feeder.name, sn_mva=feeder.base_mva)
    net_bus = np.asarray(pp.create_buses(net, feeder.n_bus, vn_kv=feeder.base_kv, name=list(feeder.bus_names)))
    pp.create_ext_grid(net, net_bus[feeder.slack], vm_pu=feeder.slack_v_pu)
    shunted = feeder.g_parent_pu.astype(bool) | feeder.b_parent_pu.astype(bool)
    shunted |= feeder.g_child_pu.astype(bool) | feeder.b_child_pu.astype(bool)
    shunted |= feeder.base_kv[feeder.parent] != feeder.base_kv[feeder.child]
    from_bus, to_bus = net_bus[feeder.parent], net_bus[feeder.child]
    for branch in np.flatnonzero(shunted):
        pp.create_impedance(
            net,
            from_bus[branch],
            to_bus[branch],
            rft_pu=feeder.r_pu[branch],
            xft_pu=feeder.x_pu[branch],
            sn_mva=feeder.base_mva,
            gf_pu=feeder.g_parent_pu[branch],
            bf_pu=feeder.b_parent_pu[branch],
            gt_pu=feeder.g_child_pu[branch],
            bt_pu=feeder.b_child_pu[branch],
            name=feeder.branch_names[branch],
        )
    plain = np.flatnonzero(~shunted)
    z_base = feeder.base_kv[feeder.child[plain]] ** 2 / feeder.base_mva
    rating_ka = feeder.i_max_pu[plain] * feeder.base_current_ka[plain]
    if len(plain):
        pp.create_lines_from_parameters(
            net,
            from_bus[plain],
            to_bus[plain],
            length_km=1.0,
            r_ohm_per_km=feeder.r_pu[plain] * z_base,
            x_ohm_per_km=feeder.x_pu[plain] * z_base,
            c_nf_per_km=0.0,
            max_i_ka=np.where(np.isfinite(rating_ka), rating_ka, 1e6),
            name=[feeder.branch_names[branch] for branch in plain],
        )
    for bus in np.flatnonzero((feeder.g_shunt_pu != 0.0) | (feeder.b_shunt_pu != 0.0)):
        pp.create_shunt(
            net,
            net_bus[bus],
            p_mw=feeder.g_shunt_pu[bus] * feeder.base_mva,
            q_mvar=-feeder.b_shunt_pu[bus] * feeder.base_mva,
        )
    return net, net_bus
