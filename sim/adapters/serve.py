"""Simulators as processes of their own: ``python -m gridferry.sim.adapters.grid [HOST:]PORT``.

If mosaik listens at that address (it started the process with ``cmd``), the simulator connects to it. Otherwise it
listens there itself until mosaik connects (``connect = "host:port"`` in a config). Connections are not authenticated:
so it listens on loopback unless a host is given, and accepts only what was allowed at its start.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import socket
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import mosaik_api_v3

from gridferry.networks.faults import InputError
from gridferry.sim.adapters.case_params import Allowed
from gridferry.sim.exit_codes import BAD_INPUT

_LOOPBACK = "127.0.0.1"


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all simulators have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "address",
        metavar="[HOST:]PORT",
        help=f"where mosaik waits, or where to wait for it (HOST: {_LOOPBACK}, which only this machine reaches)",
    )
    parser.add_argument("--timeout", type=int, default=3600, help="seconds to wait for a mosaik (default: %(default)s)")
    return parser


def serve_case(simulator: Callable[[Allowed], mosaik_api_v3.Simulator], description: str) -> None:
    """Run a simulator that takes a config document, until mosaik stops it."""
    parser = arguments(description)
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="WHAT",
        help="what the config of the other side may name: a file or folder to read from, or code to run, as "
        "package.module:name or path/file.py:name; may be given again. The data that come with the package, "
        "and controllers and networks known by name, are always allowed",
    )
    serve(parser, lambda options: simulator(Allowed.of_options(options.allow)))


def serve(parser: argparse.ArgumentParser, make: Callable[[argparse.Namespace], mosaik_api_v3.Simulator]) -> None:
    """Parse the command line, make the simulator, and run it until mosaik stops it."""
    options = parser.parse_args()
    host, colon, port = options.address.rpartition(":")
    if (colon and not host) or not port.isdigit() or not 0 < int(port) < 65536:
        parser.error(f"{options.address!r} is no [HOST:]PORT")
    try:
        simulator = make(options)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None
    asyncio.run(_serve(_that_answers(simulator), host or _LOOPBACK, int(port), options.timeout))


async def _serve(simulator: mosaik_api_v3.Simulator, host: str, port: int, timeout: int) -> None:
    try:
        await mosaik_api_v3.run_as_client(simulator, host, port)
    except ConnectionRefusedError:
        if not _only_this_machine(host, port):
            print(f"waiting at {host}:{port}: whoever reaches that address can use this simulator", file=sys.stderr)
        await mosaik_api_v3.run_as_server(simulator, host, port, start_timeout=timeout)


def _only_this_machine(host: str, port: int) -> bool:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(one[4][0])).is_loopback for one in found)


def _that_answers(simulator: mosaik_api_v3.Simulator) -> mosaik_api_v3.Simulator:
    """Defer a failure of ``init`` to ``create``, since mosaik's API does not report the former to the other side."""
    init, create = simulator.init, simulator.create
    failed: list[Exception] = []

    @wraps(init)
    def init_anyway(*args: Any, **kwargs: Any) -> Any:
        try:
            return init(*args, **kwargs)
        except Exception as error:
            failed.append(error)
            return simulator.meta

    @wraps(create)
    def create_or_raise(*args: Any, **kwargs: Any) -> Any:
        if failed:
            raise failed[0]
        return create(*args, **kwargs)

    vars(simulator).update(init=init_anyway, create=create_or_raise)
    return simulator
