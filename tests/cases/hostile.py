"""A plug-in that does what no controller should: one act a step, by name, on top of a good plan.

``ACTS`` has them with what has to come of each: a failure of the step (`FAILS`), a plan that is dispatched as if
nothing had been done (`HARMLESS`), or one of both (`EITHER`). Those of ``HANGS`` need a ``step_timeout_s``.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gridferry.controllers import Controller, ControllerError, ControllerSettings, Plan, Plant, Prediction, hold
from gridferry.controllers.plans import first_step

FAILS, HARMLESS, EITHER = "fails", "harmless", "either"
Act = Callable[[Controller, Any, Any, Plan], Any]
ACTS: dict[str, tuple[str, Act]] = {}
HANGS: set[str] = set()


class Good(Controller):
    """Charge the first port a little, for three steps ahead."""

    class Settings(ControllerSettings):
        """Options."""

        acts: tuple[str, ...] = ()
        """what is done in each step; nothing where it is empty"""

    settings: Settings

    def plan(self, observation: Any, forecast: Any) -> Plan:
        """Return the plan."""
        plan = hold(self.plant, observation, min(3, forecast.steps))
        p_mw = plan.p_mw.copy()
        p_mw[:, 0] = -0.1
        return replace(plan, p_mw=p_mw, memory={"step": observation.step})


class Hostile(Good):
    """Do in each step what the settings say."""

    def plan(self, observation: Any, forecast: Any) -> Any:
        """Return the good plan, or what the act gives."""
        plan = super().plan(observation, forecast)
        name = self.settings.acts[observation.step] if observation.step < len(self.settings.acts) else ""
        given = ACTS[name][1](self, observation, forecast, plan) if name else None
        return plan if given is None else given


def act(outcome: str, *, hangs: bool = False) -> Callable[[Act], Act]:
    """Enter an act in the table."""

    def enter(function: Act) -> Act:
        ACTS[function.__name__] = outcome, function
        if hangs:
            HANGS.add(function.__name__)
        return function

    return enter


def forced(given: Any, **values: Any) -> Any:
    """Set fields of a frozen dataclass past its constructor."""
    for name, value in values.items():
        object.__setattr__(given, name, value)
    return given


# --------------------------------------------------------------------------------------------------------- exceptions


class UnprintableError(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Own(BaseException):
    """No Exception."""


def raises(name: str, make: Callable[[], BaseException]) -> None:
    """Enter an act that raises."""

    def function(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
        raise make()

    ACTS[name] = FAILS, function


raises("controller_error", lambda: ControllerError("no plan"))
raises("value_error", lambda: ValueError("wrong"))
raises("exit_0", lambda: SystemExit(0))
raises("exit_text", lambda: SystemExit("bye"))
raises("exit_none", SystemExit)
raises("keyboard_interrupt", KeyboardInterrupt)
raises("generator_exit", GeneratorExit)
raises("own_base_exception", lambda: Own("own"))
raises("unprintable", UnprintableError)
raises("exception_group", lambda: BaseExceptionGroup("two", [ValueError("a"), Own("b")]))
raises("stop_iteration", StopIteration)
raises("long_text", lambda: ValueError("x" * 3_000_000))
raises("odd_text", lambda: ValueError("\ud800 \x1b[31m \n\r\0 = <b>&"))
raises("unicode_error", lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"))


@act(FAILS)
def recursion(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Call itself for ever."""
    return recursion(self, observation, forecast, plan)


