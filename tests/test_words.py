"""Identifiers, file names and keys of the product use the field's words; words that were replaced do not come back."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridferry.controllers.settings import RENAMED_KEYS
from gridferry.sim.config.json_schema import config_schema

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("networks", "controllers", "sim") for path in (ROOT / folder).rglob("*.py"))

# parts of identifiers, each with what to write instead
WORDS = {
    "appraisal": "evaluation",
    "asked": "requested",
    "dear": "expensive, or a price",
    "dearer": "more expensive",
    "dearest": "most expensive",
    "guess": "candidate",
    "guesses": "candidates, or warm starts",
    "heard": "recorded",
    "held": "fixed, feasible or kept",
    "honest": "tight",
    "judge": "evaluate",
    "judged": "evaluated",
    "judging": "evaluation",
    "mendable": "correctable",
    "mended": "corrected, or repaired",
    "missed": "violated, or a shortfall",
    "openness": "relaxation gap",
    "reconsider": "improve",
    "rehearsal": "dry run",
    "rehearse": "dry_run",
    "said": "message, or text",
    "steepness": "Lipschitz bound, or slope",
    "stretched": "padded",
    "told": "requested, or informed",
    "wasteful": "simultaneous",
    "wish": "settings",
}
# whole identifiers, likewise
NAMES = {
    "Assembly": "BuiltPlant",
    "Correction": "AcFeedback",
    "Excess": "LimitViolation",
    "Fleet": "Devices",
    "FleetSimulator": "DeviceSimulator",
    "Judge": "ScheduleEvaluator",
    "Service": "DeviceSeries",
    "ageing_h": "update_decay_h",
    "carried_energy": "energy_by_station",
    "carry_out": "simulate",
    "close_cones": "tighten",
    "controlled_cost": "operating_cost",
    "corrects": "accepts_ac_feedback",
    "exclude_early": "complementarity_from_start",
    "instant_moves": "zero_transit_time",
    "one_way": "complementarity",
    "plan_nearest": "minimise_violation",
    "row_limits": "first-step limits",
}
PUBLIC = {"asked_mw"}
"""published before, as a key of what ``validate --json`` prints"""


def parts(name: str) -> set[str]:
    """Words of an identifier in snake or camel case."""
    return set(re.split(r"_+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


def fault(name: str) -> str:
    """Word in place of the name, or of a part of it; empty where it is right."""
    if name in PUBLIC:
        return ""
    found = [WORDS[part] for part in sorted(parts(name) & {*WORDS})]
    return NAMES.get(name.lstrip("_")) or next(iter(found), "")


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """Names in the code of a file, also in f-strings, with their lines; prose is not looked at."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING and re.match(r"[rR]?[fF]", token.string):
            for braces in re.findall(r"\{([^{}]*)\}", token.string):
                yield from ((token.start[0], name) for name in re.findall(r"\b[A-Za-z_]\w*", braces))


def test_identifiers_are_the_fields_words() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}: write {fault(name)}"
        for path in FILES
        for line, name in [(1, path.stem), *identifiers(path)]
        if fault(name)
    ]
    assert not wrong, "\n".join(wrong)


def keys(schema: object) -> set[str]:
    """All keys that a JSON schema describes."""
    if isinstance(schema, list):
        return {key for one in schema for key in keys(one)}
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties", {})
    return {*own} | {key for one in schema.values() for key in keys(one)}


def test_keys_of_configs_are_the_fields_words() -> None:
    found = keys(config_schema(None))
    assert {"usable_energy_share", "soc_min", "horizon_steps"} <= found
    assert [key for key in sorted(found) if fault(key)] == []


def test_keys_that_were_renamed_are_keys_of_no_config() -> None:
    found = keys(config_schema(None))
    assert not found & {*RENAMED_KEYS}


@pytest.mark.parametrize(
    ("name", "right"),
    [("p_asked", "requested"), ("_Judge", "ScheduleEvaluator"), ("HeldPower", "fixed, feasible or kept")],
)
def test_replaced_words_are_found_in_parts_of_names(name: str, right: str) -> None:
    assert fault(name) == right
    assert fault("asked_mw") == fault("threshold") == fault("p_requested") == ""
