"""Messages between the simulation and the process of a controller: length, then content.

The simulation sends pickles, as it is trusted; the process answers in JSON, which nothing runs.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

_LENGTH = struct.Struct(">Q")
MOST_BYTES = 1 << 28
"""longest message that is read [bytes]"""


class ConnectionEndedError(Exception):
    """The other side is gone, or sends what is no message."""


def send(connection: socket.socket, content: bytes) -> None:
    """Send a message; raises `OSError`, `TimeoutError` too, as the socket says."""
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket, look: Callable[[bool], None] = lambda idle: None) -> bytes:
    """Receive a message.

    Parameters
    ----------
    look : called before every read, with whether the last one ended by the socket's time-out; it may raise

    Raises
    ------
    ConnectionEndedError, OSError
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, look))
    if length > MOST_BYTES:
        raise ConnectionEndedError(f"a message of {length} bytes; {MOST_BYTES} are the most")
    return _exactly(connection, length, look)


def _exactly(connection: socket.socket, size: int, look: Callable[[bool], None]) -> bytes:
    parts = bytearray()
    idle = False
    while len(parts) < size:
        look(idle)
        try:
            part = connection.recv(min(size - len(parts), 1 << 20))
        except TimeoutError:
            idle = True
            continue
        idle = False
        if not part:
            raise ConnectionEndedError("the connection was closed")
        parts += part
    return bytes(parts)


def _view(given: Any) -> MappingProxyType[Any, Any]:
    return MappingProxyType(given)


def packed(value: Any) -> bytes:
    """Return a value as a pickle; raises what pickle raises for what it has no form for."""
    target = io.BytesIO()
    pickler = pickle.Pickler(target, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {MappingProxyType: lambda given: (_view, (dict(given),))}
    pickler.dump(value)
    return target.getvalue()
