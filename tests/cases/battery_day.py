"""A battery at the end of a feeder, for a few hours."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.joint_trade import Case
from cases.parts import forecast_of
from gridferry.controllers.conformance.sample_plants import at_start, read_only
from gridferry.controllers.contract import Plant, Storage
from gridferry.controllers.devices import Device
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator
from gridferry.networks.feeder import Feeder, plain_feeder


def chain(*r_x_ohm: tuple[float, float], kv: float = 12.66, base_mva: float = 1.0, ka: float | None = None) -> Feeder:
    """Lines in a row, all with the same rating."""
    n = len(r_x_ohm)
    return plain_feeder(
        "chain",
        base_mva=base_mva,
        base_kv=kv,
        bus_names=[str(bus + 1) for bus in range(n + 1)],
        p_load_mw=np.zeros(n + 1),
        q_load_mvar=np.zeros(n + 1),
        from_bus=np.arange(n),
        to_bus=np.arange(1, n + 1),
        r_ohm=np.array([r for r, _ in r_x_ohm]),
        x_ohm=np.array([x for _, x in r_x_ohm]),
        i_max_ka=None if ka is None else np.full(n, ka),
    )


def battery_day(
    feeder: Feeder,
    load_mw: list[float],
    price: list[float],
    pv_mw: list[float] | None = None,
    *,
    energy_mwh: float = 2.0,
    p_max_mw: float = 1.0,
    soc_end: float = 0.5,
) -> Case:
    """The load, sun and battery are at the last bus; the battery is half full at first."""
    end, hours = feeder.n_bus - 1, len(price)
    store = Storage(energy_mwh, p_max_mw, p_max_mw, 0.9, 0.9, 0.0, 0.0, 1.0, 0.5, soc_end, np.inf, 0.0)
    devices: list[Device[Any]] = [Battery("b", 0, end, store)]
    if pv_mw is not None:
        devices.append(Generator("pv", "pv", 0, end, 0.0))
    plant = Plant((feeder,), (), tuple(devices), None, 3600, hours, hours, 0, 1.0, "USD")
    load = np.zeros((hours, feeder.n_bus))
    load[:, end] = load_mw
    day = forecast_of(
        plant,
        load_p_mw=load,
        load_q_mvar=np.zeros_like(load),
        buy_price=np.array(price),
        sell_price=np.zeros(hours),
        generation_mw=None if pv_mw is None else np.array(pv_mw)[:, None],
    )
    return plant, at_start(plant), read_only(day)
