"""An optimiser as a user would write it: batteries flatten the load of the feeders, by a linear program."""

from dataclasses import replace

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from gridferry.controllers.contract import (
    Controller,
    ControllerError,
    ControllerSettings,
    Forecast,
    Observation,
    Plan,
    Plant,
    SolverOutcome,
    Status,
    hold,
)
from gridferry.controllers.devices import storage_of, travels


class PeakShaver(Controller):
    """Lower the highest net load of the coming hours with all batteries taken together."""

    class Settings(ControllerSettings):
        """Options under ``[controller]``."""

        efficiency: float = 0.95
        """of charging and of discharging"""

    settings: Settings

    def __init__(self, plant: Plant, settings: Settings) -> None:
        """Add up what the batteries can do."""
        super().__init__(plant, settings)
        batteries = [one for one in plant.devices if storage_of(one) is not None and not travels(one)]
        self.stores = [one.storage for one in batteries]
        self.columns = [plant.columns(one).start for one in batteries]
        self.places = [plant.stores.index(one) for one in batteries]
        self.p_max_mw = sum(min(one.p_max_mw, one.s_max_mva) for one in self.stores)

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the power of every battery over the whole horizon."""
        rest = hold(self.plant, observation, forecast.steps)
        if not self.stores or not self.p_max_mw:
            return rest
        load = forecast.net_load_mw(self.plant).sum(axis=1)
        if not np.all(np.isfinite(load)):
            raise ControllerError(f"step {observation.step}: the forecast load is not finite")
        charge, discharge, peak = self._solved(observation, load)
        share = np.array([min(one.p_max_mw, one.s_max_mva) for one in self.stores]) / self.p_max_mw
        rest.p_mw[:, self.columns] = np.outer(discharge - charge, share)
        outcome = SolverOutcome(Status.OPTIMAL, "", objective=peak, bound=peak, gap=0.0)
        return replace(rest, solver=outcome, memory={"peak_mw": peak})

    def _solved(self, observation: Observation, load: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Solve for charging, discharging [MW] and the highest net load [MW]."""
        n, eta, step_h = len(load), self.settings.efficiency, self.plant.step_h
        # the battery that is fullest or emptiest for its size binds all, since they share in proportion to their power
        power = [min(one.p_max_mw, one.s_max_mva) / self.p_max_mw for one in self.stores]
        stored = observation.energy_mwh[self.places]
        up = min((one.soc_max * one.energy_mwh - e) / w for one, e, w in zip(self.stores, stored, power, strict=True))
        down = min((e - one.soc_min * one.energy_mwh) / w for one, e, w in zip(self.stores, stored, power, strict=True))
        one, zero = eye_array(n), csr_array((n, 1))
        running = csr_array(np.tril(np.full((n, n), step_h)))
        rows = [
            hstack([one, -one, csr_array(-np.ones((n, 1)))]),
            hstack([eta * running, -running / eta, zero]),
            hstack([-eta * running, running / eta, zero]),
        ]
        limits = np.concatenate([-load, np.full(n, max(up, 0.0)), np.full(n, max(down, 0.0))])
        cost = np.concatenate([np.full(2 * n, 1e-4), [1.0]])
        bounds = [(0.0, 0.9 * self.p_max_mw)] * (2 * n) + [(None, None)]
        found = linprog(cost, A_ub=vstack(rows), b_ub=limits, bounds=bounds)
        if found.status:
            raise ControllerError(f"step {observation.step}: {found.message}")
        return found.x[:n], found.x[n : 2 * n], float(found.x[-1])
