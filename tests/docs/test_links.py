"""What the pages link to is there: files, headings of pages, pages from the pages that list them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cases import REPOSITORY
from cases.pages import anchors, pages, prose

LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(#[^)\s]+)?\)")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    lost = []
    for file, heading in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        target = (page.parent / file).resolve() if file else page
        known = target.exists() and REPOSITORY in (target, *target.parents)
        if not known or (heading and heading[1:] not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(file + heading)
    assert lost == []


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    reached, to_read = set(), [REPOSITORY / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        found = LINK.findall(prose(page.read_text(encoding="utf-8")))
        to_read += [
            target
            for target in ((page.parent / file).resolve() for file, _ in found if file.endswith(".md"))
            if target.exists()
        ]
    assert [str(page.relative_to(REPOSITORY)) for page in pages() if "docs" in page.parts and page not in reached] == []
