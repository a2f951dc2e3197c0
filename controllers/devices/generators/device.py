"""A generator with a profile: it injects its output, or less where a controller limits it.

    P = min(available, u),   P² + Q² ≤ S²

The available power is that of the profile, as far as the rating leaves it. A fixed cos φ is kept at any P: there
``P ≤ S cos φ``. A Q that is requested of a curtailable generator goes before P, so that it is done however much the
sun gives; elsewhere P goes before Q.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip, reactive_within
from gridferry.controllers.devices.device import NOTHING, Device
from gridferry.controllers.devices.generators.config import GeneratorConfig, Reactive
from gridferry.controllers.devices.ports import Act, Column, Port, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.steps import Injection, Now, Outcome, Outcomes, Request, Requests, Stateless

_LARGEST_MW = 1000.0
"""no series of a config is larger: a limit that limits nothing, where no rating is known"""


@dataclass(frozen=True)
class Generator(Device[Stateless]):
    """Generator with a profile (PV, wind, other); ``feed_in_tariff`` is paid for what it feeds in [currency/MWh].

    Attributes
    ----------
    curtailable : a controller may limit its output
    curtailment_cost_per_mwh : of the energy that it is curtailed by [currency/MWh]
    s_max_mva : rating, infinite where none is known [MVA]
    reactive : what gives its Q
    q_per_p : Q by P under a fixed cos φ
    q_of_v : points of Q(U), as `Port` has them
    """

    table: ClassVar[str] = "generators"
    block: ClassVar[str] = "gridferry.controllers.devices.generators.block:generator_block"
    version: ClassVar[int] = 2
    port_kind: ClassVar[str] = "generator"
    Config: ClassVar[type[GeneratorConfig]] = GeneratorConfig
    series: ClassVar[Mapping[str, Series]] = {
        "p_mw": Series(default=0.0, meaning="output [MW]", port=0, forecast="uncertain", error="generation")
    }
    columns: ClassVar[Mapping[str, Column]] = {
        "available_mwh": Column(unit="MWh", meaning="could have been fed in", total="sum"),
        "curtailed_mwh": Column(unit="MWh", meaning="of that, not fed in", total="sum"),
        "fed_in_mwh": Column(unit="MWh", meaning="of that, fed in", total="sum"),
    }
    costs: ClassVar[Mapping[str, str]] = {
        "feed_in": "feed-in tariff of what it feeds in",
        "curtailment": "cost of what it is curtailed by",
    }

    name: str
    kind: str
    network: int
    bus: int
    feed_in_tariff: float
    curtailable: bool = False
    curtailment_cost_per_mwh: float = 0.0
    s_max_mva: float = math.inf
    reactive: Reactive = Reactive.NONE
    q_per_p: float = 0.0
    q_of_v: tuple[tuple[float, float], ...] = ()

    @classmethod
    def build(cls, config: GeneratorConfig, site: Site) -> Generator:
        """Build a generator from its entry of ``[[generators]]``."""
        return cls(
            name=config.name,
            kind=config.kind,
            network=site.network(config.network),
            bus=site.bus(config.network, config.bus),
            feed_in_tariff=config.feed_in_tariff,
            curtailable=config.curtailable,
            curtailment_cost_per_mwh=config.curtailment_cost_per_mwh,
            s_max_mva=math.inf if config.s_max_mva is None else config.s_max_mva,
            reactive=config.reactive,
            q_per_p=config.q_per_p,
            q_of_v=tuple((one.v_pu, one.q_mvar) for one in config.q_of_v or ()),
        )

    @cached_property
    def p_max_mw(self) -> float:
        """Largest active power [MW]."""
        return self.s_max_mva / math.hypot(1.0, self.q_per_p)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The port at its bus."""
        most = min(self.p_max_mw, _LARGEST_MW) if self.curtailable else self.p_max_mw
        return (
            Port(
                name=self.name,
                buses=(self.bus,),
                p_min_mw=0.0,
                p_max_mw=most,
                s_max_mva=self.s_max_mva,
                act=Act.LIMIT if self.curtailable else Act.FOLLOWS,
                rest_mw=most if self.curtailable else 0.0,
                q_act=Act.SETPOINT if self.reactive is Reactive.DISPATCH else Act.FOLLOWS,
                q_per_p=self.q_per_p,
                q_of_v=self.q_of_v,
            ),
        )

    @property
    def error_group(self) -> str:
        """Its source of energy: sun, wind or another."""
        return self.kind

    def initial_state(self, now: Now) -> Stateless:
        """A generator has no state."""
        return Stateless()

    def step(self, state: Stateless, request: Request, now: Now) -> tuple[Stateless, Outcome]:
        """Inject the output of the step, within the limit where there is one."""
        available = min(now.series.get("p_mw", 0.0), self.p_max_mw)
        p_mw = min(available, max(request.p_mw[0], 0.0)) if self.curtailable else available
        q_mvar, clips = self.q_per_p * p_mw, tuple[str, ...]()
        if self.reactive is Reactive.DISPATCH:
            if self.curtailable:
                p_mw = min(p_mw, reactive_within(self.s_max_mva, request.q_mvar[0], math.inf))
            q_mvar = reactive_within(self.s_max_mva, p_mw, request.q_mvar[0])
            clips = (Clip.RATING,) if abs(q_mvar - request.q_mvar[0]) > NEGLIGIBLE_MW else ()
        port = Injection(self.bus, p_mw, q_mvar, clips=clips)
        fed_in, curtailed = now.step_h * p_mw, now.step_h * (available - p_mw)
        row = {"available_mwh": now.step_h * available, "curtailed_mwh": curtailed, "fed_in_mwh": fed_in}
        return state, Outcome((port,), source_mwh=fed_in, money=self.paid(fed_in, curtailed), row=row)

    def simulate_many(
        self, state: Stateless, requests: Requests, nows: Sequence[Now], series: Mapping[str, np.ndarray] = NOTHING
    ) -> Outcomes:
        """Inject the output in many samples at once."""
        shape = requests.p_mw.shape
        output = np.array([now.series.get("p_mw", 0.0) for now in nows])
        available = np.minimum(np.broadcast_to(series.get("p_mw", output), shape[:2]), self.p_max_mw)
        p_mw = np.minimum(available, np.maximum(requests.p_mw[:, :, 0], 0.0)) if self.curtailable else available
        q_mvar = self.q_per_p * p_mw
        if self.reactive is Reactive.DISPATCH:
            q_mvar = requests.q_mvar[:, :, 0]
            if self.curtailable:
                p_mw = np.minimum(p_mw, self._room(q_mvar))
            q_mvar = np.clip(q_mvar, -self._room(p_mw), self._room(p_mw))
        step_h = nows[0].step_h
        return Outcomes(
            bus=np.full(shape, self.bus),
            p_mw=p_mw[:, :, None],
            q_mvar=q_mvar[:, :, None],
            stored_mwh=np.zeros(shape[:2]),
            money=self.paid(step_h * p_mw, step_h * (available - p_mw)),
        )

    def _room(self, power: np.ndarray) -> np.ndarray:
        """What P leaves of the rating for Q, or Q for P."""
        return np.sqrt(np.maximum((self.s_max_mva - power) * (self.s_max_mva + power), 0.0))

    def paid(self, fed_in_mwh: Any, curtailed_mwh: Any) -> dict[str, Any]:
        """Cost of energies fed in and curtailed [currency]."""
        return {
            "feed_in": self.feed_in_tariff * fed_in_mwh,
            "curtailment": self.curtailment_cost_per_mwh * curtailed_mwh,
        }
