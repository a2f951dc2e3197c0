"""Interpreter for the subset of MATLAB in case files: tables, and arithmetic on their columns.

Understood are ``mpc.field = [...]``, numbers and strings, ``x = ...``, ``[A, B] = idx_bus`` (also ``idx_brch``,
``idx_gen``, and ``define_constants``), and ``mpc.bus(:, [PD, QD]) = ...`` with + - * / ^ on numbers, columns and a few
functions. Other statements are refused, never skipped, unless they fill fields that no net is made of.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_BUS = "BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN LAM_P LAM_Q MU_VMAX MU_VMIN"
_BRANCH = (
    "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS ANGMIN ANGMAX PF QF PT QT MU_SF MU_ST "
    "MU_ANGMIN MU_ANGMAX"
)
_GEN = (
    "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS PMAX PMIN PC1 PC2 QC1MIN QC1MAX QC2MIN QC2MAX RAMP_AGC RAMP_10 "
    "RAMP_30 RAMP_Q APF MU_PMAX MU_PMIN MU_QMAX MU_QMIN"
)
_TYPES = {"PQ": 1.0, "PV": 2.0, "REF": 3.0, "NONE": 4.0}


def _numbered(names: str) -> dict[str, float]:
    return {name: float(number) for number, name in enumerate(names.split(), start=1)}


# the order in which the functions return them: idx_brch and idx_gen put the multipliers before the later columns
_CONSTANTS: dict[str, list[float]] = {
    "idx_bus": [*_TYPES.values(), *_numbered(_BUS).values()],
    "idx_brch": [*map(float, range(1, 12)), *map(float, range(14, 20)), 12.0, 13.0, 20.0, 21.0],
    "idx_gen": [*map(float, range(1, 11)), *map(float, range(22, 26)), *map(float, range(11, 22))],
}
_TABLES = ("bus", "gen", "branch")
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "abs": np.abs,
    "exp": np.exp,
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class MatlabError(Exception):
    """A statement outside the supported subset of MATLAB.

    Attributes
    ----------
    line : its line, from 1
    """

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


def split_statements(text: str) -> list[tuple[int, str]]:
    """Split a file into statements with the line each begins at; comments are dropped, tables are not split."""
    statements: list[tuple[int, str]] = []
    depth, current, begin, in_block = 0, "", 0, 0

    def close() -> None:
        nonlocal current
        if current.strip():
            statements.append((begin, current.strip()))
        current = ""

    for number, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() in ("%{", "%}"):
            in_block += 1 if raw.strip() == "%{" else -1
            continue
        if in_block:
            continue
        line, continued = _without_comment(raw)
        quoted = False
        for character in line:
            if not current.strip():
                begin = number
            if character == "'" and (quoted or not re.search(r"[\w\])}.']$", current)):
                quoted = not quoted
            if not quoted:
                depth += (character in "[{(") - (character in "]})")
                if depth == 0 and character in ";,":
                    close()
                    continue
            current += character
        if continued:
            current += " "
        elif depth:
            current += "\n"
        else:
            close()
    if depth:
        raise MatlabError(begin, "a bracket is never closed")
    close()
    return statements


def _without_comment(line: str) -> tuple[str, bool]:
    """Return a line without its comment, and whether ``...`` continues it on the next."""
    quoted = False
    for position, character in enumerate(line):
        if character == "'" and (quoted or not re.search(r"[\w\])}.']$", line[:position])):
            quoted = not quoted
        if quoted:
            continue
        if character == "%":
            return line[:position], False
        if line.startswith("...", position):
            return line[:position], True
    return line, False


def run_statements(statements: list[tuple[int, str]]) -> dict[str, Any]:
    """Execute the statements of a case file and return the fields of ``mpc``.

    Raises
    ------
    MatlabError
        for a statement that is not understood.
    """
    names: dict[str, Any] = {"pi": math.pi, "Inf": math.inf, "inf": math.inf, "NaN": math.nan, "nan": math.nan}
    case: dict[str, Any] = {}
    for line, statement in statements:
        try:
            _run(statement, names, case)
        except MatlabError as error:
            raise MatlabError(line, str(error)) from error
        except (SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            raise MatlabError(line, f'"{_short(statement)}" is not understood') from error
    return case


def _run(statement: str, names: dict[str, Any], case: dict[str, Any]) -> None:
    if re.match(r"function\b", statement) or statement in ("end", "return"):
        return
    if statement == "define_constants":
        names |= _TYPES | _numbered(_BUS) | _numbered(_BRANCH) | _numbered(_GEN)
        return
    target, equals, value = statement.partition("=")
    target, value = target.strip(), value.strip()
    if not equals or value.startswith("="):
        raise ValueError(statement)
    if constants := re.fullmatch(r"\[(.*)\]", target, re.DOTALL):
        outputs = re.split(r"[,\s]+", constants[1].strip())
        returned = _CONSTANTS[value.removesuffix("()")]
        if len(outputs) > len(returned):
            raise ValueError(statement)
        names |= {name: number for name, number in zip(outputs, returned, strict=False) if name != "~"}
    elif columns := re.fullmatch(r"mpc\.(\w+)\s*\((.*)\)", target, re.DOTALL):
        if columns[1] in _TABLES:
            table, where = case[columns[1]], _index(columns[2], names, case)
            table[where] = np.broadcast_to(_value(value, names, case), table[where].shape)
    elif field := re.fullmatch(r"mpc\.([\w.]+)", target):
        if value.startswith("["):
            if field[1] in _TABLES:
                case[field[1]] = _matrix(value, names, case)
        elif field[1] in (*_TABLES, "baseMVA"):
            case[field[1]] = _value(value, names, case)
    elif target.isidentifier():
        names[target] = _matrix(value, names, case) if value.startswith("[") else _value(value, names, case)
    else:
        raise ValueError(statement)


def _matrix(text: str, names: dict[str, Any], case: dict[str, Any]) -> np.ndarray:
    """Read ``[1 2; 3 4]``; rows end at semicolons and line ends, and are all as long."""
    if not text.endswith("]"):
        raise ValueError(text)
    rows = [
        [_value(cell, names, case) for cell in re.split(r"[,\s]+", row.strip(" \t,"))]
        for row in re.split(r"[;\n]", text[1:-1])
        if row.strip(" \t,")
    ]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise MatlabError(0, f"row {number} of the table has {len(row)} values, the first has {len(rows[0])}")
    return np.array(rows, dtype=float).reshape(len(rows), -1)


def _index(text: str, names: dict[str, Any], case: dict[str, Any]) -> tuple[Any, Any]:
    """Read ``rows, columns``, each a number, a list of numbers or ``:``, counted from 1."""
    parts = re.split(r",(?![^\[]*\])", text)
    if len(parts) != 2:
        raise ValueError(text)
    found: list[Any] = []
    for part in (part.strip() for part in parts):
        if part == ":":
            found.append(None)
            continue
        numbers = _matrix(part, names, case).ravel() if part.startswith("[") else np.array([_value(part, names, case)])
        if np.any(numbers != np.floor(numbers)) or np.any(numbers < 1):
            raise ValueError(text)
        found.append(numbers.ravel().astype(np.int64) - 1)
    rows, columns = found
    if rows is None:
        return slice(None), slice(None) if columns is None else columns
    return (rows, slice(None)) if columns is None else np.ix_(rows, columns)


def _value(text: str, names: dict[str, Any], case: dict[str, Any]) -> Any:
    """Evaluate an expression: a number, a string, or an array of rows and columns."""
    try:
        return float(text)
    except ValueError:
        pass
    if re.fullmatch(r"'[^']*'", text):
        return text[1:-1]
    values: dict[str, Any] = {}

    def hold(found: re.Match[str]) -> str:
        name = f"table{len(values)}"
        table = case[found[1]]
        part = table if found[2] is None else table[_index(found[2], names, case)]
        values[name] = float(part.item()) if part.size == 1 else part
        return name

    python = re.sub(r"mpc\.(bus|gen|branch)\b(?:\s*\(((?:[^()\[\]]|\[[^\]]*\])*)\))?", hold, text)
    python = re.sub(r"mpc\.baseMVA\b", "baseMVA", python)
    python = re.sub(r"\.(?=[*/^])", "", python).replace("^", "**")
    known = names | values | ({"baseMVA": case["baseMVA"]} if "baseMVA" in case else {})
    return _evaluate(ast.parse(python.strip(), mode="eval").body, known)


def _evaluate(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _evaluate(node.operand, names)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.left, names), _evaluate(node.right, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        value = _FUNCTIONS[node.func.id](_evaluate(node.args[0], names))
        return float(value) if np.ndim(value) == 0 else value
    raise ValueError(ast.unparse(node))


def _short(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
