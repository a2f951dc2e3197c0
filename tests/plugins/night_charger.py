"""A rule as a user would write it: batteries charge at night and discharge in the evening; trucks stay."""

from dataclasses import replace

import numpy as np

from gridferry.controllers import Controller, ControllerError, ControllerSettings, Forecast, Observation, Plan, hold
from gridferry.controllers.devices import storage_of


class NightCharger(Controller):
    """Charge every parked store from midnight on, and discharge it in the evening."""

    class Settings(ControllerSettings):
        """Options under ``[controller]``."""

        share: float = 0.5
        """share of the largest power to use"""
        evening_h: float = 17.0
        """hour of the day at which discharging begins"""

    settings: Settings

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return one row: the power that acts now."""
        if not np.isfinite(forecast.buy_price[0]):
            raise ControllerError(f"step {observation.step}: no price")
        plan = hold(self.plant, observation)
        hour = self.plant.step_of_day(observation.step) * self.plant.step_h
        sign = -1.0 if hour < 6.0 else 1.0 if hour >= self.settings.evening_h else 0.0
        p_mw = plan.p_mw.copy()
        for device, state in zip(self.plant.devices, observation.states, strict=True):
            store = storage_of(device)
            if store is None or observation.transit_steps[self.plant.position_columns(device)].any():
                continue
            full = store.soc_max * store.energy_mwh - state.energy_mwh
            stock = state.energy_mwh - store.soc_min * store.energy_mwh
            left = max(full / store.eta_charge if sign < 0 else stock * store.eta_discharge, 0.0) / self.plant.step_h
            rated = self.settings.share * min(store.p_max_mw, store.s_max_mva)
            p_mw[0, self.plant.columns(device).start] = sign * min(rated, 0.9 * left)
        return replace(plan, p_mw=p_mw)
