"""Margins of controllers: settings, and the maker of margins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from gridferry.controllers.contract import ControllerError, ControllerSettings, Forecast, Plant
from gridferry.controllers.uncertainty.ambiguity import Ambiguity, Scenario
from gridferry.controllers.uncertainty.certificate import certified_share, most_bad
from gridferry.controllers.uncertainty.current_margins import current_margins, loadings
from gridferry.controllers.uncertainty.error_model import Purpose
from gridferry.controllers.uncertainty.error_settings import ErrorSettings, InheritedErrors
from gridferry.controllers.uncertainty.margins import Margins, Norm
from gridferry.controllers.uncertainty.plant_errors import plant_errors
from gridferry.controllers.uncertainty.sensitivities import Linearisation
from gridferry.controllers.uncertainty.voltage_margins import voltage_margins


class MarginSettings(ControllerSettings):
    """Base of controllers' settings with margins of voltages and currents against forecast errors."""

    scenario: Scenario = Scenario.DRCC
    """``none`` (no device is used), ``deterministic``, ``robust`` or ``drcc``"""
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """share of cases in which the limit of every single bus, or rated branch, and step is to hold, whatever the
    distribution in the ball"""
    radius: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.003
    """radius of the Wasserstein ball, in the unit of the relative errors"""
    norm: Norm = Norm.ONE
    """ground norm of the Wasserstein distance: ``"1"``, ``"2"`` or ``"inf"``"""
    support: Literal["box", "unbounded"] = "box"
    """whether the distributions in the ball keep to the errors' support"""
    samples: Annotated[int, Field(ge=1, le=100_000)] = 30
    """number of error samples at the centre of the ball"""
    seed: Annotated[int, Field(ge=0)] = 0
    """seed of the samples"""
    errors: InheritedErrors = ErrorSettings()
    """forecast errors, where the forecast brings no samples of its own: those of ``[forecast.errors]`` without bias,
    with every key that is given here instead; loads err by 5 % and generation by 10 % where neither has any"""
    update_decay_h: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """updates with the last measurement: an error τ ahead has ``√(1 - exp(-2 τ / update_decay_h))`` of its
    full size, as in a first-order process with that correlation time [h]; 0: its full size at once"""
    secant: bool = True
    """scale the sensitivities to the AC power flow at the worst errors, so that curvature costs no reliability"""
    joint_confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """share of days on which all voltages and currents are to hold together: ``confidence`` is then tuned for it, in AC
    on days drawn for that, and fresh days certify the first plan; off when not given"""
    joint_days: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """days drawn for tuning, and as many fresh ones for the certificate"""

    @model_validator(mode="after")
    def _can_be_certified(self) -> MarginSettings:
        if self.joint_confidence is None:
            return self
        if self.scenario is not Scenario.DRCC:
            raise ValueError(f'joint_confidence tunes the confidence of scenario "drcc", not of "{self.scenario}"')
        if most_bad(self.joint_confidence, self.joint_days) < 0:
            best = certified_share(self.joint_days, self.joint_days)
            raise ValueError(f"{self.joint_days} joint_days certify at most {best:.4f}, joint_confidence is more")
        return self


class MarginMaker:
    """Maker of the margins of a plant."""

    def __init__(self, plant: Plant, settings: MarginSettings):
        self._plant, self.settings = plant, settings
        self.errors, self._model = plant_errors(plant, settings.errors)
        # a day of samples: a step keeps its samples while the horizon recedes
        day = plant.steps_in_24_h
        self._day_samples = self._model.draw(settings.samples, day, seed=settings.seed, purpose=Purpose.IN_SAMPLE)
        self._day_box = self._model.support(day)

    def ambiguity(self, step: int, forecast: Forecast, confidence: float | None = None) -> Ambiguity:
        """Return the ambiguity set of the errors over a horizon that begins at ``step``.

        Parameters
        ----------
        confidence : of every single limit; that of the settings when not given

        Raises
        ------
        ControllerError
            where the forecast's own samples do not match the plant's sources of errors.
        """
        settings, sources = self.settings, len(self.errors.sources)
        if forecast.error_samples is not None:
            samples = forecast.error_samples
            if samples.shape[2] != sources or len(samples) == 0:
                raise ControllerError(
                    f"the forecast brings error samples of shape {samples.shape}; at least one sample of {sources} "
                    f"sources is needed: {', '.join(self.errors.sources)}"
                )
            given = forecast.error_support
            box = np.stack([samples.min(axis=0), samples.max(axis=0)]) if given is None else given
        else:
            rows = self._plant.clock_steps(np.arange(step, step + forecast.steps)) % self._plant.steps_in_24_h
            size = self._size(forecast.steps)[:, None]
            samples, box = self._day_samples[:, rows] * size, self._day_box[:, rows] * size
        return Ambiguity(
            scenario=settings.scenario,
            errors=self.errors,
            samples=samples,
            box=box,
            bounded=settings.support == "box",
            confidence=settings.confidence if confidence is None else confidence,
            radius=settings.radius,
            norm=settings.norm,
            secant=settings.secant,
        )

    def days(
        self, step: int, horizon: int, purpose: Purpose, chunk: int, days: int | None = None
    ) -> Iterator[Float[np.ndarray, "day horizon source"]]:
        """Draw days of a purpose in chunks: horizons from ``step`` on, with errors as large as those of margins.

        Parameters
        ----------
        days : how many; ``joint_days`` when not given
        """
        rows, size = np.arange(horizon), self._size(horizon)[:, None]
        first = self._plant.clock_steps(step + rows) - rows
        drawn = self._model.stream(
            self.settings.joint_days if days is None else days,
            horizon,
            seed=self.settings.seed,
            purpose=purpose,
            first_step=first,
            chunk=chunk,
        )
        return (one * size for one in drawn)

    def _size(self, horizon: int) -> Float[np.ndarray, " horizon"]:
        """Size of the errors relative to the full one, by the time since the last measurement."""
        if self.settings.update_decay_h == 0:
            return np.ones(horizon)
        ahead_h = self._plant.step_h * np.arange(1, horizon + 1)
        return np.sqrt(1.0 - np.exp(-2.0 * ahead_h / self.settings.update_decay_h))

    def margins(
        self,
        forecast: Forecast,
        ambiguity: Ambiguity,
        p_device: Float[np.ndarray, "horizon bus"],
        q_device: Float[np.ndarray, "horizon bus"],
    ) -> Margins:
        """Return the margins at given injections [MW, Mvar].

        Raises
        ------
        ControllerError
            where there is no power flow to take sensitivities at.
        """
        plant = self._plant
        if ambiguity.scenario is Scenario.DETERMINISTIC:
            of_buses, of_branches = (np.zeros((forecast.steps, n)) for n in (plant.n_bus, plant.n_branch))
            return Margins(of_buses, of_buses, of_branches, of_branches)
        p_bus, q_bus = p_device - forecast.net_load_mw(plant), q_device - forecast.load_q_mvar
        try:
            at = Linearisation.at(plant, ambiguity.errors, forecast, p_bus, q_bus)
            return Margins(*voltage_margins(at, ambiguity), current_margins(at, ambiguity), loadings(at))
        except ValueError as error:
            raise ControllerError(f"no margins: {error}") from error
