"""Our simulators in scenarios of others: right, or one error that names entity, attribute and the way out."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import mosaik
import mosaik_api_v3
import numpy as np
import pytest

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import hold
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.networks.faults import InputError
from gridferry.sim.adapters.controller import ControllerSimulator
from gridferry.sim.adapters.devices import DeviceSimulator, initial_state
from gridferry.sim.adapters.grid import GridSimulator
from gridferry.sim.adapters.inputs import Inputs
from gridferry.sim.adapters.profiles import ProfileSimulator
from gridferry.sim.adapters.recorder import RecorderSimulator
from gridferry.sim.adapters.step_record import StepReader
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.loop.connections import end_tasks
from gridferry.sim.loop.runner import run as simulated

OURS = {
    name: {"python": f"gridferry.sim.adapters.{module}:{cls}"}
    for name, module, cls in (
        ("Grid", "grid", "GridSimulator"),
        ("Devices", "devices", "DeviceSimulator"),
        ("Profiles", "profiles", "ProfileSimulator"),
        ("Forecasts", "forecasts", "ForecastSimulator"),
        ("Controller", "controller", "ControllerSimulator"),
    )
}
NAN = float("nan")
pytestmark = pytest.mark.filterwarnings("ignore:A connection between the non-persistent")  # mosaik, of events


class Source(mosaik_api_v3.Simulator):
    """Gives one value in every step of its own."""

    def __init__(self) -> None:
        model = {"public": True, "params": ["value"], "attrs": ["x"]}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": {"Meter": model}})

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 900) -> Any:
        self.step_size = step_size
        return self.meta

    def create(self, num: int, model: str, value: Any = None) -> Any:
        self.value = value
        return [{"eid": "Meter", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        self.time = time
        return time + self.step_size

    def get_data(self, outputs: Any) -> Any:
        value = self.value(self.time // self.step_size) if callable(self.value) else self.value
        return {eid: {"x": value} for eid in outputs}


class Event(mosaik_api_v3.Simulator):
    """Says its values at given times, and nothing in between."""

    def __init__(self) -> None:
        model = {"public": True, "params": ["said"], "attrs": ["x"]}
        super().__init__({"api_version": "3.0", "type": "event-based", "models": {"Event": model}})

    def create(self, num: int, model: str, said: dict[int, Any]) -> Any:
        self.said = said
        return [{"eid": "Event-0", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int | None:
        self.time = time
        return min((one for one in self.said if one > time), default=None)

    def get_data(self, outputs: Any) -> Any:
        return {"Event-0": {"x": self.said[self.time]}, "time": self.time}


class Log(mosaik_api_v3.Simulator):
    """Writes down what comes."""

    rows: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        model = {"public": True, "any_inputs": True, "params": [], "attrs": []}
        super().__init__({"api_version": "3.0", "type": "event-based", "models": {"Log": model}})

    def create(self, num: int, model: str) -> Any:
        return [{"eid": "Log-0", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> None:
        Log.rows += [value for values in inputs["Log-0"].values() for value in values.values()]

    def get_data(self, outputs: Any) -> Any:
        return {}


@pytest.fixture
def world() -> Iterator[Callable[..., mosaik.World]]:
    """Worlds with our simulators and those above."""
    sys.modules["foreign_simulators"] = sys.modules[__name__]
    theirs = {name: {"python": f"foreign_simulators:{name}"} for name in ("Source", "Event", "Log")}
    Log.rows = []
    with ExitStack() as opened:

        def made(**options: Any) -> mosaik.World:
            one = mosaik.World(OURS | theirs, skip_greetings=True, configure_logging=False, **options)
            opened.enter_context(one)
            opened.callback(end_tasks, one)
            return one

        yield made
    del sys.modules["foreign_simulators"]


@pytest.fixture(scope="module")
def case() -> Case:
    """Two feeders with a truck, two batteries and a link."""
    return build_case(load_config("two_feeders", ["time.steps=8"], "rules"))


def part(entity: Any, eid: str) -> Any:
    return next(one for one in entity.children if one.eid == eid)


def run(world: mosaik.World, until: int) -> list[Any]:
    world.run(until=until, print_progress=False)
    return Log.rows


# ---------------------------------------------------------------------------------------------------- time resolution


@pytest.mark.parametrize(("resolution", "units"), [(1.0, 900), (60.0, 15), (900.0, 1), (0.1, 9000)])
def test_steps_have_their_length_whatever_the_time_resolution(world: Any, case: Case, resolution: float, units: int):
    """A battery of the case gives 0.2 MW for eight quarter-hours."""
    scenario = world(time_resolution=resolution)
    devices = scenario.start("Devices", case=case).Devices()
    source = scenario.start("Source", step_size=units).Meter(value=0.2)
    scenario.connect(source, part(devices, "Port-1"), ("x", "P_set[MW]"))
    log = scenario.start("Log").Log()
    scenario.connect(part(devices, "Device-1"), log, "E[MWh]")
    stored = run(scenario, 8 * units)
    assert len(stored) == 8
    # half of 1.5 MWh at first; 2 % of what is given is lost
    np.testing.assert_allclose(stored, 0.75 - 1.02 * 0.2 * 0.25 * np.arange(1, 9), rtol=1e-9)


@pytest.mark.parametrize("name", ["Devices", "Grid"])
def test_a_time_resolution_that_splits_a_step_is_refused(world: Any, case: Case, name: str):
    with pytest.raises(InputError, match="World: time_resolution: 7 s does not divide steps of 900 s; choose"):
        world(time_resolution=7.0).start(name, **({} if name == "Grid" else {"case": case}))


def test_a_grid_steps_by_quarter_hours_where_nothing_is_said(world: Any):
    scenario = world(time_resolution=60.0)
    grid = scenario.start("Grid").Grid(network="three_bus")
    log = scenario.start("Log").Log()
    scenario.connect(grid, log, "import[MW]")
    assert len(run(scenario, 60)) == 4


# ------------------------------------------------------------------------------------------------ what lists have to be


@pytest.mark.parametrize(
    "value", [0.05, [0.05], [0.1, 0.2], [0.1, 0.2, "x"], ["0.1"] * 3, None, "0.05", [[0.1] * 3], [NAN] * 3]
)
def test_a_list_of_buses_takes_a_number_for_each_and_nothing_else(world: Any, value: Any):
    scenario = world()
    grid = scenario.start("Grid").Grid(network="three_bus")
    scenario.connect(scenario.start("Source").Meter(value=value), grid, ("x", "P_load[MW]"))
    message = r"Grid-0: P_load\[MW\]: Source-0.Meter gives .* expected a list of 3 finite numbers, one per bus"
    with pytest.raises(InputError, match=message):
        run(scenario, 900)


@pytest.mark.parametrize("value", [[0.05], None, "0.05", NAN, True, {"p": 1}])
def test_a_bus_takes_one_number(world: Any, value: Any):
    scenario = world()
    grid = scenario.start("Grid").Grid(network="three_bus")
    scenario.connect(scenario.start("Source").Meter(value=value), part(grid, "Bus-1"), ("x", "P_load[MW]"))
    with pytest.raises(InputError, match=r"Bus-1: P_load\[MW\]: Source-0.Meter gives .*; expected one finite number"):
        run(scenario, 900)


@pytest.mark.parametrize("value", [[0.0, 0.0, 0.4], (0.0, 0, 0.4), np.array([0.0, 0.0, 0.4])])
def test_lists_tuples_and_arrays_are_the_same(world: Any, value: Any):
    scenario = world()
    grid = scenario.start("Grid").Grid(network="three_bus", nominal=False)
    scenario.connect(scenario.start("Source").Meter(value=value), grid, ("x", "P_load[MW]"))
    scenario.connect(grid, scenario.start("Log").Log(), "import[MW]")
    (imported,) = run(scenario, 900)
    assert imported == pytest.approx(0.4, abs=5e-3)


@pytest.mark.parametrize("value", [7, 1.5, "S1", [0]])
def test_a_position_is_a_number_of_its_labels(world: Any, case: Case, value: Any):
    scenario = world()
    devices = scenario.start("Devices", case=case).Devices()
    scenario.connect(scenario.start("Source").Meter(value=value), part(devices, "Position-0"), ("x", "position_set"))
    with pytest.raises(InputError, match=r"Position-0: position_set: given is .*; expected one whole number from 0 to"):
        run(scenario, 900)


@pytest.mark.parametrize(("attr", "value"), [("congestion", [0.0]), ("series", 3), ("series", {"x": {"y": 1.0}})])
def test_what_surrounds_devices_is_checked(world: Any, case: Case, attr: str, value: Any):
    scenario = world()
    devices = scenario.start("Devices", case=case).Devices()
    scenario.connect(scenario.start("Source").Meter(value=value), devices, ("x", attr))
    with pytest.raises(InputError, match=f"Devices-0: {attr}: "):
        run(scenario, 900)


# ------------------------------------------------------------------------------------------------ event-based sources


def test_what_an_event_says_lasts_until_the_next_one(world: Any, case: Case):
    scenario = world()
    devices = scenario.start("Devices", case=case).Devices()
    events = scenario.start("Event")
    scenario.set_initial_event(events._sid)
    said = events.Event(said={0: 0.2, 2700: -0.1})
    scenario.connect(said, part(devices, "Port-1"), ("x", "P_set[MW]"))
    scenario.connect(part(devices, "Port-1"), scenario.start("Log").Log(), "P[MW]")
    assert run(scenario, 5 * 900) == pytest.approx([0.2, 0.2, 0.2, -0.1, -0.1])


def test_a_load_that_is_said_once_is_drawn_in_every_step(world: Any):
    scenario = world()
    grid = scenario.start("Grid").Grid(network="three_bus", nominal=False)
    events = scenario.start("Event")
    scenario.set_initial_event(events._sid)
    scenario.connect(events.Event(said={0: 0.4}), part(grid, "Bus-2"), ("x", "P_load[MW]"))
    scenario.connect(grid, scenario.start("Log").Log(), "import[MW]")
    imported = run(scenario, 3 * 900)
    assert imported == pytest.approx([imported[0]] * 3)
    assert imported[0] > 0.39


# -------------------------------------------------------------------------------------- not connected, after the end


def test_devices_that_nothing_is_connected_to_rest(world: Any, case: Case):
    scenario = world()
    devices = scenario.start("Devices", case=case).Devices()
    scenario.connect(part(devices, "Port-1"), scenario.start("Log").Log(), "P[MW]")
    assert run(scenario, 1800) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("connected", "missing"),
    [
        ((), "forecast: nothing came from a source; connect one, with a forecast"),
        (("forecast",), "state: nothing came from a source; connect one, with the state of Devices-0"),
        (("forecast", "state"), r"Vm\[pu\]: nothing came from a source; connect a source of 66 numbers"),
    ],
)
def test_a_controller_names_what_is_not_connected(world: Any, case: Case, connected: tuple[str, ...], missing: str):
    scenario = world()
    controller = scenario.start("Controller", case=case).Controller()
    if "forecast" in connected:
        scenario.connect(scenario.start("Forecasts", case=case).Forecast(), controller, "forecast")
    if "state" in connected:
        scenario.connect(scenario.start("Source").Meter(value=initial_state(case.plant)), controller, ("x", "state"))
    with pytest.raises(InputError, match=f"Controller-0: {missing}"):
        run(scenario, 900)


def test_a_recorder_names_what_is_not_connected(case: Case):
    recorder = RecorderSimulator()
    recorder.init("Recorder-0", case=case, recorder=None)
    with pytest.raises(InputError, match="Recorder-0: plan: nothing came from a source; connect one"):
        recorder.step(0, {}, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"p_mw": [[0.0]]}, "p_mw has shape"),
        ({"q_mvar": [["much"]]}, "could not convert string to float"),
        ({"position": [[99, 99]]}, "position"),
        ({"prediction": {}}, "KeyError"),
        ({"solver": {"status": "ok"}}, "cannot be read"),
        ({"solver": None}, "cannot be read"),
        ({"memory": 3}, "cannot be read"),
    ],
)
def test_a_plan_of_another_controller_is_refused_by_the_field_that_is_none(
    case: Case, change: dict[str, Any], why: str
):
    inputs, plan = Inputs(), plan_to_json(hold(case.plant, at_start(case.plant), 2))
    inputs.update({"Recorder-0": {"plan": {"Mine-0.Plan": plan | change}}})
    with pytest.raises(InputError, match=f"Recorder-0: plan: .*{why}"):
        StepReader(case, 0, inputs, np.zeros(len(case.plant.feeders)))


@pytest.mark.parametrize("simulator", [ProfileSimulator, DeviceSimulator, ControllerSimulator])
def test_after_the_last_step_of_the_case_the_error_says_when_to_end(case: Case, simulator: Any):
    one = simulator()
    one.init("one", case=case, time_resolution=60.0)
    with pytest.raises(
        InputError, match=r"-0: step 8: the case ends with step 7; end the scenario at 120 in its time units"
    ):
        one.step(120, {}, 0)


def test_lists_of_several_networks_are_put_together_by_the_numbers_of_their_entities(case: Case):
    """Whatever the order in which they come; single buses will do as well."""
    inputs = Inputs()
    inputs.update(
        {"C": {"v": {"G-0.Grid-1": [3.0, None], "G-0.Grid-0": [1.0, 2.0]}, "w": {f"G.Bus-{i}": i for i in (2, 0, 1)}}}
    )
    np.testing.assert_array_equal(inputs.along("C", "v", 4, "bus"), [1.0, 2.0, 3.0, NAN])
    np.testing.assert_array_equal(inputs.along("C", "w", 3, "bus"), [0.0, 1.0, 2.0])
    with pytest.raises(
        InputError, match=r"C: v: expected 5 numbers, one per bus, and 2 from G-0.Grid-0, 2 from G-0.Grid-1 came"
    ):
        inputs.along("C", "v", 5, "bus")
    inputs.update({"C": {"u": {"Meter": [1.0], "Other": [2.0]}}})
    with pytest.raises(InputError, match="C: u: the order of Meter, Other is not clear; connect one with"):
        inputs.along("C", "u", 2, "bus")


def test_grids_of_unknown_entities_say_what_there_is(world: Any):
    with pytest.raises(ValueError, match="create a Grid"):
        GridSimulator().create(1, "Bus")


# -------------------------------------------------------------------------------------------- forecasts of others


def loop(scenario: mosaik.World, case: Case, forecast: Any) -> None:
    """The closed loop of a case without grids, with a forecast from anywhere."""
    plant = case.plant
    controller = scenario.start("Controller", case=case).Controller()
    devices = scenario.start("Devices", case=case).Devices()
    for i in range(plant.n_port):
        if i in plant.planned:
            scenario.connect(part(controller, f"Setpoint-{i}"), part(devices, f"Port-{i}"), "P_set[MW]")
    scenario.connect(forecast, controller, ("x", "forecast"))
    first = {"state": initial_state(plant)}
    scenario.connect(devices, controller, "state", time_shifted=True, initial_data=first)

    feedback = {"Vm[pu]": plant.n_bus, "P_line[MW]": plant.n_branch, "Q_line[MVar]": plant.n_branch}

    for attr, length in feedback.items():
        unknown = scenario.start("Source").Meter(value=[NAN] * length)
        scenario.connect(unknown, controller, ("x", attr))
    scenario.connect(controller, scenario.start("Log").Log(), "dispatch")


def flat(case: Case, step: int, rows: int = 8) -> dict[str, Any]:
    plant = case.plant
    n_road = 0 if plant.roads is None else len(plant.roads.road_names)
    return {
        "step": step,
        "load_p_mw": np.zeros((rows, plant.n_bus)).tolist(),
        "load_q_mvar": np.zeros((rows, plant.n_bus)),
        "buy_price": [50.0] * rows,
        "sell_price": [60.0] * rows,
        "congestion": np.zeros((rows, n_road)).tolist(),
    }


def test_somebody_elses_forecasts_take_the_place_of_ours(world: Any, case: Case):
    scenario = world()
    meter = scenario.start("Source").Meter(value=lambda step: flat(case, step, 8 - step))
    loop(scenario, case, meter)
    decisions = run(scenario, 3 * 900)
    assert [one["failure"] for one in decisions] == ["", "", ""]


def test_a_forecast_holds_until_the_next_and_its_rows_stay_with_their_steps(world: Any, case: Case):
    scenario = world()
    events = scenario.start("Event")
    scenario.set_initial_event(events._sid)
    loop(scenario, case, events.Event(said={0: flat(case, 0, 3)}))
    with pytest.raises(InputError, match=r"Controller-0: forecast: .*for 3 steps from step 0 on, and this is step 3"):
        run(scenario, 5 * 900)
    assert [one["failure"] for one in Log.rows] == ["", "", ""]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"buy_price": None}, "cannot be read .*buy_price is no array of numbers"),
        ({"load_p_mw": [[0.0]]}, r"load_p_mw has shape \(1, 1\); it should have \(8, 66\)"),
        ({"sell_price": ["a"] * 8}, "sell_price is no array of numbers"),
        ({"series": {"batteries.bess1": {"avail": [1.0] * 8}}}, "no such series; there is"),
        ({"price": [1.0]}, "no such field; there is load_p_mw"),
        ({"step": 1}, "for 8 steps from step 1 on, and this is step 0"),
    ],
)
def test_a_forecast_of_another_form_is_refused_with_what_is_wrong(
    world: Any, case: Case, wrong: dict[str, Any], message: str
):
    scenario = world()
    loop(scenario, case, scenario.start("Source").Meter(value=flat(case, 0) | wrong))
    with pytest.raises(InputError, match=f"Controller-0: forecast: .*{message}"):
        run(scenario, 900)


def test_a_forecast_that_is_none_is_refused(world: Any, case: Case):
    scenario = world()
    loop(scenario, case, scenario.start("Source").Meter(value=None))
    with pytest.raises(InputError, match="Controller-0: forecast: None cannot be read"):
        run(scenario, 900)


class Seer(mosaik_api_v3.Simulator):
    """Somebody's simulator of forecasts, in a process of its own as far as a run can tell: no load at all."""

    def __init__(self) -> None:
        model = {"public": True, "params": [], "attrs": ["forecast"]}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": {"Forecast": model}})

    def init(self, sid: str, time_resolution: float = 1.0, **given: Any) -> Any:
        self.time = given["document"]["time"]
        return self.meta

    def create(self, num: int, model: str) -> Any:
        return [{"eid": "Forecast-0", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        self.step_number = time // self.time["step_s"]
        return time + self.time["step_s"]

    def get_data(self, outputs: Any) -> Any:
        nothing = {"load_p_mw": [[0.0] * 3], "load_q_mvar": [[0.0] * 3], "congestion": [[0.0] * 6]}
        prices = {"buy_price": [50.0], "sell_price": [60.0]}
        return {"Forecast-0": {"forecast": {"step": self.step_number, **nothing, **prices}}}


def test_a_run_takes_forecasts_from_somebody_elses_simulator_elsewhere(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = threading.Thread(target=lambda: asyncio.run(mosaik_api_v3.run_as_server(Seer(), "127.0.0.1", port)))
    server.start()
    while f"0100007F:{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
        assert server.is_alive()
    address = [f'simulators.forecasts.connect="127.0.0.1:{port}"']
    done = simulated("three_bus", controller="idle", overrides=address, steps=3, out=tmp_path / "run")
    server.join()
    network = done.table("network")
    assert network["import_plan_mw"].abs().max() < 1e-3
    assert network["import_mw"].abs().min() > 0.1
