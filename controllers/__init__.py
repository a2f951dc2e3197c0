"""Controllers: they turn measurements and forecasts into plans.

A plug-in author needs the names below, which are those of `gridferry.controllers.contract`. Every controller of ours
has a file of its own in this folder; `gridferry.controllers.registry` finds one by name or path, and
`gridferry.controllers.conformance` tries whether one keeps the contract. Controllers never import one another.
"""

from gridferry.controllers.contract import (
    AcFeedback,
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    Plant,
    Prediction,
    SolverOutcome,
    Station,
    Status,
    Storage,
    Termination,
    hold,
)

__all__ = [
    "AcFeedback",
    "Controller",
    "ControllerError",
    "ControllerSettings",
    "Forecast",
    "Note",
    "NoteKind",
    "Observation",
    "Plan",
    "Plant",
    "Prediction",
    "SolverOutcome",
    "Station",
    "Status",
    "Storage",
    "Termination",
    "hold",
]
