"""Soft open points on the 33-bus feeder at nominal load: losses with one at each tie line, beside reconfiguration.

Planned by `mvdc_drcc`, with two converters of 1 MVA each. Losses are those of AC power flow and of converters.
Reconfiguration is the known optimum (lines 7, 9, 14, 32 and the tie line from 25 to 29 open), solved by pandapower.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandapower as pp
import pandapower.networks as pn

from gridferry.sim import run

TIES = (("8", "21"), ("9", "15"), ("12", "22"), ("18", "33"), ("25", "29"))
COEFFICIENTS = (0.0, 0.01, 0.02)
OPEN_LINES = (7, 9, 14, 32, 37)
CASE = """
name = "sop"
[time]
start = 2024-01-01T00:00:00
step_s = 3600
steps = 1
[[networks]]
name = "dn1"
feeder = "ieee33"
v_min_pu = 0.9
v_max_pu = 1.1
[[loads]]
network = "dn1"
factor = 1.0
[prices]
buy = 50.0
[controller]
use = "mvdc_drcc"
scenario = "deterministic"
"""
LINK = """
[[links]]
name = "sop{number}"
terminals = [
    {{ network = "dn1", bus = "{ends[0]}", s_max_mva = 1.0, loss_coefficient = {coefficient} }},
    {{ network = "dn1", bus = "{ends[1]}", s_max_mva = 1.0, loss_coefficient = {coefficient} }},
]
"""


def lost_kw(places: tuple[tuple[str, str], ...], coefficient: float) -> float:
    """Losses of the feeder and of the converters [kW]: import less load."""
    links = [LINK.format(number=number, ends=ends, coefficient=coefficient) for number, ends in enumerate(places)]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sop.toml"
        config.write_text(CASE + "".join(links))
        summary = run(config, out=Path(folder) / "run").summary
    assert summary["verdict"] == "feasible and executed", summary["verdict"]
    return 1e3 * (summary["grid"]["import_mwh"] - summary["grid"]["export_mwh"] - float(pn.case33bw().load.p_mw.sum()))


def reconfigured_kw() -> float:
    """Losses of the reconfigured feeder [kW]."""
    net = pn.case33bw()
    net.line["in_service"] = [number not in OPEN_LINES for number in range(1, len(net.line) + 1)]
    pp.runpp(net)
    return 1e3 * float(net.res_line.pl_mw.sum())


def main(*, smoke: bool = False) -> None:
    before = lost_kw((), 0.0)

    def line(what: str, lost: float) -> None:
        print(f"{what:46} {lost:8.2f} kW  {100.0 * (before - lost) / before:6.2f} % less")

    print(f"{'nominal load':46} {before:8.2f} kW")
    line("reconfigured", reconfigured_kw())
    for coefficient in COEFFICIENTS[:1] if smoke else COEFFICIENTS:
        for ends in TIES[3:4] if smoke else TIES:
            line(f"buses {' and '.join(ends)}, converters lose {100 * coefficient:g} %", lost_kw((ends,), coefficient))
        if not smoke:
            line(f"at all tie lines, converters lose {100 * coefficient:g} %", lost_kw(TIES, coefficient))
