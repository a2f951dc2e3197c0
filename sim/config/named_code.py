"""Code that a config names: a controller, the function of a network, kinds of devices; which of it may run.

What the command line names may lie anywhere. What a config names runs only from the config's own folder or from an
installed package, so that a config from elsewhere runs nothing of yours. Nothing is imported to find that out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gridferry.controllers.devices.registry import BUILT_IN as OUR_KINDS
from gridferry.controllers.registry import BUILT_IN as OUR_CONTROLLERS
from gridferry.networks.faults import Fault
from gridferry.networks.network_spec import names_code
from gridferry.sim.config.document import Document, Loc

Refusal = Callable[[str, str], str | None]
"""Says why code may not run, if so, by what the config writes and the file or setting that it stands in."""

NO_CODE = "GRIDFERRY_NO_CODE"
"""environment variable that refuses all code but ours; processes that are started inherit it"""


@contextmanager
def without_code() -> Iterator[None]:
    """Refuse all code but ours meanwhile."""
    before = os.environ.get(NO_CODE)
    os.environ[NO_CODE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NO_CODE]


def refuse_nothing(spec: str, origin: str) -> str | None:
    """Permit all code, for a config that was given to this process."""
    return None


def refusal_of(spec: str, origin: str) -> str | None:
    """Message that code may not run: neither in the config's folder nor installed, or any with ``--no-code``."""
    if os.environ.get(NO_CODE):
        ours = spec in OUR_CONTROLLERS or spec in OUR_KINDS
        return None if ours else "is code that does not come with GridFerry, and --no-code refuses it"
    if origin.startswith("--"):
        return None
    place = spec if spec.endswith(".py") else spec.rpartition(":")[0]
    folder = Path(origin).absolute().parent
    if place.endswith(".py"):
        try:
            file = (folder / place).resolve()
        except (OSError, ValueError, RuntimeError):
            return None  # no path that can be read
        inside = file.is_relative_to(folder.resolve()) or not file.exists() or _was_run(file, folder)
    else:
        top = place.partition(".")[0]
        beside = (folder / top).is_dir() or (folder / f"{top}.py").is_file()
        inside = not top or beside or _is_installed(top) or not _is_here(top)
    if inside:
        return None
    return f"is code outside the config's own folder, which only you may name; move it to {folder}, or use --set"


def named_in(file: Path) -> Refusal:
    """Return `refusal_of` for a config with settings from another file, which count as those of that file."""
    return lambda spec, origin: refusal_of(spec, str(file) if origin.startswith("--") else origin)


def code_faults(document: Document, refusal: Refusal) -> list[Fault]:
    """Faults of the controller and of networks that may not run; kinds of devices are checked where they are found."""
    return [
        document.fault(loc, refused)
        for loc, spec in code_of(document)
        if (refused := refusal(spec, document.origin(loc))) is not None
    ]


def code_of(document: Document) -> Iterator[tuple[Loc, str]]:
    """Places and names of a document's controller, if it is not ours, and of functions that build its networks."""
    use = document.value(("controller", "use"))
    if isinstance(use, str) and use not in OUR_CONTROLLERS:
        yield ("controller", "use"), use
    networks = document.value(("networks",))
    for number, network in enumerate(networks if isinstance(networks, list) else ()):
        feeder = network.get("feeder") if isinstance(network, dict) else None
        if isinstance(feeder, str) and names_code(feeder):
            yield ("networks", number, "feeder"), feeder


def _was_run(file: Path, folder: Path) -> bool:
    """Whether a folder is the run directory of a run made from a file."""
    try:
        inputs = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["inputs"]
        return str(file) in {str(Path(one).resolve()) for one in inputs}
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _is_installed(top: str) -> bool:
    """Whether a package is installed: found without the working folder, where Python was started with it."""
    first = sys.path[:1]
    here = first in ([""], [str(Path.cwd())])
    try:
        if here:
            del sys.path[0]
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
    finally:
        if here:
            sys.path[:0] = first


def _is_here(top: str) -> bool:
    return (Path.cwd() / top).is_dir() or (Path.cwd() / f"{top}.py").is_file()
