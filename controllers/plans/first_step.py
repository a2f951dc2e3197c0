"""First step of a plan: each device's share of the plan, the observation and the forecast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Observation, Plan, Plant
from gridferry.controllers.devices import Act, Device, Now, Outcome, Request, step_all
from gridferry.controllers.devices.couplings import congestion_around
from gridferry.networks.read_only import immutable

Around = Mapping[str, Sequence[float]]
"""What surrounds all devices, by key: the congestion of each road."""

_RATING_TOLERANCE = 1e-6
"""Solvers meet limits to about this much [MW, MVA], relative, too; the devices clip the rest."""


def rating_faults(plant: Plant, plan: Plan) -> list[str]:
    """Setpoints of row 0 that exceed a rating."""
    p, q = np.abs(plan.p_mw[0]), plan.q_mvar[0]
    # at a limit less may be injected, which leaves room for Q
    s = np.hypot([0.0 if port.act is Act.LIMIT else one for port, one in zip(plant.ports, p, strict=True)], q)
    over_p = p > plant.port_p_max_mw * (1 + _RATING_TOLERANCE) + _RATING_TOLERANCE
    over_s = s > plant.port_s_max_mva * (1 + _RATING_TOLERANCE) + _RATING_TOLERANCE
    return [
        f"{plant.ports[i].name}: requests {plan.p_mw[0, i]:.6g} MW of {plant.port_p_max_mw[i]:.6g}"
        for i in plant.planned
        if over_p[i]
    ] + [
        f"{plant.ports[i].name}: requests {s[i]:.6g} MVA of {plant.port_s_max_mva[i]:.6g}"
        for i in plant.planned
        if over_s[i] and not over_p[i]
    ]


def step_first_row(plant: Plant, plan: Plan, observation: Observation, forecast: Forecast) -> list[tuple[Any, Outcome]]:
    """Simulate row 0 of a plan with all devices, from the observation and under the forecast.

    Where a series of a device is not known, its default holds; where the congestion is not, roads count as free.

    Raises
    ------
    ValueError
        for a setpoint that is not finite.
    """
    states = observation.states
    requests = requests_of_row(plant, states, plan.p_mw[0].tolist(), plan.q_mvar[0].tolist(), plan.position[0].tolist())
    ((nows, around),) = surroundings(plant, observation.step, forecast, 1)
    return step_all(plant.devices, plant.couplings, states, requests, nows, around)


def surroundings(plant: Plant, step: int, forecast: Forecast, rows: int) -> list[tuple[list[Now], Around]]:
    """Return the forecast surroundings of each device, and the common ones, in the first rows of a forecast.

    What is not known counts as in `step_first_row`.
    """
    of_devices = [
        {key: _known(values[:rows], device, key) for key, values in forecast.of(device).items()}
        for device in plant.devices
    ]
    met = 1 if plant.roads is None else plant.roads.rows_met(forecast.congestion, plant.step_s, step)
    known = forecast.congestion[: rows + met]
    congestion = np.where(np.isfinite(known), known, 0.0)
    step_h, day = plant.step_h, plant.days_from(step, rows + 1).tolist()
    clock_h = plant.clock_h(step, rows)
    around: list[tuple[list[Now], Around]] = []
    for row in range(rows):
        ends_day = day[row + 1] > day[row]
        nows = [
            Now(step_h, ends_day, {key: one[row] for key, one in series.items()}, clock_h=float(clock_h[row]))
            for series in of_devices
        ]
        around.append((nows, congestion_around(congestion[row : row + met], step + row)))
    return around


def _known(values: Float[np.ndarray, " row"], device: Device[Any], key: str) -> list[float]:
    default = device.series[key].default
    return [one if math.isfinite(one) else default for one in values.tolist()]


def nows_of_step(plant: Plant, step: int, series: Sequence[Mapping[str, float]]) -> list[Now]:
    """Return the surroundings of each device in a step of the run."""
    step_h, ends_day = plant.step_h, plant.steps_left_of_day(step) == 1
    clock_h = float(plant.clock_h(step, 1)[0])
    return [Now(step_h, ends_day, values, clock_h=clock_h) for values in series]


def series_of_devices(
    plant: Plant, steps: int, given: Mapping[str, Mapping[str, Float[np.ndarray, " step"]]] | None = None
) -> dict[str, dict[str, Float[np.ndarray, " step"]]]:
    """Return every series of every device, by `Device.key` and key; defaults where none is given."""
    known = given or {}
    return {
        device.key: {
            key: known.get(device.key, {}).get(key, np.full(steps, series.default))
            for key, series in device.series.items()
        }
        for device in plant.devices
    }


def requests_of_row(
    plant: Plant,
    states: Sequence[Any],
    p_mw: Sequence[float],
    q_mvar: Sequence[float],
    position: Sequence[int | None],
) -> list[Request]:
    """Return the request to each device.

    Parameters
    ----------
    p_mw, q_mvar : of each port [MW, Mvar]
    position : of each position; ``None``: as it is
    """
    return [
        Request(
            tuple(p_mw[ports]),
            tuple(q_mvar[ports]),
            tuple(
                at if one is None else int(one) for at, one in zip(device.at(state), position[positions], strict=True)
            ),
        )
        for device, state, ports, positions in zip(
            plant.devices, states, plant.port_columns, plant.positions_of, strict=True
        )
    ]


class ObservedStates(TypedDict):
    """Fields of an `Observation` about the states of devices."""

    states: tuple[Any, ...]
    energy_mwh: Float[np.ndarray, " store"]
    position: Int[np.ndarray, " position"]
    transit_steps: Int[np.ndarray, " position"]


def observed(plant: Plant, states: Iterable[Any]) -> ObservedStates:
    """Return the fields of an observation for the states of all devices; read-only."""
    given = tuple(states)
    pairs = list(zip(plant.devices, given, strict=True))
    energy = [device.stored_mwh(state) for device, state in pairs if device.stores]
    position = [one for device, state in pairs for one in device.at(state)]
    transit = [one for device, state in pairs for one in device.transit_steps(state)]
    return ObservedStates(
        states=given,
        energy_mwh=immutable(np.array(energy, dtype=np.float64)),
        position=immutable(np.array(position, dtype=np.int64)),
        transit_steps=immutable(np.array(transit, dtype=np.int64)),
    )
