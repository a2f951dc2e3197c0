"""Schema of what becomes of the elements that a network brings."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from gridferry.controllers.devices.config_parts import Choice, Part, Profile


class Fate(StrEnum):
    """What becomes of the elements of a kind that a network brings."""

    PROFILE = "profile"
    CONSTANT = "constant"
    DEVICE = "device"
    OFF = "off"


class FactorOf(Part):
    """Nominal power times a series."""

    factor: Profile
    """multiplies the nominal power"""


ElementFate = Annotated[Fate, Choice] | FactorOf


class ElementsConfig(Part):
    """What becomes of the elements that a network brings: ``"profile"``, ``"constant"``, ``"device"``, ``"off"``, or
    a factor."""

    load: ElementFate | None = None
    """its loads: follow their own time series (``"profile"``), stay nominal (``"constant"``), follow ``{factor = …}``,
    or are ``"off"``; drawn as ``[[loads]]`` say when not given"""
    sgen: ElementFate | None = None
    """its static generators: likewise, or become ``[[generators]]`` of the same names (``"device"``)"""
    storage: ElementFate | None = None
    """its storages: likewise, or become ``[[batteries]]`` of the same names (``"device"``)"""
