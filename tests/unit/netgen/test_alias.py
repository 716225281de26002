"""Alias tables: exact totals, bounded errors, and faults that must be seen."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from csnn.errors import InvalidInputError
from netgen import alias

FORMATS = [(64, alias.RTR_COMPARE_BITS), (32, alias.EXT_COMPARE_BITS), (8, 4), (1, 16)]


def _random_pmf(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and probabilities of one of several shapes, from flat to extremely skewed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, size + 1))
    values = rng.choice(np.arange(-32767, 32768), size=n, replace=False)
    shape = rng.choice([0.01, 0.1, 1.0, 10.0])
    weights = rng.gamma(shape, size=n) + 1e-300
    if rng.random() < 0.3:
        weights *= 10.0 ** rng.uniform(-12, 0, size=n)
    return values, weights / weights.sum()


def _fractions(table: alias.AliasTable) -> dict[int, Fraction]:
    """Distribution of a table straight from the definition of the lookup."""
    z, scale = len(table.H), 1 << table.compare_bits
    result: dict[int, Fraction] = {}
    for h, own, other in zip(table.H, table.own, table.alias, strict=True):
        accept = Fraction(int(h) >> (32 - table.compare_bits), scale)
        result[int(own)] = result.get(int(own), Fraction(0)) + accept / z
        result[int(other)] = result.get(int(other), Fraction(0)) + (1 - accept) / z
    return {value: p for value, p in result.items() if p}


@pytest.mark.parametrize(("size", "bits"), FORMATS)
def test_total_is_one_and_errors_are_below_one_count(size: int, bits: int) -> None:
    for seed in range(150):
        values, p = _random_pmf(seed, size)
        table = alias.build(values, p, size, bits)
        assert table.total == size * 2**bits
        assert alias.counts(table)[1].sum() == table.total
        have = _fractions(table)
        assert sum(have.values()) == 1
        assert set(have) <= set(values.tolist())
        for value, probability in zip(values, p, strict=True):
            error = abs(have.get(int(value), Fraction(0)) - Fraction(float(probability)))
            assert error < Fraction(1, table.total) + Fraction(1, 2**45)
        outcomes, exact = alias.pmf(table)
        assert {int(v): Fraction(float(q)) for v, q in zip(outcomes, exact, strict=True)} == have


@pytest.mark.parametrize(("size", "bits"), FORMATS)
def test_pmf_and_build_are_inverse(size: int, bits: int) -> None:
    for seed in range(60):
        table = alias.build(*_random_pmf(seed, size), size, bits)
        again = alias.build(*alias.pmf(table), size, bits)
        assert np.array_equal(alias.pmf(table)[0], alias.pmf(again)[0])
        assert np.array_equal(alias.pmf(table)[1], alias.pmf(again)[1])
        assert again == alias.build(*alias.pmf(table), size, bits)


@pytest.mark.parametrize(("size", "bits"), FORMATS)
def test_format_of_the_entries(size: int, bits: int) -> None:
    for seed in range(60):
        values, p = _random_pmf(seed, size)
        table = alias.build(values, p, size, bits)
        assert (table.H.dtype, table.own.dtype, table.alias.dtype) == (
            np.uint32,
            np.int32,
            np.int32,
        )
        assert len(table.H) == size
        assert not np.any(table.H & np.uint32(2 ** (32 - bits) - 1))
        assert set(table.own.tolist()) | set(table.alias.tolist()) <= set(values.tolist())
        ones = (2**bits - 1) << (32 - bits)
        assert np.all(table.H[table.own == table.alias] == ones)


def test_single_outcome_is_certain() -> None:
    table = alias.build([-1405], [1.0], 64, 16)
    assert np.all(table.H == 0xFFFF0000)
    assert np.all(table.own == -1405)
    assert np.all(table.alias == -1405)
    values, p = alias.pmf(table)
    assert values.tolist() == [-1405]
    assert p.tolist() == [1.0]
    assert np.all(alias.look_up(table, np.arange(64), 65535) == -1405)


def test_extreme_ratios() -> None:
    table = alias.build([0, 1], [1.0 - 1e-12, 1e-12], 32, 27)
    assert alias.pmf(table)[0].tolist() == [0]  # 1e-12 is under half of 2**-32
    table = alias.build([0, 1], [1.0 - 1e-9, 1e-9], 32, 27)
    assert alias.counts(table)[1].tolist() == [2**32 - 4, 4]
    p = 10.0 ** -np.linspace(0, 12, 64)
    table = alias.build(np.arange(64), p / p.sum(), 64, 16)
    assert alias.max_error(table, np.arange(64), p / p.sum()) < 2**-22


def test_equal_outcomes_are_merged() -> None:
    table = alias.build([3, 5, 3], [0.25, 0.5, 0.25], 4, 8)
    assert [a.tolist() for a in alias.pmf(table)] == [[3, 5], [0.5, 0.5]]


def test_draws_have_the_distribution_of_the_table() -> None:
    values, p = np.arange(64), stats.binom.pmf(np.arange(64), 63, 0.37)
    table = alias.build(values, p, 64, 16)
    rng = np.random.default_rng(5)
    n = 2_000_000
    drawn = alias.look_up(table, rng.integers(0, 64, n), rng.integers(0, 2**16, n))
    outcomes, exact = alias.pmf(table)
    seen = np.bincount(drawn, minlength=64)[outcomes]
    assert seen.sum() == n
    common = exact * n >= 10

    def p_value(expected: np.ndarray) -> float:
        want = np.append(expected[common], expected[~common].sum()) * n
        have = np.append(seen[common], seen[~common].sum())
        return float(stats.chi2.sf(((have - want) ** 2 / want).sum(), len(want) - 1))

    assert p_value(exact) > 1e-3
    wrong = exact.copy()
    wrong[[20, 24]] += [0.002, -0.002]
    assert p_value(wrong) < 1e-3


def test_enumerated_draws_equal_the_exact_distribution() -> None:
    values, p = _random_pmf(3, 8)
    table = alias.build(values, p, 8, 4)
    entry, number = np.divmod(np.arange(8 * 16), 16)
    seen, count = np.unique(alias.look_up(table, entry, number), return_counts=True)
    assert np.array_equal(seen, alias.counts(table)[0])
    assert np.array_equal(count, alias.counts(table)[1])


def test_wrong_tables_are_detected() -> None:
    values = np.arange(-20, 20)
    p = stats.norm.pdf(values, scale=6.0)
    p /= p.sum()
    table = alias.build(values, p, 64, 16)
    limit = 1.0 / table.total
    assert alias.max_error(table, values, p) < limit
    mixed = int(np.flatnonzero(table.own != table.alias)[0])

    def altered(field: str, entry: int, value: int) -> alias.AliasTable:
        array = getattr(table, field).copy()
        array[entry] = value
        return replace(table, **{field: array})

    faults = [
        altered("H", mixed, int(table.H[mixed]) ^ (1 << 18)),
        altered("own", mixed, 99),
        altered("alias", mixed, int(table.alias[mixed]) + 7),
        replace(table, own=table.alias, alias=table.own),
        replace(table, own=np.roll(table.own, 1)),
    ]
    for fault in faults:
        assert alias.max_error(fault, values, p) > limit
        assert fault != table


def test_low_bits_of_H_are_refused() -> None:
    table = alias.build([1, 2], [0.3, 0.7], 4, 16)
    with pytest.raises(InvalidInputError, match="not compared"):
        replace(table, H=table.H + np.uint32(1))


def test_rounding_keeps_mean_and_variance() -> None:
    """Exchanged roundings must beat largest remainders by far."""
    values = np.arange(64.0)
    for seed in range(20):
        p = np.random.default_rng(seed).dirichlet(np.ones(64))
        exact = p * 2**22
        plain = np.floor(exact)
        plain[np.argsort(plain - exact)[: int(2**22 - plain.sum())]] += 1
        counts = alias.quantise(values, p, 2**22)
        assert np.all(np.abs(counts - exact) < 1)
        mean = p @ values
        moments = np.stack([values - mean, (values - mean) ** 2])
        error = np.abs(moments @ (counts - exact))
        assert error[0] < 0.2 * 20
        assert error[1] < 0.2 * 400
        assert error[1] < max(np.abs(moments @ (plain - exact))[1], 1.0)


@pytest.mark.parametrize(
    ("values", "p", "size", "rule"),
    [
        (np.arange(65), np.full(65, 1 / 65), 64, "at most the number of entries, 64"),
        ([1], [1.0], 48, "power of two"),
        ([1, 2], [0.5, 0.6], 4, "sum to 1"),
        ([1, 2], [1.5, -0.5], 4, "sum to 1"),
        ([1, 2], [np.nan, 1.0], 4, "sum to 1"),
        ([1, 2], [1.0], 4, "one per outcome"),
        ([1.5], [1.0], 4, "integers"),
        ([2**31], [1.0], 4, "32 signed bits"),
        (np.array([], dtype=np.int64), [], 4, "integers"),
    ],
)
def test_bad_input(values: np.ndarray, p: np.ndarray, size: int, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=rule):
        alias.build(values, p, size, 16)
