"""Run one of our simulators as a process of its own: ``python -m sim.adapters.grid HOST:PORT``.

Where a mosaik waits at that address (it started the process with ``cmd``), the simulator connects to it; where nobody
does, it waits there itself until a mosaik connects (``connect = "host:port"`` in a config).
"""

from __future__ import annotations

import argparse
import asyncio

import mosaik_api_v3


def serve(simulator: type[mosaik_api_v3.Simulator], description: str) -> None:
    """Parse the address on the command line, and run the simulator until mosaik stops it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("address", metavar="HOST:PORT", help="where mosaik waits, or where to wait for it")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds to wait for a mosaik (default: %(default)s)")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"{options.address!r} is no HOST:PORT")
    asyncio.run(_serve(simulator(), host, int(port), options.timeout))


async def _serve(simulator: mosaik_api_v3.Simulator, host: str, port: int, timeout: int) -> None:
    try:
        await mosaik_api_v3.run_as_client(simulator, host, port)
    except ConnectionRefusedError:
        await mosaik_api_v3.run_as_server(simulator, host, port, start_timeout=timeout)
