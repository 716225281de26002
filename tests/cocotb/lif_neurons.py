"""Neurons of the LIF model: usual ones, and those on which some operator tends to be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fp_vectors import U32, integers, pairs

from csnn import binary32
from csnn.neurons.lif import LIF
from csnn.spec.network import LifNeuron

ONE, MINUS_ZERO = np.uint32(0x3F800000), np.uint32(0x80000000)
INFINITY, NAN = np.uint32(0x7F800000), np.uint32(0x7FC00000)
FACTORS = ("P22", "P21_ex", "P21_in", "P11_ex", "P11_in")
Words = dict[str, U32]
# Parts of the pipeline that a set of constants is for, and what its neurons are about.
PRODUCTS, SUMS, TINY_SUMS, HUGE_SUMS, THRESHOLD, ALL = range(6)
OF_SUMS = (0, 1, 5)
# Kinds of pairs that try a sum, and a product.
ADDENDS, PARTNERS = (0, 1, 3, 3, 4, 9, 10, 10), (0, 1, 5, 6, 7, 7, 8, 8, 8, 8)
ABOUT = ((2, 3, 4), OF_SUMS, OF_SUMS, OF_SUMS, (7, 8), range(9))
SHARES = (0.4, 0.2, 0.1, 0.1, 0.1, 0.1)
USUAL = {
    f"constant_{name}": np.asarray(value).reshape(1).view(np.uint32)
    for name, value in LIF.constants(LifNeuron(), dt_ms=0.1, weight_grid=0.0625, dc_pA=50.0).items()
}


def usual_neurons(n: int, rng: np.random.Generator) -> Words:
    """Return neurons as they are in a network, near threshold, some of them refractory."""
    current = rng.normal(5000.0, 2000.0, (2, n)).astype(np.float32).view(np.uint32)
    return {
        **{name: np.repeat(words, n) for name, words in USUAL.items()},
        "in_ss_ex": rng.integers(0, 30_000, n).astype(np.uint32),
        "in_ss_in": rng.integers(0, 30_000, n).astype(np.uint32),
        "state_V": rng.normal(10.0, 8.0, n).astype(np.float32).view(np.uint32),
        "state_I_ex": current[0],
        "state_I_in": current[1],
        "state_refractory": rng.integers(0, 3, n).astype(np.uint32),
    }


def odd_constants(n: int, rng: np.random.Generator) -> tuple[Words, np.ndarray]:
    """Return `n` sets of constants, and which part of the pipeline each is for."""
    part = rng.choice(len(ABOUT), n, p=SHARES)
    words = {name: near_one(simple(pairs(n, rng)[0], rng), rng) for name in LIF.graph.constants}
    # Products and sums pass through the sums that follow, and never spike.
    is_sum = (part == SUMS) | (part == TINY_SUMS) | (part == HUGE_SUMS)
    is_still = (part == PRODUCTS) | (rng.random(n) < 0.4)
    words |= {name: np.where(is_sum | (part == THRESHOLD), ONE, words[name]) for name in FACTORS}
    # A current decays by the factor by which it acts, so that neurons are about both.
    for kind in ("ex", "in"):
        words[f"P11_{kind}"] = np.where(
            part == PRODUCTS, words[f"P21_{kind}"], words[f"P11_{kind}"]
        )
    words["C_dc"] = np.where(is_still, MINUS_ZERO, extreme(words["C_dc"], part))
    words["theta"] = np.where(rng.random(n) < 0.3, 0, words["theta"])
    words["theta"] = np.where((part == PRODUCTS) | is_sum, NAN | words["theta"], words["theta"])
    words["ref_steps"] = integers(n, rng)
    return {f"constant_{name}": values for name, values in words.items()}, part


def simple(words: U32, rng: np.random.Generator) -> U32:
    """Return words of which some have few bits, or are no numbers."""
    n = len(words)
    few = words & np.uint32(0xFFFFFFFF) << rng.integers(8, 22, n).astype(np.uint32)
    words = np.where(rng.random(n) < 0.4, few, words)
    return np.where(rng.random(n) < 0.06, rng.choice([INFINITY, NAN], n), words)


def near_one(words: U32, rng: np.random.Generator) -> U32:
    """Return words of which half are near one."""
    exponent = rng.integers(126, 129, len(words)).astype(np.uint32) << np.uint32(23)
    changed = words & np.uint32(0x807FFFFF) | exponent
    return np.where(rng.random(len(words)) < 0.5, changed, words)


def lowered(words: U32, rng: np.random.Generator) -> U32:
    """Return words with lower exponents, so that products become tiny."""
    places = rng.integers(1, 20, len(words)).astype(np.uint32) << np.uint32(23)
    return np.where(words & INFINITY > places, words - places, words)


def extreme(words: U32, part: np.ndarray) -> U32:
    """Return words with exponents near the least or the greatest, where a part wants them."""
    words = np.where(part == TINY_SUMS, words & np.uint32(0x81FFFFFF), words)
    huge = words | np.uint32(0x7E000000)
    huge = np.where(huge & INFINITY == INFINITY, huge & np.uint32(0xFF800000), huge)
    return np.where((part == HUGE_SUMS) & (words != MINUS_ZERO), huge, words)


def inputs(n: int, rng: np.random.Generator) -> U32:
    """Return sums of spikes; a third are powers of two."""
    power = np.uint32(1) << rng.integers(0, 32, n).astype(np.uint32)
    return np.where(rng.random(n) < 0.3, power, integers(n, rng))


def addends(sums: U32, rng: np.random.Generator) -> U32:
    """Return currents that are added to sums of spikes; some of them cancel."""
    words = binary32.bits_of(binary32.from_int32(sums.view(np.int32)))
    others = pairs(len(words), rng, words, ADDENDS)[1]
    return np.where(rng.random(len(words)) < 0.05, words ^ MINUS_ZERO, others)


def odd_neurons(constants: Words, part: np.ndarray, rng: np.random.Generator) -> Words:
    """Return neurons of which some part meets with numbers where operators tend to be wrong.

    Results reach a port through sums: what a neuron is not about is a zero in these.
    """
    n = len(part)
    about = np.array([rng.choice(ABOUT[k]) for k in part.tolist()])

    def near(words: U32, choice: int, otherwise: U32, kinds: Sequence[int]) -> U32:
        return np.where(about == choice, pairs(n, rng, words, kinds)[1], otherwise)

    has_input = (about <= 1) | (about == 6) | (part == ALL)
    ss_ex, ss_in = (np.where(has_input, inputs(n, rng), 0) for _ in range(2))
    to_ex, to_in = (addends(ss, rng) for ss in (ss_ex, ss_in))
    V, I_ex, I_in = np.full((3, n), MINUS_ZERO)
    I_ex = np.where((about == 0) | (about == 6), to_ex, I_ex)
    I_in = np.where((about == 1) | (about == 6), to_in, I_in)
    V = near(I_ex, 0, V, ADDENDS)
    V = near(I_in, 1, V, ADDENDS)
    V = near(constants["constant_P22"], 2, V, PARTNERS)
    I_ex = near(constants["constant_P21_ex"], 3, I_ex, PARTNERS)
    I_in = near(constants["constant_P21_in"], 4, I_in, PARTNERS)
    I_in = near(constants["constant_C_dc"], 5, I_in, ADDENDS)
    V, I_ex, I_in = (
        np.where(
            (part == PRODUCTS) & (rng.random(n) < 0.4), lowered(words, rng), simple(words, rng)
        )
        for words in (V, I_ex, I_in)
    )
    theta = constants["constant_theta"]
    one_bit = np.uint32(1) << rng.integers(0, 32, n).astype(np.uint32)
    close = np.choose(rng.integers(0, 4, n), [theta, theta ^ one_bit, theta + 1, theta - 1])
    V = np.where(about == 7, close, np.where(about == 8, near_one(pairs(n, rng)[0], rng), V))
    few = rng.integers(-2, 4, n).astype(np.int32).view(np.uint32)
    waits = np.where(rng.random(n) < 0.5, few, integers(n, rng))
    is_free = rng.random(n) < np.where(about >= 7, 0.1, 0.9)
    return {
        "in_ss_ex": ss_ex,
        "in_ss_in": ss_in,
        "state_V": extreme(V, part),
        "state_I_ex": extreme(I_ex, part),
        "state_I_in": extreme(I_in, part),
        "state_refractory": np.where(is_free, 0, waits),
    }


def carried_neurons(n: int, rng: np.random.Generator) -> Words:
    """Return neurons whose potential is a sum that rounding carries over a power of two."""
    V, I_ex = pairs(n, rng, kinds=(9,))
    constants = dict.fromkeys(LIF.graph.constants, ONE) | {"C_dc": MINUS_ZERO, "theta": NAN}
    return {
        **{f"constant_{name}": np.full(n, word) for name, word in constants.items()},
        **dict.fromkeys(("in_ss_ex", "in_ss_in", "state_refractory"), np.zeros(n, np.uint32)),
        "state_V": V,
        "state_I_ex": I_ex,
        "state_I_in": np.full(n, MINUS_ZERO),
    }
