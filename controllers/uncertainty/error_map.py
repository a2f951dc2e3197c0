"""From forecast errors to bus injections: which loads and generators share an error source.

Errors are relative to the forecast: what happens is ``forecast · (1 + ξ)``. A positive load error draws more, active
and reactive power alike; a positive generation error gives more. One matrix for the loads and one for the generators
say which source each of them follows, so any grouping is a choice of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Plant


class Grouping(StrEnum):
    """What shares one error source."""

    NETWORK = "network"
    """all loads of a network, or all generators of one kind in it"""
    BUS = "bus"
    """the load of a bus, or all generators of one kind at it"""
    DEVICE = "device"
    """every generator by itself; for loads the same as ``bus``"""


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """How errors of the sources become injections at the buses of all networks.

    Attributes
    ----------
    sources : names of the sources
    load : share of each source's relative error that the load of a bus follows
    generation : the same for each port that follows a profile
    generation_bus : bus of each of these ports
    """

    sources: tuple[str, ...]
    load: Float[np.ndarray, "bus source"]
    generation: Float[np.ndarray, "profiled source"]
    generation_bus: Int[np.ndarray, " profiled"]

    def injections(
        self,
        load_p_mw: Float[np.ndarray, "horizon bus"],
        load_q_mvar: Float[np.ndarray, "horizon bus"],
        generation_mw: Float[np.ndarray, "horizon profiled"],
    ) -> tuple[Float[np.ndarray, "horizon bus source"], Float[np.ndarray, "horizon bus source"]]:
        """Change of the injections P [MW] and Q [Mvar] of every bus per unit of each source, at a forecast."""
        at_bus = np.zeros((len(self.load), len(self.generation)))
        at_bus[self.generation_bus, np.arange(len(self.generation))] = 1.0
        p_mw = at_bus @ (generation_mw[:, :, None] * self.generation) - load_p_mw[:, :, None] * self.load
        return p_mw, -load_q_mvar[:, :, None] * self.load


def error_map(
    plant: Plant,
    load: Grouping = Grouping.NETWORK,
    generation: Grouping = Grouping.NETWORK,
    load_buses: Bool[np.ndarray, " bus"] | None = None,
) -> ErrorMap:
    """Group the loads of a plant and what follows a profile.

    Sources are named ``load:<network>``, ``load:<network>:<bus>``, ``<kind>:<network>``, ``<kind>:<network>:<bus>`` or
    ``<kind>:<device>``, loads first. Networks count from 1.

    Parameters
    ----------
    load, generation : what shares a source
    load_buses : buses that carry a load; all when not given
    """
    carries = np.ones(plant.n_bus, dtype=bool) if load_buses is None else load_buses
    bus_names = [name for feeder in plant.feeders for name in feeder.bus_names]
    columns: dict[str, int] = {}
    follows_load: list[tuple[int, int]] = []
    for network, buses in enumerate(plant.bus_slices, start=1):
        for bus in np.arange(buses.start, buses.stop)[carries[buses]]:
            name = f"load:{network}" if load is Grouping.NETWORK else f"load:{network}:{bus_names[bus]}"
            follows_load.append((int(bus), columns.setdefault(name, len(columns))))
    follows_generation: list[tuple[int, int]] = []
    for index, one in enumerate(plant.profiled):
        network = next(k for k, buses in enumerate(plant.bus_slices, start=1) if one.bus < buses.stop)
        where = {
            Grouping.NETWORK: f"{network}",
            Grouping.BUS: f"{network}:{bus_names[one.bus]}",
            Grouping.DEVICE: one.device.name,
        }[generation]
        follows_generation.append((index, columns.setdefault(f"{one.device.error_group}:{where}", len(columns))))
    return ErrorMap(
        sources=tuple(columns),
        load=_indicator(follows_load, plant.n_bus, len(columns)),
        generation=_indicator(follows_generation, len(plant.profiled), len(columns)),
        generation_bus=np.array([one.bus for one in plant.profiled], dtype=np.int64),
    )


def _indicator(pairs: list[tuple[int, int]], rows: int, columns: int) -> Float[np.ndarray, "row source"]:
    matrix = np.zeros((rows, columns))
    for row, column in pairs:
        matrix[row, column] = 1.0
    return matrix
