"""``gridferry list``."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.commands.output import print_json, print_table
from gridferry.sim.exit_codes import DONE


def list_command(what: str, as_json: bool) -> int:
    """List networks, controllers, configs or studies."""
    kinds = {"networks": _networks, "controllers": _controllers, "configs": _configs, "studies": _studies}
    if what not in kinds:
        raise InputError(Fault("gridferry list", what, no_such("list", what, kinds)))
    rows = kinds[what]()
    if as_json:
        print_json({what: rows})
        return DONE
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in rows[0] if rows else {}:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    print_table(table)
    return DONE


def _networks() -> list[dict[str, str]]:
    from gridferry.networks.catalog import CATALOGUE

    return [{"name": name, "description": entry.description} for name, entry in CATALOGUE.items()]


def _controllers() -> list[dict[str, str]]:
    from gridferry.controllers.registry import available

    return [{"name": one.name, "summary": one.summary, "origin": one.origin} for one in available()]


def _configs() -> list[dict[str, str]]:
    from gridferry.sim.config.reading import list_configs

    return [{"name": name, "title": title, "path": str(path)} for name, title, path in list_configs()]


def _studies() -> list[dict[str, str]]:
    from gridferry.sim.config.reading import configs_dir, list_configs

    found = list_configs(configs_dir() / "studies")
    return [{"name": name, "title": title, "path": str(path)} for name, title, path in found]
