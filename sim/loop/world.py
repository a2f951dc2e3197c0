"""Assemble the mosaik world of a case and run it.

profiles, forecasts → controller → devices → grid → recorder        within a step
           controller ← devices, grid                     state, one step old (time-shifted)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mosaik

from gridferry.controllers.contract import Plant
from gridferry.networks.catalog import CATALOGUE
from gridferry.networks.faults import InputError
from gridferry.sim.adapters.devices import initial_state
from gridferry.sim.adapters.grid import DROOPS, GRID_RESULTS
from gridferry.sim.case.case import Case
from gridferry.sim.host.host import ControllerStoppedError
from gridferry.sim.loop.connections import Remote, RemoteSimulatorError, close_connections, end_tasks, starter
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.record_tables import WRITING_FAILED
from gridferry.sim.results.records import Recorder

_SIMULATORS = {
    "Profiles": "gridferry.sim.adapters.profiles:ProfileSimulator",
    "Forecasts": "gridferry.sim.adapters.forecasts:ForecastSimulator",
    "Controller": "gridferry.sim.adapters.controller:ControllerSimulator",
    "Devices": "gridferry.sim.adapters.devices:DeviceSimulator",
    "Grid": "gridferry.sim.adapters.grid:GridSimulator",
    "Recorder": "gridferry.sim.adapters.recorder:RecorderSimulator",
}
_CONFIGURED = {"Forecasts": "forecasts", "Grid": "grid", "Devices": "agents", "Controller": "controller"}
"""simulators that may run elsewhere, and what they are called in ``[simulators]``"""


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
    remote = _remote(case, start)
    starters = {name: starter(_SIMULATORS[name], remote.get(name)) for name in _SIMULATORS}
    # remote simulators have their own limit, which says which of them it was
    running = False
    limits: Any = {"start_timeout": 2.0 * case.loaded.config.simulators.start_timeout_s}
    try:
        with mosaik.World(starters, limits, skip_greetings=True, configure_logging=False) as world:
            try:
                _assemble(world, case, recorder, start, clip, progress, remote)
                running = True
                try:
                    world.run(until=(until_step - start.step) * case.plant.step_s, print_progress=False)
                finally:
                    end_tasks(world)
            finally:
                close_connections(world, starters)
    except (Exception, asyncio.CancelledError, SystemExit) as error:
        # mosaik exits the process when a simulator fails to start
        expected = _expected(error) or (bool(remote) and _raised_by_mosaik(error))
        message = _reason(error)
        if remote and not isinstance(error, (RemoteSimulatorError, ControllerStoppedError)):
            message = f"{f'step {_done(recorder, start)}' if running else 'set-up'}: {message}"
        raise SimulationFailedError(message, None if expected else error) from error
    done = _done(recorder, start)
    if done != until_step:
        raise SimulationFailedError(f"stopped after step {done - 1} of {until_step}: a simulator ended before its time")


def _done(recorder: Recorder, start: Start) -> int:
    return start.step if recorder.next_step is None else recorder.next_step


def _remote(case: Case, start: Start) -> dict[str, Remote]:
    """Simulators that run elsewhere, by their name here."""
    config = case.loaded.config.simulators
    addresses = {key: getattr(config, key).connect for key in _CONFIGURED.values()}
    return {
        name: Remote(key, addresses[key], config.start_timeout_s, config.step_timeout_s, start.step, case.plant.step_s)
        for name, key in _CONFIGURED.items()
        if addresses[key]
    }


def _assemble(
    world: mosaik.World,
    case: Case,
    recorder: Recorder,
    start: Start,
    clip: bool,
    progress: Callable[[LiveState], None] | None,
    remote: dict[str, Remote],
) -> None:
    plant, config = case.plant, case.loaded.config
    shared = {"case": case, "first_step": start.step}

    def of_case(name: str) -> dict[str, Any]:
        """What a simulator needs to know the case: the case itself here, the document it is made from elsewhere."""
        if name in remote:
            return {"first_step": start.step, **case.as_params()}
        return shared

    checkpoint = start.checkpoint or {}
    state = checkpoint.get("state") or initial_state(plant, case.conditions.series_at(start.step))
    profiles = world.start("Profiles", **shared)
    forecasts = world.start("Forecasts", **of_case("Forecasts"), json="Controller" in remote)
    peak_mw = checkpoint.get("peak_import_mw")
    before = {"clip": clip, "previous_plan": checkpoint.get("plan"), "peak_import_mw": peak_mw}
    host = world.start("Controller", **of_case("Controller"), **before)
    agents = world.start("Devices", **of_case("Devices"), state=state)
    here = {} if "Grid" in remote else {"networks": dict(zip(case.network_names, case.networks, strict=True))}
    grid = world.start("Grid", step_size=plant.step_s, **here)
    writer = world.start("Recorder", **shared, recorder=recorder, progress=progress, peak_import_mw=peak_mw)

    demands = profiles.Demand.create(len(plant.feeders))
    (market,) = profiles.Market.create(1)
    (roads,) = profiles.Roads.create(1)
    (series,) = profiles.DeviceSeries.create(1)
    (forecast,) = forecasts.Forecast.create(1)
    (controller,) = host.Controller.create(1)
    (devices,) = agents.Devices.create(1)
    grids = [
        grid.Grid(
            network=_name_elsewhere(case, number) if "Grid" in remote else network.name,
            nominal=False,
            ac_engine=config.grid.ac_engine.value,
            slack_v_pu=feeder.slack_v_pu,
            tolerance_mva=config.grid.tolerance_mva,
            max_iterations=config.grid.max_iterations,
        )
        for number, (network, feeder) in enumerate(zip(config.networks, plant.feeders, strict=True))
    ]
    for number, (one, feeder) in enumerate(zip(grids, plant.feeders, strict=True)):
        if tuple(bus.extra_info["name"] for bus in _of_type(one, "Bus")) != feeder.bus_names:
            message = "the grid simulator has another net by this name; give it the same"
            raise InputError(case.loaded.fault(("networks", number, "name"), message))
    (record,) = writer.Recorder.create(1)

    world.connect(forecast, controller, "forecast")
    world.connect(roads, devices, "congestion", "congestion_ahead")
    world.connect(series, devices, "series")
    setpoints, ports = _of_type(controller, "Setpoint"), _of_type(devices, "Port")
    for index in plant.planned:
        world.connect(setpoints[index], ports[index], "P_set[MW]", "Q_set[MVar]")
    for chosen, position in zip(_of_type(controller, "Position"), _of_type(devices, "Position"), strict=True):
        world.connect(chosen, position, "position_set")
    for feed, one in zip(_of_type(devices, "Feed"), grids, strict=True):
        world.connect(feed, one, ("P[MW]", "P_gen[MW]"), ("Q[MVar]", "Q_gen[MVar]"))
        if plant.droop_ports:
            world.connect(feed, one, DROOPS)
    world.connect(devices, controller, "state", time_shifted=True, initial_data={"state": state})
    last = checkpoint.get("grids")
    sizes = grid_sizes(plant)
    for k, (demand, one) in enumerate(zip(demands, grids, strict=True)):
        world.connect(demand, one, "P_load[MW]", "Q_load[MVar]", ("P_own[MW]", "P_gen[MW]"))
        fed_back = {attr: last[attr][k] if last else [float("nan")] * size[k] for attr, size in sizes.items()}
        world.connect(one, controller, *sizes, time_shifted=True, initial_data=fed_back)
        imported = {"import[MW]": float("nan")}
        world.connect(one, controller, *imported, time_shifted=True, initial_data=imported)
        world.connect(demand, record, "P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "P_own[MW]")
        world.connect(one, record, *GRID_RESULTS)
    world.connect(market, record, "buy_price", "sell_price")
    world.connect(roads, record, "congestion")
    world.connect(controller, record, "plan", "dispatch")
    world.connect(devices, record, "state", "outcomes")


def grid_sizes(plant: Plant) -> dict[str, list[int]]:
    """Lengths of what each grid feeds back, by attribute and network."""
    buses, branches = [one.n_bus for one in plant.feeders], [one.n_branch for one in plant.feeders]
    return {"Vm[pu]": buses, "P_line[MW]": branches, "Q_line[MVar]": branches}


def _name_elsewhere(case: Case, number: int) -> str:
    """Name of a network for a remote grid simulator; files and functions go by their names in the config."""
    network = case.loaded.config.networks[number]
    if network.feeder not in CATALOGUE and network.name in CATALOGUE:
        message = "is not the network of the catalogue; give it another name, for a grid simulator elsewhere"
        raise InputError(case.loaded.fault(("networks", number, "name"), message))
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
        RemoteSimulatorError,
        ControllerStoppedError,
        InputError,
        OSError,
        EOFError,
        *WRITING_FAILED,
    )
    return from_mosaik or isinstance(error, known)


def _raised_by_mosaik(error: BaseException) -> bool:
    """Whether mosaik itself found something wrong, as with the answer of a remote simulator."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("mosaik", "mosaik_api_v3")


def _reason(error: BaseException) -> str:
    if isinstance(error, RemoteSimulatorError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
