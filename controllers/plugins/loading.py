"""Loader of users' classes by ``package.module:Class`` or ``path/file.py:Class``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from gridferry.controllers.plugins.user_code import advice_on_bare_imports, described, running_user_code
from gridferry.networks.faults import Fault, InputError, no_such

C = TypeVar("C")

_OF_FILES = "gridferry_file_"
"""beginning of the names of modules that are files"""


@dataclass(frozen=True)
class ClassLoader(Generic[C]):
    """Loader of classes with a common base.

    Attributes
    ----------
    base : what they derive from, one or several
    noun : what one is called in messages
    derive_from : where ``base`` is imported from, for messages
    """

    base: type[C] | tuple[type[C], ...]
    noun: str
    derive_from: str

    def load(self, target: str, spec: str, base_dir: Path | None = None) -> type[C]:
        """Return the class at ``target``.

        Parameters
        ----------
        target : ``package.module:Class`` or ``path/file.py:Class``
        spec : what the user wrote, for the faults
        base_dir : folder that relative paths start from, before the working folder

        Raises
        ------
        InputError
            saying what was looked for where, and what there is.
        """
        place, _, class_name = target.rpartition(":")
        if not place or not class_name:
            if spec.endswith(".py"):
                raise self.fault(spec, f'name the class too: "{spec}:Class"{self._classes_of_file(spec, base_dir)}')
            raise self.fault(spec, "incomplete; write package.module:Class or path/file.py:Class")
        module = self._module(place, spec, base_dir)
        found = getattr(module, class_name, None)
        if found is None:
            raise self.fault(spec, f"{no_such('class', class_name, self._classes_in(module))} in {place}")
        if not (inspect.isclass(found) and issubclass(found, self.base)):
            # from the checkout's root the bare names import a second contract, whose Controller is another class
            advice = advice_on_bare_imports(Path(getattr(module, "__file__", None) or ""))
            raise self.fault(spec, f"{class_name} is no {self.noun}; {advice or f'derive it from {self.derive_from}'}")
        if inspect.isabstract(found):
            missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
            raise self.fault(spec, f"{class_name} is abstract; it still has to define {missing}")
        return found

    def _classes_of_file(self, place: str, base_dir: Path | None) -> str:
        """List the classes of a file, as the end of a message; empty if there is no such file."""
        if _existing(place, base_dir) is None:
            return ""
        names = self._classes_in(self._module(place, place, base_dir))
        return f"; there is {', '.join(names) or f'no {self.noun} in it'}"

    def fault(self, spec: str, message: str) -> InputError:
        """Return the error that a spec is wrong."""
        return InputError(Fault(self.noun, spec, message))

    def _classes_in(self, module: ModuleType) -> list[str]:
        return [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and issubclass(value, self.base) and not inspect.isabstract(value)
        ]

    def _module(self, place: str, spec: str, base_dir: Path | None) -> ModuleType:
        try:
            return _module_of_file(place, base_dir) if place.endswith(".py") else _module(place, base_dir)
        except _ModuleError as error:
            raise self.fault(spec, str(error)) from error.__cause__


def files_loaded() -> list[str]:
    """Return the files whose classes were loaded, for `load_files` in another process."""
    return [str(one.__file__) for name, one in list(sys.modules.items()) if name.startswith(_OF_FILES)]


def load_files(paths: Iterable[str]) -> None:
    """Load the modules of files, which then have the same names as where `files_loaded` was called.

    What fails is left out: only what is needed of it will be missed.
    """
    for path in paths:
        with suppress(_ModuleError):
            _module_of_file(path, None)


class _ModuleError(Exception):
    """A module is missing or fails when it is imported."""


def _module(place: str, base_dir: Path | None) -> ModuleType:
    with _also_importable([base_dir, Path.cwd()]):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
                raise _ModuleError(
                    f"no module {place} (no {error.name} is installed or lies in {base_dir or Path.cwd()})"
                ) from error
            raise _ModuleError(f"importing {place} raised {described(error)}") from error
        except (Exception, SystemExit) as error:
            raise _ModuleError(f"importing {place} raised {described(error)}") from error


def _module_of_file(place: str, base_dir: Path | None) -> ModuleType:
    path = _existing(place, base_dir)
    if path is None:
        folders = " or ".join(dict.fromkeys(str(one) for one in (base_dir, Path.cwd()) if one is not None))
        raise _ModuleError(f"no file {place} in {folders}; a path is relative to the config or to the working folder")
    # one module per file, so that a class found twice is the same class as long as the file is unchanged
    stamp = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"{_OF_FILES}{path.stem}_{stamp}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _ModuleError(f"{path} cannot be read as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _also_importable([path.parent]):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise _ModuleError(f"running {path} raised {described(error)}") from error
    return module


def _existing(place: str, base_dir: Path | None) -> Path | None:
    with suppress(OSError):  # of a name that is too long for a file
        for folder in (base_dir, Path.cwd()):
            if folder is not None and (folder / place).is_file():
                return (folder / place).resolve()
    return None


@contextmanager
def _also_importable(folders: list[Path | None]) -> Iterator[None]:
    """Let a user's module import from its own folder, after all installed packages."""
    before = list(sys.path)
    sys.path += [str(folder) for folder in folders if folder is not None and str(folder) not in before]
    importlib.invalidate_caches()
    try:
        with running_user_code():
            yield
    finally:
        sys.path[:] = before
