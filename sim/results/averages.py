"""Means over runs that differ only in their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Group:
    """Runs of one config with one controller.

    Attributes
    ----------
    config, controller, currency : what they have in common
    runs : how many they are
    mean : mean of every figure that all of them have, nested as in ``summary.json``
    deviation : standard deviation likewise, of samples; empty for a single run
    """

    config: str
    controller: str
    currency: str
    runs: int
    mean: dict[str, Any]
    deviation: dict[str, Any]


def grouped(summaries: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Group summaries by config and controller, in the order they come, and average each group."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for summary in summaries:
        groups.setdefault((summary["config"], summary["controller"], summary["currency"]), []).append(summary)
    return [
        Group(*names, len(members), _each(members, fmean), _each(members, stdev) if len(members) > 1 else {})
        for names, members in groups.items()
    ]


def _each(members: Sequence[Mapping[str, Any]], statistic: Any) -> dict[str, Any]:
    """Apply a statistic to every number that all summaries have."""
    found: dict[str, Any] = {}
    for key in members[0]:
        values = [one.get(key) for one in members]
        if all(isinstance(one, Mapping) for one in values):
            if inner := _each([dict(one) for one in values if isinstance(one, Mapping)], statistic):
                found[key] = inner
        elif key != "seed" and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
            found[key] = float(statistic(values))
    return found
