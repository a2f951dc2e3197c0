"""How a config names a network, told apart without reading it, and what it may say of a net beside."""

from __future__ import annotations

from dataclasses import dataclass

FILES = (".json", ".m", ".xlsx", ".dss", ".zip", ".xml")
"""endings of files with a network"""
PICKLES = (".p", ".pkl", ".pickle")
"""endings of files that are refused"""


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    """How a pandapower net becomes a radial feeder.

    Attributes
    ----------
    supply : name or index of an external grid, or of its bus: only what it feeds is taken
    opened : lines, transformers and switches to open, such as ``"line 12"``, or by their own name
    balanced : take loads and sources of single phases as balanced ones of the same sum
    pq_generators : take generators that hold a voltage as sources of the P and Q that they have in the net's solution
    v_min_given, v_max_given : the net's own limits are replaced, so that they need not be sound
    """

    supply: str | int | None = None
    opened: tuple[str, ...] = ()
    balanced: bool = False
    pq_generators: bool = False
    v_min_given: bool = False
    v_max_given: bool = False


def names_code(spec: str) -> bool:
    """Whether a network spec names a module or file whose code runs when the network is read."""
    module_or_file, colon, _ = spec.rpartition(":")
    return bool(colon) and module_or_file != "simbench" and not spec.lower().endswith((*FILES, *PICKLES))
