"""The devices as pure transitions ``(state, setpoint, conditions) -> (state, outcome)``: batteries, trucks, links.

An agent never does what physics or a rating forbids; what was asked beyond it is the shortfall in the outcome.
"""

from sim.agents.link import step_link
from sim.agents.storage import StoreState, initial_store, step_store
from sim.agents.transition import Clip, Outcome, Phase, Setpoint, StepConditions, Travel, travel_under
from sim.agents.truck import TruckState, initial_truck, step_truck

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
