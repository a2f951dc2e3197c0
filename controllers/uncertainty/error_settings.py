"""What a controller assumes of forecast errors, as a user writes it, and the error model made of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gridferry.controllers.contract import Plant
from gridferry.controllers.settings import ConfigPath
from gridferry.controllers.uncertainty.error_map import ErrorMap, Grouping, error_map
from gridferry.controllers.uncertainty.error_model import EmpiricalErrors, ErrorModel, MarginalErrors
from gridferry.controllers.uncertainty.error_records import read_errors
from gridferry.controllers.uncertainty.marginals import Marginal, TruncatedNormal
from gridferry.networks.faults import Fault, InputError


class ErrorSettings(BaseModel):
    """Sizes and grouping of relative forecast errors, or a file of observed ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    load_std: Annotated[float, Field(ge=0, le=1)] = 0.05
    """standard deviation of a load error, relative to the forecast"""
    generation_std: Annotated[float, Field(ge=0, le=1)] = 0.1
    """standard deviation of a generation error, relative to the forecast"""
    truncation: Annotated[float, Field(ge=1.8, le=10)] = 3.0
    """errors end at this many standard deviations; this is the support box"""
    correlation_h: Annotated[float, Field(ge=0)] = 0.0
    """time over which the correlation of an error falls to 1/e [h]; 0: independent steps"""
    load_grouping: Grouping = Grouping.NETWORK
    """which loads share an error: ``network``, ``bus`` or ``device``"""
    generation_grouping: Grouping = Grouping.NETWORK
    """which generators share an error"""
    file: ConfigPath | None = None
    """CSV of observed relative errors in whole days, a column per source; replaces the distributions"""
    columns: tuple[str, ...] = ()
    """columns of the file in the order of the sources: loads first, then generation"""
    deal_seed: Annotated[int, Field(ge=0)] = 0
    """seed that deals the file's days between planning and judging"""

    @model_validator(mode="after")
    def _consistent(self) -> ErrorSettings:
        for name in ("load_std", "generation_std"):
            if getattr(self, name) * self.truncation > 1.0:
                raise ValueError(f"{name} * truncation is above 1, errors would fall below -1; lower one of them")
        if (self.file is None) != (not self.columns):
            raise ValueError("file and columns go together; give both or neither")
        return self


def plant_errors(plant: Plant, settings: ErrorSettings) -> tuple[ErrorMap, ErrorModel]:
    """Name the sources of a plant's forecast errors and give their joint distribution.

    Raises
    ------
    InputError
        where a file cannot be read or its columns do not match the sources.
    """
    sources = error_map(plant, settings.load_grouping, settings.generation_grouping)
    if settings.file is not None:
        if len(settings.columns) != len(sources.sources):
            message = f"{len(settings.columns)} columns for {len(sources.sources)} sources; name one for each of "
            raise InputError(Fault("controller", "errors.columns", message + ", ".join(sources.sources)))
        try:
            days = read_errors(settings.file, settings.columns, plant.steps_in_24_h)
            return sources, EmpiricalErrors(days, shuffle_seed=settings.deal_seed)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(Fault(str(settings.file), "", str(error))) from error
    marginals: tuple[Marginal, ...] = tuple(
        TruncatedNormal(settings.load_std if name.startswith("load:") else settings.generation_std, settings.truncation)
        for name in sources.sources
    )
    return sources, MarginalErrors(marginals, correlation_h=settings.correlation_h, step_h=plant.step_h)
