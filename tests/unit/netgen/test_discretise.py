"""Tables of weights, delays and counts: moments, supports, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from csnn.errors import InvalidInputError
from csnn.spec.distributions import Constant, Distribution, Lognormal, Normal, Uniform
from csnn.spec.pd14 import pd14
from netgen import alias, fidelity, moments
from netgen.discretise import (
    delay_pmf,
    fit_delay_pmf,
    fit_weight_pmf,
    poisson_pmf,
    weight_pmf,
)

GRID = 1 / 16


def _moments(values: np.ndarray, p: np.ndarray, unit: float = 1.0) -> tuple[float, float]:
    mean = float(values @ p)
    return mean * unit, math.sqrt(float((values - mean) ** 2 @ p)) * unit


def _through_table(
    values: np.ndarray, p: np.ndarray, size: int = 64, bits: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Send a distribution through its quantised table; it must come back unchanged."""
    have, exact = alias.pmf(alias.build(values, p, size, bits))
    assert np.array_equal(have, values)
    assert np.array_equal(exact, p)
    return have, exact


WEIGHTS: list[Distribution] = [
    Normal(mu=87.8085, sigma=8.78085, minimum=0.0),
    Normal(mu=-351.234, sigma=35.1234, maximum=0.0),
    Normal(mu=87.8085, sigma=0.05),
    Normal(mu=50.0, sigma=50.0, minimum=0.0),
    Normal(mu=-20.0, sigma=40.0, minimum=-90.0, maximum=-1.0),
    Normal(mu=0.0, sigma=30.0),
    Normal(mu=1.0, sigma=100.0),
    Normal(mu=300.0, sigma=0.4),
    Normal(mu=10.0, sigma=5.0, minimum=12.0),
    Uniform(low=0.0, high=100.0),
    Uniform(low=3.0, high=4.0),
    Uniform(low=1.026, high=3.034),
    Uniform(low=-3.034, high=-1.026),
    Uniform(low=-5.0, high=7.0),
    Lognormal(mu_log=4.0, sigma_log=0.3),
    Lognormal(mu_log=2.0, sigma_log=1.0),
]


@pytest.mark.parametrize("target", WEIGHTS, ids=repr)
def test_weight_moments_and_support(target: Distribution) -> None:
    values, p = _through_table(*weight_pmf(target, GRID))
    assert p.sum() == 1.0
    assert len(values) <= 64
    assert np.all(np.diff(values) > 0)
    assert np.abs(values).max() <= 32767
    low, high = target.support()
    assert values[0] * GRID >= low
    assert values[-1] * GRID <= high
    quality = fidelity.compare_distribution(values, p, target, GRID)
    assert quality.mean_error < 2e-8
    assert quality.variance_error < 1e-6
    spacing = GRID / target.sd()
    assert quality.ks_distance < 0.025 + 0.25 * spacing
    assert quality.wasserstein_distance < 0.04 + 0.3 * spacing


def test_weight_moments_for_random_distributions() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mu, cv = float(rng.uniform(5, 1200)), float(rng.uniform(0.02, 1.0))
        sign = float(rng.choice([-1, 1]))
        bound = {"minimum": 0.0} if sign > 0 else {"maximum": 0.0}
        target = Normal(mu=sign * mu / (1 + 6 * cv), sigma=mu * cv / (1 + 6 * cv), **bound)
        values, p = _through_table(*weight_pmf(target, GRID))
        mean, sd = _moments(values, p, GRID)
        assert mean == pytest.approx(target.mean(), rel=1e-7)
        assert sd**2 == pytest.approx(target.sd() ** 2, rel=1e-6)
        assert np.all(values * sign >= 0)


