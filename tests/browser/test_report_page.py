"""The page of a run in a real browser, as people see it: on a desk, on a phone, in print, in grey, in the dark."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from pypdf import PdfReader

from gridferry.sim.loop.runner import run
from gridferry.sim.results.report import write_comparison, write_report
from gridferry.sim.results.report.positions import STATES, look

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# CI sets this, so that a missing browser is a failure there and not a test left out
REQUIRED = "GRIDFERRY_REQUIRE_BROWSER" in os.environ
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

LOOKS = Path(__file__).with_name("looks.js").read_text(encoding="utf-8")


@contextmanager
def opened(path: Path, faults: list[str]) -> Iterator[Page]:
    """Open a page; what its scripts complain of, and what it would load, is added to the faults."""
    assert BROWSER is not None, "no chromium on this machine"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=DESK)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else faults.append(one.url))
        page.add_init_script(LOOKS)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]", timeout=60_000)
        yield page
        browser.close()


def moves_with_the_slider(page: Page) -> None:
    """The slider moves clock, map and list; play goes on by itself and can be stopped."""
    seen = "document.querySelector('#plot-map').innerHTML"
    first, clock = page.evaluate(seen), page.inner_text("[data-part=clock]")
    page.focus("[data-part=slider]")
    page.keyboard.press("End")
    assert page.evaluate("state.frame === frames - 1")
    assert page.inner_text("[data-part=clock]") != clock
    assert page.evaluate(seen) != first
    begins = page.inner_text("[data-part=clock]")
    page.click("[data-part=play]")
    expect(page.locator("[data-part=clock]")).not_to_have_text(begins)
    page.click("[data-part=play]")
    assert "play" in page.inner_text("[data-part=play]")


def violations_lead_to_their_spots(page: Page) -> None:
    """A violation's time chooses the time, marks the bus on the map and its row, and brings the map into view."""
    row = page.locator("#violations tr").nth(1)
    link = row.locator("a").first
    network, bus = row.locator("td").first.inner_text().split()
    link.click()
    shown, day = link.inner_text(), page.inner_text("[data-part=clock]")
    assert shown[-5:] == day[-5:]  # the clock
    place = page.evaluate(
        "[page.networks[state.place.network].name, page.networks[state.place.network].bus[state.place.k]]"
    )
    assert place == [network, bus]
    marked = page.locator("#plot-map path.bus.chosen")
    assert marked.count() == 1
    assert "beyond" in (marked.get_attribute("class") or "")
    assert page.evaluate(
        "scrollY + document.querySelector('#plot-map').getBoundingClientRect().top - 90 < scrollY + innerHeight"
    )
    assert (
        page.locator(f"#plot-voltages-{page.evaluate('state.place.network')} rect.chosen").get_attribute("visibility")
        == "visible"
    )


def pixels(page: Page, deficiency: str, names: list[str]) -> dict[str, list[int]]:
    """Pixels of the marks of states as they look to somebody, by state."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
    box = page.locator("#marks")
    found = page.evaluate("png => looks.pixels(png)", base64.b64encode(box.screenshot()).decode())
    session.send("Emulation.setEmulatedVisionDeficiency", {"type": "none"})
    return dict(zip(names, found, strict=True))


def states_differ_for_everybody(page: Page) -> None:
    """States of the day's bars are told apart without red and green, and without any colour."""
    states = [*STATES, *(str(k) for k in range(6))]
    entries = [{"name": one, **look(one, k)} for k, one in enumerate(states)]
    page.evaluate("entries => looks.legend(entries)", entries)
    for deficiency in ("deuteranopia", "achromatopsia"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            seen = pixels(page, deficiency, states)
            for one, other in combinations(states, 2):
                apart = sum(abs(a - b) for a, b in zip(seen[one], seen[other], strict=True)) / len(seen[one])
                assert apart > 8, f"{one} and {other} look alike, {deficiency}, {scheme}: {apart:.1f} of 255"
    page.emulate_media(color_scheme="light")
    page.evaluate("document.querySelector('#marks').remove()")


def prints_on_numbered_pages_without_a_cut(page: Page) -> None:
    """Every picture stands on one page of paper, and every page has its number."""
    page.evaluate("looks.mark()")
    page.emulate_media(color_scheme="dark")  # paper stays white
    texts = [one.extract_text() for one in PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages]
    page.emulate_media(color_scheme="light")
    on = {mark: number for number, text in enumerate(texts) for mark in re.findall(r"(?:TOP|END)\d+E", text)}
    tops = [one for one in on if one.startswith("TOP")]
    assert len(tops) >= page.locator("[data-figure] svg").count()
    assert [one for one in tops if on[one] != on.get(one.replace("TOP", "END"))] == []
    assert [k for k, text in enumerate(texts, start=1) if f"{k} / {len(texts)}" not in re.sub(r"\s+", " ", text)] == []


def fits(page: Page, size: Any, faults: list[str]) -> None:
    """Nothing overlaps, nothing stands out, no text is small."""
    page.set_viewport_size(size)
    page.wait_for_timeout(100)
    width = size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("looks.overlapping()") == [], width
    assert page.evaluate("looks.overflowing()") == [], width
    assert page.evaluate("looks.small()") == [], width
    assert faults == []


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None and not REQUIRED, reason="no chromium; install it to draw the report's pictures")
def test_the_report_in_a_browser_on_a_desk_on_a_phone_in_print_in_grey_and_in_the_dark(tmp_path: Path) -> None:
    settings = ["time.start=2024-07-29T11:00:00+02:00", "networks.dn1.v_min_pu=0.99"]
    done = run("two_feeders", controller="rules", overrides=settings, steps=12, out=tmp_path / "run")
    path = write_report(done.directory)
    assert path.stat().st_size < 1_000_000
    several = write_comparison(tmp_path / "several.html", "Several", [done])
    faults: list[str] = []
    with opened(path, faults) as page:
        drawn = page.locator("[data-figure]").count()
        assert (
            page.locator("[data-figure]:has(svg)").count() == drawn == page.evaluate("Object.keys(page.figures).length")
        )
        assert page.locator("body > :nth-child(2)").get_attribute("id") == "verdict"
        fits(page, DESK, faults)
        moves_with_the_slider(page)
        violations_lead_to_their_spots(page)
        states_differ_for_everybody(page)
        fits(page, PHONE, faults)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        page.set_viewport_size(DESK)
        page.emulate_media(color_scheme="light")
        prints_on_numbered_pages_without_a_cut(page)
        assert faults == []
        page.goto(several.as_uri())
        page.wait_for_selector("html[data-drawn]")
        assert page.locator("[data-figure]:has(svg)").count() == page.locator("[data-figure]").count() > 0
        for size in (DESK, PHONE):
            fits(page, size, faults)
