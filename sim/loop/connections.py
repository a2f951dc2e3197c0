"""Connections of a mosaik world to simulators in other processes, and clean-up after failures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mosaik
from loguru import logger
from mosaik.exceptions import ConnectionClosedError
from mosaik.proxies import RemoteProxy
from mosaik.simmanager import MosaikRemote
from mosaik.starters import ConnectStarter, PythonStarter, Starter
from mosaik_api_v3.connection import Channel
from mosaik_api_v3.types import SimId

from gridferry.sim.config.schema import SimulatorConfig


class _Connection(ConnectStarter):
    """Connects to a simulator that runs elsewhere, and remembers the connection."""

    made: tuple[SimId, RemoteProxy] | None = None

    async def start(self, sim_id: SimId, mosaik_remote: MosaikRemote, mosaik_config: Any) -> RemoteProxy:
        """Connect, as mosaik does."""
        proxy = await super().start(sim_id, mosaik_remote, mosaik_config)
        assert isinstance(proxy, RemoteProxy)
        self.made = sim_id, proxy
        channel = proxy._channel
        channel._receiver_task.add_done_callback(lambda reader: _fail_pending(reader, channel, sim_id))
        return proxy


def _fail_pending(reader: asyncio.Task[None], channel: Channel, sim_id: SimId) -> None:
    """Fail the requests that a broken connection leaves without an answer; mosaik does where it was closed in order."""
    if not reader.cancelled():
        reader.exception()  # how the connection broke is of no interest, and asyncio wants it looked at
    for pending in channel._outgoing_request_futures.values():
        if not pending.done():
            pending.set_exception(ConnectionClosedError(simulator=sim_id, method_called="a request"))


def starter(simulator: str, remote: SimulatorConfig | None) -> Starter:
    """Return how mosaik starts a simulator: ``"module:Class"`` in this process, or a connection to another."""
    if remote is not None and remote.connect:
        return _Connection.from_addr_string(remote.connect)
    return PythonStarter.from_string(simulator)


def close_connections(world: mosaik.World, starters: dict[str, Starter]) -> None:
    """Close the connections that mosaik's shutdown cannot: to simulators that refused to start, or that broke off."""
    known = world._async_world._proxies
    for one in starters.values():
        if isinstance(one, _Connection) and one.made is not None:
            sim_id, proxy = one.made
            if sim_id not in known or proxy._channel._receiver_task.done():
                known.pop(sim_id, None)
                world.loop.run_until_complete(_close(proxy))


async def _close(proxy: RemoteProxy) -> None:
    proxy._reader_task.cancel()
    try:
        await proxy._channel.close()
    except OSError:
        proxy._channel._receiver_task.cancel()  # the other side is gone already


async def watch_connections(world: mosaik.World) -> None:
    """End the run when the connection to a remote simulator breaks; mosaik would wait for its answer forever."""
    readers = _tasks(world, "Reader task for ")
    if not readers:
        return
    await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
    for runner in _tasks(world, "Runner for "):
        runner.cancel()


def _tasks(world: mosaik.World, prefix: str) -> list[asyncio.Task[None]]:
    """Return the tasks of the world's loop that mosaik named so."""
    return [task for task in asyncio.all_tasks(world.loop) if task.get_name().startswith(prefix)]


def end_tasks(world: mosaik.World) -> None:
    """End what a failed run left waiting; mosaik leaves the other simulators' tasks to the garbage collector."""
    waiting = _tasks(world, "Runner for ")
    for task in waiting:
        task.cancel()
    world.loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))


@contextmanager
def remote_errors(listen: bool) -> Iterator[list[str]]:
    """Collect what mosaik logs as errors, which is all it does about an exception in a remote simulator."""
    errors: list[str] = []
    if not listen:
        yield errors
        return
    logger.enable("mosaik")
    handler = logger.add(lambda message: errors.append(message.record["message"]), level="ERROR", filter="mosaik")
    try:
        yield errors
    finally:
        logger.remove(handler)
        logger.disable("mosaik")
