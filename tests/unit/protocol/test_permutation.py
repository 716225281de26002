"""The permutation test of whole realisations: exact, blind without a difference, sharp with one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from csnn.protocol import permutation
from csnn.protocol.permutation import permutation_test


def distances_of(points):
    """Return distances of realisations that are points, shape (1, cells, n, n)."""
    return np.abs(points[:, :, np.newaxis] - points[:, np.newaxis, :])[np.newaxis]


def realisations(rng, n_nest, n_candidates, shift=0.0, cells=6):
    points = rng.normal(size=(cells, n_nest + n_candidates))
    points[:, n_nest:] += shift
    return distances_of(points)


def energy(distances, nest):
    """Return the energy statistic of one cell by its definition."""
    rest = [i for i in range(len(distances)) if i not in nest]
    between = np.mean([distances[i, j] for i in nest for j in rest])
    inside = [
        np.mean([distances[i, j] for i, j in itertools.permutations(group, 2)])
        for group in (nest, rest)
        if len(group) > 1
    ]
    return between - np.mean(inside)


@pytest.mark.parametrize(("n_nest", "n_candidates"), [(3, 1), (3, 2), (3, 4), (2, 3)])
def test_p_is_the_share_of_all_labellings(n_nest, n_candidates):
    distances = realisations(np.random.default_rng(2), n_nest, n_candidates, shift=0.7)
    test = permutation_test(distances, n_nest)
    n = n_nest + n_candidates
    assert test.exact
    assert test.ways == math.comb(n, n_nest)
    for cell in range(distances.shape[1]):
        values = [
            energy(distances[0, cell], group) for group in itertools.combinations(range(n), n_nest)
        ]
        wanted = np.mean([value >= values[0] - 1e-12 for value in values])
        assert test.p[0, cell] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("n_nest", "n_candidates", "smallest"),
    [(3, 1, 1 / 4), (3, 2, 1 / 10), (3, 3, 2 / 20), (3, 7, 1 / 120), (3, 10, 1 / 286)],
)
def test_the_smallest_p_is_reached_by_a_gross_difference(n_nest, n_candidates, smallest):
    distances = realisations(np.random.default_rng(3), n_nest, n_candidates, shift=50.0)
    test = permutation_test(distances, n_nest)
    assert test.smallest_p == pytest.approx(smallest)
    assert test.family_p == pytest.approx(smallest)
    assert np.all(test.p == pytest.approx(smallest))


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(4)
    # Cells that share their realisations' deviation, as populations of one network do.
    p = []
    for _ in range(400):
        points = rng.normal(size=(8, 13)) + 2.0 * rng.normal(size=13)
        p.append(permutation_test(distances_of(points), 3).family_p)
    # Binomial: 400 draws exceed these with a probability below 1e-3.
    assert np.mean(np.array(p) <= 0.01) <= 0.03
    assert np.mean(np.array(p) <= 0.1) <= 0.15


def test_a_difference_of_all_cells_is_seen_with_many_seeds_only():
    rng = np.random.default_rng(5)
    seen = {
        k: np.mean(
            [permutation_test(realisations(rng, 3, k, 3.0), 3).family_p <= 0.01 for _ in range(30)]
        )
        for k in (3, 10)
    }
    assert seen[3] == 0
    assert seen[10] > 0.8


def ratio_of(distances, nest):
    """Return the ratio of one cell by its definition."""
    rest = [i for i in range(len(distances)) if i not in nest]
    between = np.mean([distances[i, j] for i in nest for j in rest])
    return between / np.mean([distances[i, j] for i, j in itertools.combinations(nest, 2)])


@pytest.mark.parametrize(
    ("n_candidates", "left_out"), [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (10, 7)]
)
def test_range_of_the_ratio_is_one_of_labellings(n_candidates, left_out):
    distances = realisations(np.random.default_rng(6), 3, n_candidates)
    test = permutation_test(distances, 3)
    for cell in range(distances.shape[1]):
        groups = itertools.combinations(range(3 + n_candidates), 3)
        values = [ratio_of(distances[0, cell], group) for group in groups]
        ends = np.sort(values)[[left_out, -1 - left_out]]
        assert left_out <= 0.025 * len(values) < left_out + 1
        assert test.ratio[0, cell] == pytest.approx(values[0])
        assert [test.ratio_low[0, cell], test.ratio_high[0, cell]] == pytest.approx(ends)


@pytest.mark.parametrize(("n_candidates", "least"), [(1, 0.0), (3, 0.0), (5, 0.01), (10, 0.02)])
def test_ratio_of_equals_lies_in_its_range(n_candidates, least):
    rng = np.random.default_rng(9)
    outside = []
    for _ in range(1000):
        test = permutation_test(realisations(rng, 3, n_candidates, cells=1), 3)
        outside.append(not test.ratio_low <= test.ratio <= test.ratio_high)
    # At most 5 % by construction; 1,000 draws exceed this with a probability below 1e-3.
    assert least <= np.mean(outside) <= (0.073 if least else 0.0)


def test_many_labellings_are_sampled(monkeypatch):
    monkeypatch.setattr(permutation, "MOST_WAYS", 500)
    distances = realisations(np.random.default_rng(7), 6, 8, shift=50.0)
    test = permutation_test(distances, 6)
    assert (test.exact, test.ways, test.smallest_p) == (False, 500, 1 / 500)
    assert test.family_p == pytest.approx(1 / 500)
    same = permutation_test(realisations(np.random.default_rng(8), 6, 8), 6)
    assert same.family_p > 0.01
