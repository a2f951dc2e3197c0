"""Printing of tables and JSON, in a module that imports no simulator."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDEST = 10_000


def print_table(table: Table) -> None:
    """Print a table on stdout, wider than the terminal rather than with figures cut off."""
    needed = Console(width=_WIDEST).measure(table).minimum
    Console(highlight=False, width=max(needed, Console().width)).print(table)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, allow_nan=False) + "\n")
