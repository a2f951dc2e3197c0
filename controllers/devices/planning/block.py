"""Interface of optimisation blocks: inputs of a device, and its variables, constraints and costs.

A kind names its block as text (`Device.block`), so that nobody needs cvxpy who does not optimise. The block is a
function of a device and an `Ahead`; a coupling names a function of itself and the blocks of all devices. Axes begin
with the step of the horizon. What a device does at rest, which is not planned, is a block of constants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers.devices.coupled_step import step_all
from gridferry.controllers.devices.device import Device, rest
from gridferry.controllers.devices.planning.routing import Route
from gridferry.controllers.devices.steps import NOWHERE, Now

Powers = Mapping[tuple[int, int], cp.Expression]
"""by (port, bus): number of the port of the device, and bus on the axis of all buses"""
Likely = tuple[cp.Variable, Callable[[], np.ndarray]]
"""binaries, and likely values of them, read from a solved relaxation: a primal heuristic"""


@dataclass(frozen=True, kw_only=True, eq=False)
class TripsAhead:
    """Trips between all stations by the step of departure.

    Attributes
    ----------
    steps : steps in transit
    km : distance [km]
    """

    steps: Int[np.ndarray, "departure station station"]
    km: Float[np.ndarray, "departure station station"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ahead:
    """Inputs of a device's block: its share of observation and forecast.

    Attributes
    ----------
    step_h : step length Δ [h]
    day : number of the local day of each step, 0 for the first
    day_ends : steps, up to the horizon's length, at whose start what is due at the end of a day is due
    clock_h : local time at the start of each step, and at the end of the last [h]
    state : measured
    series : values of `Device.series`, every key in every step
    trips : where positions have routes
    fixed : fixed values of positions with routes; ``None`` if they are to be decided
    soc_at_end : minimum state of charge of a store at the end of a horizon that ends inside a day; ``None``: free
    v_pu : of every port whose Q follows the voltage, the voltage that it is linearised at [pu]
    zero_transit_time : trips have their cost, but take no time. This is a relaxation: a route with delays becomes one
        where the vehicle rests at the far end while it would drive
    """

    step_h: float
    day: Int[np.ndarray, " horizon"]
    day_ends: tuple[int, ...]
    state: Any
    clock_h: Float[np.ndarray, " edge"] = field(default_factory=lambda: np.zeros(0))
    series: Mapping[str, Float[np.ndarray, " horizon"]] = field(default_factory=dict)
    trips: TripsAhead | None = None
    fixed: Int[np.ndarray, "horizon position"] | None = None
    soc_at_end: float | None = None
    v_pu: Mapping[int, Float[np.ndarray, " horizon"]] = field(default_factory=dict)
    zero_transit_time: bool = False

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return len(self.day)


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftLimit:
    """Soft limit: it may be violated, at the minimum, where no plan keeps all limits.

    Attributes
    ----------
    slack : slack of the limit, in its unit; 0 or more where it is kept
    step : step of the horizon of each row
    other_end : slack of the same limit at another place, as at the other end of a branch
    whole : a violation that counts as 1 on the one scale (`gridferry.controllers.plans.violation`), in the unit; one,
        or of each column
    unit : of a violation
    words : text about a violation, such as "falls short of the energy due"; size and place are added
    """

    slack: cp.Expression
    step: Int[np.ndarray, " row"]
    other_end: cp.Expression | None = None
    whole: float | Float[np.ndarray, " column"] = 1.0
    unit: str = "MWh"
    words: str = "violates a limit"

    @property
    def slacks(self) -> list[cp.Expression]:
        """Slacks at all places."""
        return [self.slack] if self.other_end is None else [self.slack, self.other_end]

    def lacking(self) -> Float[np.ndarray, ...]:
        """How much slack is missing in every row at a solution, in its unit."""
        values = [np.asarray(one.value, dtype=np.float64) for one in self.slacks]
        return np.maximum(-np.min(values, axis=0), 0.0)

    def relative(self, lacking: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Violation on the one scale where so much slack is missing."""
        return lacking / self.whole

    def lacks(self, relative: float) -> Float[np.ndarray, ...]:
        """Slack that is missing at a violation on the one scale."""
        return np.broadcast_to(np.asarray(relative * self.whole), self.slack.shape)

    def slope(self, relative: float) -> Float[np.ndarray, ...]:
        """Derivative of `lacks`."""
        return np.broadcast_to(np.asarray(self.whole, dtype=np.float64), self.slack.shape)

    def violation(self) -> Float[np.ndarray, ...]:
        """Violation of every row at a solution, in the unit."""
        return self.relative(self.lacking()) * self.whole


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftMagnitude(SoftLimit):
    """Soft limit of a magnitude whose square is modelled; the slack is one of squares.

    ``x² ≤ (L + ρ w)²`` above, ``x² ≥ (L - ρ w)²`` below, with the violation ρ on the one scale and w its `whole`

    Attributes
    ----------
    limit : L
    sign : 1 for an upper limit, -1 for a lower one
    """

    limit: Float[np.ndarray, "row column"]
    sign: int

    def relative(self, lacking: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Violation on the one scale where so much slack is missing."""
        return self.sign * (np.sqrt(np.maximum(self.limit**2 + self.sign * lacking, 0.0)) - self.limit) / self.whole

    def lacks(self, relative: float) -> Float[np.ndarray, ...]:
        """Slack that is missing at a violation on the one scale."""
        return self.sign * (self._at(relative) ** 2 - self.limit**2)

    def slope(self, relative: float) -> Float[np.ndarray, ...]:
        """Derivative of `lacks`; where a lower limit would be violated down to zero, one that is not zero."""
        return 2 * self.whole * np.maximum(self._at(relative), 0.1 * self.limit)

    def _at(self, relative: float) -> Float[np.ndarray, "row column"]:
        """Magnitude at a violation."""
        return np.maximum(self.limit + self.sign * self.whole * relative, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Exclusive:
    """Two powers that must not be non-zero at once (complementarity), such as charging and discharging.

    Attributes
    ----------
    first, second : the powers, not negative (horizon,) [MW]
    largest : neither can be larger [MW]
    simultaneous : steps of a solution that has both and could not do without; elsewhere their difference alone does
    """

    first: cp.Expression
    second: cp.Expression
    largest: float
    simultaneous: Callable[[], Bool[np.ndarray, " horizon"]]


def exclude(first: cp.Expression, second: cp.Expression) -> cp.SOC:
    """``a + b ≥ |a - b|``: true of all powers a, b ≥ 0, and as an equation only where one of them is zero."""
    return cp.SOC(first + second, cp.vstack([first - second]), axis=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """Losses of a converter, modelled by a relaxed cone; they have a price where fictitious losses would pay.

    Attributes
    ----------
    mw : (horizon,) [MW]
    largest_mw : they cannot be larger, in a step or in each [MW]
    fictitious_mw : largest loss that a solution counts on and that would not occur [MW]
    cones : that relax them, each an equation of the converter
    """

    mw: cp.Expression
    largest_mw: float | Float[np.ndarray, " horizon"]
    fictitious_mw: Callable[[], float]
    cones: Sequence[cp.SOC] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """Requests to a device, read from a solution.

    Attributes
    ----------
    p_mw, q_mvar : of its ports [MW, Mvar]
    position : of its positions
    costs : of that, by name of the cost term [currency]
    """

    p_mw: Float[np.ndarray, "horizon port"]
    q_mvar: Float[np.ndarray, "horizon port"]
    position: Int[np.ndarray, "horizon position"]
    costs: Mapping[str, Float[np.ndarray, " horizon"]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class AtStation:
    """A vehicle at one of the stations that it may use, as couplings see it.

    Attributes
    ----------
    parked : 1 where it stands there (horizon,)
    leaves : 1 where it leaves from there (horizon,)
    throughput : charging and discharging power added (horizon,) [MW]
    q : reactive injection (horizon,) [Mvar]
    p_max_mw, s_max_mva : ratings
    arrives : step of its arrival if it stands there or drives there at the start; ``None`` otherwise
    parked_steps : for which it has stood there at the start
    zero_transit_time : it stands there while it would drive, see `Ahead`
    """

    parked: cp.Expression
    leaves: cp.Expression
    throughput: cp.Expression
    q: cp.Expression
    p_max_mw: float
    s_max_mva: float
    arrives: int | None
    parked_steps: int
    zero_transit_time: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Optimisation block of a device or a coupling; a coupling has no powers and no plan.

    Attributes
    ----------
    p, q : injection (horizon,) [MW, Mvar]; constants where nothing is decided
    constraints : by name
    costs : by name of the cost term, as in `Outcome.money`, by step (horizon,) [currency]
    plan : reads a solution
    binaries : variables that must be 0 or 1, declared continuous
    permits : those of them that forbid nothing at 1, as a day's labour that is paid
    likely : likely values of binaries
    routes : of its positions with routes, in their order
    soft : limits that may be violated where no plan keeps all limits, by name
    exclusive : powers that exclude each other, by name
    losses : of converters
    q_of_v : offset [Mvar] and slope [Mvar/pu²] by step of a Q that follows the squared voltage of its bus
    reach_mva : largest apparent power at a port and bus that is decided, where less than the port's rating [MVA]
    stations : where a vehicle may be, by number of the station
    dependent : variables that follow from all others
    """

    p: Powers = field(default_factory=dict)
    q: Powers = field(default_factory=dict)
    constraints: Mapping[str, list[cp.Constraint]] = field(default_factory=dict)
    costs: Mapping[str, cp.Expression] = field(default_factory=dict)
    plan: Callable[[], Planned] | None = None
    binaries: tuple[cp.Variable, ...] = ()
    permits: tuple[cp.Variable, ...] = ()
    likely: tuple[Likely, ...] = ()
    routes: tuple[Route, ...] = ()
    soft: Mapping[str, SoftLimit] = field(default_factory=dict)
    exclusive: Mapping[str, Exclusive] = field(default_factory=dict)
    losses: tuple[Losses, ...] = ()
    q_of_v: Mapping[tuple[int, int], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    reach_mva: Mapping[tuple[int, int], float] = field(default_factory=dict)
    stations: Mapping[int, AtStation] = field(default_factory=dict)
    dependent: tuple[cp.Variable, ...] = ()


# -------------------------------------------------------------------------------------------------------------- at rest


def resting(device: Device[Any], ahead: Ahead) -> Block:
    """Return the block of a device that rests, ports at rest and positions as they are: what it does then is known.

    So is what a device does of which nothing can be decided, such as a generator with a profile [A, eq. 32].
    """
    request = rest(device, ahead.state)
    p_mw = np.tile(np.array(request.p_mw, dtype=np.float64), (ahead.horizon, 1))
    position = np.tile(np.array(request.position, dtype=np.int64), (ahead.horizon, 1))
    q_mvar = np.zeros_like(p_mw)
    p, q, costs = _Steps(ahead.horizon), _Steps(ahead.horizon), _Steps(ahead.horizon, device.costs)
    state = ahead.state
    for step in range(ahead.horizon):
        series = {key: float(values[step]) for key, values in ahead.series.items()}
        clock_h = float(ahead.clock_h[step]) if len(ahead.clock_h) else 0.0
        now = Now(ahead.step_h, step + 1 in ahead.day_ends, series, clock_h=clock_h)
        ((state, outcome),) = step_all([device], [], [state], [request], [now])
        for port, done in enumerate(outcome.ports):
            if done.bus != NOWHERE:
                p.add((port, done.bus), step, done.p_mw)
                q.add((port, done.bus), step, done.q_mvar)
            if not device.ports[port].sets_q:
                q_mvar[step, port] = done.q_mvar
        for term, money in outcome.money.items():
            costs.add(term, step, money)
    planned = Planned(p_mw=p_mw, q_mvar=q_mvar, position=position, costs=costs.values)
    return Block(p=p.constants(), q=q.constants(), costs=costs.constants(), plan=lambda: planned)


class _Steps:
    """Values by key and step, of given keys and of others as far as there are others than zero."""

    def __init__(self, horizon: int, keys: Iterable[Any] = ()):
        self.values: dict[Any, np.ndarray] = defaultdict(lambda: np.zeros(horizon))
        self.values |= {key: np.zeros(horizon) for key in keys}

    def add(self, key: Any, step: int, value: float) -> None:
        """Set a value."""
        if value:
            self.values[key][step] = value

    def constants(self) -> dict[Any, cp.Expression]:
        """Return them as constants."""
        return {key: cp.Constant(values) for key, values in self.values.items()}
