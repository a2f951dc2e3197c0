"""A case: a config with everything it names read, checked and put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networks.network import Network

from controllers.contract import Controller, Plant
from controllers.registry import make_controller
from networks.faults import Fault, InputError
from sim.config_file import config_of_document
from sim.forecasts import Forecaster
from sim.loaded_config import LoadedConfig
from sim.plant import build_plant
from sim.profiles import Conditions, build_conditions


@dataclass(frozen=True, eq=False)
class Case:
    """What a run needs to know.

    Attributes
    ----------
    loaded : the config
    plant : what controllers see
    networks : what the AC power flow is built from
    forecaster : what happens, and what may be known of it
    """

    loaded: LoadedConfig
    plant: Plant
    networks: tuple[Network, ...]
    forecaster: Forecaster

    @property
    def conditions(self) -> Conditions:
        """Load, generation, prices and traffic as they happen."""
        return self.forecaster.realised

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, in the order of ``plant.feeders``."""
        return tuple(network.name for network in self.loaded.config.networks)

    def controller(self) -> Controller:
        """Build the config's controller; raises `InputError` for what is wrong with its settings."""
        chosen = self.loaded.config.controller
        return make_controller(
            chosen.use, self.plant, chosen.settings(), str(self.loaded.path), base_dir=self.loaded.base_dir
        )

    def as_params(self) -> dict[str, Any]:
        """Return what another process needs to build the same case, as JSON-able values."""
        return {"document": _jsonable(self.loaded.document), "base_dir": str(self.loaded.base_dir)}


def build_case(loaded: LoadedConfig) -> Case:
    """Read what a config names and put it together.

    Raises
    ------
    InputError
        with every fault.
    """
    assembly = build_plant(loaded)
    conditions = build_conditions(loaded.config, assembly.plant, loaded.base_dir, str(loaded.path))
    forecaster = Forecaster(assembly.plant, conditions, loaded.config.forecast, loaded.config.seed)
    return Case(loaded, assembly.plant, assembly.networks, forecaster)


def case_of_params(params: Mapping[str, Any]) -> Case:
    """Return the case that a simulator was given: itself, or the document it is made from."""
    if "case" in params:
        return params["case"]
    if "document" not in params:
        raise InputError(Fault("simulator", "case", "give a case, or a config document and its base_dir"))
    return build_case(config_of_document(params["document"], Path(params.get("base_dir", "."))))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(one) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
