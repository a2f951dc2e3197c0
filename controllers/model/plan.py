"""Readers of a solved dispatch model: setpoints, positions, cost, relaxation gap."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Note, NoteKind
from gridferry.controllers.devices import Act
from gridferry.controllers.devices.planning.block import Planned
from gridferry.controllers.model import distflow
from gridferry.controllers.model.dispatch_model import DispatchModel

Ports = Float[np.ndarray, "horizon port"]


def setpoints(model: DispatchModel) -> tuple[Ports, Ports]:
    """Return P and Q of every port, charging and discharging netted, within the ratings."""
    planned = _planned(model)
    p_mw = np.concatenate([np.zeros((model.horizon, 0)), *(one.p_mw for one in planned)], axis=1)
    q_mvar = np.concatenate([np.zeros((model.horizon, 0)), *(one.q_mvar for one in planned)], axis=1)
    ports = model.plant.ports
    p_min, p_max = (np.array([getattr(port, name) for port in ports]) for name in ("p_min_mw", "p_max_mw"))
    s_max = np.array([port.s_max_mva for port in ports], dtype=np.float64)
    # what exceeds the ratings by a solver's tolerance, and its noise around zero
    p_mw = np.clip(p_mw, np.maximum(p_min, -s_max), np.minimum(p_max, s_max))
    p_mw = np.where(np.abs(p_mw) < tolerances.POWER_MW, 0.0, p_mw)
    # at a limit what is injected may be less: there the block keeps the rating
    limits = np.array([port.act is not Act.SETPOINT for port in ports], dtype=bool)
    room = np.sqrt(np.maximum(s_max**2 - np.where(limits, 0.0, p_mw) ** 2, 0.0)) * (1 - tolerances.ROUNDING)
    return p_mw, np.where(np.abs(q_mvar) < tolerances.POWER_MW, 0.0, np.clip(q_mvar, -room, room))


def positions(model: DispatchModel) -> Int[np.ndarray, "horizon position"]:
    """Return all positions in every step."""
    none = np.zeros((model.horizon, 0), dtype=np.int64)
    return np.concatenate([none, *(one.position for one in _planned(model))], axis=1)


def cost_of_plan(model: DispatchModel) -> Float[np.ndarray, " horizon"]:
    """Cost of the setpoints by the model, without income from customers [currency]."""
    terms = [network.cost.value for network in model.networks.values()]
    terms += [cost for one in _planned(model) for cost in one.costs.values()]
    couplings = [block for block in model.blocks.values() if block.plan is None]
    terms += [cost.value for block in couplings for cost in block.costs.values()]
    return np.asarray(np.sum(terms, axis=0))


def resting_notes(model: DispatchModel) -> tuple[Note, ...]:
    """Notes on devices that are not planned."""
    return tuple(Note(NoteKind.RESTS, place=device.name) for device in model.resting)


def simultaneous(model: DispatchModel) -> dict[str, Bool[np.ndarray, " horizon"]]:
    """Steps with both powers of a complementarity that cannot be netted; kinds without any are left out."""
    found = {name: one.simultaneous() for name, one in model.exclusive.items()}
    return {name: steps for name, steps in found.items() if steps.any()}


def cone_gap(model: DispatchModel) -> float:
    """Largest ``ℓ v - p² - q²`` over all networks [pu²]."""
    return max(distflow.cone_gap(network.flow) for network in model.networks.values())


def fictitious_branch_mw(model: DispatchModel) -> float:
    """Largest fictitious loss of a branch [MW]."""
    flows = zip(model.plant.feeders, model.networks.values(), strict=True)
    return max(feeder.base_mva * distflow.fictitious_losses(feeder, network.flow) for feeder, network in flows)


def fictitious_converter_mw(model: DispatchModel) -> float:
    """Largest fictitious loss of a converter [MW]."""
    return max((one.fictitious_mw() for one in model.losses), default=0.0)


def relaxation_gap(model: DispatchModel) -> float:
    """Relaxation gap relative to its tolerance; above 1 the solution is no power flow."""
    branches = fictitious_branch_mw(model) / tolerances.BRANCH_LOSS_MW
    return max(branches, fictitious_converter_mw(model) / tolerances.CONVERTER_LOSS_MW)


def _planned(model: DispatchModel) -> list[Planned]:
    """Plans of all devices, in their order."""
    found = [model.blocks[device.key].plan for device in model.plant.devices]
    return [plan() for plan in found if plan is not None]
