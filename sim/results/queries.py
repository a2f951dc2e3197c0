"""Queries of a record that give figures by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import duckdb


def figures(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    expressions: Mapping[str, str],
    parameters: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return aggregates over a source by name, without those that are missing, infinite or no number.

    Parameters
    ----------
    source : what follows ``FROM``
    expressions : SQL of each figure, by its name
    parameters : values of the names in the SQL, such as ``$v_tolerance``
    """
    if not expressions:
        return {}
    selected = ", ".join(expressions.values())
    (values,) = connection.execute(f"SELECT {selected} FROM {source}", dict(parameters or {})).fetchall()
    return known(dict(zip(expressions, values, strict=True)))


def known(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out figures without a finite value."""
    return {
        name: value
        for name, value in found.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
