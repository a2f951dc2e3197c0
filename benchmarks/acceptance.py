"""Networks that are accepted: every network of pandapower, SimBench grids, the MATPOWER cases here.

A network with several supplies is taken piece by piece. Generators that hold a voltage and loads of single phases are
taken as their keys allow; what is refused has closed loops in service, or elements that no feeder has. Voltages are
those of the sweeps over the tree, against plain ``runpp`` of the net as its source gives it.
"""

from __future__ import annotations

import inspect
import random
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as pn

from gridferry import configs
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError
from gridferry.networks.network import Network
from gridferry.networks.network_spec import NetOptions
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.readers.matpower import net_of_case, read_case
from gridferry.networks.readers.preparing.supplies import SeveralSuppliesError

OPTIONS = NetOptions(pq_generators=True, balanced=True)
_NO_NETS = ("kb_", "create_cigre", "create_kerber", "create_dickert", "case", "panda_", "simple_", "example_")
_OTHERS = (
    "GBnetwork",
    "GBreducednetwork",
    "iceland",
    "mv_oberrhein",
    "lv_schutterwald",
    "four_loads_with_branches_out",
    "ieee_european_lv_asymmetric",
    "create_synthetic_voltage_control_lv_network",
)
_SIMBENCH = (
    *(f"1-LV-{kind}--{scenario}-sw" for kind in ("rural1", "rural2", "rural3", "semiurb4") for scenario in (0, 1, 2)),
    *(f"1-LV-{kind}--{scenario}-sw" for kind in ("semiurb5", "urban6") for scenario in (0, 1)),
    *(f"1-MV-{kind}--{scenario}-sw" for kind in ("rural", "semiurb", "urban", "comm") for scenario in (0, 1)),
    *("1-MV-rural--2-sw", "1-HV-mixed--0-sw"),
)


def mv_with_all_der() -> Any:
    """CIGRE's medium-voltage network with all of its distributed sources."""
    return pn.create_cigre_network_mv(with_der="all")


def mv_with_pv_and_wind() -> Any:
    """CIGRE's medium-voltage network with PV and wind."""
    return pn.create_cigre_network_mv(with_der="pv_wind")


@dataclass(frozen=True)
class Row:
    """What became of a network.

    Attributes
    ----------
    spec : as a config names it
    pieces, accepted : feeders that it is, and those of them that are accepted
    buses : of those
    reason : why others are refused
    error_pu : largest difference of a voltage; NaN where ``runpp`` finds none
    cold_s, warm_s : to load the first piece for the first time, and again
    """

    spec: str
    pieces: int = 0
    accepted: int = 0
    buses: int = 0
    reason: str = ""
    error_pu: float = field(default=float("nan"))
    cold_s: float = 0.0
    warm_s: float = 0.0

    def __str__(self) -> str:
        error = "" if np.isnan(self.error_pu) else f"{self.error_pu:.1e}"
        numbers = (
            f"{self.accepted:>3} of {self.pieces:<3} {self.buses:>6}  {error:>8} {self.cold_s:7.2f} {self.warm_s:7.2f}"
        )
        shown = Path(self.spec).name.removeprefix("pandapower.networks:").removeprefix("benchmarks.acceptance:")
        return f"{shown[:44]:<44} {numbers}  {self.reason}"


def specs(smoke: bool = False) -> Iterator[str]:
    """Names of all networks, as a config has them."""
    if smoke:
        yield from ("pandapower.networks:panda_four_load_branch",)
        return
    for name in sorted(dir(pn)):
        make = getattr(pn, name)
        if inspect.isfunction(make) and (name.startswith(_NO_NETS) or name in _OTHERS):
            needed = [one for one in inspect.signature(make).parameters.values() if one.default is one.empty]
            if not [one for one in needed if one.kind is not one.VAR_KEYWORD]:
                yield f"pandapower.networks:{name}"
    yield from ("benchmarks.acceptance:mv_with_all_der", "benchmarks.acceptance:mv_with_pv_and_wind")
    yield from (f"simbench:{code}" for code in _SIMBENCH)
    yield from (str(path) for path in sorted((Path(configs.__file__).parent / "data").glob("*.m")))


