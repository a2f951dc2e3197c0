"""Controller that replays a schedule, for its validation on the AC grid."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, model_validator

from gridferry.controllers.contract import (
    Controller,
    ControllerSettings,
    Forecast,
    Note,
    NoteKind,
    Observation,
    Plan,
    Plant,
    SolverOutcome,
    Termination,
)
from gridferry.controllers.plans.plan_reader import PowerUnit, read_plan
from gridferry.controllers.settings import ConfigPath


class Replay(Controller):
    """Play a plan.csv, whatever happens."""

    class Settings(ControllerSettings):
        """Options of `Replay`."""

        file: ConfigPath
        """the plan.csv, relative to the config"""
        hold: bool = False
        """play a plan of longer steps than the config's, each for as many steps as it lasts"""
        unit: PowerUnit = "MW"
        """unit of powers whose columns do not name theirs"""
        steps: Annotated[int, Field(gt=0)] | None = None
        """how many of the first steps it is for; all when not given"""
        _start: datetime | None = PrivateAttr(None)

        @model_validator(mode="after")
        def _of_run(self, info: Any) -> Replay.Settings:
            self._start = (info.context or {}).get("start")
            return self

    settings: Settings

    def __init__(self, plant: Plant, settings: Settings):
        super().__init__(plant, settings)
        start = settings._start
        self.schedule = read_plan(
            settings.file, plant, start, hold=settings.hold, steps=settings.steps, unit=settings.unit
        )

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the rows of the schedule from this step to the end of the forecast.

        What is on the road drives on until it arrives where the schedule has named no position of it yet.
        """
        schedule, step = self.schedule, observation.step
        rows = slice(step, min(step + forecast.steps, self.plant.steps))
        position = schedule.position[rows].copy()
        for column, remaining in enumerate(observation.transit_steps):
            silent = ~schedule.position_named[rows][:remaining, column]
            position[:remaining, column][silent] = observation.position[column]
        solver = SolverOutcome(termination=Termination.RULE)
        if step in schedule.without_row:
            solver = replace(solver, notes=(Note(NoteKind.NO_ROW, place=schedule.without_row[step]),))
        return Plan(
            p_mw=schedule.p_mw[rows].copy(),
            q_mvar=schedule.q_mvar[rows].copy(),
            position=position,
            solver=solver,
        )
