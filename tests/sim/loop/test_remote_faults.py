"""A simulator in another process that fails, falls silent or goes away ends the run in time, by its name and step."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gridferry.sim.commands.run import run_command
from gridferry.sim.exit_codes import FAILED
from gridferry.sim.loop.connections import _beat
from soak.remote_faults import REMOTE_FAULTS, attempt

FAULTS = {one.name: one for one in REMOTE_FAULTS}
SHORT = (
    "says nothing to create",
    "dies at create",
    "says nothing to step",
    "resets the connection in a step",
    "answers in no JSON",
    "gives a list too short",
    "a port that another process keeps",
)


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_of_a_remote_simulator_ends_the_run_and_keeps_its_results(tmp_path: Path, name: str) -> None:
    attempt(FAULTS[name], tmp_path / "run")


@pytest.mark.slow
def test_a_process_that_is_stopped_does_not_keep_the_run_waiting(tmp_path: Path) -> None:
    attempt(FAULTS["is stopped in the run"], tmp_path / "run")


def test_there_are_twenty_faults_and_more_with_names_of_their_own() -> None:
    assert len(FAULTS) == len(REMOTE_FAULTS) >= 20


def test_a_simulator_that_refuses_to_start_gives_exit_code_3_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where mosaik itself would end the process."""
    with ExitStack() as stack:
        settings, _ = FAULTS["dies at init"].happens(stack)
        none = (None, None, tmp_path / "run")
        assert run_command("three_bus", None, settings, *none, False, False, False, False, True) == FAILED
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert (summary["status"], summary["steps"]) == ("failed", 0)
    assert "set-up: the simulator simulators.grid at 127.0.0.1" in summary["failure"]
    assert "the run failed: set-up: the simulator simulators.grid" in said.err


def test_connections_have_a_heartbeat_that_notices_a_machine_that_is_gone() -> None:
    with socket.socket() as connected:
        _beat(connected)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle_s, interval_s, count = (connected.getsockopt(socket.IPPROTO_TCP, name) for name in names)
    assert idle_s + count * interval_s <= 30
