"""Tables of figures in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.results.comparison import Group, labels, unlike
from gridferry.sim.results.run_directory import SUMMARY, Run

# section, label, path in summary.json, format; {c} is the currency
_ROWS = (
    ("run", "status", "status", ""),
    ("", "steps", "steps", "d"),
    ("", "step length, s", "step_s", "d"),
    ("", "config", "config", ""),
    ("", "controller", "controller", ""),
    ("", "seed", "seed", "d"),
    ("", "verdict", "verdict", ""),
    ("cost", "income from customers, {c}", "cost.income", ",.2f"),
    ("", "grid energy, {c}", "cost.grid", ",.2f"),
    ("", "demand charge, {c}", "cost.terms.demand", ",.2f"),
    ("", "renewable feed-in, {c}", "cost.res", ",.2f"),
    ("", "driving, {c}", "cost.truck", ",.2f"),
    ("", "storage wear, {c}", "cost.ess", ",.2f"),
    ("", "profit, {c}", "cost.profit", ",.2f"),
    ("", "controllable cost, {c}", "cost.controllable_cost", ",.2f"),
    ("base case", "operating cost if nothing is done, {c}", "base_case.operating_cost", ",.2f"),
    ("", "saving over it, {c}", "base_case.saving", ",.2f"),
    ("", "limit violations if nothing is done", "base_case.violations", "d"),
    ("regret", "cost without foresight, {c}", "regret.run_cost", ",.2f"),
    ("", "cost with foresight, {c}", "regret.foresight_cost", ",.2f"),
    ("", "regret, {c}", "regret.cost", ",.2f"),
    ("", "regret, share of cost with foresight", "regret.share", ".2%"),
    ("", "stored at the end beyond foresight, MWh", "regret.energy_end_mwh", ",.4f"),
    ("AC grid", "import, MWh", "grid.import_mwh", ",.4f"),
    ("", "export, MWh", "grid.export_mwh", ",.4f"),
    ("", "losses, MWh", "grid.losses_mwh", ",.5f"),
    ("", "lowest voltage, pu", "grid.v_min_pu", ".5f"),
    ("", "highest voltage, pu", "grid.v_max_pu", ".5f"),
    ("", "highest loading, %", "grid.loading_max_percent", ".1f"),
    ("", "limit violations", "grid.violations", "d"),
    ("", "diverged steps", "grid.diverged_steps", "d"),
    ("plan against AC", "voltage, largest error, pu", "plan_vs_ac.v_max_abs_pu", ".2e"),
    ("", "voltage, RMS error, pu", "plan_vs_ac.v_rms_pu", ".2e"),
    ("", "losses, relative error", "plan_vs_ac.losses_rel_error", ".2e"),
    ("", "import, relative error", "plan_vs_ac.import_rel_error", ".2e"),
    ("", "largest cone gap, pu²", "plan_vs_ac.cone_gap_max", ".2e"),
    ("AC on the forecast", "corrected steps", "dispatch.corrected_steps", "d"),
    ("", "corrected plans requested", "dispatch.corrections", "d"),
    ("", "steps that break a limit", "dispatch.remaining_steps", "d"),
    ("", "voltage beyond its limit, pu", "dispatch.remaining_max_pu", ".2e"),
    ("", "steps not checked", "dispatch.unchecked_steps", "d"),
    ("fleet", "trips", "fleet.trips", "d"),
    ("", "distance, km", "fleet.km", ",.2f"),
    ("", "charged, MWh", "fleet.charged_mwh", ",.4f"),
    ("", "discharged, MWh", "fleet.discharged_mwh", ",.4f"),
    ("", "most cycles a day", "fleet.cycles_max", ".4f"),
    ("", "state of charge, lowest", "fleet.soc_min", ".4f"),
    ("", "state of charge, highest", "fleet.soc_max", ".4f"),
    ("", "state of charge at the end, lowest", "fleet.soc_end", ".4f"),
    ("", "requested but not delivered, MWh", "fleet.shortfall_mwh", ".6f"),
    ("controller", "solver calls", "solver.calls", "d"),
    ("", "largest gap", "solver.gap_max", ".2e"),
    ("", "largest gap, {c}", "solver.gap_abs_max", ",.4f"),
    ("", "largest gap, share of the saving", "solver.gap_of_saving_max", ".2%"),
    ("", "steps cut short by a time limit", "solver.time_limit_steps", "d"),
    ("", "fallbacks", "solver.fallbacks", "d"),
    ("", "individual confidence, tuned", "joint_reliability.individual_confidence", ".4f"),
    ("", "days that keep all limits, certified", "joint_reliability.certified", ".2%"),
    ("", "decision time, total, s", "solver.decision_seconds_total", ".2f"),
    ("", "decision time, longest step, s", "solver.decision_seconds_max", ".3f"),
    ("balances", "largest relative error", "balance_error_rel_max", ".1e"),
)

_FOR_LABELS = 12
"""columns of the terminal that labels are to have beyond their longest words"""
_WIDE = 20
"""characters of a heading from which on its value stands in a line of its own"""


def figure(summary: Mapping[str, Any], path: str) -> Any:
    """Return the figure at a dotted path of a summary; ``None`` if it is missing."""
    value: Any = summary
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def repeats(summary: Mapping[str, Any]) -> str:
    """Say that a run again, or a resumed one, may plan otherwise, if a time limit struck; else empty."""
    steps = figure(summary, "solver.time_limit_steps")
    return f"a time limit cut {steps} plans short: equal plans cannot be promised if it is run again" if steps else ""


def run_tables(runs: Sequence[Run], width: int) -> list[Table]:
    """Return tables of the runs' figures, a column per run, as many as fit; rows that no run has are left out."""
    differ = unlike(runs)
    marks = ["\nnot alike" if _is_odd(run, runs[0], differ) else "" for run in runs]
    columns = [label + mark for label, mark in zip(labels(runs), marks, strict=True)]
    return _tables(columns, figure_rows([run.summary for run in runs]), width)


