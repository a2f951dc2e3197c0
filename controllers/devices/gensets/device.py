"""A genset: power from fuel, at its least power or more while it runs.

A setpoint is limited in this order: P by the rating, by the fuel that is left, by the least power, below which it is 0;
Q by the rating at that P. A genset with a least power gives Q only while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip, reactive_within
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.gensets.config import GensetConfig
from gridferry.controllers.devices.ports import Column, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests
from gridferry.controllers.devices.stores.many import with_rest_alone
from gridferry.controllers.devices.stores.storage import AVAILABILITY


@dataclass(frozen=True, slots=True)
class GensetState:
    """A genset at the start of a step.

    Attributes
    ----------
    runs : whether it ran in the step before
    fuel_mwh : energy of the fuel in the tank [MWh]; ``None`` without end
    """

    runs: bool = False
    fuel_mwh: float | None = None


@dataclass(frozen=True)
class Genset(Device[GensetState]):
    """A generator that burns fuel."""

    table: ClassVar[str] = "gensets"
    block: ClassVar[str] = "gridferry.controllers.devices.gensets.block:genset_block"
    port_kind: ClassVar[str] = "genset"
    Config: ClassVar[type[GensetConfig]] = GensetConfig
    State: ClassVar[type[GensetState]] = GensetState
    example: ClassVar[Mapping[str, Any]] = {
        "p_max_mw": 1.0,
        "p_min_mw": 0.3,
        "efficiency": 0.4,
        "fuel_cost_per_mwh": 30.0,
        "start_cost": 5.0,
        "fuel_mwh": 2.0,
    }
    series: ClassVar[Mapping[str, Series]] = {"availability": AVAILABILITY}
    columns: ClassVar[Mapping[str, Column]] = {
        "runs": Column(unit="", meaning="whether it ran", of=bool, total="sum"),
        "started": Column(unit="", meaning="whether it was started", of=bool, total="sum"),
        "burned_mwh": Column(unit="MWh", meaning="energy of the fuel burned", total="sum"),
        "fuel_mwh": Column(unit="MWh", meaning="energy of the fuel in the tank at the end of the step", total="last"),
        "availability": Column(unit="", meaning="share of the rating in service"),
    }
    costs: ClassVar[Mapping[str, str]] = {"genset_fuel": "fuel of gensets", "genset_starts": "starts of gensets"}

    name: str
    bus: int
    config: GensetConfig

    @classmethod
    def build(cls, config: GensetConfig, site: Site) -> Genset:
        """Build a genset from its entry of ``[[gensets]]``."""
        return cls(config.name, site.bus(config.network, config.bus), config)

    @cached_property
    def s_max_mva(self) -> float:
        """Rating [MVA]."""
        return self.config.p_max_mw if self.config.s_max_mva is None else self.config.s_max_mva

    @cached_property
    def p_max_mw(self) -> float:
        """Largest power [MW]."""
        return min(self.config.p_max_mw, self.s_max_mva)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The port at its bus."""
        return (
            Port(name=self.name, buses=(self.bus,), p_min_mw=0.0, p_max_mw=self.p_max_mw, s_max_mva=self.s_max_mva),
        )

    def initial_state(self, now: Now) -> GensetState:
        """At rest, with its fuel."""
        return GensetState(False, self.config.fuel_mwh)

    def step(self, state: GensetState, request: Request, now: Now) -> tuple[GensetState, Outcome]:
        """Run within all limits."""
        availability = now.series.get("availability", 1.0)
        p, q, clips = self._limited(state, request.p_mw[0], request.q_mvar[0], now.step_h, availability)
        given, runs = now.step_h * p, p > 0
        burned = given / self.config.efficiency
        left = None if state.fuel_mwh is None else max(state.fuel_mwh - burned, 0.0)
        starts = runs and not state.runs
        port = Injection(
            self.bus, p, q, now.step_h * abs(request.p_mw[0] - p), loss_mwh=burned - given, clips=tuple(clips)
        )
        money = {
            "genset_fuel": self.config.fuel_cost_per_mwh * burned,
            "genset_starts": self.config.start_cost * starts,
        }
        row = {"runs": runs, "started": starts, "burned_mwh": burned, "fuel_mwh": left, "availability": availability}
        return GensetState(runs, left), Outcome((port,), source_mwh=burned, money=money, row=row)

    def _limited(
        self, state: GensetState, p_requested: float, q_requested: float, step_h: float, availability: float
    ) -> tuple[float, float, list[Clip]]:
        """P and Q that limits leave of a request, and why they are others."""
        share, least = min(max(availability, 0.0), 1.0), self.config.p_min_mw
        rated = min(max(p_requested, 0.0), share * self.p_max_mw)
        clips = []
        if abs(rated - p_requested) > NEGLIGIBLE_MW:
            clips.append(Clip.RATING if share > 0 else Clip.OUT_OF_SERVICE)
        p = rated
        if state.fuel_mwh is not None:
            p = min(rated, state.fuel_mwh * self.config.efficiency / step_h)
        if rated - p > NEGLIGIBLE_MW:
            clips.append(Clip.ENERGY_EMPTY)
        if p < least:
            near = p >= least - NEGLIGIBLE_MW
            if not near and p > NEGLIGIBLE_MW:
                clips.append(Clip.LEAST_POWER)
            p = p if near else 0.0
        q = reactive_within(share * self.s_max_mva, p, q_requested) if p > 0 or least == 0 else 0.0
        if abs(q - q_requested) > NEGLIGIBLE_MW and not clips:
            clips.append(Clip.RATING if p > 0 or least == 0 else Clip.NOT_RUNNING)
        return p, q, clips

    def simulate_many(
        self, state: GensetState, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Simulate many schedules."""
        config, step_h = self.config, nows[0].step_h
        p, q = requests.p_mw[:, :, 0], requests.q_mvar[:, :, 0]
        known = np.array([[now.series.get("availability", 1.0) for now in nows]])
        share = np.clip(series.get("availability", known), 0.0, 1.0)
        runs, burned = p > 0, step_h * p / config.efficiency
        within = (p == 0) | ((p >= config.p_min_mw) & (p > 0) & (p <= share * self.p_max_mw))
        with np.errstate(over="ignore"):
            within &= (q == 0) | (q * q <= (share * self.s_max_mva - p) * (share * self.s_max_mva + p))
        within &= (q == 0) | runs | (config.p_min_mw == 0)
        if state.fuel_mwh is not None:
            within &= np.cumsum(burned, axis=1) <= state.fuel_mwh
        before = np.concatenate([np.full((len(p), 1), state.runs), runs[:, :-1]], axis=1)
        money = {
            "genset_fuel": config.fuel_cost_per_mwh * burned,
            "genset_starts": config.start_cost * (runs & ~before),
        }
        shape = requests.p_mw.shape
        outcomes = Outcomes(np.full(shape, self.bus), requests.p_mw, requests.q_mvar, np.zeros(shape[:2]), money)
        return with_rest_alone(self, within.all(axis=1), (state, requests, nows, series), outcomes)
