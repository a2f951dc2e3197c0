"""Data of a store: limits, state, series, recorded columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gridferry.controllers import tolerances
from gridferry.controllers.devices.ports import SHARE, Column, Port, Series

AVAILABILITY = Series(
    default=1.0, meaning="share of the rating in service: 0 none, 1 all", limits=SHARE, forecast="as_measured"
)
STORE_SERIES: Mapping[str, Series] = {
    "availability": AVAILABILITY,
    "usable_energy_share": Series(
        default=1.0,
        meaning="share of the rated energy that is usable, above 0",
        limits=replace(
            SHARE,
            above=True,
            meaning="it is the share, above 0, of the rated energy that is usable (availability = 0: out of service)",
        ),
        forecast="as_measured",
    ),
}
STORE_COLUMNS: Mapping[str, Column] = {
    "energy_start_mwh": Column(unit="MWh", meaning="energy at the start of the step"),
    "energy_mwh": Column(unit="MWh", meaning="energy at its end", total="last"),
    "soc": Column(unit="", meaning="energy at its end, of the rated energy", total="last"),
    "availability": Column(unit="", meaning="share of the rating in service"),
    "usable_energy_share": Column(unit="", meaning="share of the rated energy that is usable"),
    "charged_mwh": Column(unit="MWh", meaning="drawn from the grid", total="sum"),
    "discharged_mwh": Column(unit="MWh", meaning="given to the grid", total="sum"),
    "cycles_today": Column(
        unit="", meaning="cycles of the local day that the step belongs to, this step included", total="max"
    ),
    "wear_cost": Column(unit="", meaning="cost of the energy charged, and of the depth of cycles", money=True),
}
STORE_COSTS: Mapping[str, str] = {"wear": "cost of the energy charged, and of the depth of cycles"}


@dataclass(frozen=True)
class Storage:
    """Limits of a battery, stationary or on a truck [A, eqs. 37-41; B, §2.2].

    ``E(t+1) = κ E(t) + Δ (η_ch P_ch - P_dh/η_dh - A √(P² + Q²))``, with ``P = P_dh - P_ch`` the injection.

    Attributes
    ----------
    energy_mwh : rated energy [MWh]
    p_max_mw : largest charging and discharging power, at the grid's side [MW]
    s_max_mva : converter rating, ``P² + Q² ≤ S²`` [MVA]
    eta_charge, eta_discharge : efficiencies η_ch, η_dh
    loss_coefficient : converter loss A [MW per MVA], drawn from the store
    soc_min, soc_max : window of the state of charge
    soc_initial : state of charge at the start of the run
    soc_end_min : minimum state of charge at the end of every day; ``None`` where it is free
    cycles_max_per_day : limit of ``Σ Δ/(2E) (η_ch P_ch + P_dh/η_dh)`` a day, inf where free
    cost_per_mwh_charged : cost of wear, per MWh drawn from the grid [currency/MWh]
    cycles_at_grid : cycles are ``Σ Δ/(2E) (P_ch + P_dh)``, as [A, eq. 38] is quoted
    self_discharge_per_day : share δ of its energy that it loses in 24 h, ``κ = (1 - δ)^(Δ/24 h)``
    ramp_mw_per_h : largest change of P in an hour, inf where free [MW/h]
    p_min_mw : P is 0 or at least this in size [MW]
    wear_by_depth : depth of cycle up to which, as a share of the rated energy and rising to 1, energy taken from the
        store costs how much, rising [currency/MWh]; none where depth does not matter
    """

    energy_mwh: float
    p_max_mw: float
    s_max_mva: float
    eta_charge: float
    eta_discharge: float
    loss_coefficient: float
    soc_min: float
    soc_max: float
    soc_initial: float
    soc_end_min: float | None
    cycles_max_per_day: float
    cost_per_mwh_charged: float
    cycles_at_grid: bool = False
    self_discharge_per_day: float = 0.0
    ramp_mw_per_h: float = math.inf
    p_min_mw: float = 0.0
    wear_by_depth: tuple[tuple[float, float], ...] = ()

    @property
    def segments(self) -> tuple[tuple[float, float], ...]:
        """Segments of the energy by depth of cycle: width, and price of what is taken [MWh, currency/MWh]."""
        depths = (0.0, *(depth for depth, _ in self.wear_by_depth))
        return tuple(
            ((depth - before) * self.energy_mwh, price)
            for before, (depth, price) in zip(depths, self.wear_by_depth, strict=False)
        )

    def kept(self, step_h: float) -> float:
        """Share κ of its energy that is left after a step at rest."""
        return (1.0 - self.self_discharge_per_day) ** (step_h / 24.0) if self.self_discharge_per_day else 1.0

    def ramp_mw(self, step_h: float) -> float:
        """Largest change of P from one step to the next; the least power can always be reached from 0 [MW]."""
        return max(self.ramp_mw_per_h * step_h, self.p_min_mw)

    def reachable(self, p_mw: float, before_mw: float, step_h: float) -> float:
        """Return the power nearest to a requested one that the ramp allows; what lies below the least power is 0.

        Parameters
        ----------
        before_mw : power in the step before [MW]
        """
        ramp = self.ramp_mw(step_h)
        p = min(max(p_mw, before_mw - ramp), before_mw + ramp)
        if abs(p) >= self.p_min_mw:
            return p
        stops = abs(before_mw) <= ramp and abs(p) < self.p_min_mw - tolerances.POWER_MW
        return 0.0 if stops else math.copysign(self.p_min_mw, p)

    def counted(self, charge: Any, discharge: Any) -> Any:
        """Return the power that counts for cycles [MW], of floats, arrays or expressions [A, eq. 38]."""
        if self.cycles_at_grid:
            return charge + discharge
        return self.eta_charge * charge + discharge / self.eta_discharge

    def port(self, name: str, buses: tuple[int, ...]) -> Port:
        """Return the port of a device with this store."""
        return Port(name=name, buses=buses, p_min_mw=-self.p_max_mw, p_max_mw=self.p_max_mw, s_max_mva=self.s_max_mva)

    def due(self, day_ends: Iterable[int], horizon: int, soc_at_end: float | None) -> dict[int, float]:
        """Return the minimum state of charge, by steps of a horizon at whose start it is due.

        Parameters
        ----------
        day_ends : steps at whose start what is due at the end of a day is due
        soc_at_end : due at the end of a horizon that ends inside a day; ``None``: nothing
        """
        due: dict[int, float | None] = dict.fromkeys(day_ends, self.soc_end_min)
        due.setdefault(horizon, soc_at_end)
        return {at: soc for at, soc in due.items() if soc is not None}


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store at the start of a step.

    Attributes
    ----------
    energy_mwh : stored energy [MWh]
    cycles_today : cycles since local midnight, of the rated energy
    usable_energy_share : share of the rated energy that was usable in the step before
    p_mw : injection in the step before [MW]
    depth_mwh : what each of `Storage.segments` holds [MWh]; empty where that is not known
    """

    energy_mwh: float
    cycles_today: float = 0.0
    usable_energy_share: float = 1.0
    p_mw: float = 0.0
    depth_mwh: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if type(self.depth_mwh) is not tuple:  # JSON has lists
            object.__setattr__(self, "depth_mwh", tuple(self.depth_mwh))
