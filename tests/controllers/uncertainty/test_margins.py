"""Margins against the full dual reformulation, against transported mass in the primal, and against their own laws."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridferry.controllers.uncertainty.margins import Norm, robust_margin, sample_cvar, wasserstein_margin


class Instance:
    """A random ball around few samples in a small box, some of them on its faces."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        sources, count = int(rng.integers(1, 4)), int(rng.integers(1, 9))
        self.low, self.high = -rng.uniform(0, 1, sources), rng.uniform(0, 1, sources)
        self.samples = np.clip(rng.normal(0.1, 0.5, (count, sources)), self.low, self.high)
        self.a = rng.normal(size=sources) * (rng.random(sources) > 0.15)
        self.confidence = float(rng.choice([0.0, 0.5, 0.8, 0.9, 0.95]))
        self.radius = float(rng.choice([0.01, 0.05, 0.2, 1.0]))
        self.support = np.stack([self.low, self.high])[:, None]

    def margin(self, norm: Norm, bounded: bool, **changes: float) -> float:
        options = {"confidence": self.confidence, "radius": self.radius, **changes}
        support = self.support if bounded else None
        return float(
            wasserstein_margin(self.a[None, None], self.samples[:, None], norm=norm, support=support, **options)[0, 0]
        )


def dual_reformulation(case: Instance, norm: Norm, bounded: bool) -> float:
    """Mohajerin Esfahani and Kuhn (2018), corollary 5.1, for the two pieces (aᵀξ - τ) and 0 of the positive part."""
    count, sources = case.samples.shape
    lam, tau, s = cp.Variable(nonneg=True), cp.Variable(), cp.Variable(count)
    faces = np.vstack([np.eye(sources), -np.eye(sources)])
    room = np.concatenate([case.high, -case.low]) - case.samples @ faces.T
    constraints = []
    for slope, offset in ((case.a, -tau), (0.0 * case.a, 0.0)):
        gamma = cp.Variable((count, 2 * sources), nonneg=True)
        constraints.append(offset + case.samples @ slope + cp.sum(cp.multiply(gamma, room), axis=1) <= s)
        pull = gamma @ faces - slope[None, :]
        if norm is Norm.ONE:
            constraints += [pull <= lam, pull >= -lam]
        else:
            constraints.append(cp.norm(pull, 2 if norm is Norm.TWO else 1, axis=1) <= lam)
        if not bounded:
            constraints.append(gamma == 0)
    problem = cp.Problem(
        cp.Minimize(tau + (lam * case.radius + cp.sum(s) / count) / (1 - case.confidence)), constraints
    )
    if norm is Norm.TWO:
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    else:
        problem.solve(solver=cp.HIGHS)
    return float(problem.value)


@pytest.mark.parametrize("bounded", [False, True], ids=["unbounded", "box"])
@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("seed", range(8))
def test_margin_equals_the_full_dual_reformulation(seed: int, norm: Norm, bounded: bool) -> None:
    case = Instance(seed)
    assert case.margin(norm, bounded) == pytest.approx(dual_reformulation(case, norm, bounded), abs=1e-7)


def transported(case: Instance, norm: Norm, points: np.ndarray) -> float:
    """Worst CVaR when the samples' mass may move to the given points only, as a transport problem.

    Unknowns: the mass from sample i to point k that lies in the worst share (w) and the mass that does not (u).
    """
    count = len(case.samples)
    points = np.concatenate([case.samples, points])
    order = {Norm.ONE: 1, Norm.TWO: 2, Norm.INF: np.inf}[norm]
    cost = np.linalg.norm(case.samples[:, None] - points[None], ord=order, axis=2).ravel()
    beta = 1 - case.confidence
    gain = np.tile(points @ case.a, count) / beta
    per_sample = np.kron(np.eye(count), np.ones(len(points)))
    zero = np.zeros_like(cost)
    solution = linprog(
        -np.concatenate([gain, zero]),
        A_ub=np.concatenate([cost, cost])[None],
        b_ub=[case.radius],
        A_eq=np.vstack([np.hstack([per_sample, per_sample]), np.concatenate([zero + 1, zero])]),
        b_eq=np.concatenate([np.full(count, 1 / count), [beta]]),
        method="highs",
    )
    assert solution.status == 0
    return float(-solution.fun)


