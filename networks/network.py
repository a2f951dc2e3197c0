"""A feeder together with the pandapower net it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnElement:
    """Load, static generator or storage that a net brings, in service; signs are pandapower's.

    Attributes
    ----------
    table, index, name : where it is in the net, and its own name, empty if it has none
    bus : of the feeder
    p_mw, q_mvar : nominal power, scaled [MW, Mvar]
    p_series, q_series : its time series among `Network.series`, with the factor that makes powers of them
    facts : the other columns of its row
    """

    table: str
    index: int
    name: str
    bus: int
    p_mw: float
    q_mvar: float
    p_series: tuple[str, float] | None = None
    q_series: tuple[str, float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """Its table and index, and its name where it has one."""
        return f"{self.table} {self.index}" + (f' ("{self.name}")' if self.name else "")


@dataclass(frozen=True, eq=False)
class OwnSeries:
    """Time series that a net brings.

    Attributes
    ----------
    values : of its rows
    times : start of each row, without a zone, to the second; ``None`` where rows are the steps of a run
    """

    values: Float[np.ndarray, " row"]
    times: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A network: its feeder, and the pandapower net that the AC power flow uses.

    Attributes
    ----------
    feeder : the feeder, with the loads and sources of the net as nominal figures
    source_net : the ``pandapowerNet`` it was read from, a copy with one external grid at 0 degree; ``None`` for a
        feeder that did not come from pandapower
    net_bus : index in ``source_net.bus`` of every feeder bus; ``None`` without ``source_net``
    elements : loads, static generators and storages of the net, the parts of the nominal figures
    series : time series of the net, by name
    notes : what the reader has left out or replaced, one sentence each
    """

    feeder: Feeder
    source_net: Any = None
    net_bus: Int[np.ndarray, " bus"] | None = None
    elements: tuple[OwnElement, ...] = ()
    series: Mapping[str, OwnSeries] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
