"""A cost term of a user's own kind, all of it in this file, is optimised, predicted, simulated and summed alike.

A battery of 2 MWh and 0.5 MW, half full and due half full at the end, sees energy at 50 in the first hour and at 150 in
the second; nothing is lost in it. Its service contract charges ``fee`` for every MWh that goes through it in an hour
beyond 0.1. Moving a MWh earns 100 and goes through it twice. By hand:

* fee 20: 100 > 2 * 20, so 0.5 MW in both hours; 0.4 MWh too much in each, 8 an hour, 16 in all;
* fee 60: 100 < 2 * 60, so 0.1 MW in both hours, and no fee;
* no fee: 0.5 MW in both hours.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import cvxpy as cp
import numpy as np
import pytest

from gridferry.controllers.conformance.sample_plants import at_start
from gridferry.controllers.contract import Plan
from gridferry.controllers.devices import NonNegative, Now, Outcome, Request, Site
from gridferry.controllers.devices.batteries.block import battery_block
from gridferry.controllers.devices.batteries.config import BatteryConfig
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.stores.storage import STORE_COSTS, StoreState
from gridferry.sim import Run, run
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config

if TYPE_CHECKING:
    from gridferry.controllers.devices.planning.block import Ahead, Block

# ------------------------------------------------------------------------------------------------------------- the kind


class ServicedConfig(BatteryConfig):
    """Batteries under a service contract."""

    fee_per_mwh: NonNegative = 0.0
    """due for every MWh charged or discharged in an hour beyond the free one [currency/MWh]"""
    free_mw: NonNegative = 0.1
    """mean power that is free [MW]"""


@dataclass(frozen=True)
class ServicedBattery(Battery):
    """A battery that costs something where much goes through it."""

    table: ClassVar[str] = "serviced_batteries"
    block: ClassVar[str] = f"{__name__}:serviced_block"
    Config: ClassVar[type[ServicedConfig]] = ServicedConfig
    costs: ClassVar[Mapping[str, str]] = {**STORE_COSTS, "service": "what goes through it beyond what is free"}

    fee_per_mwh: float = 0.0
    free_mw: float = 0.0

    @classmethod
    def build(cls, config: ServicedConfig, site: Site) -> Self:
        """Build one from its entry in the config."""
        bare = Battery.build(config, site)
        return cls(bare.name, bare.network, bare.bus, bare.storage, config.fee_per_mwh, config.free_mw)

    def step(self, state: StoreState, request: Request, now: Now) -> tuple[StoreState, Outcome]:
        """Charge or discharge, and pay for it."""
        after, outcome = super().step(state, request, now)
        beyond = max(abs(outcome.ports[0].p_mw) - self.free_mw, 0.0)
        service = now.step_h * self.fee_per_mwh * beyond
        return after, replace(outcome, money={**outcome.money, "service": service})


def serviced_block(battery: ServicedBattery, ahead: Ahead) -> Block:
    """Add the contract to a battery: what is paid for is at least what goes through beyond the free power."""
    bare = battery_block(battery, ahead)
    beyond, (power,) = cp.Variable(ahead.horizon), bare.p.values()
    price = ahead.step_h * battery.fee_per_mwh
    assert bare.plan is not None
    read = bare.plan

    def plan():  # type: ignore[no-untyped-def]
        planned = read()
        paid = price * np.maximum(np.abs(planned.p_mw[:, 0]) - battery.free_mw, 0.0)
        return replace(planned, costs={**planned.costs, "service": paid})

    return replace(
        bare,
        constraints={**bare.constraints, "service": [beyond >= 0, beyond >= cp.abs(power) - battery.free_mw]},
        costs={**bare.costs, "service": price * beyond},
        plan=plan,
    )


# ------------------------------------------------------------------------------------------------------------ the tests

CASE = """
name = "serviced"
currency = "USD"
[time]
start = 2024-07-01T00:00:00+02:00
step_s = 3600
steps = 2
[profiles.day]
file = "day.csv"
time = "time_h"
[[networks]]
name = "dn1"
feeder = "three_bus"
[[loads]]
network = "dn1"
bus = "3"
p_mw = 1.0
[prices]
buy = "day.price"
[devices]
use = ["{kind}:ServicedBattery"]
[[serviced_batteries]]
name = "B"
network = "dn1"
bus = "2"
energy_mwh = 2.0
p_max_mw = 0.5
eta_charge = 1.0
eta_discharge = 1.0
soc_min = 0.0
soc_max = 1.0
soc_initial = 0.5
soc_end = "start"
fee_per_mwh = {fee}
[controller]
use = "joint"
scenario = "deterministic"
gap_of_saving = 0.0
gap_abs = 1e-6
on_failure = "stop"
"""
BY_HAND = {0.0: (0.5, 0.0), 20.0: (0.5, 8.0), 60.0: (0.1, 0.0)}
"""by fee: power in both hours [MW], and what is due for it in each"""


def case_file(folder: Path, fee: float) -> Path:
    shutil.copy(__file__, folder / "kind.py")
    (folder / "day.csv").write_text("time_h,price\n0,50\n1,150\n2,150\n")
    (folder / "case.toml").write_text(CASE.format(kind="kind.py", fee=fee))
    return folder / "case.toml"


def planned(folder: Path, fee: float) -> Plan:
    case = build_case(load_config(case_file(folder, fee)))
    return case.controller().plan(at_start(case.plant), case.forecaster.at(0))


@pytest.mark.parametrize("fee", BY_HAND)
def test_the_optimum_changes_with_the_term_as_by_hand_and_predicts_it(tmp_path: Path, fee: float) -> None:
    power, due = BY_HAND[fee]
    plan = planned(tmp_path, fee)
    np.testing.assert_allclose(plan.p_mw[:, 0], [-power, power], atol=1e-6)
    assert plan.prediction is not None
    np.testing.assert_allclose(plan.prediction.costs["service"], [due, due], atol=1e-4)
    np.testing.assert_allclose(plan.prediction.cost, sum(plan.prediction.costs.values()))


def test_the_objective_of_the_dispatch_model_has_it(tmp_path: Path) -> None:
    """The plan is the same with and without a fee of 20, and costs 16 more with it."""
    free, dear = (planned(tmp_path, fee).solver for fee in (0.0, 20.0))
    assert dear.objective - free.objective == pytest.approx(16.0, abs=1e-4)
    assert dear.bound - free.bound == pytest.approx(16.0, abs=1e-4)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("serviced")
    return run(case_file(folder, 20.0), out=folder / "run")


def test_it_is_simulated_and_recorded_as_it_was_planned(done: Run) -> None:
    cost = done.table("cost")
    own = cost[cost["term"] == "service"]
    np.testing.assert_allclose(own["cost"], [8.0, 8.0], atol=1e-4)
    np.testing.assert_allclose(own["plan_cost"], own["cost"], atol=1e-9)
    step = done.table("step")
    np.testing.assert_allclose(cost.groupby("step")["cost"].sum(), step["plan_cost"], atol=1e-5)
    assert float(step["objective"][0]) == pytest.approx(float(cost["cost"].sum()), abs=1e-4)


def test_it_is_summed_as_it_was_recorded(done: Run) -> None:
    summary = done.summary
    recorded = float(done.table("cost").query("term == 'service'")["cost"].sum())
    for summed in (summary["cost"]["terms"]["service"], summary["kinds"]["serviced_batteries"]["cost"]["service"]):
        assert summed == pytest.approx(16.0, abs=1e-4)
        assert summed == pytest.approx(recorded, rel=1e-12)
