"""mosaik simulator that records the outputs of the others; it runs in the process of the runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from gridferry.sim.adapters.simulator import CaseSimulator, Models
from gridferry.sim.adapters.step_record import StepReader
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.records import Recorder, StepRecord


class RecorderSimulator(CaseSimulator):
    """Simulator that turns the inputs of a step into a `StepRecord`."""

    models: ClassVar[Models] = {"Recorder": []}
    any_inputs = True
    _recorder: Recorder
    _progress: Callable[[LiveState], None] | None
    _peak_mw: Float[np.ndarray, " network"]
    _fallbacks = 0
    _diverged = 0
    _cost = 0.0

    def _begin(self, params: Mapping[str, Any]) -> None:
        """Take the recorder, and optionally a callback for the progress display; resume with ``peak_import_mw``."""
        self._recorder = params["recorder"]
        self._progress = params.get("progress")
        self._peak_mw = self._case.plant.peak_import_mw(params.get("peak_import_mw"))

    def _simulate(self) -> None:
        """Record the step."""
        reader = StepReader(self._case, self._step, self._inputs, self._peak_mw)
        record = reader.record()
        self._recorder.add(record)
        self._peak_mw = reader.peak_mw_after
        self._fallbacks += bool(record.row["fallback"])
        self._diverged += not all(record.network["converged"])
        self._cost += sum(row["cost"] for row in record.cost if isfinite(row["cost"]))
        if self._progress is not None:
            self._progress(self._live(record, reader.traceback))

    def _live(self, record: StepRecord, traceback: str) -> LiveState:
        return LiveState(
            step=record.step + 1,
            time=record.row["time"],
            v_min_pu=min(record.bus["v_pu"]),
            v_max_pu=max(record.bus["v_pu"]),
            import_mw=sum(record.network["import_mw"]),
            devices=_devices(record),
            cost=self._cost,
            fallbacks=self._fallbacks,
            diverged=self._diverged,
            failure=record.row["failure"],
            traceback=traceback,
            fallback=record.row["fallback"],
        )


def _devices(record: StepRecord) -> tuple[str, ...]:
    """State of charge and place of whatever has one, in a few characters each."""
    texts = {row["device"]: [row["device"], f"{row['soc']:.0%}"] for row in record.device if "soc" in row}
    for row in record.position:
        where = f"to {row['label']}" if row["phase"] == "in_transit" else row["label"]
        texts.setdefault(row["position"], [row["position"]]).append(where)
    return tuple(" ".join(one) for one in texts.values())
