"""What a plan costs: grid energy, driving, wear [A, eqs. 26-32]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Labour, Mileage, TruckCost
from gridferry.controllers.model.routing import Arcs
from gridferry.controllers.model.storage import by_day
from gridferry.networks.roads.travel import Trips


@dataclass(frozen=True, eq=False)
class EnergyCost:
    """Cost of what one network draws from the grid above.

    Attributes
    ----------
    per_step : (horizon,) [currency]
    constraints : how import and export are told apart
    binaries : where that needs a choice
    guesses : likely values of those, from a solved relaxation
    """

    per_step: cp.Expression
    constraints: list[cp.Constraint]
    binaries: list[cp.Variable]
    guesses: list[tuple[cp.Variable, Callable[[], np.ndarray]]]


def energy_cost(
    import_mw: cp.Expression,
    price: Float[np.ndarray, " horizon"],
    export_ratio: float,
    step_h: float,
    largest_mw: Float[np.ndarray, " horizon"],
) -> EnergyCost:
    """Pay for import, be paid for export at a share of the price.

    ``Δ price (g⁺ - ratio g⁻)`` with ``g = g⁺ - g⁻`` is convex in g where ``price (1 - ratio) ≥ 0``. Elsewhere (a
    negative price with a ratio below 1, a ratio above 1) buying and selling at once would pay, so a binary allows
    one of them.

    Parameters
    ----------
    import_mw : g, negative where exported (horizon,) [MW]
    price : of energy bought [currency/MWh]
    export_ratio : share of the price paid for export
    largest_mw : no flow either way can be larger [MW]
    """
    horizon = len(price)
    bent = price * (1 - export_ratio)
    if not np.any(bent):
        return EnergyCost(step_h * cp.multiply(price, import_mw), [], [], [])
    bought, sold = cp.Variable(horizon), cp.Variable(horizon)
    constraints: list[cp.Constraint] = [bought - sold == import_mw, bought >= 0, sold >= 0]
    binaries: list[cp.Variable] = []
    guesses: list[tuple[cp.Variable, Callable[[], np.ndarray]]] = []
    choose = np.flatnonzero(bent < 0)
    if len(choose):
        buys = cp.Variable(len(choose))
        limit = largest_mw[choose]
        constraints += [bought[choose] <= cp.multiply(limit, buys), sold[choose] <= cp.multiply(limit, 1 - buys)]
        binaries.append(buys)
        guesses.append((buys, lambda: (import_mw.value[choose] >= 0).astype(float)))
    paid = step_h * (cp.multiply(price, bought) - export_ratio * cp.multiply(price, sold))
    return EnergyCost(paid, constraints, binaries, guesses)


def feed_in_cost(
    generation_mw: Float[np.ndarray, "horizon generator"], tariff: Float[np.ndarray, " generator"], step_h: float
) -> Float[np.ndarray, " horizon"]:
    """What generators are paid [A, eq. 32] [currency]."""
    return step_h * generation_mw @ tariff


def charged_km(
    cost: TruckCost, trips: Trips, stations: Sequence[int]
) -> Float[np.ndarray, "departure station station"]:
    """Kilometres that each trip is charged for: its own leg, or the longest leg between the truck's stations [km]."""
    if cost.mileage is Mileage.LEG:
        return np.asarray(trips.km)
    own = np.array(stations, dtype=np.int64)
    longest = trips.km[:, own[:, None], own].max(axis=(1, 2), keepdims=True)
    off_diagonal = ~np.eye(trips.km.shape[1], dtype=bool)
    return np.where(off_diagonal[None], longest, 0.0)


@dataclass(frozen=True, eq=False)
class DrivingCost:
    """Cost of a truck's driver and fuel.

    Attributes
    ----------
    per_step : (horizon,) [currency]
    constraints, binaries : of the days on which flat labour is due
    """

    per_step: cp.Expression
    constraints: list[cp.Constraint]
    binaries: list[cp.Variable]


def driving_cost(
    cost: TruckCost,
    arcs: Arcs,
    departs: cp.Expression,
    power_shares: Sequence[cp.Expression],
    day: Int[np.ndarray, " horizon"],
    step_h: float,
    arrives: int,
    used_today: bool,
) -> DrivingCost:
    """Fuel by distance, due at departure; labour by the steps in transit, or flat on days of use [A, eq. 28].

    Parameters
    ----------
    arcs : trips, ``arcs.km`` being the kilometres charged
    departs : which trips are made (arc,)
    power_shares : active power and reactive power of either sign in shares of the ratings (horizon,); use, for flat
        labour
    day : number of the day of each step, from 0
    arrives : steps until a truck on the road arrives; their labour is due whatever is decided
    used_today : flat labour of the first day is already due, and so no longer decides anything
    """
    horizon = len(day)
    fuel = np.zeros((horizon, len(arcs)))
    fuel[arcs.departure, np.arange(len(arcs))] = cost.fuel_per_km * arcs.km
    if cost.labour is Labour.TRAVEL:
        step = np.arange(horizon)[:, None]
        on_road = (step >= arcs.departure) & (step < arcs.arrival)
        rate = cost.labour_per_h * step_h
        per_step = (fuel + rate * on_road) @ departs + rate * (np.arange(horizon) < arrives)
        return DrivingCost(per_step, [], [])
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
    return DrivingCost(fuel @ departs + first @ cp.multiply(due, used), constraints, [used])


def wear_cost(cost_per_mwh_charged: float, charge_mw: cp.Expression, step_h: float) -> cp.Expression:
    """Wear of a battery, per MWh drawn from the grid (horizon,) [A, eq. 29] [currency]."""
    return step_h * cost_per_mwh_charged * charge_mw


def marginal_price(price: Float[np.ndarray, " horizon"], export_ratio: float) -> Float[np.ndarray, " horizon"]:
    """Least that one more MWh drawn from the grid can cost, importing or exporting [currency/MWh].

    Where it is negative, waste pays: charging and discharging at once, or losses that are not there.
    """
    return np.minimum(price, price * export_ratio)
