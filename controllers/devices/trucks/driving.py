"""What driving costs: fuel and labour [A, eq. 28]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.planning.routing import TimeSpaceNetwork, by_day
from gridferry.controllers.devices.trucks.config import Labour, Mileage
from gridferry.controllers.devices.trucks.device import TruckCost


def charged_km(
    cost: TruckCost, km: Float[np.ndarray, "departure station station"], stations: Sequence[int]
) -> Float[np.ndarray, "departure station station"]:
    """Kilometres that each trip is charged for: its own leg, or the longest leg between the truck's stations [km]."""
    if cost.mileage is Mileage.LEG:
        return np.asarray(km)
    own = np.array(stations, dtype=np.int64)
    longest = km[:, own[:, None], own].max(axis=(1, 2), keepdims=True)
    off_diagonal = ~np.eye(km.shape[1], dtype=bool)
    return np.where(off_diagonal[None], longest, 0.0)


@dataclass(frozen=True, eq=False)
class DrivingCost:
    """Cost of a truck's fuel and driver.

    Attributes
    ----------
    fuel, labour : (horizon,) [currency]
    constraints : of the days on which flat labour is due
    used : binaries of these days, none where labour is paid by the hour
    """

    fuel: cp.Expression
    labour: cp.Expression
    constraints: list[cp.Constraint]
    used: tuple[cp.Variable, ...] = ()


def driving_cost(
    cost: TruckCost,
    network: TimeSpaceNetwork,
    km: Float[np.ndarray, " arc"],
    departs: cp.Expression,
    power_shares: Sequence[cp.Expression],
    *,
    step_h: float,
    used_today: bool,
) -> DrivingCost:
    """Fuel by distance, due at departure; labour by the steps in transit, or flat on days of use [A, eq. 28].

    Parameters
    ----------
    network : trips with their true delays; the labour of a truck on the road is due whatever is decided
    km : kilometres that each trip is charged for
    departs : which trips are made (arc,)
    power_shares : active power and reactive power of either sign in shares of the ratings (horizon,); use, for flat
        labour
    used_today : flat labour of the first day is already due, and so no longer decides anything
    """
    arcs, day, arrives, horizon = network.arcs, network.day, network.arrives, network.horizon
    rates = np.zeros((horizon, len(arcs)))
    rates[arcs.departure, np.arange(len(arcs))] = cost.fuel_per_km * km
    fuel = rates @ departs
    if cost.labour is Labour.TRAVEL:
        step = np.arange(horizon)[:, None]
        on_road = (step >= arcs.departure) & (step < arcs.arrival)
        rate = cost.labour_per_h * step_h
        return DrivingCost(fuel, (rate * on_road) @ departs + rate * (np.arange(horizon) < arrives), [])
    # the due is dated on the first step of the day within the horizon
    used = cp.Variable(int(day[-1]) + 1)
    due = np.full(int(day[-1]) + 1, cost.labour_per_h * cost.flat_hours)
    due[0] = 0.0 if used_today else due[0]
    first = np.zeros((horizon, len(due)))
    first[np.searchsorted(day, np.arange(len(due))), np.arange(len(due))] = 1.0
    constraints: list[cp.Constraint] = [share <= by_day(day).T @ used for share in power_shares]
    if arrives > 0:
        constraints.append(used[: day[min(arrives, horizon) - 1] + 1] >= 1)
    if len(arcs):
        constraints.append(departs <= by_day(day).T[arcs.departure] @ used)
        constraints.append(departs <= by_day(day).T[arcs.arrival - 1] @ used)
    return DrivingCost(fuel, first @ cp.multiply(due, used), constraints, (used,))
