"""Words for the ports of pipelines, and graphs of random operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fp_vectors import pairs

from csnn.neurons.graph import (
    Graph,
    Kind,
    Op,
    Trace,
    decrement,
    exponential,
    is_zero,
    select,
    to_f32,
)


def words(kind: Kind, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return words of a type: numbers where operators tend to be wrong, and small integers."""
    if kind is Kind.F32:
        return pairs(n, rng)[0].view(np.float32)
    few = rng.integers(-2, 4, n)
    return np.where(rng.random(n) < 0.5, few, rng.integers(-(2**31), 2**31, n)).astype(np.int32)


def port(values: np.ndarray) -> np.ndarray:
    bits = values if values.dtype == np.bool_ else np.ascontiguousarray(values).view(np.uint32)
    return bits.astype(np.uint64)


def tame_words(kind: Kind, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers of middling size, of which no operation makes an infinity or a NaN."""
    if kind is Kind.F32:
        return rng.normal(0.0, 1.0, n).astype(np.float32)
    return rng.integers(0, 3, n).astype(np.int32)


def leaves(
    graph: Graph, n: int, rng: np.random.Generator, words: Callable[..., np.ndarray] = words
) -> dict[Op, dict[str, Any]]:
    """Return words for `n` neurons; the constants have one each."""
    return {
        Op.INPUT: {name: words(kind, n, rng) for name, kind in graph.inputs.items()},
        Op.STATE: {name: words(kind, n, rng) for name, kind in graph.states.items()},
        Op.CONSTANT: {name: words(kind, 1, rng)[0] for name, kind in graph.constants.items()},
    }


def random_graph(seed: int) -> Graph:
    """Return a graph of 40 operations, each of every kind that fits what is there."""
    rng = np.random.default_rng(seed)
    trace = Trace()
    floats = [trace.state("x"), trace.state("y"), trace.constant("c")]
    integers = [trace.input("i", Kind.I32), trace.state("k", Kind.I32)]
    truths = [is_zero(integers[0]), floats[0] >= floats[1]]

    def pick(values: list[Any]) -> Any:
        return values[max(0, len(values) - 1 - int(rng.geometric(0.3)))]

    for choice in rng.integers(0, 13, 40).tolist():
        match choice:
            case 0 | 1:
                floats.append(pick(floats) + pick(floats))
            case 2:
                floats.append(pick(floats) - pick(floats))
            case 3 | 4:
                floats.append(pick(floats) * pick(floats))
            case 5:
                floats.append(to_f32(pick(integers)))
            case 6:
                integers.append(pick(integers) + pick(integers))
            case 7:
                integers.append(decrement(pick(integers)))
            case 8:
                truths.append(pick(floats) < pick(floats))
            case 9:
                truths.append(pick(truths) & ~pick(truths))
            case 10:
                floats.append(exponential(pick(floats)))
            case 11:
                floats.append(select(pick(truths), pick(floats), pick(floats)))
            case 11:
                floats.append(trace.apply(Op.FEXP, pick(floats)))
            case _:
                integers.append(select(pick(truths), pick(integers), pick(integers)))
    return trace.build(
        next_state={"x": floats[-1], "y": floats[-2], "k": integers[-1]},
        outputs={"spike": truths[-1]},
    )
