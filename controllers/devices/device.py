"""What every kind of device answers for itself: its ports and positions, its state, and one step of physics.

A kind is a class derived from `Device`, in a folder of its own. Everybody else loops over devices and knows no kind.

* `Device.move` and `Device.step` are pure and total: any finite request is answered, nothing beyond a limit is done,
  and what was requested beyond it is the shortfall in the outcome. `step_all` is their only caller.
* One energy balance holds for every kind, in every step::

      source - Δ Σ P - loss = change of what is stored

* A state is a frozen dataclass of JSON values: so it goes through mosaik and into checkpoints.

Plain floats: a step of a device must cost microseconds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Int

from gridferry.controllers.devices.config_parts import DeviceConfig
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.station import Station

S = TypeVar("S")
"""A kind's state: a frozen dataclass of JSON values."""

NOTHING: Mapping[str, Any] = {}
NOWHERE = -1
"""The bus of a port that is connected to none."""


class Act(StrEnum):
    """What P of a port means to the device; Q is a setpoint unless the port follows."""

    SETPOINT = "setpoint"
    """injected as requested; what is missing is a shortfall"""
    LIMIT = "limit"
    """at most this is injected; less is no shortfall"""
    FOLLOWS = "follows"
    """given by a profile or a position, whatever is requested: a generator that is not curtailed, a capacitor bank"""


