"""Certified shares: what a number of good days out of days drawn proves [Clopper and Pearson 1934]."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv, ndtri

from gridferry.controllers.tolerances import CERTIFIED_WITH


def certified_share(good: int, days: int) -> float:
    """Return the share that the true one is not below, with a confidence of `CERTIFIED_WITH`."""
    return float(betaincinv(good, days - good + 1, 1.0 - CERTIFIED_WITH)) if good else 0.0


def most_bad(share: float, days: int) -> int:
    """Return the largest number of bad days that still certifies a share; -1 where even none does not."""
    bad = np.arange(days)
    certified = betaincinv(days - bad, bad + 1, 1.0 - CERTIFIED_WITH)
    return int((certified >= share).sum()) - 1


def most_bad_to_repeat(share: float, days: int) -> int:
    """Return the largest number of bad days with which as many fresh days certify the share, almost always.

    Both numbers of bad days vary, each by its root, so that the first must be smaller by as much as their difference
    is within, with a confidence of `CERTIFIED_WITH`. It is at least 0 where any number certifies the share.
    """
    most = most_bad(share, days)
    return most if most < 0 else max(int(most - ndtri(CERTIFIED_WITH) * np.sqrt(2.0 * most)), 0)
