"""What the devices make of the first row of a plan: each one's share of it, and of what is observed and forecast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.devices import Device, Now, Outcome, Request, rest, step_all
from gridferry.controllers.devices.device import NOTHING

_OF_STORES = ("energy_mwh", "cycles_today", "capacity")
_OF_MOVERS = ("station", "transit_steps", "trips_today", "used_today")


def step_first_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> list[tuple[Any, Outcome]]:
    """Have all devices do row 0 of a plan from what is observed, under what is forecast.

    Where an availability or a capacity is not known, the device counts as whole; where the congestion is not, roads
    count as free.

    Raises
    ------
    ValueError
        for a setpoint that is not finite.
    """
    states = states_observed(plant, observation)
    requests = requests_of_row(
        plant, states, plan.p_mw[0].tolist(), plan.q_mvar[0].tolist(), plan.destination[0].tolist()
    )
    nows, around = surroundings(plant, observation.step, forecast)
    return step_all(plant.devices, plant.couplings, states, requests, nows, around)


def surroundings(plant: Plant, step: int, forecast: Forecast, row: int = 0) -> tuple[list[Now], dict[str, float]]:
    """Return what is forecast to surround each device, and all of them, in a row of a forecast made at a step.

    What is not known counts as in `step_first_row`.
    """
    series = series_by_device(
        plant,
        None if forecast.availability is None else forecast.availability[row].tolist(),
        None if forecast.capacity is None else forecast.capacity[row].tolist(),
        forecast.generation_mw[row].tolist(),
    )
    congestion = float(forecast.congestion[row])
    around = {"congestion": congestion if math.isfinite(congestion) else 0.0}
    return nows_of_step(plant, step + row, series), around


def nows_of_step(plant: Plant, step: int, series: Sequence[Mapping[str, float]]) -> list[Now]:
    """Return what surrounds each device in a step of the run, under the series of each."""
    step_h, ends_day = plant.step_h, plant.step_of_day(step) == plant.steps_per_day - 1
    plain = Now(step_h, ends_day)
    return [Now(step_h, ends_day, values) if values else plain for values in series]


def series_by_device(
    plant: Plant,
    availability: Sequence[float] | None,
    capacity: Sequence[float] | None,
    generation_mw: Sequence[float] | None,
) -> list[Mapping[str, float]]:
    """Return the series of each device in a step; ``None`` where all have the default.

    Parameters
    ----------
    availability : share of the rating of each port that a plan sets; a device has the least of its ports
    capacity : share of its rated energy that each store can hold
    generation_mw : output of each generator [MW]
    """
    stores, sources = iter(capacity or ()), iter(generation_mw or ())
    shares: list[Mapping[str, float]] = []
    for device, columns in zip(plant.devices, plant.port_columns, strict=True):
        values: dict[str, float] = {}
        if availability is not None and "availability" in device.series:
            values["availability"] = min(map(_known, availability[columns]))
        if capacity is not None and "capacity" in device.series:
            values["capacity"] = _known(next(stores))
        if generation_mw is not None and "p_mw" in device.series:
            values["p_mw"] = next(sources)
        shares.append(values or NOTHING)
    return shares


def _known(share: float) -> float:
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 1.0


def requests_of_row(
    plant: Plant,
    states: Sequence[Any],
    p_mw: Sequence[float],
    q_mvar: Sequence[float],
    position: Sequence[int | None],
) -> list[Request]:
    """Return what is requested of each device; devices that a plan does not set rest.

    Parameters
    ----------
    p_mw, q_mvar : of each port that a plan sets [MW, Mvar]
    position : of each position; ``None``: as it is
    """
    requests: list[Request] = []
    positions = iter(position)
    for device, state, columns in zip(plant.devices, states, plant.port_columns, strict=True):
        if columns.stop > plant.n_device:
            requests.append(rest(device, state))
            continue
        wanted = tuple(at if one is None else int(one) for at, one in zip(device.at(state), positions, strict=False))
        requests.append(Request(tuple(p_mw[columns]), tuple(q_mvar[columns]), wanted))
    return requests


def states_observed(plant: Plant, observation: Observation) -> list[Any]:
    """Return the state of each device as far as it is observed; whether a truck on the road installs is not."""
    stores, movers = _rows(observation, _OF_STORES), _rows(observation, _OF_MOVERS)
    states: list[Any] = []
    for device in plant.devices:
        values: dict[str, Any] = next(stores) if device.stores else {}
        states.append(device.State(**values, **(next(movers) if _moves(device) else {})))
    return states


class ObservedStates(TypedDict):
    """The fields of an `Observation` that tell of the states of devices."""

    energy_mwh: Float[np.ndarray, " storage"]
    cycles_today: Float[np.ndarray, " storage"]
    capacity: Float[np.ndarray, " storage"]
    station: Int[np.ndarray, " truck"]
    transit_steps: Int[np.ndarray, " truck"]
    trips_today: Int[np.ndarray, " truck"]
    used_today: Int[np.ndarray, " truck"]


def observed(plant: Plant, states: Sequence[Any]) -> ObservedStates:
    """Return what is observed of the states of all devices; read-only."""
    stores = [state for device, state in zip(plant.devices, states, strict=True) if device.stores]
    movers = [state for device, state in zip(plant.devices, states, strict=True) if _moves(device)]
    return ObservedStates(
        energy_mwh=_reals(one.energy_mwh for one in stores),
        cycles_today=_reals(one.cycles_today for one in stores),
        capacity=_reals(one.capacity for one in stores),
        station=_integers(one.station for one in movers),
        transit_steps=_integers(one.transit_steps for one in movers),
        trips_today=_integers(one.trips_today for one in movers),
        used_today=_integers(one.used_today for one in movers),
    )


def _reals(values: Iterable[float]) -> Float[np.ndarray, " entity"]:
    array = np.array(list(values), dtype=np.float64)
    array.setflags(write=False)
    return array


def _integers(values: Iterable[int]) -> Int[np.ndarray, " entity"]:
    array = np.array(list(values), dtype=np.int64)
    array.setflags(write=False)
    return array


def _rows(observation: Observation, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Values of the named fields, entity after entity; fields that are ``None`` are left out."""
    known = {name: values.tolist() for name in names if (values := getattr(observation, name)) is not None}
    if "used_today" in known:
        known["used_today"] = [bool(one) for one in known["used_today"]]
    return (dict(zip(known, row, strict=True)) for row in zip(*known.values(), strict=True))


def _moves(device: Device[Any]) -> bool:
    return any(one.with_routes for one in device.positions)
