"""mosaik simulator of the AC grids: a ``Grid`` per network, with buses, lines and external grid as children.

It runs in any mosaik scenario. Injections can be connected bus by bus (``P_gen[MW]``, ``P_load[MW]``, … of ``Bus``,
with the names that mosaik-pandapower-2 uses) or as one list per network (the same attributes of ``Grid``, in the order
of its buses); both add up. ``Q_of_V`` of a ``Grid`` takes reactive powers that follow the voltage.
Results are given likewise: one value per ``Bus`` and ``Line``, lists at ``Grid``. A step
whose power flow diverged gives NaN.

Entity ids count through all networks of the simulator (``Bus-0``, ``Bus-1``, …); ``extra_info`` has their names.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mosaik_api_v3
import numpy as np

from gridferry.networks.catalog import CATALOGUE, load_network
from gridferry.networks.droop import Droops
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.network import Network
from gridferry.sim.adapters.inputs import Inputs, refused
from gridferry.sim.adapters.serve import arguments, serve
from gridferry.sim.adapters.simulator import time_units
from gridferry.sim.config.schema import AcEngine, GridConfig
from gridferry.sim.grid.ac_grid import AcGrid

_INPUTS = ["P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "Q_gen[MVar]"]
DROOPS = "Q_of_V"
"""Reactive powers that follow the voltage: of each its bus, the most that it can be [Mvar], and its points."""
_BUS_RESULTS = ["P[MW]", "Q[MVar]", "Vm[pu]", "Va[deg]"]
_LINE_RESULTS = {
    "P[MW]": "P_line[MW]",
    "Q[MVar]": "Q_line[MVar]",
    "I[kA]": "I_line[kA]",
    "loading[%]": "loading[%]",
    "losses[MW]": "losses_line[MW]",
}
"""Results of a line, and what the list of all lines is called at the grid."""
GRID_RESULTS = [
    *_BUS_RESULTS,
    *_LINE_RESULTS.values(),
    *("import[MW]", "import[MVar]", "losses[MW]", "balance_error", "converged"),
]
_PER_BUS = "bus; a single number is for a Bus"
_SIGN = {"P_load[MW]": -1.0, "Q_load[MVar]": -1.0, "P_gen[MW]": 1.0, "Q_gen[MVar]": 1.0}

META: dict[str, Any] = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Grid": {
            "public": True,
            "params": ["network", "base_dir", "nominal", "ac_engine", "slack_v_pu", "tolerance_mva", "max_iterations"],
            "attrs": [*_INPUTS, DROOPS, *GRID_RESULTS],
        },
        "Bus": {"public": False, "params": [], "attrs": [*_INPUTS, *_BUS_RESULTS]},
        "Line": {"public": False, "params": [], "attrs": [*_LINE_RESULTS]},
        "ExternalGrid": {"public": False, "params": [], "attrs": ["P[MW]", "Q[MVar]"]},
    },
    "extra_methods": [],
}


def droops_to_json(droops: Droops | None) -> list[Any]:
    """Return characteristics as JSON-able values; a room without limit is ``None``."""
    if droops is None:
        return []
    room = [one if np.isfinite(one) else None for one in droops.room[0].tolist()]
    return [list(one) for one in zip(droops.bus.tolist(), room, map(list, droops.points), strict=True)]


def droops_of_json(given: Any, n_bus: int) -> Droops | None:
    """Read what `droops_to_json` wrote for a network of so many buses; raises `ValueError` and the like otherwise."""
    if not given:
        return None
    buses, room, points = zip(*given, strict=True)
    read = [[(float(v), float(q)) for v, q in one] for one in points]
    if not all(0 <= bus < n_bus for bus in buses):
        raise ValueError(f"there are {n_bus} buses, counted from 0")
    if not all(len(one) and np.isfinite(one).all() and (np.diff(one, axis=0)[:, 0] > 0).all() for one in read):
        raise ValueError("points are finite, by rising voltage")
    room_mvar = np.array([[np.inf if one is None else float(one) for one in room]])
    return Droops(np.array(buses, dtype=np.int64), read, room_mvar)


class _Member:
    """One network of the simulator: its grid, and its last results by model and attribute."""

    def __init__(self, grid: AcGrid, nominal: bool):
        self.grid = grid
        feeder = grid.feeder
        share = 1.0 if nominal else 0.0
        self._base_p_mw = share * (feeder.p_gen_mw - feeder.p_load_mw)
        self._base_q_mvar = share * (feeder.q_gen_mvar - feeder.q_load_mvar)
        self.results: Mapping[str, Mapping[str, Any]] = {}
        none = np.zeros(feeder.n_bus)
        self.solve(none, none)

    def solve(self, p_mw: np.ndarray, q_mvar: np.ndarray, droops: Droops | None = None) -> None:
        """Solve with the injections of this step."""
        self.results = self._solved(self._base_p_mw + p_mw, self._base_q_mvar + q_mvar, droops)

    def _solved(self, p: np.ndarray, q: np.ndarray, droops: Droops | None) -> Mapping[str, Mapping[str, Any]]:
        """Results by model; powers of buses are consumption less generation, as pandapower has them."""
        solution, slack = self.grid.solve(p, q, droops), self.grid.feeder.slack
        demand_mw = -p if solution.converged else np.full_like(p, np.nan)
        demand_mvar = -solution.q_mvar
        demand_mw[slack] -= solution.import_mw
        demand_mvar[slack] -= solution.import_mvar
        buses = {"P[MW]": demand_mw, "Q[MVar]": demand_mvar, "Vm[pu]": solution.vm_pu, "Va[deg]": solution.va_deg}
        lines = {
            "P[MW]": solution.p_branch_mw,
            "Q[MVar]": solution.q_branch_mvar,
            "I[kA]": solution.i_ka,
            "loading[%]": solution.loading_percent,
            "losses[MW]": solution.losses_branch_mw,
        }
        lists = {**buses, **{_LINE_RESULTS[attr]: values for attr, values in lines.items()}}
        grid = {
            **{attr: values.tolist() for attr, values in lists.items()},
            "import[MW]": solution.import_mw,
            "import[MVar]": solution.import_mvar,
            "losses[MW]": solution.losses_mw,
            "balance_error": solution.balance_error,
            "converged": solution.converged,
        }
        external = {"P[MW]": solution.import_mw, "Q[MVar]": solution.import_mvar}
        return {"Grid": grid, "Bus": buses, "Line": lines, "ExternalGrid": external}


class GridSimulator(mosaik_api_v3.Simulator):
    """Simulator of the AC power flow of any number of networks.

    Parameters
    ----------
    listed : accepted networks besides those of the catalogue; all readable ones if ``None``
    """

    def __init__(self, listed: Mapping[str, Network] | None = None) -> None:
        super().__init__(META)
        self._listed = listed
        self._members: dict[str, _Member] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._inputs = Inputs()
        self._step_size = 0
        self._networks: Mapping[str, Network] = listed or {}

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take ``step_size`` in units of the time resolution (default: 900 s), and optionally loaded networks."""
        self._step_size = int(params.get("step_size") or time_units(900, time_resolution))
        if self._listed is None:
            self._networks = params.get("networks") or {}
        return self.meta

    def create(self, num: int, model: str, **params: Any) -> list[Any]:
        """Create grids; ``network`` is what a config has under ``feeder`` (or a name among the networks given to init).

        Further parameters: ``base_dir`` (folder of file names), ``nominal`` (the network's own loads and fixed
        generation are drawn beside what is connected; default true), ``ac_engine``, ``slack_v_pu``,
        ``tolerance_mva`` and ``max_iterations``.
        """
        if model != "Grid":
            raise ValueError(f"{model} entities come with their Grid; create a Grid")
        return [self._create_grid(**params) for _ in range(num)]

    def _create_grid(
        self,
        network: str,
        base_dir: str = ".",
        nominal: bool = True,
        ac_engine: str = AcEngine.PANDAPOWER.value,
        slack_v_pu: float | None = None,
        tolerance_mva: float = 1e-8,
        max_iterations: int = 20,
    ) -> dict[str, Any]:
        settings = GridConfig(ac_engine=AcEngine(ac_engine), tolerance_mva=tolerance_mva, max_iterations=max_iterations)
        grid = AcGrid(self._network(network, base_dir), settings, slack_v_pu)
        feeder, before = grid.feeder, [one.grid.feeder for one in self._members.values()]
        own, external = f"Grid-{len(before)}", f"ExternalGrid-{len(before)}"
        self._members[own] = _Member(grid, nominal)
        bus_ids = [f"Bus-{sum(one.n_bus for one in before) + bus}" for bus in range(feeder.n_bus)]
        line_ids = [f"Line-{sum(one.n_branch for one in before) + branch}" for branch in range(feeder.n_branch)]
        for entities in ([own], [external], bus_ids, line_ids):
            self._places |= {eid: (own, number) for number, eid in enumerate(entities)}
        children: list[dict[str, Any]] = [
            {
                "eid": eid,
                "type": "Bus",
                "rel": [],
                "extra_info": {"name": name, "network": feeder.name, "nominal voltage [kV]": float(kv)},
            }
            for eid, name, kv in zip(bus_ids, feeder.bus_names, feeder.base_kv, strict=True)
        ]
        children += [
            {
                "eid": eid,
                "type": "Line",
                "rel": [bus_ids[feeder.parent[branch]], bus_ids[feeder.child[branch]]],
                "extra_info": {"name": feeder.branch_names[branch], "network": feeder.name},
            }
            for branch, eid in enumerate(line_ids)
        ]
        children.append({"eid": external, "type": "ExternalGrid", "rel": [bus_ids[feeder.slack]]})
        return {"eid": own, "type": "Grid", "rel": [], "children": children}

    def _network(self, name: str, base_dir: str) -> Network:
        if name in self._networks:
            return self._networks[name]
        if self._listed is not None and name not in CATALOGUE:
            there = no_such("network listed at the simulator's start", name, [*self._listed, *CATALOGUE])
            raise InputError(Fault("AC grid simulator", name, f"{there}; start it with --network {name}=FILE"))
        return load_network(name, Path(base_dir))

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Solve all networks with the injections connected to them."""
        self._inputs.update(inputs)
        injected: dict[str, np.ndarray] = {
            eid: np.zeros((2, member.grid.feeder.n_bus)) for eid, member in self._members.items()
        }
        for eid, attr in self._inputs.connected():
            if attr == DROOPS and eid in self._members:
                continue
            if eid not in self._places or attr not in _SIGN or not eid.startswith(("Grid-", "Bus-")):
                raise refused(eid, attr, f"there is no such input; a Grid and a Bus take {', '.join(_SIGN)}")
            grid, number = self._places[eid]
            power = injected[grid][0 if attr.startswith("P") else 1]
            if eid == grid:
                power += _SIGN[attr] * self._inputs.total_of_lists(eid, attr, len(power), _PER_BUS)
            else:
                power[number] += _SIGN[attr] * self._inputs.total(eid, attr)
        for eid, member in self._members.items():
            p_mw, q_mvar = injected[eid]
            member.solve(p_mw, q_mvar, self._droops(eid))
        return time + self._step_size

    def _droops(self, eid: str) -> Droops | None:
        """Characteristics Q(U) that are connected to a grid; ``None`` without any."""
        if not self._inputs.sources(eid, DROOPS):
            return None
        read = partial(droops_of_json, n_bus=self._members[eid].grid.feeder.n_bus)
        return self._inputs.read(eid, DROOPS, "a list of bus, room [Mvar] and points (pu, Mvar)", read)

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return results of the last solve."""
        data: dict[str, Any] = {}
        for eid, attrs in outputs.items():
            grid, number = self._places[eid]
            model = eid.partition("-")[0]
            results = self._members[grid].results[model]
            in_lists = model in ("Bus", "Line")
            data[eid] = {attr: float(results[attr][number]) if in_lists else results[attr] for attr in attrs}
        return data


def read_listed(given: Sequence[str]) -> dict[str, Network]:
    """Read networks given as ``NAME=FILE`` or as ``NAME`` alone; raises `InputError` with all that are wrong."""
    read: dict[str, Network] = {}
    faults: list[Fault] = []
    for one in given:
        name, _, spec = one.partition("=")
        try:
            read[name] = load_network(spec or name, Path(), "--network", one)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return read


def _main() -> None:
    parser = arguments("AC grid simulator")
    parser.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="NAME[=FILE]",
        help="a network that the other side may ask for by this name, and where it is read from, as a config has it "
        "under feeder; may be given again. Those of the catalogue need not be listed",
    )
    serve(parser, _ready)


def _ready(options: argparse.Namespace) -> GridSimulator:
    """Make a simulator that need not load anything any more when a scenario waits for its first grid."""
    GridSimulator().create(1, "Grid", network="three_bus")
    return GridSimulator(read_listed(options.network))


if __name__ == "__main__":
    _main()
