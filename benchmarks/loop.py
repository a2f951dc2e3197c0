"""The closed loop against what it stands on: a day of 960 steps on ieee33, every load driven by a profile.

Five ways, in one run and in turn, so that the machine's noise falls on all of them. A tenth of the day is run, too:
what the whole day takes more is the time of steps without start-up.

* gridferry: our whole loop in mosaik (profiles, controller host, agents, AC grid, results recorded to disk), with
  pandapower, and with sweeps as the AC engine;
* mosaik-pandapower-2: that simulator in mosaik, fed by a profile simulator, results collected in memory;
* run_timeseries: pandapower's own time series, results kept in memory;
* bare: a loop of recycled ``runpp`` with the loads written by array, nothing recorded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import mosaik
import mosaik_api_v3
import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

from gridferry.networks.catalog import load_network
from gridferry.sim.grid.pandapower_net import net_of_feeder
from gridferry.sim.loop.runner import run

STEPS = 960
STEP_S = 90


def profile(steps: int) -> np.ndarray:
    """Load factor of every step and bus: a day's swing, and a little of each bus's own."""
    rng = np.random.default_rng(1)
    day = 0.7 + 0.25 * np.sin(np.linspace(0, 2 * np.pi, steps))
    return day[:, None] * rng.uniform(0.95, 1.05, size=(steps, 33))


class Loads(mosaik_api_v3.Simulator):
    """Feeds mosaik-pandapower-2, one entity per loaded bus."""

    def __init__(self) -> None:
        super().__init__(
            {
                "api_version": "3.0",
                "type": "time-based",
                "models": {"Load": {"public": True, "params": [], "attrs": ["P_load[MW]", "Q_load[MVar]"]}},
            }
        )

    def init(self, sid, time_resolution=1.0, p_mw=None, q_mvar=None):
        self.p_mw, self.q_mvar = p_mw, q_mvar
        return self.meta

    def create(self, num, model):
        return [{"eid": f"Load-{i}", "type": model, "rel": []} for i in range(num)]

    def step(self, time, inputs, max_advance):
        self.row = time // STEP_S
        return time + STEP_S

    def get_data(self, outputs):
        return {
            eid: {
                "P_load[MW]": float(self.p_mw[self.row, int(eid[5:])]),
                "Q_load[MVar]": float(self.q_mvar[self.row, int(eid[5:])]),
            }
            for eid in outputs
        }


class Sink(mosaik_api_v3.Simulator):
    """Keeps the voltages in memory."""

    def __init__(self) -> None:
        models = {"Sink": {"public": True, "params": [], "any_inputs": True, "attrs": []}}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": models})
        self.rows: list[list[float]] = []

    def init(self, sid, time_resolution=1.0, rows=None):
        self.rows = rows
        return self.meta

    def create(self, num, model):
        return [{"eid": "Sink-0", "type": model, "rel": []}]

    def step(self, time, inputs, max_advance):
        voltages = inputs["Sink-0"]["Vm[pu]"]
        self.rows.append([voltages[source] for source in sorted(voltages, key=lambda one: int(one.split("-")[-1]))])
        return time + STEP_S

    def get_data(self, outputs):
        return {}


class Bench:
    """The same day, four ways; each returns the voltages of all steps and buses."""

    def __init__(self, steps: int, folder: Path):
        self.steps = steps
        self.folder = folder
        self.feeder = load_network("ieee33", folder).feeder
        factor = profile(steps)
        self.p_mw = factor * self.feeder.p_load_mw
        self.q_mvar = factor * self.feeder.q_load_mvar
        self.loaded = np.flatnonzero(self.feeder.p_load_mw)
        table = {"hour": np.arange(steps) * STEP_S / 3600.0}
        for bus in self.loaded:
            table[f"p{bus}"] = self.p_mw[:, bus]
            table[f"q{bus}"] = self.q_mvar[:, bus]
        pd.DataFrame(table).to_csv(folder / "loads.csv", index=False)
        loads = "".join(
            f'[[loads]]\nnetwork = "dn1"\nbus = "{self.feeder.bus_names[bus]}"\n'
            f'p_mw = "day.p{bus}"\nq_mvar = "day.q{bus}"\n'
            for bus in self.loaded
        )
        (folder / "day.toml").write_text(
            'name = "bench"\n'
            f"[time]\nstart = 2024-01-01T00:00:00\nstep_s = {STEP_S}\nsteps = {steps}\nhorizon_steps = 1\n"
            '[profiles.day]\nfile = "loads.csv"\ntime = "hour"\n'
            '[[networks]]\nname = "dn1"\nfeeder = "ieee33"\n' + loads,
            encoding="utf-8",
        )

    def gridferry(self, steps: int, engine: str = "pandapower") -> np.ndarray:
        done = run(
            self.folder / "day.toml",
            controller="idle",
            steps=steps,
            out=self.folder / "run",
            overwrite=True,
            overrides=[f"grid.ac_engine={engine}"],
        )
        return done.table("bus")["v_pu"].to_numpy().reshape(steps, -1)

    def by_sweeps(self, steps: int) -> np.ndarray:
        return self.gridferry(steps, "sweep")

    def mosaik_pandapower(self, steps: int) -> np.ndarray:
        net, _ = net_of_feeder(self.feeder)
        rows: list[list[float]] = []
        simulators = {
            "Loads": {"python": "benchmarks.loop:Loads"},
            "Grid": {"python": "mosaik_components.pandapower:Simulator"},
            "Sink": {"python": "benchmarks.loop:Sink"},
        }
        with mosaik.World(simulators, skip_greetings=True, configure_logging=False) as world:
            feed = world.start("Loads", p_mw=self.p_mw[:, self.loaded], q_mvar=self.q_mvar[:, self.loaded])
            grid = world.start("Grid", step_size=STEP_S)
            sink = world.start("Sink", rows=rows).Sink()
            buses = [one for one in grid.Grid(net=net).children if one.type == "Bus"]
            for load, bus in zip(feed.Load.create(len(self.loaded)), self.loaded, strict=True):
                world.connect(load, buses[bus], "P_load[MW]", "Q_load[MVar]")
            for bus in buses:
                world.connect(bus, sink, "Vm[pu]")
            world.run(until=steps * STEP_S, print_progress=False)
        return np.array(rows)

    def timeseries(self, steps: int) -> np.ndarray:
        net, net_bus = net_of_feeder(self.feeder)
        pp.create_loads(net, net_bus[self.loaded], p_mw=0.0, q_mvar=0.0)
        for variable, values in (("p_mw", self.p_mw), ("q_mvar", self.q_mvar)):
            frame = pd.DataFrame(values[:, self.loaded], columns=net.load.index)
            ConstControl(
                net,
                "load",
                variable,
                element_index=net.load.index,
                data_source=DFData(frame),
                profile_name=net.load.index,
            )
        writer = OutputWriter(net, time_steps=range(steps), output_path=None, log_variables=[("res_bus", "vm_pu")])
        run_timeseries(net, time_steps=range(steps), verbose=False)
        return writer.output["res_bus.vm_pu"].to_numpy()

    def bare(self, steps: int) -> np.ndarray:
        net, net_bus = net_of_feeder(self.feeder)
        pp.create_loads(net, net_bus[self.loaded], p_mw=0.0, q_mvar=0.0)
        recycle = {"bus_pq": True, "gen": False, "trafo": False}
        voltages = np.empty((steps, self.feeder.n_bus))
        for step in range(steps):
            net.load["p_mw"] = self.p_mw[step, self.loaded]
            net.load["q_mvar"] = self.q_mvar[step, self.loaded]
            pp.runpp(net, recycle=recycle)
            voltages[step] = net.res_bus.vm_pu.to_numpy()
        return voltages


def seconds(way: Callable[[int], np.ndarray], steps: int) -> tuple[float, np.ndarray]:
    """Time a way."""
    started = time.perf_counter()
    result = way(steps)
    return time.perf_counter() - started, result


def main(smoke: bool = False, rounds: int = 3) -> None:
    """Print seconds and ratios."""
    steps, rounds = (20, 1) if smoke else (STEPS, rounds)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(steps, Path(folder))
        ways = {
            "gridferry": bench.gridferry,
            "gridferry, sweeps": bench.by_sweeps,
            "mosaik-pandapower-2": bench.mosaik_pandapower,
            "run_timeseries": bench.timeseries,
            "bare recycled runpp": bench.bare,
        }
        whole: dict[str, list[float]] = {name: [] for name in ways}
        part: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, np.ndarray] = {}
        bench.bare(2)  # numba compiles on first use
        bench.by_sweeps(2)
        for _ in range(rounds):
            for name, way in ways.items():
                part[name].append(seconds(way, steps // 10)[0])
                taken, found[name] = seconds(way, steps)
                whole[name].append(taken)
    reference = found["bare recycled runpp"]
    print(f"closed loop, ieee33, {len(bench.loaded)} loads with profiles, {steps} steps, median of {rounds}")
    middle = {name: median(taken) for name, taken in whole.items()}
    slopes = {
        name: median((a - b) / (steps - steps // 10) for a, b in zip(whole[name], part[name], strict=True))
        for name in ways
    }
    for name in ways:
        apart = float(np.abs(found[name] - reference).max())
        print(
            f"  {name:22s} {middle[name]:8.3f} s, {middle[name] / middle['gridferry']:6.2f} x ours; without start-up "
            f"{1e3 * slopes[name]:7.3f} ms/step, {slopes[name] / slopes['gridferry']:6.2f} x ours, "
            f"{slopes[name] / slopes['gridferry, sweeps']:6.2f} x with sweeps; voltages apart by {apart:.1e} pu"
        )


if __name__ == "__main__":
    main()
