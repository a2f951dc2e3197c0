"""Golden cases: read their table, run them, compare their figures.

A figure is a scalar with a dotted name: ``cost.grid`` of the summary, ``first_plan.bound`` of the record.
"""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gridferry.sim import Run, load_run, run, validate
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.forecast_schema import ForecastKind

HERE = Path(__file__).parent
Figures = dict[str, Any]
Allowed = Callable[[str, float], float]
"""how far a figure of this name may lie from this golden value"""

_TABLE = tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))
_TOLERANCES: dict[str, float] = _TABLE.pop("tolerances")
_RESIDUALS = ("balance_error_rel_max", "plan_vs_ac.")
_REPLAYED = ("cost.", "grid.", "fleet.")
"""figures that a plan decides, whoever made it"""
_MONEY = re.compile(r"cost\..*|first_plan\..*|regret\.(run_cost|foresight_cost|cost)|solver\.gap_abs_max")
"""figures of an optimised run in its currency"""
_COUNTS = ("status", "config", "controller", "currency", "steps", "step_s", "seed", "grid.violations")
_COUNTS += ("grid.diverged_steps", "solver.failures", "solver.fallbacks")
"""figures of an optimised run that are the same in every optimum"""
_BALANCED_MWH = 1e-12
_PREDICTED = 1e-6
"""how far a prediction may be off, relative to max(1, |figure|): what two engines and the solver of AC leave"""


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """A row of ``cases.toml``, which says what its keys mean."""

    name: str
    config: str
    controller: str | None = None
    set: tuple[str, ...] = ()
    steps: int | None = None
    validate: str | None = None
    replay: str | None = None
    resume_at: int | None = None
    regret: bool = False
    golden: str | None = None
    money: float | None = None
    slow: bool = False

    def where(self) -> str | Path:
        """Return the config: a file in this folder, or a shipped one by its name."""
        own = HERE / self.config
        return own if own.is_file() else self.config

    def play(self, out: Path) -> tuple[Run, Figures]:
        """Run the case into a directory; return the run, read from there, and all its figures."""
        if self.validate is not None:
            verdict = validate(HERE / self.validate, self.where(), overrides=self.set, steps=self.steps, out=out)
            message = {key: value for key, value in verdict.as_json().items() if key != "summary"}
            return verdict.run, figures(message) | summary_figures(load_run(out))
        controller, overrides = self.controller, self.set
        if self.replay is not None:
            controller, overrides = "replay", (*self.set, f"controller.file='{HERE / self.replay}'")
        if self.resume_at is not None:
            run(self.where(), controller=controller, overrides=overrides, steps=self.resume_at, out=out)
        run(
            self.where(),
            controller=controller,
            overrides=overrides,
            steps=self.steps,
            out=out,
            resume=self.resume_at is not None,
            regret=self.regret,
        )
        done = load_run(out)
        found = summary_figures(done)
        if self.money is not None:
            found |= first_plan_figures(done)
            found = replayed(found) | self.compared(found)
        return done, found

    def knows_what_happens(self) -> bool:
        """Whether its controllers are given what will happen."""
        forecast = load_config(self.where(), self.set).config.forecast
        return forecast.foresight or forecast.kind is ForecastKind.PERFECT

    def replay_plan(self, plan: Path, out: Path) -> Figures:
        """Return the figures of a replay of a plan in the reality of the case."""
        reality = [one for one in self.set if not one.startswith("controller.")]
        verdict = validate(plan, self.where(), overrides=reality, steps=self.steps, out=out)
        return replayed(summary_figures(verdict.run))

    def allowed(self) -> Allowed:
        """Return the tolerances of the case."""
        return exactly if self.money is None else lambda key, golden: self.money or 0.0

    def compared(self, golden: Figures) -> Figures:
        """Return those of the golden figures that a run of the case must have: of an optimiser not every one."""
        if self.money is None:
            return golden
        return {key: golden[key] for key in golden if key in _COUNTS or _MONEY.fullmatch(key)}


def exactly(key: str, golden: float) -> float:
    """Tolerance of exact figures."""
    relative = _TOLERANCES["residuals" if key.startswith(_RESIDUALS) else "figures"]
    return relative * max(1.0, abs(golden))


CASES = [GoldenCase(name=name, **row | {"set": tuple(row.get("set", ()))}) for name, row in _TABLE.items()]

# -------------------------------------------------------------------------------------------------------------- figures


def figures(content: Any, name: str = "") -> Figures:
    """Return nested data as scalars with dotted names, without times taken and texts made of figures."""
    found: Figures = {}
    if isinstance(content, Mapping):
        inner: Iterable[tuple[Any, Any]] = content.items()
    elif isinstance(content, list):
        inner = enumerate(content)
        found[f"{name}.count"] = len(content)
    else:
        return {name: content}
    for key, one in inner:
        if "seconds" not in str(key) and key != "says":
            found |= figures(one, f"{name}.{key}" if name else str(key))
    return found


def summary_figures(done: Run) -> Figures:
    """Return the figures of a summary."""
    return figures(done.summary)


def first_plan_figures(done: Run) -> Figures:
    """Return objective and bound of the first plan; those of later ones depend on what was done before, and when."""
    first = done.table("step").iloc[0]
    return {f"first_plan.{name}": float(first[name]) for name in ("objective", "bound")}


