"""π sections between any two buses, and the reductions that make them a radial feeder.

Both are exact. A branch that ends nowhere, or where it began, draws a current in proportion to the voltage at its one
bus, so it is a shunt there. Branches side by side add up to one branch if their shifts are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int


@dataclass(frozen=True, eq=False)
class PiSections:
    """Branches as in MATPOWER: an ideal transformer ``ratio : 1`` at ``from_bus``, then a π section.

    Attributes
    ----------
    names : names of the branches
    from_bus, to_bus : numbers of the buses at the ends
    y_series : series admittance [pu]
    y_from, y_to : shunt admittance at the ends, behind the transformer [pu]
    ratio : turns ratio of the transformer
    shift_deg : its phase shift, ``to_bus`` lagging when positive [degree]
    i_max_pu : largest current of the π section [pu], inf where no rating is known
    loading_max : limit of the current, as a share of that
    """

    names: tuple[str, ...]
    from_bus: Int[np.ndarray, " branch"]
    to_bus: Int[np.ndarray, " branch"]
    y_series: Complex[np.ndarray, " branch"]
    y_from: Complex[np.ndarray, " branch"]
    y_to: Complex[np.ndarray, " branch"]
    ratio: Float[np.ndarray, " branch"]
    shift_deg: Float[np.ndarray, " branch"]
    i_max_pu: Float[np.ndarray, " branch"]
    loading_max: Float[np.ndarray, " branch"]

    def take(self, selection: Bool[np.ndarray, " branch"] | Int[np.ndarray, " taken"]) -> PiSections:
        """Select branches by mask or by number."""
        numbers = np.arange(len(self.names))[selection]
        arrays: dict[str, Any] = {
            name: value[numbers] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, names=tuple(self.names[number] for number in numbers), **arrays)


def fold_dead_ends(
    sections: PiSections, is_bus: Bool[np.ndarray, " node"]
) -> tuple[PiSections, Complex[np.ndarray, " node"]]:
    """Turn branches with an open end, and branches from a bus to itself, into shunts.

    Parameters
    ----------
    sections : the branches
    is_bus : for every number that ``from_bus`` and ``to_bus`` may have, whether it is a bus; the other numbers stand
        for open ends, one branch each

    Returns
    -------
    The branches between two different buses, and the shunt admittance [pu] to add at every number.
    """
    shunt = np.zeros(is_bus.size, dtype=complex)
    at_from, at_to = is_bus[sections.from_bus], is_bus[sections.to_bus]
    loop = at_from & at_to & (sections.from_bus == sections.to_bus)
    y, y_from, y_to = sections.y_series, sections.y_from, sections.y_to

    open_to = at_from & ~at_to
    seen = (y_from + y * y_to / (y + y_to)) / sections.ratio**2
    np.add.at(shunt, sections.from_bus[open_to], seen[open_to])
    open_from = at_to & ~at_from
    seen = y_to + y * y_from / (y + y_from)
    np.add.at(shunt, sections.to_bus[open_from], seen[open_from])
    turn = sections.ratio * np.exp(1j * np.deg2rad(sections.shift_deg))
    seen = (y + y_from) / sections.ratio**2 + y + y_to - y / turn - y / turn.conj()
    # the series part of a plain line cancels; do not leave its rounding behind
    seen = np.where(turn == 1.0, y_from + y_to, seen)
    np.add.at(shunt, sections.from_bus[loop], seen[loop])
    return sections.take(at_from & at_to & ~loop), shunt


def merge_parallel(sections: PiSections) -> PiSections:
    """Merge parallel branches whose shifts are equal; their ratios may differ.

    The rating of the sum is the current at which the first of them reaches its own, shared by series admittance
    (charging left aside); so is its limit. Where ratios differ, what circulates without load is taken off the ratings.
    """
    return _merge_ratios(_merge_equal(sections))


def _merge_ratios(sections: PiSections) -> PiSections:
    """Merge what is still parallel, by its sum of two-port admittances, which is that of one section of one ratio.

    With real turns ratios t_k : 1 and one shift, ``y/t = Σ y_k/t_k`` is the admittance between the buses. Any t will
    do; that of the mean leaves least for the shunts.
    """
    pairs: dict[frozenset[int], list[int]] = {}
    for number, ends in enumerate(zip(sections.from_bus.tolist(), sections.to_bus.tolist(), strict=True)):
        pairs.setdefault(frozenset(ends), []).append(number)
    kept = [group[0] for group in pairs.values()]
    merged = sections.take(np.array(kept, dtype=np.int64))
    names = list(merged.names)
    for place, group in enumerate(pairs.values()):
        if len(group) == 1:
            continue
        own = sections.take(np.array(group, dtype=np.int64))
        same_way = (own.from_bus == own.from_bus[0]) & (
            np.abs((own.shift_deg - own.shift_deg[0] + 180.0) % 360.0 - 180.0) < 1e-9
        )
        if not same_way.all():
            return sections  # a loop, of which the reader tells
        y, t = own.y_series, own.ratio
        ratio = float((np.abs(y) * t).sum() / np.abs(y).sum())
        between = ratio * (y / t).sum()
        names[place] = " + ".join(own.names)
        merged.y_series[place], merged.ratio[place] = between, ratio
        merged.y_from[place] = ratio**2 * ((y + own.y_from) / t**2).sum() - between
        merged.y_to[place] = (y + own.y_to).sum() - between
        circulating = np.abs(y * (1.0 / t - (y / t).sum() / y.sum()))
        per_share = np.maximum(own.i_max_pu - circulating, 1e-3 * own.i_max_pu) * np.abs(y.sum() / y)
        limit = per_share * own.loading_max
        merged.i_max_pu[place] = per_share.min()
        merged.loading_max[place] = limit.min() / per_share.min() if np.isfinite(per_share.min()) else 1.0
    return replace(merged, names=tuple(names))


def _merge_equal(sections: PiSections) -> PiSections:
    """Merge parallel branches whose ratios and shifts are equal."""
    plain = (sections.ratio == 1.0) & (sections.shift_deg == 0.0)
    turn = plain & (sections.from_bus > sections.to_bus)
    sections = replace(
        sections,
        from_bus=np.where(turn, sections.to_bus, sections.from_bus),
        to_bus=np.where(turn, sections.from_bus, sections.to_bus),
        y_from=np.where(turn, sections.y_to, sections.y_from),
        y_to=np.where(turn, sections.y_from, sections.y_to),
    )
    groups: dict[tuple[float, ...], list[int]] = {}
    for number, key in enumerate(
        zip(sections.from_bus, sections.to_bus, sections.ratio, sections.shift_deg, strict=True)
    ):
        groups.setdefault(key, []).append(number)
    if len(groups) == len(sections.names):
        return sections
    first = sections.take(np.array([group[0] for group in groups.values()], dtype=np.int64))
    y, y_from, y_to = (
        np.array([values[group].sum() for group in groups.values()])
        for values in (sections.y_series, sections.y_from, sections.y_to)
    )
    per_share = sections.i_max_pu / np.abs(sections.y_series)
    rated, limit = (
        np.array([values[group].min() for group in groups.values()])
        for values in (per_share, per_share * sections.loading_max)
    )
    return replace(
        first,
        names=tuple(" + ".join(sections.names[number] for number in group) for group in groups.values()),
        y_series=y,
        y_from=y_from,
        y_to=y_to,
        i_max_pu=rated * np.abs(y),
        loading_max=np.divide(limit, rated, out=np.ones(len(y)), where=np.isfinite(rated)),
    )
