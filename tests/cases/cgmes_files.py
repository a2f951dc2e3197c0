"""A small grid in CGMES 2.4.15: three nodes of 20 kV in a row, two loads, one supply at 20.4 kV."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

_CIM = "http://iec.ch/TC57/2013/CIM-schema-cim16#"
_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cim="{_CIM}"
 xmlns:md="http://iec.ch/TC57/61970-552/ModelDescription/1#">
<md:FullModel rdf:about="urn:uuid:PROFILE"><md:Model.profile>http://entsoe.eu/CIM/PROFILE</md:Model.profile></md:FullModel>
"""
LINES = {"_l1": ("_a", "_b", 1.0, 1.5), "_l2": ("_b", "_c", 0.8, 0.9)}
"""ends, R and X [Ω]"""
LOADS = {"_b": (2.0, 0.5), "_c": (1.0, 0.3)}
"""P and Q [MW, Mvar]"""


def _object(kind: str, name: str, about: bool = False, **values: Any) -> str:
    """Write an object; of the keys, two underscores are a dot; values that begin with # are references."""
    inner = "".join(
        f'<cim:{key} rdf:resource="{value}"/>'
        if str(value).startswith(("#", "http"))
        else f"<cim:{key}>{value}</cim:{key}>"
        for key, value in ((key.replace("__", "."), value) for key, value in values.items())
    )
    place = f'rdf:about="#{name}"' if about else f'rdf:ID="{name}"'
    return f"<cim:{kind} {place}>{inner}</cim:{kind}>\n"


class _Profiles:
    """Texts of the three profiles."""

    def __init__(self) -> None:
        self.eq = self.tp = self.ssh = ""

    def terminal(self, name: str, of: str, number: int, node: str) -> None:
        self.eq += _object(
            "Terminal", name, Terminal__ConductingEquipment=f"#{of}", ACDCTerminal__sequenceNumber=number
        )
        self.tp += _object("Terminal", name, about=True, Terminal__TopologicalNode=f"#{node}")
        self.ssh += _object("Terminal", name, about=True, ACDCTerminal__connected="true")


def write_cgmes(path: Path) -> None:
    """Write the grid as a zip of its profiles."""
    out = _Profiles()
    out.eq += _object("BaseVoltage", "_bv", BaseVoltage__nominalVoltage=20)
    out.eq += _object("GeographicalRegion", "_gr", IdentifiedObject__name="g")
    out.eq += _object("SubGeographicalRegion", "_sgr", SubGeographicalRegion__Region="#_gr")
    out.eq += _object("Substation", "_ss", IdentifiedObject__name="ss", Substation__Region="#_sgr")
    out.eq += _object("VoltageLevel", "_vl", VoltageLevel__Substation="#_ss", VoltageLevel__BaseVoltage="#_bv")
    for node in "abc":
        out.tp += _object(
            "TopologicalNode",
            f"_{node}",
            IdentifiedObject__name=node,
            TopologicalNode__BaseVoltage="#_bv",
            TopologicalNode__ConnectivityNodeContainer="#_vl",
        )
    for line, (start, end, r, x) in LINES.items():
        values = {f"ACLineSegment__{key}": value for key, value in {"r": r, "x": x, "bch": 0, "gch": 0}.items()}
        zero = {f"ACLineSegment__{key}": value for key, value in {"r0": r, "x0": x, "b0ch": 0, "g0ch": 0}.items()}
        base = {"Conductor__length": 2.0, "ConductingEquipment__BaseVoltage": "#_bv"}
        out.eq += _object("ACLineSegment", line, IdentifiedObject__name=line, **values, **zero, **base)
        out.terminal(f"{line}t1", line, 1, start)
        out.terminal(f"{line}t2", line, 2, end)
    for node, (p, q) in LOADS.items():
        out.eq += _object("ConformLoad", f"_load{node}", Equipment__EquipmentContainer="#_vl")
        out.ssh += _object("ConformLoad", f"_load{node}", about=True, EnergyConsumer__p=p, EnergyConsumer__q=q)
        out.terminal(f"_t{node}", f"_load{node}", 1, node)
    limits = {f"ExternalNetworkInjection__{key}": 100 for key in ("maxP", "minP", "maxQ", "minQ")}
    control = {"Equipment__EquipmentContainer": "#_vl", "RegulatingCondEq__RegulatingControl": "#_rc"}
    out.eq += _object("ExternalNetworkInjection", "_grid", **limits, **control)
    mode = f"{_CIM}RegulatingControlModeKind.voltage"
    out.eq += _object("RegulatingControl", "_rc", RegulatingControl__mode=mode, RegulatingControl__Terminal="#_tgrid")
    target = {"RegulatingControl__targetValue": 20.4, "RegulatingControl__targetDeadband": 0}
    out.ssh += _object("RegulatingControl", "_rc", about=True, RegulatingControl__enabled="true", **target)
    power = {
        f"ExternalNetworkInjection__{key}": value for key, value in {"p": -3, "q": -1, "referencePriority": 1}.items()
    }
    out.ssh += _object(
        "ExternalNetworkInjection", "_grid", about=True, RegulatingCondEq__controlEnabled="true", **power
    )
    out.terminal("_tgrid", "_grid", 1, "_a")
    profiles = {"EquipmentCore/3/1": out.eq, "Topology/4/1": out.tp, "SteadyStateHypothesis/1/1": out.ssh}
    with zipfile.ZipFile(path, "w") as archive:
        for number, (profile, body) in enumerate(profiles.items()):
            archive.writestr(f"grid_{number}.xml", _HEAD.replace("PROFILE", profile) + body + "</rdf:RDF>\n")
