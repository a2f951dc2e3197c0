"""Findings of a conformance suite: each promise, and whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from gridferry.controllers.plugins.user_code import described, running_user_code


@dataclass(frozen=True)
class Finding:
    """Finding about one promise.

    Attributes
    ----------
    name : the promise, in words
    plant : the sample plant it was tried on; empty where none is needed
    passed : whether it is kept
    explanation : what happened instead, and how to mend it; empty where it is kept
    """

    name: str
    plant: str
    passed: bool
    explanation: str = ""

    def __str__(self) -> str:
        where = f" ({self.plant})" if self.plant else ""
        why = f": {self.explanation}" if self.explanation else ""
        return f"{'ok' if self.passed else 'FAILED'}: {self.name}{where}{why}"


class BrokenPromiseError(Exception):
    """A promise is broken, and cannot be tested further; the message says how, and how to correct it."""


def nobody(name: str, plant: str) -> None:
    """Listen to nothing."""


listener: Callable[[str, str], None] = nobody
"""told the promise and the plant before each is tried, in a process that may not outlive it"""

S = TypeVar("S")
Promise = Callable[[S], Iterable[str] | None]
"""Test of a promise about a subject: gives how it is broken, if it is, and how to correct it; the first is read."""


def found(
    name: str, plant: str, cls: type, check: Callable[[], Iterable[str] | None], advice: Callable[[BaseException], str]
) -> Finding:
    """Test a promise; ``advice`` ends the message about an exception in the code of the class."""
    listener(name, plant)
    try:
        with running_user_code():
            for broken in check() or ():
                return Finding(name, plant, False, broken)
    except BrokenPromiseError as error:
        return Finding(name, plant, False, str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in may fail in any way; the suite is there to say so
        return Finding(name, plant, False, f"raised {described(error, cls)}; {advice(error)}")
    return Finding(name, plant, True)


def values_of(given: object) -> Any:
    """Return all values reachable from an input, in a form that can be compared."""
    if isinstance(given, np.ndarray):
        return given.dtype.str, given.shape, given.tobytes()
    if is_dataclass(given):
        return [(one.name, values_of(getattr(given, one.name))) for one in fields(given)]
    if hasattr(given, "items"):
        return {key: values_of(one) for key, one in given.items()}
    if isinstance(given, (list, tuple)):
        return [values_of(one) for one in given]
    return repr(given)
