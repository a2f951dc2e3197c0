"""Our grid simulator in a plain mosaik scenario, beside others' simulators."""

from pathlib import Path

import h5py
import mosaik
import numpy as np
import pandas as pd
import pytest

from gridferry.networks.catalog import load_network
from gridferry.sim.grid.pandapower_net import net_of_feeder

STEPS, STEP_S = 6, 900
SIMULATORS = {
    "CSV": {"python": "mosaik_csv:CSV"},
    "HDF5": {"python": "mosaik_hdf5:MosaikHdf5"},
    "Ours": {"python": "gridferry.sim.adapters.grid:GridSimulator"},
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
