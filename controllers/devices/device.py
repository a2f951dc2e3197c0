"""Interface of kinds of devices: ports and positions, state, and one step of physics.

A kind is a class derived from `Device`, in a folder of its own. Everybody else loops over devices and knows no kind.

* `Device.move` and `Device.step` are pure and total: any finite request is answered, nothing beyond a limit is done,
  and what was requested beyond it is the shortfall in the outcome. Only `step_all` and `simulate_each` call them.
* One energy balance holds for every kind, in every step::

      source - Δ Σ P - loss = change of what is stored

* A state is a frozen dataclass of JSON values: so it goes through mosaik and into checkpoints.

Plain floats: a step of a device must cost microseconds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from jaxtyping import Int

from gridferry.controllers.devices.config_parts import DeviceConfig
from gridferry.controllers.devices.ports import Column, Port, Position, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.steps import Now, Outcome, Outcomes, Request, Requests, Stateless

S = TypeVar("S")
"""A kind's state: a frozen dataclass of JSON values."""

NOTHING: Mapping[str, Any] = {}


class Device(ABC, Generic[S]):
    """Base of all kinds of devices; instances are frozen dataclasses of constant data.

    Attributes
    ----------
    table : the kind's table in the config, ``[[table]]``, and its table of results
    block : how it is optimised, as ``package.module:function``, which gives a
        `gridferry.controllers.devices.planning.block.Block`; a kind that names none rests where an optimiser plans
    version : of its states and of what it records; a run is not resumed with another one
    port_kind : what the record calls one of its ports
    Config : the class of an entry of its table; it has a field for every one of `series`
    example : keys of an entry to try the kind with, as in a config, which the conformance suite cannot make up
    State : the class of its states
    stores : whether it stores energy; its state then has ``energy_mwh``
    series, columns : by key
    costs : names of all terms of `Outcome.money`, with what they are
    name : of the device, unique in its table
    """

    table: ClassVar[str]
    block: ClassVar[str] = ""
    version: ClassVar[int] = 1
    port_kind: ClassVar[str]
    Config: ClassVar[type[Any]] = DeviceConfig
    example: ClassVar[Mapping[str, Any]] = {}
    State: ClassVar[type[Any]] = Stateless
    stores: ClassVar[bool] = False
    series: ClassVar[Mapping[str, Series]] = {}
    columns: ClassVar[Mapping[str, Column]] = {}
    costs: ClassVar[Mapping[str, str]] = {}
    name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # arrays of a kind that it derives from would not do what its own step does
        if overrides(cls, "simulate_many", {"step", "move", "stored_mwh"}):
            cls.simulate_many = Device.simulate_many  # type: ignore[method-assign]

    def with_stations(self, stations: Sequence[Station]) -> Device[S]:
        """Return the device with the stations of its plant, for kinds that use stations."""
        return self

    @classmethod
    @abstractmethod
    def build(cls, config: Any, site: Site) -> Device[S]:
        """Build a device from an entry of its table, an instance of `Config`.

        What does not fit the plant goes to `Site.fault`; something is returned all the same.
        """

    @property
    def ports(self) -> tuple[Port, ...]:
        """Ports: where the device injects."""
        return ()

    @property
    def positions(self) -> tuple[Position, ...]:
        """Positions: integers that the device can be set to."""
        return ()

    @cached_property
    def rest_mw(self) -> tuple[float, ...]:
        """Active power of each port at rest [MW]."""
        return tuple(port.rest_mw for port in self.ports)

    @cached_property
    def state_fields(self) -> tuple[str, ...]:
        """Names of the fields of its states."""
        return tuple(one.name for one in fields(self.State))

    @cached_property
    def key(self) -> str:
        """Unique key in the plant, ``table.name``."""
        return f"{self.table}.{self.name}"

    @property
    def error_group(self) -> str:
        """Group of devices that share forecast errors of their series."""
        return self.table

    @abstractmethod
    def initial_state(self, now: Now) -> S:
        """Return the state at the start of a run; ``now`` is the surroundings of its first step."""

    def at(self, state: S) -> tuple[int, ...]:
        """Current value of each position, or the value that it is on the way to."""
        return ()

    def transit_steps(self, state: S) -> tuple[int, ...]:
        """Steps until each position is reached, 0 where it is reached."""
        return (0,) * len(self.positions)

    def move(self, state: S, request: Request, now: Now) -> S:
        """Change positions: the first half of a step, before couplings and `step`."""
        return state

    @abstractmethod
    def step(self, state: S, request: Request, now: Now) -> tuple[S, Outcome]:
        """Do the request within all limits, from the state after `move`."""

    def stored_mwh(self, state: S) -> float:
        """Stored energy [MWh]."""
        return 0.0

    def simulate_many(
        self, state: S, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Simulate many schedules, all from the same state; return their outcomes.

        It does one after the other. A kind may answer with arrays, new ones; `step` says what is right.

        Parameters
        ----------
        nows : what surrounds each step of all; they have the trips for whichever of them departs
        series : values that differ between the schedules (sample, horizon), in the place of those of ``nows``
        """
        return simulate_each(self, np.arange(len(requests.p_mw)), state, requests, nows, series)


def overrides(cls: type, of: str, methods: Set[str]) -> bool:
    """Whether a class, or a nearer one that it derives from, changes some of the methods that one is made of."""
    for one in cls.__mro__:
        if of in vars(one):
            return False
        if methods & set(vars(one)):
            return True
    return False


def rest(device: Device[S], state: S) -> Request:
    """Return the request to rest: ports at rest, positions unchanged."""
    return Request(device.rest_mw, (0.0,) * len(device.rest_mw), device.at(state))


def reached(device: Device[S], state: S) -> tuple[int, ...]:
    """Return where each position is, -1 for one that is on the way."""
    return tuple(-1 if left else at for at, left in zip(device.at(state), device.transit_steps(state), strict=True))


def refuse(device: Device[Any], request: Request) -> None:
    """Raise for an invalid request; the host never dispatches one."""
    p_mw, q_mvar = request.p_mw, request.q_mvar
    if not math.isfinite(sum(p_mw) + sum(q_mvar)):
        for port, p, q in zip(device.ports, p_mw, q_mvar, strict=True):
            if not (math.isfinite(p) and math.isfinite(q)):
                raise ValueError(f"{port.name}: setpoint P = {p} MW, Q = {q} Mvar is not finite")
    ports, positions = len(device.ports), len(device.positions)
    if not (len(p_mw) == len(q_mvar) == ports and len(request.position) == positions):
        raise ValueError(
            f"{device.name}: {len(p_mw)} P, {len(q_mvar)} Q and {len(request.position)} positions requested "
            f"of {ports} ports and {positions} positions"
        )


def simulate_each(
    device: Device[S],
    samples: Int[np.ndarray, " some"],
    state: S,
    requests: Requests,
    nows: Sequence[Now],
    series: Mapping[str, np.ndarray],
) -> Outcomes:
    """Simulate some of many schedules one by one; see `Device.simulate_many`."""
    done: list[list[Outcome]] = []
    stored = np.empty((len(samples), len(nows)))
    at = np.empty((*stored.shape, len(device.positions)), dtype=np.int64)
    for row, sample in enumerate(samples.tolist()):
        requested = zip(
            *(one[sample].tolist() for one in (requests.p_mw, requests.q_mvar, requests.position)), strict=True
        )
        own = {key: values[sample].tolist() for key, values in series.items()}
        current, outcomes = state, []
        for step, ((p_mw, q_mvar, position), now) in enumerate(zip(requested, nows, strict=True)):
            if own:
                now = replace(now, series={**now.series, **{key: values[step] for key, values in own.items()}})
            request = Request(tuple(p_mw), tuple(q_mvar), tuple(position))
            refuse(device, request)
            current, outcome = device.step(device.move(current, request, now), request, now)
            outcomes.append(outcome)
            stored[row, step], at[row, step] = device.stored_mwh(current), reached(device, current)
        done.append(outcomes)
    return _gathered(device, done, stored, at)


def _gathered(device: Device[Any], done: Sequence[Sequence[Outcome]], stored: np.ndarray, at: np.ndarray) -> Outcomes:
    """Gather the outcomes of steps, schedule after schedule."""
    ports = [[outcome.ports for outcome in one] for one in done]
    shape = (*stored.shape, len(device.ports))
    costs = dict.fromkeys(name for one in done for outcome in one for name in outcome.money)

    def of(name: str, dtype: type) -> np.ndarray:
        values = [[[getattr(port, name) for port in step] for step in one] for one in ports]
        return np.array(values, dtype=dtype).reshape(shape)

    return Outcomes(
        bus=of("bus", np.int64),
        p_mw=of("p_mw", np.float64),
        q_mvar=of("q_mvar", np.float64),
        stored_mwh=stored,
        reached=at,
        money={name: np.array([[step.money.get(name, 0.0) for step in one] for one in done]) for name in costs},
    )
