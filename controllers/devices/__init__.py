"""The devices as pure transitions ``(state, setpoint, conditions) -> (state, outcome)``: batteries, trucks, links.

An agent never does what physics or a rating forbids; what was asked beyond it is the shortfall in the outcome.
"""

from gridferry.controllers.devices.link import step_link
from gridferry.controllers.devices.storage import StoreState, initial_store, step_store
from gridferry.controllers.devices.transition import (
    Clip,
    Outcome,
    Phase,
    Setpoint,
    StepConditions,
    Travel,
    travel_under,
)
from gridferry.controllers.devices.truck import TruckState, initial_truck, step_truck

__all__ = [
    "Clip",
    "Outcome",
    "Phase",
    "Setpoint",
    "StepConditions",
    "StoreState",
    "Travel",
    "TruckState",
    "initial_store",
    "initial_truck",
    "step_link",
    "step_store",
    "step_truck",
    "travel_under",
]
