"""A plant whose voltages are strained, and its forecast errors."""

from __future__ import annotations

from dataclasses import replace

from cases.parts import with_devices
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, two_feeders
from gridferry.controllers.contract import Forecast, Observation, Plant

ERRORS = {"load_std": 0.08, "generation_std": 0.2}


def strained(v_min: float = 0.996, v_max: float = 1.05, steps: int = 8) -> tuple[Plant, Observation, Forecast]:
    """The dear evening of the sample plant with two feeders, its truck left out, with limits that bind."""
    sample: Sample = two_feeders(step_s=3600)
    plant = with_devices(
        sample.plant,
        trucks=(),
        stations=(),
        roads=None,
        feeders=tuple(one.with_limits(v_min, v_max) for one in sample.plant.feeders),
        export_price_ratio=1.0,
    )
    observation = replace(at_start(plant), step=6)
    return plant, observation, look_ahead(replace(sample, plant=plant), 6, steps)
