"""A closed loop with a battery, a genset and loads that give way, from the config to the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridferry.sim import Run, run
from gridferry.sim.loop.validation import validate

EVENING = [
    "time.start=2024-07-15T19:15:00+02:00",
    "time.steps=4",
    "time.horizon_steps=4",
    "batteries.B1.soc_end=free",
    'flexible_loads."cold stores".window=["19:00","20:00"]',
]
"""the dearest hour of the day, in which the load that can be shifted is inside its window for three steps"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("flexible") / "run"
    settings = [*EVENING, "controller.scenario=deterministic"]
    return run("flexible_ieee33", controller="mvdc_drcc", overrides=settings, out=out)


def test_what_is_dispatched_is_done_and_every_balance_closes(done: Run) -> None:
    summary = done.summary
    assert summary["solver"]["fallbacks"] == 0
    assert summary["fleet"]["shortfall_mwh"] == pytest.approx(0.0, abs=1e-5)
    assert summary["balance_error_rel_max"] < 1e-6
    buses = done.table("bus")
    assert buses["v_plan_pu"].to_numpy() == pytest.approx(buses["v_pu"].to_numpy(), abs=1e-6)


def test_each_kind_has_its_table_and_its_costs(done: Run) -> None:
    """At 0.4 of efficiency and 45 per MWh of fuel, a MWh of the genset costs 112.5."""
    genset, works, cold, battery = (
        done.table(table) for table in ("gensets", "sheddable_loads", "flexible_loads", "batteries")
    )
    terms = done.summary["cost"]["terms"]
    assert terms["genset_fuel"] == pytest.approx(112.5 * genset["injected_mwh"].sum())
    assert terms["genset_starts"] == 10.0 * genset["started"].sum()
    assert terms["lost_load"] == pytest.approx(1.2 * 140.0 * works["shed_mwh"].sum())
    assert (works["shed_mwh"] <= 0.4 * works["demand_mwh"] + 1e-9).all()
    assert -works["injected_mwh"].sum() == pytest.approx((works["demand_mwh"] - works["shed_mwh"]).sum())
    assert cold["lowered_mwh"].sum() == pytest.approx(cold["raised_mwh"].sum(), abs=1e-5)
    assert cold["lowered_mwh"].iloc[3] == cold["raised_mwh"].iloc[3] == 0.0
    assert battery["loss_mwh"].sum() > 0.0
    assert terms["genset_fuel"] + terms["lost_load"] + battery["wear"].sum() > 0.0


def test_its_plan_is_validated_as_executed(done: Run, tmp_path: Path) -> None:
    verdict = validate(done.directory / "plan.csv", "flexible_ieee33", overrides=EVENING, out=tmp_path / "again")
    assert verdict.feasible
    assert not verdict.shortfalls
