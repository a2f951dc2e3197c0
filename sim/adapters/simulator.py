"""Base of the mosaik simulators of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import mosaik_api_v3

from gridferry.sim.adapters.case_params import Allowed, case_of_params
from gridferry.sim.adapters.inputs import Inputs, refused
from gridferry.sim.case.case import Case

Models = Mapping[str, Sequence[str]]
"""Attributes by model."""


def time_units(seconds: int, time_resolution: float) -> int:
    """Return a step length in units of a scenario's time resolution; raises `InputError` where that is not whole."""
    units = round(seconds / time_resolution) if time_resolution > 0 else 0
    if units < 1 or abs(units * time_resolution - seconds) > 1e-6 * seconds:
        ways = "choose a time_resolution that divides it"
        raise refused("World", "time_resolution", f"{time_resolution:g} s does not divide steps of {seconds} s; {ways}")
    return units


class CaseSimulator(mosaik_api_v3.Simulator):
    """Base of simulators that take a case and go through its steps, one at a time.

    Attributes
    ----------
    models : attributes of the entities that a scenario creates, by model
    parts : attributes of their children, by model
    any_inputs : whether the former take inputs of any name
    controls : whether it builds the controller of the case
    """

    models: ClassVar[Models]
    parts: ClassVar[Models] = {}
    any_inputs: ClassVar[bool] = False
    controls: ClassVar[bool] = False

    def __init__(self, allowed: Allowed | None = None) -> None:
        of_models = {
            name: {
                "public": name in self.models,
                "params": [],
                "attrs": list(attrs),
                "any_inputs": self.any_inputs and name in self.models,
            }
            for name, attrs in {**self.models, **self.parts}.items()
        }
        super().__init__({"api_version": "3.0", "type": "time-based", "models": of_models})
        self._allowed = allowed
        self._case: Case
        self._inputs = Inputs()
        self._first_step = 0
        self._step = 0
        self._step_units = 0

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Take the case, and the step of the case at time 0 (``first_step``)."""
        self._case = case_of_params(params, self._allowed, controller=self.controls)
        self._first_step = int(params.get("first_step", 0))
        self._step_units = time_units(self._case.plant.step_s, time_resolution)
        self._begin(params)
        return self.meta

    def _begin(self, params: Mapping[str, Any]) -> None:
        """Take the simulator's own parameters."""

    def create(self, num: int, model: str, **params: Any) -> list[Any]:
        """Create all entities of a model, with their children."""
        expected = self._number_of(model)
        if num != expected:
            raise ValueError(f"create {expected} {model}, not {num}")
        children = [
            {"eid": f"{part}-{i}", "type": part, "rel": [], "extra_info": {"name": name}}
            for part, names in self._names_of_parts().items()
            for i, name in enumerate(names)
        ]
        return [{"eid": f"{model}-{k}", "type": model, "rel": [], "children": children} for k in range(num)]

    def _number_of(self, model: str) -> int:
        """Entities of a model that a scenario has to create."""
        return 1

    def _names_of_parts(self) -> Mapping[str, Sequence[str]]:
        """Names of the children, by model, in the order of their numbers."""
        return {}

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Simulate the step at ``time``."""
        plant = self._case.plant
        if type(time) is not int or time < 0:
            raise refused(f"{next(iter(self.models))}-0", "time", f"{time!r} is no time; it counts from 0")
        self._step = self._first_step + time // self._step_units
        if self._step >= plant.steps:
            until = (plant.steps - self._first_step) * self._step_units
            ways = f"end the scenario at {until} in its time units, or give the case more steps"
            entity = f"{next(iter(self.models))}-0"
            raise refused(entity, f"step {self._step}", f"the case ends with step {plant.steps - 1}; {ways}")
        self._inputs.update(inputs)
        self._simulate()
        return time + self._step_units

    def _simulate(self) -> None:
        """Simulate the current step."""

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, Any]:
        """Return the results of the step."""
        return {
            eid: {attr: self._value(model, int(number), attr) for attr in attrs}
            for eid, attrs in outputs.items()
            for model, _, number in [eid.partition("-")]
        }

    def _value(self, model: str, number: int, attr: str) -> Any:
        """Result of the entity of a model with a number."""
        raise NotImplementedError
