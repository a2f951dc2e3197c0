"""Settings of forecast errors: ``[forecast.errors]``, and ``[controller.errors]`` where they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator, create_model, model_validator

from gridferry.controllers.devices.config_parts import Choice, Finite, NonNegative, Part, Positive
from gridferry.controllers.settings import ConfigFile
from gridferry.controllers.uncertainty.error_map import Grouping

_ONCE = ("load_std", "generation_std", "correlation_h", "truncation", "marginal")
"""keys of quantities that may be written beside them, once for several"""
_NEVER_OBSERVED = ("price", "congestion")
"""quantities that have no columns in a file of observed errors"""
_ASSUMED_LOAD_STD, _ASSUMED_GENERATION_STD = 0.05, 0.1
"""what controllers assume where the config has no errors"""


class MarginalName(StrEnum):
    """Distribution of the error of one source in one step."""

    NORMAL = "normal"
    """normal, truncated"""
    BETA = "beta"
    """beta, scaled to bounds that may be asymmetric"""
    EMPIRICAL = "empirical"
    """days of observed errors, drawn with replacement"""


class ErrorConfig(Part):
    """Relative forecast error of one quantity: ``forecast = value · bias · (1 + e)``."""

    relative_std: NonNegative = 0.0
    """standard deviation of e; 0: no error"""
    correlation_h: NonNegative = 0.0
    """time over which the correlation of e falls to 1/e [h]; 0: independent steps"""
    truncation: Positive = 3.0
    """e ends at this many standard deviations (up to 1.73 it is uniform), and at -1, where nothing is left"""
    bias: Positive = 1.0
    """systematic factor; controllers do not know it"""
    marginal: Annotated[MarginalName, Choice] = MarginalName.NORMAL
    """distribution of e: ``normal``, ``beta`` or ``empirical``, for which there must be a ``file``"""
    bounds: Annotated[tuple[Finite, Finite], Choice] | None = None
    """lowest (not below -1) and highest e under ``beta``; where ``truncation`` puts them when not given"""

    @property
    def errs(self) -> bool:
        """Whether the quantity has errors, besides the bias."""
        return self.relative_std > 0 or self.marginal is MarginalName.EMPIRICAL


class ErrorSettings(Part):
    """Forecast errors by quantity: the model for reality and for controllers.

    A kind of device may bring quantities of its own (`gridferry.controllers.devices.Series.error`).
    """

    load: ErrorConfig = ErrorConfig()
    """loads"""
    generation: ErrorConfig = ErrorConfig()
    """output of generators"""
    price: ErrorConfig = ErrorConfig()
    """buying price; controllers take its forecast as certain"""
    congestion: ErrorConfig = ErrorConfig()
    """roads; controllers take their forecast as certain"""
    load_std: NonNegative | None = None
    """short for ``load.relative_std``"""
    generation_std: NonNegative | None = None
    """short for ``generation.relative_std``, and that of what other kinds of devices give"""
    correlation_h: NonNegative | None = None
    """of every quantity that has none of its own"""
    truncation: Positive | None = None
    """of every quantity that has none of its own"""
    marginal: Annotated[MarginalName, Choice] | None = None
    """of loads and of what devices give, where they have none of their own"""
    load_grouping: Annotated[Grouping, Choice] = Grouping.NETWORK
    """which loads share an error: ``network``, ``bus`` or ``device``"""
    generation_grouping: Annotated[Grouping, Choice] | None = None
    """which generators share an error. Where it is not given, each has its own in reality, while controllers take all
    of one kind in a network to err alike, to be on the safe side; with a ``file`` they do so in reality, too"""
    between_networks: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """correlation of the errors of one quantity between networks, or between all of its sources where ``bus`` or
    ``device`` have errors of their own, under a Gaussian copula; days of a ``file`` have their own"""
    file: ConfigFile | None = None
    """CSV of observations of complete days, with a column per source; for the marginal ``empirical``, which then is
    the default"""
    columns: Annotated[tuple[str, ...], Choice] = ()
    """columns of the file in the order of the sources: loads first, then generation"""
    file_has: Literal["errors", "values"] = "errors"
    """``errors``, relative ones, or ``values`` of load and generation: each day then counts as forecast of the next"""
    rows_per_day: Annotated[int, Field(gt=0)] | None = None
    """rows of the file that make a day; one per step when not given"""
    deal_seed: Annotated[int, Field(ge=0)] = 0
    """seed that deals the file's days between planning and what happens"""

    @model_validator(mode="after")
    def _by_quantity(self, info: Any) -> ErrorSettings:
        """Give every quantity what was written once for several, and check what must fit together.

        What is to be laid over other errors, those of the context, need not be complete.
        """
        marginal = self.marginal or (None if self.file is None else MarginalName.EMPIRICAL)
        for name in self.quantities():
            once: dict[str, Any] = {"correlation_h": self.correlation_h, "truncation": self.truncation}
            if name not in _NEVER_OBSERVED:
                std = self.load_std if name == "load" else self.generation_std
                once |= {"marginal": marginal, "relative_std": std}
            own = self.of(name)
            update = {key: one for key, one in once.items() if one is not None and key not in own.model_fields_set}
            self.__dict__[name] = own.model_copy(update=update)
        # a config that is written with all its keys has them by quantity
        self.__dict__.update(dict.fromkeys(_ONCE))
        if "errors" not in (info.context or {}):
            self._refuse_misfits()
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # models with the quantities of kinds are made where they are needed: another process makes its own
        return _restored, (tuple(self.quantities()), dict(self.__dict__), self.model_fields_set)

    @classmethod
    def quantities(cls) -> list[str]:
        """Names of all quantities."""
        return [name for name, field in cls.model_fields.items() if field.annotation is ErrorConfig]

    def of(self, quantity: str) -> ErrorConfig:
        """Return the error of a quantity; one that is not known here errs as generation."""
        found: ErrorConfig = getattr(self, quantity, self.generation)
        return found

    @property
    def errs(self) -> bool:
        """Whether any quantity has errors, besides biases."""
        return any(self.of(name).errs for name in self.quantities())

    def over(self, base: ErrorSettings) -> ErrorSettings:
        """Return the errors of ``base`` with every key that was given here; raises `ValueError` for misfits."""
        mine = self.model_fields_set - {*self.quantities(), *_ONCE}
        changes: dict[str, Any] = {key: getattr(self, key) for key in mine}
        for name in base.quantities():
            own, other = self.of(name), base.of(name)
            update = {key: getattr(own, key) for key in own.model_fields_set}
            if "relative_std" in update and other.marginal is MarginalName.EMPIRICAL:
                update.setdefault("marginal", MarginalName.NORMAL)  # to what was observed it would change nothing
            changes[name] = other.model_copy(update=update)
        merged = base.model_copy(update=changes)
        merged._refuse_misfits()
        return merged

    def _refuse_misfits(self) -> None:
        if (self.file is None) != (not self.columns):
            raise ValueError("file and columns go together; give both or neither")
        for name in self.quantities():
            one = self.of(name)
            if one.marginal is MarginalName.EMPIRICAL and (self.file is None or name in _NEVER_OBSERVED):
                way = "give file and columns" if self.file is None else "choose another marginal"
                raise ValueError(f'{name}.marginal = "empirical": nothing is observed of it; {way}')
            if one.marginal is MarginalName.BETA:
                # with scipy, only where there is one
                from gridferry.controllers.uncertainty.marginals import marginal_of

                try:
                    marginal_of(one)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error


