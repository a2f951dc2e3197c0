"""The published cases of two and three networks: calibration, orders and trends, and a day in closed loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridferry.sim.config.reading import find_config
from gridferry.sim.loop.runner import run
from gridferry.sim.study.day_ahead import Figures, Job, evaluate

pytestmark = pytest.mark.slow


def evaluated(config: str, days: int, **settings: Any) -> Figures:
    given = tuple(f"controller.{key}={value!r}" for key, value in settings.items())
    found = evaluate(Job(find_config(config), given, days, 0, None))
    assert isinstance(found, Figures), found
    return found


def test_without_devices_two_networks_lose_and_pay_what_was_published() -> None:
    nothing = evaluated("mvdc_2dn", 10, scenario="none")
    assert nothing.loss_kwh == pytest.approx(3490.90, rel=1e-3)
    assert nothing.cost == pytest.approx(132.86, rel=1e-3)


def test_two_networks_cost_and_hold_in_the_published_order() -> None:
    first, second, third, fourth = (
        evaluated("mvdc_2dn", 600, scenario=one) for one in ("none", "deterministic", "robust", "drcc")
    )
    assert second.cost < fourth.cost < third.cost < first.cost
    assert first.joint < second.joint < fourth.joint < third.joint
    assert first.joint == 0.0
    assert third.joint == 1.0


@pytest.mark.parametrize(
    ("key", "values"), [("confidence", (0.8, 0.85, 0.9, 0.95)), ("radius", (0.001, 0.002, 0.003, 0.005))]
)
def test_more_confidence_and_a_larger_ball_cost_more_and_hold_more(key: str, values: tuple[float, ...]) -> None:
    rows = [evaluated("mvdc_2dn", 400, samples=50, **{key: value}) for value in values]
    assert [one.cost for one in rows] == sorted(one.cost for one in rows)
    assert [one.joint for one in rows] == sorted(one.joint for one in rows)
    promised = values if key == "confidence" else (0.95,) * len(values)
    assert all(one.worst_bus_step >= level for one, level in zip(rows, promised, strict=True))


def test_three_networks_cost_and_hold_in_the_published_order() -> None:
    first, second, fourth, third = (
        evaluated("mvdc_3dn", 200, scenario=one) for one in ("none", "deterministic", "drcc", "robust")
    )
    assert second.cost < fourth.cost < third.cost < first.cost
    assert first.joint <= second.joint < fourth.joint < third.joint == 1.0


@pytest.mark.long
def test_a_day_in_closed_loop_with_drawn_errors_is_done_as_planned_and_balances(tmp_path: Path) -> None:
    errors = ["forecast.kind=errors", "forecast.errors_on=realised"]
    errors += ["forecast.errors.load.relative_std=0.06", "forecast.errors.generation.relative_std=0.12"]
    summary = run("mvdc_2dn", overrides=errors, out=tmp_path / "run").summary
    assert summary["status"] == "completed"
    assert summary["fleet"]["shortfall_mwh"] < 1e-5
    assert summary["fleet"]["soc_end"] >= 0.5 - 1e-6
    assert summary["balance_error_rel_max"] < 1e-6
    assert summary["solver"]["failures"] == 0
    assert summary["grid"]["violations"] == 0
    assert summary["plan_vs_ac"]["cone_gap_max"] < 1e-6
    assert 0 < summary["plan_vs_ac"]["v_max_abs_pu"] < 0.03
