"""Exact facts about the row generator, computed over GF(2) from its transition matrix.

A word of a draw is the sum of two successive words of the recurrence. It takes every value equally
often over all states if those two words do so jointly, that is, if the linear map from the state to
their 64 bits has full rank. What the carries do beyond that is left to the tests on images.
"""

from __future__ import annotations

from collections.abc import Sequence

from csnn import prng
from csnn.audit.verdict import Fact


def words_rank(places: Sequence[int]) -> int:
    """Return the rank of words of a row's sequence as functions of its state.

    Parameters
    ----------
    places : sequence of int
        Place of each word in the sequence; 0 and 1 are the state's own, x and y.
    """
    one = prng.words_matrix(2, prng.ROW_SHIFTS)
    functionals = []
    for place in places:
        # Word k is x after k steps.
        matrix = prng.matrix_power(one, place)
        functionals += [
            sum((column >> bit & 1) << j for j, column in enumerate(matrix)) for bit in range(32)
        ]
    return prng.rank(functionals)


def generator_facts() -> list[Fact]:
    """Return the facts that do not depend on an image."""
    ranks = {"A": words_rank((1, 2)), "B": words_rank((2, 3))}
    return [
        Fact(
            name=f"{name} takes every value equally often over all states",
            holds=rank == 64,
            detail=f"its two terms have rank {rank} of 64",
        )
        for name, rank in ranks.items()
    ]
