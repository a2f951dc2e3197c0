"""A feeder together with the pandapower net it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, eq=False)
class Network:
    """A network: its feeder, and the pandapower net that the AC power flow uses.

    Attributes
    ----------
    feeder : the feeder, with the loads and sources of the net as nominal figures
    source_net : the ``pandapowerNet`` it was read from, a copy with one external grid at 0 degree; ``None`` for a
        feeder that did not come from pandapower
    net_bus : index in ``source_net.bus`` of every feeder bus; ``None`` without ``source_net``
    notes : what the reader has left out or replaced, one sentence each
    """

    feeder: Feeder
    source_net: Any = None
    net_bus: Int[np.ndarray, " bus"] | None = None
    notes: tuple[str, ...] = ()
