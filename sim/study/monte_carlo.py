"""Reliability of a schedule: what full AC power flow says of it under many samples of forecast errors.

The devices keep their setpoints, loads and generation differ from the forecast by the sampled errors, and every
sample, step and network is solved in AC. Samples are streamed, and only four numbers of each are kept.
Inside the limits means the voltage limits of the buses; ratings of lines and transformers are not judged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from gridferry.controllers.contract import Forecast, Plant
from gridferry.controllers.schedule.settlement import settled_mw
from gridferry.controllers.uncertainty.error_map import ErrorMap
from gridferry.networks.admittance import admittance
from gridferry.networks.feeder import Feeder
from gridferry.sim.grid.power_grid_model_engine import PowerGridModelEngine
from gridferry.sim.study.estimates import Estimate, clustered_share, mean, share

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles given of a distribution."""
_FLOWS = 2_048
"""Power flows in one batch at most; bounds memory, and keeps the work arrays in the cache."""


@dataclass(frozen=True)
class Distribution:
    """Spread of a daily sum over the samples.

    Attributes
    ----------
    mean : with its confidence interval
    std : standard deviation between samples
    quantiles : value at each of the shares `QUANTILES`
    """

    mean: Estimate
    std: float
    quantiles: dict[float, float]


@dataclass(frozen=True)
class Reliability:
    """How a schedule fares in AC.

    Attributes
    ----------
    samples, steps : sampled days (horizons) and steps of each
    flows, diverged : power flows solved, and those of them without a solution; these count as outside the limits, and
        samples with one are left out of losses and costs
    joint : share of samples with every bus and step inside its limits
    step : share of sample-steps with every bus inside
    worst_bus_step : lowest share over single bus-steps, what an individual chance constraint promises; its
        interval is that of this bus-step by itself
    worst_bus, worst_step : where that is; the bus counts along the axis of all buses
    losses_mwh : mean losses of all networks per sample [MWh]
    procurement_cost : all energy bought less all sold, each network by itself, and the fixed cost [currency]
    controllable_cost : the same less the energy of loads and generation at the buying price [currency]
    seconds : time taken
    """

    samples: int
    steps: int
    flows: int
    diverged: int
    joint: Estimate
    step: Estimate
    worst_bus_step: Estimate
    worst_bus: int
    worst_step: int
    losses_mwh: Estimate
    procurement_cost: Distribution
    controllable_cost: Distribution
    seconds: float


def reliability(
    plant: Plant,
    forecast: Forecast,
    device_p_mw: Float[np.ndarray, "horizon bus"],
    device_q_mvar: Float[np.ndarray, "horizon bus"],
    error_map: ErrorMap,
    errors: Iterable[Float[np.ndarray, "_ horizon source"]],
    *,
    fixed_cost: float = 0.0,
    v_tolerance_pu: float = 1e-6,
    confidence: float = 0.95,
    threads: int = 0,
) -> Reliability:
    """Judge the setpoints of the devices by AC power flow under sampled errors.

    Parameters
    ----------
    forecast : what the schedule was made for; its own error samples are not used
    device_p_mw, device_q_mvar : what all devices at a bus inject [MW, Mvar]
    error_map, errors : sources, and their samples in chunks (`ErrorModel.stream`)
    fixed_cost : cost of the devices, added to that of the energy [currency]
    v_tolerance_pu : a voltage this far outside its limits still counts as inside [pu]
    confidence : of the intervals
    threads : threads of the AC engine; 0 takes all there are, -1 one

    Raises
    ------
    ValueError
        for shapes that do not fit the plant, the forecast and the sources.
    """
    began = time.perf_counter()
    _check(plant, forecast, device_p_mw, device_q_mvar, error_map)
    networks = _networks(plant, forecast, device_p_mw, device_q_mvar, error_map, threads)
    price = forecast.buy_price * plant.step_h
    of_sources = _source_energy(networks)
    inside = np.zeros((forecast.steps, plant.n_bus), dtype=np.int64)
    tally = _Tally()
    for chunk in _portions(errors, forecast.steps, len(error_map.sources)):
        by_step = np.ascontiguousarray(chunk.transpose(1, 0, 2))
        all_inside = np.ones(by_step.shape[:2], dtype=bool)
        losses = np.zeros(len(chunk))
        cost = np.zeros(len(chunk))
        for network in networks:
            outcome = network.solve(by_step, v_tolerance_pu)
            inside[:, network.buses] += outcome.inside.sum(axis=1)
            all_inside &= outcome.inside.all(axis=2)
            losses += outcome.losses_mw.sum(axis=0) * plant.step_h
            cost += price @ settled_mw(outcome.import_mw, plant.export_price_ratio)
            tally.diverged += int(np.isnan(outcome.import_mw).sum())
        demand = price @ (of_sources[0][:, None] + np.einsum("hns,hs->hn", by_step, of_sources[1]))
        tally.add(all_inside, losses, cost + fixed_cost, cost + fixed_cost - demand)
    return _summary(tally, inside, forecast.steps, len(networks), confidence, time.perf_counter() - began)


