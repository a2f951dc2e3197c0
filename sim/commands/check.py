"""``gridferry check``."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from gridferry.controllers.devices.registry import BUILT_IN as OUR_KINDS
from gridferry.controllers.devices.registry import known_kinds
from gridferry.controllers.registry import BUILT_IN, available
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.commands.check_first_step import first_step
from gridferry.sim.commands.output import print_json
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.named_code import NO_CODE, code_of, refusal_of
from gridferry.sim.config.reading import find_config, list_configs
from gridferry.sim.exit_codes import DONE, NOT_SO


def check_command(what: str, timeout_s: float, as_json: bool) -> int:
    """Check a config, a controller or a kind of device, and print all faults.

    Parameters
    ----------
    timeout_s : longest time for one promise of a class [s]
    """
    return _check_config(what, as_json) if _is_config(what) else _check_class(what, timeout_s, as_json)


def _is_config(what: str) -> bool:
    if what.endswith(".toml"):
        return True
    if ":" in what or Path(what).suffix == ".py":
        return False
    try:
        find_config(what)
    except InputError:
        return False
    return True


def _check_config(what: str, as_json: bool) -> int:
    find_config(what)  # a file that is not there is bad input, not a config with faults
    faults: list[Fault] = []
    notes: list[Fault] = []
    try:
        loaded = load_config(what)
        case = build_case(loaded)
        notes += case.notes
        notes += _short_horizon(case)
        notes += _code_that_ran(loaded)
        notes += _days_of_24_hours(loaded)
        diverged, suspicious = first_step(case)
        faults += diverged
        notes += suspicious
    except InputError as error:
        faults += error.faults
    if as_json:
        found = {"faults": [vars(one) for one in faults], "notes": [vars(one) for one in notes]}
        print_json({"config": what, "passed": not faults, **found})
        return NOT_SO if faults else DONE
    console = Console(highlight=False, soft_wrap=True)
    for one in faults:
        console.print(str(one), markup=False)
    for one in notes:
        console.print(f"note: {one}", markup=False)
    if faults:
        console.print(f"[red]{len(faults)} fault{'s' if len(faults) > 1 else ''}[/red]")
        return NOT_SO
    config, plant = loaded.config, case.plant
    numbers = {kind.table.replace("_", " "): len(config.entries(kind)) for kind in config.kinds}
    devices = ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or "no devices"
    console.print(
        f"[green]sound[/green]: {len(plant.feeders)} networks, {plant.n_bus} buses, {devices}, "
        f"{plant.steps} steps of {plant.step_s} s"
    )
    return DONE


def _code_that_ran(loaded: LoadedConfig) -> list[Fault]:
    """Note what code of the config's ran for this check, or that none did."""
    if os.environ.get(NO_CODE):
        return [Fault(str(loaded.path), "", "no code ran but that of GridFerry (--no-code)")]
    named = [*(spec for _, spec in code_of(loaded.merged)), *loaded.config.devices.use]
    way = "check a config that you do not trust with --no-code"
    return [Fault(str(loaded.path), "", f"this check ran code: {', '.join(named)}; {way}")] if named else []


def _days_of_24_hours(loaded: LoadedConfig) -> list[Fault]:
    """Note that days are counted by an offset, which does not change as clocks do, where there are several."""
    time = loaded.config.time
    if time.timezone is not None or time.start.tzinfo is None or time.steps * time.step_s <= 86400:
        return []
    message = 'has an offset and no timezone, so all days have 24 hours; timezone = "Europe/Berlin" goes by its clocks'
    return [loaded.fault(("time", "start"), message)]


def _short_horizon(case: Case) -> list[Fault]:
    """Note that the horizon is shorter than the controller needs."""
    needed, given = case.controller().steps_needed, case.plant.horizon_steps
    if given >= needed:
        return []
    use = case.loaded.config.controller.use
    message = f'"{use}" needs a forecast of {needed} steps, and does less with {given}; raise it, or leave it out'
    return [case.loaded.fault(("time", "horizon_steps"), message)]


def _check_class(what: str, timeout_s: float, as_json: bool) -> int:
    if not any(sign in what for sign in ":./"):
        names = [*(one.name for one in available()), *known_kinds()]
        if what not in names:
            configs = [name for name, _, _ in list_configs()]
            message = no_such("config, controller or kind of device", what, [*configs, *names])
            raise InputError(Fault("gridferry check", what, f"{message}; or give the path of a file"))
    if refused := refusal_of(what, "--no-code"):
        raise InputError(Fault("gridferry check", what, f"{refused}; leave that out to run it"))
    # the suites, with their plants and all they need, only where a class is checked
    from gridferry.controllers.conformance.apart import check_apart
    from gridferry.controllers.conformance.plugin_class import check_class

    ours = what in BUILT_IN or what in OUR_KINDS
    noun, findings = check_class(what) if ours else check_apart(what, timeout_s)
    passed = all(one.passed for one in findings)
    if as_json:
        print_json({noun: what, "passed": passed, "findings": [vars(one) for one in findings]})
        return DONE if passed else NOT_SO
    console = Console(highlight=False, soft_wrap=True)
    for one in findings:
        mark = "[green]passed[/green]" if one.passed else "[red]FAILED[/red]"
        where = f" ({one.plant})" if one.plant else ""
        console.print(f"{mark} {one.name}{where}")
        if not one.passed:
            console.print(f"       {one.explanation}", markup=False)
    return DONE if passed else NOT_SO
