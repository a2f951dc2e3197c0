"""Mutations of files: bytes, lines, numbers, and the structure of JSON and TOML."""

from __future__ import annotations

import json
import random
import re
import tomllib
from copy import deepcopy
from datetime import datetime
from typing import Any

import tomli_w

ODD_NUMBERS = (
    *("nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "0", "-0.0", "-1", "1", "0.5", "2", "1e6", "1e12", "1e-12"),
    *("", "x", "'1'", '"1"', "1,5", "1_000", "0x10", "1e", "--1", "+", "true", "null", "9" * 400, "1e999", "٣", "½"),
    *("99999999999999999999", "10000000", "2024-06-14", "2024-02-30T25:00:00", "[b]", "<script>", "=1+1", "\ufeff"),
)
ODD_BYTES = (
    b"\xe9",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x1a",
    b"\xc3",
    b"\xf0\x9f\x9a\x9a",
    b'"',
    b"'",
    b",,",
    b";",
)
ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1,
        2,
        10**6,
        10**7,
        10**30,
        0.5,
        -0.5,
        1e-9,
        1e6,
        1e12,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
    ),
    *(
        "",
        "x",
        "dn1",
        "S1",
        "T1",
        "day.p_pv_mw",
        "year.load_mw",
        "a.b",
        "\x00",
        "[bold]",
        "<b>&",
        "../x",
        "/",
        "9" * 400,
        "é",
    ),
    *([], {}, [[]], [0], [{}], {"name": "x"}, {"column": "day.load"}, [1, "a"]),
)
_NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][+-]?\d+)?")


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change a few things in a text: a number, a line, some bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = _once(content, rng)
    return content


def _once(content: bytes, rng: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(content))
    at = rng.randrange(len(content) + 1)
    match rng.randrange(10):
        case 0 | 1 | 2 if numbers:
            found = rng.choice(numbers)
            return content[: found.start()] + rng.choice(ODD_NUMBERS).encode() + content[found.end() :]
        case 3:
            return content[:at] + rng.choice(ODD_BYTES) + content[at:]
        case 4:
            return content[:at] + content[at + rng.choice((1, 1, 5, 50)) :]
        case 5:
            return content[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 4)))) + content[at + 1 :]
        case 6:
            return content[:at]
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            cells = lines[one].split(b",")
            cells[rng.randrange(len(cells))] = rng.choice(ODD_NUMBERS).encode()
            lines[one] = b",".join(cells)
    return b"\n".join(lines)


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """Change values, keys and entries of a JSON document; text in it that is JSON itself, too."""
    document = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(document, rng)
    return json.dumps(document).encode()


def mutated_toml(content: bytes, rng: random.Random) -> bytes:
    """Change values, keys and entries of a TOML document."""
    document = tomllib.loads(content.decode())
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(document, rng)
    return tomli_w.dumps(_without_null(document)).encode()


def mutated_message(document: Any, rng: random.Random) -> Any:
    """Change values, keys and entries of what a simulator is sent."""
    document = deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(document, rng)
    return document


def _change(document: Any, rng: random.Random) -> None:
    places = _places(document)
    if not places:
        return
    holder, key = rng.choice(places)
    old = holder[key]
    if isinstance(old, str) and old[:1] in ("{", "["):
        try:
            inner = json.loads(old)
        except ValueError:
            inner = None
        if isinstance(inner, (dict, list)) and rng.random() < 0.8:
            _change(inner, rng)
            holder[key] = json.dumps(inner)
            return
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(("x", "name", "bus", "", "p_mw"))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.append(deepcopy(old))
        case 3 if isinstance(old, dict):
            old[rng.choice(("x", "name", "use", "file", "column"))] = deepcopy(rng.choice(ODD_VALUES))
        case 4 if isinstance(old, (int, float)) and not isinstance(old, bool):
            holder[key] = old * rng.choice((-1, 0, 0.5, 3, 1000, 1e9))
        case 5 if isinstance(old, str):
            holder[key] = old + rng.choice((" ", "x", ".", "\n", "é"))
        case _:
            holder[key] = deepcopy(rng.choice(ODD_VALUES))


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def _without_null(value: Any) -> Any:
    """Leave out what TOML has no word for."""
    if isinstance(value, dict):
        return {str(key): _without_null(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_null(one) for one in value if one is not None]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        return float(value)
    return value if isinstance(value, (str, int, float, bool, datetime)) else str(value)
