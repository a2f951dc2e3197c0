"""Input errors as data: a fault has a place, a value, what is wrong and how to correct it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# what would break a line, steer a terminal, or be refused by it
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input.

    Attributes
    ----------
    source : file or object the input came from
    key : where in it (a config key, a row and column, a bus or line)
    message : the value, what is wrong with it, and the way out
    """

    source: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.source}: {self.key}" if self.key else self.source
        return _UNSHOWN.sub(lambda found: ascii(found[0])[1:-1], f"{where}: {self.message}")


class InputError(ValueError):
    """Bad input, with every fault that was found; shown to the user without a traceback (exit code 2)."""

    def __init__(self, faults: Fault | Iterable[Fault]):
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def no_text(source: str, raw: bytes) -> Fault | None:
    """Fault of the first byte that is no UTF-8 text, with its line; ``None`` if all is."""
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Fault(source, f"line {line}", f"not UTF-8 text (byte 0x{raw[error.start]:02x}); save the file as UTF-8")
    return None


def no_such(kind: str, name: object, known: Iterable[str]) -> str:
    """Message for an unknown name: the names there are, and the most similar one."""
    names = [str(one) for one in known]
    shown = ", ".join(names[:12]) + (f", … ({len(names)} in total)" if len(names) > 12 else "")
    return f"no such {kind}; there is {shown or 'none'}{nearest(str(name), names)}"


def nearest(name: str, known: Sequence[str]) -> str:
    """Suggestion of a known name: `` (did you mean "x"?)``, or empty."""
    near = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""