@pytest.mark.parametrize("seed", range(8))
def test_one_norm_margin_is_what_mass_moved_to_the_faces_of_the_box_can_do(seed: int) -> None:
    """Under the 1-norm a coordinate of a worst outcome is a sample's own or a bound: this grid has the worst case."""
    case = Instance(seed)
    axes = [np.unique([lo, hi, *own]) for lo, hi, own in zip(case.low, case.high, case.samples.T, strict=True)]
    reached = transported(case, Norm.ONE, np.array([*itertools.product(*axes)]))
    assert case.margin(Norm.ONE, True) == pytest.approx(reached, abs=1e-9)


@pytest.mark.parametrize("norm", [Norm.TWO, Norm.INF])
def test_no_transport_on_a_grid_beats_the_margin_and_a_fine_grid_comes_near(norm: Norm) -> None:
    case = Instance(0)
    case.a, case.confidence, case.radius = np.array([0.8, -0.5]), 0.6, 0.1
    case.low, case.high = np.array([-0.4, -0.9]), np.array([0.5, 0.3])
    case.samples = np.random.default_rng(1).uniform(case.low, case.high, (6, 2))
    case.support = np.stack([case.low, case.high])[:, None]
    axes = [np.linspace(lo, hi, 41) for lo, hi in zip(case.low, case.high, strict=True)]
    reached = transported(case, norm, np.array([*itertools.product(*axes)]))
    margin = case.margin(norm, True)
    stay = sample_cvar((case.samples @ case.a)[None], 0.4)[0]
    assert stay + 0.05 < margin < robust_margin(case.a[None, None], case.support)[0, 0] - 0.01
    assert margin - 0.002 < reached <= margin + 1e-9


cases = st.integers(0, 100_000).map(Instance)
norms = st.sampled_from(list(Norm))


@given(case=cases, norm=norms)
@settings(max_examples=60, deadline=None)
def test_box_margin_lies_between_the_sample_cvar_and_the_robust_and_unbounded_margins(
    case: Instance, norm: Norm
) -> None:
    margin = case.margin(norm, True)
    robust = float(robust_margin(case.a[None, None], case.support)[0, 0])
    assert margin <= robust + 1e-9
    assert margin <= case.margin(norm, False) + 1e-9
    assert margin >= sample_cvar((case.samples @ case.a)[None], 1 - case.confidence)[0] - 1e-9


@given(case=cases, norm=norms, bounded=st.booleans())
@settings(max_examples=60, deadline=None)
def test_margin_grows_with_radius_and_confidence(case: Instance, norm: Norm, bounded: bool) -> None:
    for key, values in (("radius", [0.0, 0.003, 0.1, 10.0]), ("confidence", [0.0, 0.4, 0.8, 0.99])):
        margins = [case.margin(norm, bounded, **{key: value}) for value in values]
        assert np.all(np.diff(margins) >= -1e-9)


@given(case=cases, norm=norms, bounded=st.booleans())
@settings(max_examples=40, deadline=None)
def test_zero_radius_gives_the_mean_of_the_worst_samples(case: Instance, norm: Norm, bounded: bool) -> None:
    """The worst share beta counted by hand: whole samples from the top, the last in part."""
    beta = 1 - case.confidence
    left, total = beta * len(case.samples), 0.0
    for value in sorted(case.samples @ case.a, reverse=True):
        part = min(1.0, left)
        total += part * value
        left -= part
    expected = total / (beta * len(case.samples))
    assert case.margin(norm, bounded, radius=0.0) == pytest.approx(expected, abs=1e-9)


