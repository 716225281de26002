"""State of the whole machine between two steps, and its checkpoint file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.sealed import read_sealed, write_sealed
from csnn.spec.machine import SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]
SCHEMA = "csnn-checkpoint"
VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MachineState:
    """Every state word of the machine.

    Attributes
    ----------
    step : int
        Last step that was completed; 0 before the first.
    state : ndarray of uint32, shape (float states, neurons)
        Binary32 words of the neuron states.
    refractory : ndarray of uint32, shape (neurons,)
        Refractory counters, steps.
    delay_buffer : ndarray of uint32, shape (slots, 2, neurons)
        Circular buffer; slot t mod slots is due in step t.
    ext_states : ndarray of uint32, shape (nodes, lanes, 4)
        EXT generators.
    saturated : ndarray of bool, shape (nodes,)
        Sticky flag: a circular-buffer word of the node was clipped.
    """

    step: int
    state: U32
    refractory: U32
    delay_buffer: U32
    ext_states: U32
    saturated: npt.NDArray[np.bool_]

    def first_difference(self, other: MachineState) -> str | None:
        """Describe the first word that differs from `other`; None if all are equal."""
        if self.step != other.step:
            return f"step: {self.step} and {other.step}"
        for field in fields(self):
            if field.name == "step":
                continue
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine.shape != theirs.shape:
                return f"{field.name}: shapes {mine.shape} and {theirs.shape}"
            if not np.array_equal(mine, theirs):
                place = tuple(int(i) for i in np.argwhere(mine != theirs)[0])
                a, b = int(mine[place]), int(theirs[place])
                return f"{field.name}{list(place)} after step {self.step}: {a:#x} and {b:#x}"
        return None


def initial_state(image: Image) -> MachineState:
    """Return the state that an image starts from."""
    return start_of(image.nodes)


def start_of(nodes: Sequence[NodeImage]) -> MachineState:
    """Return the state that nodes, all of an image or some, start from, one behind the other."""
    slots = nodes[0].delay_slots
    buffer = np.zeros((slots, 2, sum(node.n_neurons for node in nodes)), dtype=np.uint32)
    first = 0
    for node in nodes:
        if node.delay_buffer.size:
            buffer[:, :, first : first + node.n_neurons] = node.delay_buffer
        first += node.n_neurons
    return MachineState(
        step=0,
        state=np.concatenate([node.state for node in nodes], axis=1),
        refractory=np.concatenate([node.refractory for node in nodes]),
        delay_buffer=buffer,
        ext_states=np.stack([node.ext_states for node in nodes]),
        saturated=np.zeros(len(nodes), dtype=bool),
    )


def with_state(node: NodeImage, state: MachineState) -> NodeImage:
    """Return the memories of a node as they are in a running machine."""
    part = slice(node.first_neuron, node.first_neuron + node.n_neurons)
    return replace(
        node,
        state=state.state[:, part],
        refractory=state.refractory[part],
        delay_buffer=state.delay_buffer[:, :, part],
        ext_states=state.ext_states[node.node],
    )


def save_checkpoint(path: str | Path, state: MachineState, image: Image) -> None:
    """Write a checkpoint atomically: all state words and the digest of the image they belong to."""
    arrays = {field.name: np.asarray(getattr(state, field.name)) for field in fields(state)}
    header = {"schema": SCHEMA, "version": VERSION, "image": image.digest}
    write_sealed(path, header, arrays, compress=True)


def load_checkpoint(path: str | Path, image: Image) -> MachineState:
    """Read a checkpoint of `image`.

    Raises
    ------
    InvalidInputError
        If the file is no checkpoint, damaged, of another version, or of another image.
    """
    names = tuple(field.name for field in fields(MachineState))
    header, arrays = read_sealed(path, SCHEMA, VERSION, names, "checkpoint")
    if header.get("image") != image.digest:
        raise InvalidInputError(f"{path}: belongs to another image than {image.path}")
    fault = _fault(arrays, image)
    if fault is not None:
        raise InvalidInputError(f"{path}: {fault}")
    step = int(arrays.pop("step"))
    return MachineState(step=step, **arrays)


def _fault(arrays: dict[str, npt.NDArray[Any]], image: Image) -> str | None:
    """Return the rule that a checkpoint breaks although it vouches for itself, None if none.

    Compiled code trusts shapes and counts; see `csnn.image.consistency`.
    """
    # Of a divided machine, rank 0 has read the first node and no other rank's.
    first, n_neurons = image.read([0])[0], image.n_neurons
    shapes: dict[str, tuple[int, ...]] = {
        "step": (),
        "state": (first.state.shape[0], n_neurons),
        "refractory": (n_neurons,),
        "delay_buffer": (first.delay_slots, 2, n_neurons),
        "ext_states": (image.n_nodes, *first.ext_states.shape),
        "saturated": (image.n_nodes,),
    }
    kinds = {"step": "i", "saturated": "b"}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            return f"shape of {name} = {array.shape}: must be {shape}"
        kind = kinds.get(name, "u")
        if array.dtype.kind != kind or (kind == "u" and array.dtype != np.uint32):
            return f"type of {name} = {array.dtype}: is not that of a checkpoint"
    rules = {
        "step: must be from 0 to 2^32 - 1": 0 <= int(arrays["step"]) < 2**32,
        "refractory: must be below 2^31": (arrays["refractory"] < 2**31).all(),
        "delay_buffer: must be below 2^24": (arrays["delay_buffer"] < SUM_LIMIT_UNITS).all(),
        "ext_states: a generator whose state is zero never leaves it": (
            arrays["ext_states"].any(axis=-1).all()
        ),
    }
    return next((rule for rule, kept in rules.items() if not kept), None)
