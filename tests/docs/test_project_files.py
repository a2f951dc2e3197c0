"""Files about the project: how it is cited, what runs before a commit, decisions, coverage by package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cases import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("0*.md"))


def test_the_citation_is_that_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license", "type"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_hooks_before_a_commit_run_what_the_project_has_and_fetch_nothing() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [one["repo"] for one in config["repos"]] == ["local"]
    hooks = [hook for one in config["repos"] for hook in one["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = [hook["entry"].split()[1] for hook in hooks if hook["entry"].startswith("make ")]
    assert set(made) <= set(targets)
    assert {"lint", "types", "imports"} <= set(made)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_short_and_says_why_and_what_follows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    number = int(page.name.partition("-")[0])
    assert text.startswith(f"# {number}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "What follows", "Considered"]
    assert len(text.splitlines()) < 40
    assert page.name in (page.parent / "README.md").read_text(encoding="utf-8")


def test_coverage_is_summed_by_package() -> None:
    def file(lines: int, reached: int) -> str:
        return f'{{"summary": {{"num_statements": {lines}, "covered_lines": {reached}}}}}'

    report = f'{{"files": {{"sim/a.py": {file(10, 5)}, "sim/b.py": {file(30, 30)}, "sim/grid/c.py": {file(4, 1)}}}}}'
    done = subprocess.run(
        [sys.executable, REPOSITORY / ".ci" / "coverage_by_package.py"],
        input=report,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [row.split() for row in done.stdout.splitlines()]
    assert rows[1:] == [["sim", "40", "35", "88"], ["sim/grid", "4", "1", "25"], ["all", "44", "36", "82"]]


def test_every_development_dependency_has_its_version_pinned() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    named = [
        re.split(r"[\[<>=]", one)[0]
        for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for one in group
    ]
    known = {re.sub(r"[-_.]+", "-", one).lower() for one in pinned}
    assert [one for one in named if re.sub(r"[-_.]+", "-", one).lower() not in known | {"gridferry"}] == []
