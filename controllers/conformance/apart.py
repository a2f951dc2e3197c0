"""Conformance suites in a process of their own, which a class may end, or keep for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gridferry.controllers.conformance.findings import Finding
from gridferry.controllers.isolation.child import ChildProcess, ProcessEndedError
from gridferry.controllers.isolation.messages import ConnectionEndedError
from gridferry.networks.faults import Fault, InputError


def check_apart(spec: str, timeout_s: float) -> tuple[str, list[Finding]]:
    """Test the class that ``spec`` names; returns ``controller`` or ``device``, and the findings.

    Where the class ends the process, or takes too long, there is one finding, which says so.

    Parameters
    ----------
    timeout_s : longest time for one promise on one plant [s]

    Raises
    ------
    InputError
        where the class cannot be found.
    """
    child = ChildProcess("gridferry.controllers.conformance", Path.cwd())
    name, plant = "it can be loaded", ""
    request: bytes | None = spec.encode()
    try:
        while True:
            message: Any = json.loads(child.exchanged(request, timeout_s))
            request = None
            if "tries" in message:
                name, plant = map(str, message["tries"])
            elif "faults" in message:
                raise InputError(Fault(*map(str, one)) for one in message["faults"])
            else:
                return str(message["noun"]), [Finding(**one) for one in message["findings"]]
    except (ProcessEndedError, ConnectionEndedError) as error:
        why = f"the class {error}; raise an exception where there is no answer. Later promises were not tried"
        return "class", [Finding(name, plant, False, why)]
    finally:
        child.end()
