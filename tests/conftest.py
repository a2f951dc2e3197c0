"""What every test runs under: array shapes and types are checked, hypothesis repeats itself."""

from __future__ import annotations

from hypothesis import settings
from jaxtyping import install_import_hook

# before anything of ours is imported
install_import_hook(["gridferry.networks", "gridferry.controllers", "gridferry.sim"], "beartype.beartype")

settings.register_profile("gridferry", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("gridferry")
