"""A rule as a user would write it: whatever has steps is switched by the hour."""

import numpy as np

from gridferry.controllers import Controller, ControllerSettings, Forecast, Observation, Plan, hold


class StepSwitcher(Controller):
    """Set all positions that are no stations by a timetable."""

    class Settings(ControllerSettings):
        """Options under ``[controller]``."""

        timetable: tuple[int, ...] = (0,)
        """step of each quarter-hour of a run, the last one from then on"""

    settings: Settings

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the whole horizon, so that what it says of later steps is of no importance."""
        plan = hold(self.plant, observation, forecast.steps)
        steps = np.arange(observation.step, observation.step + forecast.steps)
        wanted = np.array(self.settings.timetable)[np.minimum(steps, len(self.settings.timetable) - 1)]
        for column, position in enumerate(self.plant.positions):
            if not position.with_routes:
                plan.position[:, column] = wanted
        return plan
