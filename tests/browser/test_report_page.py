"""The page of a run in a real browser: every picture is drawn."""

import os
import re
import shutil
import subprocess

import pytest

from gridferry.sim.loop.runner import run
from gridferry.sim.results.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# CI sets this, so that a missing browser is a failure there and not a test left out
REQUIRED = "GRIDFERRY_REQUIRE_BROWSER" in os.environ


def lines_of_kind(table):
    """Number of lines that tell what a kind's devices did: of each for each column that changes, equal ones once."""
    numbers = table.drop(columns="step").select_dtypes(["float64", "int64"])
    changing = {tuple(numbers[name]) for name in numbers if numbers[name].nunique() > 1}
    return table["device"].nunique() * len(changing)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None and not REQUIRED, reason="no chromium; install it to draw the report's pictures")
def test_every_picture_of_the_report_is_drawn(tmp_path):
    start = "time.start=2024-07-29T11:00:00+02:00"
    done = run("two_feeders", controller="rules", overrides=[start], steps=8, out=tmp_path / "run")
    page = write_report(done.directory)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    # no name resolves: what is drawn, is drawn from the page alone
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,4000", "--virtual-time-budget=5000"]
    assert BROWSER is not None, "no chromium on this machine"
    dumped = subprocess.run(
        [BROWSER, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=1800
    ).stdout
    drawn = {one: dumped.count(f'class="{one}') for one in ("main-svg", "trace bars", "trace scatter")}
    plots = re.findall(r'id="plot-([a-z-]+)"', dumped)
    lines = {kind: lines_of_kind(done.table(kind)) for kind in done.summary["kinds"]}
    assert plots == [
        *("voltages", "import", "prices", "positions", "device-power", "state-of-charge", "plan-against-ac"),
        *(f"kind-{kind}" for kind, count in lines.items() if count),
    ]
    assert lines["generators"] > 0
    assert drawn["main-svg"] >= len(plots)
    # two networks with a band and an import planned and real; two prices; five powers; three charges; two errors; kinds
    assert drawn["trace scatter"] == 4 + 4 + 2 + 5 + 3 + 2 + sum(lines.values())
    assert drawn["trace bars"] >= 1
