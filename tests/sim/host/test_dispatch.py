"""What the host sends out: plans checked and corrected by AC on the forecast, and fallbacks that are safe."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cases.one_line import LOAD, V_MIN, Deaf, R, Stubborn, decide, flat, line, powers, voltage
from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
)
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.host.host import Fallback


class Filler(Controller):
    """Charges as much as v = 1 - R P and the rating seem to allow; keeps a share of the correction."""

    class Settings(ControllerSettings):
        heed: float = 1.0

    settings: Settings
    accepts_ac_feedback = True

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        feeder = self.plant.feeders[0]
        v_low, rating = 0.0, 0.0
        if observation.ac_feedback is not None:
            v_low, rating = observation.ac_feedback.v_low_pu[1], observation.ac_feedback.rating[0]
        by_voltage = (1.0 - feeder.v_min_pu[1] - self.settings.heed * v_low) / R
        by_current = feeder.i_max_pu[0] * (1.0 - rating)
        drawn = max(min(by_voltage, by_current, 3.9), 0.0)
        plan = powers(self.plant, LOAD - drawn, 0.0)
        return replace(plan, memory={"v_low": float(v_low), "rating": float(rating)})


class Lost(Stubborn):
    """Has no plan that keeps a correction."""

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        if observation.ac_feedback is not None:
            raise ControllerError("nothing keeps that")
        return super().plan(observation, forecast)


def test_a_plan_that_breaks_a_voltage_limit_in_ac_is_corrected_by_the_mismatch() -> None:
    plant = line()
    first = decide(Filler, plant)
    drawn = (1.0 - V_MIN) / R
    assert first.corrections == 0
    assert first.ac_excess_pu == pytest.approx(V_MIN - voltage(drawn), rel=1e-6)
    corrected = decide(Filler, plant, allowed=5)
    assert (corrected.corrections, corrected.ac_excess_pu, corrected.ac_excess_percent) == (1, 0.0, 0.0)
    assert corrected.plan.memory["v_low"] == pytest.approx(first.ac_excess_pu, rel=1e-12)
    assert corrected.plan.p_mw[0, 0] == pytest.approx(LOAD - drawn + first.ac_excess_pu / R)
    assert corrected.plan.prediction is not None
    assert corrected.plan.prediction.v_pu[0, 1] >= V_MIN - 1e-6
    assert (corrected.fallback, corrected.failure) == (Fallback.NONE, "")


def test_corrections_add_up_until_their_number_is_used_up() -> None:
    tries = [decide(Filler, line(), allowed=allowed, settings={"heed": 0.5}) for allowed in range(4)]
    excess = [one.ac_excess_pu for one in tries]
    assert [one.corrections for one in tries] == [0, 1, 2, 3]
    assert all(after < before for before, after in pairwise(excess))
    for number, one in enumerate(tries):
        assert one.plan.memory["v_low"] == pytest.approx(sum(excess[:number]), rel=1e-9)


def test_an_overloaded_branch_takes_its_excess_off_the_rating() -> None:
    plant = line(v_min_pu=0.9, i_max_pu=1.5)
    first, corrected = decide(Filler, plant), decide(Filler, plant, allowed=3)
    loading = 1.5 / voltage(1.5) / 1.5
    assert first.ac_excess_percent == pytest.approx(100.0 * (loading - 1.0), rel=1e-6)
    assert first.ac_excess_pu == 0.0
    assert (corrected.corrections, corrected.ac_excess_percent) == (1, 0.0)
    assert corrected.plan.memory["rating"] == pytest.approx(loading - 1.0, rel=1e-6)


def test_of_plans_that_all_violate_limits_the_one_with_the_smallest_violation_is_dispatched() -> None:
    dispatch = decide(Stubborn, line(), allowed=2)
    assert dispatch.plan.p_mw[0, 0] == -1.5
    assert dispatch.corrections == 2
    assert dispatch.ac_excess_pu == pytest.approx(V_MIN - voltage(LOAD + 1.5), rel=1e-6)


def test_a_controller_that_cannot_correct_a_plan_is_called_once() -> None:
    dispatch = decide(Deaf, line(), allowed=3)
    assert (dispatch.plan.p_mw[0, 0], dispatch.corrections) == (-2.0, 0)
    assert dispatch.ac_excess_pu == pytest.approx(V_MIN - voltage(LOAD + 2.0), rel=1e-6)


def test_a_correction_that_fails_leaves_the_best_plan_and_is_noted() -> None:
    dispatch = decide(Lost, line(), allowed=3, on_failure=OnFailure.STOP)
    assert (dispatch.plan.p_mw[0, 0], dispatch.corrections, dispatch.fallback) == (-2.0, 1, Fallback.NONE)
    assert dispatch.failure.startswith("step 0: correction 1: ControllerError: nothing keeps that (")


def test_no_correction_is_requested_for_the_voltage_of_the_slack_bus() -> None:
    dispatch = decide(Filler, line(v_min_pu=0.9, v_max_pu=0.999), allowed=3)
    assert dispatch.corrections == 0
    assert dispatch.ac_excess_pu == pytest.approx(0.001)


def test_ac_counts_a_device_out_of_service_as_nothing_and_a_derated_one_at_its_share() -> None:
    plant = line(v_min_pu=0.9)
    for share, power in ((0.0, 0.0), (0.25, 0.75), (1.0, 2.0)):
        dispatch = decide(Deaf, plant, flat(plant, availability=np.full((4, 3), share)))
        assert dispatch.plan.prediction is not None
        assert dispatch.plan.prediction.v_pu[0, 1] == pytest.approx(voltage(LOAD + power), abs=1e-9)
        assert dispatch.plan.prediction.energy_mwh[1, 0] == pytest.approx(5.0 + power)
        assert dispatch.plan.p_mw[0, 0] == -2.0  # what a device gives is the device's to say


def test_ac_counts_a_battery_that_is_almost_full_as_what_it_will_do() -> None:
    plant = line(v_min_pu=0.9)
    full = decide(Deaf, plant, energy_mwh=np.array([8.5]))  # 0.5 MWh below its window's end, and asked for 2 MW
    assert full.plan.prediction is not None
    assert full.plan.prediction.energy_mwh[1, 0] == 9.0
    assert full.plan.prediction.v_pu[0, 1] == pytest.approx(voltage(LOAD + 0.5), abs=1e-9)
    assert full.plan.p_mw[0, 0] == -2.0


def test_a_forecast_whose_power_flow_collapses_leaves_the_plan_unchecked() -> None:
    plant = line()
    dispatch = decide(Stubborn, plant, flat(plant, load_p_mw=np.tile([0.0, 30.0], (4, 1))), allowed=3)
    assert np.isnan([dispatch.ac_excess_pu, dispatch.ac_excess_percent]).all()
    assert (dispatch.corrections, dispatch.plan.p_mw[0, 0]) == (0, -2.0)
