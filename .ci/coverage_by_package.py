"""Print coverage by package: ``coverage json --quiet -o - | python .ci/coverage_by_package.py``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def table(report: Mapping[str, Any]) -> str:
    """Return a row for each folder of a report of coverage.py, and one for all: lines, lines reached, percent."""
    lines: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, found in report["files"].items():
        for name in (PurePath(file).parent.as_posix(), "all"):
            lines[name][0] += found["summary"]["num_statements"]
            lines[name][1] += found["summary"]["covered_lines"]
    names = [*sorted(lines.keys() - {"all"}), *(["all"] if lines else [])]
    width = max(map(len, ["package", *names]))
    rows = [f"{'package':{width}}  lines  reached     %"]
    for name in names:
        there, reached = lines[name]
        rows.append(f"{name:{width}}  {there:5}  {reached:7}  {100 * reached / max(there, 1):4.0f}")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(json.load(sys.stdin)))