@dataclass(frozen=True, kw_only=True)
class Port:
    """Where a device injects: a column of `Plan.p_mw` and `Plan.q_mvar`.

    Attributes
    ----------
    name : as in plan.csv and in the record
    buses : where it may inject, on the axis of all buses; one for what stands still
    p_min_mw, p_max_mw : range of its injection [MW]
    s_max_mva : rating [MVA]
    act : what P means
    rest_mw : "do nothing" [MW]
    """

    name: str
    buses: tuple[int, ...]
    p_min_mw: float
    p_max_mw: float
    s_max_mva: float
    act: Act = Act.SETPOINT
    rest_mw: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Position:
    """An integer that a device can be set to: a station, a step, a tap.

    Attributes
    ----------
    name : as in plan.csv and in the record
    labels : what the positions are called, in plan.csv and in the record
    allowed : those that may be requested, as indices into the labels; all where not given
    with_routes : changing it is a trip between the stations of the plant, which takes time
    """

    name: str
    labels: tuple[str, ...]
    allowed: tuple[int, ...] | None = None
    with_routes: bool = False

    @property
    def choices(self) -> tuple[int, ...]:
        """Those that may be requested."""
        return tuple(range(len(self.labels))) if self.allowed is None else self.allowed


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Values that a series may have, and the words for one outside.

    Attributes
    ----------
    lowest, highest : ends of the range
    above : the lowest itself is not allowed
    meaning : what the value is, which is why it has limits, such as "it is a magnitude"
    way : how to correct one outside
    """

    lowest: float = -math.inf
    highest: float = math.inf
    above: bool = False
    meaning: str = ""
    way: str = "correct it or give another scale"

    @property
    def outside(self) -> str:
        """What a value outside is."""
        if self.highest == math.inf:
            if self.above:
                return f"not above {self.lowest:g}"
            return "negative" if self.lowest == 0 else f"below {self.lowest:g}"
        if self.lowest == -math.inf:
            return f"above {self.highest:g}"
        return f"outside {'(' if self.above else '['}{self.lowest:g}, {self.highest:g}]"


ANY = Limits()
MAGNITUDE = Limits(lowest=0.0, meaning="it is a magnitude", way="correct it or give a negative scale")
SHARE = Limits(
    lowest=0.0,
    highest=1.0,
    meaning="it is the share of the rating that is in service",
    way="correct it or give a scale (0.01 for percent)",
)


@dataclass(frozen=True, kw_only=True)
class Series:
    """A value that surrounds a device from step to step: a key of `Device.Config` that takes a number or a profile.

    Attributes
    ----------
    default : what holds where none is given, or what is given is not finite
    meaning : what it is, with its unit
    limits : values that it may have
    forecast : ``uncertain``: with drawn errors where the config says so; ``as_measured``: what was measured in the last
        step is taken to persist, unless forecasts are perfect; ``known``: as it will be, under any forecast
    error : an uncertain one: the table ``[forecast.errors.<error>]``; several may name the same
    port : the port whose P it is, if it is one's
    """

    default: float
    meaning: str
    limits: Limits = MAGNITUDE
    forecast: Literal["uncertain", "as_measured", "known"] = "known"
    error: str = ""
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A value that a kind records in every step, beside those that all have.

    Attributes
    ----------
    unit : of the value; empty for texts, counts, shares and money
    meaning : what it is
    of : type of the value; it may be missing, whatever its type
    total : how the summary has it: the sum or the largest over all steps, the last value, or not at all
    money : it is an amount in the currency of the run; amounts that cost something are terms of `Device.costs`
    """

    unit: str
    meaning: str
    of: type[float] | type[int] | type[str] | type[bool] = float
    total: Literal["", "sum", "max", "last"] = ""
    money: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Row 0 of a plan, one device's share.

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
    """Trips between all stations for departures in this step, ``[from][to]``.

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
    """What surrounds a device in a step: what is true in a simulation, what is forecast in a check.

    Attributes
    ----------
    step_h : step length Δ [h]
    ends_day : the step is the last of a local day; the state after it begins a new day's counts
    series : values of `Device.series`; defaults hold for those that are missing
    trips : trips that begin now, as the coupling of the roads gives them to who wants to depart
    plugged : whether it may use the station where it is, as couplings grant
    """

    step_h: float
    ends_day: bool = False
    series: Mapping[str, float] = field(default_factory=dict)
    trips: Travel | None = None
    plugged: bool = True


@dataclass(frozen=True, slots=True)
class Injection:
    """What one port did in a step.

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
    """What a device did in a step.

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
        """Lost behind all ports [MWh]."""
        return sum(one.loss_mwh for one in self.ports)


States = Mapping[str, np.ndarray]
"""States of one device, many at once: ``(sample,)`` of every field, see `states_of`."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one device, many at once.

    Attributes
    ----------
    p_mw, q_mvar : injection of each port (sample, port) [MW, Mvar]
    position : of each position, an index into its labels (sample, position)
    """

    p_mw: np.ndarray
    q_mvar: np.ndarray
    position: np.ndarray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a device did in a step, many times.

    Attributes
    ----------
    bus : of each port, on the axis of all buses; `NOWHERE` on the road (sample, port)
    p_mw, q_mvar : injection (sample, port) [MW, Mvar]
    position : where its positions stand after the step, or are on the way to (sample, position)
    stored_mwh : what is stored after the step (sample,) [MWh]
    money : by name of the cost term (sample,) [currency]
    """

    bus: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    position: np.ndarray
    stored_mwh: np.ndarray
    money: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, device: Device[Any], done: Sequence[tuple[Any, Outcome]]) -> Outcomes:
        """Gather the states and outcomes of single steps."""
        ports = [outcome.ports for _, outcome in done]
        costs = dict.fromkeys(name for _, outcome in done for name in outcome.money)
        return cls(
            bus=np.array([[port.bus for port in one] for one in ports], dtype=np.int64),
            p_mw=np.array([[port.p_mw for port in one] for one in ports], dtype=np.float64),
            q_mvar=np.array([[port.q_mvar for port in one] for one in ports], dtype=np.float64),
            position=np.array([device.at(state) for state, _ in done], dtype=np.int64),
            stored_mwh=np.array([device.stored_mwh(state) for state, _ in done], dtype=np.float64),
            money={name: np.array([one.money.get(name, 0.0) for _, one in done]) for name in costs},
        )


@dataclass(frozen=True, slots=True)
class Stateless:
    """The state of a device that has none."""


