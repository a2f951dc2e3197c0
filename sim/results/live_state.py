"""Live state for the progress display, in a module that imports no simulator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveState:
    """Figures of a step in the progress display.

    Attributes
    ----------
    step, time : steps done, and when the last of them began, as ISO 8601
    v_min_pu, v_max_pu : lowest and highest voltage of the step [pu]
    import_mw : drawn from the grid above by all networks [MW]
    devices : of what stores energy or has a position: its name, state of charge, and where it is
    cost : of all steps so far in this process [currency]
    fallbacks : steps so far in which the controller was replaced
    diverged : steps so far whose power flow diverged
    failure, traceback : what failed of the controller in this step, and where; empty without a failure
    fallback : what replaced its plan in this step, if anything did
    """

    step: int
    time: str
    v_min_pu: float
    v_max_pu: float
    import_mw: float
    devices: tuple[str, ...]
    cost: float
    fallbacks: int
    diverged: int
    failure: str = ""
    traceback: str = ""
    fallback: str = ""
