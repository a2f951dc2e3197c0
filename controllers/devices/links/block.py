"""Optimisation block of an MVDC link: converters in balance on the DC side [B, §2.1].

Σ_k (P_k + loss_k) = 0          over the terminals of a link, two or more
loss_k ≥ A_k ‖(P_k, Q_k)‖       the cone; equality is the converter
P_k² + Q_k² ≤ S_k²
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.devices.links.device import Link
from gridferry.controllers.devices.planning.block import Ahead, Block, Losses, Planned
from gridferry.controllers.devices.steps import Now, Requests, Stateless

_NEAR_MW = 1e-5
"""what a solver's tolerance leaves of a power; more is fictitious loss"""


@dataclass(frozen=True, eq=False)
class LinkPower:
    """Power of a link's terminals over the horizon.

    Attributes
    ----------
    p, q : injection of every terminal into its network (horizon, terminal) [MW, Mvar]
    loss : converter losses (horizon, terminal) [MW]
    constraints : ratings, loss cones, balance
    cones : those of them that relax the losses
    """

    p: cp.Variable
    q: cp.Variable
    loss: cp.Variable
    constraints: list[cp.Constraint]
    cones: list[cp.SOC]


def link_power(link: Link, horizon: int, available: Float[np.ndarray, " horizon"] | None = None) -> LinkPower:
    """Keep every terminal within its rating, and the link in balance.

    The rating is counted in shares of itself, so that links of any size are scaled alike.

    Parameters
    ----------
    available : share of all ratings that is in service; all of it when not given
    """
    shape = (horizon, len(link.terminals))
    p, q, loss = cp.Variable(shape), cp.Variable(shape), cp.Variable(shape)
    constraints: list[cp.Constraint] = [cp.sum(p + loss, axis=1) == 0]
    cones: list[cp.SOC] = []
    share = np.ones(horizon) if available is None else available
    for k, terminal in enumerate(link.terminals):
        power = cp.vstack([p[:, k], q[:, k]])
        # implied by the cone; as plain rows they bound linear relaxations, and vanish with the share
        most = terminal.s_max_mva * share
        constraints += [p[:, k] <= most, p[:, k] >= -most, q[:, k] <= most, q[:, k] >= -most]
        constraints.append(cp.SOC(share, power / terminal.s_max_mva, axis=0))
        if terminal.loss_coefficient > 0:
            cones.append(cp.SOC(loss[:, k], terminal.loss_coefficient * power, axis=0))
        else:
            constraints.append(loss[:, k] == 0)
    return LinkPower(p, q, loss, [*constraints, *cones], cones)


def link_block(link: Link, ahead: Ahead) -> Block:
    """Return the block of a link."""
    power = link_power(link, ahead.horizon, ahead.series["availability"])
    at = [((k, terminal.bus), k) for k, terminal in enumerate(link.terminals)]
    losses = Losses(
        mw=cp.sum(power.loss, axis=1),
        largest_mw=sum(one.s_max_mva * one.loss_coefficient for one in link.terminals),
        fictitious_mw=lambda: loss_slack_mw(link, power),
        cones=power.cones,
    )
    return Block(
        p={key: power.p[:, k] for key, k in at},
        q={key: power.q[:, k] for key, k in at},
        constraints={"converters": power.constraints},
        losses=(losses,),
        plan=lambda: _planned(link, power, ahead),
    )


def _planned(link: Link, power: LinkPower, ahead: Ahead) -> Planned:
    """Return what the link does of the solution: near a rating, Q hangs on the last digits of P."""
    p, q = power.p.value, power.q.value
    nothing = np.zeros((ahead.horizon, 0), dtype=np.int64)
    nows = [Now(ahead.step_h, series={"availability": float(one)}) for one in ahead.series["availability"]]
    done = link.simulate_many(Stateless(), Requests(p[None], q[None], nothing[None]), nows)
    apart = np.maximum(np.abs(done.p_mw[0] - p), np.abs(done.q_mvar[0] - q)).max(axis=1, keepdims=True)
    near = apart <= _NEAR_MW
    return Planned(p_mw=np.where(near, done.p_mw[0], p), q_mvar=np.where(near, done.q_mvar[0], q), position=nothing)


def converter_loss(
    link: Link, p_mw: Float[np.ndarray, "horizon terminal"], q_mvar: Float[np.ndarray, "horizon terminal"]
) -> Float[np.ndarray, "horizon terminal"]:
    """Loss of every converter at given power, ``A √(P² + Q²)`` [MW]."""
    return np.array([one.loss_coefficient for one in link.terminals]) * np.hypot(p_mw, q_mvar)


def loss_slack_mw(link: Link, power: LinkPower) -> float:
    """Largest fictitious converter loss of a solved link [MW]; 0 where the cones are tight."""
    true = converter_loss(link, power.p.value, power.q.value)
    return float(np.max(power.loss.value - true, initial=0.0))
