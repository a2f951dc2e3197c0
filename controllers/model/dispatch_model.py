"""The dispatch model: blocks of devices and couplings; flow, limits and energy cost of networks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices import Coupling, Device
from gridferry.controllers.devices.planning.block import (
    Ahead,
    Block,
    Exclusive,
    Likely,
    Losses,
    SoftLimit,
    exclude,
    resting,
)
from gridferry.controllers.devices.planning.routing import Route
from gridferry.controllers.devices.traits import controllable
from gridferry.controllers.model import distflow
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.conditioning import well_scaled
from gridferry.controllers.model.networks import Injections, Limits, NetworkBlock, marginal_price, network_block
from gridferry.controllers.model.objective import ModelOptions, demand_block, objective
from gridferry.controllers.solve import Model, Problem, Values

IMPLIED = ("current_envelope", "largest_losses")
"""names of constraints that every power flow keeps"""


def build_dispatch_model(outlook: Outlook, limits: Limits, options: ModelOptions | None = None) -> DispatchModel:
    """Build the model for an observation and a forecast.

    A device that is not to be planned, or whose kind has no block, rests.
    """
    plant = outlook.plant
    model = DispatchModel(outlook, options or ModelOptions())
    for number, device in enumerate(plant.devices):
        ahead = outlook.ahead_of(number)
        planned = bool(device.block) and model.options.plans(device)
        model.add_device(device, block_of(device, ahead) if planned else resting(device, ahead), planned)
        if planned and model.options.at_rest:
            model.keep_at_rest(device, resting(device, ahead))
    for coupling in plant.couplings:
        if coupling.block:
            model.add(type(coupling).__name__, coupling_block(coupling, model.blocks))
    if not model.options.at_rest:
        _add_networks(model, limits)
    model.close()
    return model


def _add_networks(model: DispatchModel, limits: Limits) -> None:
    model.scale(limits)
    for number, feeder in enumerate(model.plant.feeders):
        network = network_block(
            model.plant,
            number,
            model.injections(number),
            limits,
            model.forecast.buy_price,
            strict=model.options.strict,
            bounded=model.bounded,
        )
        name = f"network {number + 1} ({feeder.name})"
        model.add_network(name, network)
        demand = demand_block(model.plant, number, model.observation, network.import_mw)
        if demand is not None:
            model.add(f"{name}: demand", demand)


def block_of(device: Device[Any], ahead: Ahead) -> Block:
    """Return the block of a device, built by the function that its kind names."""
    return _function(device.block)(device, ahead)


def coupling_block(coupling: Coupling, blocks: Mapping[str, Block]) -> Block:
    """Return the block of a coupling of devices, given their blocks by `Device.key`."""
    return _function(coupling.block)(coupling, blocks)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


@dataclass(eq=False)
class DispatchModel:
    """A dispatch model and its parts.

    Attributes
    ----------
    outlook : for whom it is; the feeders of its plant are those of the model (`conditioning`)
    blocks : of devices by `Device.key`, and of couplings
    networks : by name
    resting : devices that could be decided about and are not planned
    constraints : by name
    costs : by name of the cost term, as an evaluation has them (horizon,) [currency]
    soft : limits that may be violated where no plan keeps all limits, by name
    exclusive : powers that exclude each other, by name
    routes : with the column of each on the axis of all positions
    equal, products, exact, choices : of the exact problem, as `Model` has them
    dependent : variables that follow from all others
    following : reactive powers that follow a voltage
    tried : routes that power was planned for, with what the model's objective came to
    bound_correction : what the price of losses can add to the cost of any plan [currency]
    model : what is solved
    """

    outlook: Outlook
    options: ModelOptions
    blocks: dict[str, Block] = field(default_factory=dict)
    networks: dict[str, NetworkBlock] = field(default_factory=dict)
    resting: list[Device[Any]] = field(default_factory=list)
    constraints: dict[str, list[cp.Constraint]] = field(default_factory=dict)
    costs: dict[str, cp.Expression] = field(default_factory=dict)
    soft: dict[str, SoftLimit] = field(default_factory=dict)
    exclusive: dict[str, Exclusive] = field(default_factory=dict)
    losses: list[Losses] = field(default_factory=list)
    routes: list[tuple[int, Route]] = field(default_factory=list)
    binaries: list[cp.Variable] = field(default_factory=list)
    permits: list[cp.Variable] = field(default_factory=list)
    likely: list[Likely] = field(default_factory=list)
    equal: list[cp.SOC] = field(default_factory=list)
    products: list[cp.SOC] = field(default_factory=list)
    exact: list[cp.SOC] = field(default_factory=list)
    choices: list[cp.Variable] = field(default_factory=list)
    dependent: list[cp.Variable] = field(default_factory=list)
    following: list[cp.Variable] = field(default_factory=list)
    tried: list[tuple[float, Values]] = field(default_factory=list)
    bound_correction: float = 0.0
    model: Model = field(init=False)

    @cached_property
    def problem(self) -> Problem:
        """The model, compiled."""
        return Problem(self.model)

    @property
    def plant(self) -> Plant:
        """The plant."""
        return self.outlook.plant

    @property
    def observation(self) -> Observation:
        """Measurements at the start of the horizon."""
        return self.outlook.observation

    @property
    def forecast(self) -> Forecast:
        """Forecast over the horizon."""
        return self.outlook.forecast

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return self.outlook.horizon

    @property
    def bounded(self) -> Int[np.ndarray, " step"]:
        """Steps in which losses and currents get upper limits."""
        return np.flatnonzero(self.options.bounded(self._least_price))

    @property
    def _least_price(self) -> Float[np.ndarray, " horizon"]:
        return marginal_price(self.forecast.buy_price, self.plant.export_price_ratio)

    # ------------------------------------------------------------------------------------------------ putting together

    def add_device(self, device: Device[Any], block: Block, planned: bool) -> None:
        """Add a device."""
        self.add(device.key, block)
        if not planned and controllable(device):
            self.resting.append(device)
        columns = self.plant.position_columns(device)
        routed = [
            column
            for column, position in zip(range(columns.start, columns.stop), device.positions, strict=True)
            if position.with_routes
        ]
        self.routes += zip(routed, block.routes, strict=False)

    def keep_at_rest(self, device: Device[Any], rest: Block) -> None:
        """Fix the power of a device to that at rest."""
        own = self.blocks[device.key]
        powers = ((own.p, rest.p), (own.q, rest.q))
        self.constraints[f"{device.key}: at rest"] = [
            one == given.get(key, 0.0) for planned, given in powers for key, one in planned.items() if one.variables()
        ]

    def add(self, name: str, block: Block) -> None:
        """Add a block."""
        self.blocks[name] = block
        self._add(name, block.constraints, block.costs, block.soft)
        self.exclusive |= {f"{name}: {key}": one for key, one in block.exclusive.items()}
        self.losses += block.losses
        self.equal += [cone for one in block.losses for cone in one.cones]
        self.binaries += block.binaries
        self.permits += block.permits
        self.likely += block.likely
        self.dependent += block.dependent

    def add_network(self, name: str, network: NetworkBlock) -> None:
        """Add a network."""
        self.networks[name] = network
        self._add(name, network.constraints, {"energy": network.cost}, network.soft)
        base = self.plant.feeders[len(self.networks) - 1].base_mva
        self._follow_voltages(network, self.plant.bus_slices[len(self.networks) - 1])
        largest = base * network.largest.losses
        self.losses.append(Losses(mw=network.losses_mw, largest_mw=largest, fictitious_mw=lambda: 0.0))
        self.products += network.products
        self.exact += network.exact
        self.choices += network.binaries
        self.binaries += network.binaries
        self.likely += network.likely

    def _follow_voltages(self, network: NetworkBlock, buses: slice) -> None:
        """Tie reactive powers that follow a voltage to the flow of their network: ``Q = a + b v²``."""
        for key, block in self.blocks.items():
            for (port, bus), (offset, slope) in block.q_of_v.items():
                if buses.start <= bus < buses.stop:
                    v_sq, q = network.flow.v_sq[:, bus - buses.start], block.q[port, bus]
                    self.constraints[f"{key}: q_of_v"] = [q == offset + cp.multiply(slope, v_sq)]
                    self.following += q.variables()

    def _add(
        self,
        name: str,
        constraints: Mapping[str, list[cp.Constraint]],
        costs: Mapping[str, cp.Expression],
        soft: Mapping[str, SoftLimit],
    ) -> None:
        self.constraints |= {f"{name}: {key}": part for key, part in constraints.items() if part}
        self.soft |= {f"{name}: {key}": one for key, one in soft.items()}
        for term, cost in costs.items():
            self.costs[term] = self.costs[term] + cost if term in self.costs else cost

    def scale(self, limits: Limits) -> None:
        """Take the feeders of the plant in per unit of what flows; devices have been added."""
        feeders = []
        for number, feeder in enumerate(self.plant.feeders):
            largest_mva = np.hypot(*self.injections(number).largest)
            feeders.append(well_scaled(feeder, largest_mva, limits.rating[:, self.plant.branch_slices[number]]))
        self.outlook = replace(self.outlook, plant=replace(self.plant, feeders=tuple(feeders)))

    def injections(self, number: int) -> Injections:
        """Return the net injection of the buses of a network under loads and the blocks added so far."""
        buses = self.plant.bus_slices[number]
        p, p_given, p_reach = self._injection(self.forecast.load_p_mw, {key: one.p for key, one in self.blocks.items()})
        q, q_given, q_reach = self._injection(
            self.forecast.load_q_mvar, {key: one.q for key, one in self.blocks.items()}
        )
        return Injections(
            p_mw=p[:, buses],
            q_mvar=q[:, buses],
            p_given_mw=p_given[:, buses],
            q_given_mvar=q_given[:, buses],
            reach_mva=np.maximum(p_reach, q_reach)[:, buses],
        )

    def _injection(
        self, load: Float[np.ndarray, "horizon bus"], powers: Mapping[str, Mapping[tuple[int, int], cp.Expression]]
    ) -> tuple[cp.Expression, Float[np.ndarray, "horizon bus"], Float[np.ndarray, "port bus"]]:
        """Injection of every bus, what is given of it [MW or Mvar], and the rating of a port where it may be [MVA]."""
        given, reach = -load, np.zeros((len(self.plant.ports), self.plant.n_bus))
        buses: list[int] = []
        decided: list[cp.Expression] = []
        for device, ports in zip(self.plant.devices, self.plant.port_columns, strict=True):
            for (port, bus), power in powers[device.key].items():
                if power.is_constant():
                    given = given.copy()
                    given[:, bus] += power.value
                    continue
                buses.append(bus)
                decided.append(power)
                rated = device.ports[port].s_max_mva
                reach[ports.start + port, bus] = self.blocks[device.key].reach_mva.get((port, bus), rated)
        if not decided:
            return cp.Constant(given), given, reach
        shape = (len(buses), self.plant.n_bus)
        place = sp.csr_array((np.ones(len(buses)), (np.arange(len(buses)), buses)), shape=shape)
        return cp.Constant(given) + cp.vstack(decided).T @ place, given, reach

    def v_pu(self) -> Float[np.ndarray, "horizon bus"]:
        """Voltages of a solution [pu]."""
        v_sq = [network.flow.v_sq.value for network in self.networks.values()]
        return np.sqrt(np.maximum(np.concatenate(v_sq, axis=1), 0.0))

    def q_of_v_error_mvar(self) -> float:
        """By how much a Q that follows the voltage is another one in a solution than at its voltage [Mvar]."""
        plant, v_pu = self.plant, self.v_pu()
        p, q = np.zeros((self.horizon, plant.n_port)), np.zeros((self.horizon, plant.n_port))
        for device, ports in zip(plant.devices, plant.port_columns, strict=True):
            for powers, found in ((self.blocks[device.key].p, p), (self.blocks[device.key].q, q)):
                for (port, _), power in powers.items():
                    found[:, ports.start + port] = power.value
        followed = list(plant.droop_ports)
        errors = [0.0]
        for number, buses in enumerate(plant.bus_slices):
            own, droops = plant.droops(number, p[:, followed])
            if droops is not None:
                errors.append(float(np.abs(droops.q_mvar(v_pu[:, buses]) - q[:, followed][:, own]).max()))
        return max(errors)

    def exact_flow(
        self,
        p_mw: Float[np.ndarray, "horizon bus"] | float = 0.0,
        q_mvar: Float[np.ndarray, "horizon bus"] | float = 0.0,
    ) -> Values | None:
        """Values that the variables of all flows have in AC, under what the devices have; ``None`` without a flow.

        Parameters
        ----------
        p_mw, q_mvar : injection of every bus beside that [MW, Mvar]
        """
        p_more, q_more = (np.broadcast_to(one, (self.horizon, self.plant.n_bus)) for one in (p_mw, q_mvar))
        values: Values = {}
        for feeder, network, buses in zip(
            self.plant.feeders, self.networks.values(), self.plant.bus_slices, strict=True
        ):
            p = network.injections.p_mw.value + p_more[:, buses]
            q = network.injections.q_mvar.value + q_more[:, buses]
            found = distflow.exact_values(feeder, network.flow, p / feeder.base_mva, q / feeder.base_mva)
            if found is None:
                return None
            values |= found
        return values

    def close(self) -> None:
        """Close the model: add complementarity, soft limits and the objective. Nothing can be added afterwards."""
        if len(self.bounded):
            self.constraints["largest_losses"] = [
                one.mw[self.bounded] <= np.broadcast_to(one.largest_mw, self.horizon)[self.bounded]
                for one in self.losses
            ]
        for name, one in self.exclusive.items():
            self._exclude(name, one, self.options.excluded(name, self._least_price))
            self.exact.append(exclude(one.first, one.second))
        cost = sum((cp.sum(one) for one in self.costs.values()), start=cp.Constant(0.0))
        found = objective(self.outlook, self.options, cost, self.losses, self.soft)
        self.constraints |= found.constraints
        self.bound_correction = found.bound_correction
        recourse = {one for network in self.networks.values() for one in network.recourse} | {*self.following}
        every = [one for part in self.constraints.values() for one in part]
        implied = [one for name, part in self.constraints.items() if name.endswith(IMPLIED) for one in part]
        self.model = Model(
            found.total,
            every,
            self.binaries,
            tuple(recourse),
            equal=self.equal,
            products=self.products,
            exact=self.exact,
            choices=self.choices,
            implied=implied,
            flow=self.exact_flow,
            slacks=[*found.slacks, *self.dependent],
        )

    def _exclude(self, name: str, one: Exclusive, steps: Bool[np.ndarray, " horizon"]) -> None:
        """Add binaries that choose between two powers in some steps."""
        at = np.flatnonzero(steps)
        if not len(at):
            return
        first = cp.Variable(len(at))
        self.constraints[f"{name} at once"] = [
            one.first[at] <= one.largest * first,
            one.second[at] <= one.largest * (1 - first),
        ]
        self.binaries.append(first)
        self.choices.append(first)
        self.likely.append((first, lambda: (one.first.value[at] >= one.second.value[at]).astype(float)))
