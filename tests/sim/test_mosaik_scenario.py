"""Our grid simulator in a plain mosaik scenario, beside others' simulators."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import mosaik
import numpy as np
import pandas as pd
import pytest

from networks.catalog import load_network
from sim.pandapower_net import net_of_feeder
from sim.runner import RunFailedError, load_run, run

STEPS, STEP_S = 6, 900
SIMULATORS = {
    "CSV": {"python": "mosaik_csv:CSV"},
    "HDF5": {"python": "mosaik_hdf5:MosaikHdf5"},
    "Ours": {"python": "sim.adapters.grid:GridSimulator"},
    "Theirs": {"python": "mosaik_components.pandapower:Simulator"},
}


@pytest.fixture
def loads(tmp_path):
    """Active and reactive power of four buses over six quarter-hours, as mosaik-csv reads them."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(index=pd.date_range("2024-05-01", periods=STEPS, freq=f"{STEP_S}s", name="time"))
    for bus in (5, 17, 24, 32):
        frame[f"P{bus}"] = rng.uniform(0.1, 0.6, STEPS)
        frame[f"Q{bus}"] = rng.uniform(0.0, 0.3, STEPS)
    path = tmp_path / "loads.csv"
    path.write_text("Loads\n" + frame.to_csv(date_format="%Y-%m-%d %H:%M:%S"))
    return path


def buses_of(grid):
    return sorted((one for one in grid.children if one.type == "Bus"), key=lambda one: int(one.eid.split("-")[1]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mosaik-hdf5 and mosaik-csv of today's Python packaging
def test_fed_by_mosaik_csv_recorded_by_mosaik_hdf5_it_equals_mosaik_pandapower(tmp_path, loads):
    feeder = load_network("ieee33", Path()).feeder
    net, _ = net_of_feeder(feeder)
    until = STEPS * STEP_S
    with mosaik.World(SIMULATORS, skip_greetings=True, configure_logging=False) as world:
        csv = world.start("CSV", sim_start="2024-05-01 00:00:00", datafile=str(loads))
        feed = csv.Loads()
        ours = world.start("Ours", step_size=STEP_S).Grid(network="ieee33", nominal=False)
        theirs = world.start("Theirs", step_size=STEP_S).Grid(net=net)
        store = world.start("HDF5", step_size=STEP_S, duration=until).Database(filename=str(tmp_path / "out.hdf5"))
        for grid in (ours, theirs):
            buses = buses_of(grid)
            for bus in (5, 17, 24, 32):
                world.connect(feed, buses[bus], (f"P{bus}", "P_load[MW]"), (f"Q{bus}", "Q_load[MVar]"))
            for bus in buses:
                world.connect(bus, store, "Vm[pu]", "Va[deg]", "P[MW]", "Q[MVar]")
        world.run(until=until, print_progress=False)
    with h5py.File(tmp_path / "out.hdf5") as file:
        series = file["Series"]
        for attr, tolerance in (("Vm[pu]", 1e-8), ("Va[deg]", 1e-6), ("P[MW]", 1e-6), ("Q[MVar]", 1e-6)):
            for bus in range(33):
                mine, other = (series[f"{sim}.Bus-{bus}"][attr][:] for sim in ("Ours-0", "Theirs-0"))
                np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance, err_msg=f"bus {bus} {attr}")
        lowest = min(series[f"Ours-0.Bus-{bus}"]["Vm[pu]"][:].min() for bus in range(33))
    assert 0.9 < lowest < 0.999


def test_several_grids_number_their_entities_through_and_keep_apart():
    with mosaik.World(SIMULATORS, skip_greetings=True, configure_logging=False) as world:
        factory = world.start("Ours", step_size=STEP_S)
        one, two = factory.Grid(network="three_bus"), factory.Grid(network="ieee33", nominal=False)
        ids = [child.eid for grid in (one, two) for child in grid.children if child.type == "Bus"]
        assert ids == [f"Bus-{i}" for i in range(36)]
        assert one.children[0].extra_info["name"] == "1"
        world.run(until=STEP_S, print_progress=False)
        data = world.get_data([buses_of(one)[2], buses_of(two)[32]], "Vm[pu]")
    loaded, idle = (values["Vm[pu]"] for values in data.values())
    assert loaded < 0.999  # its nominal load is drawn
    assert idle == pytest.approx(1.0, abs=1e-12)  # nothing is connected to it


@pytest.fixture
def remote():
    """Start one of our simulators as a process that waits for a mosaik."""
    processes = []

    def start(module, port):
        process = subprocess.Popen([sys.executable, "-m", module, f"127.0.0.1:{port}"])
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(port, seconds=60):
    """Read the kernel's table of listening sockets: a connection would be taken for mosaik's."""
    end = time.monotonic() + seconds
    needle = f"0100007F:{port:04X} 00000000:0000 0A"
    while time.monotonic() < end:
        if needle in Path("/proc/net/tcp").read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


@pytest.mark.slow
def test_simulators_in_other_processes_give_the_same_run(tmp_path, remote):
    here = run("three_bus", steps=30, out=tmp_path / "here")
    overrides = []
    for name, module in (("grid", "grid"), ("agents", "fleet"), ("controller", "controller")):
        port = free_port()
        remote(f"sim.adapters.{module}", port)
        wait_until_listening(port)
        overrides.append(f'simulators.{name}.connect="127.0.0.1:{port}"')
    there = run("three_bus", steps=30, overrides=overrides, out=tmp_path / "there")
    np.testing.assert_array_equal(here.table("bus")["v_pu"], there.table("bus")["v_pu"])
    np.testing.assert_array_equal(here.table("device")["energy_mwh"], there.table("device")["energy_mwh"])


@pytest.mark.slow
def test_a_remote_simulator_that_dies_fails_the_run_and_keeps_its_results(tmp_path, remote):
    port = free_port()
    process = remote("sim.adapters.grid", port)
    wait_until_listening(port)

    def stop(live):
        if live.step == 5:
            process.kill()

    overrides = [f'simulators.grid.connect="127.0.0.1:{port}"', "record.flush_steps=1"]
    with pytest.raises(RunFailedError) as failed:
        run("three_bus", overrides=overrides, out=tmp_path / "run", progress=stop)
    kept = load_run(failed.value.directory)
    assert kept.summary["status"] == "failed"
    assert 5 <= kept.summary["steps"] < 144