@given(case=cases, norm=norms, bounded=st.booleans(), scale=st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_margin_scales_with_the_sensitivities_and_ignores_the_order_of_samples_and_sources(
    case: Instance, norm: Norm, bounded: bool, scale: float
) -> None:
    before = case.margin(norm, bounded)
    case.a = scale * case.a[::-1]
    case.samples = np.roll(case.samples[:, ::-1], 1, axis=0)
    case.support = case.support[..., ::-1]
    assert case.margin(norm, bounded) == pytest.approx(scale * before, rel=1e-9, abs=1e-9)


@given(case=cases, norm=norms)
@settings(max_examples=20, deadline=None)
def test_a_large_ball_is_as_bad_as_the_support_box(case: Instance, norm: Norm) -> None:
    robust = float(robust_margin(case.a[None, None], case.support)[0, 0])
    assert case.margin(norm, True, radius=100.0) == pytest.approx(robust, abs=1e-9)


@given(case=cases, norm=norms)
@settings(max_examples=20, deadline=None)
def test_a_source_nothing_responds_to_changes_no_margin(case: Instance, norm: Norm) -> None:
    before = case.margin(norm, True)
    count = len(case.samples)
    case.a = np.append(case.a, 0.0)
    case.samples = np.column_stack([case.samples, np.linspace(-1, 1, count)])
    case.support = np.concatenate([case.support, [[[-1.0]], [[1.0]]]], axis=2)
    assert case.margin(norm, True) == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("bounded", [False, True], ids=["unbounded", "box"])
@pytest.mark.parametrize("norm", list(Norm))
def test_rows_and_steps_at_once_equal_one_by_one(norm: Norm, bounded: bool) -> None:
    rng = np.random.default_rng(3)
    sensitivity = rng.normal(size=(4, 5, 3))
    sensitivity[:, 0] = 0.0
    samples = np.clip(rng.normal(size=(20, 4, 3)), -1.5, 1.2)
    support = np.stack([np.full((4, 3), -1.5), np.full((4, 3), 1.2)])
    options = {"confidence": 0.9, "radius": 0.05, "norm": norm}
    margins = wasserstein_margin(sensitivity, samples, support=support if bounded else None, **options)
    for step, row in itertools.product(range(4), range(5)):
        alone = wasserstein_margin(
            sensitivity[step, row][None, None],
            samples[:, [step]],
            support=support[:, [step]] if bounded else None,
            **options,
        )
        assert margins[step, row] == pytest.approx(alone[0, 0], abs=1e-9)
    assert not margins[:, 0].any()
    if bounded:
        assert np.all(margins <= robust_margin(sensitivity, support) + 1e-12)


def test_margin_of_one_source_by_hand() -> None:
    """Two samples ±0.1 in [-0.3, 0.3], worst half = the upper sample; a budget of 0.05 moves its mass ½ by 0.1."""
    a, samples = np.array([[[2.0]]]), np.array([[[0.1]], [[-0.1]]])
    support = np.array([[[-0.3]], [[0.3]]])
    for norm in Norm:
        margin = wasserstein_margin(a, samples, confidence=0.5, radius=0.05, norm=norm, support=support)
        assert margin[0, 0] == pytest.approx(2 * 0.2)
        margin = wasserstein_margin(a, samples, confidence=0.5, radius=0.2, norm=norm, support=support)
        assert margin[0, 0] == pytest.approx(2 * 0.3)
        margin = wasserstein_margin(a, samples, confidence=0.5, radius=0.2, norm=norm)
        assert margin[0, 0] == pytest.approx(2 * (0.1 + 0.2 / 0.5))


def test_bad_input_is_named() -> None:
    a, samples = np.ones((1, 1, 1)), np.array([[[0.5]]])
    box = np.array([[[-0.3]], [[0.3]]])
    with pytest.raises(ValueError, match=r"sample 0, step 0, source 0 = 0\.5 lies outside its support \[-0\.3, 0\.3\]"):
        wasserstein_margin(a, samples, confidence=0.9, radius=0.1, support=box)
    with pytest.raises(ValueError, match=r"confidence = 1\.0"):
        wasserstein_margin(a, samples, confidence=1.0, radius=0.1)
    with pytest.raises(ValueError, match=r"radius = -1"):
        wasserstein_margin(a, samples, confidence=0.9, radius=-1.0)
    with pytest.raises(ValueError, match="no error samples"):
        wasserstein_margin(a, samples[:0], confidence=0.9, radius=0.1)