def test_pd14_tables_at_a_grid_of_one_sixteenth() -> None:
    network = pd14()
    checked = set()
    for projection in network.projections:
        target = projection.weight
        if target in checked:
            continue
        checked.add(target)
        assert isinstance(target, Normal)
        values, p = _through_table(*weight_pmf(target, GRID))
        quality = fidelity.compare_distribution(values, p, target, GRID)
        assert quality.keeps_moments(1e-8)
        assert quality.n_outcomes == 64
        assert quality.ks_distance < 0.013
        assert quality.wasserstein_distance < 0.02
        assert np.all(np.sign(values) == np.sign(target.mu))
    assert len(checked) == 3
    for delay in {projection.delay_ms for projection in network.projections}:
        values, p = delay_pmf(delay, network.dt_ms)
        _through_table(values - 1, p)
        steps = np.arange(1, 65)
        rounded = np.diff(delay.cdf((np.arange(65) + 0.5) * network.dt_ms))
        quality = fidelity.compare_pmf(values, p, steps, rounded / rounded.sum())
        assert quality.keeps_moments(1e-7)
        assert quality.ks_distance < 1e-6
    for population in network.populations:
        assert population.poisson is not None
        mean = population.poisson.rate_hz * network.dt_ms * 1e-3
        values, p = _through_table(*poisson_pmf(mean), 32, 27)
        assert _moments(values, p)[0] == pytest.approx(mean, rel=1e-8)
        assert _moments(values, p)[1] ** 2 == pytest.approx(mean, rel=1e-8)


def test_zero_mean_is_kept_relative_to_sd() -> None:
    target = Normal(mu=0.0, sigma=30.0)
    mean, sd = _moments(*weight_pmf(target, GRID), GRID)
    assert abs(mean) < 1e-6 * 30.0
    assert sd == pytest.approx(30.0, rel=1e-6)


def test_zero_is_an_outcome_only_where_the_distribution_reaches_it() -> None:
    assert weight_pmf(Uniform(low=0.02, high=2.0), GRID)[0].min() == 1
    assert weight_pmf(Uniform(low=-2.0, high=-0.02), GRID)[0].max() == -1
    assert weight_pmf(Uniform(low=0.0, high=2.0), GRID)[0].min() == 0


