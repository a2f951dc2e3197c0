"""Nodal admittances of a feeder, and the flows and injections that follow from complex voltages.

Everything here is exact: the π section, the off-nominal taps and shifts of every branch and the shunts of every bus are
carried. Phase shifts follow MATPOWER: a positive ``shift_deg`` makes the child lag its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from jaxtyping import Complex, Float, Int

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.feeder import Feeder


@dataclass(frozen=True, eq=False)
class BranchAdmittance:
    """Two-port admittances of all branches [pu]: ``[i_parent, i_child] = [[pp, pc], [cp, cc]] [v_parent, v_child]``."""

    pp: Complex[np.ndarray, " branch"]
    pc: Complex[np.ndarray, " branch"]
    cp: Complex[np.ndarray, " branch"]
    cc: Complex[np.ndarray, " branch"]


@dataclass(frozen=True, eq=False)
class Admittance:
    """Nodal and branch admittances of a feeder, as sparse matrices [pu].

    Attributes
    ----------
    bus : injected currents from voltages, ``i = bus @ v``, csc ``(bus, bus)``
    parent, child : currents into the branches at either end, ``parent @ v`` and ``child @ v``, csc ``(branch, bus)``
    """

    bus: sp.csc_matrix
    parent: sp.csc_matrix
    child: sp.csc_matrix


@dataclass(frozen=True, eq=False)
class BranchFlows:
    """Flows, currents and losses of all branches.

    Attributes
    ----------
    s_parent_mva, s_child_mva : complex power into the branch at its parent and child end; their sum is lost in it [MVA]
    i_parent_pu, i_child_pu : current magnitude at the ends of the π section, comparable with `Feeder.i_max_pu` [pu]
    """

    s_parent_mva: Complex[np.ndarray, "*batch branch"]
    s_child_mva: Complex[np.ndarray, "*batch branch"]
    i_parent_pu: Float[np.ndarray, "*batch branch"]
    i_child_pu: Float[np.ndarray, "*batch branch"]


@lru_cache(maxsize=64)
def branch_admittance(feeder: Feeder) -> BranchAdmittance:
    """Compute the two-port admittances of all branches.

    Raises
    ------
    InputError
        naming the branches without series impedance; their buses should be one.
    """
    z = feeder.r_pu + 1j * feeder.x_pu
    if not np.all(z):
        raise InputError(
            Fault(
                feeder.name,
                f"branch {feeder.branch_names[branch]}",
                "r = x = 0: an AC power flow needs a series impedance; join its two buses into one",
            )
            for branch in np.flatnonzero(z == 0)
        )
    y = 1.0 / z
    tap_parent = feeder.tap_parent * np.exp(1j * np.deg2rad(feeder.shift_deg))
    tap_child = feeder.tap_child
    return BranchAdmittance(
        pp=(y + feeder.g_parent_pu + 1j * feeder.b_parent_pu) / feeder.tap_parent**2,
        pc=-y / (tap_parent.conj() * tap_child),
        cp=-y / (tap_parent * tap_child),
        cc=(y + feeder.g_child_pu + 1j * feeder.b_child_pu) / tap_child**2,
    )


@lru_cache(maxsize=64)
def admittance(feeder: Feeder) -> Admittance:
    """Compute the admittances of a feeder; raises `InputError` for a branch without impedance."""
    two_port = branch_admittance(feeder)
    rows = np.arange(feeder.n_branch)
    shape = (feeder.n_branch, feeder.n_bus)
    ends = (np.concatenate([rows, rows]), np.concatenate([feeder.parent, feeder.child]))
    parent = sp.csc_matrix((np.concatenate([two_port.pp, two_port.pc]), ends), shape=shape)
    child = sp.csc_matrix((np.concatenate([two_port.cp, two_port.cc]), ends), shape=shape)
    at_parent = sp.csc_matrix((np.ones(feeder.n_branch), (feeder.parent, rows)), shape=shape[::-1])
    at_child = sp.csc_matrix((np.ones(feeder.n_branch), (feeder.child, rows)), shape=shape[::-1])
    shunt = sp.diags(feeder.g_shunt_pu + 1j * feeder.b_shunt_pu, format="csc")
    return Admittance(bus=sp.csc_matrix(at_parent @ parent + at_child @ child + shunt), parent=parent, child=child)


def rounding_pu(feeder: Feeder) -> float:
    """Mismatch of power that rounding may leave at a bus, where admittances are large [pu]."""
    return 4.0 * float(np.finfo(float).eps * np.abs(admittance(feeder).bus.diagonal()).max())


def branch_flows(feeder: Feeder, v: Complex[np.ndarray, "*batch bus"]) -> BranchFlows:
    """Compute the flows of all branches at complex voltages ``v`` [pu]; NaN voltages give NaN flows."""
    two_port = branch_admittance(feeder)
    v_parent, v_child = v[..., feeder.parent], v[..., feeder.child]
    i_parent = two_port.pp * v_parent + two_port.pc * v_child
    i_child = two_port.cp * v_parent + two_port.cc * v_child
    return BranchFlows(
        s_parent_mva=feeder.base_mva * v_parent * i_parent.conj(),
        s_child_mva=feeder.base_mva * v_child * i_child.conj(),
        i_parent_pu=np.abs(i_parent) * feeder.tap_parent,
        i_child_pu=np.abs(i_child) * feeder.tap_child,
    )


def section_currents(
    feeder: Feeder, v: Complex[np.ndarray, "*batch bus"], branches: Int[np.ndarray, " some"]
) -> Complex[np.ndarray, "2 *batch some"]:
    """Complex currents into the π sections of some branches at their parents' and children's ends, at voltages [pu].

    They are linear in the voltages, so that of a change of these it returns that of the currents.
    """
    two_port = branch_admittance(feeder)
    v_parent, v_child = v[..., feeder.parent[branches]], v[..., feeder.child[branches]]
    return np.stack(
        [
            (two_port.pp[branches] * v_parent + two_port.pc[branches] * v_child) * feeder.tap_parent[branches],
            (two_port.cp[branches] * v_parent + two_port.cc[branches] * v_child) * feeder.tap_child[branches],
        ]
    )


def bus_injections(feeder: Feeder, v: Complex[np.ndarray, "*batch bus"]) -> Complex[np.ndarray, "*batch bus"]:
    """Complex power injected by every bus at voltages ``v`` [pu]; the slack's with the supply from above [MVA]."""
    current = (admittance(feeder).bus @ v.reshape(-1, feeder.n_bus).T).T.reshape(v.shape)
    return feeder.base_mva * v * current.conj()


def supplied_mw(feeder: Feeder, v: Complex[np.ndarray, "*batch bus"]) -> Float[np.ndarray, "*batch"]:
    """Active power that the slack bus injects at voltages ``v`` [pu], with the supply from above [MW]."""
    buses, admittances = _at_slack(feeder)
    current = v[..., buses] @ admittances
    return np.asarray(feeder.base_mva * (v[..., feeder.slack] * current.conj()).real)


@lru_cache(maxsize=64)
def _at_slack(feeder: Feeder) -> tuple[Int[np.ndarray, " near"], Complex[np.ndarray, " near"]]:
    """Buses that the current of the slack bus depends on, and the admittances to them [pu]."""
    row = admittance(feeder).bus[feeder.slack].tocoo()
    return row.col, row.data
