"""``gridferry new config``: a commented config and its profiles, for users to start from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gridferry.networks.catalog import load_network
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Feeder
from gridferry.sim.config.document import toml_text
from gridferry.sim.exit_codes import DONE

_LOAD = (44, 41, 39, 38, 39, 43, 52, 63, 68, 70, 72, 75, 76, 74, 71, 69, 70, 78, 90, 100, 96, 84, 67, 53)
_SUN = (0, 0, 0, 0, 0, 2, 9, 22, 39, 58, 76, 90, 98, 100, 94, 82, 66, 46, 26, 11, 3, 0, 0, 0)
_PRICE = (30, 24, 20, 18, 20, 32, 58, 75, 70, 48, 28, 12, 4, 0, 6, 20, 42, 70, 92, 100, 94, 76, 55, 40)
"""shapes of a summer day by the hour, of their largest [%]"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a new config is to have.

    Attributes
    ----------
    network : a name of the catalogue, or a file
    trucks, batteries, links : how many
    prices : lowest and highest buying price of the day [currency/MWh]
    """

    network: str
    trucks: int
    batteries: int
    links: int
    prices: tuple[float, float]


def new_config_command(name: str, folder: Path, wanted: Wanted) -> int:
    """Write ``NAME.toml`` and ``NAME_profiles.csv``, and print how to use them."""
    config, profiles = folder / f"{name}.toml", folder / f"{name}_profiles.csv"
    faults = []
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        faults.append(Fault("gridferry new config", "NAME", f"{name!r} is no identifier; take letters, digits and _"))
    if not folder.is_dir():
        faults.append(Fault("gridferry new config", str(folder), "no such folder; create it first"))
    there = [one for one in (config, profiles) if one.exists()]
    faults += [Fault("gridferry new config", str(one), "is there already; choose another name") for one in there]
    if faults:
        raise InputError(faults)
    feeder = load_network(wanted.network, Path.cwd(), "gridferry new config", "--network").feeder
    profiles.write_text(_profiles(wanted.prices), encoding="utf-8", newline="\n")
    config.write_text(_config(name, feeder, wanted), encoding="utf-8", newline="\n")
    console = Console(highlight=False, soft_wrap=True)
    for path in (config, profiles):
        console.print(f"wrote {path}", markup=False)
    console.print(f"check it with: gridferry check {config}", markup=False)
    console.print(f"run it with: gridferry run {config}", markup=False)
    return DONE


def _profiles(prices: tuple[float, float]) -> str:
    low, high = prices
    rows = [
        f"{hour},{load / 100},{sun / 100},{low + (high - low) * price / 100:g}"
        for hour, (load, sun, price) in enumerate(zip(_LOAD, _SUN, _PRICE, strict=True))
    ]
    return "\n".join(["time_h,load,sun,price", *rows]) + "\n"


def _config(name: str, feeder: Feeder, wanted: Wanted) -> str:
    networks = [f"dn{k + 1}" for k in range(wanted.links + 1)]
    far = _far_buses(feeder)
    demand = round(float(feeder.p_load_mw.sum()), 4) or 1.0
    size = f"energy_mwh = {0.5 * demand:.4g}\np_max_mw = {0.15 * demand:.4g}\nsoc_min = 0.1\nsoc_max = 0.9"
    parts = [
        f"""# Written by `gridferry new config`. All keys: docs/guide.md, or `gridferry schema`. Sizes are examples.
name = {toml_text(name)}
currency = "EUR"

[time]
start = 2024-07-15T00:00:00   # by the clock of the run
step_s = 900
steps = 96

# load, sun and price by the hour; put your own series there
[profiles.day]
file = {toml_text(f"{name}_profiles.csv")}
time = "time_h"
resample = "previous"
""",
        *(_network(one, wanted.network, far[0], demand) for one in networks),
        """[prices]
buy = "day.price"   # per MWh from the grid above
sell = 150.0   # what customers pay
export_ratio = 1.0
""",
        _trucks(networks, [*far, feeder.bus_names[feeder.slack]], wanted.trucks, size) if wanted.trucks else "",
    ]
    parts += [
        f"""[[batteries]]
name = {toml_text(f"B{k + 1}")}
network = {toml_text(networks[k % len(networks)])}
bus = {toml_text(far[(k // len(networks)) % len(far)])}
{size}
soc_end = "start"   # due at the end of the day
"""
        for k in range(wanted.batteries)
    ]
    rating = f"bus = {toml_text(far[-1])}, s_max_mva = {0.3 * demand:.4g}, loss_coefficient = 0.02"
    parts += [
        f"""[[links]]
name = {toml_text(f"L{k + 1}")}
terminals = [
    {{ network = {toml_text(networks[k])}, {rating} }},
    {{ network = {toml_text(networks[k + 1])}, {rating} }},
]
"""
        for k in range(wanted.links)
    ]
    use = "rules" if wanted.trucks or wanted.batteries else "idle"
    parts.append(f"# others: gridferry list controllers\n[controller]\nuse = {toml_text(use)}\n")
    return "\n".join(one for one in parts if one)


def _network(name: str, spec: str, far: str, demand_mw: float) -> str:
    feeder = str(Path(spec).resolve()) if Path(spec).is_file() else spec
    return f"""[[networks]]
name = {toml_text(name)}
feeder = {toml_text(feeder)}
v_min_pu = 0.92   # what AC is held against
v_max_pu = 1.05

# nominal loads of the network, times a factor
[[loads]]
network = {toml_text(name)}
factor = "day.load"

[[generators]]
name = {toml_text(f"{name}-pv")}
network = {toml_text(name)}
bus = {toml_text(far)}
p_mw = {{ column = "day.sun", scale = {0.3 * demand_mw:.4g} }}
feed_in_tariff = 60.0   # paid per MWh
"""


def _trucks(networks: list[str], buses: list[str], number: int, size: str) -> str:
    """Stations, roads and trucks."""
    places = list(dict.fromkeys((one, bus) for bus in buses for one in networks))[:3]
    stations = "\n".join(
        f'[[stations]]\nname = "S{k + 1}"\nnetwork = {toml_text(one)}\nbus = {toml_text(bus)}\n'
        for k, (one, bus) in enumerate(places)
    )
    distance = [[5.0 * abs(a - b) for b in range(len(places))] for a in range(len(places))]
    trucks = "\n".join(
        f"""[[trucks]]
name = "T{k + 1}"
station = "S{k % len(places) + 1}"   # in the beginning
{size}
soc_end = "start"   # due at the end of the day
fuel_per_km = 0.5
labour_per_h = 20.0
"""
        for k in range(number)
    )
    roads = f"[roads]\ndistance_km = {distance}\nspeed_km_h = 30.0\ninstall_min = 10.0   # to connect\n"
    return f"# where trucks connect\n{stations}\n{roads}\n{trucks}"


def _far_buses(feeder: Feeder) -> list[str]:
    """Ends of the feeder, the farthest first; at most three."""
    depth = {feeder.slack: 0}
    children: dict[int, list[int]] = {}
    for parent, child in zip(feeder.parent.tolist(), feeder.child.tolist(), strict=True):
        children.setdefault(parent, []).append(child)
    queue = [feeder.slack]
    for bus in queue:
        for child in children.get(bus, ()):
            depth[child] = depth[bus] + 1
            queue.append(child)
    ends = [bus for bus in queue if bus not in children]
    return [feeder.bus_names[bus] for bus in sorted(ends, key=lambda one: -depth[one])[:3]]
