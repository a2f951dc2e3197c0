"""Error model of a plant: its error sources, and their joint distribution."""

from __future__ import annotations

from pathlib import Path

from gridferry.controllers.contract import Plant
from gridferry.controllers.uncertainty.error_map import ErrorMap, Grouping, error_map
from gridferry.controllers.uncertainty.error_model import EmpiricalErrors, ErrorModel, JoinedErrors, MarginalErrors
from gridferry.controllers.uncertainty.error_records import read_day_to_day_errors, read_errors
from gridferry.controllers.uncertainty.error_settings import ErrorSettings, MarginalName
from gridferry.controllers.uncertainty.marginals import marginal_of
from gridferry.networks.faults import Fault, InputError


def plant_errors(plant: Plant, settings: ErrorSettings) -> tuple[ErrorMap, ErrorModel]:
    """Return the error sources of a plant and their joint distribution, without biases.

    Raises
    ------
    InputError
        where a file cannot be read or its columns do not match the sources.
    """
    sources = error_map(plant, settings.load_grouping, settings.generation_grouping or Grouping.NETWORK)
    observed = observed_sources(sources, settings)
    others = [number for number in range(len(sources.of)) if number not in observed]
    given = [settings.of(sources.of[number].quantity) for number in others]
    parts: list[tuple[ErrorModel, list[int]]] = []
    if others or not observed:
        marginals, correlation_h = [marginal_of(one) for one in given], [one.correlation_h for one in given]
        groups = [sources.of[number].quantity for number in others]
        model = MarginalErrors(marginals, correlation_h, plant.step_h, groups=groups, within=settings.between_networks)
        parts.append((model, others))
    if observed:
        parts.append((observed_errors(plant, sources, settings), observed))
    return sources, parts[0][0] if len(parts) == 1 else JoinedErrors(parts)


def observed_sources(sources: ErrorMap, settings: ErrorSettings) -> list[int]:
    """Return which sources err as was observed."""
    marginals = [settings.of(one.quantity).marginal for one in sources.of]
    return [number for number, one in enumerate(marginals) if one is MarginalName.EMPIRICAL]


def observed_errors(plant: Plant, sources: ErrorMap, settings: ErrorSettings) -> EmpiricalErrors:
    """Read the days that were observed, a column for each of `observed_sources`; raises `InputError`."""
    numbers, columns = observed_sources(sources, settings), settings.columns
    if len(columns) == len(sources.of):  # one for each source, also for those that do not err as was observed
        columns = tuple(columns[number] for number in numbers)
    names = [sources.sources[number] for number in numbers]
    if len(columns) != len(names):
        message = f"{len(columns)} columns for {len(names)} sources; name one for each of {', '.join(names)}"
        raise InputError(Fault(str(settings.file), "errors.columns", message))
    assert settings.file is not None, "checked with the settings"
    read = read_errors if settings.file_has == "errors" else read_day_to_day_errors
    days = read(Path(settings.file), columns, plant.steps_in_24_h, settings.rows_per_day)
    try:
        return EmpiricalErrors(days, shuffle_seed=settings.deal_seed)
    except ValueError as error:
        raise InputError(Fault(settings.file, "", str(error))) from error
