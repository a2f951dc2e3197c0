"""Promises of all devices, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from gridferry.controllers.conformance.devices.many import many_at_once
from gridferry.controllers.conformance.devices.step import Tried, is_number
from gridferry.controllers.conformance.devices.trial import ANSWERED, FINITE, UNCHANGED, Trial
from gridferry.controllers.conformance.findings import Promise
from gridferry.controllers.devices import NOWHERE, Act, Request
from gridferry.controllers.devices.clips import NEGLIGIBLE_MW, Clip
from gridferry.networks.read_only import own_copy

TOLERANCE = 1e-9
"""of energies [MWh] and powers [MW, Mvar], absolute, and relative where they are large"""


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _steps(trial: Trial) -> Iterator[tuple[Tried, str]]:
    """Every completed step, with a text that names it."""
    for tried in trial.walk.steps:
        yield tried, trial.example(tried, tried.before)


def _on_the_walk(name: str) -> Promise[Trial]:
    """Return a promise that is monitored during the walk."""
    return lambda trial: [trial.walk.broken[name]] if name in trial.walk.broken else []


def _repeatable(trial: Trial) -> Iterator[str]:
    other = own_copy(trial.device)
    for tried in reversed(trial.walk.steps):  # out of order: what was done before must not matter
        for device in (trial.device, other):
            if trial.do(tried.before, tried, device).result != tried.result:
                yield (
                    f"{trial.example(tried, tried.before)}: the same step again gave something else; keep all that "
                    "changes in the state, and use no clock and no random numbers"
                )


def _through_json(trial: Trial) -> Iterator[str]:
    for tried, example in _steps(trial):
        try:
            back = trial.restored(tried.after)
        except (TypeError, ValueError) as error:
            yield (
                f"{example}: the state after it, {tried.after}, is no JSON ({error}); use bool, int, float, str, None"
            )
        if back != tried.after:
            yield f"{example}: the state after it, {tried.after}, comes back from JSON as {back}"
        if trial.do(trial.restored(tried.before), tried).result != tried.result:
            yield f"{example}: from the state read back from JSON the step gives something else"


def _balance(trial: Trial) -> Iterator[str]:
    for tried, example in _steps(trial):
        did = tried.outcome
        given = trial.step_h * sum(port.p_mw for port in did.ports)
        change = trial.device.stored_mwh(tried.after) - trial.device.stored_mwh(tried.before)
        if not _close(did.source_mwh - given - did.loss_mwh, change):
            yield (
                f"{example}: source {did.source_mwh:.9g} - injected {given:.9g} - loss {did.loss_mwh:.9g} MWh is not "
                f"the change of what is stored, {change:.9g} MWh; correct source_mwh, loss_mwh or stored_mwh"
            )


def _ports(trial: Trial) -> Iterator[str]:
    for tried, example in _steps(trial):
        for port, did in zip(trial.device.ports, tried.outcome.ports, strict=True):
            if did.bus not in (*port.buses, NOWHERE):
                yield f"{example}: {port.name} injects at bus {did.bus}; declared are {port.buses}"
            if did.bus == NOWHERE and (did.p_mw or did.q_mvar):
                yield f"{example}: {port.name} injects {did.p_mw:g} MW, {did.q_mvar:g} Mvar nowhere"
            if not port.p_min_mw - TOLERANCE <= did.p_mw <= port.p_max_mw + TOLERANCE:
                yield (
                    f"{example}: {port.name} injects {did.p_mw:.9g} MW, beyond its {port.p_min_mw:g} to "
                    f"{port.p_max_mw:g} MW; clip it"
                )
            if math.hypot(did.p_mw, did.q_mvar) > port.s_max_mva * (1 + TOLERANCE) + TOLERANCE:
                yield (
                    f"{example}: {port.name} injects {math.hypot(did.p_mw, did.q_mvar):.9g} MVA, rated "
                    f"{port.s_max_mva:g} MVA; reduce Q to what the rating leaves (clips.reactive_within)"
                )


def _reported(trial: Trial) -> Iterator[str]:
    """Shortfalls are reported for every setpoint, but for one port of several, which may balance the others."""
    silent: dict[str, str] = {}
    for tried, example in _steps(trial):
        for k, (port, did) in enumerate(zip(trial.device.ports, tried.outcome.ports, strict=True)):
            short = did.shortfall_mwh
            if short < 0 or (port.act is not Act.SETPOINT and short != 0):
                yield (
                    f"{example}: {port.name} has a shortfall of {short:g} MWh; it is Δ |P requested - P done| of a "
                    "setpoint, and 0 of any other port"
                )
            if port.act is Act.LIMIT and did.p_mw > max(tried.request.p_mw[k], port.p_min_mw) + TOLERANCE:
                yield f"{example}: {port.name} injects {did.p_mw:g} MW, more than its limit"
            if port.act is Act.SETPOINT and (why := _unsaid(trial, tried, k)):
                silent.setdefault(port.name, f"{example}: {port.name} {why}")
    if len(silent) > (len(trial.device.ports) > 1):
        yield next(iter(silent.values()))


def _unsaid(trial: Trial, tried: Tried, k: int) -> str:
    did = tried.outcome.ports[k]
    off_p = abs(tried.request.p_mw[k] - did.p_mw)
    off_q = abs(tried.request.q_mvar[k] - did.q_mvar)
    if not _close(did.shortfall_mwh, trial.step_h * off_p):
        return f"injects {did.p_mw:g} MW with a shortfall of {did.shortfall_mwh:g} MWh; it is Δ |P requested - P done|"
    if max(off_p, off_q) > NEGLIGIBLE_MW and not did.clips:
        return f"injects {did.p_mw:g} MW, {did.q_mvar:g} Mvar; say why it is not what was requested, in Injection.clips"
    return ""


def _follows(trial: Trial) -> Iterator[str]:
    ports = trial.device.ports
    given = [port.act is Act.FOLLOWS for port in ports], [not port.sets_q for port in ports]
    if not any(map(any, given)):
        return
    for tried, example in _steps(trial):
        request = tried.request
        p, q = (
            tuple(0.37 if free else one for one, free in zip(values, follows, strict=True))
            for values, follows in zip((request.p_mw, request.q_mvar), given, strict=True)
        )
        other = replace(tried, request=Request(p, q, request.position))
        if trial.do(tried.before, other).result != tried.result:
            yield (
                f"{example}: with another P or Q requested of a port that follows, it did something else; "
                "make the port a setpoint or a limit, or take no notice"
            )


def _rest(trial: Trial) -> Iterator[str]:
    for tried in trial.walk.steps:
        done = trial.resting(tried)
        example = trial.example(done, done.before)
        # what has a ramp needs time to come to rest
        short = sum(one.shortfall_mwh for one in done.outcome.ports if Clip.RAMP not in one.clips)
        if short > 0:
            yield f"{example}, which is to rest: a shortfall of {short:g} MWh; correct Port.rest_mw"
        was, now = trial.device.at(done.before), trial.device.at(done.after)
        if now != was:
            yield f"{example}, which is to rest: its position changes from {was} to {now}"


def _inside_labels(trial: Trial) -> Iterator[str]:
    for tried, example in _steps(trial):
        for state in (tried.moved, tried.after):
            for position, at in zip(trial.device.positions, trial.device.at(state), strict=True):
                if not 0 <= at < len(position.labels):
                    yield (
                        f"{example}: {position.name} stands at {at} of {len(position.labels)} labels; "
                        "leave it where it is when the request is none of them"
                    )


def _money(trial: Trial) -> Iterator[str]:
    for tried, example in _steps(trial):
        if unknown := set(tried.outcome.money) - set(trial.device.costs):
            yield f"{example}: money has {_names(unknown)}; name every term in costs"


def _row(trial: Trial) -> Iterator[str]:
    columns = trial.device.columns
    for tried, example in _steps(trial):
        row = tried.outcome.row
        if missing := set(columns) - set(row):
            yield f"{example}: row lacks {_names(missing)}; give a value or None for every column"
        if unknown := set(row) - set(columns):
            yield f"{example}: row has {_names(unknown)}; name every value in columns"
        for key, value in row.items():
            of = columns[key].of
            if not (value is None or type(value) is of or (of is float and is_number(value))):
                yield f"{example}: row has {key} = {value!r}; its column is of {of.__name__}"


def _names(keys: set[str]) -> str:
    return ", ".join(sorted(map(str, keys)))


def _defaults(trial: Trial) -> Iterator[str]:
    for tried, _ in _steps(trial):
        given = replace(tried, now=replace(tried.now, series={}))
        usual = replace(tried, now=replace(tried.now, series=dict(trial.plain.series)))
        if trial.do(tried.before, given).result != trial.do(tried.before, usual).result:
            yield (
                f"{trial.example(given, tried.before)}: without series it differs from the step with their defaults; "
                "read them by now.series.get(key, default)"
            )


STEP_PROMISES: Mapping[str, Promise[Trial]] = {
    ANSWERED: _on_the_walk(ANSWERED),
    FINITE: _on_the_walk(FINITE),
    UNCHANGED: _on_the_walk(UNCHANGED),
    "equal inputs give equal results": _repeatable,
    "a state survives JSON, and a step from it is the same": _through_json,
    "source - injected - loss is the change of what is stored": _balance,
    "ports inject where they may, within their limits": _ports,
    "shortfalls are reported": _reported,
    "ports that follow take no notice of P and Q": _follows,
    "at rest nothing is short, and positions stay": _rest,
    "positions have one of their labels": _inside_labels,
    "money is of the terms in costs": _money,
    "a row has the columns, in their types": _row,
    "a series that is missing counts as its default": _defaults,
    "many at once are what each is alone": many_at_once,
}
"""Promises on every step."""
