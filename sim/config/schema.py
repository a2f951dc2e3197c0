"""Schema of configs: frozen pydantic models of the TOML file; unknown keys are refused.

Only single values are checked here; what ties one part to another (buses, stations, profiles) is checked in
`gridferry.sim.case`. Types are strict: a number in quotes is no number, ``true`` is no 1.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gridferry.controllers.devices import Device
from gridferry.controllers.devices.config_parts import (
    BusName,
    Choice,
    FileName,
    Finite,
    Name,
    Part,
    Power,
    Profile,
    inconsistent,
)
from gridferry.networks.roads.travel import Rounding
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.forecast_schema import ForecastConfig
from gridferry.sim.config.networks.schema import ElementsConfig
from gridferry.sim.config.profile_schema import ProfileSource, Zone

_PLACE = r"^[^:\s]+:([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$"
Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Voltage = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]


class TimeConfig(Part):
    """Time: start, step length and number of steps."""

    start: Annotated[datetime, Choice]
    """local time of the first step; with an offset or in a ``timezone`` where the profiles' time stamps have offsets"""
    timezone: Zone = None
    """time zone by whose clocks days are counted, such as ``"Europe/Berlin"``; without one all days have 24 hours"""
    step_s: Annotated[int, Field(gt=0)]
    """step length [s]; must divide the day"""
    steps: Annotated[int, Field(gt=0, le=10_000_000)]
    """number of steps"""
    horizon_steps: Annotated[int, Field(gt=0)] | None = None
    """length of forecasts in steps; the rest of the run when not given"""

    @field_validator("start", mode="before")
    @classmethod
    def _no_bare_number(cls, value: Any) -> Any:
        # pydantic would read a number as seconds since 1970
        if not isinstance(value, date):
            raise ValueError("expected a date and time without quotes, such as 2024-06-14T00:00:00")
        return value

    @property
    def clock(self) -> Clock:
        """The clock of the run, in the time zone where there is one."""
        start = self.start
        if self.timezone is not None:
            zone = ZoneInfo(self.timezone)
            start = start.replace(tzinfo=zone) if start.tzinfo is None else start.astimezone(zone)
        return Clock(start, self.step_s, self.steps)


class NetworkConfig(Part):
    """A distribution network."""

    name: Name
    feeder: FileName
    """catalogue name, pandapower ``.json`` or ``.xlsx``, MATPOWER ``.m``, OpenDSS ``.dss``, CGMES ``.zip`` or ``.xml``,
    ``simbench:CODE``, ``package.module:function``"""
    v_min_pu: Voltage | None = None
    """lower voltage limit of every bus [pu]; the source's own limits when not given"""
    v_max_pu: Voltage | None = None
    """upper voltage limit of every bus [pu]"""
    slack_v_pu: Annotated[float, Field(ge=0.5, le=1.5, allow_inf_nan=False)] | None = None
    """voltage of the slack bus [pu]; the source's own when not given"""
    loading_max_percent: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    """limit of the branch loading, where ratings are known [%]; the source's own when not given, else 100"""
    import_max_mw: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    """largest power drawn from the grid above [MW]; no limit when not given"""
    export_max_mw: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    """largest power given to the grid above, 0 for none at all [MW]; no limit when not given"""
    peak_import_mw: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.0
    """highest import of the billing period before the run begins, which the demand charge goes by [MW]"""
    supply: str | int | None = None
    """name or index of an external grid, or of its bus: only what it feeds is taken"""
    split: bool = False
    """make a network of what each supply feeds: NAME-1, NAME-2, …"""
    open: list[str] = Field(default=[])
    """lines, transformers and switches to open, such as ``"line 12"``, or by their names"""
    balanced: bool = False
    """take loads and sources of single phases as balanced ones of the same sum"""
    generators: Literal["pq"] | None = None
    """``"pq"``: generators that hold a voltage get the fixed P and Q that they have in the net's own power flow"""
    profiles: Literal["network"] | None = None
    """``"network"``: the net's own time series count, and its loads are drawn"""
    elements: ElementsConfig = ElementsConfig()
    """what becomes of loads, static generators and storages that the network brings"""

    @model_validator(mode="after")
    def _one_supply(self) -> NetworkConfig:
        if self.split and self.supply is not None:
            raise inconsistent({"split": "give either supply or split"}, {"split": False})
        return self


