"""mosaik simulator of the AC grids: a ``Grid`` per network, with buses, lines and external grid as children.

It runs in any mosaik scenario. Injections can be connected bus by bus (``P_gen[MW]``, ``P_load[MW]``, … of ``Bus``,
with the names that mosaik-pandapower-2 uses) or as one list per network (the same attributes of ``Grid``, in the order
of its buses); both add up. Results are given likewise: one value per ``Bus`` and ``Line``, lists at ``Grid``. A step
whose power flow diverged gives NaN.

Entity ids count through all networks of the simulator (``Bus-0``, ``Bus-1``, …); ``extra_info`` has their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mosaik_api_v3
import numpy as np

from gridferry.networks.catalog import CATALOGUE, load_network
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.network import Network
from gridferry.sim.adapters.serve import arguments, serve
from gridferry.sim.config.schema import AcEngine, GridConfig
from gridferry.sim.grid.ac_grid import AcGrid, AcSolution

_INPUTS = ["P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "Q_gen[MVar]"]
_BUS_RESULTS = ["P[MW]", "Q[MVar]", "Vm[pu]", "Va[deg]"]
_LINE_RESULTS = ["P[MW]", "Q[MVar]", "I[kA]", "loading[%]", "losses[MW]"]
GRID_RESULTS = [
    *_BUS_RESULTS,
    "P_line[MW]",
    "Q_line[MVar]",
    "I_line[kA]",
    "loading[%]",
    "losses_line[MW]",
    "import[MW]",
    "import[MVar]",
    "losses[MW]",
    "balance_error",
    "converged",
]
_SIGN = {"P_load[MW]": -1.0, "Q_load[MVar]": -1.0, "P_gen[MW]": 1.0, "Q_gen[MVar]": 1.0}

META: dict[str, Any] = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Grid": {
            "public": True,
            "params": ["network", "base_dir", "nominal", "ac_engine", "slack_v_pu", "tolerance_mva", "max_iterations"],
            "attrs": [*_INPUTS, *GRID_RESULTS],
        },
        "Bus": {"public": False, "params": [], "attrs": [*_INPUTS, *_BUS_RESULTS]},
        "Line": {"public": False, "params": [], "attrs": _LINE_RESULTS},
        "ExternalGrid": {"public": False, "params": [], "attrs": ["P[MW]", "Q[MVar]"]},
    },
    "extra_methods": [],
}


class _Member:
    """One network of the simulator: its grid, its entities, and its last results."""

    def __init__(self, eid: str, grid: AcGrid, nominal: bool, first_bus: int, first_line: int):
        self.eid = eid
        self.grid = grid
        feeder = grid.feeder
        share = 1.0 if nominal else 0.0
        self.base_p_mw = share * (feeder.p_gen_mw - feeder.p_load_mw)
        self.base_q_mvar = share * (feeder.q_gen_mvar - feeder.q_load_mvar)
        self.first_bus = first_bus
        self.first_line = first_line
        self.p_mw = self.base_p_mw
        self.q_mvar = self.base_q_mvar
        self.solution: AcSolution = grid.solve(self.base_p_mw, self.base_q_mvar)

    def step(self, inputs: dict[str, Any], bus_inputs: dict[int, dict[str, Any]]) -> None:
        """Solve with the injections of this step."""
        p, q = self.base_p_mw.copy(), self.base_q_mvar.copy()
        for attr, sources in inputs.items():
            target = p if attr.startswith("P") else q
            for values in sources.values():
                target += _SIGN[attr] * np.asarray(values, dtype=float)
        for bus, attrs in bus_inputs.items():
            for attr, sources in attrs.items():
                target = p if attr.startswith("P") else q
                target[bus] += _SIGN[attr] * sum(sources.values())
        self.p_mw, self.q_mvar = p, q
        self.solution = self.grid.solve(p, q)

    def grid_value(self, attr: str) -> Any:
        """Return one attribute of the ``Grid`` entity."""
        solution = self.solution
        if attr in _BUS_RESULTS:
            return self.bus_values(attr).tolist()
        if attr == "loading[%]":
            return solution.loading_percent.tolist()
        if attr.endswith("_line[MW]") or attr.endswith("_line[MVar]") or attr.endswith("_line[kA]"):
            return self.line_values(attr.replace("_line", "")).tolist()
        return {
            "import[MW]": solution.import_mw,
            "import[MVar]": solution.import_mvar,
            "losses[MW]": solution.losses_mw,
            "balance_error": solution.balance_error,
            "converged": solution.converged,
        }[attr]

    def bus_values(self, attr: str) -> np.ndarray:
        """Return one result of all buses; powers are consumption less generation, as pandapower has them."""
        if attr == "Vm[pu]":
            return self.solution.vm_pu
        if attr == "Va[deg]":
            return self.solution.va_deg
        active = attr == "P[MW]"
        demand = -(self.p_mw if active else self.q_mvar)
        if not self.solution.converged:
            return np.full_like(demand, np.nan)
        demand[self.grid.feeder.slack] -= self.solution.import_mw if active else self.solution.import_mvar
        return demand

    def line_values(self, attr: str) -> np.ndarray:
        """Return one result of all lines."""
        solution = self.solution
        return {
            "P[MW]": solution.p_branch_mw,
            "Q[MVar]": solution.q_branch_mvar,
            "I[kA]": solution.i_ka,
            "loading[%]": solution.loading_percent,
            "losses[MW]": solution.losses_branch_mw,
        }[attr]


class GridSimulator(mosaik_api_v3.Simulator):
    """Simulator of the AC power flow of any number of networks.

    Parameters
    ----------
    listed : accepted networks besides those of the catalogue; all readable ones if ``None``
    """

    def __init__(self, listed: Mapping[str, Network] | None = None) -> None:
        super().__init__(META)
        self._listed = listed
        self._members: list[_Member] = []
        self._member_of: dict[str, _Member] = {}
        self._step_size = 0
        self._networks: Mapping[str, Network] = listed or {}

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take ``step_size`` in units of the time resolution, and optionally networks that are loaded already."""
        self._step_size = int(params.get("step_size", 900))
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
        last = self._members[-1] if self._members else None
        member = _Member(
            f"Grid-{len(self._members)}",
            grid,
            nominal,
            last.first_bus + last.grid.feeder.n_bus if last else 0,
            last.first_line + last.grid.feeder.n_branch if last else 0,
        )
        feeder = grid.feeder
        external = f"ExternalGrid-{len(self._members)}"
        self._members.append(member)
        bus_ids = [f"Bus-{member.first_bus + bus}" for bus in range(feeder.n_bus)]
        line_ids = [f"Line-{member.first_line + branch}" for branch in range(feeder.n_branch)]
        self._member_of.update(dict.fromkeys([member.eid, external, *bus_ids, *line_ids], member))
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
        return {"eid": member.eid, "type": "Grid", "rel": [], "children": children}

    def _network(self, name: str, base_dir: str) -> Network:
        if name in self._networks:
            return self._networks[name]
        if self._listed is not None and name not in CATALOGUE:
            there = no_such("network listed at the simulator's start", name, [*self._listed, *CATALOGUE])
            raise InputError(Fault("AC grid simulator", name, f"{there}; start it with --network {name}=FILE"))
        return load_network(name, Path(base_dir))

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Solve all networks with the injections connected to them."""
        per_bus: dict[str, dict[int, dict[str, Any]]] = {member.eid: {} for member in self._members}
        for eid, attrs in inputs.items():
            if eid.startswith("Bus-"):
                member = self._member_of[eid]
                per_bus[member.eid][int(eid[4:]) - member.first_bus] = attrs
        for member in self._members:
            member.step(inputs.get(member.eid, {}), per_bus[member.eid])
        return time + self._step_size

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return results of the last solve."""
        data: dict[str, Any] = {}
        for eid, attrs in outputs.items():
            member = self._member_of[eid]
            kind, _, number = eid.partition("-")
            if kind == "Grid":
                data[eid] = {attr: member.grid_value(attr) for attr in attrs}
            elif kind == "Bus":
                data[eid] = {attr: float(member.bus_values(attr)[int(number) - member.first_bus]) for attr in attrs}
            elif kind == "Line":
                data[eid] = {attr: float(member.line_values(attr)[int(number) - member.first_line]) for attr in attrs}
            else:
                values = {"P[MW]": member.solution.import_mw, "Q[MVar]": member.solution.import_mvar}
                data[eid] = {attr: values[attr] for attr in attrs}
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
    serve(parser, lambda options: GridSimulator(read_listed(options.network)))


if __name__ == "__main__":
    _main()
