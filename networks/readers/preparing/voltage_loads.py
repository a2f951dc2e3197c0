"""Loads that depend on the voltage: a part of constant impedance is a shunt, exactly.

A constant current is taken as its tangent in v² at 1 pu, half constant power and half constant impedance:
``v = ½ + ½ v² - ½ (v - 1)²``. The last term, which is left out, is at most 0.5 % of it within 0.9 to 1.1 pu.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp

KEPT = {"p_mw": "constant_share_p", "q_mvar": "constant_share_q"}
"""Columns that say which share of a load is left of constant power."""


def take_shunts_of_loads(net: Any) -> list[str]:
    """Replace what of the loads is no constant power, in place, by shunts; return what they are."""
    loads = net.load
    share = {
        (power, kind): loads[f"const_{kind}_{power[0]}_percent"].fillna(0.0) / 100.0
        for power in KEPT
        for kind in ("z", "i")
        if f"const_{kind}_{power[0]}_percent" in loads
    }
    none = np.zeros(len(loads))
    z, current = (
        {power: share[power, kind].to_numpy() if (power, kind) in share else none for power in KEPT}
        for kind in ("z", "i")
    )
    depends = loads.in_service.astype(bool).to_numpy() & (np.abs([*z.values(), *current.values()]).sum(axis=0) > 0.0)
    if not depends.any():
        return []
    at_1_pu = {}
    for power, column in KEPT.items():
        shunted = z[power] + 0.5 * current[power]
        at_1_pu[power] = (loads[power] * loads.scaling).to_numpy(dtype=float) * shunted
        net.load[column] = 1.0 - shunted
        net.load[power] = loads[power].astype(float) * (1.0 - shunted)
    for row in np.flatnonzero(depends):
        bus, name = loads.bus.iloc[row], f"load {loads.index[row]}"
        pp.create_shunt(net, bus, q_mvar=at_1_pu["q_mvar"][row], p_mw=at_1_pu["p_mw"][row], name=name)
    for power, kind in share:
        net.load[f"const_{kind}_{power[0]}_percent"] = 0.0
    number, total = int(depends.sum()), at_1_pu["p_mw"][depends].sum()
    many = f"{number} loads depend" if number > 1 else "1 load depends"
    what = f"{total:.4g} MW at 1 pu, constant throughout, are a shunt, which no factor of [[loads]] scales"
    notes = [f"{many} on the voltage: {what}"]
    if any(one.any() for one in current.values()):
        notes.append(
            "constant currents are taken as half constant power, half constant impedance, "
            "which is within 0.5 % of them from 0.9 to 1.1 pu"
        )
    return notes
