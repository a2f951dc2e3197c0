"""``gridferry check``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gridferry.controllers.devices import Device
from gridferry.controllers.devices.registry import known_kinds
from gridferry.controllers.registry import available
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.commands.output import print_json
from gridferry.sim.config.reading import find_config, list_configs
from gridferry.sim.exit_codes import DONE, NOT_SO


def check_command(what: str, as_json: bool) -> int:
    """Check a config, a controller or a kind of device, and print all faults."""
    return _check_config(what, as_json) if _is_config(what) else _check_class(what, as_json)


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
        notes += _short_horizon(case)
    except InputError as error:
        faults += error.faults
    if as_json:
        found = {"faults": [vars(one) for one in faults], "notes": [vars(one) for one in notes]}
        print_json({"config": what, "passed": not faults, **found})
        return NOT_SO if faults else DONE
    console = Console(highlight=False, soft_wrap=True)
    for one in faults:
        console.print(str(one), markup=False)
    if faults:
        console.print(f"[red]{len(faults)} fault{'s' if len(faults) > 1 else ''}[/red]")
        return NOT_SO
    for one in notes:
        console.print(f"note: {one}", markup=False)
    config, plant = loaded.config, case.plant
    devices = ", ".join(f"{len(config.entries(kind))} {kind.table.replace('_', ' ')}" for kind in config.kinds)
    console.print(
        f"[green]sound[/green]: {len(plant.feeders)} networks, {plant.n_bus} buses, {devices}, "
        f"{plant.steps} steps of {plant.step_s} s"
    )
    return DONE


def _short_horizon(case: Case) -> list[Fault]:
    """Note that the horizon is shorter than the controller needs."""
    needed, given = case.controller().steps_needed, case.plant.horizon_steps
    if given >= needed:
        return []
    use = case.loaded.config.controller.use
    message = f'"{use}" needs a forecast of {needed} steps, and does less with {given}; raise it, or leave it out'
    return [case.loaded.fault(("time", "horizon_steps"), message)]


def _check_class(what: str, as_json: bool) -> int:
    if not any(sign in what for sign in ":./"):
        names = [*(one.name for one in available()), *known_kinds()]
        if what not in names:
            configs = [name for name, _, _ in list_configs()]
            message = no_such("config, controller or kind of device", what, [*configs, *names])
            raise InputError(Fault("gridferry check", what, f"{message}; or give the path of a file"))
    # the suites, with their plants and all they need, only where a class is checked
    from gridferry.controllers.conformance.device_suite import check_device
    from gridferry.controllers.conformance.plugin_class import find_class
    from gridferry.controllers.conformance.suite import check_controller

    cls = find_class(what)
    findings = check_device(cls) if issubclass(cls, Device) else check_controller(cls)
    passed = all(one.passed for one in findings)
    if as_json:
        noun = "device" if issubclass(cls, Device) else "controller"
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
