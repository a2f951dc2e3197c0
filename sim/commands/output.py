"""Printing of tables and JSON, in a module that imports no simulator."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

_WIDEST = 10_000


def print_table(table: Table) -> None:
    """Print a table on stdout, wider than the terminal rather than with figures cut off."""
    needed = Console(width=_WIDEST).measure(table).minimum
    Console(highlight=False, width=max(needed, Console().width)).print(table)


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables below one another."""
    for number, table in enumerate(tables):
        if number:
            print()
        print_table(table)


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return Console().width


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    (_for_json or sys.stdout).write(json.dumps(content, allow_nan=False) + "\n")


_for_json: TextIO | None = None


@contextmanager
def only_json() -> Iterator[None]:
    """Send to stderr whatever is written to stdout meanwhile, also by C code and other processes, but for JSON."""
    global _for_json
    target, kept = sys.stdout, None
    target.flush()
    if target is sys.__stdout__:  # else something has taken its place that knows what to do
        with suppress(OSError):  # closed by the shell
            kept = os.dup(1)
            os.dup2(2, 1)
    _for_json = target if kept is None else os.fdopen(kept, "w", encoding="utf-8", closefd=False)
    sys.stdout = sys.stderr
    try:
        yield
        _for_json.flush()
    finally:
        _for_json, sys.stdout = None, target
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
