"""Statistics of spike trains against direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from csnn.errors import InvalidInputError
from csnn.validation.statistics import Window, compute_statistics, ks_distance

POPULATIONS = [("A", 300), ("B", 40), ("C", 5)]


def spikes(seed=1, n_steps=5000, rate=0.002):
    """Return Bernoulli spikes of A and B in shuffled order; C is silent."""
    rng = np.random.default_rng(seed)
    train = rng.random((n_steps, 345)) < rate * rng.gamma(2.0, 0.5, 345)
    train[:, 340:] = False
    step, source = np.nonzero(train)
    order = rng.permutation(step.size)
    return (step[order] + 101).astype(np.uint32), source[order].astype(np.uint32)


def direct(step, source, first, size, window, chosen):
    """Compute rate, CV and CC of one population the plain way."""
    trains = []
    for neuron in range(first, first + size):
        t = np.sort(step[source == neuron].astype(int) - window.first_step)
        trains.append(t[(t >= 0) & (t < window.n_steps)])
    rate = np.array([t.size / (window.duration_ms / 1000) for t in trains])
    cv = np.array([np.std(np.diff(t)) / np.mean(np.diff(t)) for t in trains if t.size > 2])
    n_bins = window.n_steps // 20
    binned = np.array([np.bincount(trains[i] // 20, minlength=n_bins + 1) for i in chosen])
    binned = binned[:, :n_bins]
    binned = binned[binned.sum(axis=1) > 0]
    cc = np.corrcoef(binned)[np.triu_indices(len(binned), 1)] if len(binned) > 1 else np.empty(0)
    return rate, cv, cc


@pytest.mark.parametrize("n_steps", [4000, 4013])
def test_statistics_equal_direct_formulas(n_steps):
    step, source = spikes()
    window = Window(first_step=501, n_steps=n_steps)
    rng = np.random.default_rng(12345)
    # Only A is larger than 250 and draws; pairs are in ascending order of the neuron.
    chosen = [np.sort(rng.choice(300, 250, replace=False)), np.arange(40), np.arange(5)]
    first = 0
    result = compute_statistics(step, source, POPULATIONS, window)
    for population, (name, size), drawn in zip(
        result.populations, POPULATIONS, chosen, strict=True
    ):
        rate, cv, cc = direct(step, source, first, size, window, drawn)
        assert (population.name, population.size) == (name, size)
        np.testing.assert_allclose(population.rate, rate, rtol=1e-12)
        np.testing.assert_allclose(population.cv, cv, rtol=1e-12)
        np.testing.assert_allclose(population.cc, cc, rtol=1e-9, atol=1e-12)
        first += size
    assert result.populations[2].n_spikes == result.populations[2].cv.size == 0


def test_one_moved_spike_changes_all_but_the_rate():
    step, source = spikes()
    window = Window(first_step=101, n_steps=5000)
    before = compute_statistics(step, source, POPULATIONS, window).populations[1]
    moved = step.copy()
    busiest = np.bincount(source[source < 340])[300:].argmax() + 300
    where = np.flatnonzero(source == busiest)[0]
    moved[where] = 101 + (moved[where] - 101 + 1500) % 5000
    after = compute_statistics(moved, source, POPULATIONS, window).populations[1]
    assert np.array_equal(before.rate, after.rate)
    assert not np.array_equal(before.cv, after.cv)
    assert not np.array_equal(before.cc, after.cc)


def test_neurons_drawn_depend_on_populations_before():
    step, source = spikes()
    window = Window(first_step=101, n_steps=5000)
    alone = compute_statistics(step, source, [("A", 345)], window).populations[0]
    split = compute_statistics(step, source, POPULATIONS, window).populations[0]
    assert alone.cc.size != split.cc.size or not np.array_equal(alone.cc, split.cc)


def test_no_spikes_at_all():
    empty = np.empty(0, dtype=np.uint32)
    result = compute_statistics(empty, empty, POPULATIONS, Window(first_step=1, n_steps=100))
    for population in result.populations:
        assert not population.rate.any()
        assert population.cv.size == population.cc.size == 0
    assert result.to_dict()["populations"][0]["CV"]["mean"] is None


def test_a_neuron_whose_counts_never_vary_has_no_correlation():
    step = np.concatenate([np.arange(1, 201, 20), [5, 90]])
    source = np.concatenate([np.zeros(10, int), [1, 2]])
    found = compute_statistics(step, source, [("A", 3)], Window(first_step=1, n_steps=200))
    np.testing.assert_allclose(found.populations[0].cc, [-1 / 9])
    np.testing.assert_allclose(found.populations[0].cv, [0.0])


@pytest.mark.parametrize(
    ("step", "source", "message"),
    [
        ([1, 2], [0], "spikes.source = 1: must be as long"),
        ([1], [345], "spikes.source = 345: must be a neuron from 0 to 344"),
        ([1], [-1], "spikes.source = -1"),
        ([1.5], [0], "must be a 1-D integer array"),
        ([7, 7, 7], [3, 3, 3], "spikes.step = 7: neuron 3 spikes twice"),
    ],
)
def test_bad_spikes_are_refused(step, source, message):
    with pytest.raises(InvalidInputError, match=message):
        compute_statistics(
            np.array(step), np.array(source), POPULATIONS, Window(first_step=1, n_steps=100)
        )


def test_bad_windows_are_refused():
    for bad in ({"first_step": 0, "n_steps": 5}, {"first_step": 1, "n_steps": 0}):
        with pytest.raises(InvalidInputError):
            Window(**bad)
    with pytest.raises(InvalidInputError):
        Window(first_step=1, n_steps=1, dt_ms=float("nan"))


@pytest.mark.parametrize("discrete", [False, True])
def test_ks_distance_equals_scipy(discrete):
    rng = np.random.default_rng(3)
    for n, m in ((1, 1), (7, 300), (1000, 999)):
        a, b = rng.normal(size=n), rng.normal(0.2, 1.0, size=m)
        if discrete:
            a, b = np.rint(a * 3), np.rint(b * 3)
        assert ks_distance(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-15)
    with pytest.raises(InvalidInputError):
        ks_distance(np.empty(0), np.ones(3))