class Device(ABC, Generic[S]):
    """A device of one kind. Instances are frozen dataclasses: all that does not change during a run.

    Attributes
    ----------
    table : the kind's table in the config, ``[[table]]``, and its table of results
    block : how it is optimised, as ``package.module:function``: see `gridferry.controllers.devices.block.Block`; a kind
        that names none rests where an optimiser plans
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

    def with_stations(self, stations: Sequence[Station]) -> Device[S]:
        """Return a device that knows the stations of its plant, if it can be at them."""
        return self

    @classmethod
    @abstractmethod
    def build(cls, config: Any, site: Site) -> Device[S]:
        """Build a device from an entry of its table, an instance of `Config`.

        What does not fit the plant goes to `Site.fault`; something is returned all the same.
        """

    @property
    def ports(self) -> tuple[Port, ...]:
        """Where it injects."""
        return ()

    @property
    def positions(self) -> tuple[Position, ...]:
        """What it can be set to."""
        return ()

    @cached_property
    def rest_mw(self) -> tuple[float, ...]:
        """P of each port that does nothing [MW]."""
        return tuple(port.rest_mw for port in self.ports)

    @cached_property
    def state_fields(self) -> tuple[str, ...]:
        """Names of the fields of its states."""
        return tuple(one.name for one in fields(self.State))

    @cached_property
    def key(self) -> str:
        """What tells it from all other devices of a plant, as ``table.name``."""
        return f"{self.table}.{self.name}"

    @property
    def error_group(self) -> str:
        """What forecast errors of its series go by, where devices that are alike share them."""
        return self.table

    @abstractmethod
    def initial_state(self, now: Now) -> S:
        """Return the state in which a run begins, ``now`` being what surrounds its first step."""

    def at(self, state: S) -> tuple[int, ...]:
        """Where its positions stand, or are on the way to."""
        return ()

    def transit_steps(self, state: S) -> tuple[int, ...]:
        """Steps until each of its positions is reached, 0 where it stands there."""
        return (0,) * len(self.positions)

    def move(self, state: S, request: Request, now: Now) -> S:
        """Change positions: the first half of a step. Couplings see the result before `step` does the rest."""
        return state

    @abstractmethod
    def step(self, state: S, request: Request, now: Now) -> tuple[S, Outcome]:
        """Do what is requested as far as limits allow, from the state that `move` left."""

    def stored_mwh(self, state: S) -> float:
        """What is stored [MWh]."""
        return 0.0

    def step_many(
        self, states: States, requests: Requests, now: Now, series: Mapping[str, np.ndarray]
    ) -> tuple[States, Outcomes]:
        """Do a step many times, each from a state and with a request of its own; the states after it, and outcomes.

        It steps one by one. A kind may answer with arrays, new ones; `step` says what is right.

        Parameters
        ----------
        now : what surrounds all; it has the trips for whichever of them departs
        series : values that differ between them (sample,), in the place of those of ``now``
        """
        done = step_each(self, np.arange(len(requests.p_mw)), states, requests, now, series)
        return states_of(self, [state for state, _ in done]), Outcomes.of(self, done)


class Coupling:
    """What devices share: roads, the places of a station. `step_all` asks it before and after devices move.

    Attributes
    ----------
    block : what it adds to an optimisation, as ``package.module:function``: a function of the coupling, and of the
        blocks of all devices by `Device.key`, gives a `gridferry.controllers.devices.block.Block`
    """

    block: ClassVar[str] = ""

    def inform(
        self,
        devices: Sequence[Device[Any]],
        states: Sequence[Any],
        requests: Sequence[Request],
        nows: Sequence[Now],
        around: Mapping[str, Sequence[float]],
    ) -> Sequence[Now]:
        """Say what devices need to know before they move; ``around`` is what surrounds all of them, by key."""
        return nows

    def inform_many(
        self,
        devices: Sequence[Device[Any]],
        changing: Sequence[bool],
        nows: Sequence[Now],
        around: Mapping[str, Sequence[float]],
    ) -> Sequence[Now]:
        """Say once what `inform` says in each of many samples; without it, they are stepped one by one.

        Parameters
        ----------
        changing : whether a position of the device is to change in any of them
        """
        return nows

    @property
    def says_the_same(self) -> bool:
        """Whether it says the same in all samples of a step."""
        kind = type(self)
        informs = kind.inform is not Coupling.inform and kind.inform_many is Coupling.inform_many
        return kind.grant is Coupling.grant and not informs

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Say what devices may use after they moved."""
        return nows


