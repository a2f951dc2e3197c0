"""Links and batteries on all networks of a plant: the blocks put together into one cone program.

Trucks give no power here. PV inverters give no reactive power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.model import distflow
from gridferry.controllers.model import energy_cost as costs
from gridferry.controllers.model import storage as stores
from gridferry.controllers.model.flow_bounds import largest_flow
from gridferry.controllers.model.link import LinkPower, links_in_service
from gridferry.controllers.solve import Model
from gridferry.controllers.uncertainty.margins import Margins

_LEAST_LOSS_PRICE = 1e-3
"""losses cost at least this share of the mean price, so that the cones are tight where energy is free"""
_MOST, _EACH, _LOSSES = 1e3, 10.0, 1e-2
"""weights of the largest miss of a limit [pu² or MWh], of every miss, and of losses [MWh], when misses are minimised"""


@dataclass(frozen=True, eq=False)
class SquaredLimits:
    """Limits of the squared voltages [pu²].

    Attributes
    ----------
    low, high : ends; ``low`` may exceed ``high`` where margins leave nothing between
    """

    low: Float[np.ndarray, "horizon bus"]
    high: Float[np.ndarray, "horizon bus"]


def squared_limits(plant: Plant, margins: Margins) -> SquaredLimits:
    """``(v_min + m)² ≤ v² ≤ (v_max - m)²``: margins on plain voltages as limits of squared ones."""
    v_min = np.concatenate([feeder.v_min_pu for feeder in plant.feeders])
    v_max = np.concatenate([feeder.v_max_pu for feeder in plant.feeders])
    low, high = np.maximum(v_min + margins.lower, 0.0), np.maximum(v_max - margins.upper, 0.0)
    return SquaredLimits(low**2, high**2)


@dataclass(frozen=True, eq=False)
class BatteryModel:
    """One battery: power and energy."""

    index: int
    bus: int
    power: stores.StoragePower
    stored: stores.StoredEnergy


@dataclass(frozen=True, eq=False)
class Missed:
    """What is missing of the limits, where that is allowed.

    Attributes
    ----------
    low, high : squared voltage beyond its limits (horizon, bus) [pu²]
    current : of each network, squared current beyond ratings (horizon, 1) [pu²]
    energy : energy missing of floors, with the battery and step of each [MWh]
    """

    low: cp.Variable
    high: cp.Variable
    current: list[cp.Variable]
    energy: list[tuple[int, int, cp.Variable]]

    @property
    def every(self) -> list[cp.Variable]:
        """All of them."""
        return [self.low, self.high, *self.current, *(short for _, _, short in self.energy)]


@dataclass(frozen=True, eq=False)
class MvdcModel:
    """The model and its parts.

    Attributes
    ----------
    model : what is solved
    batteries, links, flows : the parts
    import_mw, losses_mw : of each network (horizon,)
    cost_per_step : without income from customers and the price of losses (horizon,) [currency]
    bound_correction : what the price of losses can add to the cost of any plan [currency]
    missed : what is missing of limits; ``None`` where nothing may be
    """

    model: Model
    batteries: tuple[BatteryModel, ...]
    links: tuple[LinkPower, ...]
    flows: tuple[distflow.BranchFlow, ...]
    import_mw: tuple[cp.Expression, ...]
    losses_mw: tuple[cp.Expression, ...]
    cost_per_step: cp.Expression
    bound_correction: float
    missed: Missed | None


@dataclass(eq=False)
class _Parts:
    constraints: list[cp.Constraint] = field(default_factory=list)
    binaries: list[cp.Variable] = field(default_factory=list)
    costs: list[cp.Expression] = field(default_factory=list)
    priced_losses: list[cp.Expression] = field(default_factory=list)


def mvdc_model(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    limits: SquaredLimits,
    *,
    elastic: bool = False,
    allowed: Sequence[np.ndarray] | None = None,
    loss_price: float = 0.0,
    one_way: Bool[np.ndarray, "horizon storage"] | None = None,
) -> MvdcModel:
    """Put the blocks together for a measured state, a forecast and voltage limits.

    Parameters
    ----------
    elastic : let voltages, currents and end-of-day energies miss their limits; unless ``allowed`` says how much they
        may, by as little as can be, whatever the cost
    allowed : how much each of `Missed.every` may be
    loss_price : added to the price of losses [currency/MWh]
    one_way : steps in which a binary keeps a battery from charging and discharging at once
    """
    horizon = forecast.steps
    parts = _Parts()
    slope = costs.marginal_price(forecast.buy_price, plant.export_price_ratio)
    # waste would pay at negative prices: cones would open
    least = _LEAST_LOSS_PRICE * float(np.abs(forecast.buy_price).mean())
    price = np.maximum(least - slope, 0.0) + loss_price
    missed = _missed(plant, horizon) if elastic else None
    batteries = _batteries(plant, observation, forecast, one_way, missed, parts)
    links = links_in_service(plant, forecast)
    for one in links:
        parts.constraints += one.constraints
    converters = [one.stored.loss for one in batteries] + [cp.sum(one.loss, axis=1) for one in links]
    flows, imports, losses, most = _networks(plant, forecast, limits, batteries, links, missed, parts)
    correction = 0.0
    if np.any(price):
        parts.priced_losses += [plant.step_h * (price @ loss) for loss in (*losses, *converters)]
        rated = sum(one.s_max_mva * one.loss_coefficient for one in plant.storages)
        rated += sum(one.s_max_mva * one.loss_coefficient for one in plant.terminals)
        correction = plant.step_h * float(price @ (most + rated))
    tariffs = np.array([one.feed_in_tariff for one in plant.generators])
    fixed = (
        costs.feed_in_cost(forecast.profiled_mw(plant), tariffs, plant.step_h) if len(tariffs) else np.zeros(horizon)
    )
    per_step = sum(parts.costs, start=cp.Constant(fixed))
    total = cp.sum(per_step) + sum(parts.priced_losses, start=cp.Constant(0.0))
    if missed is not None:
        parts.constraints += [one >= 0 for one in missed.every]
        if allowed is None:
            total = _least_missed(missed, plant.step_h * cp.sum(sum((*losses, *converters), start=cp.Constant(0.0))))
        else:
            parts.constraints += [one <= most for one, most in zip(missed.every, allowed, strict=True)]
    return MvdcModel(
        model=Model(total, parts.constraints, parts.binaries),
        batteries=batteries,
        links=links,
        flows=tuple(flows),
        import_mw=tuple(imports),
        losses_mw=tuple(losses),
        cost_per_step=per_step,
        bound_correction=correction,
        missed=missed,
    )


def _missed(plant: Plant, horizon: int) -> Missed:
    return Missed(
        low=cp.Variable((horizon, plant.n_bus)),
        high=cp.Variable((horizon, plant.n_bus)),
        current=[cp.Variable((horizon, 1)) for _ in plant.feeders],
        energy=[],
    )


def _least_missed(missed: Missed, losses_mwh: cp.Expression) -> cp.Expression:
    """Weigh the largest miss before the others; losses are there to keep the cones tight."""
    most = cp.maximum(*(cp.max(one) for one in missed.every))
    return _MOST * most + _EACH * sum((cp.sum(one) for one in missed.every), start=_LOSSES / _EACH * losses_mwh)


def _batteries(
    plant: Plant,
    observation: Observation,
    forecast: Forecast,
    one_way: Bool[np.ndarray, "horizon storage"] | None,
    missed: Missed | None,
    parts: _Parts,
) -> tuple[BatteryModel, ...]:
    """Power, energy, cycles and wear; the energy at every midnight and at the end of the horizon has a floor."""
    horizon = forecast.steps
    day = plant.days_from(observation.step, horizon)
    ends = [*(int(step) for step in np.flatnonzero(np.diff(day)) + 1), horizon]
    models = []
    for index, battery in enumerate(plant.batteries, start=len(plant.trucks)):
        store = battery.storage
        power = stores.storage_power(store, horizon, available=forecast.of(battery)["availability"])
        start = float(observation.energy_mwh[index])
        before = float(observation.states[index].capacity)
        stored = stores.stored_energy(store, plant.step_h, start, power, forecast.of(battery)["capacity"], before)
        parts.constraints += [*power.constraints, *stored.constraints]
        parts.constraints += stores.cycle_limit(
            store, plant.step_h, power, day, float(observation.states[index].cycles_today)
        )
        if one_way is not None:
            limits, choices = stores.one_way(store, power, one_way[:, index])
            parts.constraints += limits
            parts.binaries += choices
        for step in ends if store.soc_end_min is not None else []:
            short: cp.Variable | float = 0.0
            if missed is not None:
                short = cp.Variable((1,))
                missed.energy.append((index, step, short))
            least = (
                float(store.soc_end_min or 0.0) * store.energy_mwh * float(forecast.of(battery)["capacity"][step - 1])
            )
            parts.constraints += stores.energy_floors(stored, np.array([step]), least, short)
        parts.costs.append(costs.wear_cost(store.cost_per_mwh_charged, power.charge, plant.step_h))
        models.append(BatteryModel(index, battery.bus, power, stored))
    return tuple(models)


def _networks(
    plant: Plant,
    forecast: Forecast,
    limits: SquaredLimits,
    batteries: Sequence[BatteryModel],
    links: Sequence[LinkPower],
    missed: Missed | None,
    parts: _Parts,
) -> tuple[list[distflow.BranchFlow], list[cp.Expression], list[cp.Expression], Float[np.ndarray, " horizon"]]:
    """Flows, limits and energy cost of every network; also the largest losses there can be [MW]."""
    p_bus, q_bus = _injections(plant, forecast, batteries, links)
    reach = np.zeros(plant.n_bus)
    np.add.at(reach, [one.bus for one in plant.batteries], [one.storage.s_max_mva for one in plant.batteries])
    np.add.at(reach, [one.bus for one in plant.terminals], [one.s_max_mva for one in plant.terminals])
    flows, imports, losses = [], [], []
    most: np.ndarray = np.zeros(forecast.steps)
    for number, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True)):
        base = feeder.base_mva
        flow = distflow.branch_flow(feeder, p_bus[:, buses] / base, q_bus[:, buses] / base)
        away = np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)
        low, high = limits.low[:, buses][:, away], limits.high[:, buses][:, away]
        v_sq = flow.v_sq[:, away]
        if missed is None:
            parts.constraints += [v_sq >= low, v_sq <= high, *distflow.current_limits(feeder, flow)]
        else:
            at = buses.start + away
            parts.constraints += [
                v_sq >= low - missed.low[:, at],
                v_sq <= high + missed.high[:, at],
                *distflow.current_limits(feeder, flow, missed.current[number]),
            ]
        parts.constraints += flow.constraints
        largest = largest_flow(
            feeder,
            (np.abs(forecast.net_load_mw(plant)) + reach)[:, buses] / base,
            (np.abs(forecast.load_q_mvar) + reach)[:, buses] / base,
            float(feeder.v_min_pu.min()) * (1.0 if missed is None else 0.5),
            rated=missed is None,
        )
        import_mw = base * flow.p_import
        energy = costs.energy_cost(
            import_mw, forecast.buy_price, plant.export_price_ratio, plant.step_h, base * largest.exchange
        )
        parts.constraints += energy.constraints
        parts.binaries += energy.binaries
        parts.costs.append(energy.per_step)
        flows.append(flow)
        imports.append(import_mw)
        losses.append(base * flow.losses)
        most = most + base * largest.losses
    return flows, imports, losses, most


def _injections(
    plant: Plant, forecast: Forecast, batteries: Sequence[BatteryModel], links: Sequence[LinkPower]
) -> tuple[cp.Expression, cp.Expression]:
    """Net injection of every bus (horizon, bus) [MW, Mvar]."""
    p_bus: cp.Expression = cp.Constant(-forecast.net_load_mw(plant))
    q_bus: cp.Expression = cp.Constant(-forecast.load_q_mvar)
    for one in batteries:
        column = (forecast.steps, 1)
        place = _place(plant, [one.bus])
        p_bus = p_bus + cp.reshape(one.power.p, column, order="C") @ place
        q_bus = q_bus + cp.reshape(one.power.q, column, order="C") @ place
    for link, power in zip(plant.links, links, strict=True):
        place = _place(plant, [terminal.bus for terminal in link.terminals])
        p_bus, q_bus = p_bus + power.p @ place, q_bus + power.q @ place
    return p_bus, q_bus


def _place(plant: Plant, buses: Sequence[int]) -> sp.csr_array:
    """Matrix (device, bus) with a one where each device is."""
    return sp.csr_array((np.ones(len(buses)), (np.arange(len(buses)), buses)), shape=(len(buses), plant.n_bus))
