"""Controller that replays a schedule, for its validation on the AC grid."""

from __future__ import annotations

from gridferry.controllers.contract import Controller, ControllerSettings, Forecast, Observation, Plan, Plant
from gridferry.controllers.plans.plan_file import read_plan
from gridferry.controllers.settings import ConfigPath


class Replay(Controller):
    """Play a plan.csv, whatever happens."""

    class Settings(ControllerSettings):
        """Options of `Replay`."""

        file: ConfigPath
        """the plan.csv, relative to the config"""

    settings: Settings

    def __init__(self, plant: Plant, settings: Settings):
        super().__init__(plant, settings)
        self.schedule = read_plan(settings.file, plant)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the rows of the schedule from this step to the end of the forecast.

        What is on the road drives on until it arrives, whatever the schedule says meanwhile.
        """
        rows = slice(observation.step, min(observation.step + forecast.steps, self.plant.steps))
        position = self.schedule.position[rows].copy()
        for column, remaining in enumerate(observation.transit_steps):
            position[:remaining, column] = observation.position[column]
        return Plan(p_mw=self.schedule.p_mw[rows].copy(), q_mvar=self.schedule.q_mvar[rows].copy(), position=position)
