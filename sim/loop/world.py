"""Assemble the mosaik world of a case and run it.

profiles, forecasts → controller → devices → grid → recorder        within a step
           controller ← devices, grid                     state, one step old (time-shifted)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
import mosaik
from mosaik_api_v3.connection import RemoteException

from gridferry.controllers.contract import Plant
from gridferry.networks.catalog import CATALOGUE
from gridferry.networks.faults import InputError
from gridferry.sim.adapters.devices import initial_state
from gridferry.sim.adapters.grid import GRID_RESULTS
from gridferry.sim.case.case import Case
from gridferry.sim.config.schema import NetworkConfig, SimulatorConfig
from gridferry.sim.host.host import ControllerStoppedError
from gridferry.sim.loop.connections import (
    close_connections,
    end_tasks,
    remote_errors,
    starter,
    watch_connections,
)
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.records import Recorder

_SIMULATORS = {
    "Profiles": "gridferry.sim.adapters.profiles:ProfileSimulator",
    "Forecasts": "gridferry.sim.adapters.forecasts:ForecastSimulator",
    "Controller": "gridferry.sim.adapters.controller:ControllerSimulator",
    "Devices": "gridferry.sim.adapters.devices:DeviceSimulator",
    "Grid": "gridferry.sim.adapters.grid:GridSimulator",
    "Recorder": "gridferry.sim.adapters.recorder:RecorderSimulator",
}


class SimulationFailedError(RuntimeError):
    """The simulation stopped before its last step.

    Attributes
    ----------
    unexpected : the exception behind it, where it is none that a run may fail by
    """

    def __init__(self, message: str, unexpected: BaseException | None = None):
        super().__init__(message)
        self.unexpected = unexpected


@dataclass(frozen=True)
class Start:
    """Start of a simulation: its first step, or a checkpoint.

    Attributes
    ----------
    step : first step to simulate
    checkpoint : the state before it, as `gridferry.sim.results.records` keeps it; ``None`` at the start of the run
    """

    step: int = 0
    checkpoint: dict[str, Any] | None = None


def simulate(
    case: Case,
    recorder: Recorder,
    *,
    start: Start,
    until_step: int,
    clip: bool = False,
    progress: Callable[[LiveState], None] | None = None,
) -> None:
    """Run the closed loop of a case from ``start`` up to, not including, ``until_step``.

    Raises
    ------
    SimulationFailedError
        when a simulator failed, here or elsewhere; what was simulated before is in the recorder.
    """
    config = case.loaded.config
    remote = {
        "Forecasts": config.simulators.forecasts,
        "Grid": config.simulators.grid,
        "Devices": config.simulators.agents,
        "Controller": config.simulators.controller,
    }
    starters = {name: starter(_SIMULATORS[name], remote.get(name)) for name in _SIMULATORS}
    with remote_errors(any(one.connect for one in remote.values())) as errors:
        try:
            with mosaik.World(starters, skip_greetings=True, configure_logging=False) as world:
                try:
                    _assemble(world, case, recorder, start, clip, progress, remote)
                    watch = world.loop.create_task(watch_connections(world))
                    try:
                        world.run(until=(until_step - start.step) * case.plant.step_s, print_progress=False)
                    finally:
                        watch.cancel()
                        end_tasks(world)
                finally:
                    close_connections(world, starters)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            # mosaik exits the process when a simulator hangs at its start
            raise SimulationFailedError(_reason(error, errors), None if _expected(error) else error) from error
    done = start.step if recorder.next_step is None else recorder.next_step
    if done != until_step:
        # mosaik logs the failure of a remote simulator and returns as if all were well
        message = "; ".join(errors) or "a simulator closed its connection"
        raise SimulationFailedError(f"stopped after step {done - 1} of {until_step}: {message}")


def _assemble(
    world: mosaik.World,
    case: Case,
    recorder: Recorder,
    start: Start,
    clip: bool,
    progress: Callable[[LiveState], None] | None,
    remote: dict[str, SimulatorConfig],
) -> None:
    plant, config = case.plant, case.loaded.config
    shared = {"case": case, "first_step": start.step}

    def of_case(name: str) -> dict[str, Any]:
        """What a simulator needs to know the case: the case itself here, the document it is made from elsewhere."""
        if remote[name].connect:
            return {"first_step": start.step, **case.as_params()}
        return shared

    checkpoint = start.checkpoint or {}
    state = checkpoint.get("state") or initial_state(plant, case.conditions.series_at(start.step))
    profiles = world.start("Profiles", **shared)
    forecasts = world.start("Forecasts", **of_case("Forecasts"), json=remote["Controller"].connect is not None)
    host = world.start("Controller", **of_case("Controller"), clip=clip, previous_plan=checkpoint.get("plan"))
    agents = world.start("Devices", **of_case("Devices"), state=state)
    here = {} if remote["Grid"].connect else {"networks": dict(zip(case.network_names, case.networks, strict=True))}
    grid = world.start("Grid", step_size=plant.step_s, **here)
    writer = world.start("Recorder", case=case, recorder=recorder, first_step=start.step, progress=progress)

    demands = profiles.Demand.create(len(plant.feeders))
    (market,) = profiles.Market.create(1)
    (roads,) = profiles.Roads.create(1)
    (series,) = profiles.DeviceSeries.create(1)
    (forecast,) = forecasts.Forecast.create(1)
    (controller,) = host.Controller.create(1)
    (devices,) = agents.Devices.create(1)
    grids = [
        grid.Grid(
            network=_name_elsewhere(network) if remote["Grid"].connect else network.name,
            nominal=False,
            ac_engine=config.grid.ac_engine.value,
            slack_v_pu=feeder.slack_v_pu,
            tolerance_mva=config.grid.tolerance_mva,
            max_iterations=config.grid.max_iterations,
        )
        for network, feeder in zip(config.networks, plant.feeders, strict=True)
    ]
    for one, network, feeder in zip(grids, config.networks, plant.feeders, strict=True):
        if tuple(bus.extra_info["name"] for bus in _of_type(one, "Bus")) != feeder.bus_names:
            raise ValueError(f"the grid simulator has another net as {network.name} than the config; give it the same")
    (record,) = writer.Recorder.create(1)

    world.connect(forecast, controller, "forecast")
    world.connect(roads, devices, "congestion")
    world.connect(series, devices, "series")
    setpoints, ports = _of_type(controller, "Setpoint"), _of_type(devices, "Port")
    for index in plant.planned:
        world.connect(setpoints[index], ports[index], "P_set[MW]", "Q_set[MVar]")
    for chosen, position in zip(_of_type(controller, "Position"), _of_type(devices, "Position"), strict=True):
        world.connect(chosen, position, "position_set")
    for feed, one in zip(_of_type(devices, "Feed"), grids, strict=True):
        world.connect(feed, one, ("P[MW]", "P_gen[MW]"), ("Q[MVar]", "Q_gen[MVar]"))
    world.connect(devices, controller, "state", time_shifted=True, initial_data={"state": state})
    last = checkpoint.get("grids")
    sizes = grid_sizes(plant)
    for k, (demand, one) in enumerate(zip(demands, grids, strict=True)):
        world.connect(demand, one, "P_load[MW]", "Q_load[MVar]", ("P_own[MW]", "P_gen[MW]"))
        before = {attr: last[attr][k] if last else [float("nan")] * size[k] for attr, size in sizes.items()}
        world.connect(one, controller, *sizes, time_shifted=True, initial_data=before)
        world.connect(demand, record, "P_load[MW]", "Q_load[MVar]", "P_gen[MW]")
        world.connect(one, record, *GRID_RESULTS)
    world.connect(market, record, "buy_price", "sell_price")
    world.connect(roads, record, "congestion")
    world.connect(controller, record, "plan", "dispatch")
    world.connect(devices, record, "state", "outcomes")


def grid_sizes(plant: Plant) -> dict[str, list[int]]:
    """Lengths of what each grid feeds back, by attribute and network."""
    buses, branches = [one.n_bus for one in plant.feeders], [one.n_branch for one in plant.feeders]
    return {"Vm[pu]": buses, "P_line[MW]": branches, "Q_line[MVar]": branches}


def _name_elsewhere(network: NetworkConfig) -> str:
    """Name of a network for a remote grid simulator; files and functions go by their names in the config."""
    if network.feeder not in CATALOGUE and network.name in CATALOGUE:
        raise ValueError(f"the network {network.name} is not that of the catalogue; give it another name in the config")
    return network.feeder if network.feeder in CATALOGUE else network.name


def _of_type(entity: Any, kind: str) -> list[Any]:
    """Children of a type, in the order of their numbers."""
    return sorted(
        (child for child in entity.children if child.type == kind), key=lambda one: int(one.eid.rpartition("-")[2])
    )


def _expected(error: BaseException) -> bool:
    """Whether an exception is a failure of a controller, a file or a remote simulator, not a defect of the code."""
    from_mosaik = type(error).__module__.partition(".")[0] in ("mosaik", "mosaik_api_v3", "asyncio")
    known = (
        SystemExit,
        ControllerStoppedError,
        InputError,
        OSError,
        EOFError,
        duckdb.IOException,
        duckdb.OutOfMemoryException,
    )
    return from_mosaik or isinstance(error, known)


def _reason(error: BaseException, errors: list[str]) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "; ".join(["a remote simulator closed its connection", *errors])
    if isinstance(error, RemoteException):
        message = f"{error.source}: {error.remote_type}: {error.remote_msg}"
    else:
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "; ".join([message, *errors])
