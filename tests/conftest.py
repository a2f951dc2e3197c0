"""What every test runs under: array shapes and types are checked, unless told otherwise; hypothesis repeats itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
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

# before anything of ours is imported; it doubles the time of a closed loop, and where lines are traced it is traced too
if "GRIDFERRY_UNCHECKED_SHAPES" not in os.environ:
    install_import_hook(
        [
            "gridferry.networks",
            "gridferry.sim",
            *(".".join(("gridferry", *one.relative_to(HERE.parent).with_suffix("").parts)) for one in CHECKED),
        ],
        "beartype.beartype",
    )

SHAPES = (Path(__file__).parent / "networks", Path(__file__).parent / "controllers")
"""quick tests of single parts, in which ``make test`` checks shapes; whole runs go without"""
SUITES = tuple(
    Path(__file__).parent / one for one in ("controllers/conformance", "controllers/reliability", "networks/readers")
)
"""likewise suites of many plans, and readers, which pandapower takes the time of"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        single = item.get_closest_marker("slow") is None and not any(item.path.is_relative_to(one) for one in SUITES)
        if single and any(item.path.is_relative_to(one) for one in SHAPES):
            item.add_marker("shapes")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # what takes long does not end alone


settings.register_profile("gridferry", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=400, print_blob=True)
settings.load_profile("gridferry")
