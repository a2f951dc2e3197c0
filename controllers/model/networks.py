"""Network block of the dispatch model: flow, limits and energy cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices.planning.block import Likely, SoftLimit, SoftMagnitude, exclude
from gridferry.controllers.model import distflow
from gridferry.controllers.model.flow_bounds import LargestFlow, Range, flow_range, largest_flow
from gridferry.controllers.plans.violation import voltage_band
from gridferry.controllers.uncertainty.margins import Margins
from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, kw_only=True, eq=False)
class Injections:
    """Net injection of the buses of a network.

    Attributes
    ----------
    p_mw, q_mvar : (horizon, bus) [MW, Mvar]
    p_given_mw, q_given_mvar : what is given of them (horizon, bus) [MW, Mvar]
    reach_mva : rating of every port, at the buses where it may inject (port, bus) [MVA]
    """

    p_mw: cp.Expression
    q_mvar: cp.Expression
    p_given_mw: Float[np.ndarray, "horizon bus"]
    q_given_mvar: Float[np.ndarray, "horizon bus"]
    reach_mva: Float[np.ndarray, "port bus"]

    @property
    def largest(self) -> tuple[Float[np.ndarray, "horizon bus"], Float[np.ndarray, "horizon bus"]]:
        """Largest magnitudes that they can have [MW, Mvar]."""
        decided = self.reach_mva.sum(axis=0)
        return np.abs(self.p_given_mw) + decided, np.abs(self.q_given_mvar) + decided


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkBlock:
    """Block of a network over the horizon.

    Attributes
    ----------
    flow : in per unit
    injections : of its buses
    import_mw, losses_mw : (horizon,) [MW]
    largest : flow that it cannot exceed, in per unit
    cost : of energy from the grid above (horizon,) [currency]
    constraints : by name
    soft : its limits, by name
    currents : those that are of ratings
    binaries, likely : where import and export exclude each other
    recourse : recourse variables: the flow, given the injections
    products, exact : cones of the exact problem, as `Model` has them
    """

    flow: distflow.BranchFlow
    injections: Injections
    import_mw: cp.Expression
    losses_mw: cp.Expression
    largest: LargestFlow
    cost: cp.Expression
    constraints: Mapping[str, list[cp.Constraint]]
    soft: Mapping[str, SoftLimit]
    currents: list[distflow.CurrentSlack]
    binaries: list[cp.Variable]
    likely: list[Likely]
    recourse: set[cp.Variable]
    products: list[cp.SOC]
    exact: list[cp.SOC]


def network_block(
    plant: Plant,
    number: int,
    injections: Injections,
    limits: Limits,
    price: Float[np.ndarray, " horizon"],
    *,
    strict: bool,
    bounded: Int[np.ndarray, " step"],
) -> NetworkBlock:
    """Return a network under the power of devices and loads [A, eqs. 6-12, 16, 26-27, 35].

    Parameters
    ----------
    number : of the network in the plant
    price : of energy bought [currency/MWh]
    strict : limits are kept, so that flows are smaller
    bounded : steps in which currents get upper limits that every power flow keeps
    """
    feeder, base = plant.feeders[number], plant.feeders[number].base_mva
    buses, branches = plant.bus_slices[number], plant.branch_slices[number]
    flow = distflow.branch_flow(feeder, injections.p_mw / base, injections.q_mvar / base)
    low, high = distflow.voltage_slack(feeder, flow, limits.v_low_sq[:, buses], limits.v_high_sq[:, buses])
    currents = distflow.current_slack(feeder, flow, limits.rating[:, branches])
    step = np.arange(len(price))
    others = distflow.away_from_slack(feeder)
    band = voltage_band(feeder.v_min_pu, feeder.v_max_pu)[others]
    soft: dict[str, SoftLimit] = {}
    for key, slack, limit_sq, sign in (
        ("lower_voltage", low, limits.v_low_sq, -1),
        ("upper_voltage", high, limits.v_high_sq, 1),
    ):
        limit = np.sqrt(limit_sq[:, buses][:, others])
        soft[key] = SoftMagnitude(slack=slack, step=step, whole=band, unit="pu", limit=limit, sign=sign)
    for one in currents:
        rated = feeder.i_max_pu[one.branch]
        soft[one.name] = SoftMagnitude(
            slack=one.slack,
            other_end=one.other_end,
            step=step,
            whole=rated,
            unit="pu",
            limit=limits.rating[:, branches][:, one.branch] * rated,
            sign=1,
        )
    largest = largest_flow(
        feeder,
        injections.largest[0] / base,
        injections.largest[1] / base,
        float(feeder.v_min_pu.min()) * (1.0 if strict else 0.5),
        rated=strict,
    )
    import_mw = base * flow.p_import
    for key, most, exchanged in (
        ("import_limit", feeder.import_max_mw, import_mw),
        ("export_limit", feeder.export_max_mw, -import_mw),
    ):
        if np.isfinite(most):
            slack = most - exchanged
            soft[key] = SoftLimit(slack=slack, step=step, whole=feeder.exchange_unit_mw, unit="MW")
    energy = energy_cost(import_mw, price, plant.export_price_ratio, plant.step_h, base * largest.exchange)
    constraints = {
        **flow.named,
        "current_at_ends": [constraint for one in currents for constraint in one.constraints],
        "import_and_export": energy.constraints,
    }
    if len(bounded):
        bounds = flow_range(
            feeder,
            injections.p_given_mw / base,
            injections.q_given_mvar / base,
            injections.reach_mva / base,
            _voltage_range(feeder, limits.v_low_sq[:, buses], limits.v_high_sq[:, buses], strict=strict),
        )
        constraints["current_envelope"] = distflow.current_envelope(flow, bounds, bounded)
    decided = {*injections.p_mw.variables(), *injections.q_mvar.variables()}
    return NetworkBlock(
        flow=flow,
        injections=injections,
        import_mw=import_mw,
        losses_mw=base * flow.losses,
        largest=largest,
        cost=energy.per_step,
        constraints=constraints,
        soft=soft,
        currents=currents,
        binaries=energy.binaries,
        likely=energy.likely,
        products=flow.named["current_cone"],
        exact=energy.exact,
        recourse={one for part in (*flow.constraints, *energy.constraints) for one in part.variables()} - decided,
    )


def _voltage_range(
    feeder: Feeder, low_sq: Float[np.ndarray, "horizon bus"], high_sq: Float[np.ndarray, "horizon bus"], *, strict: bool
) -> Range:
    """Squared voltages that every bus keeps; where limits may be violated, by half and twice the voltage [pu²]."""
    low, high = (low_sq.copy(), high_sq.copy()) if strict else (0.25 * low_sq, 4.0 * high_sq)
    low[:, feeder.slack] = high[:, feeder.slack] = feeder.slack_v_pu**2
    return low, high


# --------------------------------------------------------------------------------------------------------------- limits


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """Limits of all networks.

    Attributes
    ----------
    v_low_sq, v_high_sq : of the squared voltages; ``v_low_sq`` may exceed ``v_high_sq`` where margins leave nothing
        between [pu²]
    rating : share of the rating of each branch that may be used, at most `Feeder.loading_max`
    """

    v_low_sq: Float[np.ndarray, "horizon bus"]
    v_high_sq: Float[np.ndarray, "horizon bus"]
    rating: Float[np.ndarray, "horizon branch"]


def limits_of(plant: Plant, horizon: int, margins: Margins | None = None, v_margin_pu: float = 0.0) -> Limits:
    """``(v_min + m)² ≤ v² ≤ (v_max - m)²``: margins on plain voltages as limits of squared ones [A, eq. 16].

    Those of currents are taken off the share of a rating that may be used.

    Parameters
    ----------
    margins : kept from the limits of every bus, branch and step
    v_margin_pu : kept from all of them, beside the margins [pu]
    """
    none = np.zeros((horizon, plant.n_bus))
    lower, upper = (none, none) if margins is None else (margins.lower, margins.upper)
    v_min = np.concatenate([feeder.v_min_pu for feeder in plant.feeders])
    v_max = np.concatenate([feeder.v_max_pu for feeder in plant.feeders])
    rating = np.tile(np.concatenate([feeder.loading_max for feeder in plant.feeders]), (horizon, 1))
    return Limits(
        v_low_sq=np.maximum(v_min + lower + v_margin_pu, 0.0) ** 2,
        v_high_sq=np.maximum(v_max - upper - v_margin_pu, 0.0) ** 2,
        rating=rating if margins is None else np.maximum(rating - margins.current, 0.0),
    )


# --------------------------------------------------------------------------------------------------------------- energy


@dataclass(frozen=True, eq=False)
class EnergyCost:
    """Cost of what one network draws from the grid above.

    Attributes
    ----------
    per_step : (horizon,) [currency]
    constraints : import and export as parts of the net import
    binaries : where that needs a choice
    likely : likely values of those, from a solved relaxation
    exact : import and export exclude each other where the binaries choose, for the exact problem
    """

    per_step: cp.Expression
    constraints: list[cp.Constraint]
    binaries: list[cp.Variable]
    likely: list[Likely]
    exact: list[cp.SOC]


def energy_cost(
    import_mw: cp.Expression,
    price: Float[np.ndarray, " horizon"],
    export_ratio: float,
    step_h: float,
    largest_mw: Float[np.ndarray, " horizon"],
) -> EnergyCost:
    """Pay for import, be paid for export at a share of the price.

    ``Δ price (g⁺ - ratio g⁻)`` with ``g = g⁺ - g⁻`` is convex in g where ``price (1 - ratio) ≥ 0``. Elsewhere (a
    negative price with a ratio below 1, a ratio above 1) buying and selling at once would pay, so a binary allows
    one of them.

    Parameters
    ----------
    import_mw : g, negative where exported (horizon,) [MW]
    price : of energy bought [currency/MWh]
    export_ratio : share of the price paid for export
    largest_mw : no flow either way can be larger [MW]
    """
    horizon = len(price)
    bent = price * (1 - export_ratio)
    if not np.any(bent):
        return EnergyCost(step_h * cp.multiply(price, import_mw), [], [], [], [])
    bought, sold = cp.Variable(horizon), cp.Variable(horizon)
    constraints: list[cp.Constraint] = [bought - sold == import_mw, bought >= 0, sold >= 0]
    binaries: list[cp.Variable] = []
    likely: list[Likely] = []
    exact: list[cp.SOC] = []
    choose = np.flatnonzero(bent < 0)
    if len(choose):
        buys = cp.Variable(len(choose))
        limit = largest_mw[choose]
        constraints += [bought[choose] <= cp.multiply(limit, buys), sold[choose] <= cp.multiply(limit, 1 - buys)]
        binaries.append(buys)
        likely.append((buys, lambda: (import_mw.value[choose] >= 0).astype(float)))
        exact.append(exclude(bought[choose], sold[choose]))
    paid = step_h * (cp.multiply(price, bought) - export_ratio * cp.multiply(price, sold))
    return EnergyCost(paid, constraints, binaries, likely, exact)


def marginal_price(price: Float[np.ndarray, " horizon"], export_ratio: float) -> Float[np.ndarray, " horizon"]:
    """Least that one more MWh drawn from the grid can cost, importing or exporting [currency/MWh].

    Where it is negative, waste pays: charging and discharging at once, or fictitious losses.
    """
    return np.minimum(price, price * export_ratio)