def _is_odd(run: Run, first: Run, differ: Mapping[str, Any]) -> bool:
    """Whether a run is not finished, or differs from the first in what makes runs compare."""
    return any(run.summary.get(key) != ("completed" if key == "status" else first.summary.get(key)) for key in differ)


def mean_tables(groups: Sequence[Group], width: int) -> list[Table]:
    """Return tables of means, a column per group of runs, as many as fit."""
    names = labels([one.first for one in groups], but="seed")
    columns = [f"{name}\nmean of {one.runs}" for name, one in zip(names, groups, strict=True)]
    return _tables(columns, figure_rows([one.summary for one in groups]), width)


def _tables(columns: Sequence[str], rows: Sequence[tuple[str, str, list[str]]], width: int) -> list[Table]:
    """Return tables that fit a width, each with some of the columns."""
    tables: list[Table] = []
    for many in range(len(columns), 0, -1):
        parts = [slice(k, k + many) for k in range(0, len(columns), many)]
        tables = [_table(columns[own], [(head, label, shown[own]) for head, label, shown in rows]) for own in parts]
        if all(Console(width=10_000).measure(one).minimum + _FOR_LABELS <= width for one in tables):
            break
    return tables


def _table(columns: Sequence[str], rows: Sequence[tuple[str, str, list[str]]]) -> Table:
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("", overflow="fold")
    for column in columns:
        lines = [line.replace(" = ", " =\n") if len(line) > _WIDE else line for line in column.split("\n")]
        table.add_column(escape("\n".join(lines)), justify="right", no_wrap=True)
    heading = ""
    for section, label, shown in rows:
        bold = f"[bold]{escape(label)}[/bold]" if label.startswith("profit") else escape(label)
        cells = [fill(one, 12) for one in shown] if label == "verdict" else shown
        table.add_row("" if section == heading else f"[cyan]{escape(section)}[/cyan]", bold, *cells)
        heading = section
    return table


def figure_rows(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Return the figures that any of the summaries has: section, label with its unit, one text per summary."""
    currencies = {summary["currency"] for summary in summaries}
    currency = currencies.pop() if len(currencies) == 1 else "money"
    rows: list[tuple[str, str, list[str]]] = []
    heading = ""
    for section, label, path, form in _ROWS:
        heading = section or heading
        values = [figure(summary, path) for summary in summaries]
        values = [_number(value, path) if form else value for value in values]
        if any(value is not None for value in values):
            shown = ["–" if value is None else _shown(value, form) for value in values]
            rows.append((heading, label.format(c=currency), shown))
    return rows + _kind_rows(summaries, currency) + _rows_where_solved(summaries)


def _rows_where_solved(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Rows of figures that leave out steps without a power flow, under headings of their own; none if no step did."""
    apart = [{"currency": one["currency"], **one.get("where_solved", {})} for one in summaries]
    counts = {
        f"{of['steps']} of {one['steps']} steps" for one, of in zip(summaries, apart, strict=True) if "steps" in of
    }
    if not counts:
        return []
    over = f"only {counts.pop()}" if len(counts) == 1 else "only solved steps"
    return [(f"{over}: {section}", label, shown) for section, label, shown in figure_rows(apart) if section != "run"]


def _kind_rows(summaries: Sequence[Mapping[str, Any]], currency: str) -> list[tuple[str, str, list[str]]]:
    """Rows of every kind of device: their number, and totals and costs that are not zero everywhere."""
    rows: list[tuple[str, str, list[str]]] = []
    for table in _keys(summaries, "kinds"):
        of_kind = [(figure(one, "kinds") or {}).get(table, {}) for one in summaries]
        figures = [("devices", [one.get("devices") for one in of_kind], "d")]
        for part, label, form in (("totals", "{}", ",.4f"), ("cost", "{}, " + currency, ",.2f")):
            figures += [
                (label.format(name), [_number(one.get(part, {}).get(name), name) for one in of_kind], form)
                for name in _keys(of_kind, part)
            ]
        for label, values, form in figures:
            if any(values):
                shown = ["–" if one is None else _shown(one, "d" if isinstance(one, int) else form) for one in values]
                rows.append((table, label, shown))
    return rows


def _number(value: Any, name: str) -> float | int | None:
    """Figure of a summary; raises `InputError` for what is no number."""
    if value is None or isinstance(value, (int, float)):
        return value
    raise InputError(Fault(SUMMARY, name, f"{value!r} is no number: damaged; give another run directory"))


def _keys(mappings: Sequence[Mapping[str, Any]], part: str) -> list[str]:
    """Keys of a part of any of the mappings, in order."""
    return list(dict.fromkeys(key for one in mappings for key in one.get(part, {})))


def _shown(value: float | int | str, form: str) -> str:
    """Format a figure; the mean of a count may have decimals."""
    return format(value, ",.2f" if form == "d" and isinstance(value, float) else form)