@cache
def errors_with(quantities: tuple[str, ...]) -> type[ErrorSettings]:
    """Return the model with further quantities."""
    one: Any = (ErrorConfig, ErrorConfig())
    own = {name: one for name in quantities if name not in ErrorSettings.model_fields}
    return create_model("ErrorSettings", __base__=ErrorSettings, __module__=__name__, **own) if own else ErrorSettings


def _restored(quantities: tuple[str, ...], values: dict[str, Any], given: set[str]) -> ErrorSettings:
    return errors_with(quantities).model_construct(given, **values)


def assumed_by_controllers(given: ErrorSettings) -> ErrorSettings:
    """Return what controllers take over of ``[forecast.errors]``: all but the biases.

    Where nothing errs, loads and generation are assumed to err by 5 % and 10 %.
    """
    known: dict[str, ErrorConfig] = {}
    for name in given.quantities():
        std = _ASSUMED_LOAD_STD if name == "load" else _ASSUMED_GENERATION_STD
        assumed = {} if given.errs or name in _NEVER_OBSERVED else {"relative_std": std}
        known[name] = given.of(name).model_copy(update={"bias": 1.0, **assumed})
    return given.model_copy(update=known)


def _inherit(value: Any, handler: Callable[[Any], ErrorSettings], info: Any) -> ErrorSettings:
    """Check what a controller was given, and lay it over ``[forecast.errors]``, the ``errors`` of the context."""
    base = assumed_by_controllers((info.context or {}).get("errors", ErrorSettings()))
    if not isinstance(value, Mapping):
        return handler(value).over(base)
    by_kinds = set(base.quantities()) - set(ErrorSettings.quantities())
    own = handler({key: one for key, one in value.items() if key not in by_kinds})
    if by_kinds:
        try:
            own = type(base).model_validate(value, context=info.context)
        except ValidationError as error:
            (first, *_) = error.errors()
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return own.over(base)


InheritedErrors = Annotated[ErrorSettings, WrapValidator(_inherit), Field(validate_default=True)]
"""Errors in a controller's settings: ``[forecast.errors]`` without bias, with every key that is given to it instead."""
