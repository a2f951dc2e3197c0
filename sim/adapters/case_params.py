"""Case parameters of simulators: the case itself in this process, its config document in another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.network_spec import names_code
from gridferry.sim.case.case import Case, case_without_controller
from gridferry.sim.config.document import Loc
from gridferry.sim.config.file_names import texts_in
from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.reading import config_of_document, configs_dir

_WAY = "start the simulator with --allow {}"


@dataclass(frozen=True)
class Allowed:
    """Files and code that a config from another process may name.

    Attributes
    ----------
    places : files, and folders with all files in them, that may be read
    code : what may be run, as ``package.module:name`` or ``/path/file.py:name``
    """

    places: tuple[Path, ...] = ()
    code: frozenset[str] = frozenset()

    @classmethod
    def of_options(cls, given: Iterable[str]) -> Allowed:
        """Sort options into files, folders and code; raises `InputError` for what is neither."""
        places, code, faults = [configs_dir().resolve()], set(), []
        for one in given:
            place, colon, name = one.rpartition(":")
            if Path(one).exists():
                places.append(Path(one).resolve())
            elif colon and place and name.isidentifier():
                code.add(_code(one))
            else:
                wrong = "no such file or folder, and no package.module:name or path/file.py:name"
                faults.append(Fault("--allow", one, f"{wrong}; correct it"))
        if faults:
            raise InputError(faults)
        return cls(tuple(places), frozenset(code))

    def refusal(self, spec: str, origin: str) -> str | None:
        """Message that code may not run here; ``None`` if it may, and for names of built-in things."""
        if (":" in spec or spec.endswith(".py")) and _code(spec) not in self.code:
            return f"is code that may not run here; {_WAY.format(spec)}"
        return None

    def check(self, loaded: LoadedConfig, *, controller: bool) -> None:
        """Raise `InputError` for all that a config must not name; ``controller``: its controller included."""
        config, faults = loaded.config, []
        specs: list[tuple[Loc, str]] = [
            (("networks", i, "feeder"), one.feeder) for i, one in enumerate(config.networks) if names_code(one.feeder)
        ]
        use = config.controller.use
        if controller:
            specs.append((("controller", "use"), use))
        for loc, spec in specs:
            refused = self.refusal(spec, str(loaded.path))
            if refused is not None:
                faults.append(loaded.fault(loc, refused))
        # settings of controllers that are not built are not read
        unread = ("controllers",) if controller else ("controller", "controllers")
        used = {key: value for key, value in loaded.document.items() if key not in unread}
        for file in sorted({(loaded.base_dir / text).resolve() for text in texts_in(used) if _is_there(text)}):
            if not any(file.is_relative_to(place) for place in self.places):
                message = f"is a file that may not be read here; {_WAY.format('and the file or its folder')}"
                faults.append(Fault(str(loaded.path), str(file), message))
        if faults:
            raise InputError(faults)


def _code(spec: str) -> str:
    """Spec whose file, if it has one, has an absolute path."""
    place, _, name = spec.rpartition(":")
    return f"{Path(place).resolve()}:{name}" if place.endswith(".py") else spec


def _is_there(text: str) -> bool:
    """Whether a text is the path of something readable, pipes and device files included."""
    try:
        return Path(text).exists() and not Path(text).is_dir()
    except (OSError, ValueError):
        return False


def case_of_params(params: Mapping[str, Any], allowed: Allowed | None = None, *, controller: bool = False) -> Case:
    """Return the case from a simulator's parameters: the case itself, or its document.

    Parameters
    ----------
    allowed : what the document may name; anything where it is ``None``, as in the process of the scenario itself. A
        document from elsewhere is read in the simulator's own working folder.

    controller : its controller will be built

    Raises
    ------
    InputError
    """
    if "case" in params and allowed is None:
        return params["case"]
    if "document" not in params:
        raise InputError(Fault("simulator", "case", "give a case, or a config document and its base_dir"))
    base_dir = Path(params.get("base_dir", ".")) if allowed is None else Path.cwd()
    loaded = config_of_document(params["document"], base_dir, None if allowed is None else allowed.refusal)
    if allowed is not None:
        allowed.check(loaded, controller=controller)
    return case_without_controller(loaded)
