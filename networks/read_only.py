"""Read-only data: arrays over immutable memory, and copies that share no writable memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped

T = TypeVar("T")


def immutable(values: Shaped[np.ndarray, "*axes"]) -> Shaped[np.ndarray, "*axes"]:
    """Return a copy over read-only memory; ``setflags(write=True)`` raises ``ValueError``, too."""
    return np.ndarray(values.shape, dtype=values.dtype, buffer=values.tobytes())


def own_copy(given: T) -> T:
    """Return a copy that shares no writable memory with the original.

    Dataclasses are copied field by field, without what they have cached; arrays become `immutable`, where they are not
    already, mappings read-only views of new ones. Lists are new lists. Values of other types are taken as they are.
    """
    return _copied(given)


def _copied(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is np.ndarray:
        return value.view() if _over_immutable(value) else immutable(value)
    if kind is tuple:
        return tuple([_copied(one) for one in value])
    if kind is list:
        return [_copied(one) for one in value]
    if names := _fields(kind):
        copy = object.__new__(kind)
        for name in names:
            object.__setattr__(copy, name, _copied(getattr(value, name)))
        return copy
    if isinstance(value, Mapping):
        return MappingProxyType({key: _copied(one) for key, one in value.items()})
    return value


def _over_immutable(values: np.ndarray) -> bool:
    """Whether the memory of an array is read-only for everybody."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, bytes)


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    """Names of the fields of a dataclass; none of another type."""
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else ()


_AS_IT_IS = frozenset({type(None), bool, int, float, complex, str, bytes})
