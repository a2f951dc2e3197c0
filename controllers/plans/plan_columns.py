"""Columns of a plan file: one row per step and device, or one column per device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gridferry.controllers.plans.plan_file import COLUMNS, PlanRow
from gridferry.networks.faults import no_such

_KINDS: Mapping[str, tuple[str, float | None]] = {
    "p_mw": ("p_mw", None),
    "p_kw": ("p_mw", 1e-3),
    "q_mvar": ("q_mvar", None),
    "q_kvar": ("q_mvar", 1e-3),
    "position": ("position", None),
    "station": ("position", None),
}
"""what a heading names, and MW in its unit where it says that"""
_WHEN = ("step", "time", "step_s")


@dataclass(frozen=True, kw_only=True)
class ValueColumn:
    """A column of powers or positions.

    Attributes
    ----------
    place : its number, from 0 on
    heading : what the file calls it
    what : ``p_mw``, ``q_mvar`` or ``position``
    device : whose it is; empty where another column says so
    scale : MW in the unit that the heading names
    """

    place: int
    heading: str
    what: str
    device: str = ""
    scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlanColumns:
    """Places of the columns; ``None`` for what the file does not have."""

    step: int | None
    time: int | None
    step_s: int | None
    device: int | None
    values: tuple[ValueColumn, ...]

    @property
    def powers(self) -> list[ValueColumn]:
        """Columns with numbers."""
        return [one for one in self.values if one.what != "position"]

    def of(self, device: str) -> dict[str, ValueColumn]:
        """Columns of a device, by what they have."""
        return {one.what: one for one in self.values if one.device in ("", device)}


def has_steps(cells: Sequence[str]) -> bool:
    """Whether the cells of a header are those of a plan."""
    return any(cell.strip() in _WHEN for cell in cells)


def columns_of(header: Sequence[str], rows: Mapping[str, PlanRow], fault: Callable[[str, str], None]) -> PlanColumns:
    """Find the columns of a plan by its header.

    Parameters
    ----------
    rows : of a step, by name
    fault : takes the column and what is wrong
    """
    wide = has_steps(header) and "device" not in header and not set(_KINDS) & set(header)
    values = [*(_wide if wide else _long)(header, rows, fault)]
    for name in dict.fromkeys(one for one in header if one in (*_WHEN, "device")):
        if header.count(name) > 1:
            fault(name, "named twice in the header; keep one")
    seen: dict[tuple[str, str], ValueColumn] = {}
    for one in values:
        first = seen.setdefault((one.device, one.what), one)
        if first.heading == one.heading != "" and first is not one:
            fault(one.heading, "named twice in the header; keep one")
        elif first is not one:
            old, new = sorted((first.heading, one.heading), key=lambda name: name != "station")
            why = f'"{old}" being its old name' if old == "station" else f'as "{old}", too'
            fault(new, f"named twice in the header, {why}; keep one")
    place = {name: header.index(name) if name in header else None for name in (*_WHEN, "device")}
    return PlanColumns(**place, values=tuple(values))


def _long(header: Sequence[str], rows: Mapping[str, PlanRow], fault: Callable[[str, str], None]) -> list[ValueColumn]:
    values = [
        ValueColumn(place=place, heading=name, what=_KINDS[name][0], scale=_KINDS[name][1])
        for place, name in enumerate(header)
        if name in _KINDS
    ]
    there = {one.what for one in values} | {name for name in ("step", "device") if name in header}
    there |= {"step"} if "time" in header else set()
    optional = {"q_mvar"} if any(one.position is not None for one in rows.values()) else {"q_mvar", "position"}
    others = [name for name in header if name not in COLUMNS and name]
    for name in COLUMNS:
        if name not in there and name not in optional:
            message = no_such("column", name, others or [one for one in header if one])
            ways = f"the header names {','.join(COLUMNS)}, or step or time and one column a device"
            fault(name, f"{message}; {ways}")
    return values


def _wide(header: Sequence[str], rows: Mapping[str, PlanRow], fault: Callable[[str, str], None]) -> list[ValueColumn]:
    values = []
    for place, name in enumerate(header):
        if name in _WHEN or not name:
            continue
        device, _, kind = name.rpartition(".")
        if name in rows:
            what = "position" if rows[name].port is None else "p_mw"
            values.append(ValueColumn(place=place, heading=name, what=what, device=name))
        elif device in rows and kind in _KINDS:
            what, scale = _KINDS[kind]
            values.append(ValueColumn(place=place, heading=name, what=what, device=device, scale=scale))
        else:
            fault(name, f"{no_such('device', device or name, rows)}; a column is NAME, NAME.q_mvar or NAME.position")
    return values
