"""Pages of several runs, and of sweeps beside published figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gridferry.sim.results.report.points import Sweep, front, write_sweeps


def figures(page: Path) -> dict[str, Any]:
    """Pictures of a page by name."""
    text = page.read_text(encoding="utf-8")
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    found: dict[str, Any] = json.loads(block[1])["figures"]
    return found


def test_the_front_has_what_no_other_beats_in_cost_and_in_reliability() -> None:
    assert front([(3.0, 99.0), (1.0, 90.0), (2.0, 95.0), (2.5, 94.0), (2.0, 80.0), (4.0, 99.0)]) == [
        (1.0, 90.0),
        (2.0, 95.0),
        (3.0, 99.0),
    ]


def test_compared_runs_have_a_page_with_seeds_cost_against_reliability_and_the_curve_of_what_differs(
    gridferry: Any,
) -> None:
    for k, limit in enumerate((0.9, 0.9998, 0.99995)):
        settings = ("--set", f"networks.dn1.v_min_pu={limit}")
        gridferry("run", "three_bus", "--controller", "idle", "--steps", 4, "--out", f"r{k}", *settings)
    code, out, _ = gridferry("compare", "r0", "r1", "r2", "--html", "pages/all.html")
    assert code == 0
    assert out.splitlines()[-1] == "wrote pages/all.html"
    page = figures(Path("pages/all.html"))
    assert set(page) == {"seeds", "pareto", "sweep-0", "sweep-1"}
    costs = [json.loads(Path(f"r{k}/summary.json").read_text())["cost"]["terms"] for k in range(3)]
    assert [one["points"][0][1] for one in page["seeds"]["series"]] == [sum(one.values()) for one in costs]
    (curve,) = page["sweep-1"]["series"]
    assert page["sweep-1"]["x"] == "networks.dn1.v_min_pu"
    assert [x for x, _, _ in curve["points"]] == [0.9, 0.9998, 0.99995]
    shares = [y for _, y, _ in curve["points"]]
    assert shares[0] == 100.0
    assert shares[2] < 100.0
    text = Path("pages/all.html").read_text()
    assert "r1/report.html" in text


def test_a_sweep_is_drawn_beside_what_was_published_and_names_are_no_markup(tmp_path: Path) -> None:
    sweep = Sweep(
        title="</script><b>",
        figure="cost",
        setting="controller.radius",
        labels=("low", "high"),
        values=(0.1, 0.2),
        ours=(1.0, None),
        published=(2.0, 3.0),
    )
    path = write_sweeps(tmp_path / "page.html", "study", [sweep])
    (figure,) = figures(path).values()
    ours, published = figure["series"]
    assert ours["points"] == [[0.1, 1.0, "low"]]
    assert published["points"] == [[0.1, 2.0, "low"], [0.2, 3.0, "high"]]
    assert "</script><b>" not in path.read_text(encoding="utf-8")
