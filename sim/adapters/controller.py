"""mosaik simulator of the controller: state and forecast in, setpoints out.

``Controller-0`` takes the devices' state and the grids' results, both one step old, and gives the plan and how it came
about; its children ``Setpoint-<i>`` and ``Position-<i>`` carry row 0 of the plan to ports and positions of devices.
"""

from __future__ import annotations

from typing import Any

import mosaik_api_v3
import numpy as np

from gridferry.controllers.contract import Observation, Plan
from gridferry.controllers.devices import states_of_json
from gridferry.controllers.plans.first_step import observed
from gridferry.controllers.plans.plan_json import plan_from_json, plan_to_json
from gridferry.sim.adapters.case_params import Allowed, case_of_params
from gridferry.sim.adapters.devices import in_order
from gridferry.sim.adapters.serve import serve_case
from gridferry.sim.case.case import Case
from gridferry.sim.host.ac_limits import AcLimits
from gridferry.sim.host.host import ControllerHost, Dispatch

META: dict[str, Any] = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Controller": {
            "public": True,
            "params": [],
            "attrs": ["state", "Vm[pu]", "P_line[MW]", "Q_line[MVar]", "plan", "dispatch"],
        },
        "Setpoint": {"public": False, "params": [], "attrs": ["P_set[MW]", "Q_set[MVar]"]},
        "Position": {"public": False, "params": [], "attrs": ["position_set"]},
    },
}


class ControllerSimulator(mosaik_api_v3.Simulator):
    """Simulator that runs a controller in the closed loop."""

    def __init__(self, allowed: Allowed | None = None) -> None:
        super().__init__(META)
        self._allowed = allowed
        self._case: Case
        self._host: ControllerHost
        self._previous: Plan | None = None
        self._dispatch: Dispatch
        self._plan_json: dict[str, Any] = {}
        self._first_step = 0

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take the case; ``clip`` leaves setpoints beyond ratings to the agents; resume with ``previous_plan``."""
        self._case = case_of_params(params, self._allowed, controller=True)
        case, config = self._case, self._case.loaded.config
        self._host = ControllerHost(
            case.plant,
            case.controller(),
            config.controller.on_failure,
            limits=AcLimits(
                case.plant,
                [network.loading_max_percent for network in config.networks],
                config.grid.v_tolerance_pu,
                config.grid.loading_tolerance_percent,
            ),
            ac_corrections=config.controller.ac_corrections,
            clip=bool(params.get("clip", False)),
        )
        self._first_step = int(params.get("first_step", 0))
        previous = params.get("previous_plan")
        self._previous = plan_from_json(previous) if previous else None
        return self.meta

    def create(self, num: int, model: str, **params: Any) -> list[Any]:
        """Create the single ``Controller`` with a ``Setpoint`` per port and a ``Position`` per position."""
        if model != "Controller" or num != 1:
            raise ValueError("create exactly one Controller")
        plant = self._case.plant
        names = {"Setpoint": [port.name for port in plant.ports], "Position": [one.name for one in plant.positions]}
        children = [
            {"eid": f"{kind}-{i}", "type": kind, "rel": [], "extra_info": {"name": name}}
            for kind, listed in names.items()
            for i, name in enumerate(listed)
        ]
        return [{"eid": "Controller-0", "type": "Controller", "rel": [], "children": children}]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Ask the controller for the plan of this step."""
        plant = self._case.plant
        step = self._first_step + time // plant.step_s
        observation = self._observe(step, inputs["Controller-0"])
        self._dispatch = self._host.decide(observation, self._case.forecaster.at(step))
        self._previous = self._dispatch.plan
        self._plan_json = plan_to_json(self._dispatch.plan)
        return time + plant.step_s

    def _observe(self, step: int, inputs: dict[str, Any]) -> Observation:
        plant = self._case.plant
        (states,) = inputs["state"].values()
        return Observation(
            step=step,
            **observed(plant, states_of_json(plant.devices, states)),
            v_pu=_reals(in_order(inputs["Vm[pu]"])),
            p_branch_mw=_reals(in_order(inputs["P_line[MW]"])),
            q_branch_mvar=_reals(in_order(inputs["Q_line[MVar]"])),
            previous_plan=self._previous,
        )

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return the plan, its outcome, and the setpoints of its row 0."""
        return {eid: {attr: self._value(eid, attr) for attr in attrs} for eid, attrs in outputs.items()}

    def _value(self, eid: str, attr: str) -> Any:
        if attr == "plan":
            return self._plan_json
        if attr == "dispatch":
            dispatch = self._dispatch
            return {
                "fallback": dispatch.fallback.value,
                "failure": dispatch.failure,
                "seconds": dispatch.seconds,
                "corrections": dispatch.corrections,
                "ac_excess_pu": _known(dispatch.ac_excess_pu),
                "ac_excess_percent": _known(dispatch.ac_excess_percent),
            }
        column = int(eid.rpartition("-")[2])
        if attr == "position_set":
            return int(self._dispatch.plan.position[0, column])
        table = self._dispatch.plan.p_mw if attr == "P_set[MW]" else self._dispatch.plan.q_mvar
        return float(table[0, column])


def _known(value: float) -> float | None:
    """Value for JSON: ``None`` in the place of NaN."""
    return value if np.isfinite(value) else None


def _reals(values: list[Any]) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


if __name__ == "__main__":
    serve_case(ControllerSimulator, "controller host")
