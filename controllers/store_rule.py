"""Price rule of one store, within its window, its cycles and the energy due by midnight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from gridferry.controllers.contract import Storage

# energies below this are none: rounding of sums over a day, in MWh
_NONE_MWH = 1e-9


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices ahead, and today's thresholds for charging and discharging.

    Attributes
    ----------
    buy : forecast from now on, at most two days and never beyond the run [currency/MWh]
    low, median, high : charge at or below ``low``, discharge at or above ``high`` [currency/MWh]
    moderate_share : share of the rating used between them, 0 to rest there
    left_of_day : steps until midnight or the end of the run, this one included
    day : number of the day
    """

    buy: Float[np.ndarray, " rest"]
    low: float
    median: float
    high: float
    moderate_share: float
    left_of_day: int
    day: int

    @property
    def sees_day(self) -> bool:
        """Whether the prices are known until midnight or the end of the run; nothing is traded otherwise."""
        return len(self.buy) >= self.left_of_day

    @property
    def today(self) -> Float[np.ndarray, " rest"]:
        """Prices until midnight, as far as they are known."""
        return self.buy[: self.left_of_day]


@dataclass(frozen=True)
class Period:
    """Period of charging or of discharging: steps ``start`` to ``stop`` (exclusive) from now."""

    start: int
    stop: int
    charges: bool


