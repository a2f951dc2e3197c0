"""Case: a config with everything that it names read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import to_jsonable_python

from gridferry.controllers.contract import Controller, ControllerError, Plant
from gridferry.controllers.isolation.process import IsolatedController, check_settings_for, make_controller_for
from gridferry.controllers.isolation.worker import Build
from gridferry.networks.faults import Fault, InputError
from gridferry.networks.network import Network
from gridferry.sim.case.conditions import Conditions, build_conditions
from gridferry.sim.case.forecasts import Forecaster
from gridferry.sim.case.memory import refuse_oversize
from gridferry.sim.case.own_elements import own_notes
from gridferry.sim.case.plant import build_plant
from gridferry.sim.case.series import Sure, profile_faults
from gridferry.sim.config.document import key_text
from gridferry.sim.config.loaded import LoadedConfig


@dataclass(frozen=True, eq=False)
class Case:
    """Data of a run: plant, networks, conditions, forecasts.

    Attributes
    ----------
    loaded : the config
    plant : what controllers see
    networks : what the AC power flow is built from
    forecaster : what happens, and what may be known of it
    notes : how its files were read, as far as the config does not say
    built : the controller; ``None``, as for a simulator in another process: it is built on first use
    """

    loaded: LoadedConfig
    plant: Plant
    networks: tuple[Network, ...]
    forecaster: Forecaster
    notes: tuple[Fault, ...] = ()
    built: Controller | None = field(default=None, repr=False)

    @property
    def conditions(self) -> Conditions:
        """Realised load, generation, prices and traffic."""
        return self.forecaster.realised

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, in the order of ``plant.feeders``."""
        return tuple(network.name for network in self.loaded.config.networks)

    def controller(self) -> Controller:
        """Return the config's controller; raises `InputError` for what is wrong with its settings."""
        return self.built or _controller(self.loaded, self.plant)

    def close(self) -> None:
        """End the controller's process, if it has one; it begins anew where the controller is asked again."""
        if isinstance(self.built, IsolatedController):
            self.built.close()

    def as_params(self) -> dict[str, Any]:
        """Return the data from which another process can build the same case, as JSON-able values."""
        return {
            "document": to_jsonable_python(self.loaded.document, fallback=str),
            "base_dir": str(self.loaded.base_dir),
        }


def build_case(loaded: LoadedConfig) -> Case:
    """Build the case of a config, and check that its controller can be built.

    Raises
    ------
    InputError
        with every fault: of the plant, of the profiles, of the controller's settings.
    """
    try:
        case = case_without_controller(loaded)
    except InputError:
        raise InputError(case_faults(loaded)) from None
    return replace(case, built=_controller(loaded, case.plant))


def case_faults(loaded: LoadedConfig, sure: Sure | None = None) -> list[Fault]:
    """Find all faults of a config beyond its single values.

    Parameters
    ----------
    sure : given for a repaired config: places that are not sure hold stand-ins, of which some checks tell nothing
    """
    faults: list[Fault] = []
    plant: Plant | None = None
    try:
        plant = build_plant(loaded).plant
        refuse_oversize(loaded, plant.n_bus)
    except InputError as error:
        faults += error.faults
    faults += profile_faults(loaded, sure or (lambda loc: True))
    if plant is None or sure is not None:
        if sure is None or sure(("controller", "use")):
            faults += _settings_faults(loaded)
    else:
        try:
            _controller(loaded, plant)
            if not faults:
                case_without_controller(loaded)
        except InputError as error:
            faults += error.faults
    return list(dict.fromkeys(faults))


def case_without_controller(loaded: LoadedConfig) -> Case:
    """Build the case of a config for a simulator that needs no controller; raises `InputError` likewise."""
    built = build_plant(loaded)
    refuse_oversize(loaded, built.plant.n_bus)
    notes: list[Fault] = []
    for number, network in enumerate(built.networks):
        notes += [loaded.fault(("networks", number, "name"), one) for one in own_notes(loaded, number, network)]
    conditions = build_conditions(loaded, built.plant, built.networks, notes)
    forecaster = Forecaster(built.plant, conditions, loaded.config.forecast, loaded.config.seed)
    return Case(loaded, built.plant, built.networks, forecaster, tuple(notes))


def _controller(loaded: LoadedConfig, plant: Plant) -> Controller:
    chosen = loaded.config.controller
    try:
        return make_controller_for(_build(loaded, plant), chosen.own_process, chosen.step_timeout_s)
    except InputError as error:
        raise InputError(_at_origin(loaded, one) for one in error.faults) from error
    except ControllerError as error:
        raise InputError(loaded.fault(("controller", "use"), f"cannot serve this case: {error}")) from error


def _settings_faults(loaded: LoadedConfig) -> list[Fault]:
    """Faults of the controller's settings if there is no plant to build it for."""
    chosen = loaded.config.controller
    try:
        check_settings_for(_build(loaded, None), chosen.own_process, chosen.step_timeout_s)
    except InputError as error:
        return [_at_origin(loaded, one) for one in error.faults]
    return []


def _build(loaded: LoadedConfig, plant: Plant | None) -> Build:
    """What the controller is built from; its settings default to those of the config's forecast errors."""
    return Build(
        spec=loaded.config.controller.use,
        plant=plant,
        settings=loaded.config.controller.settings(),
        source=str(loaded.path),
        key="controller",
        base_dir=loaded.base_dir,
        inherited={"errors": loaded.config.forecast.errors, "start": loaded.config.time.clock.start},
    )


def _at_origin(loaded: LoadedConfig, fault: Fault) -> Fault:
    """Add to a fault the file or setting of a controller's option, and its value."""
    table, _, option = fault.key.partition(".")
    if fault.source != str(loaded.path) or table != "controller":
        return fault
    named = f'"{loaded.config.controller.use}": '
    if fault.key == "controller.use" and fault.message.startswith(f"{named}no "):
        return loaded.fault((table, option), fault.message.removeprefix(named))
    loc = (table, option.partition(".")[0])
    if fault.key == key_text(loc) and not fault.message.startswith(('"', repr(loaded.merged.value(loc)))):
        return loaded.fault(loc, fault.message)
    return replace(fault, source=loaded.merged.origin(loc))
