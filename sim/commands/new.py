"""``gridferry new``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gridferry.controllers.conformance.scaffold import new_controller, new_device
from gridferry.sim.exit_codes import DONE


def new_controller_command(name: str, folder: Path) -> int:
    """Write a plug-in controller and its test, and print how to use them."""
    return _print_paths(new_controller(name, folder))


def new_device_command(name: str, folder: Path) -> int:
    """Write a kind of device and its test, and print how to use them."""
    return _print_paths(new_device(name, folder))


def _print_paths(written: list[Path]) -> int:
    console = Console(highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    console.print("test it with: pytest " + str(written[-1]), markup=False)
    return DONE