@act(FAILS)
def too_much_memory(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Ask for more memory than there is."""
    return np.zeros(1 << 55)


@act(FAILS)
def deleted_error(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Raise an error whose cause is itself."""
    error = ValueError("round")
    error.__cause__ = error.__context__ = error
    raise error


# ----------------------------------------------------------------------------------------------------------- bad plans


def returns(name: str, change: Callable[[Plan], Any], outcome: str = FAILS) -> None:
    """Enter an act that returns something else than the plan."""
    ACTS[name] = outcome, lambda self, observation, forecast, plan: change(plan)


def cycle() -> dict[str, Any]:
    """A dict that contains itself."""
    loop: dict[str, Any] = {}
    loop["a"] = loop
    return loop


class Liar(Plan):
    """Says something else each time it is asked."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "p_mw":
            Liar.asked += 1
            return np.full((1, 1), float(Liar.asked))
        return super().__getattribute__(name)


async def later() -> None:
    """Nothing yet."""


returns("a_text", lambda plan: "a plan")
returns("a_coroutine", lambda plan: later())
returns("a_generator", lambda plan: (one for one in [plan]))
returns("a_class", lambda plan: Plan)
returns("float_position", lambda plan: forced(plan, position=plan.position.astype(float)))
returns("no_such_station", lambda plan: replace(plan, position=plan.position + 99))
returns("memory_of_numpy", lambda plan: replace(plan, memory={"last": np.int64(3)}))
returns("memory_in_a_circle", lambda plan: replace(plan, memory=cycle()))
returns("memory_of_nan", lambda plan: replace(plan, memory={"a": float("nan")}))
returns("memory_too_large", lambda plan: replace(plan, memory={"a": "x" * 5_000_000}))
returns("memory_of_surrogates", lambda plan: replace(plan, memory={"a": "\udfff"}))
returns("prediction_of_a_dict", lambda plan: forced(plan, prediction={}))
returns("prediction_of_none", lambda plan: forced(plan, prediction=object.__new__(Prediction)))
returns("nan_power", lambda plan: replace(plan, p_mw=np.full_like(plan.p_mw, np.nan)))
returns("infinite_power", lambda plan: replace(plan, q_mvar=np.full_like(plan.q_mvar, np.inf)))
returns("too_many_rows", lambda plan: forced(plan, p_mw=np.zeros((10_000, plan.p_mw.shape[1]))))
returns("no_rows", lambda plan: forced(plan, p_mw=np.zeros((0, plan.p_mw.shape[1]))))
returns("a_row_too_wide", lambda plan: forced(plan, p_mw=np.zeros((1, plan.p_mw.shape[1] + 1))))
returns("beyond_the_rating", lambda plan: replace(plan, p_mw=plan.p_mw + 50.0))
returns("objects_for_powers", lambda plan: forced(plan, p_mw=plan.p_mw.astype(object)))
returns("a_masked_array", lambda plan: forced(plan, p_mw=np.ma.masked_array(plan.p_mw)))
returns("a_lying_plan", lambda plan: Liar(plan.p_mw, plan.q_mvar, plan.position))
returns("no_outcome", lambda plan: forced(plan, solver="optimal"))
returns("a_plan_without_fields", lambda plan: object.__new__(Plan))


# -------------------------------------------------------------------------------------------------------------- writes


def writes(name: str, array: Callable[[Any, Any, Any], Any]) -> None:
    """Enter an act that writes to an array that it was given."""

    def function(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
        array(self, observation, forecast)[...] = 1e9

    ACTS[f"writes_{name}"] = FAILS, function


writes("roads", lambda self, observation, forecast: self.plant.roads.distance_km)
writes("ratings", lambda self, observation, forecast: self.plant.port_p_max_mw)
writes("limits", lambda self, observation, forecast: self.plant.feeders[0].v_max_pu)
writes("prices", lambda self, observation, forecast: forecast.buy_price)
writes("energy", lambda self, observation, forecast: observation.energy_mwh)
writes("previous_plan", lambda self, observation, forecast: observation.previous_plan.p_mw)


@act(FAILS)
def makes_writeable(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Set the flag that forbids writing."""
    forecast.buy_price.setflags(write=True)


@act(HARMLESS)
def replaces_fields(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Put other things in the place of what it was given."""
    forced(forecast, buy_price=np.zeros(forecast.steps))
    forced(observation, energy_mwh=np.zeros(1), states=())


@act(HARMLESS)
def overwrites_memory(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Write to the memory below an array."""
    ctypes.memset(forecast.buy_price.ctypes.data, 0, forecast.buy_price.nbytes)
    ctypes.memset(observation.energy_mwh.ctypes.data, 0, observation.energy_mwh.nbytes)


@act(HARMLESS)
def replaces_every_plant(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Find all plants that there are, and take their couplings away."""
    for one in gc.get_objects():
        if type(one) is Plant and one is not self.plant:
            forced(one, export_price_ratio=-1e6)


@act(EITHER)
def replaces_functions(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Put other functions in the place of those that evaluate plans and move devices."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gridferry.controllers.schedule") or name.startswith("gridferry.controllers.devices.steps"):
            for function in [one for one, value in vars(module).items() if callable(value)]:
                setattr(module, function, None)


@act(HARMLESS)
def replaces_a_function(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Put another function in the place of the one that finds exceeded ratings."""
    first_step.rating_faults = lambda plant, plan: []


@act(HARMLESS)
def changes_the_process(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Go elsewhere, and change what is global."""
    os.chdir("/")
    os.environ.clear()
    np.seterr(all="raise")
    np.random.seed(0)  # noqa: NPY002
    warnings.simplefilter("error")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@act(EITHER)
def forgets_modules(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Empty the table of modules."""
    sys.modules.clear()


# ------------------------------------------------------------------------------------------------------ output, threads


@act(HARMLESS)
def prints(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Print in every way."""
    print("{}")
    print("{}", file=sys.__stdout__)
    os.write(1, b"{}\n")
    os.system("echo {}")


@act(HARMLESS)
def closes_output(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Close stdout and stderr."""
    os.closerange(1, 3)


@act(HARMLESS)
def starts_a_thread(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Start a thread that never ends."""
    threading.Thread(target=threading.Event().wait).start()


@act(EITHER)
def forks(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Go on twice."""
    os.fork()


# ----------------------------------------------------------------------------------------------------- ends its process


def ends(name: str, function: Callable[[], Any]) -> None:
    """Enter an act that ends its process."""
    ACTS[name] = FAILS, lambda self, observation, forecast, plan: function()


def garble() -> None:
    """Write to whatever is open, then close it."""
    for number in range(3, 64):
        try:
            os.write(number, b"{" * 64)
        except OSError:
            continue


ends("os_exit_0", lambda: os._exit(0))
ends("os_exit_3", lambda: os._exit(3))
ends("kills_itself", lambda: os.kill(os.getpid(), signal.SIGKILL))
ends("kills_its_group", lambda: os.killpg(0, signal.SIGKILL))
ends("aborts", os.abort)
ends("segfaults", lambda: ctypes.string_at(0))
ends("becomes_another_program", lambda: os.execv("/bin/true", ["true"]))
ends("closes_files", lambda: os.closerange(3, 256))
ends("garbles", garble)


# ---------------------------------------------------------------------------------------------------------------- hangs


@act(FAILS, hangs=True)
def loops(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Loop for ever."""
    while True:
        pass


@act(FAILS, hangs=True)
def loops_whatever_comes(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Loop for ever, and mind no signal and no exception."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            raise KeyboardInterrupt
        except BaseException:
            continue


@act(FAILS, hangs=True)
def blocks_in_c(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Wait in C code that keeps the interpreter's lock."""
    ctypes.PyDLL(None).sleep(100_000)


@act(FAILS, hangs=True)
def waits_for_itself(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Take a lock twice."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@act(FAILS, hangs=True)
def stops_itself(self: Any, observation: Any, forecast: Any, plan: Plan) -> Any:
    """Stop its process."""
    os.kill(os.getpid(), signal.SIGSTOP)
