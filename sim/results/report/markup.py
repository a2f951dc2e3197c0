"""HTML of a page: everything that comes from a run is escaped, and only our own script may run.

The page's content security policy forbids whatever is not in it: no network access, no script but the one whose digest
it names. Data reach the script as JSON in a block that is not executed, without a ``<``.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

_SCRIPTS = ("core", "lines", "heat", "gantt", "map", "points", "page")


def text(value: object) -> str:
    """Escape what comes from a run, for text and for attributes."""
    return html.escape(str(value))


def cell(value: object) -> str:
    """Return a cell of a table: numbers to the right, nothing for nothing."""
    if value is None:
        return "<td></td>"
    shown = f"{value:.6g}" if isinstance(value, float) else text(value)
    return f'<td class="figure">{shown}</td>'


def table(identifier: str, heads: Iterable[object], rows: Iterable[str], wide: bool = True) -> str:
    """Return a table; rows are HTML already."""
    head = "".join(f"<th>{text(one)}</th>" for one in heads)
    first = f"<tr>{head}</tr>" if head else ""
    found = f'<table id="{text(identifier)}">{first}{"".join(rows)}</table>'
    return f'<div class="wide">{found}</div>' if wide else found


def words(values: Iterable[object]) -> str:
    """Return a row of texts."""
    return f"<tr>{''.join(f'<td>{text(one)}</td>' for one in values)}</tr>"


def row(first: str, values: Iterable[object]) -> str:
    """Return a row whose first cell is HTML already."""
    return f"<tr><td>{first}</td>{''.join(map(cell, values))}</tr>"


def folded(title: str, content: str, open_: bool = False) -> str:
    """Return content that is shown when its title is clicked, and in print."""
    return f"<details{' open' if open_ else ''}><summary>{text(title)}</summary>{content}</details>"


def document(title: str, head: str, sections: Sequence[tuple[str, str, str]], data: Mapping[str, Any]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : text of the window
    head : HTML before the sections
    sections : identifier, heading, and HTML of each
    data : of the pictures: ``times`` and ``figures``, see the scripts
    """
    assets = files(__package__).joinpath("assets")
    script = "".join(assets.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    style = assets.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = "\n".join(
        f'<section id="{text(key)}"><h2>{text(heading)}</h2>\n{content}</section>' for key, heading, content in sections
    )
    block = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{text(title)}</title><style>{style}</style></head>\n<body>{head}\n{body}\n'
        f'<script type="application/json" id="data">{block}</script><script>{script}</script></body></html>\n'
    )
