"""Counted samples: their KS distance, and correlations of all pairs, against plain samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from csnn.protocol.distribution import Distribution, distribution_of, ks_distance
from csnn.protocol.figures import quantile
from csnn.validation.all_pairs import count_correlations
from csnn.validation.baseline import quantise, sorted_ks_distance
from csnn.validation.statistics import correlations


def sample(rng, n):
    """Return values with many ties."""
    return np.round(rng.gamma(2.0, 2.0, n), 2)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 500), (400, 700)])
def test_distance_of_counts_is_that_of_the_samples(sizes):
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = (sample(rng, n) for n in sizes)
        found = ks_distance(distribution_of(a, "FR"), distribution_of(b, "FR"))
        assert found == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
        assert found == pytest.approx(
            sorted_ks_distance(quantise(a, "FR"), quantise(b, "FR")), abs=1e-12
        )


def test_a_moved_value_changes_the_distance():
    a = np.arange(100) / 10
    b = a.copy()
    assert ks_distance(distribution_of(a, "FR"), distribution_of(b, "FR")) == 0.0
    b[3] = b[90]
    found = ks_distance(distribution_of(a, "FR"), distribution_of(b, "FR"))
    assert found == pytest.approx(0.01)


def test_an_empty_sample_is_as_far_as_can_be():
    empty = distribution_of(np.empty(0), "CV")
    assert empty.size == 0
    assert np.isnan(empty.mean)
    for other in (empty, distribution_of(np.ones(3), "CV")):
        assert ks_distance(empty, other) == ks_distance(other, empty) == 1.0


def test_mean_and_quantile_count_every_member():
    plain = np.array([1.0, 1.0, 1.0, 2.0, 5.0])
    counted = distribution_of(plain, "FR")
    assert (counted.size, counted.mean) == (5, 200.0)
    assert [quantile(counted, q) for q in (0.0, 0.5, 0.6, 0.61, 1.0)] == [100, 100, 100, 200, 500]


def trains(seed=3, size=70, n_steps=4013, rate=0.004):
    """Return neuron and offset of Bernoulli spikes, some neurons silent, in shuffled order."""
    rng = np.random.default_rng(seed)
    probability = rate * rng.gamma(2.0, 0.5, size)
    probability[::9] = 0.0
    train = rng.random((n_steps, size)) < probability
    # Common input, for correlations that are not near zero.
    train[rng.integers(0, n_steps, 40), :20] = True
    train[:, ::9] = False
    offset, neuron = np.nonzero(train)
    order = rng.permutation(neuron.size)
    return neuron[order], offset[order]


def plain_counts(neuron, offset, size, n_steps):
    found = correlations(neuron, offset, np.arange(size), bin_steps=20, n_steps=n_steps)
    return np.unique(quantise(found, "CC"), return_counts=True)


@pytest.mark.parametrize("block", [9, 20, 1000])
@pytest.mark.parametrize("n_steps", [4000, 4013])
def test_all_pairs_are_those_of_the_plain_matrix(block, n_steps):
    neuron, offset = trains(n_steps=n_steps)
    values, counts = count_correlations(
        neuron, offset, 70, bin_steps=20, n_steps=n_steps, block=block
    )
    wanted, wanted_counts = plain_counts(neuron, offset, 70, n_steps)
    assert values.dtype == np.int32
    assert values.tolist() == wanted.tolist()
    assert counts.tolist() == wanted_counts.tolist()
    varying = np.unique(neuron).size
    assert varying < 65
    assert counts.sum() == varying * (varying - 1) // 2
    assert values.max() > 100_000


def test_a_moved_spike_changes_the_counts():
    neuron, offset = trains()
    moved = offset.copy()
    moved[5] = (moved[5] + 400) % 4000
    before, after = (
        Distribution(values=v, counts=c)
        for v, c in (
            count_correlations(neuron, o, 70, bin_steps=20, n_steps=4000) for o in (offset, moved)
        )
    )
    assert ks_distance(before, after) > 0


@pytest.mark.parametrize("spikes", ["none", "one neuron", "one bin"])
def test_nothing_to_correlate(spikes):
    neuron, offset = trains()
    kept = {"none": neuron < 0, "one neuron": neuron == 1, "one bin": offset < 20}[spikes]
    n_steps = 20 if spikes == "one bin" else 4000
    values, counts = count_correlations(
        neuron[kept], offset[kept], 70, bin_steps=20, n_steps=n_steps
    )
    assert values.size == counts.size == 0