class LoadConfig(Part):
    """Load at one bus, or nominal loads of the feeder, scaled by a factor; what is at one bus replaces there."""

    network: str
    bus: BusName | None = None
    """the bus; every bus with a nominal load when not given"""
    factor: Profile | None = None
    """multiplies the nominal load"""
    p_mw: Profile | None = None
    """active power [MW], instead of a factor"""
    q_mvar: Profile | None = None
    """reactive power [Mvar], beside ``p_mw``"""
    cos_phi: Annotated[float, Field(gt=0, le=1)] | None = None
    """power factor, inductive: the reactive power is ``p_mw tan φ``, with a factor that of the scaled nominal load"""
    signed: bool = False
    """whether it may be negative, as what a net meter shows where there is generation behind it"""

    @model_validator(mode="after")
    def _one_form(self) -> LoadConfig:
        repair = {"factor": 1.0, "p_mw": None, "q_mvar": None, "cos_phi": None}
        if (self.factor is None) == (self.p_mw is None):
            raise inconsistent({"factor": "give either factor or p_mw"}, repair)
        if self.p_mw is not None and self.bus is None:
            raise inconsistent({"bus": "p_mw needs a bus; name it, or scale the nominal loads with a factor"}, repair)
        if self.q_mvar is not None and self.p_mw is None:
            raise inconsistent({"q_mvar": "goes with p_mw; a factor scales both p and q"}, repair)
        if self.q_mvar is not None and self.cos_phi is not None:
            raise inconsistent({"cos_phi": "give either q_mvar or cos_phi"}, repair)
        return self

    @property
    def q_per_p(self) -> float | None:
        """``tan φ``; ``None`` where no power factor is given."""
        return None if self.cos_phi is None else math.tan(math.acos(self.cos_phi))


class DemandPeriod(StrEnum):
    """Billing period of the demand charge, by the local calendar."""

    DAY = "day"
    MONTH = "month"


class PricesConfig(Part):
    """Tariffs."""

    buy: Profile = 0.0
    """price of energy from the grid above [currency/MWh]"""
    sell: Profile = 0.0
    """price that customers pay for their load [currency/MWh]"""
    export_ratio: Finite = 1.0
    """price of export as a share of the buying price"""
    demand_charge_per_mw: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    """price of the highest import of each network in a billing period, 0 for none [currency/MW]"""
    demand_period: Annotated[DemandPeriod, Choice] = DemandPeriod.MONTH
    """billing period of the demand charge: ``"day"`` or ``"month"``"""


class StationConfig(Part):
    """A place where trucks connect."""

    name: Name
    network: str
    bus: BusName
    node: str | None = None
    """its node in a road graph; the station's name when not given"""
    places: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """trucks that can be plugged in at once; who came first stays, who finds it full waits; all when not given"""
    p_max_mw: Power | None = None
    """largest power of all trucks there, charging and discharging added [MW]; no limit when not given"""


class RoadColumns(Part):
    """Congestion of each road, in a column of its name."""

    profile: str
    """key of ``[profiles]``; its columns are named as the roads are, ``from-to``"""
    scale: Finite = 1.0
    """the columns are multiplied by this"""


class ClosureConfig(Part):
    """A road of a graph that is not entered for a while."""

    road: str
    """its name, ``from-to``; one-way"""
    begin: Annotated[datetime, Choice]
    """when it is closed, by local time"""
    end: Annotated[datetime, Choice]
    """when it is open again"""


