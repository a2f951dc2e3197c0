"""Process of a conformance suite: ``python -m gridferry.controllers.conformance CONNECTION PARENT``."""

from __future__ import annotations

import json
import os
from typing import Any

from gridferry.controllers.conformance import findings
from gridferry.controllers.conformance.plugin_class import check_class
from gridferry.controllers.isolation.messages import receive, send
from gridferry.controllers.isolation.worker import connected
from gridferry.networks.faults import InputError


def main() -> None:
    """Check the class that the first message names, and tell what is tried, then what was found."""
    connection = connected()
    process = os.getpid()

    def tell(message: dict[str, Any]) -> None:
        if os.getpid() != process:
            os._exit(0)  # a copy of this process that the class made
        send(connection, json.dumps(message).encode())

    findings.listener = lambda name, plant: tell({"tries": [name, plant]})
    try:
        noun, found = check_class(receive(connection).decode())
        tell({"noun": noun, "findings": [vars(one) for one in found]})
    except InputError as error:
        tell({"faults": [[one.source, one.key, one.message] for one in error.faults]})
    os._exit(0)  # threads of the class cannot keep this process


main()
