"""DistFlow with second-order cones: branch flow of a radial feeder over a horizon.

A branch is an ideal transformer, a π section and an ideal transformer (`gridferry.networks.feeder.Feeder`).
With ``w = v / tap²`` the squared voltages at the ends of the section and ``p, q`` the flow into it at the parent's end:

    p_s = p - g_i w_i,   q_s = q + b_i w_i                  into the series impedance
    ℓ w_i ≥ p_s² + q_s²                                     the cone; equality is the power flow   [A, eqs. 10-12, 35]
    w_j = w_i - 2 (r p_s + x q_s) + (r² + x²) ℓ
    p_j = p_s - r ℓ - g_j w_j,   q_j = q_s - x ℓ + b_j w_j  out of the section at the child's end

A plain line has no shunts and taps of 1, so that ``p_s = p`` and ``w = v``.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from gridferry.controllers.model.exact_flow import exact_flow
from gridferry.controllers.model.flow_bounds import FlowRange
from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, eq=False)
class BranchFlow:
    """Flow of one feeder over the horizon, in per unit of its base.

    Attributes
    ----------
    v_sq : squared voltage of every bus (horizon, bus) [pu²]
    p, q : flow into every branch at its parent's end (horizon, branch) [pu]
    p_series, q_series : flow into its series impedance (horizon, branch) [pu]
    i_sq : squared current of the series impedance (horizon, branch), 0 where there is none [pu²]
    w_parent, w_child : squared voltages at the ends of the π section (horizon, branch) [pu²]
    p_child, q_child : flow out of every branch into its child bus (horizon, branch) [pu]
    p_import, q_import : drawn from the grid above at the slack bus (horizon,) [pu]
    losses : active power lost in branches and shunts (horizon,) [pu]
    named : constraints that tie them together, by name
    """

    v_sq: cp.Expression
    p: cp.Expression
    q: cp.Expression
    p_series: cp.Expression
    q_series: cp.Expression
    i_sq: cp.Expression
    w_parent: cp.Expression
    w_child: cp.Expression
    p_child: cp.Expression
    q_child: cp.Expression
    p_import: cp.Expression
    q_import: cp.Expression
    losses: cp.Expression
    named: dict[str, list[cp.Constraint]]

    @property
    def constraints(self) -> list[cp.Constraint]:
        """All constraints."""
        return [one for part in self.named.values() for one in part]


def branch_flow(feeder: Feeder, p_injection: cp.Expression, q_injection: cp.Expression) -> BranchFlow:
    """Relate the injections at the buses to flows and voltages, without any limit.

    Parameters
    ----------
    p_injection, q_injection : net injection (generation + devices - load) of every bus (horizon, bus) [pu]
    """
    horizon = p_injection.shape[0]
    v_sq = cp.Variable((horizon, feeder.n_bus), name="v_sq")
    p = cp.Variable((horizon, feeder.n_branch), name="p")
    q = cp.Variable((horizon, feeder.n_branch), name="q")
    i_sq = _currents(feeder, horizon)
    p_import, q_import = cp.Variable(horizon, name="p_import"), cp.Variable(horizon, name="q_import")

    w_parent = v_sq @ _at(feeder.parent, feeder, 1.0 / feeder.tap_parent**2).T
    w_child = v_sq @ _at(feeder.child, feeder, 1.0 / feeder.tap_child**2).T
    p_series = p - _scaled(w_parent, feeder.g_parent_pu)
    q_series = q + _scaled(w_parent, feeder.b_parent_pu)
    p_child = p_series - _scaled(i_sq, feeder.r_pu) - _scaled(w_child, feeder.g_child_pu)
    q_child = q_series - _scaled(i_sq, feeder.x_pu) + _scaled(w_child, feeder.b_child_pu)
    losses = cp.sum(p - p_child, axis=1)
    if feeder.g_shunt_pu.any():
        losses = losses + v_sq @ feeder.g_shunt_pu
    flow = BranchFlow(
        v_sq=v_sq,
        p=p,
        q=q,
        p_series=p_series,
        q_series=q_series,
        i_sq=i_sq,
        w_parent=w_parent,
        w_child=w_child,
        p_child=p_child,
        q_child=q_child,
        p_import=p_import,
        q_import=q_import,
        losses=losses,
        named={},
    )
    flow.named.update(
        power_balance=power_balance(feeder, flow, p_injection, q_injection),
        voltage_drop=voltage_drop(feeder, flow),
        current_cone=current_cone(feeder, flow),
        slack_voltage=[v_sq[:, feeder.slack] == feeder.slack_v_pu**2],
    )
    return flow


def power_balance(
    feeder: Feeder, flow: BranchFlow, p_injection: cp.Expression, q_injection: cp.Expression
) -> list[cp.Constraint]:
    """Balance the power of every bus: inflow, injection and import against outflow and shunt [A, eqs. 6-9]."""
    leaving, entering = _at(feeder.parent, feeder), _at(feeder.child, feeder)
    at_slack = sp.csr_array(([1.0], ([0], [feeder.slack])), shape=(1, feeder.n_bus))
    column = (flow.v_sq.shape[0], 1)
    p_grid = cp.reshape(flow.p_import, column, order="C") @ at_slack
    q_grid = cp.reshape(flow.q_import, column, order="C") @ at_slack
    p_shunt = _scaled(flow.v_sq, feeder.g_shunt_pu)
    q_shunt = -_scaled(flow.v_sq, feeder.b_shunt_pu)
    return [
        flow.p_child @ entering - flow.p @ leaving + p_injection + p_grid - p_shunt == 0,
        flow.q_child @ entering - flow.q @ leaving + q_injection + q_grid - q_shunt == 0,
    ]


def voltage_drop(feeder: Feeder, flow: BranchFlow) -> list[cp.Constraint]:
    """Tie the squared voltages at the two ends of every series impedance [A, eq. 10].

    ``w_j = w_i - 2 (r p + x q) + (r² + x²) ℓ``
    """
    r, x = feeder.r_pu, feeder.x_pu
    drop = 2 * (_scaled(flow.p_series, r) + _scaled(flow.q_series, x)) - _scaled(flow.i_sq, r**2 + x**2)
    return [flow.w_child == flow.w_parent - drop]


def current_cone(feeder: Feeder, flow: BranchFlow) -> list[cp.Constraint]:
    """Relax ``ℓ w = p² + q²`` to ``‖(2p, 2q, ℓ - w)‖ ≤ ℓ + w`` [A, eq. 35], where there is an impedance."""
    at = _impedances(feeder)
    parts = (flow.i_sq, flow.w_parent, flow.p_series, flow.q_series)
    if len(at) < feeder.n_branch:
        parts = tuple(one[:, at] for one in parts)
    return [_product_above_squares(*parts)] if len(at) else []


def away_from_slack(feeder: Feeder) -> Int[np.ndarray, " other"]:
    """Buses that have voltage limits: all but the slack."""
    return np.flatnonzero(np.arange(feeder.n_bus) != feeder.slack)


def voltage_slack(
    feeder: Feeder,
    flow: BranchFlow,
    low_sq: Float[np.ndarray, "horizon bus"],
    high_sq: Float[np.ndarray, "horizon bus"],
) -> tuple[cp.Expression, cp.Expression]:
    """Slack of the lower and the upper voltage limit of every bus but the slack bus [pu²] [A, eq. 16].

    Parameters
    ----------
    low_sq, high_sq : limits of the squared voltages [pu²]
    """
    others = away_from_slack(feeder)
    v_sq = flow.v_sq[:, others]
    return v_sq - low_sq[:, others], high_sq[:, others] - v_sq


@dataclass(frozen=True, eq=False)
class CurrentSlack:
    """Slack of the ratings of some branches.

    Attributes
    ----------
    name : of the limit
    branch : numbers of the branches
    slack : squared rating less squared current (horizon, branch) [pu²]
    other_end : the same at the other end of a π section, where it differs
    constraints : what ties the current to the flow
    """

    name: str
    branch: Int[np.ndarray, " rated"]
    slack: cp.Expression
    other_end: cp.Expression | None
    constraints: list[cp.Constraint]


def current_slack(feeder: Feeder, flow: BranchFlow, rating: Float[np.ndarray, "horizon branch"]) -> list[CurrentSlack]:
    """Slack of the rating of every rated branch, at both ends of its π section where it is not one impedance.

    Parameters
    ----------
    rating : share of each rating that may be used
    """
    rated = np.isfinite(feeder.i_max_pu)
    shunted = np.any([feeder.g_parent_pu, feeder.b_parent_pu, feeder.g_child_pu, feeder.b_child_pu], axis=0)
    shunted |= (feeder.r_pu == 0) & (feeder.x_pu == 0)
    plain, charged = np.flatnonzero(rated & ~shunted), np.flatnonzero(rated & shunted)
    found: list[CurrentSlack] = []
    if len(plain):
        most = (rating[:, plain] * feeder.i_max_pu[plain]) ** 2
        found.append(CurrentSlack("rating", plain, most - flow.i_sq[:, plain], None, []))
    if len(charged):
        # the ends carry the charging current too: |S|² ≤ I² w, with a current of its own for each end
        most = (rating[:, charged] * feeder.i_max_pu[charged]) ** 2
        cones: list[cp.Constraint] = []
        slacks: list[cp.Expression] = []
        for p, q, w in ((flow.p, flow.q, flow.w_parent), (flow.p_child, flow.q_child, flow.w_child)):
            i_sq = cp.Variable(most.shape)
            cones.append(_product_above_squares(i_sq, w[:, charged], p[:, charged], q[:, charged]))
            slacks.append(most - i_sq)
        found.append(CurrentSlack("rating_at_ends", charged, slacks[0], slacks[1], cones))
    return found


def current_envelope(flow: BranchFlow, bounds: FlowRange, steps: Int[np.ndarray, " step"]) -> list[cp.Constraint]:
    """Limit the squared current of every branch in some steps by what every power flow keeps.

    An exact flow has ``ℓ w = |s|²``. What flows is what is given, c, and what devices may add, at most R:
    ``|s - c| ≤ R``. So its square is below a plane, and the product above its McCormick envelope:

        w̲ ℓ ≤ S,    w̄ ℓ + ℓ̄ (w - w̄) ≤ S,    ℓ ≤ ℓ̄ = (|c| + R)² / w̲,    S = 2 c's - |c|² + R²

    Parameters
    ----------
    steps : numbers of the steps
    """
    p, q, (w_low, w_high), most = bounds.p[steps], bounds.q[steps], bounds.w, bounds.i_sq[steps]
    plane = 2 * (cp.multiply(p, flow.p_series[steps]) + cp.multiply(q, flow.q_series[steps]))
    plane = plane + (bounds.radius[steps] ** 2 - p**2 - q**2)
    i_sq, w = flow.i_sq[steps], flow.w_parent[steps]
    return [
        i_sq <= most,
        cp.multiply(w_low[steps], i_sq) <= plane,
        cp.multiply(w_high[steps], i_sq) + cp.multiply(most, w - w_high[steps]) <= plane,
    ]


def exact_values(
    feeder: Feeder,
    flow: BranchFlow,
    p_injection: Float[np.ndarray, "horizon bus"],
    q_injection: Float[np.ndarray, "horizon bus"],
) -> dict[cp.Variable, np.ndarray] | None:
    """Values of the variables of a flow under net injections [pu] if its cones are equations; see `exact_flow`."""
    found = exact_flow(feeder, p_injection, q_injection)
    if found is None:
        return None
    values = {flow.v_sq: found.v_sq, flow.p: found.p, flow.q: found.q}
    values |= {one: found.i_sq[:, _impedances(feeder)] for one in flow.i_sq.variables()}
    return values | {flow.p_import: found.p_import, flow.q_import: found.q_import}


def cone_gap(flow: BranchFlow) -> float:
    """Return the largest ``ℓ w - p² - q²`` of a solved flow [pu²]; 0 is a power flow."""
    gap = flow.i_sq.value * flow.w_parent.value - flow.p_series.value**2 - flow.q_series.value**2
    return float(np.max(gap, initial=0.0))


def fictitious_losses(feeder: Feeder, flow: BranchFlow) -> float:
    """Return the largest ``|z| (ℓ - (p² + q²)/w)`` of a solved flow: fictitious losses of a branch [pu].

    A gap of the cone says little where the impedance is next to nothing; this is what it does to the flow.
    """
    through = (flow.p_series.value**2 + flow.q_series.value**2) / np.maximum(flow.w_parent.value, 1e-6)
    return float(np.max(np.hypot(feeder.r_pu, feeder.x_pu) * (flow.i_sq.value - through), initial=0.0))


def _impedances(feeder: Feeder) -> Int[np.ndarray, " impedance"]:
    """Branches that have an impedance."""
    return np.flatnonzero((feeder.r_pu != 0) | (feeder.x_pu != 0))


def _currents(feeder: Feeder, horizon: int) -> cp.Expression:
    """Squared currents of impedances, 0 in branches without any."""
    at = _impedances(feeder)
    if len(at) == feeder.n_branch or not len(at):
        shape = (horizon, feeder.n_branch)
        return cp.Variable(shape, name="i_sq") if len(at) else cp.Constant(np.zeros(shape))
    place = sp.csr_array((np.ones(len(at)), (np.arange(len(at)), at)), shape=(len(at), feeder.n_branch))
    return cp.Variable((horizon, len(at)), name="i_sq") @ place


def _product_above_squares(a: cp.Expression, b: cp.Expression, p: cp.Expression, q: cp.Expression) -> cp.Constraint:
    """``a b ≥ p² + q²`` with a, b ≥ 0, entry by entry."""
    flat = [cp.vec(one, order="F") for one in (a, b, p, q)]
    tails = cp.vstack([2 * flat[2], 2 * flat[3], flat[0] - flat[1]])
    return cp.SOC(flat[0] + flat[1], tails, axis=0)


def _at(bus: np.ndarray, feeder: Feeder, weight: Float[np.ndarray, " branch"] | None = None) -> sp.csr_array:
    """Matrix (branch, bus) with the weight of each branch, or 1, at its bus."""
    value = np.ones(len(bus)) if weight is None else weight
    return sp.csr_array((value, (np.arange(len(bus)), bus)), shape=(len(bus), feeder.n_bus))


def _scaled(expression: cp.Expression, factor: np.ndarray) -> cp.Expression:
    """Multiply the columns of an expression by factors."""
    return expression @ sp.diags_array(np.asarray(factor, dtype=float))
