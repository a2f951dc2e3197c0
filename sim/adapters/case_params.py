"""The case as a simulator is given it: the object itself in this process, the config document elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from networks.faults import Fault, InputError
from sim.case import Case, case_without_controller
from sim.config_file import config_of_document


def case_of_params(params: Mapping[str, Any]) -> Case:
    """Return the case that a simulator was given: itself, or the document it is made from."""
    if "case" in params:
        return params["case"]
    if "document" not in params:
        raise InputError(Fault("simulator", "case", "give a case, or a config document and its base_dir"))
    return case_without_controller(config_of_document(params["document"], Path(params.get("base_dir", "."))))
