"""The permutation of stubs in hardware is that of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from stub_vectors import stimuli
from test_mutants import Mutated, survivors

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