class StoreRule:
    """Price rule of one store.

    Parameters
    ----------
    store : its limits
    step_h : step length [h]
    power_share : share of its rating that is used
    """

    def __init__(self, store: Storage, step_h: float, power_share: float):
        self.store = store
        self.step_h = step_h
        self.p_rated = min(store.p_max_mw, store.s_max_mva)
        self.share = power_share
        # energy in the store per energy at the grid, converter loss included (Q = 0)
        self.gain = store.eta_charge - store.loss_coefficient
        self.drain = 1.0 / store.eta_discharge + store.loss_coefficient
        self.e_min = store.soc_min * store.energy_mwh
        self.e_max = store.soc_max * store.energy_mwh
        self.e_due = self.e_min if store.soc_end_min is None else max(store.soc_end_min * store.energy_mwh, self.e_min)
        # cycles per energy at the grid [A, eq. 38]
        self.cycles_in = store.counted(1.0, 0.0) / (2.0 * store.energy_mwh)
        self.cycles_out = store.counted(0.0, 1.0) / (2.0 * store.energy_mwh)

    # --------------------------------------------------------------------------------------------------------- power

    def power(self, energy: float, cycles: float, prices: Prices) -> float:
        """Return the injection of this step [MW]; 0 if neither charging nor discharging pays or is possible."""
        refill = self._refill(energy, cycles, prices)
        share = self._share(prices)
        if refill > 0.0 or share < 0.0:
            bought = max(refill, self._charge(energy, cycles, prices, -share) if share < 0.0 else 0.0)
            return -bought if bought > 0.0 else 0.0
        return self._discharge(energy, cycles, prices, share) if share > 0.0 else 0.0

    def _share(self, prices: Prices) -> float:
        """Share of the rating to use by price alone; negative to charge."""
        now = float(prices.buy[0])
        if prices.low >= prices.high:
            return 0.0
        if now <= prices.low:
            return -self.share
        if now >= prices.high:
            return self.share
        if now == prices.median:
            return 0.0
        return -prices.moderate_share if now < prices.median else prices.moderate_share

    def _charge(self, energy: float, cycles: float, prices: Prices, share: float) -> float:
        """Charging power [MW], if the energy can be sold again at a profit."""
        if not self._resells_at_profit(prices)[0]:
            return 0.0
        there_and_back = self.cycles_in + self.gain / self.drain * self.cycles_out
        room = min(self._room(energy), self._cycles_left(cycles) / there_and_back)
        return min(share * self.p_rated, room / self.step_h)

    def _refill(self, energy: float, cycles: float, prices: Prices) -> float:
        """Charging power of this step, to reach the energy due at midnight at the lowest price [MW].

        The refill takes the cheapest of the steps left, as far as they are known, and charges at full power when there
        is no time left to wait.
        """
        missing = self._due(prices) - energy
        if missing <= _NONE_MWH or self.gain <= 0.0:
            return 0.0
        energy_mwh = min(missing / self.gain, self._cycles_left(cycles) / self.cycles_in)
        slots = math.ceil(missing / (self.step_h * self.share * self.p_rated * self.gain) - 1e-9)
        now = prices.buy[0]
        if slots > prices.left_of_day:
            return min(self.p_rated, energy_mwh / self.step_h)
        cheaper = int(np.count_nonzero(prices.today[1:] < now))
        return min(self.share * self.p_rated, energy_mwh / self.step_h) if cheaper < slots else 0.0

    def _discharge(self, energy: float, cycles: float, prices: Prices, share: float) -> float:
        """Discharging power [MW]; below the energy due only what can be bought back today at a profit."""
        spare = max(energy - self._due(prices), 0.0) / self.drain
        deep = self._deep(energy, cycles, prices)
        energy_out = min(share * self.p_rated * self.step_h, deep)
        if energy_out > spare and not self._buys_back(energy_out, energy, prices):
            energy_out = spare
        return energy_out / self.step_h

    def _deep(self, energy: float, cycles: float, prices: Prices) -> float:
        """Largest energy to discharge this step that can be refilled by midnight within window and cycles [MWh]."""
        above_floor = max(energy - self.e_min, 0.0) / self.drain
        spare = max(energy - self._due(prices), 0.0) / self.drain
        missing = max(self._due(prices) - energy, 0.0)
        if self.gain <= 0.0:
            return min(above_floor, spare, self._cycles_left(cycles) / self.cycles_out)
        refilled = (prices.left_of_day - 1) * self.step_h * self.share * self.p_rated * self.gain
        in_time = spare + max(refilled - missing, 0.0) / self.drain
        left = self._cycles_left(cycles) - missing / self.gain * self.cycles_in
        if left <= 0.0:
            return 0.0
        if left <= self.cycles_out * spare:
            by_cycles = left / self.cycles_out
        else:
            both = self.cycles_out + self.drain / self.gain * self.cycles_in
            by_cycles = spare + (left - self.cycles_out * spare) / both
        return max(min(above_floor, in_time, by_cycles), 0.0)

    def _buys_back(self, energy_out: float, energy: float, prices: Prices) -> bool:
        """Whether selling now pays more than buying the energy back in the cheapest steps before midnight."""
        missing = self._due(prices) - (energy - energy_out * self.drain)
        slots = max(math.ceil(missing / (self.step_h * self.share * self.p_rated * self.gain) - 1e-9), 1)
        price = float(np.partition(prices.today[1:], slots - 1)[slots - 1])
        return float(prices.buy[0]) / self.drain > (price + self.store.cost_per_mwh_charged) / self.gain

    def _resells_at_profit(self, prices: Prices) -> Bool[np.ndarray, " today"]:
        """Whether energy charged in each remaining step of the day is sold later, and pays at the threshold."""
        if self.gain <= 0.0:
            return np.zeros(len(prices.today), dtype=bool)
        last = np.flatnonzero(prices.today >= prices.high).max(initial=-1)
        pays = prices.high / self.drain > (prices.today + self.store.cost_per_mwh_charged) / self.gain
        return pays & (np.arange(len(prices.today)) < last)

    def _due(self, prices: Prices) -> float:
        """Energy that becomes what is due at midnight, if the store rests until then [MWh]."""
        if self.e_due <= self.e_min:
            return self.e_due
        return min(self.e_due / self.store.kept(self.step_h) ** prices.left_of_day, self.e_max)

    def fills_mw(self, energy: float) -> float:
        """Charging power of this step that fills the store [MW]."""
        return self._room(energy) / self.step_h

    def _room(self, energy: float) -> float:
        """Energy that can be bought before the store is full [MWh]."""
        return max(self.e_max - energy, 0.0) / self.gain if self.gain > 0.0 else 0.0

    def _cycles_left(self, cycles: float) -> float:
        return max(self.store.cycles_max_per_day - cycles, 0.0)

    # ----------------------------------------------------------------------------------------------------- trips

    def next_period(self, energy: float, cycles: float, prices: Prices) -> Period | None:
        """Return the next period of charging or discharging today that energy and cycles allow."""
        if prices.low >= prices.high or self._cycles_left(cycles) <= 0.0:
            return None
        today = prices.today
        step_energy = self.step_h * self.share * self.p_rated
        charges = (today <= prices.low) & self._resells_at_profit(prices)
        if self._room(energy) < step_energy:
            charges = np.zeros_like(charges)
        discharges = today >= prices.high
        # a store that is empty now may still be full by then, unless discharging comes before charging
        if not charges.any() and self._deep(energy, cycles, prices) < step_energy:
            return None
        works = charges | discharges
        if not works.any():
            return None
        start = int(np.argmax(works))
        if not charges[start] and self._deep(energy, cycles, prices) < step_energy:
            later = np.flatnonzero(charges)
            if not len(later):
                return None
            start = int(later[0])
        way = charges if charges[start] else discharges
        ends = np.flatnonzero(~way[start:])
        return Period(start, start + int(ends[0]) if len(ends) else len(today), bool(charges[start]))

    def may_leave(self, energy: float, transit_steps: int, prices: Prices) -> bool:
        """Whether the energy due at midnight can still be charged after a trip that is late by a quarter."""
        missing = self._due(prices) - energy
        if missing <= _NONE_MWH:
            return True
        steps = prices.left_of_day - transit_steps - 1 - transit_steps // 4
        return steps * self.step_h * self.share * self.p_rated * self.gain >= missing
