"""Check of a config's first step, with all devices at rest: power flow, limits; and powers that no line can carry."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import hold
from gridferry.controllers.devices.traits import storage_of
from gridferry.controllers.plans.first_step import step_first_row
from gridferry.networks.faults import Fault
from gridferry.networks.feeder import Feeder
from gridferry.sim.case.case import Case
from gridferry.sim.config.document import Loc
from gridferry.sim.grid.ac_grid import AcGrid, AcSolution
from gridferry.sim.loop.base_case import observation_at_start

_CARRIED = 0.5
"""times V²/|Z|: the most power that reaches a bus through impedances Z, however its voltage drops"""
_MOST_HOURS = 200.0
"""a store that takes longer to charge is unusual"""


def first_step(case: Case) -> tuple[list[Fault], list[Fault]]:
    """Solve the first step as the run does, at rest; return faults (it diverges) and notes (limits, units)."""
    plant, config, day = case.plant, case.loaded.config, case.conditions
    start = observation_at_start(case)
    done = step_first_row(plant, hold(plant, start), start, day.rows(slice(1)))
    p, q = -day.load_p_mw[0], -day.load_q_mvar[0]
    ports = [port for _, outcome in done for port in outcome.ports]
    p_droop_mw = np.array([[ports[number].p_mw for number in plant.droop_ports]])
    for port in (port for port in ports if port.bus >= 0):
        p[port.bus] += port.p_mw
        q[port.bus] += port.q_mvar
    faults: list[Fault] = []
    notes: list[Fault] = []
    for number, (network, buses) in enumerate(zip(case.networks, plant.bus_slices, strict=True)):
        solution = AcGrid(network, config.grid).solve(p[buses], q[buses], plant.droops(number, p_droop_mw)[1])
        loc: Loc = ("networks", number, "feeder")
        if not solution.converged:
            message = (
                f"power flow diverges in the first step, with all devices at rest and {-p[buses].sum():.4g} MW of net "
                f"load; the nominal load is {network.feeder.p_load_mw.sum():.4g} MW. Correct loads, units or impedances"
            )
            faults.append(case.loaded.fault(loc, message))
        elif broken := _limits_broken(case, network.feeder, solution):
            notes.append(case.loaded.fault(loc, f"at rest the first step breaks limits: {broken}"))
    return faults, notes + list(_suspicious(case))


def _limits_broken(case: Case, feeder: Feeder, solution: AcSolution) -> str:
    """Limits that a power flow violates, in words: how many, and the worst of each kind; empty if none."""
    grid, v = case.loaded.config.grid, solution.vm_pu
    loading = solution.loading_percent - 100.0 * feeder.loading_max
    parts = []
    for by, tolerance, limit, words in (
        (feeder.v_min_pu - v, grid.v_tolerance_pu, feeder.v_min_pu, "below"),
        (v - feeder.v_max_pu, grid.v_tolerance_pu, feeder.v_max_pu, "above"),
    ):
        if (by > tolerance).any():
            bus = int(by.argmax())
            where = f"{(by > tolerance).sum()} buses {words} theirs, bus {feeder.bus_names[bus]}"
            parts.append(f"{where} with {v[bus]:.4f} pu, limit {limit[bus]:.4g} pu")
    if (loading > grid.loading_tolerance_percent).any():
        line = int(loading.argmax())
        count = (loading > grid.loading_tolerance_percent).sum()
        parts.append(f"{count} lines overloaded, {feeder.branch_names[line]} by {loading[line]:.3g} %")
    return "; ".join(parts)


def _suspicious(case: Case) -> Iterator[Fault]:
    """Powers and energies that are likely to be in another unit: more than lines carry, or than fills a store."""
    plant, day, config = case.plant, case.conditions, case.loaded.config
    carried = np.concatenate([_carried_mw(feeder) for feeder in plant.feeders])
    own = 0.0 if day.own_p_mw is None else day.own_p_mw
    peak = np.abs(day.load_p_mw + own).max(axis=0)
    for number, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True)):
        bus = int((peak[buses] / carried[buses]).argmax())
        if message := _beyond("a load", peak[buses][bus], carried[buses][bus]):
            yield case.loaded.fault(("networks", number, "name"), f"bus {feeder.bus_names[bus]} has {message}")
    for device in plant.devices:
        loc: Loc = (device.table, [one.name for one in config.entries(type(device))].index(device.name))
        limits = [float(carried[list(port.buses)].max()) for port in device.ports]
        for key, series in device.series.items():
            if series.port is not None:
                most = float(np.abs(day.series[device.key][key]).max())
                if message := _beyond("it gives", most, limits[series.port]):
                    yield case.loaded.fault((*loc, key), message)
        for port, limit in zip(device.ports, limits, strict=True):
            if message := _beyond("its rating is", max(port.p_max_mw, -port.p_min_mw), limit):
                yield case.loaded.fault((*loc, "name"), message)
        if (store := storage_of(device)) and store.energy_mwh > _MOST_HOURS * store.p_max_mw:
            message = f"{store.p_max_mw:.4g} MW take {store.energy_mwh / store.p_max_mw:.4g} h to fill it: kWh for MWh?"
            yield case.loaded.fault((*loc, "energy_mwh"), message)


def _beyond(what: str, mw: float, limit: float) -> str:
    """Text about a power that is beyond what lines carry; empty for one within, or without a rating."""
    if not limit < mw < np.inf:
        return ""
    return f"{what} up to {mw:.4g} MW, of which the lines to its bus carry {limit:.3g} MW at most: kW given for MW?"


def _carried_mw(feeder: Feeder) -> Float[np.ndarray, " bus"]:
    """The most power that reaches each bus through the lines to it, however its voltage drops [MW]."""
    z = np.full(feeder.n_bus, np.nan, dtype=complex)
    z[feeder.slack] = 0.0
    while np.isnan(z).any():  # from the slack bus outwards
        z[feeder.child] = z[feeder.parent] + feeder.r_pu + 1j * feeder.x_pu
        z[feeder.slack] = 0.0
    with np.errstate(divide="ignore"):
        return _CARRIED * feeder.slack_v_pu**2 / np.abs(z) * feeder.base_mva
