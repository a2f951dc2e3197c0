"""Process of a controller: builds it, and makes a plan at every request. Run by `gridferry.controllers.isolation`."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridferry.controllers.contract import Controller, ControllerError, Plant
from gridferry.controllers.isolation.answer import answer_of
from gridferry.controllers.isolation.messages import ConnectionEndedError, receive, send
from gridferry.controllers.plans.plan_json import plan_to_json
from gridferry.controllers.plugins.loading import load_files
from gridferry.controllers.plugins.user_code import described, place_of
from gridferry.controllers.registry import checked_settings, make_controller
from gridferry.networks.faults import InputError

_DIES_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of Linux's prctl"""


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a controller is built from, as `gridferry.controllers.registry.make_controller` takes it.

    Without a plant only its settings are checked.
    """

    spec: str
    plant: Plant | None
    settings: dict[str, Any]
    source: str
    key: str
    base_dir: Path | None
    inherited: dict[str, Any]

    def made(self) -> Controller:
        """Return the controller; raises `InputError` or `ControllerError`."""
        assert self.plant is not None
        return make_controller(
            self.spec,
            self.plant,
            self.settings,
            self.source,
            self.key,
            self.base_dir,
            inherited=self.inherited,
        )

    def check(self) -> None:
        """Check the settings; raises `InputError`."""
        checked_settings(self.spec, self.settings, self.source, self.key, self.base_dir, self.inherited)


def built(given: Build) -> tuple[Controller | None, dict[str, Any]]:
    """Build a controller, and say what the simulation has to know of it, or why it cannot be built."""
    try:
        if given.plant is None:
            given.check()
            return None, {"faults": []}
        controller = given.made()
        errors: Any = getattr(controller.settings, "errors", None)
        like = type(errors) is type(given.inherited.get("errors"))
        return controller, {
            "accepts_ac_feedback": bool(controller.accepts_ac_feedback),
            "steps_needed": int(controller.steps_needed),
            "errors": errors.model_dump(mode="json") if errors is not None and like else None,
            "place": place_of(type(controller), "plan"),
        }
    except InputError as error:
        return None, {"faults": [[one.source, one.key, one.message] for one in error.faults]}
    except ControllerError as error:
        return None, {"refused": str(error)}
    except BaseException as error:  # of what the class says of itself
        message = f'"{given.spec}": building it raised {described(error)}; correct the class'
        return None, {"faults": [[given.source, f"{given.key}.use", message]]}


def serve(connection: socket.socket) -> None:
    """Answer requests until the simulation has no more."""
    process = os.getpid()
    controller: Controller | None = None
    plant: Plant | None = None
    while True:
        content: Any = pickle.loads(receive(connection))
        if isinstance(content, Build):
            plant = content.plant
            controller, reply = built(content)
        else:
            assert controller is not None
            assert plant is not None
            number, observation, forecast = content
            answer = answer_of(controller, plant, observation, forecast, interruptible=False)
            made = None if answer.plan is None else plan_to_json(answer.plan)
            reply = {"number": number, **vars(answer), "plan": made}
        if os.getpid() != process:
            os._exit(0)  # a copy of this process that the controller made
        send(connection, json.dumps(reply).encode())


def main() -> None:
    """Build a controller, and answer requests, until the simulation wants no more."""
    connection = connected()
    try:
        serve(connection)
    except (ConnectionEndedError, OSError):
        os._exit(0)  # the simulation is gone, or wants no more; threads of a plug-in cannot keep this process
    except BaseException as error:  # the plug-in has damaged what this process needs
        print(f"the process of a controller cannot go on: {described(error)}", file=sys.stderr, flush=True)
        os._exit(1)


def connected() -> socket.socket:
    """Return the connection whose number is the first argument, in a process that is fit for code of users."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    _end_with_parent(int(sys.argv[2]))
    # what a plug-in prints, also from C, goes to stderr: stdout may carry JSON
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    start: dict[str, Any] = json.loads(receive(connection))
    sys.path[:] = start["path"]
    load_files(start["files"])
    return connection


def _end_with_parent(parent: int) -> None:
    """Have Linux end this process with the simulation, in the midst of a step, too."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
