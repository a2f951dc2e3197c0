"""A process that runs code of users, seen from outside: started, given a time-out, killed with what it started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

from gridferry.controllers.isolation.messages import ConnectionEndedError, receive, send
from gridferry.controllers.plugins.loading import files_loaded

_LOOK_S = 0.2
"""how often a process that is waited for is looked at [s]"""


class ProcessEndedError(Exception):
    """A process of users' code ended, or was ended; the message says how."""


class ChildProcess:
    """Process that runs a module of ours which begins with `gridferry.controllers.isolation.worker.connected`.

    Parameters
    ----------
    module : the module
    base_dir : folder that users' modules may lie in, beside the working folder and ``sys.path``
    """

    def __init__(self, module: str, base_dir: Path | None):
        self._here, there = socket.socketpair()
        with there:
            # -P: modules beside the user are not to take the place of any of ours
            command = [sys.executable, "-P", "-m", module, str(there.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()], start_new_session=True
            )
        path = [*sys.path, *(str(one) for one in (base_dir, Path.cwd()) if one is not None)]
        self._first = json.dumps({"path": path, "files": files_loaded()}).encode()

    def exchanged(self, request: bytes | None, timeout_s: float) -> bytes:
        """Send a request, if any, and return the next message.

        Raises
        ------
        ProcessEndedError
            where the process ended without an answer, or gave none in time; it is to be ended then.
        """
        deadline = monotonic() + timeout_s

        def look(idle: bool) -> None:
            """Raise where nothing is to be waited for; the next read may take the rest of the time."""
            left = min(_LOOK_S, deadline - monotonic())
            if left <= 0.0:
                raise TimeoutError
            if idle and self._process.poll() is not None:  # another process may have the connection, too
                raise ConnectionEndedError
            self._here.settimeout(left)

        try:
            self._here.settimeout(timeout_s)
            for one in (self._first, request):
                if one:
                    send(self._here, one)
            self._first = b""
            return receive(self._here, look)
        except TimeoutError:
            raise ProcessEndedError(f"took longer than {timeout_s:g} s and was stopped") from None
        except (ConnectionEndedError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_S)
            ended = self._process.poll() is not None
            raise ProcessEndedError(self._how_it_ended() if ended else f"sent no answer ({error})") from None

    def _how_it_ended(self) -> str:
        code: int = self._process.returncode
        how = f"with exit code {code}"
        if code < 0:
            with suppress(ValueError):
                how = f"by {signal.Signals(-code).name}"
        return f"ended its process {how}"

    def end(self) -> None:
        """Kill the process, and what it started, unless that left its session."""
        if self._here.fileno() < 0:
            return  # ended before
        self._here.close()
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
