"""Nothing that a controller is given can be written to, and nothing that it breaks reaches the simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from gridferry.controllers import Controller, Forecast, Observation, Plan, Plant, hold
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.conformance.suite import check_controller
from gridferry.controllers.contract import AcFeedback, Prediction
from gridferry.networks.read_only import own_copy
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import ControllerHost, Fallback

SAMPLE = two_feeders()
CACHED = ("port_p_max_mw", "port_s_max_mva", "station_bus")


def reachable(given: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every array to be reached by attributes, keys and indices, properties of the plant and the feeders too."""
    if isinstance(given, np.ndarray):
        yield path, given
    elif isinstance(given, Mapping):
        for key, one in given.items():
            yield from reachable(one, f"{path}[{key!r}]")
    elif isinstance(given, (list, tuple)):
        for index, one in enumerate(given):
            yield from reachable(one, f"{path}[{index}]")
    elif is_dataclass(given):
        for name in [one.name for one in fields(given)] + [*getattr(given, "__dict__", ())]:
            yield from reachable(getattr(given, name), f"{path}.{name}")


def powers(plant: Plant) -> Plan:
    """A plan with a prediction and nested memory."""
    rows, networks = 2, len(plant.feeders)
    flat = np.zeros((rows, plant.n_branch))
    expected = Prediction(
        v_pu=np.ones((rows, plant.n_bus)),
        p_branch_mw=flat,
        q_branch_mvar=flat.copy(),
        import_mw=np.zeros((rows, networks)),
        losses_mw=np.zeros((rows, networks)),
        energy_mwh=np.ones((rows + 1, len(plant.stores))),
        cost=np.zeros(rows),
    )
    plan = hold(plant, at_start(plant), rows)
    return replace(plan, prediction=expected, memory={"rows": [[1, 2], {"a": [3]}]})


class Keeper(Controller):
    """Keeps what it was given and what it returned."""

    seen: tuple[Observation, Forecast]
    plan_made: Plan

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        for name in CACHED:
            getattr(self.plant, name)
        self.bases = [feeder.base_current_ka for feeder in self.plant.feeders]
        self.seen = observation, forecast
        self.plan_made = powers(self.plant)
        return self.plan_made


def test_no_array_that_a_controller_can_reach_can_be_made_writeable() -> None:
    plant = own_copy(SAMPLE.plant)
    keeper = Keeper(plant, Keeper.Settings())
    host = ControllerHost(SAMPLE.plant, keeper, OnFailure.IDLE)
    first = host.decide(at_start(SAMPLE.plant), look_ahead(SAMPLE, 0, 4))
    requested = AcFeedback(np.zeros(plant.n_bus), np.zeros(plant.n_bus), np.zeros(plant.n_branch), first.plan)
    host.decide(
        replace(at_start(SAMPLE.plant), step=1, previous_plan=first.plan, ac_feedback=requested),
        look_ahead(SAMPLE, 1, 4),
    )
    observation, forecast = keeper.seen
    arrays = [
        one
        for given, name in ((plant, "plant"), (observation, "observation"), (forecast, "forecast"))
        for one in reachable(given, name)
    ]
    paths = {path for path, _ in arrays}
    assert {
        "plant.roads.distance_km",
        "plant.feeders[1].i_max_pu",
        "plant.port_p_max_mw",
        "forecast.buy_price",
        "observation.energy_mwh",
        "observation.previous_plan.prediction.v_pu",
        "observation.ac_feedback.plan.p_mw",
    } <= paths
    for path, array in arrays:
        assert not array.flags.writeable, path
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, bytes), path
    previous = observation.previous_plan
    assert previous is not None
    with pytest.raises(TypeError):
        previous.memory["rows"] = 0  # type: ignore[index]
    with pytest.raises(TypeError):
        previous.memory["rows"][1]["a"] = 0
    previous.memory["rows"][0].append(9)
    assert first.plan.memory == {"rows": [[1, 2], {"a": [3]}]}


def test_what_a_controller_does_to_its_plan_afterwards_does_not_change_what_was_accepted() -> None:
    keeper = Keeper(own_copy(SAMPLE.plant), Keeper.Settings())
    plan = (
        ControllerHost(SAMPLE.plant, keeper, OnFailure.IDLE)
        .decide(at_start(SAMPLE.plant), look_ahead(SAMPLE, 0, 4))
        .plan
    )
    keeper.plan_made.p_mw[:] = np.nan
    keeper.plan_made.memory["rows"][0].append("later")
    assert not plan.p_mw.any()
    assert plan.memory["rows"][0] == [1, 2]


class Roads0(Controller):
    """Zero the roads."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        self.plant.roads.distance_km[:] = 0.0
        return hold(self.plant, observation)


class Ratings(Controller):
    """Raise the ratings."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        self.plant.port_p_max_mw[:] = 1e9
        return hold(self.plant, observation)


class Limits(Controller):
    """Widen the limits of the feeders."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        self.plant.feeders[0].v_min_pu.setflags(write=True)
        return hold(self.plant, observation)


class Rewriter(Controller):
    """Rewrite the previous plan."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.previous_plan is not None:
            observation.previous_plan.p_mw[0] = 1.0
        return hold(self.plant, observation)


@pytest.mark.parametrize("kind", [Roads0, Ratings, Limits, Rewriter])
def test_a_write_is_a_failure_of_the_step_and_check_finds_it(kind: type[Controller]) -> None:
    host = ControllerHost(SAMPLE.plant, kind(own_copy(SAMPLE.plant), kind.Settings()), OnFailure.IDLE)
    seen = replace(at_start(SAMPLE.plant), previous_plan=hold(SAMPLE.plant, at_start(SAMPLE.plant)))
    done = host.decide(seen, look_ahead(SAMPLE, 0, 4))
    assert done.fallback is Fallback.IDLE
    assert "ValueError" in done.failure
    assert f"{__file__}, line " in done.failure
    broken = [one.explanation for one in check_controller(kind) if not one.passed]
    assert any("copy the array first" in one for one in broken)


class Forger(Controller):
    """Put other roads and another forecast in place of those it was given."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        object.__setattr__(self.plant, "roads", None)
        object.__setattr__(forecast, "buy_price", np.zeros(forecast.steps))
        object.__setattr__(observation, "energy_mwh", np.zeros(len(self.plant.stores)))
        return hold(self.plant, observation)


def test_what_python_cannot_forbid_does_not_reach_the_simulation_and_check_finds_it() -> None:
    host = ControllerHost(SAMPLE.plant, Forger(own_copy(SAMPLE.plant), Forger.Settings()), OnFailure.IDLE)
    seen, ahead = at_start(SAMPLE.plant), look_ahead(SAMPLE, 0, 4)
    prices, energy = ahead.buy_price.tolist(), seen.energy_mwh.tolist()
    host.decide(seen, ahead)
    assert SAMPLE.plant.roads is not None
    assert (ahead.buy_price.tolist(), seen.energy_mwh.tolist()) == (prices, energy)
    broken = [str(one) for one in check_controller(Forger) if not one.passed]
    assert any("left as they are" in one and "plant and the observation and the forecast" in one for one in broken)
