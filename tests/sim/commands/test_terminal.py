"""What the terminal shows: progress, tables, whether a run held, new configs, examples in the help."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from gridferry.sim import load_run
from gridferry.sim.cli import app
from gridferry.sim.results.live_state import LiveState
from gridferry.sim.results.progress import RunProgress

LIVE = LiveState(
    step=34,
    time="2024-08-16T08:15:00+02:00",
    v_min_pu=0.93,
    v_max_pu=1.02,
    import_mw=3.2,
    devices=("T1 67% S1", "T2 75% to S4", *(f"battery{k} 50%" for k in range(20))),
    cost=8078.73,
    fallbacks=0,
    diverged=0,
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_panel_keeps_all_that_matters_in_80_columns() -> None:
    clock = Clock()
    shown = RunProgress("a_very_long_name_of_a_config_that_does_not_fit", "USD", 96, clock)
    shown.lines(replace(LIVE, step=1, v_min_pu=0.88))
    clock.now_s = 34.0
    lines = shown.lines(LIVE)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    # 34 steps took 34 s
    for part in ("34/96", "Fri 16 Aug 08:15", "0:01:02 left", "0.9300–1.0200", "0.8800–1.0200", "cost 8,078.73 USD"):
        assert part in text
    assert "T1 67% S1  T2 75% to S4" in text
    assert "2 diverged, 1 fallbacks" in shown.lines(replace(LIVE, diverged=2, fallbacks=1))[-1]


def test_a_run_whose_output_is_a_file_prints_a_line_a_minute() -> None:
    clock = Clock()
    shown = RunProgress("day", "USD", 96, clock)
    printed = []
    for step in range(1, 97):
        clock.now_s = 2.0 * step
        printed.append(shown.line(replace(LIVE, step=step)))
    lines = [one for one in printed if one]
    assert len(lines) == 3  # of 192 s
    assert lines[0].startswith("day: step 30/96, Fri 16 Aug 08:15, 0:02:12 left, V 0.9300–1.0200 pu, cost 8,078.73 USD")


def test_every_run_ends_with_whether_it_held_and_tables_fit_80_columns(gridferry: Any) -> None:
    code, out, _ = gridferry("run", "three_bus", "--controller", "idle", "--steps", 2, "--out", "kept")
    assert code == 0
    assert out.splitlines()[-1].startswith(
        "Did it hold? Yes. Held: every limit was kept in AC, in all 2 steps from 00:00 on"
    )
    strict = ("--set", "networks.dn1.v_max_pu=0.9999", "--set", "networks.dn1.v_min_pu=0.9")
    _, out, _ = gridferry("run", "three_bus", "--controller", "idle", "--steps", 2, "--out", "broken", *strict)
    last = out.splitlines()[-1]
    worst = load_run("broken").violations(most=1)[0]
    assert last.startswith("Did it hold? No. Broken: ")
    assert f"bus {worst.element} of dn1 at {worst.value:.5g} pu" in last
    _, out, _ = gridferry("compare", "kept", "broken", "kept", "broken", "kept")
    assert max(map(len, out.splitlines())) <= 80
    assert sum("import, MWh" in one for one in out.splitlines()) > 1, "below one another"
    for what in ("networks", "controllers", "configs", "studies", "columns"):
        _, out, _ = gridferry("list", what)
        assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("network", "trucks", "batteries", "links"),
    [("ieee33", 2, 1, 1), ("three_bus", 1, 0, 0), ("ieee85", 0, 3, 2), ("ieee69", 0, 0, 0)],
)
def test_a_new_config_is_sound_and_has_what_was_requested(
    gridferry: Any, network: str, trucks: int, batteries: int, links: int
) -> None:
    flags = ("--network", network, "--trucks", trucks, "--batteries", batteries, "--links", links, "--prices", 10, 90)
    code, out, err = gridferry("new", "config", "mine", *flags)
    assert (code, err) == (0, "")
    assert "run it with: gridferry run mine.toml" in out
    assert "#" in Path("mine.toml").read_text()
    code, out, err = gridferry("check", "mine.toml")
    assert (code, err) == (0, "")
    counts = {"networks": links + 1, "trucks": trucks, "batteries": batteries, "links": links}
    assert {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", out)}.items() >= {
        k: n for k, n in counts.items() if n
    }.items()
    code, _, err = gridferry("new", "config", "mine")
    assert code == 2
    assert "mine.toml: is there already" in err
    assert gridferry("new", "config", "other", "--network", "nowhere")[0] == 2


def helped() -> dict[str, str]:
    """Examples in the help of all commands, by command, in the order in which they build on one another."""
    group: Any = typer.main.get_command(app)
    inner = group.commands["new"].commands
    commands = {"gridferry": group, **group.commands, **{f"new {name}": one for name, one in inner.items()}}
    found = {name: (one.epilog or "").removeprefix("Example: ") for name, one in commands.items()}
    return {name: found[name] for name in sorted(found, key=lambda one: (one != "run", one))}


def test_every_command_has_an_example_that_works_as_printed(gridferry: Any) -> None:
    examples = helped()
    assert set(examples) > {"run", "validate", "compare", "report", "export", "check", "schema", "list", "new config"}
    for name, example in examples.items():
        words = shlex.split(example)
        assert words[0] == "gridferry", name
        if name == "study":  # it takes minutes; what it names is there
            assert words[2] in gridferry("list", "studies")[1]
        elif name not in ("gridferry", "new"):  # theirs are those of a command
            code, _, err = gridferry(*words[1:])
            assert (code, err) == (0, ""), name


def test_arguments_are_completed() -> None:
    command: Any = typer.main.get_command(app)
    (config,) = (one for one in command.commands["run"].params if one.name == "config")
    context = command.commands["run"].make_context("run", ["three_bus"])
    assert {one.value for one in config.shell_complete(context, "joint_2dn")} >= {"joint_2dn", "joint_2dn_week"}
    assert any("--show-completion" in one.opts for one in command.params)
