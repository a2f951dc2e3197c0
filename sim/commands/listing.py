"""``gridferry list``."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.sim.commands.output import print_json
from gridferry.sim.exit_codes import DONE

LISTS = ("networks", "controllers", "configs", "studies", "columns")
"""What can be listed."""


def list_command(what: str, as_json: bool) -> int:
    """List networks, controllers, configs, studies, or columns of results."""
    if what not in LISTS:
        raise InputError(Fault("gridferry list", what, no_such("list", what, LISTS)))
    rows = _rows(what)
    if as_json:
        print_json({what: rows})
        return DONE
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in rows[0] if rows else {}:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    Console(highlight=False).print(table)  # folded where it is wider than the terminal
    return DONE


def names_of(what: str) -> list[str]:
    """Names in a list; those of the lists for ``lists``."""
    return list(LISTS) if what == "lists" else [row["name"] for row in _rows(what)]


def _rows(what: str) -> list[dict[str, str]]:
    of = {"networks": _networks, "controllers": _controllers, "configs": _configs, "studies": _studies}
    return (of | {"columns": _columns})[what]()


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


def _columns() -> list[dict[str, str]]:
    from gridferry.controllers.devices.registry import find_kind, known_kinds
    from gridferry.sim.results.record_tables import column_dictionary

    return [dict(vars(one)) for one in column_dictionary(find_kind(name) for name in known_kinds())]
