"""Bench of the permutation of stubs: `csnn.rows` is its model."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench import Bench, Coverage, Dut
from pipelined import Pipelined
from stub_vectors import stimuli

from rtl.stub_permutation import L_BITS, StubPermutation

LATENCY = StubPermutation.LATENCY
FEWEST, MOST = 1, 256


async def drive(
    dut: Dut,
    rng: np.random.Generator,
    cover: Coverage,
    n_neurons: int,
    count: int,
    *,
    cycles: int | Any = 1,
    rst: Any = 0,
) -> None:
    """Compare the targets of stubs that each stay for some cycles."""
    inputs, target = stimuli(n_neurons, count, rng)
    held = {name: np.repeat(values, cycles) for name, values in inputs.items()}
    expected = np.repeat(target, cycles)
    # What entered with another number of neurons counts for nothing.
    pipeline = Pipelined(dut, LATENCY, lambda found: {"target": expected})
    await pipeline.run({**held, "rst": rst})
    left, right, degree, key = (inputs[name] for name in ("left", "right", "in_degree", "key"))
    cover.hit("one neuron", n_neurons == FEWEST)
    cover.hit("all neurons", n_neurons == MOST)
    cover.hit("first stub", (left == 0) & (right == 0))
    cover.hit("last stub", (left == degree - 1) & (right == n_neurons - 1))
    cover.hit("least in-degree", degree == 32)
    cover.hit("greatest in-degree", degree == 1 << L_BITS)
    cover.hit("last stub of the greatest in-degree", left == (1 << L_BITS) - 1)
    cover.hit("key of zeros", key == 0)
    cover.hit("key of ones", key == 2**32 - 1)
    cover.hit("block changes", (key[1:] != key[:-1]) & (degree[1:] != degree[:-1]))
    cover.hit("first target", target == 0)
    cover.hit("last target", target == n_neurons - 1)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Stubs that stay, and change once in a while."""
    await drive(dut, rng, cover, 100, 6, cycles=2 * LATENCY)
    await drive(dut, rng, cover, 100, 5, cycles=np.array([1, LATENCY - 1, 1, LATENCY, 1]))


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A stub of another block in every cycle, for any number of neurons."""
    for n_neurons in (FEWEST, 16, 213, 255, MOST):
        await drive(dut, rng, cover, n_neurons, 500)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Registers of data have no reset: what is under way is not disturbed."""
    for share in (0.03, 0.5):
        await drive(dut, rng, cover, 200, 200, rst=rng.random(200) < share)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Stubs of all kinds, most of them for one cycle."""
    for _ in range(4):
        cycles = np.where(rng.random(500) < 0.9, 1, rng.integers(2, 5, 500))
        await drive(dut, rng, cover, int(rng.integers(FEWEST, MOST + 1)), 500, cycles=cycles)


BENCH = Bench(
    make=StubPermutation,
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "one neuron",
        "all neurons",
        "first stub",
        "last stub",
        "least in-degree",
        "greatest in-degree",
        "last stub of the greatest in-degree",
        "key of zeros",
        "key of ones",
        "block changes",
        "first target",
        "last target",
    ),
    equivalent={
        f"product_{k + 1}_q <=: (one_{k}_q * other_{k}_q) [31:0] => ~($ [31:0])": "the fold sums "
        "four parts mod 2: that all are inverted cancels"
        for k in range(0, LATENCY, 5)
    },
)
