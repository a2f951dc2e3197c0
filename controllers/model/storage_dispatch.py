"""Mobile and stationary storage, and links where asked, on all networks of a plant: the blocks put into one model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cvxpy as cp
import numpy as np
from jaxtyping import Bool, Int

from gridferry.controllers.contract import Forecast, NoteKind, Observation, Plant, Storage, Truck
from gridferry.controllers.model import distflow, routing
from gridferry.controllers.model import energy_cost as costs
from gridferry.controllers.model import storage as stores
from gridferry.controllers.model.energy_by_station import carried_energy
from gridferry.controllers.model.link import LinkPower, links_in_service
from gridferry.controllers.model.networks import mess_networks
from gridferry.controllers.model.parts import Guess, MessOptions, Parts, StoreModel
from gridferry.controllers.solve import Model

_UNUSED = 1e-6
"""a truck used for a smaller share of its ratings is not used"""
_SHORT_PRICE = 100.0
"""energy missing at the end of a day costs this many times the highest price, where it may be missing at all"""


@dataclass(frozen=True, eq=False)
class MessModel:
    """The model and its parts.

    Attributes
    ----------
    model : what is solved
    horizon, day : steps, and the number of the local day of each
    routes, used : of each truck; ``used`` the days of flat labour, where charged
    stations : stations of each truck, in the order of the route's places
    stores : trucks, then batteries
    links : of the plant, none where they are at zero
    flows : of each network
    import_mw, losses_mw : of each network (horizon,)
    cost_per_step : without income, penalties and the price of losses (horizon,) [currency]
    penalty : for what is missing of limits, where relaxed [currency]
    bound_correction : what the price of losses can add to the cost of any plan [currency]
    slack, misses : what is missing of limits, where relaxed, and what each is
    guesses : likely values of the binaries other than routes, from a solved relaxation
    """

    model: Model
    horizon: int
    day: Int[np.ndarray, " horizon"]
    routes: tuple[routing.Route, ...]
    used: tuple[cp.Variable | None, ...]
    stations: tuple[tuple[int, ...], ...]
    stores: tuple[StoreModel, ...]
    links: tuple[LinkPower, ...]
    flows: tuple[distflow.BranchFlow, ...]
    import_mw: tuple[cp.Expression, ...]
    losses_mw: tuple[cp.Expression, ...]
    cost_per_step: cp.Expression
    penalty: cp.Expression
    bound_correction: float
    slack: tuple[cp.Variable, ...]
    misses: tuple[NoteKind, ...]
    guesses: tuple[Guess, ...]


def truck_stations(truck: Truck, here: int) -> tuple[int, ...]:
    """Stations a truck may use, and the one where it is."""
    return truck.stations if here in truck.stations else (*truck.stations, here)


def trips_left(truck: Truck, day: Int[np.ndarray, " horizon"], trips_today: int) -> Int[np.ndarray, " day"]:
    """Trips a truck may still begin on each day of the horizon."""
    left = np.full(int(day[-1]) + 1, truck.trips_max_per_day, dtype=np.int64)
    left[0] = max(truck.trips_max_per_day - trips_today, 0)
    return left


def soc_due(
    plant: Plant, step: int, day: Int[np.ndarray, " horizon"], options: MessOptions, store: Storage
) -> dict[int, float]:
    """Least state of charge of a store by the steps of the horizon at whose start it is due: midnights and the end."""
    horizon = len(day)
    due = {int(midnight): store.soc_end_min for midnight in np.flatnonzero(np.diff(day)) + 1}
    run_ends = step + horizon >= plant.steps
    ends_at_midnight = plant.step_of_day(step + horizon) == 0
    own = run_ends or ends_at_midnight or options.use_store_end
    due[horizon] = store.soc_end_min if own else options.soc_at_horizon
    return {at: soc for at, soc in due.items() if soc is not None}


def mess_model(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    options: MessOptions,
    one_way: Bool[np.ndarray, "horizon storage"] | None = None,
) -> MessModel:
    """Put the blocks together for a measured state and a forecast.

    Parameters
    ----------
    one_way : steps in which a binary keeps a store from charging and discharging at once, beside those where waste pays
    """
    horizon = forecast.steps
    day = plant.days_from(observation.step, horizon)
    parts = Parts()
    slope = costs.marginal_price(forecast.buy_price, plant.export_price_ratio)
    dear = max(float(np.abs(forecast.buy_price).max()), 1.0)
    guarded = np.repeat((slope < 0)[:, None], len(plant.storages), axis=1)
    guarded = guarded if one_way is None else guarded | one_way
    links = links_in_service(plant, forecast) if options.links else ()
    for link in links:
        parts.constraints += link.constraints

    routes, used, stations, models = [], [], [], []
    for index, truck in enumerate(plant.trucks):
        here = int(observation.position[index])
        mine = truck_stations(truck, here)
        model, way, flat = _truck(plant, observation, forecast, options, day, index, mine, parts)
        routes.append(way)
        used.append(flat)
        stations.append(mine)
        models.append(model)
    for index, battery in enumerate(plant.batteries, start=len(plant.trucks)):
        power = stores.storage_power(
            battery.storage, horizon, available=_series(plant, forecast, index, "availability")
        )
        parts.constraints += power.constraints
        at = (battery.bus,), (power,)
        models.append(_energy(plant, observation, forecast, battery.storage, index, *at, power, parts))
    for index, one in enumerate(models):
        _limits(plant, observation, forecast, options, one, index, day, guarded[:, index], dear, parts)

    flows, imports, losses, correction = mess_networks(plant, forecast, options, models, links, slope, dear, parts)
    fit = np.array([one.feed_in_tariff for one in plant.generators])
    fixed = costs.feed_in_cost(forecast.profiled_mw(plant), fit, plant.step_h) if len(fit) else np.zeros(horizon)
    per_step = sum(parts.costs, start=cp.Constant(fixed))
    penalty = sum(parts.penalties, start=cp.Constant(0.0))
    total = cp.sum(per_step) + penalty + sum(parts.loss_prices, start=cp.Constant(0.0))
    return MessModel(
        model=Model(total, parts.constraints, parts.binaries, tuple(parts.follows)),
        horizon=horizon,
        day=day,
        routes=tuple(routes),
        used=tuple(used),
        stations=tuple(stations),
        stores=tuple(models),
        links=links,
        flows=tuple(flows),
        import_mw=tuple(imports),
        losses_mw=tuple(losses),
        cost_per_step=per_step,
        penalty=penalty,
        bound_correction=correction,
        slack=tuple(parts.slack),
        misses=tuple(parts.misses),
        guesses=tuple(parts.guesses),
    )


def _truck(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    options: MessOptions,
    day: Int[np.ndarray, " horizon"],
    index: int,
    stations: tuple[int, ...],
    parts: Parts,
) -> tuple[StoreModel, routing.Route, cp.Variable | None]:
    """One truck: its way, its power at the stations, its driving cost."""
    if plant.roads is None:
        raise ValueError("a plant with trucks needs roads")
    truck, horizon = plant.trucks[index], forecast.steps
    trips = plant.roads.trips(forecast.congestion)
    arcs = routing.travel_arcs(plant.roads.transit_steps(forecast.congestion, plant.step_s), trips, stations)
    arrives = int(observation.transit_steps[index])
    way = routing.route(
        routing.instant(arcs) if options.instant_moves else arcs,
        len(stations),
        horizon,
        stations.index(int(observation.position[index])),
        arrives,
        day,
        trips_left(truck, day, int(observation.states[index].trips_today)),
    )
    there = _series(plant, forecast, index, "availability")
    at = tuple(
        stores.storage_power(truck.storage, horizon, way.parked[:, place], there) for place in range(len(stations))
    )
    total = stores.StoragePower(
        charge=sum((one.charge for one in at[1:]), start=at[0].charge),
        discharge=sum((one.discharge for one in at[1:]), start=at[0].discharge),
        q=sum((one.q for one in at[1:]), start=at[0].q),
        constraints=[],
    )
    km = costs.charged_km(truck.cost, trips, truck.stations)
    pick = np.array(stations, dtype=np.int64)
    charged = routing.Arcs(
        arcs.departure, arcs.arrival, arcs.origin, arcs.target, km[arcs.departure, pick[arcs.origin], pick[arcs.target]]
    )
    driving = costs.driving_cost(
        truck.cost,
        charged,
        way.departs,
        (
            (total.charge + total.discharge) / truck.storage.p_max_mw,
            total.q / truck.storage.s_max_mva,
            -total.q / truck.storage.s_max_mva,
        ),
        day,
        plant.step_h,
        arrives,
        bool(observation.states[index].used_today),
    )
    parts.constraints += [*way.constraints, *driving.constraints, *(c for one in at for c in one.constraints)]
    if options.carried and len(stations) > 1 and np.all(_series(plant, forecast, index, "capacity") == 1.0):
        start = float(observation.energy_mwh[index])
        begin = stations.index(int(observation.position[index])), arrives
        parts.constraints += carried_energy(truck.storage, plant.step_h, start, way, at, *begin)
    parts.binaries += [*way.binaries, *driving.binaries]
    # a day on which a truck is used a little is a day of use
    parts.guesses += [(used, partial(_in_use, used)) for used in driving.binaries]
    parts.costs.append(driving.per_step)
    buses = tuple(int(plant.station_bus[station]) for station in stations)
    model = _energy(plant, observation, forecast, truck.storage, index, buses, at, total, parts)
    return model, way, driving.binaries[0] if driving.binaries else None


def _series(plant: Plant, forecast: Forecast, store: int, key: str) -> np.ndarray:
    return forecast.of(plant.stores[store])[key]


def _in_use(used: cp.Variable) -> np.ndarray:
    return (used.value > _UNUSED).astype(float)


def _energy(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    store: Storage,
    index: int,
    buses: tuple[int, ...],
    at: tuple[stores.StoragePower, ...],
    total: stores.StoragePower,
    parts: Parts,
) -> StoreModel:
    """Give a store its energy and its wear."""
    start = float(observation.energy_mwh[index])
    before = float(observation.states[index].capacity)
    stored = stores.stored_energy(
        store, plant.step_h, start, total, _series(plant, forecast, index, "capacity"), before
    )
    parts.constraints += stored.constraints
    parts.costs.append(costs.wear_cost(store.cost_per_mwh_charged, total.charge, plant.step_h))
    return StoreModel(store, buses, at, total, stored)


def _limits(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    options: MessOptions,
    one: StoreModel,
    index: int,
    day: Int[np.ndarray, " horizon"],
    guarded: Bool[np.ndarray, " horizon"],
    dear: float,
    parts: Parts,
) -> None:
    """Limits of a store over days: cycles, energy at midnight and at the end; no charging while discharging."""
    store = one.store
    parts.constraints += stores.cycle_limit(
        store, plant.step_h, one.total, day, float(observation.states[index].cycles_today)
    )
    one_way, choices = stores.one_way(store, one.total, guarded)
    parts.constraints += one_way
    parts.binaries += choices
    at = np.flatnonzero(guarded)
    parts.guesses += [
        (choice, lambda: (one.total.charge.value[at] >= one.total.discharge.value[at]).astype(float))
        for choice in choices
    ]
    for step, soc in soc_due(plant, observation.step, day, options, store).items():
        short = parts.give((1,), _SHORT_PRICE * dear, options, NoteKind.VIOLATED_ENERGY)
        least = soc * store.energy_mwh * float(_series(plant, forecast, index, "capacity")[step - 1])
        parts.constraints += stores.energy_floors(one.stored, np.array([step]), least, short)
