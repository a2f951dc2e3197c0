"""Config files: finding, reading, overriding, checking, writing.

File names in a config are relative to the file that names them; they are made absolute when it is read, so that a
config written into a run directory runs again from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from gridferry import configs
from gridferry.controllers.devices.registry import is_built_in
from gridferry.controllers.plugins.user_code import described
from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.document import Document, read_layers, read_toml
from gridferry.sim.config.faults import faults_of
from gridferry.sim.config.file_names import anchor, anchor_spec, is_file
from gridferry.sim.config.kinds import config_model, find_kinds
from gridferry.sim.config.loaded import LoadedConfig, Reading
from gridferry.sim.config.named_code import Refusal, code_faults, refusal_of, refuse_nothing
from gridferry.sim.config.networks.written import write_out
from gridferry.sim.config.overrides import parse_settings
from gridferry.sim.config.repair import Repaired, repair
from gridferry.sim.config.schema import Config, ControllerConfig


def config_of_document(values: Mapping[str, Any], base_dir: Path, refusal: Refusal | None = None) -> LoadedConfig:
    """Check a config given as tables, for a simulator in another process.

    Parameters
    ----------
    values : as `LoadedConfig.document`, also with times as ISO texts, as JSON carries them
    base_dir : folder that file names in it are relative to
    refusal : says which code of ``[devices] use`` may not run; any may when not given

    Raises
    ------
    InputError
        with every fault of its values.
    """
    tables = deepcopy(dict(values))
    time = tables.get("time")
    if isinstance(time, dict) and isinstance(time.get("start"), str):
        with suppress(ValueError):  # the check below says what is wrong with it
            time["start"] = datetime.fromisoformat(time["start"])
    document = Document("config document")
    anchor(tables, base_dir.absolute())
    document.lay_over(tables, document.source)
    reading = _check(document, Path(document.source), base_dir.absolute(), [], refusal or refuse_nothing)
    if reading.faults or reading.loaded is None:
        raise InputError(reading.faults)
    return reading.loaded


def read_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    controller: str | None = None,
    seed: int | None = None,
    refusal: Refusal = refusal_of,
) -> Reading:
    """Read a config and collect its faults; see `gridferry.sim.case.loading.load_config` for its parameters.

    Where it names code that may not run there is nothing to go on with.

    Raises
    ------
    InputError
        only where there is nothing to check: no such file, no TOML.
    """
    document, found, faults = _merged(path, overrides, controller, seed)
    reading = _check(document, found, found.absolute().parent, faults, refusal)
    refused = code_faults(document, refusal)
    return Reading(None, (*reading.faults, *refused)) if refused else reading


def model_of_config(path: str | Path) -> type[Config]:
    """Return the pydantic model of a config, with the tables of its kinds of devices.

    Raises
    ------
    InputError
        where it cannot be read, or a kind is not found; what else is wrong with it does not matter.
    """
    document, found, _ = _merged(path)
    own = find_kinds(document, found.absolute().parent, refusal_of)
    if own.faults:
        raise InputError(own.faults)
    return config_model(own.kinds)


def _merged(
    path: str | Path, overrides: Sequence[str] = (), controller: str | None = None, seed: int | None = None
) -> tuple[Document, Path, list[Fault]]:
    """Merge a config, what it extends and the command line's settings; return its file and the faults."""
    settings = parse_settings(overrides)
    if controller is not None and any("use" in _table(layer.get("controller")) for _, layer in settings):
        raise InputError(Fault("--set", "controller.use", "contradicts --controller; give one of them"))
    found = find_config(path)
    document = Document(str(found))
    folder = found.absolute().parent
    faults: list[Fault] = []
    for layer_path, layer in read_layers(found, _extended):
        anchor(layer, layer_path.absolute().parent)
        faults += document.lay_over(layer, str(layer_path))
    for name, layer in settings:
        anchor(layer, folder)
        if "controller" not in layer:
            faults += document.lay_over(layer, name)
    if controller is not None:
        _choose_controller(document, controller, folder)
    for name, layer in settings:  # these are for the controller that was chosen
        if "controller" in layer:
            faults += document.lay_over(layer, name)
    if seed is not None:
        document.lay_over({"seed": seed}, "--seed")
    return document, found, faults


