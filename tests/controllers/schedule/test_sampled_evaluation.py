"""One schedule under many samples, against the evaluation of each sample as a forecast of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, two_feeders
from gridferry.controllers.contract import Forecast, Plan, Plant
from gridferry.controllers.devices.generators.config import Reactive
from gridferry.controllers.devices.generators.device import Generator
from gridferry.controllers.schedule.ac_evaluation import evaluate_plan
from gridferry.controllers.schedule.sampled_evaluation import SampledEvaluation

STEPS, SAMPLES = 6, 4


def drawn_plan(plant: Plant) -> Plan:
    """Powers up to the ratings, and trips between stations, beyond what devices can do."""
    rng = np.random.default_rng(1)
    rated = np.where(np.isfinite(plant.port_p_max_mw), plant.port_p_max_mw, 1.0)
    allowed = [range(len(one.labels)) if one.allowed is None else one.allowed for one in plant.positions]
    return Plan(
        p_mw=rng.uniform(-1, 1, (STEPS, plant.n_port)) * rated,
        q_mvar=rng.uniform(-0.2, 0.2, (STEPS, plant.n_port)) * rated,
        position=np.stack([np.repeat(rng.choice(one, STEPS // 3), 3) for one in allowed], axis=1),
    )


def limited(sample: Sample) -> Sample:
    """The sample with generators that take limits, whose Q follows the voltage."""
    devices = tuple(
        replace(one, curtailable=True, s_max_mva=0.6, reactive=Reactive.Q_OF_V, q_of_v=((0.98, 0.2), (1.01, -0.2)))
        if isinstance(one, Generator)
        else one
        for one in sample.plant.devices
    )
    return replace(sample, plant=replace(sample.plant, devices=devices))


@pytest.mark.parametrize("with_limits", [False, True])
@pytest.mark.parametrize("tables", [("generators",), ("generators", "batteries", "links", "trucks"), ()])
def test_samples_come_to_what_each_comes_to_as_a_forecast(tables: tuple[str, ...], with_limits: bool) -> None:
    sample = limited(two_feeders()) if with_limits else two_feeders()
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, STEPS)
    plan, rng = drawn_plan(plant), np.random.default_rng(2)
    sampled = [one for one in plant.devices if one.table in tables]
    shares = rng.uniform(0.3, 1.0, (SAMPLES, STEPS))
    series = {
        one.key: {key: values * shares for key, values in ahead.of(one).items() if key != "usable_energy_share"}
        for one in sampled
    }
    factor = rng.uniform(0.5, 1.1, (SAMPLES, STEPS, 1))
    evaluation = SampledEvaluation(plant, plan, seen, ahead, [one.key for one in sampled])
    found = evaluation.evaluate(ahead.load_p_mw * factor, ahead.load_q_mvar * factor, series)
    for k in range(SAMPLES):
        own = {device: {key: values[k] for key, values in of.items()} for device, of in series.items()}
        forecast: Forecast = replace(
            ahead,
            load_p_mw=ahead.load_p_mw * factor[k],
            load_q_mvar=ahead.load_q_mvar * factor[k],
            series={device: {**of, **own.get(device, {})} for device, of in ahead.series.items()},
        )
        alone = evaluate_plan(plant, plan, seen, forecast)
        np.testing.assert_allclose(found.flow.v[k], alone.flow.v[0], rtol=0, atol=1e-8 if with_limits else 1e-11)
        np.testing.assert_allclose(found.energy_mwh[k], alone.energy_mwh[0], rtol=0, atol=1e-12)
        assert found.costs.keys() == alone.costs.keys()
        atol = 1e-5 if with_limits else 1e-9
        for name, term in alone.costs.items():
            np.testing.assert_allclose(found.costs[name][k], term[0], rtol=0, atol=atol, err_msg=name)
