"""The kinds of devices, one folder each: what they are, and what they do in a step.

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
from gridferry.controllers.devices.device import (
    ANY,
    MAGNITUDE,
    NOWHERE,
    SHARE,
    Act,
    Column,
    Coupling,
    Device,
    Injection,
    Limits,
    Now,
    Outcome,
    Outcomes,
    Port,
    Position,
    Request,
    Series,
    Stateless,
    Travel,
    rest,
    states_of_json,
    states_to_json,
    step_all,
)
from gridferry.controllers.devices.site import Site
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.storage import Storage
from gridferry.controllers.devices.traits import storage_of, travels

__all__ = [
    "ANY",
    "MAGNITUDE",
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
