"""mosaik simulator of the controller: state and forecast in, setpoints out.

``Controller-0`` takes the forecast, and the devices' state and the grids' results, both one step old. It gives the plan
and how it came about; its children ``Setpoint-<i>`` and ``Position-<i>`` carry row 0 of the plan to ports and positions
of devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import Observation, Plan
from gridferry.controllers.devices import states_of_json
from gridferry.controllers.plans.first_step import observed
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json
from gridferry.networks.read_only import immutable
from gridferry.sim.adapters.forecasts import EXPECTED, read_forecast
from gridferry.sim.adapters.serve import serve_case
from gridferry.sim.adapters.simulator import CaseSimulator, Models
from gridferry.sim.host.ac_limits import AcLimits
from gridferry.sim.host.host import ControllerHost, Dispatch


class ControllerSimulator(CaseSimulator):
    """Simulator that runs a controller in the closed loop."""

    models: ClassVar[Models] = {
        "Controller": ["forecast", "state", "Vm[pu]", "P_line[MW]", "Q_line[MVar]", "import[MW]", "plan", "dispatch"]
    }
    parts: ClassVar[Models] = {"Setpoint": ["P_set[MW]", "Q_set[MVar]"], "Position": ["position_set"]}
    controls = True
    _host: ControllerHost
    _previous: Plan | None
    _dispatch: Dispatch
    _plan_json: dict[str, Any]
    _peak_mw: Float[np.ndarray, " network"]

    def _begin(self, params: Mapping[str, Any]) -> None:
        """``clip`` leaves setpoints beyond ratings to the agents; ``previous_plan``, ``peak_import_mw``: to resume."""
        case, config = self._case, self._case.loaded.config
        self._host = ControllerHost(
            case.plant,
            case.controller(),
            config.controller.on_failure,
            limits=AcLimits(
                case.plant,
                config.grid.v_tolerance_pu,
                config.grid.loading_tolerance_percent,
            ),
            ac_corrections=config.controller.ac_corrections,
            clip=bool(params.get("clip", False)),
        )
        previous = params.get("previous_plan")
        self._previous = plan_from_json(previous) if previous else None
        self._peak_mw = case.plant.peak_import_mw(params.get("peak_import_mw"))

    def _names_of_parts(self) -> Mapping[str, Sequence[str]]:
        plant = self._case.plant
        return {"Setpoint": [port.name for port in plant.ports], "Position": [one.name for one in plant.positions]}

    def _simulate(self) -> None:
        """Ask the controller for the plan of this step."""
        plant, inputs, own = self._case.plant, self._inputs, "Controller-0"
        forecast = inputs.read(own, "forecast", EXPECTED, partial(read_forecast, plant, self._step))
        states = inputs.read(own, "state", "the state of Devices-0", partial(states_of_json, plant.devices))
        observation = Observation(
            step=self._step,
            **observed(plant, states),
            v_pu=immutable(inputs.along(own, "Vm[pu]", plant.n_bus, "bus of all networks")),
            p_branch_mw=immutable(inputs.along(own, "P_line[MW]", plant.n_branch, "branch of all networks")),
            q_branch_mvar=immutable(inputs.along(own, "Q_line[MVar]", plant.n_branch, "branch of all networks")),
            previous_plan=self._previous,
            peak_import_mw=self._peak_import(),
        )
        self._dispatch = self._host.decide(observation, forecast)
        self._previous = self._dispatch.plan
        self._plan_json = plan_to_json(self._dispatch.plan)

    def _peak_import(self) -> Float[np.ndarray, " network"]:
        """Highest import of each network so far in the billing period of this step, where it matters [MW]."""
        charge = self._case.plant.demand_charge
        if charge is not None and self._step > self._first_step:
            imported = self._inputs.along("Controller-0", "import[MW]", len(self._peak_mw), "network")
            self._peak_mw = immutable(charge.peaks(self._step - 1, self._peak_mw, imported[None])[-1])
        return self._peak_mw

    def _value(self, model: str, number: int, attr: str) -> Any:
        """The plan, its outcome, and the setpoints of its row 0."""
        if attr == "plan":
            return self._plan_json
        if attr == "dispatch":
            dispatch = self._dispatch
            return {
                "fallback": dispatch.fallback.value,
                "failure": dispatch.failure,
                "traceback": dispatch.traceback,
                "decision_seconds": dispatch.seconds,
                "ac_corrections": dispatch.corrections,
                "ac_excess_pu": _known(dispatch.ac_excess_pu),
                "ac_excess_percent": _known(dispatch.ac_excess_percent),
            }
        if attr == "position_set":
            return int(self._dispatch.plan.position[0, number])
        table = self._dispatch.plan.p_mw if attr == "P_set[MW]" else self._dispatch.plan.q_mvar
        return float(table[0, number])


def _known(value: float) -> float | None:
    """Value for JSON: ``None`` in the place of NaN."""
    return value if np.isfinite(value) else None


if __name__ == "__main__":
    serve_case(ControllerSimulator, "controller host")