# ------------------------------------------------------------------------------------------------------ one network


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Results of one network and chunk, step by step; NaN where the flow diverged."""

    inside: np.ndarray
    import_mw: Float[np.ndarray, "horizon sample"]
    losses_mw: Float[np.ndarray, "horizon sample"]


@dataclass(frozen=True, eq=False)
class _SampledNetwork:
    """A feeder at its forecast, and how its injections follow the errors."""

    feeder: Feeder
    buses: slice
    engine: PowerGridModelEngine
    p_mw: Float[np.ndarray, "horizon bus"]
    q_mvar: Float[np.ndarray, "horizon bus"]
    device_p_mw: Float[np.ndarray, "horizon bus"]
    p_per_error: Float[np.ndarray, "horizon source bus"]
    q_per_error: Float[np.ndarray, "horizon source bus"]

    def solve(self, errors: Float[np.ndarray, "horizon sample source"], v_tolerance_pu: float) -> _Outcome:
        """Solve every step and sample; import follows from the current that leaves the slack."""
        feeder = self.feeder
        shape = (*errors.shape[:2], feeder.n_bus)
        p = (self.p_mw[:, None] + errors @ self.p_per_error).reshape(-1, feeder.n_bus)
        q = (self.q_mvar[:, None] + errors @ self.q_per_error).reshape(-1, feeder.n_bus)
        v_pu, angle, _ = self.engine.solve_polar(p, q)
        at_slack = admittance(feeder).bus[feeder.slack].tocoo()
        current = (v_pu[:, at_slack.col] * np.exp(1j * angle[:, at_slack.col])) @ at_slack.data
        supplied = feeder.base_mva * (feeder.slack_v_pu * current).real
        # a diverged flow is NaN, which no comparison passes
        inside = (v_pu >= feeder.v_min_pu - v_tolerance_pu) & (v_pu <= feeder.v_max_pu + v_tolerance_pu)
        import_mw = supplied - p[:, feeder.slack]
        return _Outcome(
            inside=inside.reshape(shape),
            import_mw=import_mw.reshape(shape[:2]),
            losses_mw=(import_mw + p.sum(axis=1)).reshape(shape[:2]),
        )


def _networks(
    plant: Plant,
    forecast: Forecast,
    device_p_mw: Float[np.ndarray, "horizon bus"],
    device_q_mvar: Float[np.ndarray, "horizon bus"],
    error_map: ErrorMap,
    threads: int,
) -> list[_SampledNetwork]:
    p = device_p_mw - forecast.net_load_mw(plant)
    q = device_q_mvar - forecast.load_q_mvar
    p_per_error, q_per_error = error_map.injections(
        forecast.load_p_mw, forecast.load_q_mvar, forecast.profiled_mw(plant)
    )
    return [
        _SampledNetwork(
            feeder=feeder,
            buses=buses,
            engine=PowerGridModelEngine(feeder, threads=threads),
            p_mw=p[:, buses],
            q_mvar=q[:, buses],
            device_p_mw=device_p_mw[:, buses],
            p_per_error=np.ascontiguousarray(p_per_error[:, buses].transpose(0, 2, 1)),
            q_per_error=np.ascontiguousarray(q_per_error[:, buses].transpose(0, 2, 1)),
        )
        for feeder, buses in zip(plant.feeders, plant.bus_slices, strict=True)
    ]


def _source_energy(
    networks: list[_SampledNetwork],
) -> tuple[Float[np.ndarray, " horizon"], Float[np.ndarray, "horizon source"]]:
    """Load less generation of all networks, at the forecast [MW] and per unit of each error [MW]."""
    forecast = -sum((one.p_mw - one.device_p_mw).sum(axis=1) for one in networks)
    return np.asarray(forecast), np.asarray(-sum(one.p_per_error.sum(axis=2) for one in networks))


# -------------------------------------------------------------------------------------------------- counting samples


@dataclass
class _Tally:
    """What is kept of every sample: a few numbers."""

    diverged: int = 0
    steps_inside: list[np.ndarray] = field(default_factory=list)
    losses_mwh: list[np.ndarray] = field(default_factory=list)
    procurement: list[np.ndarray] = field(default_factory=list)
    controllable: list[np.ndarray] = field(default_factory=list)

    def add(self, inside: np.ndarray, losses: np.ndarray, procurement: np.ndarray, controllable: np.ndarray) -> None:
        """Add a chunk; ``inside`` tells of every step and sample whether all buses were."""
        self.steps_inside.append(inside.sum(axis=0))
        self.losses_mwh.append(losses)
        self.procurement.append(procurement)
        self.controllable.append(controllable)


def _summary(
    tally: _Tally, inside: Int[np.ndarray, "horizon bus"], steps: int, networks: int, confidence: float, seconds: float
) -> Reliability:
    steps_inside = _joined(tally.steps_inside)
    samples = len(steps_inside)
    worst_step, worst_bus = (int(i) for i in np.unravel_index(np.argmin(inside), inside.shape))
    return Reliability(
        samples=samples,
        steps=steps,
        flows=samples * steps * networks,
        diverged=tally.diverged,
        joint=share(int((steps_inside == steps).sum()), samples, confidence),
        step=clustered_share(steps_inside / steps, confidence),
        worst_bus_step=share(int(inside[worst_step, worst_bus]), samples, confidence),
        worst_bus=worst_bus,
        worst_step=worst_step,
        losses_mwh=mean(_solved(tally.losses_mwh), confidence),
        procurement_cost=_distribution(_solved(tally.procurement), confidence),
        controllable_cost=_distribution(_solved(tally.controllable), confidence),
        seconds=seconds,
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)


def _solved(parts: list[np.ndarray]) -> Float[np.ndarray, " sample"]:
    values = _joined(parts)
    return values[np.isfinite(values)]


def _distribution(values: Float[np.ndarray, " sample"], confidence: float) -> Distribution:
    quantiles = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    return Distribution(
        mean=mean(values, confidence),
        std=float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
        quantiles={of: float(value) for of, value in zip(QUANTILES, quantiles, strict=True)},
    )


def _portions(
    errors: Iterable[np.ndarray], steps: int, sources: int
) -> Iterator[Float[np.ndarray, "sample horizon source"]]:
    """Cut chunks that would make too many flows at once."""
    most = max(1, _FLOWS // steps)
    for chunk in errors:
        if chunk.shape[1:] != (steps, sources):
            raise ValueError(f"error samples have shape {chunk.shape}; (sample, {steps}, {sources}) is needed")
        for start in range(0, len(chunk), most):
            yield chunk[start : start + most]


def _check(
    plant: Plant, forecast: Forecast, device_p_mw: np.ndarray, device_q_mvar: np.ndarray, error_map: ErrorMap
) -> None:
    wanted = (forecast.steps, plant.n_bus)
    if device_p_mw.shape != wanted or device_q_mvar.shape != wanted:
        raise ValueError(
            f"device injections have shapes {device_p_mw.shape}, {device_q_mvar.shape}; {wanted} is needed"
        )
    shapes = (error_map.load.shape, error_map.generation.shape)
    sources = len(error_map.sources)
    if shapes != ((plant.n_bus, sources), (len(plant.profiled), sources)):
        raise ValueError(f"the error map has shapes {shapes}, which do not fit the plant's buses and generators")
