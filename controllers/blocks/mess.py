"""Mobile and stationary storage, and links where asked, on all networks of a plant: the blocks put into one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from controllers.blocks import cost as costs
from controllers.blocks import distflow, routing
from controllers.blocks import storage as stores
from controllers.blocks.bounds import largest_flow, lowered_per_mw
from controllers.blocks.carried_energy import carried_energy
from controllers.blocks.chance import Margins
from controllers.blocks.link import LinkPower, link_power
from controllers.contract import Forecast, Observation, Plant, Storage, Truck
from controllers.solve import Model

_LEAST_LOSS_PRICE = 1e-3
"""losses cost at least this share of the mean price, so that the cones are tight where energy is free"""
_SHORT_PRICE = 100.0
"""energy missing at the end of a day costs this many times the highest price, where it may be missing at all"""
_EXCESS_PRICE = 1000.0
"""oversteping a limit by 1 pu² through a step costs as much as this many MW at the highest price"""


@dataclass(frozen=True, eq=False)
class MessOptions:
    """How the model is set up.

    Attributes
    ----------
    v_margin_pu : kept from the voltage limits [pu]
    soc_at_horizon : least state of charge at the end of a horizon that ends before the run, inside a day: ``None`` free
    use_store_end : take each store's own end-of-day condition there instead
    relaxed : let voltages, currents and end-of-day energies miss their limits, at a price
    loss_price : added to the price of losses [currency/MWh]
    instant_moves : a trip costs what it costs, but takes no time. Every route with delays can be followed so, by
        standing idle at the far end while the truck would drive: this is a relaxation
    links : links give power; else they are at zero
    margins : kept from the voltage limits of every bus and step beside ``v_margin_pu``
    taken : share taken off the ratings of branches ``(horizon, branch)``
    allowed : how much each slack of a relaxed model may be, at no price; the slack is then no variable
    """

    v_margin_pu: float = 0.0
    soc_at_horizon: float | None = None
    use_store_end: bool = True
    relaxed: bool = False
    loss_price: float = 0.0
    instant_moves: bool = False
    links: bool = False
    margins: Margins | None = None
    taken: Float[np.ndarray, "horizon branch"] | None = None
    allowed: tuple[np.ndarray, ...] | None = None


@dataclass(frozen=True, eq=False)
class StoreModel:
    """One store: its power wherever it can be connected, in total, and its energy."""

    store: Storage
    bus: tuple[int, ...]
    at: tuple[stores.StoragePower, ...]
    total: stores.StoragePower
    stored: stores.StoredEnergy


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
    slack : what is missing of limits, where relaxed
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


@dataclass(eq=False)
class _Parts:
    """Collects what the blocks contribute."""

    constraints: list[cp.Constraint] = field(default_factory=list)
    binaries: list[cp.Variable] = field(default_factory=list)
    costs: list[cp.Expression] = field(default_factory=list)
    penalties: list[cp.Expression] = field(default_factory=list)
    loss_prices: list[cp.Expression] = field(default_factory=list)
    slack: list[cp.Variable] = field(default_factory=list)
    follows: set[cp.Variable] = field(default_factory=set)
    given: int = 0

    def give(self, shape: tuple[int, ...], price: float, options: MessOptions) -> cp.Variable | np.ndarray | float:
        """Return a slack variable at a price, what is allowed of it, or 0 where nothing may be missing."""
        if options.allowed is not None:
            self.given += 1
            return options.allowed[self.given - 1]
        if not options.relaxed:
            return 0.0
        slack = cp.Variable(shape)
        self.constraints.append(slack >= 0)
        self.slack.append(slack)
        self.penalties.append(price * cp.sum(slack))
        return slack


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
    day = stores.days_of(plant.step_of_day(observation.step), plant.steps_per_day, horizon)
    parts = _Parts()
    slope = costs.marginal_price(forecast.buy_price, plant.export_price_ratio)
    dear = max(float(np.abs(forecast.buy_price).max()), 1.0)
    guarded = np.repeat((slope < 0)[:, None], len(plant.storages), axis=1)
    guarded = guarded if one_way is None else guarded | one_way
    links = tuple(_link(plant, forecast, k, parts) for k in range(len(plant.links))) if options.links else ()

    routes, used, stations, models = [], [], [], []
    for index, truck in enumerate(plant.trucks):
        here = int(observation.station[index])
        mine = truck_stations(truck, here)
        model, way, flat = _truck(plant, observation, forecast, options, day, index, mine, parts)
        routes.append(way)
        used.append(flat)
        stations.append(mine)
        models.append(model)
    for index, battery in enumerate(plant.batteries, start=len(plant.trucks)):
        power = stores.storage_power(battery.storage, horizon, available=forecast.available(index))
        parts.constraints += power.constraints
        at = (battery.bus,), (power,)
        models.append(_energy(plant, observation, forecast, battery.storage, index, *at, power, parts))
    for index, one in enumerate(models):
        _limits(plant, observation, forecast, options, one, index, day, guarded[:, index], dear, parts)

    flows, imports, losses, correction = _networks(plant, forecast, options, models, links, slope, dear, parts)
    fit = np.array([one.feed_in_tariff for one in plant.generators])
    fixed = costs.feed_in_cost(forecast.generation_mw, fit, plant.step_h) if len(fit) else np.zeros(horizon)
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
    )


def _truck(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    options: MessOptions,
    day: Int[np.ndarray, " horizon"],
    index: int,
    stations: tuple[int, ...],
    parts: _Parts,
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
        stations.index(int(observation.station[index])),
        arrives,
        day,
        trips_left(truck, day, int(observation.trips_today[index])),
    )
    there = forecast.available(index)
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
        bool(observation.used_today[index]),
    )
    parts.constraints += [*way.constraints, *driving.constraints, *(c for one in at for c in one.constraints)]
    if len(stations) > 1 and np.all(forecast.holds(index) == 1.0):
        start = float(observation.energy_mwh[index])
        begin = stations.index(int(observation.station[index])), arrives
        parts.constraints += carried_energy(truck.storage, plant.step_h, start, way, at, *begin)
    parts.binaries += [*way.binaries, *driving.binaries]
    parts.costs.append(driving.per_step)
    buses = tuple(int(plant.station_bus[station]) for station in stations)
    model = _energy(plant, observation, forecast, truck.storage, index, buses, at, total, parts)
    return model, way, driving.binaries[0] if driving.binaries else None


def _link(plant: Plant, forecast: Forecast, number: int, parts: _Parts) -> LinkPower:
    """One link, as far as it is in service."""
    first = len(plant.storages) + sum(len(link.terminals) for link in plant.links[:number])
    devices = range(first, first + len(plant.links[number].terminals))
    there = np.stack([forecast.available(device) for device in devices], axis=1)
    power = link_power(plant.links[number], forecast.steps, there)
    parts.constraints += power.constraints
    return power


def _energy(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    store: Storage,
    index: int,
    buses: tuple[int, ...],
    at: tuple[stores.StoragePower, ...],
    total: stores.StoragePower,
    parts: _Parts,
) -> StoreModel:
    """Give a store its energy and its wear."""
    start = float(observation.energy_mwh[index])
    stored = stores.stored_energy(store, plant.step_h, start, total, forecast.holds(index))
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
    parts: _Parts,
) -> None:
    """Limits of a store over days: cycles, energy at midnight and at the end; no charging while discharging."""
    store = one.store
    parts.constraints += stores.cycle_limit(store, plant.step_h, one.total, day, float(observation.cycles_today[index]))
    one_way, choices = stores.one_way(store, one.total, guarded)
    parts.constraints += one_way
    parts.binaries += choices
    for step, soc in soc_due(plant, observation.step, day, options, store).items():
        short = parts.give((1,), _SHORT_PRICE * dear, options)
        least = soc * store.energy_mwh * float(forecast.holds(index)[step - 1])
        parts.constraints += stores.energy_floors(one.stored, np.array([step]), least, short)


def _networks(
    plant: Plant,
    forecast: Forecast,
    options: MessOptions,
    models: Sequence[StoreModel],
    links: Sequence[LinkPower],
    slope: Float[np.ndarray, " horizon"],
    dear: float,
    parts: _Parts,
) -> tuple[list[distflow.BranchFlow], list[cp.Expression], list[cp.Expression], float]:
    """Flows, limits and energy cost of every network, under the power of the stores."""
    horizon = forecast.steps
    least = _LEAST_LOSS_PRICE * float(np.abs(forecast.buy_price).mean())
    loss_price = np.maximum(least - slope, 0.0) + options.loss_price
    if options.relaxed:
        loss_price = loss_price + dear + 1.5 * _EXCESS_PRICE * dear * lowered_per_mw(plant.feeders)
    p_bus, q_bus, reach = _injections(plant, forecast, models, links)
    decided = {*p_bus.variables(), *q_bus.variables()}
    strict = not options.relaxed and options.allowed is None
    flows, imports, losses, correction = [], [], [], 0.0
    low = high = np.full((horizon, plant.n_bus), options.v_margin_pu)
    if options.margins is not None:
        low, high = low + options.margins.lower, high + options.margins.upper
    for feeder, buses, branches in zip(plant.feeders, plant.bus_slices, plant.branch_slices, strict=True):
        base = feeder.base_mva
        flow = distflow.branch_flow(feeder, p_bus[:, buses] / base, q_bus[:, buses] / base)
        excess = [parts.give((horizon, 1), _EXCESS_PRICE * dear * plant.step_h, options) for _ in range(2)]
        taken = None if options.taken is None else options.taken[:, branches]
        parts.constraints += [
            *flow.constraints,
            *distflow.voltage_limits(feeder, flow, low[:, buses], high[:, buses], excess[0]),
            *distflow.current_limits(feeder, flow, excess[1], taken),
        ]
        largest = largest_flow(
            feeder,
            (np.abs(forecast.net_load_mw(plant)) + reach)[:, buses] / base,
            (np.abs(forecast.load_q_mvar) + reach)[:, buses] / base,
            float(feeder.v_min_pu.min()) * (1.0 if strict else 0.5),
            rated=strict,
        )
        import_mw, loss_mw = base * flow.p_import, base * flow.losses
        energy = costs.energy_cost(
            import_mw, forecast.buy_price, plant.export_price_ratio, plant.step_h, base * largest.exchange
        )
        parts.constraints += energy.constraints
        parts.binaries += energy.binaries
        parts.costs.append(energy.per_step)
        grid = [*flow.constraints, *energy.constraints]
        parts.follows |= {one for part in grid for one in part.variables()} - decided
        if np.any(loss_price):
            parts.loss_prices.append(plant.step_h * (loss_price @ loss_mw))
            correction += plant.step_h * float(loss_price @ (base * largest.losses))
        flows.append(flow)
        imports.append(import_mw)
        losses.append(loss_mw)
    if np.any(loss_price) and links:
        # batteries' converters are dear enough where energy is: what they lose is missing later
        parts.loss_prices += [plant.step_h * (loss_price @ cp.sum(power.loss, axis=1)) for power in links]
        rated = sum(one.s_max_mva * one.loss_coefficient for one in plant.terminals)
        correction += plant.step_h * float(loss_price.sum() * rated)
    return flows, imports, losses, correction


def _injections(
    plant: Plant, forecast: Forecast, models: Sequence[StoreModel], links: Sequence[LinkPower]
) -> tuple[cp.Expression, cp.Expression, Float[np.ndarray, "horizon bus"]]:
    """Net injection of every bus [MW, Mvar], and the largest power that devices could bring there [MVA]."""
    p_bus: cp.Expression = cp.Constant(-forecast.net_load_mw(plant))
    q_bus: cp.Expression = cp.Constant(-forecast.load_q_mvar)
    reach = np.zeros((1, plant.n_bus))
    pairs = [(bus, power) for one in models for bus, power in zip(one.bus, one.at, strict=True)]
    if pairs:
        place = sp.csr_array(
            (np.ones(len(pairs)), (np.arange(len(pairs)), [bus for bus, _ in pairs])), shape=(len(pairs), plant.n_bus)
        )
        p_bus = p_bus + cp.vstack([power.p for _, power in pairs]).T @ place
        q_bus = q_bus + cp.vstack([power.q for _, power in pairs]).T @ place
        for one in models:
            for bus in set(one.bus):
                reach[:, bus] += one.store.s_max_mva
    for link, power in zip(plant.links, links, strict=False):
        there = [terminal.bus for terminal in link.terminals]
        place = sp.csr_array((np.ones(len(there)), (np.arange(len(there)), there)), shape=(len(there), plant.n_bus))
        p_bus, q_bus = p_bus + power.p @ place, q_bus + power.q @ place
        np.add.at(reach[0], there, [terminal.s_max_mva for terminal in link.terminals])
    return p_bus, q_bus, np.repeat(reach, forecast.steps, axis=0)
