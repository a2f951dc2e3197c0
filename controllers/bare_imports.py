"""Imports of our packages by their bare names, which plug-ins had to use once, and the lines to write instead."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

# top-level names that our packages had; a user's own folders may have them now
_BARE = ("networks", "controllers", "sim")

_MOVED = {
    "controllers.sample_plants": "gridferry.controllers.conformance.sample_plants",
    "controllers.rehearsal": "gridferry.controllers.conformance.dry_run",
    "controllers.plan_file": "gridferry.controllers.plans.plan_file",
    "controllers.shifting": "gridferry.controllers.plans.shifting",
}


def advice_on_bare_imports(file: Path) -> str:
    """Name the bare imports of our modules in a Python file and the line to write for each; empty where there are none.

    A file that cannot be read or parsed has none: what is wrong with it is said elsewhere.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return ""
    found = sorted((line, was, now) for node in ast.walk(tree) for line, was, now in _bare(node))
    return "; ".join(f'in line {line} of {file.name} write "{now}" for "{was}"' for line, was, now in found)


def _bare(node: ast.AST) -> list[tuple[int, str, str]]:
    """Line, text and replacement of an import statement, where it imports one of our modules by its bare name."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level and node.module.partition(".")[0] in _BARE:
        names = ", ".join(f"{one.name} as {one.asname}" if one.asname else one.name for one in node.names)
        now = _home(node.module) if all(_ours(node.module, one.name) for one in node.names) else ""
        return [(node.lineno, f"from {node.module} import {names}", f"from {now} import {names}")] if now else []
    if isinstance(node, ast.Import):
        homes = [(one.name, _home(one.name)) for one in node.names]
        return [(node.lineno, f"import {was}", f"import {now}") for was, now in homes if now]
    return []


def _ours(module: str, name: str) -> bool:
    """Whether a name may come from a module of ours; a user's own module of such a name has names of its own."""
    return "." in module or hasattr(import_module(f"gridferry.{module}"), name) or bool(_home(f"{module}.{name}"))


def _home(module: str) -> str:
    """Return where a module of ours is today; empty for a module that is not ours."""
    if module.partition(".")[0] not in _BARE:
        return ""
    home = _MOVED.get(module, f"gridferry.{module}")
    try:
        return home if find_spec(home) is not None else ""
    except ModuleNotFoundError:  # its package is none of ours
        return ""