def test_constant_weights() -> None:
    for value, units in ((87.8125, 1405), (-87.8, -1405), (0.0, 0), (2047.9375, 32767)):
        values, p = weight_pmf(Constant(value=value), GRID)
        assert values.tolist() == [units]
        assert p.tolist() == [1.0]
    assert weight_pmf(Normal(mu=88.0, sigma=1e-6), GRID)[0].tolist() == [1408]


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        (Constant(value=0.03), "rounds to zero"),
        (Constant(value=-1e-9), "rounds to zero"),
        (Normal(mu=0.02, sigma=0.002, minimum=0.0), "rounds to zero"),
        (Lognormal(mu_log=-300.0, sigma_log=0.1), "rounds to zero"),
        (Constant(value=2048.0), "exceeds 32767 units"),
        (Constant(value=-3000.0), "exceeds 32767 units"),
        (Normal(mu=2000.0, sigma=200.0), "exceeds 32767 units"),
        (Lognormal(mu_log=300.0, sigma_log=1.0), "exceeds 32767 units"),
        (Constant(value=0.66), "does not keep mean and variance"),
        (Normal(mu=10.03, sigma=0.01), "does not keep mean and variance"),
        (Uniform(low=10.01, high=10.02), "does not keep mean and variance"),
    ],
    ids=repr,
)
def test_weights_that_are_refused(target: Distribution, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=rule) as error:
        weight_pmf(target, GRID, field="projection E->I.weight_pA", unit="pA")
    assert str(error.value).startswith("projection E->I.weight_pA = ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weights_beyond_the_largest_are_at_most_one_in_a_million(sign: float) -> None:
    limit = 32767.5 * GRID
    for beyond, allowed in ((0.9e-6, True), (1.1e-6, False)):
        far = limit / (1.0 - beyond)
        target = Uniform(low=0.0, high=far) if sign > 0 else Uniform(low=-far, high=0.0)
        assert abs(target.cdf(np.array([sign * limit]))[0] - (sign > 0)) == pytest.approx(beyond)
        if allowed:
            assert np.abs(weight_pmf(target, GRID)[0]).max() <= 32767
            continue
        with pytest.raises(InvalidInputError, match="exceeds 32767 units"):
            weight_pmf(target, GRID)


def test_equal_spacing_and_quantiles_are_worse() -> None:
    """The spacing of the outcomes is a choice; this is the reason for it."""
    target = Normal(mu=87.8085, sigma=8.78085, minimum=0.0)
    chosen = fidelity.compare_distribution(*weight_pmf(target, GRID), target, GRID)
    mean, sd = target.mean() / GRID, target.sd() / GRID
    for points in (
        np.rint(mean + sd * np.linspace(-5, 5, 64)).astype(np.int64),
        np.rint(target.ppf((np.arange(64) + 0.5) / 64) / GRID).astype(np.int64),
    ):
        edges = np.asarray((points[:-1] + points[1:]) / 2 * GRID)
        masses = np.diff(target.cdf(edges), prepend=0.0, append=1.0)
        other = fidelity.compare_distribution(
            points, moments.match(points, masses, mean, sd), target, GRID
        )
        assert chosen.wasserstein_distance < other.wasserstein_distance


def test_match_is_needed_and_reports_what_is_out_of_reach() -> None:
    values = np.arange(-20, 21)
    masses = stats.norm.pdf(values, scale=5.0)
    points, p = moments.reduce(values, masses / masses.sum(), 8)
    before = _moments(points, p)
    assert abs(before[1] / 5.0 - 1.0) > 1e-3
    after = _moments(points, moments.match(points, p, 0.5, 5.5))
    assert after == pytest.approx((0.5, 5.5), rel=1e-9)
    unreachable = moments.match(points, p, 0.0, 100.0)
    assert _moments(points, unreachable)[1] < 20.0


def test_reduce_never_mixes_signs() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = np.unique(rng.normal(0, 200, size=3000).astype(np.int64))
        masses = rng.dirichlet(np.ones(len(values)))
        points, p = moments.reduce(values, masses, 16)
        assert len(points) <= 16
        assert p.sum() == pytest.approx(1.0)
        assert np.all(np.diff(points) > 0)
        for sign in (-1, 0, 1):
            share = p[np.sign(points) == sign].sum()
            assert share == pytest.approx(masses[np.sign(values) == sign].sum())


# --- delays ---------------------------------------------------------------------------------------


def test_delays_follow_rounding_to_the_nearest_step() -> None:
    target = Normal(mu=1.5, sigma=0.75, minimum=0.05)
    values, p = delay_pmf(target, 0.1)
    assert values.min() == 1
    assert values.max() <= 64
    drawn = target.ppf(np.random.default_rng(1).random(400_000))
    steps = np.floor(drawn / 0.1 + 0.5).astype(np.int64)
    seen = np.bincount(steps, minlength=65)[values]
    common = p * len(steps) > 10
    expected = p[common] * len(steps)

    def p_value(want: np.ndarray) -> float:
        chi2 = ((seen[common] - want) ** 2 / want).sum()
        return float(stats.chi2.sf(chi2, common.sum() - 1))

    assert p_value(expected) > 1e-3
    # Boundaries that are wrong by half a step (truncation instead of rounding) must be seen.
    shifted = np.diff(target.cdf((np.arange(65) + 0.0) * 0.1 + 1e-12))[values - 1]
    assert p_value(shifted[common] * len(steps)) < 1e-3


def test_constant_delays() -> None:
    for value, steps in ((0.1, 1), (1.5, 15), (0.3, 3), (6.4, 64)):
        values, p = delay_pmf(Constant(value=value), 0.1)
        assert values.tolist() == [steps]
        assert p.tolist() == [1.0]


@pytest.mark.parametrize(
    ("target", "slots", "rule"),
    [
        (Constant(value=0.15), 64, "must be a multiple of dt_ms = 0.1"),
        (Constant(value=1.50001), 64, "must be a multiple of dt_ms = 0.1"),
        (Constant(value=6.5), 64, "from 0.1 to 6.4 ms"),
        (Constant(value=1e-9), 64, "from 0.1 to 6.4 ms"),
        (Constant(value=1.7), 16, "from 0.1 to 1.6 ms"),
        (Normal(mu=1.5, sigma=0.75), 64, "does not"),
        (Normal(mu=1.5, sigma=0.75, minimum=0.04), 64, "does not"),
        (Normal(mu=6.0, sigma=0.5, minimum=0.05), 64, "does not"),
        (Normal(mu=1.5, sigma=0.75, minimum=0.05), 32, "does not"),
        (Uniform(low=0.0, high=1.0), 64, "does not"),
        (Lognormal(mu_log=0.0, sigma_log=1.0), 64, "does not"),
    ],
    ids=repr,
)
def test_delays_that_are_refused(target: Distribution, slots: int, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=rule) as error:
        delay_pmf(target, 0.1, slots, field="projection E->I.delay_ms")
    assert str(error.value).startswith("projection E->I.delay_ms = ")


@pytest.mark.parametrize("slots", [16, 64])
@pytest.mark.parametrize("dt_ms", [0.1, 0.2])
def test_delays_out_of_range_are_at_most_one_in_a_million(dt_ms: float, slots: int) -> None:
    low, high = 0.5 * dt_ms, (slots + 0.5) * dt_ms
    for outside, allowed in ((0.9e-6, True), (1.1e-6, False)):
        further = (high - low) * outside / (1.0 - outside)
        for target in (
            Uniform(low=low, high=high + further),
            Uniform(low=low - further, high=high),
            Uniform(low=low - 0.5 * further, high=high + 0.5 * further),
        ):
            if allowed:
                assert delay_pmf(target, dt_ms, slots)[0].tolist() == list(range(1, slots + 1))
                continue
            with pytest.raises(InvalidInputError, match=r"1\.1e-06 of the probability does not"):
                delay_pmf(target, dt_ms, slots)


# --- external input -------------------------------------------------------------------------------


def test_poisson_moments() -> None:
    for mean in (1e-5, 1e-3, 0.01, 0.5, 1.28, 2.32, 5.0, 8.5):
        values, p = _through_table(*poisson_pmf(mean), 32, 27)
        assert p.sum() == 1.0
        quantum = 2.0**-32
        assert _moments(values, p)[0] == pytest.approx(mean, rel=1e-8, abs=quantum)
        assert _moments(values, p)[1] ** 2 == pytest.approx(mean, rel=1e-6, abs=quantum)
        assert np.abs(p - stats.poisson.pmf(values, mean)).max() < 3e-9
    assert [a.tolist() for a in poisson_pmf(0.0)] == [[0], [1.0]]


def test_poisson_tail_is_folded_with_its_mean() -> None:
    """Where the tail is largest, dropping it would show in the mean."""
    mean = 8.5
    values, p = poisson_pmf(mean)
    dropped = stats.poisson.pmf(np.arange(32), mean)
    assert abs(_moments(values, p)[0] - mean) < 2e-9
    assert abs(float(np.arange(32) @ dropped) - mean) > 4e-9


def test_poisson_tail_is_at_most_one_in_a_billion() -> None:
    # The mean at which P(X > 31) = 1e-9, from the tail of the gamma distribution.
    mean = float(stats.gamma.ppf(1e-9, 32))
    assert poisson_pmf(0.999 * mean)[0].max() == 31
    with pytest.raises(InvalidInputError, match="exceed 31 with probability 1e-09"):
        poisson_pmf(1.001 * mean)


@pytest.mark.parametrize(
    ("mean", "rule"),
    [
        (12.0, "exceed 31 with probability"),
        (9.9, "exceed 31 with probability"),
        (1e6, "exceed 31 with probability"),
        (1e-11, "too few for a table"),
        (-1.0, "finite number >= 0"),
        (math.nan, "finite number >= 0"),
    ],
)
def test_poisson_rates_that_are_refused(mean: float, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=rule) as error:
        poisson_pmf(mean, field="population E.poisson.rate_hz", value=mean * 1e4)
    assert str(error.value).startswith("population E.poisson.rate_hz = ")


# --- edge lists -----------------------------------------------------------------------------------


def test_few_weights_on_the_grid_are_kept_exactly() -> None:
    rng = np.random.default_rng(2)
    units = rng.choice([-5600, -3, 1, 7, 1405], size=4096)
    values, p = fit_weight_pmf(units * GRID, GRID)
    unique, number = np.unique(units, return_counts=True)
    assert np.array_equal(values, unique)
    assert np.array_equal(p, number / 4096)


def test_fitted_weights_keep_their_moments() -> None:
    draws = {
        "normal": lambda rng, n: rng.normal(87.8, 8.8, n),
        "negative": lambda rng, n: -rng.lognormal(3.0, 0.7, n),
        "both signs": lambda rng, n: rng.normal(5.0, 60.0, n),
        "two groups": lambda rng, n: (
            np.where(rng.random(n) < 0.8, 90, -350) * rng.normal(1, 0.1, n)
        ),
        "spike and spread": lambda rng, n: np.where(
            rng.random(n) < 0.5, 50.0, rng.gamma(2.0, 40.0, n)
        ),
        "near zero": lambda rng, n: rng.exponential(1.0, n),
        "outlier": lambda rng, n: np.append(rng.normal(80, 8, n - 1), 1000.0),
    }
    for draw in draws.values():
        for seed in range(3):
            rng = np.random.default_rng(seed)
            samples = draw(rng, int(rng.choice([100, 3000, 50_000])))
            values, p = _through_table(*fit_weight_pmf(samples, GRID))
            assert len(values) <= 64
            mean, sd = _moments(values, p, GRID)
            scale = max(abs(samples.mean()), samples.std())
            assert abs(mean - samples.mean()) < 1e-4 * scale
            assert sd**2 == pytest.approx(samples.var(), rel=1e-3)
            assert set(np.sign(values)) <= set(np.sign(samples))
            quality = fidelity.compare_pmf(
                values, p, samples / GRID, np.full(len(samples), 1 / len(samples)), GRID
            )
            assert quality.wasserstein_distance < 0.06


@pytest.mark.parametrize(("n", "sds"), [(10**4, 50.0), (10**5, 300.0), (10**6, 900.0)])
def test_one_outlier_that_carries_much_of_the_variance(n: int, sds: float) -> None:
    samples = np.append(np.random.default_rng(0).normal(80.0, 1.0, n - 1), 80.0 + sds)
    mean, sd = _moments(*_through_table(*fit_weight_pmf(samples, GRID)), GRID)
    assert mean == pytest.approx(samples.mean(), rel=1e-6)
    assert sd**2 == pytest.approx(samples.var(), rel=1e-4)


def test_two_weights_off_the_grid() -> None:
    samples = np.repeat([0.64, 1.33], [300, 700])  # 10.24 and 21.28 units
    mean, sd = _moments(*fit_weight_pmf(samples, GRID), GRID)
    assert mean == pytest.approx(samples.mean(), rel=1e-5)
    assert sd**2 == pytest.approx(samples.var(), rel=1e-3)


@pytest.mark.parametrize(
    ("samples", "rule"),
    [
        ([], "at least one value"),
        ([1.0, math.nan], "must be finite"),
        ([1.0, math.inf], "must be finite"),
        ([0.01, 0.02], "rounds to zero"),
        ([0.01, 0.01], "rounds to zero"),
        ([1.0, 2048.0], "exceeds 32767 units"),
        ([0.66, 0.66], "does not keep mean and variance"),
        ([10.03, 10.04], "does not keep mean and variance"),
    ],
)
def test_samples_that_are_refused(samples: list[float], rule: str) -> None:
    with pytest.raises(InvalidInputError, match=rule) as error:
        fit_weight_pmf(samples, GRID)
    assert str(error.value).startswith("edges.weight = ")


def test_constant_samples_are_one_outcome() -> None:
    assert fit_weight_pmf(np.full(10, 87.8125), GRID)[0].tolist() == [1405]
    noisy = np.full(10, 87.8125) + np.linspace(-1e-6, 1e-6, 10)  # as from binary32
    assert fit_weight_pmf(noisy, GRID)[0].tolist() == [1405]


def test_fitted_delays() -> None:
    steps = np.random.default_rng(3).integers(1, 65, size=2**16)
    values, p = fit_delay_pmf(steps)
    unique, number = np.unique(steps, return_counts=True)
    assert np.array_equal(values, unique)
    assert np.array_equal(p, number / 2**16)
    for wrong in ([0, 3], [65], [1.5], [math.nan], []):
        with pytest.raises(InvalidInputError, match=r"^edges\.delay_ms = "):
            fit_delay_pmf(wrong)
    with pytest.raises(InvalidInputError, match="from 1 to 16"):
        fit_delay_pmf([17], 16)


# --- fidelity -------------------------------------------------------------------------------------


def test_fidelity_sees_what_is_wrong() -> None:
    target = Normal(mu=87.8085, sigma=8.78085, minimum=0.0)
    values, p = weight_pmf(target, GRID)
    good = fidelity.compare_distribution(values, p, target, GRID)
    assert good.keeps_moments()
    assert good.to_dict()["n_outcomes"] == 64
    shifted = fidelity.compare_distribution(values + 2, p, target, GRID)
    assert shifted.mean_error == pytest.approx(2 * GRID / 87.8085, rel=1e-3)
    assert not shifted.keeps_moments()
    centre = round(87.8085 / GRID)
    wide = fidelity.compare_distribution(
        centre + np.rint((values - centre) * 1.01), p, target, GRID
    )
    assert wide.variance_error == pytest.approx(0.0201, rel=0.05)
    assert not wide.keeps_moments()
    # Right moments, wrong shape: only the distances tell.
    two = np.rint([(87.8085 - 8.78085) / GRID, (87.8085 + 8.78085) / GRID])
    coin = fidelity.compare_distribution(two, [0.5, 0.5], target, GRID)
    assert coin.keeps_moments(2e-3)
    assert coin.ks_distance > 0.3
    assert coin.wasserstein_distance > 0.4


def test_fidelity_distances_have_their_definition() -> None:
    same = fidelity.compare_pmf([1, 2, 4], [0.25, 0.25, 0.5], [4, 1, 2], [0.5, 0.25, 0.25])
    assert (same.ks_distance, same.wasserstein_distance, same.mean_error) == (0.0, 0.0, 0.0)
    moved = fidelity.compare_pmf([0, 3], [0.5, 0.5], [0, 2], [0.5, 0.5], 0.5)
    assert moved.ks_distance == 0.5
    assert moved.wasserstein_distance * moved.target_sd == pytest.approx(0.25)
    # The largest difference is just after the outcome 0, but just before the outcome 10.
    for outcome in (0, 10):
        one_sided = fidelity.compare_distribution([outcome], [1.0], Uniform(low=0.0, high=10.0))
        assert one_sided.ks_distance == 1.0
    constant = fidelity.compare_distribution([1404], [1.0], Constant(value=87.8125), GRID)
    assert constant.mean_error == pytest.approx(1 / 1405)
    assert constant.variance_error == 0.0
    assert constant.ks_distance == 1.0
    rounded = fidelity.compare_distribution([1405], [1.0], Constant(value=87.8), GRID)
    assert rounded.ks_distance == 0.0
    assert rounded.mean_error == pytest.approx(0.2 / 1404.8)
    spread = fidelity.compare_distribution([1404, 1406], [0.5, 0.5], Constant(value=87.8125), GRID)
    assert spread.mean_error == 0.0
    assert spread.variance_error == pytest.approx(1 / 1405)
