"""Validation of schedules: replay in closed loop; a verdict, and every limit violation and shortfall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridferry.controllers.devices import Clip
from gridferry.networks.faults import Fault, InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.document import toml_text
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.loop.runner import run
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.metrics import Violation
from gridferry.sim.results.run_directory import Run, open_results


@dataclass(frozen=True)
class Shortfall:
    """Shortfall: requested power that a device could not give, or a trip that it could not make.

    Attributes
    ----------
    device : its name
    step : when
    asked_mw, done_mw : setpoint and what was done [MW]
    shortfall_mwh : the difference over the step [MWh]
    reasons : what forbade it
    """

    device: str
    step: int
    asked_mw: float
    done_mw: float
    shortfall_mwh: float
    reasons: str

    def __str__(self) -> str:
        what = f"requested {self.asked_mw:.6g} MW, done {self.done_mw:.6g} MW"
        return f"step {self.step}: {self.device} {what} ({self.shortfall_mwh:.6g} MWh short): {self.reasons}"


@dataclass(frozen=True)
class Verdict:
    """Verdict on a schedule.

    Attributes
    ----------
    run : the run that replayed it
    violations : every limit broken in AC, worst first
    diverged : steps whose power flow has no solution
    shortfalls : what devices could not do, by step
    """

    run: Run
    violations: list[Violation]
    diverged: list[int]
    shortfalls: list[Shortfall]

    @property
    def kind(self) -> VerdictKind:
        """The verdict: feasible and executed, feasible but not executed as planned, or infeasible."""
        return VerdictKind(self.run.summary["verdict"])

    @property
    def reasons(self) -> list[str]:
        """What was not executed as planned, in words; empty if all was."""
        reasons: list[str] = self.run.summary["execution"]["reasons"]
        return reasons

    @property
    def feasible(self) -> bool:
        """Whether the schedule is AC-feasible: a power flow in every step, no limit violated."""
        return not self.violations and not self.diverged

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON-able data."""
        return {
            "verdict": self.kind.value,
            "feasible": self.feasible,
            "not_executed": self.reasons,
            "violations": [vars(one) | {"excess": one.excess, "says": str(one)} for one in self.violations],
            "diverged_steps": self.diverged,
            "shortfalls": [vars(one) for one in self.shortfalls],
            "summary": self.run.summary,
        }


def replaying(
    plan: str | Path,
    config: str | Path,
    overrides: Sequence[str] = (),
    *,
    hold: bool = False,
    unit: str = "MW",
    steps: int | None = None,
) -> LoadedConfig:
    """Read a config with the controller ``replay`` of a ``plan.csv``; see `validate`. Raises `InputError`."""
    path = Path(plan).absolute()
    if not path.is_file():
        raise InputError(Fault(str(plan), "", "no such file; give the path of a plan.csv"))
    settings = [*overrides, f"controller.file={toml_text(str(path))}", 'controller.on_failure="stop"']
    settings += ["controller.hold=true"] if hold else []
    settings += [f'controller.unit="{unit}"'] if unit != "MW" else []
    settings += [] if steps is None or steps < 1 else [f"controller.steps={steps}"]
    return load_config(config, settings, controller="replay")


def validate(
    plan: str | Path,
    config: str | Path,
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    steps: int | None = None,
    hold: bool = False,
    unit: str = "MW",
    overwrite: bool = False,
    progress: Callable[[LiveState], None] | None = None,
) -> Verdict:
    """Replay a schedule in closed loop: a verdict, limit violations, shortfalls.

    Setpoints beyond a device's limits are clipped by the device, and reported as shortfalls.

    Parameters
    ----------
    plan : a ``plan.csv`` (`gridferry.controllers.plans.plan_file`)
    config : the case it is for
    out : run directory
    overrides, steps, overwrite, progress : as in `gridferry.sim.loop.runner.run`; devices rest in steps that the plan
        leaves out, and the plan is then not executed
    hold : play a plan of longer steps than the config's, each for as many steps as it lasts; refused otherwise
    unit : ``"MW"``, ``"kW"`` or ``"W"``, of powers whose columns do not name theirs

    Raises
    ------
    InputError
        for anything wrong with the plan or the config.
    RunFailedError
        when the simulation stopped.
    """
    return run_validation(
        replaying(plan, config, overrides, hold=hold, unit=unit, steps=steps),
        out=out,
        steps=steps,
        overwrite=overwrite,
        progress=progress,
    )


def run_validation(
    loaded: LoadedConfig,
    *,
    out: str | Path,
    steps: int | None = None,
    overwrite: bool = False,
    progress: Callable[[LiveState], None] | None = None,
) -> Verdict:
    """Run the config of `replaying`; see `validate`."""
    done = run(loaded, steps=steps, out=out, overwrite=overwrite, clip=True, progress=progress)
    with open_results(done.directory) as connection:
        diverged = connection.execute("SELECT DISTINCT step FROM network WHERE NOT converged ORDER BY step").fetchall()
        short = connection.execute(
            "SELECT device, step, p_set_mw, p_mw, shortfall_mwh, clipped FROM device "
            "WHERE clipped <> '' AND (shortfall_mwh > 1e-9 OR clipped NOT IN (?, ?)) ORDER BY step, device",
            [Clip.ENERGY_FULL.value, Clip.ENERGY_EMPTY.value],
        ).fetchall()
    return Verdict(done, done.violations(), [step for (step,) in diverged], [Shortfall(*row) for row in short])
