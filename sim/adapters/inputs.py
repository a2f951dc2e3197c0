"""Inputs of the mosaik simulators: what is connected, or an error that names entity, attribute and the way out.

mosaik gives the values of event-based sources in one step only; here they last until the next ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError

T = TypeVar("T")


def refused(eid: str, attr: str, message: str) -> InputError:
    """Error of an input, or of an entity."""
    return InputError(Fault(eid, attr, message))


def number_of(entity: str) -> int | None:
    """Number at the end of an entity's id, such as 7 of ``Grid-0.Bus-7``; ``None`` if there is none."""
    number = entity.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else None


class Inputs:
    """Latest values of all that is connected to the entities of a simulator."""

    def __init__(self) -> None:
        self._latest: dict[str, dict[str, dict[str, Any]]] = {}

    def update(self, given: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Take the inputs of a step, as mosaik gives them."""
        if not _nested(given):
            raise refused("inputs", "", f"{_shown(given)} is no dict of values by entity, attribute and source")
        for eid, attrs in given.items():
            own = self._latest.setdefault(eid, {})
            for attr, sources in attrs.items():
                own.setdefault(attr, {}).update(sources)

    def sources(self, eid: str, attr: str) -> Mapping[str, Any]:
        """Values of an attribute by source; empty where nothing is connected, or nothing came yet."""
        return self._latest.get(eid, {}).get(attr, {})

    def connected(self) -> Iterator[tuple[str, str]]:
        """Entities and attributes that have a value."""
        return ((eid, attr) for eid, attrs in self._latest.items() for attr in attrs)

    def ordered(self, eid: str, attr: str, expected: str) -> list[tuple[str, Any]]:
        """Sources and values in the order of the sources' numbers; at least one."""
        found = self.sources(eid, attr)
        if not found:
            raise refused(eid, attr, f"nothing came from a source; connect {expected}")
        numbered = {source: number_of(source) for source in found}
        if len(found) > 1 and (None in numbered.values() or len(set(numbered.values())) < len(found)):
            ways = f"connect one with {expected}, or entities with different numbers at the end of their ids"
            raise refused(eid, attr, f"the order of {', '.join(found)} is not clear; {ways}")
        return sorted(found.items(), key=lambda one: numbered[one[0]] or 0)

    def single(self, eid: str, attr: str, expected: str) -> Any:
        """Value of the one source of an attribute."""
        found = self.sources(eid, attr)
        if len(found) != 1:
            several = f"{len(found)} sources ({', '.join(found)}) give it" if found else "nothing came from a source"
            raise refused(eid, attr, f"{several}; connect one, with {expected}")
        return next(iter(found.values()))

    def read(self, eid: str, attr: str, expected: str, parse: Callable[[Any], T]) -> T:
        """Read the value of the one source of an attribute, of which `parse` makes sense."""
        value = self.single(eid, attr, expected)
        try:
            return parse(value)
        except InputError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise refused(eid, attr, f"{_shown(value)} cannot be read ({why}); connect {expected}") from error

    def total(self, eid: str, attr: str, none: float = 0.0) -> float:
        """Sum of what all sources give; `none` without any."""
        found = self.sources(eid, attr)
        if not found:
            return none
        total = sum(_number(eid, attr, source, value) for source, value in found.items())
        if not np.isfinite(total):
            raise refused(eid, attr, f"what {', '.join(found)} give adds up to {total}; correct them")
        return total

    def total_of_lists(self, eid: str, attr: str, length: int, meaning: str) -> Float[np.ndarray, " entity"]:
        """Sum of the lists of all sources; zeros without any."""
        expected = f"a list of {length} finite numbers, one per {meaning}"
        total = np.zeros(length)
        for source, value in self.sources(eid, attr).items():
            one = _reals(eid, attr, source, value, expected)
            if one.shape != (length,) or not np.isfinite(one).all():
                raise refused(eid, attr, f"{source} gives {_shown(value)}; expected {expected}")
            total += one
        return total

    def along(self, eid: str, attr: str, length: int, meaning: str) -> Float[np.ndarray, " entity"]:
        """Lists, or single numbers, of all sources, one after the other; values may be unknown (NaN)."""
        expected = f"{length} numbers, one per {meaning}"
        found = self.ordered(eid, attr, f"a source of {expected}")
        parts = [np.atleast_1d(_reals(eid, attr, source, value, expected)) for source, value in found]
        together = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if together.shape != (length,):
            lengths = ", ".join(f"{len(part)} from {source}" for part, (source, _) in zip(parts, found, strict=True))
            raise refused(eid, attr, f"expected {expected}, and {lengths} came; connect all of them, once")
        return together


def _number(eid: str, attr: str, source: str, value: Any) -> float:
    real = reals(value)
    if real is None or real.ndim or not np.isfinite(real):
        raise refused(eid, attr, f"{source} gives {_shown(value)}; expected one finite number")
    return float(real)


def _nested(given: object) -> bool:
    return isinstance(given, Mapping) and all(
        isinstance(attrs, Mapping) and all(isinstance(sources, Mapping) for sources in attrs.values())
        for attrs in given.values()
    )


def _reals(eid: str, attr: str, source: str, value: Any, expected: str) -> Float[np.ndarray, "*axes"]:
    found = reals(value)
    if found is None:
        raise refused(eid, attr, f"{source} gives {_shown(value)}; expected {expected}")
    return found


def reals(value: Any) -> Float[np.ndarray, "*axes"] | None:
    """Return numbers, lists of them and arrays as an array, NaN for ``None`` in a list; ``None`` for anything else."""
    try:
        found = np.asarray(value)
        if found.dtype.kind == "O" and found.ndim:
            found = np.where(found == None, np.nan, found)  # noqa: E711 - element by element
            if all(isinstance(one, float | int) for one in found.flat):
                found = found.astype(np.float64)
    except (ValueError, OverflowError):  # lists of different lengths, numbers of 400 digits
        return None
    return found.astype(np.float64, copy=False) if found.dtype.kind in "iuf" else None


def _shown(value: Any) -> str:
    if (isinstance(value, (list, tuple)) and len(value) > 3) or (isinstance(value, np.ndarray) and value.size > 3):
        return f"{np.size(value) if isinstance(value, np.ndarray) else len(value)} values"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
