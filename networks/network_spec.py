"""How a config names a network, told apart without reading it."""

from __future__ import annotations

FILES = (".json", ".m", ".xlsx", ".dss", ".zip", ".xml")
"""endings of files with a network"""
PICKLES = (".p", ".pkl", ".pickle")
"""endings of files that are refused"""


def names_code(spec: str) -> bool:
    """Whether a network spec names a module or file whose code runs when the network is read."""
    module_or_file, colon, _ = spec.rpartition(":")
    return bool(colon) and module_or_file != "simbench" and not spec.lower().endswith((*FILES, *PICKLES))
