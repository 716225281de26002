"""The permutation of stubs in hardware is that of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from test_mutants import Mutated, survivors

from csnn.rows import permute_stubs
from rtl.stub_permutation import StubPermutation
from rtl.verilate import Verilated

LATENCY = StubPermutation.LATENCY
# Halves that are both inverted have the same exclusive or.
EQUIVALENT = {
    f"product_{k + 1}_q <=: (one_{k}_q * other_{k}_q) [31:0] => ~($ [31:0])"
    for k in range(0, 30, 5)
}


@pytest.fixture(scope="module")
def bench() -> Verilated:
    return Verilated(StubPermutation())


def stimuli(n: int, count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return stubs of blocks that change from stub to stub, and their targets."""
    rng = np.random.default_rng(seed)
    n_blocks = 40
    degrees = rng.integers(32, 2 ** rng.integers(6, 25, n_blocks), endpoint=True)
    degrees[:3] = [32, 2**24, 2**24 - 1]
    keys = rng.integers(0, 2**32, n_blocks)
    keys[:2] = [0, 2**32 - 1]
    block = rng.integers(0, n_blocks, count)
    degree = degrees[block]
    left = (rng.random(count) * degree).astype(np.int64)
    edge = rng.random(count)
    left = np.where(edge < 0.05, 0, np.where(edge > 0.95, degree - 1, left))
    right = rng.integers(0, n, count)
    target = np.empty(count, np.int64)
    for k in range(n_blocks):
        of = block == k
        image = permute_stubs(left[of], right[of], int(degrees[k]), n, int(keys[k]))
        target[of] = image[1]
    inputs = {
        "left": left,
        "right": right,
        "in_degree": degree,
        "key": keys[block],
        "n_neurons": np.full(count, n),
    }
    return inputs, target


@pytest.mark.parametrize("n", [1, 16, 213, 255, 256])
def test_targets(bench: Verilated, n: int) -> None:
    inputs, target = stimuli(n, 100_000, n)
    found = bench.run(inputs)["target"]
    assert np.array_equal(found[LATENCY:], target[:-LATENCY])
    assert set(target.tolist()) == set(range(n))


def test_every_neuron_has_its_in_degree(bench: Verilated) -> None:
    n, degree = 37, 65
    left, right = np.divmod(np.append(np.arange(n * degree), np.zeros(LATENCY, np.int64)), n)
    count = len(left)
    inputs = {
        "left": left,
        "right": right,
        "in_degree": np.full(count, degree),
        "key": np.full(count, 0x1234ABCD),
        "n_neurons": np.full(count, n),
    }
    found = bench.run(inputs)["target"][LATENCY:]
    assert np.bincount(found.astype(np.int64), minlength=n).tolist() == [degree] * n


@pytest.mark.parametrize("count", [80, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutants(count: int) -> None:
    parts = [stimuli(n, 5000, 3) for n in (16, 200, 256)]

    def differs(bench: Mutated) -> bool:
        return any(
            not np.array_equal(bench.run(inputs)["target"][LATENCY:], target[:-LATENCY])
            for inputs, target in parts
        )

    assert set(survivors(StubPermutation(), differs, count)) <= EQUIVALENT
