"""NumPy evaluation of a graph: the definition of what a neuron model does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import binary32, exponential
from csnn.binary32 import I32, Bool
from csnn.neurons.graph import Graph, Kind, Op

Array = npt.NDArray[Any]
_DTYPES = {Kind.F32: np.float32, Kind.I32: np.int32, Kind.BOOL: np.bool_}


def _wrapping_add(a: I32, b: I32) -> I32:
    with np.errstate(over="ignore"):
        return np.add(a, b)


def _is_zero(x: I32) -> Bool:
    return np.equal(x, 0)


def _decrement(x: I32) -> I32:
    # max first: x - 1 would wrap at the least int32.
    return np.maximum(x, np.int32(1)) - np.int32(1)


def _select(condition: Bool, if_true: Array, if_false: Array) -> Array:
    return np.where(condition, if_true, if_false)


_RULES: dict[Op, Callable[..., Array]] = {
    Op.FADD: binary32.add,
    Op.FSUB: binary32.sub,
    Op.FMUL: binary32.mul,
    Op.FEXP: exponential.exp,
    Op.FGE: binary32.greater_equal,
    Op.FLT: binary32.less,
    Op.ITOF: binary32.from_int32,
    Op.IADD: _wrapping_add,
    Op.IZERO: _is_zero,
    Op.IDEC: _decrement,
    Op.AND: np.logical_and,
    Op.NOT: np.logical_not,
    Op.SELECT: _select,
}


def evaluate(
    graph: Graph,
    *,
    state: Mapping[str, npt.ArrayLike],
    inputs: Mapping[str, npt.ArrayLike],
    constants: Mapping[str, npt.ArrayLike],
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Evaluate one step.

    Parameters
    ----------
    graph : Graph
        The step.
    state, inputs, constants : mapping of str to array_like, shape (n,) or scalar
        Values of the leaves, float32, int32 or bool as the graph has it. Shapes broadcast.

    Returns
    -------
    next_state, outputs : dict of str to ndarray
        New arrays of the broadcast shape, in the order of the graph.

    Raises
    ------
    TypeError
        If a leaf has another dtype than the graph says.
    KeyError
        If a leaf has no value.
    """
    given = {Op.STATE: state, Op.INPUT: inputs, Op.CONSTANT: constants}
    values: list[Array] = []
    shapes = [()]
    for node in graph.nodes:
        if node.op in given:
            value = np.asarray(given[node.op][node.name])
            if value.dtype != _DTYPES[node.kind]:
                raise TypeError(f"{node.op} {node.name} must be {node.kind}, not {value.dtype}")
            shapes.append(value.shape)
        else:
            value = np.asarray(_RULES[node.op](*(values[i] for i in node.operands)))
        values.append(value)
    shape = np.broadcast_shapes(*shapes)

    def collect(results: tuple[tuple[str, int], ...]) -> dict[str, Array]:
        return {name: np.broadcast_to(values[i], shape).copy() for name, i in results}

    return collect(graph.next_state), collect(graph.outputs)
