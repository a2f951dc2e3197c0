"""The kinds of devices, one folder each: what they are, and what they do in a step.

A device never does what physics or a rating forbids; what was requested beyond it is the shortfall in the outcome.
"""

from gridferry.controllers.devices.clips import Clip
from gridferry.controllers.devices.device import (
    NOWHERE,
    Act,
    Column,
    Coupling,
    Device,
    Injection,
    Now,
    Outcome,
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
from gridferry.controllers.devices.station import Station
from gridferry.controllers.devices.storage import Storage
from gridferry.controllers.devices.traits import storage_of, travels

__all__ = [
    "NOWHERE",
    "Act",
    "Clip",
    "Column",
    "Coupling",
    "Device",
    "Injection",
    "Now",
    "Outcome",
    "Port",
    "Position",
    "Request",
    "Series",
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
