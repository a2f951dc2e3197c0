"""Pages of several runs: of a study, and of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from gridferry.sim.results.comparison import Group, grouped, labels, swept, unlike
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.metrics import broken_steps
from gridferry.sim.results.report.figures import figures_table
from gridferry.sim.results.report.markup import cell, document, table, text
from gridferry.sim.results.report.points import Pictures, front, place
from gridferry.sim.results.run_directory import REPORT, Run, in_one_piece, open_results, run_facts


def write_study_report(directory: Path, runs: Sequence[Run]) -> Path:
    """Write ``report.html`` into the folder of a study, from its runs, and return its path."""
    return write_comparison(directory / REPORT, directory.resolve().name, runs)


def write_comparison(path: Path, title: str, runs: Sequence[Run]) -> Path:
    """Write a page of several runs, and return its path.

    Pictures: costs of all seeds, cost against reliability, and, where variants differ in a single number, cost and
    reliability over it.
    """
    groups = grouped(runs)
    names = labels([one.first for one in groups], but="seed")
    columns = [f"{name}\nmean of {one.runs}" for name, one in zip(names, groups, strict=True)]
    differ = unlike(runs)
    lead = f"{len(runs)} runs" + (f"; not alike in {', '.join(differ)}, so that sums do not compare" if differ else "")
    pictures: Pictures = {}
    sections = [
        ("variants", "Variants", _variants(pictures, groups, [name.replace("\n", ", ") for name in names])),
        ("means", "Side by side", figures_table([one.summary for one in groups], columns)),
        ("all", "Runs", _listed(path.parent.resolve(), runs)),
    ]
    head = f'<h1>{text(title)}</h1><p class="lead">{text(lead)}</p>'
    data = {"times": [], "networks": [], "figures": pictures}
    with in_one_piece(path) as target:
        target.write_text(document(title, head, sections, data), encoding="utf-8")
    return path


def _variants(pictures: Pictures, groups: Sequence[Group], names: Sequence[str]) -> str:
    """Return the pictures of variants; without any, where no run has a cost."""
    found: list[list[tuple[float, float, str]]] = []
    for group in groups:
        own = []
        for run in group.members:
            paid = operating_cost(run.summary)
            if paid is not None and run.summary["steps"]:
                own.append((paid, _reliability(run), f"seed {run.summary['seed']}"))
        found.append(own)
    if not any(found):
        return "<p>No run has a cost.</p>"
    currency = groups[0].currency
    cost, reliable = f"operating cost, {currency}", "steps that keep every limit, %"
    means = [(fmean(one[0] for one in own), fmean(one[1] for one in own)) if own else None for own in found]
    seeds = {
        "x": "variant",
        "y": cost,
        "names": list(names),
        "series": [
            {"name": name, "colour": k, "line": False, "points": [[k, one[0], one[2]] for one in own]}
            for k, (name, own) in enumerate(zip(names, found, strict=True))
        ],
    }
    best = front([(one[0], one[1]) for one in means if one is not None])
    pareto = {
        "x": cost,
        "y": reliable,
        "series": [
            {"name": name, "colour": k, "line": False, "points": [] if one is None else [[one[0], one[1], "mean"]]}
            for k, (name, one) in enumerate(zip(names, means, strict=True))
        ]
        + [
            {
                "name": "no other is cheaper and as reliable",
                "colour": 6,
                "line": True,
                "points": [[*p, ""] for p in best],
            }
        ],
    }
    shown = place(pictures, "seeds", "Cost of every seed", seeds)
    shown += place(pictures, "pareto", "Cost against reliability, means over seeds", pareto)
    setting, values = swept([one.first for one in groups])
    if setting:
        at = sorted((value, mean) for value, mean in zip(values, means, strict=True) if mean is not None)
        for k, what in enumerate((cost, reliable)):
            points = [[value, mean[k], ""] for value, mean in at]
            figure = {
                "x": setting,
                "y": what,
                "series": [{"name": "mean", "colour": 0, "line": True, "points": points}],
            }
            shown += place(pictures, f"sweep-{k}", f"{what} over {setting}", figure)
    return f'<div class="columns">{shown}</div>'


def _reliability(run: Run) -> float:
    """Share of the steps in which every limit is kept [%]."""
    with open_results(run.directory) as results:
        broken = broken_steps(results, run_facts(run))
    return 100.0 * (1.0 - broken / run.summary["steps"])


def _listed(folder: Path, runs: Sequence[Run]) -> str:
    """Return the table of all runs, with links to their pages."""
    rows = []
    for run in runs:
        at = run.directory.resolve()
        shown = str(at.relative_to(folder)) if at.is_relative_to(folder) else str(run.directory)
        link = f'<a href="{text(quote(f"{shown}/{REPORT}"))}">{text(shown)}</a>'
        values = (
            *(run.summary.get(key) for key in ("status", "verdict", "steps", "seed")),
            operating_cost(run.summary),
        )
        rows.append(f"<tr><td>{link}</td>{''.join(map(cell, values))}</tr>")
    written = "<p>Pages are there of runs of which <code>gridferry report RUN</code> wrote one.</p>"
    return written + table("runs", ("run", "status", "verdict", "steps", "seed", "operating cost"), rows)
