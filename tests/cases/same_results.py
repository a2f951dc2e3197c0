"""Runs that came to the same results."""

from __future__ import annotations

import numpy as np

from gridferry.sim import Run

COLUMNS = {
    "bus": ["v_pu", "va_deg", "p_mw", "q_mvar"],
    "network": ["import_mw", "losses_mw"],
    "device": ["p_mw", "q_mvar", "energy_mwh"],
}


def assert_same_results(one: Run, other: Run, atol: float = 1e-9) -> None:
    """AC results and what devices did are the same."""
    for table, columns in COLUMNS.items():
        left, right = one.table(table), other.table(table)
        assert len(left) == len(right) > 0
        np.testing.assert_allclose(
            left[columns].to_numpy(float), right[columns].to_numpy(float), rtol=0, atol=atol, equal_nan=True
        )
