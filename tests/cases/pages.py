"""Pages of the documentation, read as text: links, headings, fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path

from cases import REPOSITORY

_FENCED = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """All pages, those of the top folder too."""
    return [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]


def fenced(text: str) -> list[tuple[str, str, str]]:
    """Fenced blocks in their order: language, what else the first line says, content."""
    return [(found[1], found[2].strip(), found[3]) for found in _FENCED.finditer(text)]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
