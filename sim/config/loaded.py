"""Loaded configs: validated, with the origin of each value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridferry.networks.faults import Fault
from gridferry.sim.config.document import Document, Loc, key_text
from gridferry.sim.config.repair import Repaired
from gridferry.sim.config.schema import Config


@dataclass(frozen=True, eq=False)
class LoadedConfig:
    """A validated config, and its origin.

    Attributes
    ----------
    config : the checked config
    path : the file the user named
    base_dir : folder that file names in the config are relative to, where they are not absolute
    document : the complete config as used, with defaults; what `write_config` writes
    merged : the same as the user wrote it, with the origin of each value
    """

    config: Config
    path: Path
    base_dir: Path
    document: Mapping[str, Any]
    merged: Document = field(repr=False)

    def fault(self, loc: Loc, message: str) -> Fault:
        """Fault at a place of the config, such as ``("networks", 0, "feeder")``."""
        return self.merged.fault(loc, message)


@dataclass(frozen=True, eq=False)
class Reading:
    """Result of reading a config that may be faulty.

    Attributes
    ----------
    loaded : the config; repaired where it is faulty, and ``None`` where it is too faulty for that
    faults : what is wrong with it so far
    """

    loaded: LoadedConfig | None
    faults: tuple[Fault, ...]
    repaired: Repaired | None = field(default=None, repr=False)

    def genuine(self, faults: Iterable[Fault]) -> list[Fault]:
        """Faults of further checks on `loaded` that are not caused by its repair."""
        return [one for one in faults if self.repaired is None or self.repaired.holds(one)]

    def sure(self, loc: Loc) -> bool:
        """Whether the value at a place of `loaded` is the user's own, so that checks may rely on it."""
        if loc[0] == "time" and any(one.key.startswith(key_text(loc)) for one in self.faults):
            return False
        return self.repaired is None or not self.repaired.touches(loc)
