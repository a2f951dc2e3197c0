"""The sub-commands of ``gridferry new``: arguments in, exit codes out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example: "
new_app = typer.Typer(
    help="Write something to start from.",
    no_args_is_help=True,
    epilog=EXAMPLE + "gridferry new config my_case --network ieee33 --trucks 1",
)
Folder = Annotated[Path, typer.Option(metavar="DIR", help="Where to write it.")]


@new_app.command("controller", epilog=EXAMPLE + "gridferry new controller my_rule")
def new_controller(
    name: Annotated[str, typer.Argument(help="Name of the controller, a Python identifier.")], folder: Folder = Path()
) -> None:
    """Write a working plug-in controller and its test."""
    from gridferry.sim.commands.new import new_controller_command

    raise typer.Exit(new_controller_command(name, folder))


@new_app.command("device", epilog=EXAMPLE + "gridferry new device my_load")
def new_device(
    name: Annotated[str, typer.Argument(help="Name of the device, a Python identifier.")], folder: Folder = Path()
) -> None:
    """Write a working kind of device and its test."""
    from gridferry.sim.commands.new import new_device_command

    raise typer.Exit(new_device_command(name, folder))


@new_app.command(
    "config",
    epilog=EXAMPLE + "gridferry new config my_case --network ieee33 --trucks 1 --batteries 1 --links 0 --prices 20 120",
)
def new_config(
    name: Annotated[str, typer.Argument(help="Name of the config, and of its file.")],
    network: Annotated[str | None, typer.Option(help="Built-in network, or a file.")] = None,
    trucks: Annotated[int | None, typer.Option(min=0, max=20, help="Number of batteries on trucks.")] = None,
    batteries: Annotated[int | None, typer.Option(min=0, max=20, help="Number of stationary batteries.")] = None,
    links: Annotated[int | None, typer.Option(min=0, max=5, help="Number of MVDC links between networks.")] = None,
    prices: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Prices of the day per MWh.")
    ] = None,
    folder: Folder = Path(),
) -> None:
    """Write a commented config and its profiles; in a terminal it asks for what is not given."""
    from gridferry.sim.commands.new_config import Wanted, new_config_command

    def given(value: int | None, what: str, otherwise: int) -> int:
        if value is not None or not sys.stdin.isatty():
            return otherwise if value is None else value
        return int(typer.prompt(what, default=otherwise, type=int))

    if network is None:
        network = (
            typer.prompt("Network (gridferry list networks), or a file", "ieee33") if sys.stdin.isatty() else "ieee33"
        )
    wanted = Wanted(
        network=network,
        trucks=given(trucks, "Batteries on trucks", 1),
        batteries=given(batteries, "Stationary batteries", 1),
        links=given(links, "MVDC links to further networks", 0),
        prices=prices
        or (given(None, "Lowest price of the day per MWh", 20), given(None, "Highest price per MWh", 120)),
    )
    raise typer.Exit(new_config_command(name, folder, wanted))
