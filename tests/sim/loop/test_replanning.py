"""Closed loop with wrong forecasts and late trucks: does re-planning pay?"""

from __future__ import annotations

import numpy as np
import pytest

from gridferry.sim.loop.runner import run

EVERY_STEP = ["controller.replan_every=1"]
DAY_AHEAD = ["controller.replan_every=48", 'controller.in_between="follow"']


@pytest.mark.long
@pytest.mark.slow
def test_replanning_every_step_beats_continuing_the_day_ahead_plan_when_trucks_are_late(tmp_path):
    """The first seed of the comparison in the guide, solved more roughly."""
    profits = {}
    rough = ["controller.gap=5e-3", "controller.time_limit_s=3600.0"]
    for name, settings in (("every", EVERY_STEP), ("ahead", DAY_AHEAD)):
        done = run("late_trucks", overrides=[*settings, *rough], seed=1, out=tmp_path / name)
        truck = done.table("device")
        assert truck["soc"].between(0.1 - 1e-9, 0.9 + 1e-9).all()
        assert truck["trips_today"].max() <= 4
        assert truck["cycles_today"].max() <= 2 + 1e-9
        assert np.hypot(truck["p_mw"], truck["q_mvar"]).max() <= 2.2 + 1e-9
        assert done.summary["fleet"]["soc_end"] >= 0.5 - 1e-6
        assert done.summary["grid"]["violations"] == 0
        assert done.summary["solver"]["fallbacks"] == 0
        profits[name] = done.summary["cost"]["profit"]
    assert profits["every"] > profits["ahead"]
