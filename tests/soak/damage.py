"""Run directories that are damaged: every command that reads them ends with results or with one message."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from gridferry.sim import cli
from gridferry.sim.loop.runner import run
from soak.processes import DONE, forked

Damage = Callable[[Path], None]


def _written(name: str, content: bytes) -> Damage:
    return lambda out: _ignored((out / name).write_bytes(content))


def _cut(name: str, share: float) -> Damage:
    def cut(out: Path) -> None:
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[: int(share * len(content))])

    return cut


def _overwritten(name: str, at: float) -> Damage:
    def overwrite(out: Path) -> None:
        content = bytearray((out / name).read_bytes())
        begin = int(at * len(content))
        content[begin : begin + 4096] = b"\xa5" * len(content[begin : begin + 4096])
        (out / name).write_bytes(content)

    return overwrite


def _changed(name: str, change: Callable[[dict[str, Any]], Any]) -> Damage:
    def apply(out: Path) -> None:
        content = json.loads((out / name).read_text())
        change(content)
        (out / name).write_text(json.dumps(content))

    return apply


def _sql(*statements: str) -> Damage:
    def execute(out: Path) -> None:
        with duckdb.connect(str(out / "results.duckdb")) as connection:
            for one in statements:
                connection.execute(one)

    return execute


def _folder(name: str) -> Damage:
    def replace(out: Path) -> None:
        (out / name).unlink()
        (out / name).mkdir()

    return replace


def _gone(name: str) -> Damage:
    return lambda out: (out / name).unlink()


def _ignored(result: object) -> None:
    """What was written is of no interest."""


RESUME, REPORT, EXPORT = "resume", "report", "export"
DAMAGES: dict[str, tuple[str, Damage]] = {
    "results.duckdb is gone": (RESUME, _gone("results.duckdb")),
    "results.duckdb is empty": (RESUME, _written("results.duckdb", b"")),
    "results.duckdb is text": (RESUME, _written("results.duckdb", b"step,bus\n")),
    "results.duckdb is cut in half": (RESUME, _cut("results.duckdb", 0.5)),
    "results.duckdb has a damaged head": (RESUME, _overwritten("results.duckdb", 0.0)),
    "results.duckdb has a damaged block": (RESUME, _overwritten("results.duckdb", 0.4)),
    "results.duckdb has a damaged end": (RESUME, _overwritten("results.duckdb", 0.97)),
    "results.duckdb is a folder": (RESUME, _folder("results.duckdb")),
    "config.toml is gone": (RESUME, _gone("config.toml")),
    "config.toml is empty": (RESUME, _written("config.toml", b"")),
    "config.toml is no TOML": (RESUME, _written("config.toml", b"name = ")),
    "config.toml is not UTF-8": (RESUME, _written("config.toml", b'name = "\xe9"')),
    "config.toml is cut": (RESUME, _cut("config.toml", 0.6)),
    "config.toml is a folder": (RESUME, _folder("config.toml")),
    "manifest.json is gone": (RESUME, _gone("manifest.json")),
    "manifest.json is empty": (RESUME, _written("manifest.json", b"")),
    "manifest.json is a list": (RESUME, _written("manifest.json", b"[]")),
    "manifest.json is not UTF-8": (RESUME, _written("manifest.json", b'{"status": "\xe9"}')),
    "manifest.json is cut": (RESUME, _cut("manifest.json", 0.5)),
    "manifest.json is a folder": (RESUME, _folder("manifest.json")),
    "manifest.json without versions": (RESUME, _changed("manifest.json", lambda one: one.pop("versions"))),
    "manifest.json with other versions": (
        RESUME,
        _changed("manifest.json", lambda one: one.update(versions={"gridferry": 7})),
    ),
    "manifest.json without inputs": (RESUME, _changed("manifest.json", lambda one: one.pop("inputs"))),
    "manifest.json with inputs as a list": (RESUME, _changed("manifest.json", lambda one: one.update(inputs=["x"]))),
    "manifest.json without facts": (REPORT, _changed("manifest.json", lambda one: one.pop("facts"))),
    "manifest.json with facts of another form": (
        REPORT,
        _changed("manifest.json", lambda one: one.update(facts={"x": 1})),
    ),
    "manifest.json with facts as text": (REPORT, _changed("manifest.json", lambda one: one.update(facts="x"))),
    "manifest.json with a fact as text": (
        REPORT,
        _changed("manifest.json", lambda one: one["facts"].update(v_tolerance_pu="x")),
    ),
    "summary.json is gone": (REPORT, _gone("summary.json")),
    "summary.json is empty": (REPORT, _written("summary.json", b"")),
    "summary.json is a number": (REPORT, _written("summary.json", b"7")),
    "summary.json is nested deeply": (REPORT, _written("summary.json", b"[" * 100_000)),
    "summary.json without costs": (REPORT, _changed("summary.json", lambda one: one.update(cost=None))),
    "summary.json with text for a figure": (
        REPORT,
        _changed("summary.json", lambda one: one["cost"].update(grid="much")),
    ),
    "summary.json without grid": (REPORT, _changed("summary.json", lambda one: one.update(grid=7))),
    "summary.json with kinds as a list": (REPORT, _changed("summary.json", lambda one: one.update(kinds=[1]))),
    "summary.json with no number of steps": (REPORT, _changed("summary.json", lambda one: one.update(steps="few"))),
    "checkpoint {}": (RESUME, _sql("UPDATE checkpoint SET state = '{}'")),
    "checkpoint of deep JSON": (RESUME, _sql(f"UPDATE checkpoint SET state = '{'[' * 100_000}'")),
    "checkpoint of another step": (RESUME, _sql("UPDATE checkpoint SET next_step = 1")),
    "checkpoint is gone": (RESUME, _sql("DELETE FROM checkpoint")),
    "two checkpoints": (RESUME, _sql("INSERT INTO checkpoint SELECT * FROM checkpoint")),
    "state of a truck is gone": (
        RESUME,
        _sql("UPDATE checkpoint SET state = replace(state, 'trucks.T1', 'trucks.T9')"),
    ),
    "state of a truck is text": (
        RESUME,
        _sql("""UPDATE checkpoint SET state = regexp_replace(state, '"energy_mwh": [0-9.]+', '"energy_mwh": "x"')"""),
    ),
    "table step is gone": (RESUME, _sql("DROP TABLE step")),
    "table cost is gone": (RESUME, _sql("DROP TABLE cost")),
    "table trucks is gone": (RESUME, _sql("DROP TABLE trucks")),
    "table kind_info is gone": (RESUME, _sql("DROP TABLE kind_info")),
    "table bus_info is gone": (EXPORT, _sql("DROP TABLE bus_info")),
    "table bus has no voltages": (RESUME, _sql("ALTER TABLE bus DROP COLUMN v_pu")),
    "table bus has texts": (RESUME, _sql("ALTER TABLE bus ALTER v_pu TYPE VARCHAR")),
    "table bus lacks a step": (RESUME, _sql("DELETE FROM bus WHERE step = 1")),
    "table plan is empty": (RESUME, _sql("DELETE FROM plan")),
    "table step has every row twice": (RESUME, _sql("INSERT INTO step SELECT * FROM step")),
    "table step is a view": (
        RESUME,
        _sql("ALTER TABLE step RENAME TO other", "CREATE VIEW step AS SELECT * FROM other"),
    ),
}
_ALLOWED = (0, 2)


def damaged(folder: Path, number: int = len(DAMAGES)) -> Iterator[tuple[str, str]]:
    """Damage copies of a run; yields each damage, and ``one message`` or a failure.

    Parameters
    ----------
    number : damages tried at most, evenly chosen
    """
    from gridferry.sim.commands import compare, export, report  # noqa: F401 - imported once, before the forks

    chosen = list(DAMAGES.items())[:: -(-len(DAMAGES) // number)]
    whole = folder / "whole-run"
    if (made := forked(partial(_make, whole))).code != DONE:
        yield "none", f"FAILED: {made.text}"
        return
    for number, (name, (command, damage)) in enumerate(chosen):
        out = folder / f"damaged-{number}"
        shutil.copytree(whole, out)
        ended = forked(partial(_all_commands, out, command, damage))
        yield name, "one message" if ended.code == DONE else f"FAILED: {ended.text or ended.code}"
        shutil.rmtree(out)


def _make(out: Path) -> None:
    run("three_bus", steps=3, out=out)


def _all_commands(out: Path, refusing: str, damage: Damage) -> None:
    """Raise `AssertionError` unless every command ends as it may, and one of them refuses in one line."""
    damage(out)
    commands = {
        "compare": ("compare", out),
        EXPORT: ("export", out, "--out", out.with_name(f"{out.name}-export")),
        REPORT: ("report", out),
        RESUME: ("run", "three_bus", "--steps", 3, "--out", out, "--resume"),
    }
    for name, arguments in commands.items():
        code, message = _command(*map(str, arguments))
        assert code in _ALLOWED, (name, code, message)
        assert "Traceback" not in message, (name, message)
        if name == refusing:
            assert code == 2, (name, code, message)
            lines = message.splitlines()
            assert len(lines) == 1 or lines[-1] == f"{len(lines) - 1} faults", (name, message)


def _command(*arguments: str) -> tuple[int, str]:
    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            cli.main(list(arguments))
    except SystemExit as left:
        return int(left.code or 0), said.getvalue()
    return 0, said.getvalue()
