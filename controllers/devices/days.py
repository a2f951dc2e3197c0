"""Days of a horizon."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def by_day(day: Int[np.ndarray, " step"]) -> Float[np.ndarray, "day step"]:
    """Matrix that sums steps into days."""
    return (day[None, :] == np.arange(day.max(initial=0) + 1)[:, None]).astype(float)
