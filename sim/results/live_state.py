"""Live state for the progress display, in a module that imports no simulator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveState:
    """Figures of a step in the progress display.

    Attributes
    ----------
    step : steps done
    v_min_pu, v_max_pu : lowest and highest voltage of the step [pu]
    import_mw : drawn from the grid above by all networks [MW]
    positions : where everything stands that has a position
    soc : state of charge of each store
    fallbacks : steps so far in which the controller was replaced
    diverged : steps so far whose power flow diverged
    failure, traceback : what failed of the controller in this step, and where; empty without a failure
    fallback : what replaced its plan in this step, if anything did
    """

    step: int
    v_min_pu: float
    v_max_pu: float
    import_mw: float
    positions: tuple[str, ...]
    soc: tuple[float, ...]
    fallbacks: int
    diverged: int
    failure: str = ""
    traceback: str = ""
    fallback: str = ""
