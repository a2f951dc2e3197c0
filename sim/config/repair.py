"""Repair of faulty configs, so that further checks can find more faults in the same run.

Nothing runs on a repaired config: it exists only until its faults are raised.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from gridferry.networks.faults import Fault
from gridferry.sim.config.document import Document, Loc, key_text
from gridferry.sim.config.faults import locate
from gridferry.sim.config.schema import Config

_ROUNDS = 8
_STAND_INS: tuple[Any, ...] = (1, 0.5, "stand-in", datetime(2000, 1, 1), {})


@dataclass(frozen=True)
class Repaired:
    """Repaired config.

    Attributes
    ----------
    config : the config, with defaults and stand-ins where values were wrong
    doubtful : keys whose value, or a value it depends on, was replaced; faults there are ignored
    """

    config: Config
    doubtful: tuple[str, ...]

    def holds(self, fault: Fault) -> bool:
        """Whether a fault of the repaired config is one of the user's config."""
        return not any(_within(fault.key, key) for key in self.doubtful)

    def touches(self, loc: Loc) -> bool:
        """Whether a value at, within or around a place was replaced."""
        place = key_text(loc)
        return any(_within(place, key) or _within(key, place) for key in self.doubtful)


def _within(key: str, table: str) -> bool:
    return key == table or key.startswith((f"{table}.", f"{table}[", f"{table} "))


def repair(document: Document, model: type[Config]) -> Repaired | None:
    """Replace faulty values by defaults and stand-ins; ``None`` if names that others refer to are wrong.

    Parameters
    ----------
    model : what a config is checked by
    """
    trial = Document(document.source, deepcopy(document.values))
    stand_ins_tried: dict[Loc, int] = {}
    doubtful: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            return Repaired(model.model_validate(trial.values), tuple(sorted(doubtful)))
        except ValidationError as error:
            errors = error.errors(include_url=False)
        # all places first: they are found in the document as it was
        places = [
            (place if union is None else union) for place, union in (locate(one["loc"], trial, model) for one in errors)
        ]
        repaired: set[Loc] = set()
        for loc, details in zip(places, errors, strict=True):
            if loc in repaired:
                continue
            if details["type"] == "inconsistent":
                doubtful |= {key_text((*loc, key)) for key in (*details["ctx"]["found"], *details["ctx"]["repair"])}
                for key, value in details["ctx"]["repair"].items():
                    _put(trial.values, (*loc, key), value)
            elif details["type"] == "extra_forbidden" and loc and loc[-1] == details["loc"][-1]:
                _put(trial.values, loc, None)
            elif not loc or _is_reference_target(loc):
                return None
            elif isinstance(loc[-1], str) and loc not in stand_ins_tried and details["type"] != "missing":
                stand_ins_tried[loc] = 0
                doubtful.add(key_text(loc))
                _put(trial.values, loc, None)
            elif stand_ins_tried.get(loc, 0) < len(_STAND_INS):
                doubtful.add(key_text(loc))
                _put(trial.values, loc, deepcopy(_STAND_INS[stand_ins_tried.get(loc, 0)]))
                stand_ins_tried[loc] = stand_ins_tried.get(loc, 0) + 1
            repaired.add(loc)
    return None


def _is_reference_target(loc: Loc) -> bool:
    """Whether other parts refer to this by name, so that a stand-in would cause new faults."""
    if loc[0] == "profiles":
        return len(loc) <= 2
    return loc[0] in ("networks", "stations") and (len(loc) <= 2 or loc[2] == "name")


def _put(values: Any, loc: Loc, value: Any) -> None:
    """Set the value at ``loc``, or remove the key if it is ``None``."""
    for part in loc[:-1]:
        values = values[part]
    if value is None:
        values.pop(loc[-1], None)
    else:
        values[loc[-1]] = value