def _check(document: Document, path: Path, base_dir: Path, faults: list[Fault], refusal: Refusal) -> Reading:
    """Check the values of a document; ``faults`` are those found before."""
    _complete_controller(document)
    found = find_kinds(document, base_dir, refusal)
    faults = [*faults, *found.faults, *write_out(document, base_dir, refusal)]
    model = config_model(found.kinds)
    try:
        config, repaired, wrong = _validated(document, model, unknown_tables=not found.complete)
    except (Exception, SystemExit) as error:
        if all(is_built_in(kind) for kind in found.kinds):
            raise
        message = f"checking the values of a table raised {described(error)}; correct the class"
        raise InputError([*faults, document.fault(("devices", "use"), message)]) from error
    faults = [*faults, *wrong]
    if config is None:
        return Reading(None, tuple(faults))
    loaded = LoadedConfig(config, path, base_dir, complete(config), document)
    in_time = Reading(loaded, (), repaired).genuine(_time_faults(loaded))
    return Reading(loaded, (*faults, *in_time), repaired)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _validated(
    document: Document, model: type[Config], *, unknown_tables: bool
) -> tuple[Config | None, Repaired | None, list[Fault]]:
    """Validate a document: return the config, its repair if it needed any, and the faults."""
    try:
        return model.model_validate(document.values), None, []
    except ValidationError as error:
        repaired = repair(document, model)
        found = faults_of(error, document, model, unknown_tables=unknown_tables)
        return None if repaired is None else repaired.config, repaired, found


def complete(config: Config) -> dict[str, Any]:
    """Return a config as TOML tables, with its defaults."""
    return _plain(config.model_dump(exclude_none=True))


