"""mosaik simulator that records the outputs of the others; it runs in the process of the runner."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.contract import Plant
from gridferry.controllers.plans.plan_file import PlanRow, rows_of_step, values_of_step
from gridferry.controllers.plans.plan_json import outcome_from_json
from gridferry.controllers.schedule.settlement import settle
from gridferry.sim.adapters.devices import in_order
from gridferry.sim.adapters.simulator import CaseSimulator, Models
from gridferry.sim.results.costs import published
from gridferry.sim.results.kind_tables import Values, kind_values
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.record_tables import shared_columns
from gridferry.sim.results.records import Recorder, StepRecord


class RecorderSimulator(CaseSimulator):
    """Simulator that turns the inputs of a step into a `StepRecord`."""

    models: ClassVar[Models] = {"Recorder": []}
    any_inputs = True
    _plan_rows: Sequence[PlanRow]
    _shared: dict[str, list[str]]
    _recorder: Recorder
    _progress: Callable[[LiveState], None] | None
    _fallbacks = 0
    _diverged = 0

    def _begin(self, params: Mapping[str, Any]) -> None:
        """Take the recorder, and optionally a callback for the progress display."""
        self._plan_rows = rows_of_step(self._case.plant)
        self._shared = {kind.table: shared_columns(kind) for kind in self._case.plant.kinds}
        self._recorder = params["recorder"]
        self._progress = params.get("progress")

    def _simulate(self, inputs: Mapping[str, Any]) -> None:
        """Record the step."""
        plant, step = self._case.plant, self._step
        mine = inputs["Recorder-0"]
        (plan,) = mine["plan"].values()
        (dispatch,) = mine["dispatch"].values()
        (state,) = mine["state"].values()
        (outcomes,) = mine["outcomes"].values()
        begins = (self._case.loaded.config.time.start + timedelta(seconds=step * plant.step_s)).isoformat()
        record = StepRecord(
            step=step,
            bus=self._bus(mine, plan),
            line=self._line(mine, plan),
            network=self._network(mine, plan),
            device=self._device(outcomes, plan),
            plan=self._plan(plan),
            cost=self._cost(begins, mine, outcomes, plan),
            position=_positions(plant, begins, outcomes),
            kinds=self._kinds(step, begins, outcomes),
            row={"time": begins, **self._row(mine, outcomes, plan, dispatch)},
            checkpoint={
                "state": state,
                "plan": plan,
                "grids": {attr: _each(mine, attr) for attr in ("Vm[pu]", "P_line[MW]", "Q_line[MVar]")},
            },
        )
        self._recorder.add(record)
        self._fallbacks += bool(dispatch["fallback"])
        self._diverged += not all(record.network["converged"])
        if self._progress is not None:
            self._progress(self._live(record))

    def _bus(self, mine: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
        # mosaik's grid has consumption positive and the supply from above at the slack bus, as pandapower; the record
        # has what loads, sources and devices inject
        p_mw = [-value for value in in_order(mine["P[MW]"])]
        q_mvar = [-value for value in in_order(mine["Q[MVar]"])]
        supplies = zip(
            self._case.plant.bus_slices,
            self._case.plant.feeders,
            _each(mine, "import[MW]"),
            _each(mine, "import[MVar]"),
            strict=True,
        )
        for buses, feeder, supply_mw, supply_mvar in supplies:
            p_mw[buses.start + feeder.slack] -= supply_mw
            q_mvar[buses.start + feeder.slack] -= supply_mvar
        return {
            "p_load_mw": in_order(mine["P_load[MW]"]),
            "q_load_mvar": in_order(mine["Q_load[MVar]"]),
            "p_gen_mw": in_order(mine["P_gen[MW]"]),
            "p_mw": p_mw,
            "q_mvar": q_mvar,
            "v_pu": in_order(mine["Vm[pu]"]),
            "va_deg": in_order(mine["Va[deg]"]),
            "v_plan_pu": _predicted(plan, "v_pu", self._case.plant.n_bus),
        }

    def _line(self, mine: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
        return {
            "p_mw": in_order(mine["P_line[MW]"]),
            "q_mvar": in_order(mine["Q_line[MVar]"]),
            "i_ka": in_order(mine["I_line[kA]"]),
            "loading_percent": in_order(mine["loading[%]"]),
            "losses_mw": in_order(mine["losses_line[MW]"]),
            "p_plan_mw": _predicted(plan, "p_branch_mw", self._case.plant.n_branch),
        }

    def _network(self, mine: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
        networks = len(self._case.plant.feeders)
        return {
            "converged": _each(mine, "converged"),
            "import_mw": _each(mine, "import[MW]"),
            "import_mvar": _each(mine, "import[MVar]"),
            "losses_mw": _each(mine, "losses[MW]"),
            "balance_error_rel": _each(mine, "balance_error"),
            "import_plan_mw": _predicted(plan, "import_mw", networks),
            "losses_plan_mw": _predicted(plan, "losses_mw", networks),
        }

    def _device(self, outcomes: list[dict[str, Any]], plan: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of the ports that a plan sets."""
        prediction = plan["prediction"]
        stored: Sequence[Sequence[float]] = () if prediction is None else prediction["energy_mwh"]
        energies = iter(stored[1] if len(stored) > 1 else ())
        plant, p_set, q_set = self._case.plant, plan["p_mw"][0], plan["q_mvar"][0]
        rows: list[dict[str, Any]] = []
        for device, own, outcome in zip(plant.devices, plant.port_columns, outcomes, strict=True):
            planned = next(energies, None) if device.stores else None
            for column, done in zip(range(own.start, own.stop), outcome["ports"], strict=True):
                if column not in plant.planned:
                    continue
                rows.append(
                    {
                        "phase": "fixed",
                        "departed": False,
                        **{name: outcome["row"].get(name) for name in self._shared[device.table]},
                        **done,
                        "device": plant.ports[column].name,
                        "kind": device.port_kind,
                        "p_set_mw": p_set[column],
                        "q_set_mvar": q_set[column],
                        "energy_plan_mwh": None if planned is None else float(planned),
                    }
                )
        return rows

    def _kinds(self, step: int, begins: str, outcomes: list[dict[str, Any]]) -> dict[str, list[Values]]:
        plant = self._case.plant
        rows: dict[str, list[Values]] = {kind.table: [] for kind in plant.kinds}
        for device, outcome in zip(plant.devices, outcomes, strict=True):
            rows[device.table].append(kind_values(step, begins, device, outcome, plant.step_h))
        return rows

    def _plan(self, plan: dict[str, Any]) -> list[dict[str, Any]]:
        row = (plan["p_mw"][0], plan["q_mvar"][0], plan["position"][0])
        return [
            {"device": name, "p_mw": p, "q_mvar": q, "station": label}
            for name, p, q, label in values_of_step(self._case.plant, self._plan_rows, *row)
        ]

    def _cost(
        self, begins: str, mine: dict[str, Any], outcomes: list[dict[str, Any]], plan: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Rows of all cost terms: realised and planned."""
        plant = self._case.plant
        (buy,) = mine["buy_price"].values()
        money = {name: np.array([amount]) for name, amount in _money(outcomes).items()}
        real = settle(plant, np.array([_each(mine, "import[MW]")], dtype=np.float64), np.array([float(buy)]), money)
        prediction = plan["prediction"]
        planned = {} if prediction is None else {name: float(term[0]) for name, term in prediction["costs"].items()}
        names = dict.fromkeys([*real, *(name for kind in plant.kinds for name in kind.costs), *planned])
        return [
            {
                "time": begins,
                "term": name,
                "cost": float(real[name][0]) if name in real else 0.0,
                "plan_cost": planned.get(name),
            }
            for name in names
        ]

    def _row(
        self, mine: dict[str, Any], outcomes: list[dict[str, Any]], plan: dict[str, Any], dispatch: dict[str, Any]
    ) -> dict[str, Any]:
        plant = self._case.plant
        (buy,), (sell,) = mine["buy_price"].values(), mine["sell_price"].values()
        (congestion,) = mine["congestion"].values()
        solver, prediction = plan["solver"], plan["prediction"]
        outcome = outcome_from_json(solver)
        v_max, v_rms = _differences(_predicted(plan, "v_pu", plant.n_bus), in_order(mine["Vm[pu]"]))
        return {
            "buy_price": buy,
            "sell_price": sell,
            "congestion": float(np.mean(congestion)) if congestion else 0.0,
            "res_cost": published(_money(outcomes), "res"),
            "plan_cost": None if prediction is None else float(prediction["cost"][0]),
            "solver_status": outcome.status.value,
            "solver_termination": outcome.termination.value,
            "solver_notes": json.dumps(solver["notes"], ensure_ascii=False),
            "solver_ended": outcome.words,
            **{key: getattr(outcome, key) for key in ("objective", "bound", "gap", "cone_gap")},
            **_worth(outcome.objective, outcome.bound, outcome.reference),
            "v_plan_ac_max_pu": v_max,
            "v_plan_ac_rms_pu": v_rms,
            "solver_seconds": outcome.seconds,
            "decision_seconds": dispatch["seconds"],
            "fallback": dispatch["fallback"],
            "failure": dispatch["failure"],
            "ac_corrections": dispatch["corrections"],
            "ac_excess_pu": _real(dispatch["ac_excess_pu"]),
            "ac_excess_percent": _real(dispatch["ac_excess_percent"]),
        }

    def _live(self, record: StepRecord) -> LiveState:
        return LiveState(
            step=record.step + 1,
            v_min_pu=min(record.bus["v_pu"]),
            v_max_pu=max(record.bus["v_pu"]),
            import_mw=sum(record.network["import_mw"]),
            positions=tuple(
                " ".join(filter(None, (row["position"], row["phase"], row["label"]))) for row in record.position
            ),
            soc=tuple(row["soc"] for row in record.device if "soc" in row),
            fallbacks=self._fallbacks,
            diverged=self._diverged,
        )


def _money(outcomes: list[dict[str, Any]]) -> dict[str, float]:
    """Costs of the devices by term, summed over kinds."""
    sums: dict[str, float] = {}
    for one in outcomes:
        for name, amount in one["money"].items():
            sums[name] = sums.get(name, 0.0) + float(amount)
    return sums


def _positions(plant: Plant, begins: str, outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of all positions: the value of each, or the one that it is on the way to."""
    rows: list[dict[str, Any]] = []
    for device, outcome in zip(plant.devices, outcomes, strict=True):
        away = not any(port["connected"] for port in outcome["ports"])
        for position, at in zip(device.positions, outcome["position"], strict=True):
            phase = None
            if position.with_routes:
                phase = outcome["row"].get("phase") or ("in_transit" if away else "parked")
            names = {"time": begins, "device": device.name, "kind": device.port_kind, "position": position.name}
            rows.append({**names, "label": position.labels[at], "phase": phase})
    return rows


def _sources(values: dict[str, Any]) -> list[str]:
    return sorted(values, key=lambda source: int(source.rpartition("-")[2]))


def _each(mine: dict[str, Any], attr: str) -> list[Any]:
    """Values of one attribute of all networks, in their order."""
    return [mine[attr][source] for source in _sources(mine[attr])]


def _predicted(plan: dict[str, Any], name: str, width: int) -> list[float]:
    prediction = plan["prediction"]
    if prediction is None or not len(prediction[name]):
        return [float("nan")] * width
    return [float(value) for value in prediction[name][0]]


def _real(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _differences(planned: list[float], measured: list[float]) -> tuple[float, float]:
    """Largest difference and root mean square difference where both are known; NaN if none are."""
    both = np.abs(np.array(planned) - np.array(measured))
    both = both[np.isfinite(both)]
    return (float(both.max()), float(np.sqrt(np.mean(both**2)))) if both.size else (float("nan"), float("nan"))


def _worth(objective: float, bound: float, reference: float) -> dict[str, float]:
    """Absolute gap, saving of the plan against rest, and their ratio."""
    gap, saving = objective - bound, reference - objective
    return {"gap_abs": gap, "saving": saving, "gap_of_saving": gap / saving if saving > 0 else float("nan")}
