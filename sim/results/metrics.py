"""Figures of a run, computed from its database: costs, grid, plan against AC, devices, solver, balances.

Everything is summed in the database, so a year is no different from a day. A step whose power flow diverged counts
under ``diverged_steps``. Costs and energies are over the other steps, of grid and devices alike, and then stand apart,
under ``where_solved``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from gridferry.controllers.contract import NoteKind
from gridferry.controllers.tolerances import CERTIFIED_WITH
from gridferry.sim.results.costs import SOLVED, cost_figures
from gridferry.sim.results.device_figures import (
    FLOOR,
    Kinds,
    device_mismatch,
    figures,
    fleet_figures,
    kind_figures,
    known,
)
from gridferry.sim.results.kind_tables import quoted, recorded_columns
from gridferry.sim.results.record_tables import all_tables


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run that its figures need beside the tables.

    Attributes
    ----------
    step_h : step length [h]
    export_price_ratio : export is paid at this share of the buying price
    v_tolerance_pu : a voltage counts as outside its limits when it is so by more than this [pu]
    loading_tolerance_percent : likewise for loadings [%]
    """

    step_h: float
    export_price_ratio: float
    v_tolerance_pu: float
    loading_tolerance_percent: float


@dataclass(frozen=True)
class Violation:
    """Limit violation in the AC grid.

    Attributes
    ----------
    kind : ``voltage``, ``loading``, ``import`` or ``export``
    network, element : where (a bus or a line)
    step, time : when, also by the run's clock
    value, limit : in pu, % or MW
    """

    kind: str
    network: str
    element: str
    step: int
    time: str
    value: float
    limit: float

    @property
    def excess(self) -> float:
        """Size of the violation, in the unit of the limit."""
        return abs(self.value - self.limit)

    def __str__(self) -> str:
        if self.kind == "voltage":
            what = f"bus {self.element}: {self.value:.6f} pu, limit {self.limit:.4g} pu, by {self.excess:.3g} pu"
        elif self.kind in ("import", "export"):
            what = f"{self.kind}: {self.value:.6f} MW, limit {self.limit:.4g} MW, by {self.excess:.3g} MW"
        else:
            what = f"line {self.element}: {self.value:.3f} %, limit {self.limit:.4g} %, by {self.excess:.3g} %"
        return f"step {self.step}, {self.time[:16].replace('T', ' ')}: {self.network} {what}"


@dataclass(frozen=True)
class ViolatedPlace:
    """All violations of a limit at a place.

    Attributes
    ----------
    worst : the largest
    steps : how many there are, one a step
    first, last : steps of the first and the last
    """

    worst: Violation
    steps: int
    first: int
    last: int


_VIOLATIONS = """
    SELECT 'voltage' AS kind, network, bus AS element, step, v_pu AS value,
           CASE WHEN v_pu < v_min_pu THEN v_min_pu ELSE v_max_pu END AS "limit",
           greatest(v_min_pu - v_pu, v_pu - v_max_pu) AS excess
    FROM bus JOIN bus_info USING (network, bus)
    WHERE NOT isnan(v_pu) AND greatest(v_min_pu - v_pu, v_pu - v_max_pu) > $v_tolerance
    UNION ALL
    SELECT 'loading', network, line, step, loading_percent, loading_max_percent, loading_percent - loading_max_percent
    FROM line JOIN line_info USING (network, line)
    WHERE NOT isnan(loading_percent) AND loading_percent - loading_max_percent > $loading_tolerance
"""
_EXCHANGES = """
    UNION ALL
    SELECT way, network, '', step, value, "limit", value - "limit" FROM (
        SELECT 'import' AS way, network, step, import_mw AS value, import_max_mw AS "limit", exchange_unit_mw
        FROM network JOIN network_info USING (network)
        UNION ALL
        SELECT 'export', network, step, -import_mw, export_max_mw, exchange_unit_mw
        FROM network JOIN network_info USING (network)
    ) WHERE NOT isnan(value) AND value - "limit" > $loading_tolerance / 100 * exchange_unit_mw
"""


def _violations(connection: duckdb.DuckDBPyConnection) -> str:
    """Query for all violations; records of earlier versions have no limits of exchanges."""
    return _VIOLATIONS + (_EXCHANGES if "network_info" in all_tables(connection) else "")


def violations(connection: duckdb.DuckDBPyConnection, facts: RunFacts, most: int | None = None) -> list[Violation]:
    """Return the limit violations in the AC grid, worst first within their kind."""
    rows = connection.execute(
        f'SELECT kind, network, element, step, time, value, "limit" FROM ({_violations(connection)}) '
        "JOIN (SELECT step, time FROM step) USING (step) "
        "ORDER BY kind DESC, excess DESC, step, network, element" + (f" LIMIT {int(most)}" if most else ""),
        _tolerances(facts),
    ).fetchall()
    return [Violation(*row) for row in rows]


