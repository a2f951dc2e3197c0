"""Inputs and outcomes of a step of a device, and of many schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

NOWHERE = -1
"""The bus of a port that is connected to none."""


@dataclass(frozen=True, slots=True)
class Request:
    """Request to one device: its share of row 0 of a plan.

    Attributes
    ----------
    p_mw, q_mvar : injection of each port [MW, Mvar]
    position : of each position, an index into its labels
    """

    p_mw: tuple[float, ...] = ()
    q_mvar: tuple[float, ...] = ()
    position: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Travel:
    """Travel between all stations for departures in this step, ``[from][to]``.

    Attributes
    ----------
    steps : actual steps in transit, at least one between two stations
    minutes : travel time with congestion and installation [min]
    km : distance driven [km]
    install_min : installation, the last part of every trip [min]
    """

    steps: tuple[tuple[int, ...], ...]
    minutes: tuple[tuple[float, ...], ...]
    km: tuple[tuple[float, ...], ...]
    install_min: float = 0.0


@dataclass(frozen=True, slots=True)
class Now:
    """Surroundings of a device in a step: the true ones in a simulation, the forecast ones in a check.

    Attributes
    ----------
    step_h : step length Δ [h]
    clock_h : local time at its start [h]
    ends_day : the step is the last of a local day; the state after it begins a new day's counts
    series : values of `Device.series`; defaults hold for those that are missing
    trips : trips that begin now, as the coupling of the roads gives them to who wants to depart
    plugged : whether it may use the station where it is, as couplings grant
    p_max_mw : largest power that it may use there, either way, as couplings grant [MW]
    """

    step_h: float
    ends_day: bool = False
    series: Mapping[str, float] = field(default_factory=dict)
    trips: Travel | None = None
    plugged: bool = True
    p_max_mw: float = math.inf
    clock_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Injection:
    """Injection of one port in a step.

    Attributes
    ----------
    bus : where, on the axis of all buses; `NOWHERE` on the road
    p_mw, q_mvar : injection [MW, Mvar]
    shortfall_mwh : ``Δ |P requested - P done|`` of a setpoint [MWh]
    loss_mwh : lost behind the port, negative for a published efficiency above 1 [MWh]
    clips : why it differs from what was requested, by more than a watt
    """

    bus: int
    p_mw: float = 0.0
    q_mvar: float = 0.0
    shortfall_mwh: float = 0.0
    loss_mwh: float = 0.0
    clips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a step of a device.

    Attributes
    ----------
    ports : of each port
    source_mwh : sun, wind, fuel; negative for what a load consumes [MWh]
    money : by name of the cost term, as in `Device.costs` [currency]
    row : values of `Device.columns`
    """

    ports: tuple[Injection, ...]
    source_mwh: float = 0.0
    money: Mapping[str, float] = field(default_factory=dict)
    row: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)

    @property
    def loss_mwh(self) -> float:
        """Losses behind all ports [MWh]."""
        return sum(one.loss_mwh for one in self.ports)


@dataclass(frozen=True, slots=True)
class Requests:
    """Schedules of one device, many at once.

    Attributes
    ----------
    p_mw, q_mvar : injection of each port (sample, horizon, port) [MW, Mvar]
    position : of each position, an index into its labels (sample, horizon, position)
    """

    p_mw: np.ndarray
    q_mvar: np.ndarray
    position: np.ndarray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of many schedules of a device.

    Attributes
    ----------
    bus : of each port, on the axis of all buses; `NOWHERE` on the road (sample, horizon, port)
    p_mw, q_mvar : injection (sample, horizon, port) [MW, Mvar]
    stored_mwh : what is stored after each step (sample, horizon) [MWh]
    money : by name of the cost term (sample, horizon) [currency]
    reached : each position after each step, -1 on the way; for kinds that have any (sample, horizon, position)
    """

    bus: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    stored_mwh: np.ndarray
    money: Mapping[str, np.ndarray] = field(default_factory=dict)
    reached: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Stateless:
    """State of devices without any state."""
