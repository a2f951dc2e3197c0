"""Pictures of points: seeds of each variant, cost against reliability, a swept setting beside published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridferry.sim.results.report.markup import document, text
from gridferry.sim.results.run_directory import in_one_piece


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A figure of the rows of a table, beside what was published of it.

    Attributes
    ----------
    title : of the table
    figure : name of the figure
    setting : what differs between rows
    labels : of the rows
    values : of the setting in the rows; ``None`` where it is no number in every one of them
    ours, published : the figure in each row; ``None`` where it has none
    """

    title: str
    figure: str
    setting: str
    labels: Sequence[str]
    values: Sequence[float] | None
    ours: Sequence[float | None]
    published: Sequence[float | None]


Pictures = dict[str, Mapping[str, Any]]


def place(pictures: Pictures, name: str, caption: str, figure: Mapping[str, Any]) -> str:
    """Add a picture to those of a page, and return the HTML that holds its place."""
    pictures[name] = {"type": "points", "label": caption, **figure}
    return (
        f'<figure id="plot-{text(name)}"><figcaption>{text(caption)}</figcaption>'
        f'<div data-figure="{text(name)}"></div></figure>'
    )


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both: none is cheaper (first) and as reliable (second)."""
    best: list[tuple[float, float]] = []
    for one in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not best or one[1] > best[-1][1]:
            best.append(one)
    return best


def write_sweeps(path: Path, title: str, sweeps: Sequence[Sweep]) -> Path:
    """Write a page of sweeps, ours beside published ones, and return its path."""
    pictures: Pictures = {}
    sections: dict[str, str] = {}
    for number, one in enumerate(sweeps):
        at = list(range(len(one.labels))) if one.values is None else list(one.values)
        series = [
            {
                "name": name,
                "colour": k,
                "line": k == 0 and one.values is not None,
                "points": [[x, y, label] for x, y, label in zip(at, values, one.labels, strict=True) if y is not None],
            }
            for k, (name, values) in enumerate((("ours", one.ours), ("published", one.published)))
        ]
        names = {"names": list(one.labels)} if one.values is None else {}
        figure = {"x": one.setting, "y": one.figure, "series": [own for own in series if own["points"]], **names}
        shown = place(pictures, f"sweep-{number}", f"{one.title}: {one.figure}", figure)
        sections[one.title] = sections.get(one.title, "") + shown
    listed = [
        (f"table-{k}", heading, f'<div class="columns">{content}</div>')
        for k, (heading, content) in enumerate(sections.items())
    ]
    with in_one_piece(path) as target:
        page = document(title, f"<h1>{text(title)}</h1>", listed, {"times": [], "networks": [], "figures": pictures})
        target.write_text(page, encoding="utf-8")
    return path
