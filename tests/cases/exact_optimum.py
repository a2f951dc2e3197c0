"""The minimum cost of a battery on one feeder on the exact branch-flow equations, by SCIP: arithmetic of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyscipopt

from cases.joint_trade import Case
from gridferry.controllers.devices.batteries.device import Battery
from gridferry.controllers.devices.generators.device import Generator


@dataclass(frozen=True)
class Optimum:
    """What SCIP knows: no plan costs less than ``bound``, one costs ``cost``; `inf` where none keeps every limit."""

    bound: float
    cost: float
    proved: bool


def exact_optimum(case: Case, time_limit_s: float) -> Optimum:
    """Minimise the cost of one lossless-converter battery and a generator on one feeder of plain lines, unrelaxed.

    The day is split into steps of an hour; import and export have the same price. Lines without impedance, or with no
    more than 1e-7 pu, join their buses.
    """
    plant, observation, forecast = case
    (feeder,), (battery, generator) = plant.feeders, plant.devices
    assert isinstance(battery, Battery)
    assert isinstance(generator, Generator)
    store, horizon = battery.storage, forecast.steps
    assert plant.export_price_ratio == 1.0
    assert store.loss_coefficient == 0.0
    assert plant.step_s == 3600
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("limits/time", time_limit_s)
    model.setParam("limits/gap", 1e-5)
    model.setParam("numerics/feastol", 1e-7)
    energy: pyscipopt.Expr = observation.states[0].energy_mwh
    total: pyscipopt.Expr = 0.0
    for t in range(horizon):
        charge, discharge = model.addVar(ub=store.p_max_mw), model.addVar(ub=store.p_max_mw)
        q, mode = model.addVar(lb=-store.s_max_mva, ub=store.s_max_mva), model.addVar(vtype="B")
        model.addCons(charge <= store.p_max_mw * mode)
        model.addCons(discharge <= store.p_max_mw * (1 - mode))
        model.addCons((discharge - charge) * (discharge - charge) + q * q <= store.s_max_mva**2)
        after = model.addVar(lb=store.soc_min * store.energy_mwh, ub=store.soc_max * store.energy_mwh)
        model.addCons(after == energy + store.eta_charge * charge - discharge * (1 / store.eta_discharge))
        energy = after
        p_bus: list[pyscipopt.Expr] = [-float(one) for one in forecast.load_p_mw[t]]
        q_bus: list[pyscipopt.Expr] = [-float(one) for one in forecast.load_q_mvar[t]]
        p_bus[battery.bus] += discharge - charge
        q_bus[battery.bus] += q
        available = float(forecast.series[generator.key]["p_mw"][t])
        injected = model.addVar(lb=0.0 if generator.curtailable else available, ub=available)
        p_bus[generator.bus] += injected
        total += generator.feed_in_tariff * injected + generator.curtailment_cost_per_mwh * (available - injected)
        if generator.reactive == "dispatch":
            q_pv = model.addVar(lb=None)
            model.addCons(injected * injected + q_pv * q_pv <= generator.s_max_mva**2)
            q_bus[generator.bus] += q_pv
        elif generator.reactive == "cos_phi":
            q_bus[generator.bus] += generator.q_per_p * injected
        v_sq = [
            model.addVar(lb=float(low) ** 2, ub=float(high) ** 2)
            for low, high in zip(feeder.v_min_pu, feeder.v_max_pu, strict=True)
        ]
        model.addCons(v_sq[feeder.slack] == feeder.slack_v_pu**2)
        if generator.reactive == "q_of_v":
            (first, none), (last, low) = generator.q_of_v
            assert none == 0.0
            v, q_pv = model.addVar(), model.addVar(lb=None)
            model.addCons(v * v == v_sq[generator.bus])
            # no voltage is above the last point
            model.addCons(q_pv == low / (last - first) * 0.5 * (v - first + abs(v - first)))
            q_bus[generator.bus] += q_pv
        # buses are numbered away from the slack bus: what is below a line is known before the line
        for line in np.argsort(-feeder.child):
            above, below = int(feeder.parent[line]), int(feeder.child[line])
            r, x = float(feeder.r_pu[line]), float(feeder.x_pu[line])
            p_out, q_out = -p_bus[below] / feeder.base_mva, -q_bus[below] / feeder.base_mva
            p, q_in, i_sq = model.addVar(lb=None), model.addVar(lb=None), model.addVar()
            if np.hypot(r, x) < 1.01e-7:
                r = x = 0.0
            model.addCons(p - r * i_sq == p_out)
            model.addCons(q_in - x * i_sq == q_out)
            model.addCons(i_sq * v_sq[above] == p * p + q_in * q_in)
            model.addCons(v_sq[below] == v_sq[above] - 2 * (r * p + x * q_in) + (r**2 + x**2) * i_sq)
            if np.isfinite(feeder.i_max_pu[line]):
                model.addCons(i_sq <= float(feeder.i_max_pu[line]) ** 2)
            p_bus[above] -= p * feeder.base_mva
            q_bus[above] -= q_in * feeder.base_mva
        total += float(forecast.buy_price[t]) * -p_bus[feeder.slack]
    if store.soc_end_min is not None:
        model.addCons(energy >= store.soc_end_min * store.energy_mwh)
    cost = model.addVar(lb=None)
    model.addCons(cost == total)
    model.setObjective(cost)
    model.optimize()
    if model.getStatus() == "infeasible":
        return Optimum(float("inf"), float("inf"), True)
    found = float(model.getPrimalbound()) if model.getNSols() else float("inf")
    return Optimum(float(model.getDualbound()), found, model.getStatus() in ("optimal", "gaplimit"))
