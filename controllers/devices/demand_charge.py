"""Demand charge: a price on the highest import of each network within a billing period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

DEMAND = "demand"
"""The cost term of the demand charge."""


@dataclass(frozen=True, eq=False)
class DemandCharge:
    """Demand charge of all networks.

    Attributes
    ----------
    per_mw : price of the highest import of a period [currency/MW]
    first_steps : steps of the run with which billing periods begin, but for the one that the run begins in
    peak_before_mw : highest import of each network in that one before the run [MW]
    """

    per_mw: float
    first_steps: tuple[int, ...]
    peak_before_mw: tuple[float, ...]

    def periods(self, step: int, horizon: int) -> Int[np.ndarray, " horizon"]:
        """Number of the billing period of every step of a horizon, 0 for that of its first step."""
        number = np.searchsorted(np.array(self.first_steps, dtype=np.int64), np.arange(step, step + horizon), "right")
        return number - number[0]

    def peaks(
        self,
        step: int,
        before_mw: Float[np.ndarray, " network"],
        import_mw: Float[np.ndarray, "*batch horizon network"],
    ) -> Float[np.ndarray, "*batch horizon+1 network"]:
        """Highest import of the billing period so far: before every step of a horizon, and after its last [MW].

        Parameters
        ----------
        before_mw : at the start of the horizon, of the period of its first step [MW]
        import_mw : by step; what is not known counts as none [MW]
        """
        drawn = np.maximum(np.nan_to_num(import_mw), 0.0)
        period = self.periods(step, drawn.shape[-2] + 1)
        found = np.empty((*drawn.shape[:-2], drawn.shape[-2] + 1, drawn.shape[-1]))
        found[..., 0, :] = before_mw
        for row in range(drawn.shape[-2]):
            highest = np.maximum(found[..., row, :], drawn[..., row, :])
            found[..., row + 1, :] = highest if period[row + 1] == period[row] else 0.0
        return found

    def cost(
        self,
        step: int,
        before_mw: Float[np.ndarray, " network"],
        import_mw: Float[np.ndarray, "*batch horizon network"],
    ) -> Float[np.ndarray, "*batch horizon"]:
        """What every step adds to the charge: the price of what its import is above the highest so far [currency].

        Parameters
        ----------
        before_mw, import_mw : as `peaks` takes them
        """
        above = np.maximum(import_mw - self.peaks(step, before_mw, import_mw)[..., :-1, :], 0.0)
        return self.per_mw * above.sum(axis=-1)