def replayed(golden: Figures) -> Figures:
    """Return those figures that a replay of the plan must have."""
    return {key: golden[key] for key in golden if key.startswith(_REPLAYED)}


# ----------------------------------------------------------------------------------------------------------- comparison


def differences(name: str, golden: Figures, found: Figures, allowed: Allowed) -> list[str]:
    """Say which golden figures were not found, or not within their tolerance; further figures may be there."""
    message = []
    for key, value in golden.items():
        if key not in found:
            message.append(f"{name}: {key}: golden {value!r}, found none")
            continue
        tolerance = allowed(key, value) if isinstance(value, float) else 0.0
        if not _same(value, found[key], tolerance):
            message.append(f"{name}: {key}: golden {value!r}, found {found[key]!r}, tolerance {tolerance:.3g}")
    return message


def plan_differences(name: str, golden: Path, found: Path) -> list[str]:
    """Say where two plans differ: in rows, devices and positions at all, in powers beyond their tolerance."""
    expected, rows = _rows(golden), _rows(found)
    if len(expected) != len(rows):
        return [f"{name}: plan.csv: golden {len(expected)} rows, found {len(rows)}"]
    return [
        line
        for number, (one, other) in enumerate(zip(expected, rows, strict=True), start=2)
        for line in differences(f"{name}: plan.csv line {number}", one, other, exactly)
    ]


def _same(golden: Any, found: Any, tolerance: float) -> bool:
    if isinstance(golden, float) and isinstance(found, int | float):
        return abs(found - golden) <= tolerance
    return bool(golden == found)


def _rows(plan: Path) -> list[Figures]:
    with plan.open(encoding="utf-8", newline="") as file:
        return [row | {key: float(row[key]) for key in ("p_mw", "q_mvar")} for row in csv.DictReader(file)]


# ------------------------------------------------------------------------------------------------ balances, predictions


def imbalances(done: Run) -> list[str]:
    """Say where ``source - Δ Σ P - loss`` of a device in a step is not the change of what it stores [MWh]."""
    message = []
    for table, of_kind in done.summary["kinds"].items():
        rows = done.table(table)
        if len(rows) != done.summary["steps"] * of_kind["devices"]:
            message.append(f"{table}: {len(rows)} rows for {of_kind['devices']} devices")
        left = rows["source_mwh"] - rows["injected_mwh"] - rows["loss_mwh"] - rows["stored_change_mwh"]
        message += [
            f"{table}: step {wrong.step}: {wrong.device}: {left[wrong.Index]:.3g} MWh are missing"
            for wrong in rows[~(left.abs() <= _BALANCED_MWH)].itertuples()
        ]
    return message


def mispredictions(done: Run) -> list[str]:
    """Say what of the record is not what the first row of its step's plan predicted, where that is known."""
    device = done.table("device")
    pairs = [
        ("bus", done.table("bus"), "v_plan_pu", "v_pu"),
        ("line", done.table("line"), "p_plan_mw", "p_mw"),
        ("network", done.table("network"), "import_plan_mw", "import_mw"),
        ("network", done.table("network"), "losses_plan_mw", "losses_mw"),
        ("device", device[device["energy_mwh"].notna()], "energy_plan_mwh", "energy_mwh"),
        *((f"cost {term}", rows, "plan_cost", "cost") for term, rows in done.table("cost").groupby("term")),
        ("step", _operating_cost(done), "plan_cost", "cost"),
    ]
    message = []
    for name, rows, planned, measured in pairs:
        known = rows[rows[planned].notna()]
        if known.empty and len(rows):
            message.append(f"{name}: nothing is predicted of {measured}")
        scale = _PREDICTED * known[measured].abs().clip(lower=1.0)
        for wrong in known[~((known[planned] - known[measured]).abs() <= scale)].itertuples():
            real, plan = getattr(wrong, measured), getattr(wrong, planned)
            message.append(f"{name}: step {wrong.step}: {measured} is {real!r}, {plan!r} was predicted")
    return message


def _operating_cost(done: Run) -> pd.DataFrame:
    """Grid energy at its price, export at its share, demand, and what the tables of the kinds say of costs, by step."""
    network, step = done.table("network"), done.table("step").set_index("step")
    facts = done.manifest["facts"]
    exchange = network["import_mw"]
    paid = exchange.clip(lower=0.0) - facts["export_price_ratio"] * (-exchange).clip(lower=0.0)
    cost = step["buy_price"] * paid.groupby(network["step"]).sum() * facts["step_h"]
    for table, of_kind in done.summary["kinds"].items():
        rows = done.table(table)
        cost = cost + rows[list(of_kind["cost"])].sum(axis=1).groupby(rows["step"]).sum()
    terms = done.table("cost")
    demand = terms[terms["term"] == "demand"].set_index("step")["cost"]
    cost = cost.add(demand, fill_value=0.0)
    return pd.DataFrame({"plan_cost": step["plan_cost"], "cost": cost}).reset_index()


# ---------------------------------------------------------------------------------------------------------------- files


def golden_figures(case: GoldenCase) -> Figures:
    """Read the golden figures of a case."""
    found: Figures = json.loads(figures_file(case).read_text(encoding="utf-8"))
    return found


def figures_file(case: GoldenCase) -> Path:
    """Where the golden figures of a case are."""
    return HERE / f"{case.golden or case.name}.json"


def plan_file(case: GoldenCase) -> Path:
    """Where the golden plan of a case is."""
    return HERE / f"{case.golden or case.name}.csv"
