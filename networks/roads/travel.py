"""Travel between stations: time and distance of trips by time of departure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from gridferry.networks.read_only import immutable


class Rounding(StrEnum):
    """Rounding of travel times to steps; a trip takes at least one step."""

    NEAREST = "nearest"
    UP = "up"


@dataclass(frozen=True, eq=False)
class Trips:
    """Travel times and distances between all stations, by departure.

    Attributes
    ----------
    minutes : travel time with congestion and installation [min]
    km : distance driven [km]
    """

    minutes: Float[np.ndarray, "departure station station"]
    km: Float[np.ndarray, "departure station station"]


class Roads(ABC):
    """Roads between the stations of a case; their congestion is a delay [min] or traffic [veh/h], as a class says.

    Attributes
    ----------
    stations : names, in the order of the axes of `Trips`
    install_min : time to connect after arrival, part of every trip [min]
    rounding : how minutes become steps
    """

    stations: tuple[str, ...]
    install_min: float
    rounding: Rounding

    @property
    @abstractmethod
    def road_names(self) -> tuple[str, ...]:
        """Names of the roads, as ``from-to``, in the order of the axis of congestion."""

    @property
    def changes_by_time(self) -> bool:
        """Whether trips depend on when they begin, and not on congestion alone."""
        return False

    @property
    def base_congestion(self) -> Float[np.ndarray, " road"]:
        """Congestion that is on each road in any case, beside that of the config's series."""
        return np.zeros(len(self.road_names))

    @abstractmethod
    def trips(
        self,
        congestion: Float[np.ndarray, "row road"],
        *,
        step_s: int | None = None,
        step: int = 0,
        departures: int | None = None,
    ) -> Trips:
        """Time and distance of every trip that departs in some steps, one after the other.

        Parameters
        ----------
        congestion : in these steps; that of the last lasts
        step_s : how long a step is [s]; ``None`` for congestion that stays as it is at departure
        step : of the run, the first of them
        departures : how many of the steps trips depart in; all when not given
        """

    def rows_met(self, congestion: Float[np.ndarray, "row road"], step_s: int, step: int = 0) -> int:
        """Rows, from that of the departure on, whose congestion a trip may meet."""
        return 1

    def on_every_road(self, congestion: Float[np.ndarray, " departure"]) -> Float[np.ndarray, "departure road"]:
        """Return the same congestion on all roads, as a read-only view."""
        return np.broadcast_to(congestion[:, None], (len(congestion), len(self.road_names)))

    def transit_steps(
        self,
        congestion: Float[np.ndarray, "row road"],
        step_s: int,
        *,
        step: int = 0,
        departures: int | None = None,
    ) -> Int[np.ndarray, "departure station station"]:
        """Steps in transit ``τ_ij(t)``, at least one; 0 from a station to itself [A, eq. 2]."""
        trips = self.trips(congestion, step_s=step_s, step=step, departures=departures)
        steps = steps_of_minutes(trips.minutes, step_s, self.rounding)
        diagonal = np.arange(len(self.stations))
        steps[:, diagonal, diagonal] = 0
        return steps


def steps_of_minutes(minutes: Float[np.ndarray, "*axes"], step_s: int, rounding: Rounding) -> Int[np.ndarray, "*axes"]:
    """Round travel times to steps, at least one; halves round up."""
    raw = minutes * 60.0 / step_s
    # a product such as 20 min / 10 min must not become 3 steps because of its last bit
    rounded = np.ceil(raw - 1e-9) if rounding is Rounding.UP else np.floor(raw + 0.5 + 1e-9)
    return np.maximum(rounded.astype(np.int64), 1)


@dataclass(frozen=True, eq=False)
class DistanceMatrix(Roads):
    """Distance matrix of stations; congestion is the delay of each trip in minutes [A, eq. 2].

    There is a road from every station to every other, row after row of the matrix.

    Attributes
    ----------
    distance_km : distance from (row) to (column) [km]
    speed_km_h : speed of travel [km/h]
    """

    stations: tuple[str, ...]
    distance_km: Float[np.ndarray, "station station"]
    speed_km_h: float
    install_min: float
    rounding: Rounding = Rounding.NEAREST

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance_km", immutable(self.distance_km))

    @cached_property
    def road_names(self) -> tuple[str, ...]:
        """Stations at both ends of each road."""
        return tuple(f"{a}-{b}" for a in self.stations for b in self.stations if a != b)

    def trips(
        self,
        congestion: Float[np.ndarray, "row road"],
        *,
        step_s: int | None = None,
        step: int = 0,
        departures: int | None = None,
    ) -> Trips:
        """Time and distance of every trip, departing under each of the given delays [min]."""
        n, congestion = len(self.stations), congestion[:departures]
        delay = np.zeros((len(congestion), n, n))
        delay[:, ~np.eye(n, dtype=bool)] = congestion
        minutes = delay + self.distance_km / self.speed_km_h * 60.0 + self.install_min
        return Trips(minutes=minutes, km=np.broadcast_to(self.distance_km, minutes.shape))


def matrix_from_rows(rows: Sequence[Sequence[float]]) -> Float[np.ndarray, "station station"]:
    """Turn the rows of a distance matrix into an array."""
    return np.array(rows, dtype=float)
