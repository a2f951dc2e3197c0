"""Request for a plan: the checked plan, or why there is none, whatever the controller does."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from gridferry.controllers.contract import Controller, ControllerError, Forecast, Observation, Plan, Plant, Termination
from gridferry.controllers.plans.returned_plan import ReturnedPlanError, checked_plan
from gridferry.controllers.plugins.user_code import described, one_line, place_of, running_user_code
from gridferry.networks.read_only import own_copy

_MOST_TRACEBACK = 20_000
"""characters of a traceback that are kept, of its end"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """A controller's plan, or why it has none.

    Attributes
    ----------
    plan : the host's own; ``None`` after a failure
    failure : why there is none, in one line, with the file and line of a plug-in; empty for a plan
    traceback : of the exception behind a failure, if there was one
    cut : whether a time limit of the controller cut it short
    """

    plan: Plan | None = None
    failure: str = ""
    traceback: str = ""
    cut: bool = False


def answer_of(
    controller: Controller, plant: Plant, observation: Observation, forecast: Forecast, *, interruptible: bool = True
) -> Answer:
    """Request a plan. The controller gets copies of its own, and its plan is copied.

    Parameters
    ----------
    interruptible : ``KeyboardInterrupt`` is the user's, and goes on; else it is one more failure of the controller
    """
    cls = type(controller)
    try:
        with running_user_code():
            read = forecast.first(controller.steps_read)
            returned = controller.plan(own_copy(observation), own_copy(read))
        plan = checked_plan(plant, read.steps, returned)
    except ReturnedPlanError as error:
        return Answer(failure=f"{one_line(f'its plan may not be dispatched: {error}')}{place_of(cls, 'plan')}")
    except ControllerError as error:
        return Answer(failure=described(error, cls), traceback=traceback_of(error), cut=error.out_of_time)
    except BaseException as error:  # a plug-in may fail in any way; the run must outlive it, and says so
        if interruptible and isinstance(error, KeyboardInterrupt):
            raise
        return Answer(failure=f"the controller raised {described(error, cls)}", traceback=traceback_of(error))
    return Answer(plan=plan, cut=plan.solver.termination is Termination.TIME_LIMIT)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text, at most its last part."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as worse:  # the exceptions of users may fail when they are written
        text = f"{type(error).__name__}, whose text raised {type(worse).__name__}\n"
    return text[-_MOST_TRACEBACK:].encode("utf-8", "backslashreplace").decode("utf-8")
