"""Connections of a mosaik world to simulators in other processes, which answer in time or end the run."""

from __future__ import annotations

import asyncio
import socket
from asyncio.trsock import TransportSocket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import mosaik
from mosaik.exceptions import ConnectionClosedError
from mosaik.proxies import BaseProxy, RemoteProxy
from mosaik.simmanager import MosaikRemote
from mosaik.starters import ConnectStarter, PythonStarter, Starter
from mosaik_api_v3.connection import Channel, RemoteException
from mosaik_api_v3.types import SimId

_STOP_S = 1.0
"""how long a simulator is waited for when the run has ended"""
_HEARTBEAT = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 30_000}
"""options of a socket that notices within half a minute that the other machine is gone"""


class RemoteSimulatorError(RuntimeError):
    """A simulator elsewhere refused, failed, went away or did not answer in time."""


@dataclass(frozen=True)
class Remote:
    """Where a simulator runs, and how long it is waited for.

    Attributes
    ----------
    key : its name in ``[simulators]``
    address : ``host:port``
    start_timeout_s, step_timeout_s : for an answer while the run is set up, and in a step [s]
    first_step, step_s : the step at time 0, and its length [s]
    """

    key: str
    address: str
    start_timeout_s: float
    step_timeout_s: float
    first_step: int
    step_s: int

    def error(self, when: str, what: str) -> RemoteSimulatorError:
        """Error that says when what happened to which simulator."""
        return RemoteSimulatorError(f"{when}: the simulator simulators.{self.key} at {self.address} {what}")

    def late(self, when: str, request: str, limit: str) -> RemoteSimulatorError:
        """Error of a simulator that has not answered a request within a limit."""
        seconds = getattr(self, limit)
        ways = f"see what it does there, or raise simulators.{limit}"
        return self.error(when, f"has not answered within {seconds:g} s ({request}); {ways}")


class _Connection(ConnectStarter):
    """Connects to a simulator that runs elsewhere, and remembers the connection."""

    def __init__(self, remote: Remote):
        host, _, port = remote.address.rpartition(":")
        super().__init__(host, int(port))
        self.remote = remote
        self.made: tuple[SimId, _Answers] | None = None

    async def start(self, sim_id: SimId, mosaik_remote: MosaikRemote, mosaik_config: Any) -> BaseProxy:
        """Connect, as mosaik does, but not for ever."""
        try:
            opening = asyncio.open_connection(self.host, self.port)
            reader, writer = await asyncio.wait_for(opening, self.remote.start_timeout_s)
        except TimeoutError:
            raise self.remote.late("set-up", "connecting", "start_timeout_s") from None
        except (OSError, OverflowError, UnicodeError) as error:
            raise self.remote.error("set-up", f"cannot be reached: {error}") from None
        _beat(writer.get_extra_info("socket"))
        proxy = _Answers(Channel(reader, writer, name=sim_id), mosaik_remote, self.remote)
        self.made = sim_id, proxy
        return proxy


class _Answers(RemoteProxy):
    """Simulator elsewhere, whose answers have to come in time."""

    def __init__(self, channel: Channel, mosaik_remote: MosaikRemote, remote: Remote):
        super().__init__(channel, mosaik_remote)
        self._remote = remote
        self._when = "set-up"
        channel._receiver_task.add_done_callback(self._fail_pending)

    def _fail_pending(self, reader: asyncio.Task[None]) -> None:
        """Fail requests that a broken connection leaves without an answer; mosaik does where it was closed in order."""
        if not reader.cancelled():
            reader.exception()  # asyncio wants it looked at
        for pending in self._channel._outgoing_request_futures.values():
            if not pending.done():
                pending.set_exception(ConnectionClosedError(simulator="", method_called=""))

    async def send(self, request: Any) -> Any:
        """Send a request, and wait for the answer; raises `RemoteSimulatorError`."""
        method, arguments, _ = request
        if method == "step":
            self._when = f"step {self._remote.first_step + arguments[0] // self._remote.step_s}"
        limit = "step_timeout_s" if method in ("step", "get_data") else "start_timeout_s"
        if self._channel._receiver_task.done():
            raise self._closed()
        try:
            answer = await asyncio.wait_for(super().send(request), getattr(self._remote, limit))
        except TimeoutError:
            raise self._remote.late(self._when, method, limit) from None
        except RemoteException as error:
            raise self._remote.error(self._when, f"failed: {error.remote_type}: {error.remote_msg}") from error
        except (ConnectionClosedError, OSError):
            raise self._closed() from None
        if not _of_form(method, answer):
            raise self._remote.error(self._when, f"answered {method} with {answer!r:.80}, which is no answer to it")
        return answer

    def _closed(self) -> RemoteSimulatorError:
        reader = self._channel._receiver_task
        why = reader.exception() if reader.done() and not reader.cancelled() else None
        broken = "closed its connection" if why is None or isinstance(why, OSError) else "sent what is no answer"
        return self._remote.error(self._when, broken if why is None else f"{broken}: {why}")

    async def stop(self) -> None:
        """Stop the simulator, and close the connection whether it answers or not."""
        if not self._channel._receiver_task.done():
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, ConnectionClosedError, RemoteException):
                await asyncio.wait_for(self._channel.send(["stop", [], {}]), _STOP_S)
        writer, tasks = self._channel._writer, (self._reader_task, self._channel._receiver_task)
        writer.close()
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(writer.wait_closed(), _STOP_S)
        writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _of_form(method: str, answer: Any) -> bool:
    """Whether an answer has the outer form that mosaik relies on."""
    if method == "get_data":
        return isinstance(answer, dict) and all(isinstance(one, dict) for key, one in answer.items() if key != "time")
    if method == "create":
        return isinstance(answer, list) and all(isinstance(one, dict) for one in answer)
    return method != "init" or (isinstance(answer, dict) and isinstance(answer.get("models"), dict))


def _beat(connected: socket.socket | TransportSocket) -> None:
    """Have the operating systems ask each other whether they are still there."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _HEARTBEAT.items():
        if hasattr(socket, name):  # not on all systems
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def starter(simulator: str, remote: Remote | None) -> Starter:
    """Return how mosaik starts a simulator: ``"module:Class"`` in this process, or a connection to another."""
    return PythonStarter.from_string(simulator) if remote is None else _Connection(remote)


def close_connections(world: mosaik.World, starters: dict[str, Starter]) -> None:
    """Close the connections that mosaik's shutdown does not know of: to simulators that refused to start."""
    for one in starters.values():
        if isinstance(one, _Connection) and one.made is not None:
            sim_id, proxy = one.made
            if sim_id not in world._async_world._proxies:
                world.loop.run_until_complete(proxy.stop())


def end_tasks(world: mosaik.World) -> None:
    """End what a failed run left waiting; mosaik leaves the other simulators' tasks to the garbage collector."""
    waiting = [task for task in asyncio.all_tasks(world.loop) if task.get_name().startswith("Runner for ")]
    for task in waiting:
        task.cancel()
    world.loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
