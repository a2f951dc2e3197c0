"""Figures of a run, computed from its database: costs, grid, plan against AC, devices, solver, balances.

Everything is summed in the database, so a year is no different from a day. A step whose power flow diverged counts
under ``diverged_steps`` and is left out of the sums that need a power flow (income, grid cost, losses, import).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb

from gridferry.sim.results.costs import SOLVED, cost_figures
from gridferry.sim.results.device_figures import FLOOR, Kinds, device_mismatch, fleet_figures, kind_figures
from gridferry.sim.results.kind_tables import quoted, recorded_columns


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
    kind : ``voltage`` or ``loading``
    network, element : where (a bus or a line)
    step : when
    value, limit : in pu or %
    """

    kind: str
    network: str
    element: str
    step: int
    value: float
    limit: float

    @property
    def excess(self) -> float:
        """Size of the violation, in the unit of the limit."""
        return abs(self.value - self.limit)

    def __str__(self) -> str:
        if self.kind == "voltage":
            what = f"bus {self.element}: {self.value:.6f} pu, limit {self.limit:.4g} pu, by {self.excess:.3g} pu"
        else:
            what = f"line {self.element}: {self.value:.3f} %, limit {self.limit:.4g} %, by {self.excess:.3g} %"
        return f"step {self.step}: {self.network} {what}"


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


def violations(connection: duckdb.DuckDBPyConnection, facts: RunFacts, most: int | None = None) -> list[Violation]:
    """Return the limit violations in the AC grid, worst first within their kind."""
    rows = connection.execute(
        f'SELECT kind, network, element, step, value, "limit" FROM ({_VIOLATIONS}) '
        "ORDER BY kind DESC, excess DESC, step, network, element" + (f" LIMIT {int(most)}" if most else ""),
        _tolerances(facts),
    ).fetchall()
    return [Violation(*row) for row in rows]


def summarise(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> dict[str, Any]:
    """Return the figures of a run, as ``summary.json`` has them under ``cost``, ``grid`` and so on."""
    kinds = recorded_columns(connection)
    return {
        "cost": cost_figures(connection, facts.step_h),
        "grid": _grid(connection, facts),
        "plan_vs_ac": _plan_vs_ac(connection),
        "dispatch": _dispatch(connection),
        "fleet": _known(**fleet_figures(connection, kinds)),
        "kinds": kind_figures(connection, kinds),
        "solver": _solver(connection),
        "balance_error_rel_max": _balance(connection, facts, kinds),
    }


def _one(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, float] | None = None) -> list[Any]:
    rows = connection.execute(query, parameters or {}).fetchall()
    return list(rows[0]) if rows else []