def step_all(
    devices: Sequence[Device[Any]],
    couplings: Sequence[Coupling],
    states: Sequence[Any],
    requests: Sequence[Request],
    nows: Sequence[Now],
    around: Mapping[str, Sequence[float]] = NOTHING,
) -> list[tuple[Any, Outcome]]:
    """Have all devices do a step together; the state after it and the outcome of each.

    Raises
    ------
    ValueError
        for a request that is not finite, or has not a value for every port and position.
    """
    for device, request in zip(devices, requests, strict=True):
        _refuse(device, request)
    for one in couplings:
        nows = one.inform(devices, states, requests, nows, around)
    moved = [
        device.move(state, request, now)
        for device, state, request, now in zip(devices, states, requests, nows, strict=True)
    ]
    for one in couplings:
        nows = one.grant(devices, moved, requests, nows)
    return [
        device.step(state, request, now)
        for device, state, request, now in zip(devices, moved, requests, nows, strict=True)
    ]


def rest(device: Device[S], state: S) -> Request:
    """Return the request to do nothing: ports at rest, positions as they are."""
    return Request(device.rest_mw, (0.0,) * len(device.rest_mw), device.at(state))


def _refuse(device: Device[Any], request: Request) -> None:
    """Raise for a request that no device could answer; the host never dispatches one."""
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


# ----------------------------------------------------------------------------------------------------------------- many


def states_of(device: Device[Any], states: Sequence[Any]) -> States:
    """Gather single states; fields that are not plain numbers of one type become arrays of objects."""
    return {name: _array([getattr(state, name) for state in states]) for name in device.state_fields}


def _array(values: list[Any]) -> np.ndarray:
    kinds = set(map(type, values))
    if len(kinds) == 1 and kinds <= {float, int, bool}:
        return np.array(values)
    objects = np.empty(len(values), dtype=object)
    for sample, value in enumerate(values):
        objects[sample] = value
    return objects


def step_each(
    device: Device[S],
    samples: Int[np.ndarray, " some"],
    states: States,
    requests: Requests,
    now: Now,
    series: Mapping[str, np.ndarray],
) -> list[tuple[S, Outcome]]:
    """Do the steps of some samples one by one; see `Device.step_many`."""
    names = device.state_fields
    rows = zip(*(states[name][samples].tolist() for name in names), strict=True) if names else [()] * len(samples)
    asked = (one[samples].tolist() for one in (requests.p_mw, requests.q_mvar, requests.position))
    done: list[tuple[S, Outcome]] = []
    for sample, row, p_mw, q_mvar, position in zip(samples.tolist(), rows, *asked, strict=True):
        state = device.State(**dict(zip(names, row, strict=True)))
        request = Request(tuple(p_mw), tuple(q_mvar), tuple(position))
        own = {key: float(values[sample]) for key, values in series.items()}
        its_now = replace(now, series={**now.series, **own}) if own else now
        done += step_all((device,), (), (state,), (request,), (its_now,))
    return done


# --------------------------------------------------------------------------------------------------------------- states


def states_to_json(devices: Sequence[Device[Any]], states: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return the states of all devices, by `Device.key`."""
    return {
        device.key: {name: getattr(state, name) for name in device.state_fields}
        for device, state in zip(devices, states, strict=True)
    }


def states_of_json(devices: Sequence[Device[Any]], given: Mapping[str, Any]) -> list[Any]:
    """Return the states that `states_to_json` wrote, in the order of the devices.

    Raises
    ------
    ValueError
        saying which device has no state in it, or one of another form.
    """
    other = sorted(set(given) ^ {device.key for device in devices})
    if other:
        raise ValueError(f"states and devices are not the same: {', '.join(other)}")
    wrong = [device.key for device in devices if set(given[device.key]) != set(device.state_fields)]
    if wrong:
        raise ValueError(f"states of another form: {', '.join(wrong)}")
    return [device.State(**given[device.key]) for device in devices]