class RoadsConfig(Part):
    """Travel between the stations: a distance matrix or a road graph."""

    distance_km: list[list[Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]]] | None = None
    """rows: from; columns: to; in the order of ``[[stations]]`` [km]"""
    graph: FileName | None = None
    """CSV of from, to, km or minutes, optional capacity, b, power, volume; or ``.tntp``, ``.geojson``, ``.graphml``"""
    volumes: FileName | None = None
    """traffic on each road, beside the congestion: CSV of from, to, volume [veh/h], or a ``.tntp`` of flows"""
    minutes_per_unit: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    """minutes in a unit of a ``.tntp``'s times"""
    km_per_unit: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    """kilometres in a unit of a ``.tntp``'s lengths"""
    closures: list[ClosureConfig] = Field(default=[])
    """roads of the graph that are closed for a while, as everybody knows"""
    speed_km_h: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] | None = None
    """speed of travel, for the matrix and for roads of a graph without a time [km/h]"""
    install_min: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)] = 0.0
    """time to connect after arrival [min]"""
    rounding: Annotated[Rounding, Choice] = Rounding.NEAREST
    """how travel times are rounded to steps"""
    congestion: Profile | RoadColumns = 0.0
    """delay of trips [min] for a matrix, traffic [veh/h] for a graph; of all roads, or ``{ profile = … }`` of each"""

    @model_validator(mode="after")
    def _one_form(self) -> RoadsConfig:
        repair = {"distance_km": [[0.0]], "speed_km_h": 1.0, "graph": None}
        if (self.distance_km is None) == (self.graph is None):
            raise inconsistent({"distance_km": "give either distance_km or graph"}, repair)
        if self.distance_km is not None and self.speed_km_h is None:
            raise inconsistent({"speed_km_h": "needed with distance_km; give the speed of travel [km/h]"}, repair)
        for key in ("volumes", "closures"):
            if self.graph is None and getattr(self, key):
                raise inconsistent({key: "needs a graph; distances have no roads"}, repair | {key: None})
        return self


class OnFailure(StrEnum):
    """Fallback of the host if the controller fails."""

    PREVIOUS_PLAN = "previous_plan"
    IDLE = "idle"
    STOP = "stop"


class ControllerConfig(BaseModel):
    """The controller and its settings."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    use: str = "idle"
    """built-in name, ``package.module:Class``, ``path/file.py:Class``, or the name of an installed plug-in"""
    on_failure: Annotated[OnFailure, Choice] = OnFailure.PREVIOUS_PLAN
    """what is dispatched if the controller fails"""
    ac_corrections: Annotated[int, Field(ge=0, strict=True)] = 0
    """largest number of corrected plans requested in a step, where AC on the forecast violates limits"""

    step_timeout_s: Seconds | None = None
    """longest time for a plan, then the controller's process is killed, and the step counts as failed; 600 where a
    controller in a process of its own has none [s]"""
    own_process: Annotated[bool, Field(strict=True)] | None = None
    """whether the controller runs in a process of its own; when not given, plug-ins and those with a time-out do"""

    @model_validator(mode="after")
    def _killed_from_outside(self) -> ControllerConfig:
        if self.own_process is False and self.step_timeout_s is not None:
            message = "a time-out needs a process of its own; leave one of the two out"
            raise inconsistent({"own_process": message}, {"own_process": None})
        return self

    def settings(self) -> dict[str, Any]:
        """Return the controller's own options."""
        return dict(self.model_extra or {})


class AcEngine(StrEnum):
    """Engine of the AC power flow."""

    PANDAPOWER = "pandapower"
    POWER_GRID_MODEL = "power-grid-model"
    SWEEP = "sweep"


