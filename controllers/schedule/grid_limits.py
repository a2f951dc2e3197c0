"""Limits of the grid, and by how much AC power flows violate them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances
from gridferry.controllers.contract import Plant
from gridferry.controllers.plans.violation import RelativeViolation, voltage_band
from gridferry.controllers.schedule.ac_flow import AcFlow


@dataclass(frozen=True, kw_only=True, eq=False)
class GridViolation:
    """By how much power flows violate limits; 0 within the tolerance, and in networks without a solution.

    Attributes
    ----------
    plant : whose networks
    v_low_pu, v_high_pu : below the lower and above the upper limit of a voltage [pu]
    loading : above the limit of the loading, as a share of the rating
    exchange_mw : of import or export above its limit [MW]
    unsolved : networks without a solution
    """

    plant: Plant
    v_low_pu: Float[np.ndarray, "*batch bus"]
    v_high_pu: Float[np.ndarray, "*batch bus"]
    loading: Float[np.ndarray, "*batch branch"]
    exchange_mw: Float[np.ndarray, "*batch network"]
    unsolved: Int[np.ndarray, "*batch"]

    @property
    def broken(self) -> Int[np.ndarray, "*batch"]:
        """Number of limits violated, those of slack buses among them, as the record of a run counts them."""
        every = (self.v_low_pu, self.v_high_pu, self.loading, self.exchange_mw)
        return np.asarray(sum((one > 0).sum(axis=-1) for one in every))

    @property
    def scaled(self) -> list[Float[np.ndarray, "*batch _"]]:
        """Violations on the one scale, without the voltages of slack buses, which are the same under every plan."""
        feeders = self.plant.feeders
        band = np.concatenate([voltage_band(one.v_min_pu, one.v_max_pu) for one in feeders])
        free = ~slack_buses(self.plant)
        exchange = self.exchange_mw / np.array([one.exchange_unit_mw for one in feeders])
        return [self.v_low_pu[..., free] / band[free], self.v_high_pu[..., free] / band[free], self.loading, exchange]

    @property
    def relative(self) -> RelativeViolation:
        """Violation of all limits on the one scale."""
        return RelativeViolation.of(self.unsolved, self.scaled)


@dataclass(frozen=True, kw_only=True, eq=False)
class GridLimits:
    """Limits of the grid that schedules are evaluated against.

    Attributes
    ----------
    plant : whose networks
    v_low_pu, v_high_pu : of voltages [pu]
    loading : of currents, as a share of the rating
    v_tolerance_pu, loading_tolerance : what exceeds a limit by less violates none [pu, share]
    """

    plant: Plant
    v_low_pu: Float[np.ndarray, "*horizon bus"]
    v_high_pu: Float[np.ndarray, "*horizon bus"]
    loading: Float[np.ndarray, "*horizon branch"]
    v_tolerance_pu: float = tolerances.VOLTAGE_AC_PU
    loading_tolerance: float = tolerances.LOADING_AC

    def violation(self, flow: AcFlow) -> GridViolation:
        """Return by how much power flows violate the limits."""
        loading = np.zeros((*flow.v.shape[:-1], self.plant.n_branch))
        if any(np.isfinite(one.i_max_pu).any() for one in self.plant.feeders):
            loading = _beyond(flow.loading - self.loading, self.loading_tolerance)
        return GridViolation(
            plant=self.plant,
            v_low_pu=_beyond(self.v_low_pu - flow.v_pu, self.v_tolerance_pu),
            v_high_pu=_beyond(flow.v_pu - self.v_high_pu, self.v_tolerance_pu),
            loading=loading,
            exchange_mw=self._exchange(flow),
            unsolved=np.asarray((~flow.converged).sum(axis=-1)),
        )

    def _exchange(self, flow: AcFlow) -> Float[np.ndarray, "*batch network"]:
        """Import or export above its limit [MW]."""
        feeders = self.plant.feeders
        most, least = (np.array([getattr(one, f"{way}_max_mw") for one in feeders]) for way in ("import", "export"))
        if not np.isfinite([most, least]).any():
            return np.zeros((*flow.v.shape[:-1], len(feeders)))
        by = np.maximum(flow.import_mw - most, -flow.import_mw - least)
        return np.where(by > self.loading_tolerance * np.array([one.exchange_unit_mw for one in feeders]), by, 0.0)


def plain_limits(plant: Plant, v_margin_pu: float = 0.0) -> GridLimits:
    """Return the limits of a plant in every step.

    Parameters
    ----------
    v_margin_pu : distance kept from voltage limits [pu]
    """
    return GridLimits(
        plant=plant,
        v_low_pu=np.concatenate([one.v_min_pu for one in plant.feeders]) + v_margin_pu,
        v_high_pu=np.concatenate([one.v_max_pu for one in plant.feeders]) - v_margin_pu,
        loading=np.concatenate([one.loading_max for one in plant.feeders]),
    )


def slack_buses(plant: Plant) -> Bool[np.ndarray, " bus"]:
    """Mask of the buses whose voltage no controller changes."""
    found = np.zeros(plant.n_bus, dtype=bool)
    found[[buses.start + one.slack for one, buses in zip(plant.feeders, plant.bus_slices, strict=True)]] = True
    return found


def _beyond(distance: Float[np.ndarray, ...], tolerance: float) -> Float[np.ndarray, ...]:
    return np.where(distance > tolerance, distance, 0.0)
