"""Walker alias tables in the formats of the machine, and the exact distribution of a table.

A table of z entries with b compared bits realises probabilities in multiples of 2**-b / z. The
probabilities are rounded to those multiples first; Vose's construction then runs on integers, so it
is exact: no entry is left over, and what a table yields is known to the last bit.

References
----------
Walker, A. J. (1977) ACM Trans. Math. Softw. 3:253; Vose, M. D. (1991) IEEE Trans. Softw. Eng.
17:972.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import reject

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

RTR_COMPARE_BITS = 16
EXT_COMPARE_BITS = 27
H_BITS = 32
# Distance from a multiple of the quantum, in quanta, that is float64 noise and not a remainder.
_NOISE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class AliasTable:
    """One table: entry i yields own[i] if a random b-bit number is < H[i] >> (32 - b), else alias.

    Attributes
    ----------
    H : uint32 array, shape (z,)
        Fractions of 2**32; the bits that the hardware does not compare are zero.
    own, alias : int32 array, shape (z,)
        The two values of each entry. They are equal in an entry that is certain.
    compare_bits : int
        Number b of leading bits of H that are compared.
    """

    H: npt.NDArray[np.uint32]
    own: I32
    alias: I32
    compare_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.compare_bits <= H_BITS:
            raise reject("alias table.compare_bits", self.compare_bits, "must be from 1 to 32")
        for field, dtype in (("H", np.uint32), ("own", np.int32), ("alias", np.int32)):
            array = getattr(self, field)
            if array.dtype != dtype or array.ndim != 1 or len(array) != len(self.H):
                rule = f"must be {np.dtype(dtype).name}, one value per entry"
                raise reject(f"alias table.{field}", f"{array.dtype} {array.shape}", rule)
        check_size("alias table.H", len(self.H))
        if np.any(self.H & np.uint32((1 << (H_BITS - self.compare_bits)) - 1)):
            raise reject("alias table.H", int(self.H.max()), "bits that are not compared must be 0")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AliasTable):
            return NotImplemented
        return self.compare_bits == other.compare_bits and all(
            np.array_equal(getattr(self, field), getattr(other, field))
            for field in ("H", "own", "alias")
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """Number of equally likely (entry, random number) pairs, z * 2**compare_bits."""
        return len(self.H) << self.compare_bits


def check_size(field: str, size: int) -> None:
    """Require a power of two: the hardware draws an entry from whole random bits."""
    if size < 1 or size & (size - 1):
        raise reject(field, size, "the number of entries must be a power of two")


def quantise(values: npt.ArrayLike, probabilities: npt.ArrayLike, total: int) -> I64:
    """Round probabilities to integer counts out of `total`.

    Every count is the floor or the ceiling of the exact one. Of the possible choices, largest
    remainders are taken first and then exchanged as long as that brings mean and variance closer to
    those of `probabilities`. Probabilities that already are multiples of 1 / total stay as they
    are.

    Parameters
    ----------
    values : array_like, shape (n,)
        Outcomes; they only weigh the rounding errors.
    probabilities : array_like of float, shape (n,)
        Non-negative, summing to 1 within 1e-9.
    total : int
        Sum of the counts.

    Returns
    -------
    int64 array, shape (n,)
        Counts, summing to `total`.

    Raises
    ------
    InvalidInputError
        If the probabilities are negative, not finite or do not sum to 1.
    """
    x = np.asarray(values, dtype=np.float64)
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 1 or p.shape != x.shape or len(p) == 0:
        raise reject("probabilities", p.shape, f"must be one per outcome, {x.shape}")
    if not np.all(np.isfinite(p)) or np.any(p < 0) or abs(float(p.sum()) - 1.0) > 1e-9:
        raise reject("probabilities", float(p.sum()), "must be finite, >= 0 and sum to 1")
    exact = p / p.sum() * total
    floor = np.floor(exact + _NOISE)
    remainder = exact - floor
    missing = total - int(floor.sum())
    up = np.zeros(len(p), dtype=bool)
    up[np.argsort(-remainder, kind="stable")[:missing]] = True
    mean = float(p @ x)
    sd = float(np.sqrt(p @ (x - mean) ** 2))
    if sd > 0.0:
        _exchange(up, remainder, (x - mean) / sd)
    counts: I64 = (floor + up).astype(np.int64)
    return counts


def representable(values: I64, probabilities: F64, total: int) -> tuple[I64, F64]:
    """Round to what a table of `total` draws holds, and drop outcomes that it never yields."""
    number = quantise(values, probabilities, total)
    return values[number > 0], number[number > 0] / total


def _exchange(up: npt.NDArray[np.bool_], remainder: F64, z: F64) -> None:
    """Exchange roundings (in place) while the errors of the first two moments shrink."""
    open_ = remainder > _NOISE
    powers = np.stack([z, z * z])
    for _ in range(100):
        error = powers @ (up - remainder)
        ones, zeros = np.flatnonzero(up & open_), np.flatnonzero(~up & open_)
        if len(ones) == 0 or len(zeros) == 0:
            return
        after = error[:, None, None] + powers[:, None, zeros] - powers[:, ones, None]
        cost = (after**2).sum(axis=0)
        best = int(np.argmin(cost))
        if cost.flat[best] >= (1 - 1e-9) * float(error @ error):
            return
        up[ones[best // len(zeros)]] = False
        up[zeros[best % len(zeros)]] = True


def build(
    values: npt.ArrayLike, probabilities: npt.ArrayLike, size: int, compare_bits: int
) -> AliasTable:
    """Build the alias table of a discrete distribution.

    Parameters
    ----------
    values : array_like of int, shape (n,)
        Outcomes, n <= size; equal ones are merged. A table with fewer than `size` outcomes is
        padded with entries of probability zero that hold the first outcome.
    probabilities : array_like of float, shape (n,)
        Their probabilities, rounded as `quantise` does.
    size : int
        Number of entries z, a power of two.
    compare_bits : int
        Number b of bits of H that the hardware compares.

    Returns
    -------
    AliasTable
        The probability of each outcome is wrong by less than 2**-b / z.

    Raises
    ------
    InvalidInputError
        If there are too many outcomes, or outcomes or probabilities are not valid.
    """
    check_size("alias table.size", size)
    given = np.asarray(values)
    if given.ndim != 1 or len(given) == 0 or not np.issubdtype(given.dtype, np.integer):
        raise reject("alias table.values", given.dtype.name, "must be a list of integers")
    limit = np.iinfo(np.int32)
    if given.min() < limit.min or given.max() > limit.max:
        raise reject("alias table.values", int(np.abs(given).max()), "must fit 32 signed bits")
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != given.shape:
        raise reject("alias table.probabilities", p.shape, f"must be one per outcome, {len(given)}")
    distinct, inverse = np.unique(given.astype(np.int64), return_inverse=True)
    if len(distinct) > size:
        rule = f"must be at most the number of entries, {size}"
        raise reject("alias table: number of outcomes", len(distinct), rule)
    merged = np.bincount(inverse, weights=p)
    capacity = 1 << compare_bits
    weights = [int(c) for c in quantise(distinct, merged, size * capacity)]
    weights += [0] * (size - len(distinct))
    own = np.full(size, distinct[0])
    own[: len(distinct)] = distinct

    alias = own.copy()
    threshold = np.full(size, capacity - 1, dtype=np.int64)
    small = [i for i, w in enumerate(weights) if w < capacity]
    large = [i for i, w in enumerate(weights) if w >= capacity]
    while small:
        poor, rich = small.pop(), large[-1]
        threshold[poor] = weights[poor]
        alias[poor] = own[rich]
        weights[rich] -= capacity - weights[poor]
        if weights[rich] < capacity:
            small.append(large.pop())
    # What remains in `large` fills its entry exactly: certain, alias = own, H = all ones.
    threshold[alias == own] = capacity - 1
    return AliasTable(
        H=(threshold << (H_BITS - compare_bits)).astype(np.uint32),
        own=own.astype(np.int32),
        alias=alias.astype(np.int32),
        compare_bits=compare_bits,
    )


def counts(table: AliasTable) -> tuple[I64, I64]:
    """Return the outcomes and how many of the `table.total` draws yield each of them.

    Returns
    -------
    values, counts : int64 array, shape (n,)
        Outcomes of non-zero probability in ascending order; the counts sum to `table.total`.
    """
    accept = (table.H >> np.uint32(H_BITS - table.compare_bits)).astype(np.int64)
    entries = np.concatenate([table.own, table.alias]).astype(np.int64)
    ways = np.concatenate([accept, (1 << table.compare_bits) - accept])
    values, inverse = np.unique(entries, return_inverse=True)
    number = np.zeros(len(values), dtype=np.int64)
    np.add.at(number, inverse, ways)
    return values[number > 0], number[number > 0]


def pmf(table: AliasTable) -> tuple[I64, F64]:
    """Return the outcomes and their exact probabilities.

    Returns
    -------
    values : int64 array, shape (n,)
        Outcomes of non-zero probability in ascending order.
    probabilities : float64 array, shape (n,)
        Multiples of 2**-b / z, which float64 holds exactly; their sum is exactly 1.
    """
    values, number = counts(table)
    return values, number / table.total


def look_up(
    table: AliasTable, entry: npt.ArrayLike, number: npt.ArrayLike
) -> npt.NDArray[np.int32]:
    """Draw as the hardware does, from an entry index and a `compare_bits` wide random number."""
    index = np.asarray(entry, dtype=np.int64)
    accept = (table.H >> np.uint32(H_BITS - table.compare_bits)).astype(np.int64)
    own = np.asarray(number, dtype=np.int64) < accept[index]
    return np.where(own, table.own[index], table.alias[index])


def max_error(table: AliasTable, values: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Return the largest absolute error of any outcome's probability.

    Outcomes of the table that are not in `values` count with their whole probability. A table made
    by `build` stays below 1 / table.total.
    """
    want, have = np.asarray(values, dtype=np.int64), pmf(table)
    union = np.union1d(want, have[0])
    difference = np.zeros(len(union))
    np.add.at(difference, np.searchsorted(union, have[0]), have[1])
    np.subtract.at(
        difference, np.searchsorted(union, want), np.asarray(probabilities, dtype=np.float64)
    )
    return float(np.abs(difference).max())