def _plain(value: Any) -> Any:
    """Turn enums into strings, as in a file."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, str) else value


def _time_faults(loaded: LoadedConfig) -> list[Fault]:
    """Check that steps divide the day, that the run begins at a step, and that it ends within the calendar."""
    time = loaded.config.time
    if 86400 % time.step_s:
        near = min((n for n in range(1, 86401) if 86400 % n == 0), key=lambda n: abs(n - time.step_s))
        return [
            loaded.fault(
                ("time", "step_s"), f"the day's 86400 s are no whole number of such steps; the nearest is {near}"
            )
        ]
    faults: list[Fault] = []
    clock = time.clock
    if time.start.tzinfo is None and (wrong := _no_one_moment(clock.start)):
        faults.append(loaded.fault(("time", "start"), wrong))
    if clock.start.microsecond or clock.start_of_day_s % time.step_s:
        message = f"no step of {time.step_s} s begins then, counted from midnight; choose a multiple of the step"
        faults.append(loaded.fault(("time", "start"), message))
    try:
        clock.at(time.steps + 3 * 86400 // time.step_s)
    except OverflowError:
        faults.append(loaded.fault(("time", "steps"), "the run would end after the year 9999; take fewer steps"))
    else:
        faults += _changes_within_steps(loaded, clock)
    return faults


def _no_one_moment(start: datetime) -> str:
    """What is wrong with a local time that clocks show twice or never; empty for others."""
    if start.tzinfo is None or start.utcoffset() == start.replace(fold=1).utcoffset():
        return ""
    twice = start.astimezone(UTC).astimezone(start.tzinfo).replace(fold=0) == start
    if not twice:
        return "the clocks skip this time; choose another"
    both = " or ".join(start.replace(fold=fold).isoformat() for fold in (0, 1))
    return f"the clocks show this time twice; write {both}"


def _changes_within_steps(loaded: LoadedConfig, clock: Clock) -> list[Fault]:
    for at_s, by_s in clock.changes:
        if at_s % clock.step_s or by_s % clock.step_s:
            when = (clock.start.astimezone(UTC) + timedelta(seconds=at_s)).isoformat(timespec="minutes")
            message = f"the clocks change by {by_s} s at {when}, which splits a step; choose a step that divides 900 s"
            return [loaded.fault(("time", "step_s"), message)]
    return []


# ----------------------------------------------------------------------------------------------------------- controller


def _choose_controller(document: Document, spec: str, folder: Path) -> None:
    """Replace ``[controller]``, except for keys of the host; the same controller keeps its settings."""
    here = anchor_spec(spec, Path.cwd())
    spec = here if here != spec and Path(here.rpartition(":")[0]).is_file() else anchor_spec(spec, folder)
    old = document.values.get("controller", {})
    if not isinstance(old, dict) or old.get("use", "idle") == spec:
        return
    others = document.values.get("controllers", {})
    settings = others.get(spec, {}) if isinstance(others, dict) else {}
    kept = {key: old[key] for key in ControllerConfig.model_fields if key in old and key != "use"}
    document.values["controller"] = {}
    document.lay_over({"controller": {**kept, "use": spec}}, "--controller")
    if isinstance(settings, dict):
        document.lay_over({"controller": settings}, document.origin(("controllers", spec)))


def _complete_controller(document: Document) -> None:
    """Add to ``[controller]`` the keys of ``[controllers.NAME]`` that it lacks, for the controller in use."""
    own, others = _table(document.values.get("controller")), _table(document.values.get("controllers"))
    use = own.get("use", "idle")
    for key, value in _table(others.get(use) if isinstance(use, str) else None).items():
        if key not in own:
            document.lay_over({"controller": {key: value}}, document.origin(("controllers", use, key)))


# -------------------------------------------------------------------------------------------------- the shipped configs


def configs_dir() -> Path:
    """Folder of the configs that come with the project."""
    return Path(configs.__file__).parent


def find_config(name: str | Path) -> Path:
    """Find a config by its path, or by its name among those that come with the project.

    Raises
    ------
    InputError
        naming what there is.
    """
    path = Path(name)
    if is_file(path) or _is_dir(path):
        return path
    bare = len(path.parts) == 1
    if bare and path.suffix in ("", ".toml"):
        shipped = configs_dir() / f"{path.stem}.toml"
        if is_file(shipped):
            return shipped
    near = sorted(one.name for one in path.parent.glob("*.toml")) if _is_dir(path.parent) else []
    names = [*near, *(one.stem for one in sorted(configs_dir().glob("*.toml")))] if bare else near
    if not _is_dir(path.parent):
        raise InputError(Fault(str(path), "", f"no such file; there is no folder {path.parent}"))
    raise InputError(Fault(str(path), "", no_such("config", path.name, names)))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _extended(base: str, folder: Path) -> Path:
    """File that ``extends`` names: relative to the config, or one of the project's configs."""
    beside = folder / base
    if is_file(beside):
        return beside
    shipped = configs_dir() / f"{Path(base).stem}.toml"
    return shipped if len(Path(base).parts) == 1 and is_file(shipped) else beside


def list_configs(folder: Path | None = None) -> list[tuple[str, str, Path]]:
    """Name, title and path of every config that comes with the project, or of every file of a folder of it."""
    found: list[tuple[str, str, Path]] = []
    for path in sorted((folder or configs_dir()).glob("*.toml")):
        document = read_toml(path)
        found.append((path.stem, str(document.get("title", "")), path))
    return found


def write_config(document: Mapping[str, Any], path: Path) -> None:
    """Write a config that runs again from anywhere.

    Parameters
    ----------
    document : `LoadedConfig.document`
    path : the TOML file to write
    """
    with path.open("wb") as file:
        tomli_w.dump(dict(document), file)
