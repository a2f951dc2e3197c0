"""What every test runs under: array shapes and types are checked, hypothesis repeats itself."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings
from jaxtyping import install_import_hook

HERE = Path(__file__).parent.parent / "controllers"
PLAIN = {HERE / "devices"}
"""steps of devices are plain floats, checked by mypy; checking them as they run would take most of the tests' time"""
CHECKED = [
    *(one for one in HERE.iterdir() if one not in PLAIN),
    HERE / "devices" / "planning",
    *(HERE / "devices").glob("*/block.py"),
]

# before anything of ours is imported; where lines are traced, it is left out, for it would be traced too
if "GRIDFERRY_UNCHECKED_SHAPES" not in os.environ:
    install_import_hook(
        [
            "gridferry.networks",
            "gridferry.sim",
            *(".".join(("gridferry", *one.relative_to(HERE.parent).with_suffix("").parts)) for one in CHECKED),
        ],
        "beartype.beartype",
    )

settings.register_profile("gridferry", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=400, print_blob=True)
settings.load_profile("gridferry")
