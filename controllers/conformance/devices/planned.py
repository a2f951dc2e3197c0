"""Promise that a device does and costs what its block plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gridferry.controllers.conformance.devices.step import Given
from gridferry.controllers.conformance.devices.trial import Trial
from gridferry.controllers.conformance.findings import BrokenPromiseError
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead
from gridferry.controllers.contract import Forecast, Observation, Plant
from gridferry.controllers.devices import Act, Outcome, step_all
from gridferry.controllers.devices.planning.block import Planned
from gridferry.controllers.model.ahead import Outlook
from gridferry.controllers.model.networks import limits_of
from gridferry.controllers.model.objective import ModelOptions
from gridferry.controllers.model.plan import positions, setpoints
from gridferry.controllers.model.solution import Dispatch, solve_model
from gridferry.controllers.plans.first_step import requests_of_row, series_of_devices, surroundings
from gridferry.controllers.solve import SolveOptions

_HORIZON = 8
_TOLERANCE = 1e-4
"""of planned powers [MW, Mvar] and costs [currency], of costs relative, too: solvers meet limits to that"""


def done_as_planned(trial: Trial) -> Iterator[str]:
    """Plan for the device alone, simulate the plan step by step, and compare.

    Returns
    -------
    what it does else, or at another cost
    """
    plant = replace(trial.sample.plant, devices=(trial.device,))
    start, forecast = at_start(plant), _forecast(trial, plant)
    planned = _planned(plant, start, forecast)
    if unknown := set(planned.costs) - set(trial.device.costs):
        yield f"the block's costs have {', '.join(sorted(unknown))}; name every term in costs"
    states = list(start.states)
    for row, (nows, around) in enumerate(surroundings(plant, 0, forecast, _HORIZON)):
        rows = (values[row].tolist() for values in (planned.p_mw, planned.q_mvar, planned.position))
        requests = requests_of_row(plant, states, *rows)
        ((after, outcome),) = step_all(plant.devices, plant.couplings, states, requests, nows, around)
        if fault := _power_fault(trial, planned, row, outcome) or _cost_fault(trial, planned, row, outcome):
            example = trial.example(Given(request=requests[0], now=nows[0]), states[0])
            yield f"{example}, as planned for step {row} of {_HORIZON}: {fault}"
        states = [after]


def _planned(plant: Plant, start: Observation, forecast: Forecast) -> Planned:
    """Plan for the device as an optimising controller does."""
    dispatch = Dispatch(
        outlook=Outlook(plant, start, forecast),
        limits=limits_of(plant, _HORIZON),
        options=ModelOptions(),
        solver=SolveOptions(),
    )
    model = dispatch.build()
    solve_model(model, dispatch)
    device = plant.devices[0]
    plan = model.blocks[device.key].plan
    if plan is None:
        raise BrokenPromiseError(f"{device.block} gives a block that cannot be read; give it Block.plan")
    p_mw, q_mvar = setpoints(model)
    return replace(plan(), p_mw=p_mw, q_mvar=q_mvar, position=positions(model))


def _power_fault(trial: Trial, planned: Planned, row: int, outcome: Outcome) -> str:
    for k, (port, did) in enumerate(zip(trial.device.ports, outcome.ports, strict=True)):
        over = did.p_mw - planned.p_mw[row, k]
        off_q = 0.0 if port.q_of_v else abs(did.q_mvar - planned.q_mvar[row, k])
        off = max(over if port.act is Act.LIMIT else abs(over), off_q)
        if off > _TOLERANCE:
            clips = f" ({', '.join(did.clips)})" if did.clips else ""
            return (
                f"{port.name} does {did.p_mw:.6g} MW, {did.q_mvar:.6g} Mvar{clips}; "
                "have the block keep the limits of the step"
            )
    return ""


def _cost_fault(trial: Trial, planned: Planned, row: int, outcome: Outcome) -> str:
    for name in trial.device.costs:
        expected = float(planned.costs[name][row]) if name in planned.costs else 0.0
        paid = outcome.money.get(name, 0.0)
        if abs(expected - paid) > _TOLERANCE * (1 + abs(paid)):
            return f'"{name}" costs {expected:.4g} in the block and {paid:.4g} in the step; make them equal'
    return ""


def _forecast(trial: Trial, plant: Plant) -> Forecast:
    """Forecast of a few steps with varying prices; the device's series have their defaults."""
    prices = np.resize([20.0, 150.0], _HORIZON)
    return replace(look_ahead(trial.sample, 0, _HORIZON), buy_price=prices, series=series_of_devices(plant, _HORIZON))
