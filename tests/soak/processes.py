"""Work in forked processes: what is imported is imported once, and a kill ends the work alone."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gridferry.networks.faults import InputError

DONE, REFUSED, BROKEN = 0, 2, 4
LONGEST_S = 300.0


@dataclass(frozen=True)
class Ended:
    """End of a forked process.

    Attributes
    ----------
    code : `DONE`, `REFUSED`, `BROKEN` or any other exit code; negative for the signal that killed it
    text : the message of a refusal, or a traceback
    """

    code: int
    text: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def forked(work: Callable[[], int | None], meanwhile: Callable[[int], None] = lambda process: None) -> Ended:
    """Do some work in a fork of this process; the parent does something with its number meanwhile."""
    number, name = tempfile.mkstemp()
    os.close(number)
    message = Path(name)
    process = os.fork()
    if not process:
        os._exit(_worked(work, message))
    meanwhile(process)
    status = _waited(process)
    text = message.read_text()
    message.unlink()
    return Ended(os.waitstatus_to_exitcode(status), text)


def _worked(work: Callable[[], int | None], message: Path) -> int:
    """Exit code of some work; nothing that it does reaches the parent's output."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        return work() or DONE
    except InputError as refusal:
        message.write_text(str(refusal))
        return REFUSED
    except BaseException:
        message.write_text(traceback.format_exc())
        return BROKEN
    finally:
        sys.stdout.flush()


def _waited(process: int) -> int:
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 9 << 8  # it hangs: no exit code that is allowed


def kill_after(seconds: float) -> Callable[[int], None]:
    """Kill a process at a moment."""

    def kill(process: int) -> None:
        time.sleep(seconds)
        _kill(process)

    return kill


def kill_at_change(folder: Path, change: int) -> Callable[[int], None]:
    """Kill a process when the sizes of the databases in a folder have changed so many times."""

    def sizes() -> list[tuple[str, int]]:
        found = []
        for one in folder.rglob("results.duckdb*"):
            try:
                found.append((str(one), one.stat().st_size))
            except FileNotFoundError:
                continue
        return sorted(found)

    def kill(process: int) -> None:
        seen, last = 0, sizes()
        while seen < change and not _ended(process):
            now = sizes()
            seen, last = seen + (now != last), now
        _kill(process)

    return kill


def die_at_file_event(folder: Path, event: int) -> None:
    """Kill this process before it opens for writing, renames or removes a file in a folder for the n-th time."""
    count = 0

    def hook(name: str, given: tuple[object, ...]) -> None:
        nonlocal count
        if name not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            return
        if name == "open" and not _writes(given):
            return
        if str(given[0]).startswith(str(folder)):
            count += 1
            if count == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _writes(given: tuple[object, ...]) -> bool:
    mode, flags = given[1], given[2]
    return bool(set("wax+") & set(mode)) if isinstance(mode, str) else bool(int(str(flags)) & (os.O_WRONLY | os.O_RDWR))


def _ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)  # a zombie until it is waited for, so the number is its own