def violated_places(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> list[ViolatedPlace]:
    """Return the limit violations by place, worst first within their kind."""
    worst = ", ".join(f"arg_max({one}, excess)" for one in ("step", "time", "value", '"limit"'))
    rows = connection.execute(
        f"SELECT kind, network, element, {worst}, count(*), min(step), max(step) FROM ({_violations(connection)}) "
        "JOIN (SELECT step, time FROM step) USING (step) GROUP BY kind, network, element "
        "ORDER BY kind DESC, max(excess) DESC, network, element",
        _tolerances(facts),
    ).fetchall()
    return [ViolatedPlace(Violation(*row[:7]), *row[7:]) for row in rows]


def broken_steps(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> int:
    """Return the number of steps in which a limit is violated, or that have no power flow."""
    query = f"SELECT step FROM ({_violations(connection)}) UNION SELECT step FROM network WHERE NOT converged"
    return int(connection.execute(f"SELECT count(*) FROM ({query})", _tolerances(facts)).fetchall()[0][0])


def summarise(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> dict[str, Any]:
    """Return the figures of a run, as ``summary.json`` has them under ``cost``, ``grid`` and so on."""
    kinds = recorded_columns(connection)
    found: dict[str, Any] = {
        "cost": cost_figures(connection, facts.step_h),
        "grid": _grid(connection, facts),
        "plan_vs_ac": _plan_vs_ac(connection),
        "dispatch": _dispatch(connection),
        "fleet": known(fleet_figures(connection, kinds, SOLVED)),
        "kinds": kind_figures(connection, kinds, SOLVED),
        "solver": _solver(connection),
        **_joint_reliability(connection),
        "balance_error_rel_max": _balance(connection, facts, kinds),
    }
    return _apart(connection, found) if found["grid"]["diverged_steps"] else found


def _apart(connection: duckdb.DuckDBPyConnection, found: dict[str, Any]) -> dict[str, Any]:
    """Move the figures that leave steps out to ``where_solved``, with the number of steps that they are over."""
    steps = {"steps": f"(SELECT count(*) FROM {SOLVED})"}
    apart: dict[str, Any] = {**figures(connection, "(SELECT 1)", steps), **{name: found.pop(name) for name in _APART}}
    diverged = found["grid"].pop("diverged_steps")
    apart["grid"], found["grid"] = found["grid"], {"diverged_steps": diverged}
    apart["fleet"] = {name: found["fleet"].pop(name) for name in _ENERGIES if name in found["fleet"]}
    apart["kinds"] = {
        table: {name: of_kind.pop(name) for name in ("totals", "cost")} for table, of_kind in found["kinds"].items()
    }
    return found | {"where_solved": apart}


_APART = ("cost", "plan_vs_ac")
_ENERGIES = ("charged_mwh", "discharged_mwh", "shortfall_mwh")


def _spread(connection: duckdb.DuckDBPyConnection, column: str, *names: str, prefix: str = "") -> dict[str, Any]:
    """Distribution over steps of a column of table ``step``; empty if it has no values."""
    of = {
        "mean": f"avg({column})",
        "p50": f"quantile_cont({column}, 0.5)",
        "p95": f"quantile_cont({column}, 0.95)",
        "p99": f"quantile_cont({column}, 0.99)",
        "max": f"max({column})",
    }
    return figures(connection, f"step WHERE isfinite({column})", {prefix + name: of[name] for name in names})


def _tolerances(facts: RunFacts) -> dict[str, float]:
    return {"v_tolerance": facts.v_tolerance_pu, "loading_tolerance": facts.loading_tolerance_percent}


def _grid(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> dict[str, Any]:
    imported = "coalesce(sum(greatest(import_mw, 0)), 0) * $hours"
    exported = "coalesce(sum(greatest(-import_mw, 0)), 0) * $hours"
    energies = {
        "import_mwh": imported,
        "export_mwh": exported,
        "net_import_mwh": f"{imported} - {exported}",
        "losses_mwh": "coalesce(sum(losses_mw), 0) * $hours",
    }
    voltages = {"v_min_pu": "min(v_pu)", "v_max_pu": "max(v_pu)"}
    rated = "line JOIN line_info USING (network, line) WHERE NOT isnan(loading_percent) AND isfinite(i_max_ka)"
    diverged = {"diverged_steps": "count(DISTINCT step)"}
    return {
        **figures(connection, f"network WHERE step IN {SOLVED}", energies, {"hours": facts.step_h}),
        **figures(connection, "bus WHERE NOT isnan(v_pu)", voltages),
        **figures(connection, rated, {"loading_max_percent": "max(loading_percent)"}),
        **figures(connection, f"({_violations(connection)})", {"violations": "count(*)"}, _tolerances(facts)),
        **figures(connection, "network WHERE NOT converged", diverged),
    }


def _plan_vs_ac(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    voltages = {"v_max_abs_pu": "max(abs(v_plan_pu - v_pu))", "v_rms_pu": "sqrt(avg((v_plan_pu - v_pu) ** 2))"}
    flows = {
        f"{name}_rel_error": f"abs(sum({name}_plan_mw) - sum({name}_mw)) / greatest(abs(sum({name}_mw)), {FLOOR})"
        for name in ("losses", "import")
    }
    spreads = {
        "v_abs_pu": _spread(connection, "v_plan_ac_max_pu", "mean", "p50", "p95", "p99", "max"),
        "cone_gap": _spread(connection, "cone_gap", "p50", "p95", "p99", "max"),
    }
    return {
        **figures(connection, "bus WHERE NOT isnan(v_plan_pu) AND NOT isnan(v_pu)", voltages),
        **figures(connection, f"network WHERE step IN {SOLVED} AND NOT isnan(losses_plan_mw)", flows),
        **figures(connection, "step WHERE NOT isnan(cone_gap)", {"cone_gap_max": "max(cone_gap)"}),
        **{name: spread for name, spread in spreads.items() if spread},
    }


def _dispatch(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Figures of the AC check of dispatched plans on the forecast."""
    checks = {
        "corrected_steps": "count(*) FILTER (ac_corrections > 0)",
        "corrections": "coalesce(sum(ac_corrections), 0)::BIGINT",
        "remaining_steps": "count(*) FILTER (NOT isnan(ac_excess_pu) AND (ac_excess_pu > 0 OR ac_excess_percent > 0))",
        "remaining_max_pu": "coalesce(max(ac_excess_pu) FILTER (NOT isnan(ac_excess_pu)), 0)",
        "remaining_max_percent": "coalesce(max(ac_excess_percent) FILTER (NOT isnan(ac_excess_percent)), 0)",
        "unchecked_steps": "count(*) FILTER (isnan(ac_excess_pu))",
    }
    return figures(connection, "step", checks)


def _solver(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    calls = {
        "calls": "count(*)",
        "gap_max": "max(gap) FILTER (NOT isnan(gap))",
        "seconds_total": "coalesce(sum(solver_seconds), 0)",
        "seconds_max": "max(solver_seconds)",
    }
    decisions = {
        "time_limit_steps": "count(*) FILTER (solver_termination = 'time_limit')",
        "failures": "count(*) FILTER (failure <> '')",
        "fallbacks": "count(*) FILTER (fallback <> '')",
        "decision_seconds_total": "coalesce(sum(decision_seconds), 0)",
        **dict.fromkeys(("decision_seconds_mean", "decision_seconds_p95", "decision_seconds_max"), "0.0::DOUBLE"),
    }
    found = {
        **figures(connection, "step WHERE solver_seconds > 0", calls),
        **figures(connection, "step", decisions),
        **figures(connection, "step WHERE isfinite(saving)", {"saving_first": "arg_min(saving, step)"}),
        **_spread(connection, "gap_abs", "mean", "max", prefix="gap_abs_"),
        **_spread(connection, "gap_of_saving", "mean", "p95", "max", prefix="gap_of_saving_"),
        **_spread(connection, "decision_seconds", "mean", "p95", "max", prefix="decision_seconds_"),
    }
    if "gap_abs_max" in found and found.get("saving_first", 0.0) > 0:
        found["gap_abs_max_of_first_saving"] = found["gap_abs_max"] / found["saving_first"]
    return found


def _joint_reliability(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What was certified of the first plan that was; empty where none was."""
    row = connection.execute(
        f"SELECT solver_notes FROM step WHERE contains(solver_notes, '\"{NoteKind.JOINT_CERTIFIED}\"') "
        f"OR contains(solver_notes, '\"{NoteKind.JOINT_NOT_REACHED}\"') ORDER BY step LIMIT 1"
    ).fetchone()
    if row is None:
        return {}
    notes = {NoteKind(one["kind"]): one for one in json.loads(row[0])}
    reached = NoteKind.JOINT_CERTIFIED in notes
    certificate = notes[NoteKind.JOINT_CERTIFIED if reached else NoteKind.JOINT_NOT_REACHED]
    return {
        "joint_reliability": {
            "reached": reached,
            "certified": certificate["value"],
            "certified_with": CERTIFIED_WITH,
            "kept": certificate["place"],
            "individual_confidence": notes[NoteKind.INDIVIDUAL_CONFIDENCE]["value"],
        }
    }


def _balance(connection: duckdb.DuckDBPyConnection, facts: RunFacts, kinds: Kinds) -> float:
    """Largest relative mismatch of any balance: each grid's, each device's, all devices against buses."""
    devices = " UNION ALL ".join(f"SELECT step, injected_mwh FROM {quoted(table)}" for table in kinds)
    given = f"""
        (SELECT step, sum(p_mw + p_load_mw - p_own_mw) AS given, sum(abs(p_load_mw)) AS flowing
         FROM bus WHERE NOT isnan(p_mw) GROUP BY step) AS fed
        LEFT JOIN (SELECT step, sum(injected_mwh) / {facts.step_h} AS given
                   FROM ({devices or "SELECT NULL AS step, 0.0 AS injected_mwh"}) GROUP BY step) AS made
        USING (step) WHERE step IN {SOLVED}
    """
    mismatch = f"max(abs(fed.given - coalesce(made.given, 0)) / greatest(flowing, {FLOOR}))"
    found = {
        **figures(connection, "network WHERE converged", {"grids": "max(balance_error_rel)"}),
        **figures(connection, given, {"buses": mismatch}),
    }
    return max([device_mismatch(connection, kinds), *found.values()])
