"""Connection rules: exact counts and degrees, switches, and the laws they are drawn from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from row_nodes import adjacency, connector
from scipy import stats

from csnn.errors import InvalidInputError
from csnn.rows import Sampler
from csnn.spec.distributions import Constant
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    OneToOne,
    PairwiseBernoulli,
    Projection,
    Rule,
)
from netgen.connectivity import scatter

SWITCHES = list(itertools.product([True, False], repeat=2))
SIZES = (7, 7, 6, 6)
N = sum(SIZES)
# A test at this level fails by chance once in 10^4 times; seeds are fixed.
LEVEL = 1e-4


def projection(rule: Rule, autapses: bool, multapses: bool, *, same: bool = True) -> Projection:
    return Projection(
        source="T" if same else "S",
        target="T",
        rule=rule,
        weight=Constant(value=1.0),
        delay_ms=Constant(value=1.0),
        allow_autapses=autapses,
        allow_multapses=multapses,
    )


def check_switches(matrix: np.ndarray, autapses: bool, multapses: bool) -> None:
    if not autapses:
        assert not np.diag(matrix).any()
    if not multapses:
        assert matrix.max() <= 1


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 333, N * (N - 1)])
def test_total_number_is_exact(count: int, seed: int, autapses: bool, multapses: bool) -> None:
    rule = projection(FixedTotalNumber(count=count), autapses, multapses)
    matrix = adjacency(rule, N, SIZES, seed)
    assert matrix.sum() == count
    check_switches(matrix, autapses, multapses)
    if count == N * (N - 1) and not autapses and not multapses:
        assert (matrix == 1 - np.eye(N)).all()


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize("degree", [0, 1, 11, N - 1])
def test_in_degrees_are_exact(degree: int, autapses: bool, multapses: bool) -> None:
    rule = projection(FixedIndegree(indegree=degree), autapses, multapses)
    matrix = adjacency(rule, N, SIZES, 3)
    assert (matrix.sum(axis=0) == degree).all()
    check_switches(matrix, autapses, multapses)


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize("degree", [0, 1, 11, N - 1])
def test_out_degrees_are_exact(degree: int, autapses: bool, multapses: bool) -> None:
    rule = projection(FixedOutdegree(outdegree=degree), autapses, multapses)
    matrix = adjacency(rule, N, SIZES, 4)
    assert (matrix.sum(axis=1) == degree).all()
    check_switches(matrix, autapses, multapses)


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
def test_all_to_all_is_every_pair_once(autapses: bool, multapses: bool) -> None:
    matrix = adjacency(projection(AllToAll(), autapses, multapses), N, SIZES, 5)
    assert (matrix == (np.ones((N, N)) if autapses else 1 - np.eye(N))).all()


def test_one_to_one_joins_equal_numbers() -> None:
    for same in (True, False):
        matrix = adjacency(projection(OneToOne(), True, True, same=same), N, SIZES, 6)
        assert (matrix == np.eye(N)).all()


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_bernoulli_pairs_are_distinct(p: float, autapses: bool, multapses: bool) -> None:
    matrix = adjacency(projection(PairwiseBernoulli(p=p), autapses, multapses), N, SIZES, 7)
    check_switches(matrix, autapses, False)
    pairs = N * N if autapses else N * (N - 1)
    sd = np.sqrt(pairs * p * (1 - p))
    assert abs(matrix.sum() - p * pairs) <= 4 * sd


def test_the_autapse_switch_matters_only_within_a_population() -> None:
    rule = FixedTotalNumber(count=N * N)
    matrix = adjacency(projection(rule, False, False, same=False), N, SIZES, 8)
    assert (matrix == 1).all()


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
def test_samplers(autapses: bool, multapses: bool) -> None:
    def sampler(rule: Rule) -> tuple[Sampler, bool]:
        rows = connector(projection(rule, autapses, multapses), N, SIZES, 1).rows(0)
        return rows.sampler, rows.skip_self

    drawn = Sampler.INDEPENDENT if multapses else Sampler.DISTINCT
    assert sampler(FixedTotalNumber(count=9)) == (drawn, not autapses)
    assert sampler(FixedOutdegree(outdegree=9)) == (drawn, not autapses)
    assert sampler(PairwiseBernoulli(p=0.5)) == (Sampler.DISTINCT, not autapses)
    assert sampler(AllToAll()) == (Sampler.DISTINCT, not autapses)


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize(
    ("indegree", "sizes", "enough"),
    [
        (32, (16,), True),
        (32, (20, 16, 300), True),
        (31, (256,), False),
        (1000, (15,), False),
        (1000, (256, 15, 256), False),
        (2, (2, 1), False),
    ],
)
def test_fixed_in_degrees_are_procedural_where_there_are_many_stubs(
    indegree: int, sizes: tuple[int, ...], enough: bool, autapses: bool, multapses: bool
) -> None:
    n = sum(sizes)
    rule = projection(FixedIndegree(indegree=indegree), autapses, multapses, same=False)
    if not multapses:
        rule = projection(FixedIndegree(indegree=1), autapses, multapses, same=False)
    drawn = connector(rule, n, sizes, 1)
    for index in range(len(sizes)):
        rows = drawn.rows(index)
        assert rows.sampler is (Sampler.STUBS if enough and multapses else Sampler.STORED)
        assert rows.in_degree == (indegree if rows.sampler is Sampler.STUBS else 0)


@pytest.mark.parametrize(
    ("degree", "sizes"), [(32, (16, 17, 20)), (40, (16, 16)), (31, (30, 20)), (40, (15, 16))]
)
def test_in_degrees_of_larger_nodes_are_exact(degree: int, sizes: tuple[int, ...]) -> None:
    n = sum(sizes)
    matrix = adjacency(projection(FixedIndegree(indegree=degree), True, True), n, sizes, 3)
    assert (matrix.sum(axis=0) == degree).all()
    # Sources are independent and uniform.
    law = stats.binom(degree, 1 / n).pmf(np.arange(degree + 1))
    assert counts_p_value(matrix.ravel(), law) > LEVEL


def test_stored_stubs_are_shuffled() -> None:
    # Which targets the first source gets is uniform, and so is the order of a row.
    rule = projection(FixedIndegree(indegree=3), True, True)
    first = [connector(rule, 2, (5,), seed).rows(0).target for seed in range(2000)]
    for place in (0, 1, 14):
        counts = np.bincount([target[place] for target in first if target is not None])
        assert stats.chisquare(counts).pvalue > LEVEL
    same = sum(bool(target[3] == target[4]) for target in first if target is not None)
    assert stats.binomtest(same, 2000, 2 / 14).pvalue > LEVEL


def test_rows_do_not_depend_on_the_order_of_nodes() -> None:
    rule = projection(FixedTotalNumber(count=500), False, True)
    forward = connector(rule, N, SIZES, 9)
    backward = connector(rule, N, SIZES, 9)
    one = [forward.rows(k).length for k in range(4)]
    other = [backward.rows(k).length for k in (3, 2, 1, 0)][::-1]
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert not all(
        (a == connector(rule, N, SIZES, 10).rows(k).length).all() for k, a in enumerate(one)
    )


def test_degenerate_populations() -> None:
    # One neuron that may not connect to itself: nothing to draw, nothing divided by zero.
    for rule in (FixedTotalNumber(count=0), FixedOutdegree(outdegree=0), FixedIndegree(indegree=0)):
        for multapses in (True, False):
            assert adjacency(projection(rule, False, multapses), 1, (1,), 1).sum() == 0
    assert adjacency(projection(AllToAll(), False, True), 1, (1,), 1).sum() == 0
    for multapses in (True, False):
        rule = FixedTotalNumber(count=2)
        matrix = adjacency(projection(rule, False, multapses), 2, (1, 1), 1)
        assert matrix.sum() == 2
        assert not np.diag(matrix).any()


def test_rows_longer_than_16_bits_are_refused() -> None:
    rule = projection(FixedOutdegree(outdegree=200_000), True, True)
    with pytest.raises(InvalidInputError, match=r"200000: gives a row of more than 65,535"):
        connector(rule, 2, (1, 1), 1)


# The laws. Tiny populations (three neurons on nodes of two and one) have few enough matrices to
# enumerate: every drawn matrix is compared with its exact probability.


def chi_square(seen: Counter[bytes], law: dict[bytes, float]) -> float:
    """Return the p-value of samples under a law; rare outcomes are pooled."""
    n = sum(seen.values())
    assert set(seen) <= set(law)
    observed, expected, rest = [], [], [0.0, 0.0]
    for outcome, probability in law.items():
        if n * probability >= 5.0:
            observed.append(float(seen[outcome]))
            expected.append(n * probability)
        else:
            rest[0] += seen[outcome]
            rest[1] += n * probability
    if rest[1] >= 5.0:
        observed.append(rest[0])
        expected.append(rest[1])
    assert len(observed) >= 2
    # The law may leave out a little pooled probability.
    scale = sum(observed) / sum(expected)
    return float(stats.chisquare(observed, [e * scale for e in expected]).pvalue)


def choices(items: list[tuple[int, int]], k: int, repeat: bool) -> Iterator[tuple]:
    return itertools.product(items, repeat=k) if repeat else itertools.combinations(items, k)


def exact_law(rule: Rule, autapses: bool, multapses: bool) -> dict[bytes, float]:
    """Enumerate the matrices of three neurons, with their probabilities."""
    pairs = [(s, t) for s in range(3) for t in range(3) if autapses or s != t]
    law: Counter[bytes] = Counter()

    def count(ways: Iterator[tuple[tuple[int, int], ...]]) -> None:
        for way in ways:
            matrix = np.zeros((3, 3), dtype=np.int64)
            for pair in way:
                matrix[pair] += 1
            law[matrix.tobytes()] += 1

    if isinstance(rule, FixedTotalNumber):
        count(choices(pairs, rule.count, multapses))
    elif isinstance(rule, PairwiseBernoulli):
        for k in range(len(pairs) + 1):
            for way in itertools.combinations(pairs, k):
                matrix = np.zeros((3, 3), dtype=np.int64)
                for pair in way:
                    matrix[pair] = 1
                law[matrix.tobytes()] = rule.p**k * (1 - rule.p) ** (len(pairs) - k)
    else:
        end = 1 if isinstance(rule, FixedIndegree) else 0
        k = rule.indegree if isinstance(rule, FixedIndegree) else rule.outdegree
        per_neuron = [
            list(choices([p for p in pairs if p[end] == neuron], k, multapses))
            for neuron in range(3)
        ]
        count(sum(ways, ()) for ways in itertools.product(*per_neuron))
    total = sum(law.values())
    return {outcome: ways / total for outcome, ways in law.items()}


@pytest.mark.parametrize(("autapses", "multapses"), SWITCHES)
@pytest.mark.parametrize(
    "rule",
    [
        FixedTotalNumber(count=2),
        FixedIndegree(indegree=2),
        FixedOutdegree(outdegree=2),
        PairwiseBernoulli(p=0.4),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_every_matrix_has_its_exact_probability(
    rule: Rule, autapses: bool, multapses: bool
) -> None:
    law = exact_law(rule, autapses, multapses)
    drawn = projection(rule, autapses, multapses)
    seen = Counter(adjacency(drawn, 3, (2, 1), seed).tobytes() for seed in range(600))
    if len(law) == 1:
        assert list(seen) == list(law)
    else:
        assert chi_square(seen, law) > LEVEL


def test_the_comparison_with_a_law_can_fail() -> None:
    # The same draws against a law in which pairs are not independent of their node.
    rule = FixedTotalNumber(count=3)
    drawn = projection(rule, True, False)
    seen = Counter(adjacency(drawn, 3, (2, 1), seed).tobytes() for seed in range(600))
    law = exact_law(rule, True, False)
    wrong = {
        k: p * (4.0 if np.frombuffer(k, np.int64)[2::3].any() else 1.0) for k, p in law.items()
    }
    total = sum(wrong.values())
    assert chi_square(seen, {k: p / total for k, p in wrong.items()}) < LEVEL


def counts_p_value(samples: np.ndarray, pmf: np.ndarray) -> float:
    """Return the p-value of integer samples under a distribution on 0, 1, ..."""
    law = {str(k).encode(): float(p) for k, p in enumerate(pmf)}
    return chi_square(Counter(str(k).encode() for k in samples.tolist()), law)


def test_splits_without_multapses_are_hypergeometric() -> None:
    count, sizes = 60, (5, 4, 3)
    n = 12
    lengths = np.array(
        [
            [
                drawn.rows(k).length
                for drawn in [
                    connector(
                        projection(FixedTotalNumber(count=count), True, False), n, sizes, seed
                    )
                ]
                for k in range(3)
            ]
            for seed in range(1500)
        ]
    )
    assert (lengths.sum(axis=(1, 2)) == count).all()
    for node, size in enumerate(sizes):
        assert (lengths[:, node] <= size).all()
        total = stats.hypergeom(n * n, n * size, count).pmf(np.arange(count + 1))
        assert counts_p_value(lengths[:, node].sum(axis=1), total) > LEVEL
        one = stats.hypergeom(n * n, size, count).pmf(np.arange(size + 1))
        assert counts_p_value(lengths[:, node, 7], np.append(one, np.zeros(8))) > LEVEL
    # Out-degree of a source over all nodes, and the joint law of two sources in one node.
    out = stats.hypergeom(n * n, n, count).pmf(np.arange(n + 1))
    assert counts_p_value(lengths[:, :, 3].sum(axis=1), out) > LEVEL
    pair = stats.hypergeom(n * n, 2 * 5, count).pmf(np.arange(11))
    assert counts_p_value(lengths[:, 0, 2] + lengths[:, 0, 9], pair) > LEVEL


def test_out_degree_split_without_multapses_is_hypergeometric() -> None:
    degree, sizes = 6, (5, 4, 3)
    lengths = []
    for seed in range(150):
        rule = projection(FixedOutdegree(outdegree=degree), False, False)
        drawn = connector(rule, 12, sizes, seed)
        lengths.append([drawn.rows(k).length for k in range(3)])
    array = np.array(lengths)
    # Sources 5 to 8 live in node 1 and may not connect to themselves.
    for sources, available in ((slice(0, 5), (4, 4, 3)), (slice(5, 9), (5, 3, 3))):
        for node in range(3):
            law = stats.hypergeom(11, available[node], degree).pmf(np.arange(13))
            samples = array[:, node, sources].ravel()
            assert samples.max() <= available[node]
            seen = np.bincount(samples, minlength=13)
            keep = law * len(samples) >= 5
            assert (
                stats.chisquare(seen[keep], law[keep] * seen[keep].sum() / law[keep].sum()).pvalue
                > LEVEL
            )


@pytest.mark.parametrize(
    ("count", "n"), [(0, 3), (5, 4), (11, 4), (12, 4), (40, 4), (700, 5), (5000, 3), (9, 1), (0, 0)]
)
def test_scatter_keeps_the_number(count: int, n: int) -> None:
    for seed in range(50):
        length = scatter(count, n, np.random.default_rng(seed))
        assert length.shape == (n,)
        assert length.dtype == np.int64
        assert length.sum() == count
        assert (length >= 0).all()


@pytest.mark.parametrize(("count", "n"), [(7, 3), (12, 3), (30, 4), (4000, 3)])
def test_scatter_is_multinomial(count: int, n: int) -> None:
    # 7 balls are thrown one by one, 12 and 30 by shuffled Poisson numbers, 4000 by NumPy.
    rng = np.random.default_rng(11)
    drawn = np.array([scatter(count, n, rng) for _ in range(3000)])
    k = np.arange(count + 1)
    for column in (0, n - 1):
        assert counts_p_value(drawn[:, column], stats.binom(count, 1 / n).pmf(k)) > LEVEL
    # Two bins together: their sum has the law only if their covariance is right.
    assert counts_p_value(drawn[:, :2].sum(axis=1), stats.binom(count, 2 / n).pmf(k)) > LEVEL
    if count == 12:
        law = {
            bytes([a, b]): float(stats.multinomial(12, [1 / 3] * 3).pmf([a, b, 12 - a - b]))
            for a in range(13)
            for b in range(13 - a)
        }
        assert chi_square(Counter(bytes([a, b]) for a, b, _ in drawn.tolist()), law) > LEVEL


class CountingGenerator(np.random.Generator):
    """Counts the histograms that are drawn."""

    histograms = 0

    def multinomial(self, *args: Any, **options: Any) -> Any:
        self.histograms += 1
        return super().multinomial(*args, **options)


def test_scatter_draws_again_when_there_are_too_many() -> None:
    rng = CountingGenerator(np.random.PCG64(13))
    lengths = np.array([scatter(300, 60, rng) for _ in range(4000)])
    assert rng.histograms > 4000
    assert (lengths.sum(axis=1) == 300).all()
    law = stats.binom(300, 1 / 60).pmf(np.arange(60))
    assert counts_p_value(lengths[:, 17], law) > LEVEL


@pytest.mark.parametrize("autapses", [True, False])
def test_degrees_of_a_larger_total(autapses: bool) -> None:
    # In- and out-degrees of fixed_total_number are binomial, chi-square over all neurons.
    n, count = 400, 24_000
    sizes = (134, 133, 133)
    matrix = adjacency(projection(FixedTotalNumber(count=count), autapses, True), n, sizes, 12)
    assert matrix.sum() == count
    check_switches(matrix, autapses, True)
    k = np.arange(200)
    for axis in (0, 1):
        law = stats.binom(count, 1 / n).pmf(k)
        assert counts_p_value(matrix.sum(axis=axis), law) > LEVEL
    cells = matrix[~np.eye(n, dtype=bool)]
    pairs = n * n if autapses else n * (n - 1)
    assert counts_p_value(cells, stats.binom(count, 1 / pairs).pmf(np.arange(12))) > LEVEL