class GridConfig(Part):
    """AC power flow."""

    ac_engine: Annotated[AcEngine, Choice] = AcEngine.PANDAPOWER
    """engine of the power flow"""
    tolerance_mva: Annotated[float, Field(gt=0, le=1e-3, allow_inf_nan=False)] = 1e-9
    """largest mismatch of a solved flow, if rounding does not leave more [MVA]"""
    max_iterations: Annotated[int, Field(gt=0, le=1000)] = 20
    """iterations before a step counts as diverged"""
    v_tolerance_pu: Annotated[float, Field(ge=0, le=0.1, allow_inf_nan=False)] = 1e-6
    """tolerance of voltage limits: smaller violations do not count [pu]"""
    loading_tolerance_percent: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 1e-3
    """tolerance of branch loading: smaller violations do not count [%]"""


class SimulatorConfig(Part):
    """Place of a simulator."""

    connect: Annotated[str, Field(pattern=_PLACE)] | None = None
    """``host:port`` of a simulator started by hand; in this process when not given"""


class SimulatorsConfig(Part):
    """Simulators that can run in other processes."""

    forecasts: SimulatorConfig = SimulatorConfig()
    grid: SimulatorConfig = SimulatorConfig()
    agents: SimulatorConfig = SimulatorConfig()
    controller: SimulatorConfig = SimulatorConfig()
    start_timeout_s: Seconds = 120.0
    """how long one in another process may take to connect, and to answer while the run is set up [s]"""
    step_timeout_s: Seconds = 600.0
    """how long one in another process may take to answer in a step; more than the controller needs for a plan [s]"""


class RecordConfig(Part):
    """Recording of results."""

    flush_steps: Annotated[int, Field(gt=0, le=10_000)] = 96
    """largest number of steps in a transaction; a killed run loses at most these, or those of the last 5 s"""


class DevicesConfig(Part):
    """Kinds of devices beside those that come with the project."""

    use: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    """``path/file.py:Class`` beside this file, ``package.module:Class``, or the name of an installed plug-in"""


class Config(Part):
    """A co-simulation case.

    `gridferry.sim.config.kinds.config_model` adds a table for every kind of device, an array of `Device.Config`.
    """

    kinds: ClassVar[tuple[type[Device[Any]], ...]] = ()
    """whose tables it has, in the order in which a plant has its devices"""

    name: Name
    """used for the run directory"""
    title: str = ""
    """title in one line"""
    currency: Annotated[str, Field(max_length=16, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")] = "USD"
    """unit of money"""
    seed: Annotated[int, Field(ge=0)] = 0
    """seed of all random numbers"""
    time: TimeConfig
    """steps of the run"""
    profiles: dict[Name, ProfileSource] = Field(default={})
    """files of time series, by the name that ``"source.column"`` uses"""
    networks: Annotated[list[NetworkConfig], Field(min_length=1)]
    """distribution networks"""
    loads: list[LoadConfig] = Field(default=[])
    """loads of the networks"""
    prices: PricesConfig = PricesConfig()
    """tariffs"""
    stations: list[StationConfig] = Field(default=[])
    """where trucks connect"""
    roads: RoadsConfig | None = None
    """travel between the stations; needed with trucks"""
    devices: DevicesConfig = DevicesConfig()
    """kinds of devices beside those that come with the project"""
    forecast: ForecastConfig = ForecastConfig()
    """forecasts for the controller"""
    controller: ControllerConfig = ControllerConfig()
    """the controller and its settings"""
    controllers: dict[str, dict[str, Any]] = Field(default={})
    """settings of controllers, by name, for the one in use; keys of ``[controller]`` win"""
    grid: GridConfig = GridConfig()
    """AC power flow"""
    cache_dir: FileName | None = None
    """folder of converted networks; else that of the environment variable ``GRIDFERRY_CACHE_DIR``, or the user's own"""
    simulators: SimulatorsConfig = SimulatorsConfig()
    """simulators in other processes"""
    record: RecordConfig = RecordConfig()
    """recording of results"""

    def entries(self, kind: type[Device[Any]]) -> list[Any]:
        """Return the entries of a kind's table, instances of `Device.Config`."""
        found: list[Any] = getattr(self, kind.table)
        return found
