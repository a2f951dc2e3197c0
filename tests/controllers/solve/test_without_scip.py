"""Where SCIP cannot be imported, all plans by the default method are still there."""

from __future__ import annotations

import sys

import cvxpy as cp
import pytest

from gridferry.controllers.conformance.sample_plants import at_start, look_ahead, three_bus
from gridferry.controllers.mess_exact import MessExact
from gridferry.controllers.solve import Method, Model, SolveOptions, SolverTroubleError, solve


@pytest.fixture
def _no_scip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gridferry.controllers.solve.scip", raising=False)
    monkeypatch.setitem(sys.modules, "pyscipopt", None)


@pytest.mark.usefixtures("_no_scip")
def test_the_default_method_needs_no_scip_and_the_other_says_so() -> None:
    sample = three_bus(step_s=1800)
    plan = MessExact(sample.plant, MessExact.Settings()).plan(at_start(sample.plant), look_ahead(sample, 0, 4))
    assert plan.steps == 4
    opens = cp.Variable(2)
    model = Model(cp.sum(opens), [opens >= 0, opens <= 1, opens[0] + 2 * opens[1] >= 0.5], [opens])
    assert solve(model, SolveOptions(gap=1e-6)).objective == pytest.approx(1.0)
    with pytest.raises(SolverTroubleError, match=r"SCIP cannot be imported .* choose method = .outer_approximation"):
        solve(model, SolveOptions(method=Method.SCIP))
