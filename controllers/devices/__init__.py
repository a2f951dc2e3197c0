"""Kinds of devices, one folder each: their data, physics and optimisation blocks.

A device never does what physics or a rating forbids; what was requested beyond it is the shortfall in the outcome.
"""

from gridferry.controllers.devices.clips import Clip
from gridferry.controllers.devices.config_parts import (
    BusName,
    Choice,
    DeviceConfig,
    Finite,
    Fraction,
    Name,
    NonNegative,
    Part,
    Positive,
    Profile,
)
from gridferry.controllers.devices.coupled_step import Coupling, step_all
from gridferry.controllers.devices.device import NOTHING, Device, rest
from gridferry.controllers.devices.ports import ANY, MAGNITUDE, SHARE, Act, Column, Limits, Port, Position, Series
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.states import states_of_json, states_to_json
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.steps import (
    NOWHERE,
    Injection,
    Now,
    Outcome,
    Outcomes,
    Request,
    Requests,
    Stateless,
    Travel,
)
from gridferry.controllers.devices.stores.storage import Storage
from gridferry.controllers.devices.traits import storage_of, travels

__all__ = [
    "ANY",
    "MAGNITUDE",
    "NOTHING",
    "NOWHERE",
    "SHARE",
    "Act",
    "BusName",
    "Choice",
    "Clip",
    "Column",
    "Coupling",
    "Device",
    "DeviceConfig",
    "Finite",
    "Fraction",
    "Injection",
    "Limits",
    "Name",
    "NonNegative",
    "Now",
    "Outcome",
    "Outcomes",
    "Part",
    "Port",
    "Position",
    "Positive",
    "Profile",
    "Request",
    "Requests",
    "Series",
    "Site",
    "Stateless",
    "Station",
    "Storage",
    "Travel",
    "rest",
    "states_of_json",
    "states_to_json",
    "step_all",
    "storage_of",
    "travels",
]
