"""Whether doing nothing is a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridferry.controllers.model.objective import Aim
from gridferry.controllers.model.solution import Dispatch
from gridferry.controllers.solve import InfeasibleError, Problem, SolverTroubleError


def permits_rest(dispatch: Dispatch) -> bool:
    """Whether all devices may rest: unless a constraint that cannot be violated, as of a coupling, forbids it.

    Networks forbid nothing, as their limits can be violated.
    """
    outlook = dispatch.outlook
    staying = np.tile(outlook.observation.position, (outlook.horizon, 1))
    options = replace(dispatch.options, aim=Aim.LARGEST, largest=0.0, at_rest=True)
    try:
        Problem(replace(dispatch.on_positions(staying), options=options).build().model).relax()
    except InfeasibleError:
        return False
    except SolverTroubleError:
        # that says nothing, and doing nothing is safe
        pass
    return True
