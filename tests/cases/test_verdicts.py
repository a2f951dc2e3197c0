"""Verdicts on schedules: executed as planned, feasible but not executed, infeasible, or refused before a step is run.

A battery of 8 MWh and 1 MW stands at the end of the 33-bus feeder for a day of 24 hours, half full, and is to end so.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gridferry.networks.faults import InputError
from gridferry.sim import Verdict, run, validate
from gridferry.sim.commands.validate import validate_command
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.results.report import write_report

EXECUTED, NOT_EXECUTED, INFEASIBLE = VerdictKind.EXECUTED, VerdictKind.NOT_EXECUTED, VerdictKind.INFEASIBLE
OLD = "step,device,p_mw,q_mvar,position"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "case.toml"
    path.write_text(
        textwrap.dedent("""
            name = "verdicts"
            prices.buy = 100.0
            [time]
            start = 2024-07-15T00:00:00
            step_s = 3600
            steps = 24
            [[networks]]
            name = "dn1"
            feeder = "ieee33"
            [[loads]]
            network = "dn1"
            factor = 0.2
            [[batteries]]
            name = "BB"
            network = "dn1"
            bus = "18"
            energy_mwh = 8.0
            p_max_mw = 1.0
        """)
    )
    return path


def plan(case: Path, p_mw: list[float], header: str = OLD, end: str = "", q_mvar: float = 0.0) -> Path:
    """Write a plan with a row per step; ``end`` of a row may name its {step}."""
    path = case.with_name("plan.csv")
    rows = [f"{step},BB,{p},{q_mvar},{end.format(step=step)}" for step, p in enumerate(p_mw)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def verdict_on(case: Path, p_mw: list[float], *, hold: bool = False, steps: int | None = None, **given: Any) -> Verdict:
    written = plan(case, p_mw, **given)
    return validate(written, case, out=case.with_name("run"), hold=hold, steps=steps, overwrite=True)


CYCLE = [-0.5] * 3 + [0.0] * 6 + [0.5] * 3
"""twelve steps: charge, rest, discharge"""


def test_a_plan_of_longer_steps_is_refused_or_held_and_never_played_in_part(case: Path) -> None:
    with pytest.raises(InputError, match=r"has steps 0 to 11, .* 3600 s long, or 7200 s\. --hold") as refused:
        verdict_on(case, CYCLE)
    assert "column step_s with 3600" in str(refused.value)
    held = verdict_on(case, CYCLE, hold=True)
    assert held.run.summary["fleet"]["charged_mwh"] == pytest.approx(3.0)
    assert held.kind is EXECUTED
    said = {"header": f"{OLD},step_s", "end": ",7200"}
    with pytest.raises(InputError, match="steps are 7200 s long, those of the config 3600 s; --hold"):
        verdict_on(case, CYCLE, **said)
    assert verdict_on(case, CYCLE, hold=True, **said).kind is EXECUTED


@pytest.mark.parametrize(
    ("header", "end", "message"),
    [
        (f"{OLD},time", ",2024-07-15T{step:02}:15:00", "step 0 of 3600 s begins at 2024-07-15T00:00:00; correct one"),
        (f"{OLD},time,step_s", ",2024-07-15T00:{step:02},3600", "step 1 of 3600 s begins at 2024-07-15T01:00:00"),
        (f"{OLD},step_s", ",{step}", "no whole number of seconds above 0"),
        (f"{OLD},step_s", ",1{step}", "11 contradicts 10 of the first row"),
        (f"{OLD},step_s", ",900", "900 s long, which does not fit the config's 3600 s"),
        (f"{OLD},time", ",noon", '"noon" is no time; write it as 2024-07-15T00:15:00'),
    ],
)
def test_a_plan_whose_times_contradict_its_steps_or_the_config_is_refused(
    case: Path, header: str, end: str, message: str
) -> None:
    for hold in (False, True):
        with pytest.raises(InputError) as refused:
            verdict_on(case, [0.0] * 24, header=header, end=end, hold=hold)
        assert message in str(refused.value)


def test_hourly_times_in_a_day_of_quarter_hours_are_refused(case: Path) -> None:
    text = case.read_text().replace("step_s = 3600", "step_s = 900").replace("steps = 24", "steps = 96")
    case.write_text(text)
    with pytest.raises(InputError, match=r"line 3, step_s: its steps are 3600 s long, those of the config 900 s"):
        verdict_on(case, [0.1] * 6, header=f"{OLD},time", end=",2024-07-15T{step:02}:00:00")


def test_an_energy_due_at_the_end_of_the_day_that_is_missed_is_not_executed(case: Path) -> None:
    found = verdict_on(case, [1.0] * 3 + [0.0] * 21)
    assert (found.kind, found.feasible) == (NOT_EXECUTED, True)
    assert found.reasons == ["BB missed soc_end at the end of a day by 0.375"]
    # what it delivered was borrowed: the base case costs more, and the verdict says why that is no saving
    assert found.run.summary["base_case"]["saving"] == pytest.approx(300.0, rel=0.05)
    almost = [1e-6] + [0.0] * 23  # 1.25e-7 of 8 MWh
    assert verdict_on(case, almost).kind is EXECUTED


def test_a_shortfall_is_not_executed_and_kilowatts_are_suspected(case: Path) -> None:
    found = verdict_on(case, [500.0, -500.0] + [0.0] * 22)
    assert found.kind is NOT_EXECUTED
    # 2 · 499 MWh of the 24 that its rating gives in a day
    assert found.run.summary["execution"]["shortfall_of_rating_max"] == pytest.approx(998.0 / 24)
    assert "(kW given for MW?)" in found.reasons[0]
    reactive = verdict_on(case, [0.0] * 24, q_mvar=1.5)
    assert reactive.run.summary["execution"]["shortfall_of_rating_max"] == pytest.approx(0.5)
    assert reactive.kind is NOT_EXECUTED
    tiny = verdict_on(case, [1.0 + 1e-5, -1.0] + [0.0] * 22)
    assert tiny.kind is EXECUTED


def test_a_plan_that_does_not_cover_the_day_is_not_executed(case: Path) -> None:
    found = verdict_on(case, [0.0] * 7)  # seven steps are no longer ones of a day of 24
    assert found.reasons == ["the plan does not cover 17 steps"]
    said = verdict_on(case, [0.0] * 6, header=f"{OLD},time,step_s", end=",2024-07-15T{step:02}:00:00,3600")
    assert said.reasons == ["the plan does not cover 18 steps"]
    assert verdict_on(case, [0.0] * 6, steps=6).kind is EXECUTED
    holes = plan(case, [0.0] * 24).read_text().splitlines(keepends=True)
    case.with_name("plan.csv").write_text("".join(holes[:9] + holes[12:]))
    gap = validate(case.with_name("plan.csv"), case, out=case.with_name("run"), overwrite=True)
    assert gap.reasons == ["the plan does not cover 3 steps"]


def test_the_exit_code_is_that_of_the_verdict_or_of_the_grid_alone(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def code(p_mw: list[float], *settings: str, ignore: bool = False) -> int:
        return validate_command(plan(case, p_mw), str(case), settings, None, False, ignore, None, False, False)

    short = [1.0] * 3 + [0.0] * 21
    assert [code([0.0] * 24), code(short), code(short, ignore=True)] == [0, 1, 0]
    assert "feasible, not executed as planned" in capsys.readouterr().out
    strict = "networks.dn1.v_min_pu=0.99"
    assert [code([0.0] * 24, strict), code([0.0] * 24, strict, ignore=True)] == [1, 1]
    assert capsys.readouterr().out.splitlines()[-2] == "infeasible"


def test_the_page_of_a_validated_schedule_has_the_verdict_requested_and_delivered_and_the_base_case(
    case: Path,
) -> None:
    found = verdict_on(case, [3.0, 1.0, -1.0] + [0.0] * 21)
    text = write_report(found.run.directory).read_text()
    sentence = text.partition('id="verdict" class="partly"')[2].partition("</p>")[0]
    assert all(reason in sentence for reason in found.reasons)
    assert "verdict: feasible, not executed as planned" in text
    cells = text.partition('id="delivered"')[2].partition("</table>")[0]
    # 4 MWh requested and 2 given, 1 MWh taken, 2 MWh short in 1 step
    assert re.findall(r"<td[^>]*>([^<]*)</td>", cells) == ["BB", "4", "1", "2", "1", "2", "0", "1", "rating"]
    base = found.run.summary["base_case"]
    rows = text.partition('id="base-case"')[2].partition("</table>")[0]
    assert f'<td class="figure">{base["operating_cost"]:.6g}</td></tr>' in rows
    idle = run(case, controller="idle", out=case.with_name("idle")).summary
    assert base["operating_cost"] == pytest.approx(idle["cost"]["terms"]["energy"], rel=1e-9)
    assert base["v_min_pu"] == pytest.approx(idle["grid"]["v_min_pu"], abs=1e-9)


@pytest.mark.parametrize(("p_mw", "verdict"), [(0.25, NOT_EXECUTED), (0.0, EXECUTED)])
def test_a_runs_own_plan_has_that_runs_own_verdict(case: Path, p_mw: float, verdict: VerdictKind) -> None:
    case.with_name("steady.py").write_text(
        "from dataclasses import replace\n"
        "from gridferry.controllers import Controller, hold\n"
        "class Steady(Controller):\n"
        "    def plan(self, observation, forecast):\n"
        f"        return replace(hold(self.plant, observation), p_mw=hold(self.plant, observation).p_mw + {p_mw})\n"
    )
    done = run(case, controller=str(case.with_name("steady.py:Steady")), out=case.with_name("own"))
    again = validate(case.with_name("own") / "plan.csv", case, out=case.with_name("again"))
    assert done.summary["verdict"] == again.kind == verdict
    assert done.summary["execution"] == again.run.summary["execution"]
