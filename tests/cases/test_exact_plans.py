"""Plans where a relaxation is not tight: power flows with the right cost, a true bound, and refusals that are proved.

Right values come from SCIP or IPOPT on the exact branch-flow equations, formulated independently of the project.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gridferry.sim.loop.runner import RunFailedError, run
from gridferry.sim.results.run_directory import Run

PLANS = Path(__file__).parent / "plans"


def first_plan(done: Run) -> pd.Series:
    """What the plan of the first step says of itself."""
    return done.table("step").iloc[0]


def total_cost(done: Run) -> float:
    """All that the run cost [currency]."""
    return float(sum(done.summary["cost"]["terms"].values()))


@pytest.mark.parametrize("controller", ["joint", "mvdc_drcc"])
def test_a_link_burns_energy_where_that_is_paid_for(tmp_path: Path, controller: str) -> None:
    """Idling costs -11.917; the optimum is -23.390."""
    done = run(PLANS / "link_at_negative_prices.toml", controller=controller, out=tmp_path / "run")
    assert total_cost(done) == pytest.approx(-23.390, abs=0.12)
    assert done.summary["grid"]["violations"] == 0
    plan = first_plan(done)
    assert -23.390 - 0.05 * 23.390 <= plan["bound"] <= -23.3897
    assert plan["cone_gap"] < 1e-6


def test_a_battery_at_negative_prices_has_a_bound_that_proves_its_plan(tmp_path: Path) -> None:
    done = run(PLANS / "battery_at_negative_prices.toml", out=tmp_path / "run")
    assert total_cost(done) == pytest.approx(-0.67837, abs=1e-4)
    assert -0.67837 * 1.05 <= first_plan(done)["bound"] <= -0.67836
    assert done.summary["fleet"]["shortfall_mwh"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_trucks_at_negative_prices_find_the_optimum_and_claim_no_gap_that_is_not_proved(tmp_path: Path) -> None:
    """Optimal and proved by another formulation: 1682.1263."""
    done = run(PLANS / "trucks_at_negative_prices.toml", overrides=["controller.time_limit_s=30"], out=tmp_path / "run")
    # 1 % of the optimum's saving over idling, whatever the time allows
    assert 1682.1263 - 1e-3 <= total_cost(done) <= 1682.1265 + 3.84
    plan = first_plan(done)
    assert 0.95 * 1682.1265 <= plan["bound"] <= 1682.1264
    assert plan["solver_status"] == "locally_optimal"


@pytest.mark.slow
def test_trucks_keep_an_upper_limit_that_a_relaxation_keeps_by_losses_that_do_not_occur(
    tmp_path: Path,
) -> None:
    """A plan that keeps every limit at 2625.64 is known, and a lower bound of 2467.3."""
    done = run(PLANS / "trucks_at_the_upper_voltage.toml", out=tmp_path / "run")
    assert 2467.3 <= total_cost(done) <= 2625.64
    assert done.summary["grid"]["violations"] == 0
    assert 2440.0 <= first_plan(done)["bound"] <= total_cost(done) + 1e-6


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("no_room_for_pv", r"InfeasibleError: no plan keeps every limit; the tightest is bus 2 .* 0\.00627 pu above"),
        ("full_battery", r"InfeasibleError: no plan keeps every limit; .* current is 1\.21 % above its rating"),
    ],
)
def test_what_only_losses_or_charging_and_discharging_at_once_would_keep_is_refused(
    tmp_path: Path, config: str, names: str
) -> None:
    with pytest.raises(RunFailedError, match=names):
        run(PLANS / f"{config}.toml", out=tmp_path / "run")