def row_of(spec: str) -> Row:
    """Load a network, piece by piece, and compare its voltages."""
    start = time.perf_counter()
    options = [OPTIONS]
    try:
        pieces = [_load(spec, OPTIONS)]
    except SeveralSuppliesError as several:
        options = [replace(OPTIONS, supply=one) for one in several.supplies]
        start = time.perf_counter()
        pieces = [_load(spec, one) for one in options[:1]]
    cold = time.perf_counter() - start
    start = time.perf_counter()
    if isinstance(pieces[0], Network):
        _load(spec, options[0])
    warm = time.perf_counter() - start
    pieces += [_load(spec, one) for one in options[1:]]
    networks = [one for one in pieces if isinstance(one, Network)]
    refused = [one for one in pieces if isinstance(one, str)]
    return Row(
        spec=spec,
        pieces=len(pieces),
        accepted=len(networks),
        buses=sum(one.feeder.n_bus for one in networks),
        reason=refused[0] if refused else "",
        error_pu=_error_pu(_source_net(spec), networks) if networks else float("nan"),
        cold_s=cold,
        warm_s=warm,
    )


def _load(spec: str, options: NetOptions) -> Network | str:
    """Return a network, or why it is refused; several supplies are raised."""
    random.seed(0)  # some nets of pandapower draw the lengths of their lines
    try:
        return load_network(spec, Path(), options=options)
    except SeveralSuppliesError:
        raise
    except InputError as error:
        loops = sum("closes a loop" in fault.message for fault in error.faults)
        if loops:
            return f"{loops} closed loop{'s' if loops > 1 else ''} in service"
        return f"{error.faults[0].key}: {error.faults[0].message}"[:100]


def _source_net(spec: str) -> Any:
    place, _, name = spec.rpartition(":")
    random.seed(0)
    if place == "simbench":
        import simbench

        return simbench.get_simbench_net(name)
    if not place:
        return net_of_case(read_case(Path(spec), spec), spec)
    return getattr(pn, name)() if place == "pandapower.networks" else globals()[name]()


def _error_pu(net: Any, networks: list[Network]) -> float:
    try:
        pp.runpp(net, calculate_voltage_angles=True, trafo_model="t", tolerance_mva=1e-9, max_iteration=30, numba=False)
    except Exception:  # a net that pandapower does not solve has nothing to compare with
        return float("nan")
    worst = 0.0
    for network in networks:
        feeder, buses = network.feeder, network.net_bus
        p, q = feeder.p_gen_mw - feeder.p_load_mw, feeder.q_gen_mvar - feeder.q_load_mvar
        v, _ = solve_sweep(feeder, p, q)
        assert buses is not None
        known = np.isin(buses, net.bus.index)
        worst = max(worst, float(np.abs(np.abs(v[known]) - net.res_bus.vm_pu[buses[known]].to_numpy()).max()))
    return worst


def main(smoke: bool = False) -> None:
    """Print the table."""
    print(f"{'network':<44} accepted    buses   |dV| pu  cold s  warm s  refused because")
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for spec in specs(smoke):
            try:
                rows.append(row_of(spec))
            except Exception as error:  # a network that cannot even be built is a row, too
                rows.append(Row(spec, pieces=1, reason=f"{type(error).__name__}: {error}"[:100]))
            print(rows[-1], flush=True)
    errors = [one.error_pu for one in rows if not np.isnan(one.error_pu)]
    accepted = f"{sum(one.accepted > 0 for one in rows)} of {len(rows)} networks accepted"
    pieces = f"{sum(one.accepted for one in rows)} of {sum(one.pieces for one in rows)} pieces"
    print(f"{accepted}, {pieces}; largest |dV| {max(errors, default=0.0):.1e} pu")
    if smoke:
        return
    from benchmarks.plain_time_series import of_shipped

    with tempfile.TemporaryDirectory() as folder:
        for config, code in (("simbench_lv_rural1", "1-LV-rural1--1-sw"), ("simbench_mv_rural", "1-MV-rural--0-sw")):
            print(f"{config}: largest |dV| against a plain time series {of_shipped(config, code, Path(folder)):.1e} pu")
