"""Keys of a profile file: where it is, how it is written, and what its times and values mean."""

from __future__ import annotations

import codecs
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field

from gridferry.controllers.devices.config_parts import Choice, FileName, Part, Unit
from gridferry.networks.faults import nearest


def known_zone(value: str | None) -> str | None:
    """Return a time zone's name; raises `ValueError` for one that the IANA database does not have."""
    try:
        return value if value is None else ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        ways = 'give one of the IANA database, such as "Europe/Berlin"'
        near = nearest(value or "", sorted(available_timezones()))
        raise ValueError(f"no such time zone; {ways}{near}") from None


def _known_encoding(value: str | None) -> str | None:
    try:
        return value if value is None else codecs.lookup(value).name
    except LookupError:
        raise ValueError('no such encoding; give one such as "utf-8", "cp1252" or "utf-16"') from None


Zone = Annotated[str | None, AfterValidator(known_zone)]
Sign = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[\t\x20\x21\x23-\x7e]$")]


class Resample(StrEnum):
    """Resampling of a profile to the steps of the run."""

    MEAN = "mean"
    PREVIOUS = "previous"
    LINEAR = "linear"


class Stamps(StrEnum):
    """Which end of its interval a row's time is."""

    START = "start"
    END = "end"


class HoursFrom(StrEnum):
    """Midnight from which hours in a time column count."""

    FIRST_DAY = "first_day"
    YEAR = "year"


class ProfileSource(Part):
    """A CSV, Parquet or Excel file of time series."""

    file: FileName
    """path, relative to the config: ``.parquet``, ``.xlsx``, everything else is CSV"""
    time: str
    """name of the time column: time stamps, or hours from local midnight of the first day"""
    resample: Annotated[Resample, Choice] = Resample.MEAN
    """how the columns are resampled to the steps of the run"""
    stamps: Annotated[Stamps, Choice] = Stamps.START
    """whether a row's time is the ``"start"`` or the ``"end"`` of its interval"""
    time_format: str | None = None
    """how time stamps are written, such as ``"%d.%m.%Y %H:%M"``; ``"epoch"``, ``"epoch_ms"`` for numbers since 1970"""
    timezone: Zone = None
    """time zone of time stamps that have no offset, such as ``"UTC"``"""
    hours_from: Annotated[HoursFrom, Choice] = HoursFrom.FIRST_DAY
    """midnight from which hours count: of the run's ``"first_day"``, or of 1 January of its ``"year"``"""
    unit: Unit | None = None
    """unit of the file's powers, or energies per row such as ``"kWh"``; MW or Mvar when not given"""
    clip: bool = False
    """whether negative values count as 0 where a series must not be negative, such as PV at night"""
    separator: Sign | None = None
    r"""what stands between two cells of a CSV: ``";"``, ``"\t"``; found out when not given"""
    decimal: Literal[".", ","] | None = None
    """decimal sign of a CSV; found out when not given"""
    encoding: Annotated[str | None, AfterValidator(_known_encoding)] = None
    """encoding of a CSV, such as ``"cp1252"``; UTF-8, or as its byte order mark says, when not given"""
    comment: Sign | None = None
    """what lines of a CSV begin with that are no rows; ``"#"`` is found out when not given"""
    sheet: str | None = None
    """sheet of an Excel file; the first when not given"""
