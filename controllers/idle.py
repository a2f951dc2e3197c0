"""Controller that does nothing: the reference for all others."""

from __future__ import annotations

from gridferry.controllers.contract import Controller, Forecast, Observation, Plan, hold


class Idle(Controller):
    """Do nothing: no power, no trips."""

    steps_read = 1

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return one row of zeros; a truck on the road drives on."""
        return hold(self.plant, observation)
