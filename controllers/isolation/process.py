"""A controller in a process of its own, as the simulation sees it."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import Any

from gridferry.controllers.contract import Controller, ControllerError, ControllerSettings, Forecast, Observation, Plan
from gridferry.controllers.isolation.answer import Answer
from gridferry.controllers.isolation.child import ChildProcess, ProcessEndedError
from gridferry.controllers.isolation.messages import ConnectionEndedError, packed
from gridferry.controllers.isolation.worker import Build
from gridferry.controllers.plans.plan_json import plan_from_json
from gridferry.controllers.plans.returned_plan import ReturnedPlanError, checked_plan
from gridferry.controllers.plugins.user_code import one_line
from gridferry.controllers.registry import is_plugin
from gridferry.networks.faults import Fault, InputError

_TO_BUILD_S = 60.0
"""what a controller may take to be built, at least [s]"""
_LONGEST_S = 600.0
"""time-out of a controller in a process of its own that has none [s]"""


class _Settings(ControllerSettings):
    """Settings of a controller that are known outside of its process."""

    errors: Any = None


class IsolatedController(Controller):
    """A controller in a process of its own, which is started anew where it ended.

    Nothing that it does to what it is given, to modules or to its process reaches the simulation. It may still read and
    write files as the user may.

    Parameters
    ----------
    build : what it is built from
    timeout_s : longest time for a plan, and, if it is longer than a minute, to be built; then its process is killed;
        600 when ``None`` [s]

    Attributes
    ----------
    place : `` (file, line n)`` of its method ``plan``; empty for one of ours

    Raises
    ------
    InputError, ControllerError
        as `gridferry.controllers.registry.make_controller`; also where its process ends, or takes too long.
    """

    def __init__(self, build: Build, timeout_s: float | None):
        self._build, self._timeout_s = build, _LONGEST_S if timeout_s is None else timeout_s
        self._number = 0
        self._process: ChildProcess | None = None
        reply = self._start()
        self.accepts_ac_feedback = bool(reply["accepts_ac_feedback"])  # type: ignore[misc]
        self._steps_needed, self.place = int(reply["steps_needed"]), str(reply["place"])
        known: Any = build.inherited.get("errors")
        own = None if reply["errors"] is None else type(known).model_validate(reply["errors"])
        assert build.plant is not None
        super().__init__(build.plant, _Settings(errors=own))

    @property
    def steps_needed(self) -> int:
        """Steps of a forecast without which it does less than it is meant to."""
        return self._steps_needed

    def plan(self, observation: Observation, forecast: Forecast) -> Plan:
        """Return the plan; raises `ControllerError` for every failure."""
        answer = self.answer(observation, forecast)
        if answer.plan is None:
            raise ControllerError(answer.failure, out_of_time=answer.cut)
        return answer.plan

    def answer(self, observation: Observation, forecast: Forecast) -> Answer:
        """Request a plan; every failure is one of the step, and the next step gets a new process where it has to."""
        self._number += 1
        try:
            if self._process is None:
                self._start()
            assert self._process is not None
            reply = _requested(self._process, (self._number, observation, forecast), self._timeout_s)
            if reply["number"] != self._number:
                raise ProcessEndedError("answered what it was not asked")
            return self._taken(reply, forecast.steps)
        except (InputError, ControllerError) as error:  # it could be built before
            failure = f"the controller cannot be built again: {error}"
        except ProcessEndedError as error:
            failure = f"the controller {error}{self.place}"
        except (ConnectionEndedError, ReturnedPlanError, LookupError, TypeError, ValueError) as error:
            failure = f"the controller's process answered what is no plan ({error}){self.place}"
        except BaseException:
            self.close()
            raise
        self.close()
        return Answer(failure=one_line(failure))

    def _taken(self, reply: Mapping[str, Any], steps: int) -> Answer:
        """Check what the process answered, as it may be any JSON."""
        made = reply["plan"]
        plan = None if made is None else checked_plan(self.plant, steps, plan_from_json(made))
        words = {name: str(reply[name]) for name in ("failure", "traceback")}
        return Answer(plan=plan, cut=bool(reply["cut"]), **words)

    def _start(self) -> dict[str, Any]:
        """Start the process and build the controller there; return what it says of itself."""
        self._process, reply = started(self._build, self._timeout_s)
        self._at_exit = weakref.finalize(self, self._process.end)
        if "place" in reply:
            return reply
        self.close()
        if "refused" in reply:
            raise ControllerError(str(reply["refused"]))
        raise InputError(Fault(*map(str, one)) for one in reply["faults"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._at_exit()  # ends the process, and lets go of it
            self._process = None


def _requested(process: ChildProcess, content: Any, timeout_s: float) -> dict[str, Any]:
    """Send a request and return the answer, which is a JSON object but may be any."""
    try:
        request = packed(content)
    except Exception as error:  # parts of users' kinds of devices may have no pickle
        raise ProcessEndedError(f"cannot be given its plant ({type(error).__name__}: {error})") from error
    reply: Any = json.loads(process.exchanged(request, timeout_s))
    if not isinstance(reply, dict):
        raise ConnectionEndedError("no JSON object")
    return reply


def started(build: Build, timeout_s: float) -> tuple[ChildProcess, dict[str, Any]]:
    """Start a process, have it build a controller, and return what it says of it; raises `InputError`."""
    process = ChildProcess("gridferry.controllers.isolation", build.base_dir)
    try:
        return process, _requested(process, build, max(timeout_s, _TO_BUILD_S))
    except (ProcessEndedError, ConnectionEndedError, ValueError) as error:
        process.end()
        message = f'"{build.spec}": while it was built, the controller {error}; correct the class'
        raise InputError(Fault(build.source, f"{build.key}.use", one_line(message))) from None
    except BaseException:
        process.end()
        raise


def make_controller_for(build: Build, own_process: bool | None, timeout_s: float | None) -> Controller:
    """Build a controller, in a process of its own where it is a plug-in, has a time-out, or ``own_process`` says so.

    Raises
    ------
    InputError, ControllerError
        as `gridferry.controllers.registry.make_controller`.
    """
    if _apart(build, own_process, timeout_s):
        return IsolatedController(build, timeout_s)
    return build.made()


def check_settings_for(build: Build, own_process: bool | None, timeout_s: float | None) -> None:
    """Check the settings of a controller without a plant, where it would be built; raises `InputError`."""
    if not _apart(build, own_process, timeout_s):
        build.check()
        return
    process, reply = started(build, _LONGEST_S if timeout_s is None else timeout_s)
    process.end()
    if reply["faults"]:
        raise InputError(Fault(*map(str, one)) for one in reply["faults"])


def _apart(build: Build, own_process: bool | None, timeout_s: float | None) -> bool:
    return (timeout_s is not None or is_plugin(build.spec)) if own_process is None else own_process
