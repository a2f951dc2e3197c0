"""The page of equations: each has its function, every constraint and cost is named, sources are cited as known."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from cases import REPOSITORY
from cases.dispatch import dispatch_model
from cases.pages import fenced
from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, two_feeders
from gridferry.controllers.devices.trucks.config import Labour
from gridferry.controllers.devices.trucks.device import Truck
from gridferry.controllers.model.dispatch_model import DispatchModel
from gridferry.controllers.model.objective import Aim, ModelOptions

PAGE = REPOSITORY / "docs" / "model.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE = [file for folder in ("controllers", "networks", "sim") for file in sorted((REPOSITORY / folder).rglob("*.py"))]
TO_CODE = re.compile(r"\[`([\w.]+)`\]\((\.\./[\w/]+\.py)\)")


@cache
def defined(file: Path) -> set[str]:
    """Names that a module defines, those of classes with what they define, and its own."""
    names = {file.stem}
    for one in ast.parse(file.read_text(encoding="utf-8")).body:
        names |= _names(one)
        if isinstance(one, ast.ClassDef):
            names |= {f"{one.name}.{name}" for part in one.body for name in _names(part)}
    return names


def _names(one: ast.stmt) -> set[str]:
    if isinstance(one, ast.FunctionDef | ast.ClassDef):
        return {one.name}
    targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
    parts = [part for target in targets for part in ast.walk(target)]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def test_every_function_that_the_page_names_is_defined_in_the_file_that_it_links() -> None:
    found = TO_CODE.findall(TEXT)
    assert len(found) > 80
    assert [(name, file) for name, file in found if name not in defined((PAGE.parent / file).resolve())] == []


def test_every_equation_is_followed_by_a_link_to_its_function() -> None:
    after = re.split(r"^```math\n.*?^```$", TEXT, flags=re.MULTILINE | re.DOTALL)[1:]
    assert len(after) == sum(language == "math" for language, _, _ in fenced(TEXT)) > 40
    until_heading = [part.partition("\n## ")[0] for part in after]
    assert [part.strip()[:80] for part in until_heading if not TO_CODE.search(part)] == []


@cache
def models() -> list[DispatchModel]:
    """Models of all that can be there: routes, flat labour, negative prices, ratings of two kinds, soft limits."""
    sample = two_feeders(step_s=3600)
    feeder = sample.plant.feeders[0]
    charging = np.array([0.0, 0.0, 1e-4])
    rated = replace(feeder, i_max_pu=np.full(3, 2.0), b_parent_pu=charging, b_child_pu=charging)
    devices = tuple(
        replace(one, cost=replace(one.cost, labour=Labour.FLAT_IF_USED)) if isinstance(one, Truck) else one
        for one in sample.plant.devices
    )
    plant = replace(sample.plant, feeders=(rated, sample.plant.feeders[1]), devices=devices)
    forecast = look_ahead(replace(sample, plant=plant), 0, 24)
    case = (plant, at_start(plant), replace(forecast, buy_price=forecast.buy_price - 60.0))
    assert plant.export_price_ratio < 1
    return [dispatch_model(case, options=ModelOptions(aim=aim, largest=0.1, total=0.5)) for aim in Aim]


def test_every_named_constraint_and_cost_of_the_model_is_on_the_page() -> None:
    names = {name.rpartition(": ")[2] for model in models() for name in (*model.constraints, *model.soft)}
    names |= {term for model in models() for term in model.costs}
    assert {"energy_by_station", "rating_at_ends", "charging at once", "converters", "labour", "feed_in"} <= names
    written = set(re.findall(r"`([^`\n]+)`", TEXT)) | set(re.findall(r"\\text\{([\w\\]+)\}", TEXT.replace("\\_", "_")))
    assert sorted(names - written) == []


def cited(text: str) -> list[str]:
    return [
        part.strip()
        for found in re.findall(r"\[([A-H],? ?(?:eqs?\.|§|; )[^]]*)\]", text)
        for part in re.split(r";", found)
    ]


def sources() -> dict[str, str]:
    """Rows of the bibliography, by letter."""
    rows = TEXT.partition("## Sources")[2].splitlines()
    return {found[1]: row for row in rows if (found := re.match(r"\| \[([A-Z])\]", row))}


def numbers(text: str) -> set[int]:
    """Numbers of equations, ranges written out."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:[-–](\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_sources_are_in_the_bibliography_and_equation_numbers_are_those_that_are_known() -> None:
    known = sources()
    quoted = numbers(known["A"].partition("reproduction:")[2])
    wrong, found = [], 0
    for file in (PAGE, *CODE):
        for one in cited(file.read_text(encoding="utf-8").partition("## Sources")[0]):
            found += 1
            unknown = re.match(r"[A-Z]\b", one) and one[0] not in known
            if unknown or (one.startswith("A") and not numbers(one) <= quoted):
                wrong.append(f"{file.relative_to(REPOSITORY)}: [{one}]")
    assert found > 40
    assert wrong == []
