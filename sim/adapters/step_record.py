"""What the simulators gave in a step, as the columns and rows of a record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices import Act
from gridferry.controllers.plans.plan_file import rows_of_step, values_of_step
from gridferry.controllers.plans.plan_json import outcome_from_json, plan_from_json
from gridferry.controllers.plans.returned_plan import ReturnedPlanError, checked_plan
from gridferry.controllers.schedule.settlement import Demand, settle
from gridferry.sim.adapters.inputs import Inputs
from gridferry.sim.case.case import Case
from gridferry.sim.results.costs import published
from gridferry.sim.results.kind_tables import Values, kind_values
from gridferry.sim.results.record_tables import shared_columns
from gridferry.sim.results.records import StepRecord

_BUS = {
    "p_load_mw": "P_load[MW]",
    "q_load_mvar": "Q_load[MVar]",
    "p_gen_mw": "P_gen[MW]",
    "p_own_mw": "P_own[MW]",
    "p_mw": "P[MW]",
    "q_mvar": "Q[MVar]",
    "v_pu": "Vm[pu]",
    "va_deg": "Va[deg]",
}
_LINE = {
    "p_mw": "P_line[MW]",
    "q_mvar": "Q_line[MVar]",
    "i_ka": "I_line[kA]",
    "loading_percent": "loading[%]",
    "losses_mw": "losses_line[MW]",
}
_NETWORK = {
    "import_mw": "import[MW]",
    "import_mvar": "import[MVar]",
    "losses_mw": "losses[MW]",
    "balance_error_rel": "balance_error",
}
"""Columns of the record, and the attributes of simulators that they hold."""
_FEEDBACK = ("Vm[pu]", "P_line[MW]", "Q_line[MVar]")
_OWN = "Recorder-0"
_UNKNOWN = float("nan")


class StepReader:
    """Reader of the inputs of a step.

    Parameters
    ----------
    step : its number
    inputs : of the recorder
    peak_mw : highest import of each network before the step, in its billing period [MW]
    """

    def __init__(self, case: Case, step: int, inputs: Inputs, peak_mw: Float[np.ndarray, " network"]):
        self._plant, self._step = case.plant, step
        self._begins = case.loaded.config.time.clock.at(step).isoformat()
        self._inputs, self._peak_mw = inputs, peak_mw
        self._plan = inputs.read(_OWN, "plan", "a plan as a controller host gives it", self._checked)
        self._state = self._one("state")
        self._dispatch = inputs.read(_OWN, "dispatch", "what a controller host gives", dict)
        self.traceback = str(self._dispatch.pop("traceback", ""))
        self._outcomes: list[dict[str, Any]] = self._one("outcomes")
        self._add_droops()
        self._money: dict[str, float] = {}
        for outcome in self._outcomes:
            for name, amount in outcome["money"].items():
                self._money[name] = self._money.get(name, 0.0) + float(amount)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the plan as it came, if every field of its first step is that of a plan for the plant."""
        first = given | {name: given[name][:1] for name in ("p_mw", "q_mvar", "position")}
        if (predicted := given["prediction"]) is not None:
            costs = {name: term[:1] for name, term in predicted["costs"].items()}
            rows = {name: one[: 2 if name == "energy_mwh" else 1] for name, one in predicted.items() if name != "costs"}
            first["prediction"] = rows | {"costs": costs}
        try:
            checked_plan(self._plant, 1, plan_from_json(first))
        except ReturnedPlanError as error:
            raise ValueError(str(error)) from error
        return given

    def _add_droops(self) -> None:
        """Give the ports whose Q follows the voltage the one of the AC power flow."""
        plant = self._plant
        if not plant.droop_ports:
            return
        done = [port for outcome in self._outcomes for port in outcome["ports"]]
        own = [done[number] for number in plant.droop_ports]
        v_pu = np.array([self._along("Vm[pu]", plant.n_bus, "bus")])
        for network, buses in enumerate(plant.bus_slices):
            here, droops = plant.droops(network, np.array([[port["p_mw"] for port in own]]))
            if droops is not None:
                for k, q_mvar in zip(here, droops.q_mvar(v_pu[:, buses])[0].tolist(), strict=True):
                    own[k]["q_mvar"] = q_mvar

    def record(self) -> StepRecord:
        """Return the record of the step."""
        grids = {attr: self._by_network(attr) for attr in _FEEDBACK}
        return StepRecord(
            step=self._step,
            bus=self._bus(),
            line={name: self._along(attr, self._plant.n_branch, "branch") for name, attr in _LINE.items()}
            | {"p_plan_mw": self._predicted("p_branch_mw", self._plant.n_branch)},
            network=self._network(),
            device=self._device(),
            plan=self._planned(),
            cost=self._cost(),
            position=self._position(),
            kinds=self._kinds(),
            row=self._row(),
            checkpoint={
                "state": self._state,
                "plan": self._plan,
                "grids": grids,
                "peak_import_mw": self.peak_mw_after.tolist(),
            },
        )

    @property
    def peak_mw_after(self) -> Float[np.ndarray, " network"]:
        """Highest import of each network before the next step, in its billing period [MW]."""
        charge = self._plant.demand_charge
        if charge is None:
            return self._peak_mw
        return charge.peaks(self._step, self._peak_mw, np.array([self._of_networks("import[MW]")]))[-1]

    def _one(self, attr: str) -> Any:
        """Value of an attribute that one source gives."""
        return self._inputs.single(_OWN, attr, "the simulator that gives it")

    def _along(self, attr: str, length: int, meaning: str) -> list[float]:
        found: list[float] = self._inputs.along(_OWN, attr, length, meaning).tolist()
        return found

    def _by_network(self, attr: str) -> list[list[float]]:
        plant = self._plant
        slices = plant.bus_slices if attr == "Vm[pu]" else plant.branch_slices
        values = self._along(attr, slices[-1].stop, "bus" if attr == "Vm[pu]" else "branch")
        return [values[own] for own in slices]

    def _all_buses(self) -> dict[str, Sequence[float]]:
        return {name: self._along(attr, self._plant.n_bus, "bus") for name, attr in _BUS.items()}

    def _of_networks(self, attr: str) -> list[float]:
        return self._along(attr, len(self._plant.feeders), "network")

    def _predicted(self, name: str, width: int) -> Sequence[float]:
        prediction = self._plan["prediction"]
        known = prediction is not None and len(prediction[name])
        return [float(value) for value in prediction[name][0]] if known else [_UNKNOWN] * width

    def _bus(self) -> dict[str, Sequence[float]]:
        # mosaik's grid has consumption positive and the supply from above at the slack bus, as pandapower; the record
        # has what loads, sources and devices inject
        found, plant = self._all_buses(), self._plant
        slack = [buses.start + feeder.slack for buses, feeder in zip(plant.bus_slices, plant.feeders, strict=True)]
        for column, supply in (("p_mw", "import[MW]"), ("q_mvar", "import[MVar]")):
            injected = -np.array(found[column], dtype=np.float64)
            injected[slack] -= self._of_networks(supply)
            found[column] = injected.tolist()
        return found | {"v_plan_pu": self._predicted("v_pu", plant.n_bus)}

    def _network(self) -> dict[str, Sequence[Any]]:
        predicted = {
            f"{of}_plan_mw": self._predicted(f"{of}_mw", len(self._plant.feeders)) for of in ("import", "losses")
        }
        converged = [one is True for _, one in self._inputs.ordered(_OWN, "converged", "the grids of all networks")]
        return {
            "converged": converged,
            **{name: self._of_networks(attr) for name, attr in _NETWORK.items()},
            **predicted,
        }

    def _device(self) -> list[dict[str, Any]]:
        """Rows of the ports that a plan sets, or whose Q follows the voltage."""
        plant, plan = self._plant, self._plan
        prediction = plan["prediction"]
        stored: Sequence[Sequence[float]] = () if prediction is None else prediction["energy_mwh"]
        energies = iter(stored[1] if len(stored) > 1 else ())
        shared = {kind.table: shared_columns(kind) for kind in plant.kinds}
        rows: list[dict[str, Any]] = []
        for device, own, outcome in zip(plant.devices, plant.port_columns, self._outcomes, strict=True):
            planned = next(energies, None) if device.stores else None
            for column, done in zip(range(own.start, own.stop), outcome["ports"], strict=True):
                port, requested = plant.ports[column], plan["p_mw"][0][column]
                if column not in plant.recorded:
                    continue
                sets_p = port.act is Act.SETPOINT or (port.act is Act.LIMIT and requested < port.rest_mw)
                rows.append(
                    {
                        "phase": "fixed",
                        "departed": False,
                        **{name: outcome["row"].get(name) for name in shared[device.table]},
                        **done,
                        "device": port.name,
                        "kind": device.port_kind,
                        "p_set_mw": requested if sets_p else None,
                        "q_set_mvar": plan["q_mvar"][0][column] if port.sets_q else None,
                        "energy_plan_mwh": None if planned is None else float(planned),
                    }
                )
        return rows

    def _kinds(self) -> dict[str, list[Values]]:
        plant = self._plant
        rows: dict[str, list[Values]] = {kind.table: [] for kind in plant.kinds}
        for device, outcome in zip(plant.devices, self._outcomes, strict=True):
            rows[device.table].append(kind_values(self._step, self._begins, device, outcome, plant.step_h))
        return rows

    def _planned(self) -> list[dict[str, Any]]:
        row = (self._plan[name][0] for name in ("p_mw", "q_mvar", "position"))
        values = values_of_step(self._plant, rows_of_step(self._plant), *row)
        return [dict(zip(("device", "p_mw", "q_mvar", "station"), one, strict=True)) for one in values]

    def _cost(self) -> list[dict[str, Any]]:
        """Rows of all cost terms: realised and planned."""
        plant, prediction = self._plant, self._plan["prediction"]
        imported, buy = (
            np.array([self._of_networks("import[MW]")]),
            np.array([self._inputs.total(_OWN, "buy_price")]),
        )
        of_devices = {name: np.array([amount]) for name, amount in self._money.items()}
        real = settle(plant, imported, buy, of_devices, Demand(self._step, self._peak_mw))
        planned = {} if prediction is None else {name: float(term[0]) for name, term in prediction["costs"].items()}
        names = dict.fromkeys([*real, *(name for kind in plant.kinds for name in kind.costs), *planned])
        return [
            {
                "term": name,
                "cost": float(real[name][0]) if name in real else 0.0,
                "plan_cost": planned.get(name),
            }
            for name in names
        ]

    def _position(self) -> list[dict[str, Any]]:
        """Rows of all positions: the value of each, or the one that it is on the way to."""
        rows: list[dict[str, Any]] = []
        for device, outcome in zip(self._plant.devices, self._outcomes, strict=True):
            away = not any(port["connected"] for port in outcome["ports"])
            doing = outcome["row"].get("phase") or ("in_transit" if away else "parked")
            for position, at in zip(device.positions, outcome["position"], strict=True):
                rows.append(
                    {
                        "device": device.name,
                        "kind": device.port_kind,
                        "position": position.name,
                        "label": position.labels[at],
                        "phase": doing if position.with_routes else None,
                    }
                )
        return rows

    def _row(self) -> dict[str, Any]:
        solver, prediction, congestion = self._plan["solver"], self._plan["prediction"], self._one("congestion")
        outcome = outcome_from_json(solver)
        saving = outcome.reference - outcome.objective
        gap = outcome.objective - outcome.bound
        error = np.abs(
            np.array(self._predicted("v_pu", self._plant.n_bus)) - self._along("Vm[pu]", self._plant.n_bus, "bus")
        )
        error = error[np.isfinite(error)]
        unchecked = {name: _UNKNOWN for name, value in self._dispatch.items() if value is None}
        return {
            "time": self._begins,
            "buy_price": self._one("buy_price"),
            "sell_price": self._one("sell_price"),
            "congestion": float(np.mean(congestion)) if congestion else 0.0,
            "res_cost": published(self._money, "res"),
            "plan_cost": None if prediction is None else float(prediction["cost"][0]),
            "solver_status": outcome.status.value,
            "solver_termination": outcome.termination.value,
            "solver_notes": json.dumps(solver["notes"], ensure_ascii=False),
            "solver_ended": outcome.words,
            **{key: getattr(outcome, key) for key in ("objective", "bound", "gap", "cone_gap")},
            "gap_abs": gap,
            "saving": saving,
            "gap_of_saving": gap / saving if saving > 0 else _UNKNOWN,
            "v_plan_ac_max_pu": float(error.max()) if error.size else _UNKNOWN,
            "v_plan_ac_rms_pu": float(np.sqrt(np.mean(error**2))) if error.size else _UNKNOWN,
            "solver_seconds": outcome.seconds,
            **self._dispatch,
            **unchecked,
        }
