"""Tables of constant data: limits, ratings, and where devices are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.traits import storage_of
from gridferry.sim.results.kind_tables import column_info, kind_info


def info_rows(plant: Plant, networks: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables of constant data, by table.

    Parameters
    ----------
    networks : names of the networks, in the plant's order
    """
    return {
        "bus_info": _bus_info(plant, networks),
        "line_info": _line_info(plant, networks),
        "network_info": _network_info(plant, networks),
        "kind_info": kind_info(plant.kinds),
        "column_info": column_info(plant.kinds, plant.currency),
        "device_info": _device_info(plant),
        "port_info": _port_info(plant, networks),
        "station_info": _station_info(plant, networks),
    }


def _bus_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for network, feeder in zip(networks, plant.feeders, strict=True):
        for k, bus in enumerate(feeder.bus_names):
            limits = {name: float(getattr(feeder, name)[k]) for name in ("v_min_pu", "v_max_pu")}
            at = {} if feeder.xy is None else dict(zip("xy", feeder.xy[k].tolist(), strict=True))
            rows.append({"network": network, "bus": bus, **limits, **at})
    return rows


def _network_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    limits = ("import_max_mw", "export_max_mw", "exchange_unit_mw")
    return [
        {"network": network, **{name: getattr(feeder, name) for name in limits}}
        for network, feeder in zip(networks, plant.feeders, strict=True)
    ]


def _line_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "network": network,
            "line": name,
            "from_bus": feeder.bus_names[feeder.parent[branch]],
            "to_bus": feeder.bus_names[feeder.child[branch]],
            "i_max_ka": float(feeder.i_max_pu[branch] * feeder.base_current_ka[branch]),
            "loading_max_percent": 100.0 * float(feeder.loading_max[branch]),
        }
        for network, feeder in zip(networks, plant.feeders, strict=True)
        for branch, name in enumerate(feeder.branch_names)
    ]


def _device_info(plant: Plant) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for device, own in zip(plant.devices, plant.port_columns, strict=True):
        store = storage_of(device)
        rated = {} if store is None else {key: getattr(store, key) for key in ("energy_mwh", "soc_min", "soc_max")}
        whose = {"kind": device.port_kind, "belongs_to": device.name}
        ports = (plant.ports[column] for column in range(own.start, own.stop) if column in plant.recorded)
        rows += [{"device": port.name, **whose, "s_max_mva": port.s_max_mva, **rated} for port in ports]
    return rows


def _port_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for device, own in zip(plant.devices, plant.port_columns, strict=True):
        for port in plant.ports[own]:
            at = _bus(plant, networks, port.buses[0]) if len(port.buses) == 1 else {}
            limits = {key: getattr(port, key) for key in ("p_min_mw", "p_max_mw", "s_max_mva")}
            rows.append({"device": port.name, "kind": device.port_kind, "belongs_to": device.name, **at, **limits})
    return rows


def _station_info(plant: Plant, networks: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"station": one.name, **_bus(plant, networks, one.bus), "places": one.places, "p_max_mw": one.p_max_mw}
        for one in plant.stations
    ]


def _bus(plant: Plant, networks: Sequence[str], bus: int) -> dict[str, str]:
    """Network and name of a bus on the axis of all buses."""
    number = next(k for k, own in enumerate(plant.bus_slices) if bus < own.stop)
    feeder = plant.feeders[number]
    return {"network": networks[number], "bus": feeder.bus_names[bus - plant.bus_slices[number].start]}