def _known(**figures: Any) -> dict[str, Any]:
    """Leave out figures without a value."""
    return {
        key: value
        for key, value in figures.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _spread(connection: duckdb.DuckDBPyConnection, column: str, *names: str) -> dict[str, Any] | None:
    """Distribution over steps of a column of table ``step``; ``None`` if it has no values."""
    of = {
        "mean": f"avg({column})",
        "p50": f"quantile_cont({column}, 0.5)",
        "p95": f"quantile_cont({column}, 0.95)",
        "p99": f"quantile_cont({column}, 0.99)",
        "max": f"max({column})",
    }
    selected = ", ".join(of[name] for name in names)
    found = _one(connection, f"SELECT {selected} FROM step WHERE isfinite({column})")
    return None if found[0] is None else dict(zip(names, found, strict=True))


def _tolerances(facts: RunFacts) -> dict[str, float]:
    return {"v_tolerance": facts.v_tolerance_pu, "loading_tolerance": facts.loading_tolerance_percent}


def _grid(connection: duckdb.DuckDBPyConnection, facts: RunFacts) -> dict[str, Any]:
    hours = facts.step_h
    (imported, exported, losses) = _one(
        connection,
        f"""
        SELECT coalesce(sum(greatest(import_mw, 0)), 0) * {hours}, coalesce(sum(greatest(-import_mw, 0)), 0) * {hours},
               coalesce(sum(losses_mw), 0) * {hours}
        FROM network WHERE converged
        """,
    )
    (v_min, v_max) = _one(connection, "SELECT min(v_pu), max(v_pu) FROM bus WHERE NOT isnan(v_pu)")
    (loading,) = _one(
        connection,
        """
        SELECT max(loading_percent) FROM line JOIN line_info USING (network, line)
        WHERE NOT isnan(loading_percent) AND isfinite(i_max_ka)
        """,
    )
    (broken,) = _one(connection, f"SELECT count(*) FROM ({_VIOLATIONS})", _tolerances(facts))
    (diverged,) = _one(connection, "SELECT count(DISTINCT step) FROM network WHERE NOT converged")
    return _known(
        import_mwh=imported,
        export_mwh=exported,
        net_import_mwh=imported - exported,
        losses_mwh=losses,
        v_min_pu=v_min,
        v_max_pu=v_max,
        loading_max_percent=loading,
        violations=broken,
        diverged_steps=diverged,
    )


def _plan_vs_ac(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    (v_max, v_rms) = _one(
        connection,
        """
        SELECT max(abs(v_plan_pu - v_pu)), sqrt(avg((v_plan_pu - v_pu) ** 2))
        FROM bus WHERE NOT isnan(v_plan_pu) AND NOT isnan(v_pu)
        """,
    )
    (planned, real, import_planned, import_real) = _one(
        connection,
        """
        SELECT sum(losses_plan_mw), sum(losses_mw), sum(import_plan_mw), sum(import_mw)
        FROM network WHERE converged AND NOT isnan(losses_plan_mw)
        """,
    )
    (cone,) = _one(connection, "SELECT max(cone_gap) FROM step WHERE NOT isnan(cone_gap)")
    return _known(
        v_max_abs_pu=v_max,
        v_rms_pu=v_rms,
        losses_rel_error=abs(planned - real) / max(abs(real), FLOOR) if real is not None else None,
        import_rel_error=abs(import_planned - import_real) / max(abs(import_real), FLOOR)
        if import_real is not None
        else None,
        cone_gap_max=cone,
        v_abs_pu=_spread(connection, "v_plan_ac_max_pu", "mean", "p50", "p95", "p99", "max"),
        cone_gap=_spread(connection, "cone_gap", "p50", "p95", "p99", "max"),
    )


def _dispatch(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Figures of the AC check of dispatched plans on the forecast."""
    (corrected, corrections, remaining, v_pu, percent, unchecked) = _one(
        connection,
        """
        SELECT count(*) FILTER (ac_corrections > 0), coalesce(sum(ac_corrections), 0)::BIGINT,
               count(*) FILTER (NOT isnan(ac_excess_pu) AND (ac_excess_pu > 0 OR ac_excess_percent > 0)),
               coalesce(max(ac_excess_pu) FILTER (NOT isnan(ac_excess_pu)), 0),
               coalesce(max(ac_excess_percent) FILTER (NOT isnan(ac_excess_percent)), 0),
               count(*) FILTER (isnan(ac_excess_pu))
        FROM step
        """,
    )
    return _known(
        corrected_steps=corrected,
        corrections=corrections,
        remaining_steps=remaining,
        remaining_max_pu=v_pu,
        remaining_max_percent=percent,
        unchecked_steps=unchecked,
    )


def _solver(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    (calls, gap, seconds, longest) = _one(
        connection,
        """
        SELECT count(*), max(gap) FILTER (NOT isnan(gap)), coalesce(sum(solver_seconds), 0), max(solver_seconds)
        FROM step WHERE solver_seconds > 0
        """,
    )
    (failures, fallbacks, deciding) = _one(
        connection,
        """
        SELECT count(*) FILTER (failure <> ''), count(*) FILTER (fallback <> ''), coalesce(sum(decision_seconds), 0)
        FROM step
        """,
    )
    (first_saving,) = _one(connection, "SELECT saving FROM step WHERE isfinite(saving) ORDER BY step LIMIT 1") or [None]
    gap_abs = _spread(connection, "gap_abs", "mean", "max") or {}
    of_saving = _spread(connection, "gap_of_saving", "mean", "p95", "max") or {}
    decision = _spread(connection, "decision_seconds", "mean", "p95", "max") or {}
    return _known(
        calls=calls,
        failures=failures,
        fallbacks=fallbacks,
        gap_max=gap,
        gap_abs_max=gap_abs.get("max"),
        gap_abs_mean=gap_abs.get("mean"),
        saving_first=first_saving,
        gap_abs_max_of_first_saving=gap_abs["max"] / first_saving if gap_abs and (first_saving or 0) > 0 else None,
        gap_of_saving_max=of_saving.get("max"),
        gap_of_saving_p95=of_saving.get("p95"),
        gap_of_saving_mean=of_saving.get("mean"),
        seconds_total=seconds,
        seconds_max=longest,
        decision_seconds_total=deciding,
        decision_seconds_mean=decision.get("mean", 0.0),
        decision_seconds_p95=decision.get("p95", 0.0),
        decision_seconds_max=decision.get("max", 0.0),
    )


def _balance(connection: duckdb.DuckDBPyConnection, facts: RunFacts, kinds: Kinds) -> float:
    """Largest relative mismatch of any balance: each grid's, each device's, all devices against buses."""
    devices = " UNION ALL ".join(f"SELECT step, injected_mwh FROM {quoted(table)}" for table in kinds)
    queries = [
        "SELECT max(balance_error_rel) FROM network WHERE converged",
        f"""
        WITH fed AS (SELECT step, sum(p_mw + p_load_mw - p_own_mw) AS given, sum(abs(p_load_mw)) AS flowing
                     FROM bus JOIN bus_info USING (network, bus) WHERE NOT isnan(p_mw) GROUP BY step),
             made AS (SELECT step, sum(injected_mwh) / {facts.step_h} AS given
                      FROM ({devices or "SELECT NULL AS step, 0.0 AS injected_mwh"}) GROUP BY step)
        SELECT max(abs(fed.given - coalesce(made.given, 0)) / greatest(flowing, {FLOOR}))
        FROM fed LEFT JOIN made USING (step) WHERE step IN {SOLVED}
        """,
    ]
    found = [_one(connection, query)[0] for query in queries]
    return max([device_mismatch(connection, kinds), *(value for value in found if value is not None)])
