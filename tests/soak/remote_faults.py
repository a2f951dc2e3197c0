"""Simulators in other processes that refuse, fail, fall silent, go away or answer nonsense: the run ends in time.

`REMOTE_FAULTS` lists them, `attempt` runs one. Most are played by a peer in a thread of this process, which answers as
the grid simulator does, until its fault; the last ones happen to real processes, or to addresses without a simulator.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from gridferry.sim.adapters.grid import GridSimulator
from gridferry.sim.loop.runner import RunDefectError, RunFailedError, load_run, run

LIMIT_S = 2.0
"""time-out of what never comes"""
OVERDUE_S = 300.0
"""when a run counts as one that hangs, on however busy a machine"""
STEPS = 6


@dataclass(frozen=True)
class RemoteFault:
    """A fault of a simulator in another process.

    Attributes
    ----------
    name : what happens
    happens : makes it so; gives settings of the run, and what is called after every step, with the number of steps
    says : part of the message that the run ends with
    steps : of which the results have to be there
    start_timeout_s : `LIMIT_S` where the simulator falls silent at the start [s]
    """

    name: str
    happens: Callable[[ExitStack], tuple[list[str], Callable[[int], None]]]
    says: str
    steps: int
    start_timeout_s: float = 120.0


def attempt(fault: RemoteFault, folder: Path) -> tuple[str, float]:
    """Run with a fault; return the message of its end, and the seconds until then.

    Raises
    ------
    AssertionError
        where the run hangs, ends well or with a defect, says something else, or has lost results.
    """
    with ExitStack() as stack:
        settings, after_step = fault.happens(stack)
        limits = [f"simulators.start_timeout_s={fault.start_timeout_s}", f"simulators.step_timeout_s={LIMIT_S}"]
        began = perf_counter()
        try:
            with _overdue():
                run(
                    "three_bus",
                    overrides=[*settings, *limits, "record.flush_steps=1", "time.horizon_steps=4"],
                    steps=STEPS,
                    out=folder,
                    progress=lambda live: after_step(live.step),
                )
        except RunFailedError as error:
            seconds, message = perf_counter() - began, str(error)
            assert not isinstance(error, RunDefectError), f"{fault.name}: a defect: {message}"
        else:
            raise AssertionError(f"{fault.name}: the run ended well")
    assert fault.says in message, f"{fault.name}: says {message!r}, not {fault.says!r}"
    kept = load_run(folder).summary
    assert (kept["status"], kept["steps"]) == ("failed", fault.steps), f"{fault.name}: {kept['steps']} steps are there"
    return message, seconds


@contextmanager
def _overdue() -> Iterator[None]:
    """Raise an exception that nobody expects in a run that hangs."""

    def overdue(number: int, frame: object) -> None:
        raise AssertionError("overdue")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, OVERDUE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _at(port: int, key: str = "grid") -> list[str]:
    return [f'simulators.{key}.connect="127.0.0.1:{port}"']


def _nothing(step: int) -> None:
    """Nothing happens after a step."""


# --------------------------------------------------------------------------------------------- a peer in this process


class _Peer(threading.Thread):
    """The grid simulator, until its fault."""

    def __init__(self, fault: Callable[[_Peer, str, int], Any]):
        super().__init__(daemon=True)
        self.fault, self.over = fault, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def run(self) -> None:
        """Answer requests until the connection ends."""
        simulator, called = GridSimulator(), Counter[str]()
        try:
            self.peer, _ = self.listener.accept()
            with self.peer, self.peer.makefile("rb") as stream:
                self.fault(self, "connect", 1)
                while head := stream.read(4):
                    _, self.number, (method, args, kwargs) = json.loads(stream.read(int.from_bytes(head, "big")))
                    called[method] += 1
                    self.done = False
                    self.fault(self, method, called[method])
                    if not self.done:
                        self.answer(getattr(simulator, method)(*args, **kwargs) if hasattr(simulator, method) else None)
        except (OSError, ValueError):
            pass  # the connection is over

    def answer(self, value: Any, kind: int = 1, number: int | None = None) -> None:
        """Answer a request; 1 is success, 2 a failure."""
        self.send(json.dumps([kind, self.number if number is None else number, value]).encode())

    def send(self, content: bytes, length: int | None = None) -> None:
        """Send a message of whatever content and length."""
        self.done = True
        self.peer.sendall((len(content) if length is None else length).to_bytes(4, "big") + content)

    def end(self, *, reset: bool = False) -> None:
        """Close the connection, or break it."""
        if reset:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.peer.shutdown(socket.SHUT_RDWR)
        raise OSError

    def fall_silent(self) -> None:
        """Say nothing more, with the connection open."""
        self.over.wait()
        raise OSError

    def drip(self) -> None:
        """Send an answer by single bytes, slower than anybody waits for."""
        content = json.dumps([1, self.number, {}]).encode()
        for one in len(content).to_bytes(4, "big") + content:
            self.peer.sendall(bytes([one]))
            if self.over.wait(LIMIT_S / 4):
                break
        raise OSError


def _peer(name: str, method: str, nth: int, does: Callable[[_Peer], None], says: str) -> RemoteFault:
    """A fault at the nth request of a method; a step is two of them."""

    def fault(peer: _Peer, called: str, count: int) -> None:
        if (called, count) == (method, nth):
            does(peer)

    def happens(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
        GridSimulator().create(1, "Grid", network="three_bus")  # what takes long at first is loaded then
        peer = _Peer(fault)
        stack.callback(peer.listener.close)
        stack.callback(peer.join, OVERDUE_S)
        stack.callback(_wake, peer.listener)
        stack.callback(peer.over.set)
        peer.start()
        return _at(peer.port), _nothing

    in_step = method in ("step", "get_data")
    return RemoteFault(name, happens, says, nth - 1 if in_step else 0, 120.0 if in_step else LIMIT_S)


def _wake(listener: socket.socket) -> None:
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _without_model(peer: _Peer) -> None:
    peer.answer({"api_version": "3.0", "type": "time-based", "models": {}})


_SILENT = f"has not answered within {LIMIT_S:g} s"
_LATE_START, _LATE_STEP = "raise simulators.start_timeout_s", "raise simulators.step_timeout_s"
_THIRD = "step 2: the simulator simulators.grid at 127.0.0.1:"

_PEERS = [
    _peer("closes the connection at once", "connect", 1, _Peer.end, "set-up: the simulator simulators.grid at"),
    _peer("resets the connection at once", "connect", 1, lambda one: one.end(reset=True), "simulators.grid at"),
    _peer("is a web server", "init", 1, lambda one: one.peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), _SILENT),
    _peer("says nothing to init", "init", 1, _Peer.fall_silent, _LATE_START),
    _peer("dies at init", "init", 1, lambda one: one.end(reset=True), "set-up: the simulator simulators.grid at"),
    _peer("says nothing to create", "create", 1, _Peer.fall_silent, f"{_SILENT} (create)"),
    _peer("dies at create", "create", 1, _Peer.end, "set-up: the simulator simulators.grid at"),
    _peer("refuses create", "create", 1, lambda one: one.answer(["NoNet", "not here"], 2), "failed: NoNet: not here"),
    _peer("has no grids", "init", 1, _without_model, "Grid"),
    _peer("is of another time", "init", 1, lambda one: one.answer({"api_version": "9.0", "models": {}}), "API version"),
    _peer("describes itself by nothing", "init", 1, lambda one: one.answer(None), "answered init with None"),
    _peer("creates nothing known", "create", 1, lambda one: one.answer([7]), "answered create with [7]"),
    _peer(
        "creates a grid of no parts",
        "create",
        1,
        lambda one: one.answer([{"eid": "G", "type": "Grid"}]),
        "has another net",
    ),
    _peer("says nothing to setup_done", "setup_done", 1, _Peer.fall_silent, f"{_SILENT} (setup_done)"),
    _peer("closes the connection in a step", "step", 3, _Peer.end, f"{_THIRD}"),
    _peer("resets the connection in a step", "get_data", 3, lambda one: one.end(reset=True), f"{_THIRD}"),
    _peer("says nothing to step", "step", 3, _Peer.fall_silent, _LATE_STEP),
    _peer("says nothing to get_data", "get_data", 3, _Peer.fall_silent, f"{_SILENT} (get_data)"),
    _peer("fails in a step", "step", 3, lambda one: one.answer(["Err", "no sun"], 2), "failed: Err: no sun"),
    _peer("breaks off in an answer", "get_data", 3, lambda one: one.send(b"[1, 2", 99), _SILENT),
    _peer("answers in no JSON", "step", 3, lambda one: one.send(b"done"), "sent what is no answer"),
    _peer("answers in no text", "step", 3, lambda one: one.send(b"\xff\xfe\x00"), "sent what is no answer"),
    _peer(
        "answers a request that was none", "step", 3, lambda one: one.answer(1, number=999), "sent what is no answer"
    ),
    _peer("announces four gigabytes", "get_data", 3, lambda one: one.send(b"[", 2**32 - 1), _SILENT),
    _peer("answers byte by byte", "get_data", 3, _Peer.drip, _SILENT),
    _peer("steps back in time", "step", 3, lambda one: one.answer(0), "step 2: SimulationError"),
    _peer("steps to a text", "step", 3, lambda one: one.answer("later"), "next step"),
    _peer("answers with a number", "get_data", 3, lambda one: one.answer(5), "answered get_data with 5"),
    _peer("gives a number for all", "get_data", 3, lambda one: one.answer({"Grid-0": 1}), "answered get_data with"),
    _peer("gives no values", "get_data", 3, lambda one: one.answer({}), "step 2: InputError: Recorder-0"),
    _peer("gives a list too short", "get_data", 3, lambda one: one.answer(_values([1.0])), "Recorder-0: Vm[pu]"),
    _peer("gives texts", "get_data", 3, lambda one: one.answer(_values(["x"] * 3)), "Recorder-0: Vm[pu]"),
]


def _values(voltages: list[Any]) -> dict[str, Any]:
    flows = {name: [0.0] * 2 for name in ("P_line[MW]", "Q_line[MVar]", "I_line[kA]", "loading[%]", "losses_line[MW]")}
    buses = {name: [0.0] * 3 for name in ("P[MW]", "Q[MVar]", "Va[deg]")} | {"Vm[pu]": voltages}
    grid = dict.fromkeys(("import[MW]", "import[MVar]", "losses[MW]", "balance_error"), 0.0) | {"converged": True}
    return {"Grid-0": flows | buses | grid}


# ------------------------------------------------------------------------------------------------------- processes


def _process(name: str, key: str, number: int, when: int, says: str) -> RemoteFault:
    """A signal to a simulator's process after some steps; 0: before the run begins."""
    module = {"agents": "devices"}.get(key, key)

    def happens(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", f"gridferry.sim.adapters.{module}", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        # a connection would be taken for mosaik's: the kernel's table says when it listens
        while f"0100007F:{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
            assert process.poll() is None, f"{module} has not started"
            sleep(0.05)

        def after_step(step: int) -> None:
            if step == when:
                os.kill(process.pid, number)

        after_step(0)
        return _at(port, key), after_step

    return RemoteFault(name, happens, says, when, 120.0 if when else LIMIT_S)


_PROCESSES = [
    _process("is stopped before the run", "grid", signal.SIGSTOP, 0, _LATE_START),
    _process("is stopped in the run", "grid", signal.SIGSTOP, 2, "step 2: the simulator simulators.grid at"),
    _process("is killed in the run", "grid", signal.SIGKILL, 2, "step 2: the simulator simulators.grid at"),
    _process("devices are stopped", "agents", signal.SIGSTOP, 2, "step 2: the simulator simulators.agents at"),
    _process("a controller is terminated", "controller", signal.SIGTERM, 2, "step 2: the simulator simulators.contr"),
    _process("forecasts are stopped", "forecasts", signal.SIGSTOP, 2, "step 2: the simulator simulators.forec"),
]


# ------------------------------------------------------------------------------------------------------- addresses


def _nobody(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return _at(probe.getsockname()[1]), _nothing


def _crowded(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
    """A port of a process that accepts nothing more."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return _at(listener.getsockname()[1]), _nothing


def _unknown(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
    return ['simulators.grid.connect="no-such-host.invalid:5678"'], _nothing


def _no_port(stack: ExitStack) -> tuple[list[str], Callable[[int], None]]:
    return ['simulators.grid.connect="127.0.0.1:99999"'], _nothing


REMOTE_FAULTS = [
    *_PEERS,
    *_PROCESSES,
    RemoteFault("nobody is there", _nobody, "cannot be reached", 0),
    RemoteFault("a port that another process keeps", _crowded, f"{_SILENT} (connecting)", 0, LIMIT_S),
    RemoteFault("an unknown host", _unknown, "set-up: the simulator simulators.grid at no-such-host.invalid:5678", 0),
    RemoteFault("a port that is none", _no_port, "cannot be reached", 0),
]
"""at least twenty faults, each of which ends its run within the time-out"""
