"""The page of a run: verdict first, then the networks over time, violations, devices, costs, planning, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.display import figure_rows, repeats
from gridferry.sim.results.report import device_panels, economy, network_map, planning
from gridferry.sim.results.report.figures import figures_table
from gridferry.sim.results.report.markup import document, folded, text
from gridferry.sim.results.report.network_data import network_data
from gridferry.sim.results.report.positions import positions
from gridferry.sim.results.report.source import Source
from gridferry.sim.results.report.verdict import verdict
from gridferry.sim.results.report.violations import violations
from gridferry.sim.results.run_directory import CONFIG, REPORT, Run, in_one_piece, load_run, open_results

_CLOCK = (
    '<div class="clockbar"><button data-part="play">▶ play</button><input type="range" data-part="slider" min="0" '
    'max="0" value="0" aria-label="time"><output data-part="clock"></output><select data-part="days" '
    'aria-label="day shown"></select><button data-part="whole" hidden>whole run</button></div>'
)


def write_report(directory: str | Path) -> Path:
    """Write ``report.html`` into a run directory and return its path; raises `InputError` where it is none."""
    run = load_run(directory)
    path = run.directory / REPORT
    with in_one_piece(path) as target:
        target.write_text(page(run), encoding="utf-8")
    return path


def page(run: Run, map_at: int | None = None) -> str:
    """Return the self-contained HTML page of a run; with a step, only the map, which begins there."""
    summary = run.summary
    title = f"{summary['config']}: {summary['controller']}"
    head = f"<h1>{text(title)}</h1>{verdict(run)}{_key_figures(summary)}"
    data: dict[str, Any] = {"times": [], "networks": [], "figures": {}}
    sections: list[tuple[str, str, str]] = []
    if summary["steps"]:
        with open_results(run.directory) as results:
            source = Source(run, results)
            networks = network_data(source)
            head += _CLOCK
            if map_at is None:
                sections = _pictures(source, networks)
            else:
                sections = [("map", "The networks over time", network_map.network_map(source, networks))]
            begins = (_worst_step(source) if map_at is None else map_at) // source.block
        data = {"times": source.times, "networks": networks, "figures": source.figures, "frame": begins}
    if map_at is not None:
        return document(title, _CLOCK, sections, data)
    sections.append(("figures", "All figures", figures_table([summary])))
    sections.append(("made-from", "Config and manifest", _made_from(run)))
    return document(title, head, sections, data)


def _pictures(source: Source, networks: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Sections with pictures and what belongs to them; those that a run has nothing for are left out."""
    failed = source.run.summary["solver"].get("failures")
    found = (
        ("map", "The networks over time", network_map.network_map(source, networks)),
        ("violations", "Limit violations in AC", violations(source, networks)),
        ("heat", "Voltages and loadings", network_map.heat_maps(source, networks)),
        ("positions", "Positions", positions(source)),
        ("exchange", "Import and prices", economy.exchange(source)),
        ("devices", "Devices", device_panels.device_panels(source)),
        ("costs", "Costs", economy.costs(source)),
        ("plan", "Plan against AC", planning.plan_against_ac(source)),
        ("failed", "Failures of the controller", planning.failures(source) if failed else ""),
        ("solver", "Solver", planning.solver(source)),
        ("kinds", "Devices by kind", device_panels.kinds(source)),
    )
    return [one for one in found if one[2]]


def _worst_step(source: Source) -> int:
    """Return the step of the largest violation, at which the page begins; the first of a run without any."""
    worst = source.run.violations(most=1)
    return worst[0].step if worst else 0


def _key_figures(summary: dict[str, Any]) -> str:
    """Return figures for the first look, and how the run was made."""
    rows = {label: shown[0] for _, label, shown in figure_rows([summary])}
    cost = operating_cost(summary)
    first = {"operating cost": f"{cost:,.2f} {summary['currency']}"} if cost is not None else {}
    wanted = (
        "lowest voltage, pu",
        "highest voltage, pu",
        "highest loading, %",
        "losses, MWh",
        "decision time, longest step, s",
    )
    first |= {label: rows[label] for label in wanted if label in rows}
    shown = "".join(f"<li>{text(label)} <b>{text(value)}</b></li>" for label, value in first.items())
    lead = f"{summary['status']}, {summary['steps']} steps of {summary['step_s']} s, seed {summary['seed']}"
    lead += f"; {note}" if (note := repeats(summary)) else ""
    if "verdict" in summary:
        lead += f"; verdict: {summary['verdict']}"
    return f'<ul class="key">{shown}</ul><p class="lead">{text(lead)}</p>'


def _made_from(run: Run) -> str:
    """Return config and manifest."""
    try:
        config = (run.directory / CONFIG).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        config = f"cannot be read: {error}"
    manifest = json.dumps(run.manifest, indent=2)
    return folded(CONFIG, f"<pre>{text(config)}</pre>") + folded("manifest.json", f"<pre>{text(manifest)}</pre>")
