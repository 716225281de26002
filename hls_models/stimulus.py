"""What emitted models are tested with: random words, and neurons driven by spikes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from csnn.binary32 import bits_of, round_to_binary32
from csnn.neurons.graph import Kind
from csnn.neurons.model import INPUTS
from hls_models.emit_cpp import Block
from hls_models.vectors import DRIVEN, RANDOM, U32, Section, evaluated

# Of the constants of driven neurons.
DT_MS = 0.1
WEIGHT_GRID = 2.0**-8
ROUNDS = 16
MAX_DRIVEN = 16
# Weights of the driven neurons, in units of the grid, from the first neuron to the last.
_WEIGHTS = (2.0**0, 2.0**20)
_RATES_PER_STEP = (1.0, 0.25)
_MAX_INPUT = 2**24 - 1
_SIGN = np.uint32(0x80000000)
_POSITIVE = np.array(
    [
        *(0, 1, 0x400000, 0x7FFFFF),  # zero and subnormals
        *(0x800000, 0x800001, 0xFFFFFF, 0x1000000),  # smallest normal numbers
        *(0x33800000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x4B800000),  # around 2^-24, 1, 2^24
        *(0x42B17217, 0x42B17218, 0x42AEAC4F, 0x42AEAC50),  # where an exponential ends
        *(0x1F800000, 0x20000000, 0x5F7FFFFF, 0x5F800000),  # whose squares are near the ends
        *(0x7F000000, 0x7F7FFFFF, 0x7F800000),  # largest numbers and infinity
        *(0x7F800001, 0x7FC00000, 0x7FFFFFFF),  # NaNs
    ],
    np.uint32,
)
CORNERS = np.concatenate([_POSITIVE, _POSITIVE | _SIGN])
_INTEGERS = np.array(
    [0, 1, 2, 20, -1, 2**24 - 1, 2**24, 2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31), 2**30 + 63],
    np.int64,
).astype(np.uint32)


def sections(
    block: Block, constants: U32, initial: Mapping[str, float], *, steps: int, seed: int
) -> list[Section]:
    """Return the sections of a test bench.

    Parameters
    ----------
    block : Block
    constants : ndarray of uint32, shape (C,)
        Constants of the driven neurons; half of the rounds of random words have random ones.
    initial : mapping of str to float
        State variables that the driven neurons begin with; zero where left out.
    steps : int
        Steps of the driven neurons; 0 leaves them out.
    seed : int
        Of everything random.

    Returns
    -------
    list of Section
        `ROUNDS` single steps from random words, and a run in which spikes arrive.
    """
    rng = np.random.default_rng(seed)
    found = [random_step(block, constants, round_, rng) for round_ in range(ROUNDS)]
    return found + ([driven_run(block, constants, initial, steps, rng)] if steps else [])


def random_step(block: Block, constants: U32, round_: int, rng: np.random.Generator) -> Section:
    """Return one step of a whole block from random words.

    NaNs spread, and where all is NaN a wrong sum is not seen: of every four rounds one has none,
    the next ones have more and more of them, of infinities and of numbers of any size.
    """
    graph, n = block.model.graph, block.neurons
    wildness = (0.0, 0.02, 0.2, 1.0)[round_ % 4]

    def word(kind: Kind, count: int) -> U32:
        return _floats(count, wildness, rng) if kind is Kind.F32 else _integers(count, rng)

    if round_ // 4 % 2:
        kinds = (graph.constants[name] for name in block.constant_words)
        constants = np.concatenate([word(kind, 1) for kind in kinds])
    states = np.stack([word(graph.states[name], n) for name in block.state_words])
    inputs = np.stack([word(kind, n) for kind in INPUTS.values()])
    return evaluated(block, RANDOM, constants, states, inputs[None])


def _floats(count: int, wildness: float, rng: np.random.Generator) -> U32:
    words = rng.integers(0, 2**32, count, dtype=np.uint32)
    field = rng.integers(110, 136, count, dtype=np.uint32) << np.uint32(23)
    tame = words & np.uint32(0x807FFFFF) | field
    wild = np.where(rng.random(count) < 0.5, rng.choice(CORNERS, count), words)
    return np.where(rng.random(count) < wildness, wild, tame).astype(np.uint32)


def _integers(count: int, rng: np.random.Generator) -> U32:
    """Return int32 words: a third zero, as counters mostly are, extremes, and all magnitudes."""
    any_size = rng.integers(-(2**31), 2**31, count) >> rng.integers(0, 32, count)
    corner = rng.choice(_INTEGERS, count).astype(np.int64)
    kind = rng.integers(0, 3, count)
    return np.choose(kind, [np.zeros(count, np.int64), corner, any_size]).astype(np.uint32)


def driven_run(
    block: Block,
    constants: U32,
    initial: Mapping[str, float],
    steps: int,
    rng: np.random.Generator,
) -> Section:
    """Return a run of up to 16 neurons from one state, each with stronger synapses than the last.

    Some are silent, some fire now and then, some as often as they can, whatever the model and the
    unit of its input.
    """
    n = min(block.neurons, MAX_DRIVEN)
    weights = np.rint(np.geomspace(*_WEIGHTS, n)) if n > 1 else np.array([2.0**15])
    rates = np.array(_RATES_PER_STEP)[:, None]
    arrived = rng.poisson(rates, (steps, len(INPUTS), n)) * weights
    inputs = np.minimum(arrived, _MAX_INPUT).astype(np.uint32)
    states = np.zeros((len(block.state_words), n), np.uint32)
    for name, value in initial.items():
        states[block.state_words.index(name)] = bits_of(round_to_binary32(value))
    return evaluated(block, DRIVEN, constants, states, inputs)
