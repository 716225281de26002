"""What a test bench compares with: steps of a model by its NumPy evaluation, and their file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.binary32 import bits_of, from_bits
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Kind
from csnn.neurons.model import INPUTS, NeuronModel
from csnn.progress import progress
from hls_models.emit_cpp import Block

U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]

MAGIC = b"CSNNVEC1"
# What a section is; the test bench tells of it.
RANDOM, DRIVEN = 0, 1


@dataclass(frozen=True, kw_only=True)
class Section:
    """Steps of some neurons, from given states on.

    Attributes
    ----------
    kind : int
        RANDOM or DRIVEN.
    constants : ndarray of uint32, shape (C,)
    states : ndarray of uint32, shape (S, n)
        Before the first step.
    inputs : ndarray of uint32, shape (T, 2, n)
        Words of the int32 inputs of each step.
    next_states : ndarray of uint32, shape (T, S, n)
    spikes : ndarray of bool, shape (T, n)
    """

    kind: int
    constants: U32
    states: U32
    inputs: U32
    next_states: U32
    spikes: npt.NDArray[np.bool_]

    def words(self) -> U32:
        """Return the section as it is in a file."""
        steps, _, n = self.inputs.shape
        after = [self.inputs, self.next_states, self.spikes[:, None].astype(np.uint32)]
        parts = [
            np.array([self.kind, steps, n], np.uint32),
            self.constants,
            self.states.ravel(),
            np.concatenate(after, axis=1).ravel(),
        ]
        return np.concatenate(parts).astype(np.uint32)


def evaluated(block: Block, kind: int, constants: U32, states: U32, inputs: U32) -> Section:
    """Evaluate steps in NumPy, which defines them.

    Parameters
    ----------
    block : Block
        Its model is evaluated; the orders of words are its.
    kind : int
        RANDOM or DRIVEN.
    constants : ndarray of uint32, shape (C,)
    states : ndarray of uint32, shape (S, n)
    inputs : ndarray of uint32, shape (T, 2, n)

    Returns
    -------
    Section
    """
    model, steps = block.model, len(inputs)
    graph = model.graph
    fixed = _values(block.constant_words, graph.constants, constants)
    next_states = np.empty((steps, *states.shape), np.uint32)
    spikes = np.empty((steps, states.shape[1]), np.bool_)
    values = _values(block.state_words, graph.states, states)
    with progress(steps, f"evaluate {model.name}", "steps") as bar:
        for t in range(steps):
            arrived = _values(tuple(INPUTS), graph.inputs, inputs[t])
            values, outputs = evaluate(graph, state=values, inputs=arrived, constants=fixed)
            for k, name in enumerate(block.state_words):
                next_states[t, k] = values[name].view(np.uint32)
            spikes[t] = outputs["spike"]
            bar.update(1)
    return Section(
        kind=kind,
        constants=constants,
        states=states,
        inputs=inputs,
        next_states=next_states,
        spikes=spikes,
    )


def _values(
    names: Sequence[str], kinds: dict[str, Kind], words: U32
) -> dict[str, npt.NDArray[np.float32] | I32]:
    return {
        name: from_bits(row) if kinds[name] is Kind.F32 else row.view(np.int32)
        for name, row in zip(names, words, strict=True)
    }


def packed(model: NeuronModel, constants: dict[str, np.float32 | np.int32]) -> U32:
    """Return constants as words in the order of the block."""
    floats, integers = model.pack(constants)
    return np.concatenate([bits_of(floats), integers.view(np.uint32)])


def file_content(block: Block, sections: Iterable[Section]) -> bytes:
    """Return the file that a test bench reads (`cpp/csnn_bench.h` tells its form)."""
    digest = block.model.graph.digest()
    parts = list(sections)
    head = [
        len(block.constant_words),
        len(block.state_words),
        *(int(digest[8 * i : 8 * i + 8], 16) for i in range(8)),
        len(parts),
    ]
    words = [np.array(head, np.uint32), *(section.words() for section in parts)]
    return MAGIC + np.concatenate(words).astype("<u4").tobytes()
