"""Runs side by side: what tells them apart, whether they compare, means over runs that differ only in their seed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from gridferry.networks.faults import Fault, InputError
from gridferry.sim.results.run_directory import CONFIG, MANIFEST, Run, load_run
from gridferry.sim.results.run_lock import refuse_in_use

_ALIKE = ("status", "steps", "step_s", "currency")
"""what must be the same of runs whose figures are compared"""
_SAME = ("config", "controller", *_ALIKE)
_LONGEST = 24
_MOST_SETTINGS = 4


def runs_of(directory: Path) -> list[Run]:
    """Open a run, or all runs of a study, row by row; raises `InputError` where it is neither."""
    found = study_runs(directory)
    return [load_run(one) for one in found] if found else [load_run(directory)]


def study_runs(directory: Path) -> list[Path]:
    """Return the run directories of a study's folder, by row and seed; none of another folder."""
    if (directory / MANIFEST).exists():
        return []
    found = [path.parent for path in directory.glob(f"*/*/{MANIFEST}") if path.parent.name.isdigit()]
    if found:
        refuse_in_use(directory)
    return sorted(found, key=lambda one: (one.parent.name, int(one.name)))


def unlike(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return what keeps runs from being compared, with its value in each; empty if they compare."""
    values = {key: [run.summary.get(key) for run in runs] for key in _ALIKE}
    return {
        key: own
        for key, own in values.items()
        if len(set(own)) > 1 or (key == "status" and len(own) > 1 and own[0] != "completed")
    }


def labels(runs: Sequence[Run], *, but: str = "") -> list[str]:
    """Return a label of each run, a line for each thing that tells it apart; no two are the same.

    Parameters
    ----------
    but : what does not tell them apart, such as ``seed``
    """
    if len(runs) == 1:
        return [f"{runs[0].summary['config']}\n{runs[0].summary['controller']}"]
    made_from = [_identity(run) for run in runs]
    differing = [
        key
        for key in dict.fromkeys(key for one in made_from for key in one)
        if len({one.get(key) for one in made_from}) > 1
    ]
    heads = [key for key in ("config", "controller", "seed") if key in differing and key != but]
    settings = [key for key in differing if key not in ("config", "controller", "seed")]
    if "controller" in heads:  # its settings are other ones
        settings = [key for key in settings if not key.startswith("controller.")]
    shown = heads + (settings if len(settings) <= _MOST_SETTINGS else [])
    found = ["\n".join(_line(key, one.get(key)) for key in shown) for one in made_from]
    if len(set(found)) < len(found):
        found = [
            "\n".join(filter(None, pair)) for pair in zip(found, _tails([run.directory for run in runs]), strict=True)
        ]
    return found


def swept(runs: Sequence[Run]) -> tuple[str, list[float]]:
    """Return the one setting in which variants differ, if it is a number, and its values; else an empty name."""
    made_from = [_identity(run) for run in runs]
    keys = dict.fromkeys(key for one in made_from for key in one)
    differing = [key for key in keys if key != "seed" and len({one.get(key) for one in made_from}) > 1]
    if len(runs) < 3 or len(differing) != 1:
        return "", []
    try:
        return differing[0], [float(one[differing[0]]) for one in made_from]
    except (KeyError, TypeError, ValueError):
        return "", []


def _identity(run: Run) -> dict[str, Any]:
    """What a run was made from: config, controller, seed, and the settings in its ``config.toml`` by dotted key."""
    try:
        document = tomllib.loads((run.directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = {}
    settings = _flat({key: one for key, one in document.items() if key not in ("name", "title", "seed", "controllers")})
    settings.pop("controller.use", None)
    return {key: run.summary.get(key) for key in ("config", "controller", "seed")} | settings


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Return nested data as texts with dotted keys; entries of tables by their names."""
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        items = [(str(one.get("name", number)), one) for number, one in enumerate(value)]
    else:
        return {name: str(value)}
    return {k: v for key, one in items for k, v in _flat(one, f"{name}.{key}" if name else str(key)).items()}


def _line(key: str, value: Any) -> str:
    text = "–" if value is None else str(value)
    if key in ("config", "controller"):
        return text
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{key} {text}" if key == "seed" else f"{key} = {text}"


def _tails(paths: Sequence[Path]) -> list[str]:
    """Ends of paths that tell them apart, as short as they can be."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        tails = ["/".join(one[-length:]) for one in parts]
        if len(set(tails)) == len(tails):
            return tails
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed.

    Attributes
    ----------
    config, controller, currency : what they have in common
    runs : how many they are
    mean : mean of every figure that all of them have, nested as in ``summary.json``
    deviation : standard deviation likewise, of samples; empty for a single run
    first : the first of the runs
    members : all of them
    """

    config: str
    controller: str
    currency: str
    runs: int
    mean: dict[str, Any]
    deviation: dict[str, Any]
    first: Run
    members: tuple[Run, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """The means, with what the runs have in common."""
        return self.mean | {key: self.first.summary[key] for key in _SAME if key in self.first.summary}

    def as_json(self) -> dict[str, Any]:
        """Return the group as JSON-able data."""
        return {key: one for key, one in vars(self).items() if key not in ("first", "members")}


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Group runs that differ only in their seed, in the order they come, and average each group."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        settings = {key: one for key, one in _identity(run).items() if key != "seed"}
        key = (*(run.summary.get(name) for name in _SAME), *sorted(settings.items()))
        groups.setdefault(key, []).append(run)
    found = []
    for members in groups.values():
        summaries = [one.summary for one in members]
        deviation = _each(summaries, stdev) if len(members) > 1 else {}
        common = {key: summaries[0][key] for key in ("config", "controller", "currency")}
        found.append(
            Group(
                **common,
                runs=len(members),
                mean=_each(summaries, fmean),
                deviation=deviation,
                first=members[0],
                members=tuple(members),
            )
        )
    return found


def _each(members: Sequence[Mapping[str, Any]], statistic: Any) -> dict[str, Any]:
    """Apply a statistic to every number that all summaries have."""
    found: dict[str, Any] = {}
    for key in members[0]:
        values = [one.get(key) for one in members]
        if all(isinstance(one, Mapping) for one in values):
            if inner := _each([dict(one) for one in values if isinstance(one, Mapping)], statistic):
                found[key] = inner
        elif key != "seed" and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
            found[key] = float(statistic(values))
    return found


def load_all(directories: Sequence[Path]) -> list[Run]:
    """Open runs and studies; raises `InputError` with the faults of all."""
    runs: list[Run] = []
    faults: list[Fault] = []
    for directory in directories:
        try:
            runs += runs_of(directory)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return runs
