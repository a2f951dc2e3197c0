"""Regret: cost of a run beyond that of the same run with foresight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gridferry.sim.config.loaded import LoadedConfig
from gridferry.sim.config.reading import complete
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.device_figures import stored_mwh
from gridferry.sim.results.run_directory import Run, open_results

_SAME_INCOME = 1e-9


def with_foresight(loaded: LoadedConfig) -> LoadedConfig:
    """Return the same config with perfect forecasts of what will happen."""
    forecast = loaded.config.forecast.model_copy(update={"foresight": True})
    config = loaded.config.model_copy(update={"forecast": forecast})
    return replace(loaded, config=config, document=complete(config))


def regret_of(run: Run, foresight: Run) -> dict[str, Any]:
    """Compare a run with the same run with foresight.

    Returns
    -------
    ``run_cost``, ``foresight_cost`` : `operating_cost` of both [currency]
    ``cost`` : the first less the second [currency]; negative where the controller did better without knowing
    ``share`` : ``cost`` relative to the size of ``foresight_cost``
    ``energy_end_mwh`` : energy stored at the end, of the run less with foresight [MWh]; absent without stores
    ``failure`` : in place of ``cost`` and ``share``, why the two cannot be compared
    """
    run_cost, foresight_cost = operating_cost(run.summary), operating_cost(foresight.summary)
    found: dict[str, Any] = {"run_cost": run_cost, "foresight_cost": foresight_cost}
    found = {name: value for name, value in found.items() if value is not None}
    stored = _stored_mwh(run), _stored_mwh(foresight)
    if stored[0] is not None and stored[1] is not None:
        found["energy_end_mwh"] = stored[0] - stored[1]
    if why := _incomparable(run.summary, foresight.summary):
        return found | {"failure": why}
    if run_cost is None or foresight_cost is None:
        return found | {"failure": "a run has no figures"}
    found["cost"] = run_cost - foresight_cost
    if foresight_cost != 0.0:
        found["share"] = found["cost"] / abs(foresight_cost)
    return found


def _incomparable(run: Mapping[str, Any], foresight: Mapping[str, Any]) -> str:
    """Reason why costs of two runs do not compare: costs leave out steps whose power flow diverged."""
    if run["steps"] != foresight["steps"]:
        return f"the run has {run['steps']} steps, the one with foresight {foresight['steps']}"
    diverged = run["grid"]["diverged_steps"], foresight["grid"]["diverged_steps"]
    if any(diverged):
        return f"power flow diverged in {diverged[0]} steps of the run and {diverged[1]} with foresight"
    incomes = [one.get("cost", {}).get("income", math.nan) for one in (run, foresight)]
    if not any(map(math.isnan, incomes)) and not math.isclose(*incomes, rel_tol=_SAME_INCOME, abs_tol=_SAME_INCOME):
        return f"income is {incomes[0]:.6g} in the run and {incomes[1]:.6g} with foresight; it should be the same"
    return ""


def _stored_mwh(run: Run) -> float | None:
    with open_results(run.directory) as connection:
        return stored_mwh(connection)
