"""Parts of config tables: names, magnitudes, series, and the base model that refuses unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$")]
BusName = Annotated[str | int, Field(description="name of a bus, as in the source of the feeder")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Power = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
"""rating [MW, MVA, MWh]; larger ones are of transmission, or in another unit"""
Rate = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""price or cost, in any currency"""
Fraction = Annotated[float, Field(ge=0, le=1)]
FileName = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
ClockTime = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
"""local time of a day, such as ``"06:00"``"""
# strict models take no string for an enum; a file has only strings
Choice = Field(strict=False)


def hours(clock_time: str) -> float:
    """Return the hours of a local time from midnight on [h]."""
    hour, minute = clock_time.split(":")
    return int(hour) + int(minute) / 60.0


class Part(BaseModel):
    """Base of all parts of the config."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def inconsistent(found: dict[str, str], repair: dict[str, Any]) -> PydanticCustomError:
    """Return the error of values that do not fit together.

    Parameters
    ----------
    found : by key, what is wrong and the way out
    repair : values (``None`` to leave the key out) that make the table valid, so that what else is wrong with the file
        can be found too
    """
    words = "; ".join(f"{key}: {message}" for key, message in found.items())
    return PydanticCustomError("inconsistent", "{words}", {"words": words, "found": found, "repair": repair})


Unit = Literal["W", "kW", "MW", "var", "kvar", "Mvar", "Wh", "kWh", "MWh", "varh", "kvarh", "Mvarh"]
"""unit of powers in a file, or of energies per row"""


class ProfileColumn(Part):
    """Scaled column of a profile file."""

    column: str
    """``"source.column"``, the source being a key of ``[profiles]``"""
    scale: Finite = 1.0
    """the column is multiplied by this"""
    per_unit: bool = False
    """divide the column by its largest value in the file first"""
    unit: Unit | None = None
    """unit of a power, or of an energy per row such as ``"kWh"``; that of the file when not given"""
    clip: bool = False
    """whether negative values count as 0"""


Profile = Finite | str | ProfileColumn
"""A series: a number, ``"source.column"``, or a table with ``column`` and ``scale``."""


class DeviceConfig(Part):
    """One entry of a kind's table; the first line of a docstring like this one describes the table."""

    name: Name
