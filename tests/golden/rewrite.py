"""Write golden figures and plans anew: ``python tests/golden/rewrite.py [CASE ...]``, all cases where none is named."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from golden_cases import CASES, GoldenCase, differences, figures_file, golden_figures, plan_file


def rewrite(case: GoldenCase) -> list[str]:
    """Run a case, replace its golden figures and plan, and say what changed beyond its tolerances."""
    with tempfile.TemporaryDirectory() as folder:
        done, found = case.play(Path(folder) / "run")
        before = golden_figures(case) if figures_file(case).is_file() else {}
        text = json.dumps(found, indent=1, sort_keys=True, allow_nan=False)
        figures_file(case).write_text(text + "\n", encoding="utf-8")
        plan_file(case).write_bytes((done.directory / "plan.csv").read_bytes())
    return differences(case.name, case.compared(before), found, case.allowed())


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - {case.name for case in CASES})
    if unknown:
        sys.exit(f"no such golden case: {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}")
    for case in CASES:
        if case.golden is None and (not names or case.name in names):
            print("\n".join([f"{case.name}: written", *rewrite(case)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
