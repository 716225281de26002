"""Exact facts about the generators, computed over GF(2) from their transition matrices.

A set of output bits is a linear map of the state. Over a uniform state the bits are independent and
uniform exactly if the map has full rank; for less, the rank says how many of them are.
"""

from __future__ import annotations

from collections.abc import Sequence

from csnn import prng
from csnn.audit.verdict import Fact

# Bit i < 32 is A[i], bit 32 + i is B[i].
_TARGET = range(24, 32)
_DELAY_ENTRY = range(6, 12)
_WEIGHT_ENTRY = range(6)
_WEIGHT_FRACTION = range(48, 64)
_DELAY_FRACTION = range(32, 48)
FIELDS: dict[str, tuple[int, ...]] = {
    "target, 8 leading bits": tuple(_TARGET),
    "delay entry": tuple(_DELAY_ENTRY),
    "weight entry": tuple(_WEIGHT_ENTRY),
    "delay fraction": tuple(_DELAY_FRACTION),
    "weight fraction": tuple(_WEIGHT_FRACTION),
    "target, delay entry and weight entry": (*_TARGET, *_DELAY_ENTRY, *_WEIGHT_ENTRY),
    "all 64 bits": tuple(range(64)),
}
LAGS = 64


def output_rank(bits: Sequence[int], draws: Sequence[int]) -> int:
    """Return the rank of bits of the given draws of a row as functions of the state before it."""
    one = prng.words_matrix(2, prng.ROW_SHIFTS)
    functionals = []
    for draw in draws:
        matrix = prng.matrix_power(one, 2 * (draw + 1))
        functionals += [
            sum((column >> bit & 1) << j for j, column in enumerate(matrix)) for bit in bits
        ]
    return prng.rank(functionals)


def consecutive_draws(bits: Sequence[int]) -> int:
    """Return of how many consecutive draws the bits are jointly independent and uniform."""
    count = 0
    while output_rank(bits, range(count + 1)) == (count + 1) * len(bits):
        count += 1
    return count


def generator_facts() -> list[Fact]:
    """Return the facts that do not depend on an image."""
    joint = FIELDS["target, delay entry and weight entry"]
    one = output_rank(FIELDS["all 64 bits"], [0])
    pairs = [lag for lag in range(1, LAGS + 1) if output_rank(joint, [0, lag]) < 2 * len(joint)]
    counts = {name: consecutive_draws(bits) for name, bits in FIELDS.items()}
    shown = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return [
        Fact(
            name="all 64 bits of a draw are independent",
            holds=one == 64,
            detail=f"rank {one} of 64",
        ),
        Fact(
            name="target, delay entry and weight entry of any two draws of a row are independent",
            holds=not pairs,
            detail=f"full rank at all lags up to {LAGS}" if not pairs else f"not at lags {pairs}",
        ),
        Fact(
            name="consecutive draws whose fields are jointly independent",
            holds=min(counts.values()) >= 1,
            detail=shown,
        ),
    ]
