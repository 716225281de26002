"""The fast simulator: worker threads that run compiled loops, bit-identical to the plain one."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.neurons.compiled import load
from csnn.neurons.registry import MODELS
from csnn.simulator.atomics import new_barrier
from csnn.simulator.kernels import BLOCK_WORDS, LINE_WORDS, NODE_STRIDE, Worker, make_run
from csnn.simulator.lanes import LANES
from csnn.simulator.layout import divide_nodes, pack_external, shards, transpose
from csnn.simulator.recording import Recording, check_recorded, join
from csnn.simulator.state import MachineState, initial_state
from csnn.spec.machine import SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]

_MAX_SPIKES_PER_CALL = 1 << 24
_POOL_BLOCKS = 4096

_loops: dict[str, Any] = {}


def step_loop(model: str) -> Any:
    """Return the compiled step loop of a registered neuron model."""
    if model not in _loops:
        chosen = MODELS[model]
        _loops[model] = make_run(model, load(chosen).update, chosen.graph.digest())
    return _loops[model]


class FastSimulator:
    """Runs an image with compiled code on several threads.

    Parameters
    ----------
    image : Image
    threads : int
        Worker threads; the result does not depend on it.
    state : MachineState, optional
        Where to start; the image's initial state if absent.
    record : array_like of int
        Global numbers of the neurons to trace.
    saturation_limit : int
        Limit of the circular buffer; only tests change it.
    pool_blocks : int
        Blocks of 1,024 events for each shard's calendar beyond one per slot; events that find
        none take the slower dense buffer.
    """

    def __init__(
        self,
        image: Image,
        *,
        threads: int = 2,
        state: MachineState | None = None,
        record: npt.ArrayLike = (),
        saturation_limit: int = SUM_LIMIT_UNITS,
        pool_blocks: int = _POOL_BLOCKS,
    ) -> None:
        start = initial_state(image) if state is None else state
        self.image = image
        self.record = check_recorded(record, image.n_neurons)
        self.step = start.step
        self.saturation_limit = saturation_limit
        nodes = image.nodes
        self._model = MODELS[nodes[0].model]
        self._run = step_loop(self._model.name)
        self._parts = divide_nodes(len(nodes), min(threads, len(nodes)))
        self._workers = [
            _make_worker(nodes, part, self._model, self.record, pool_blocks) for part in self._parts
        ]
        neurons = [sum(nodes[k].n_neurons for k in part) for part in self._parts]
        self._exchange = np.zeros((2, len(self._parts), max(neurons)), dtype=np.uint32)
        self._counts = np.zeros((2, len(self._parts)), dtype=np.int64)
        self._neurons = neurons
        self._outputs = [np.empty((2, 0), dtype=np.uint32) for _ in neurons]
        self._barrier = new_barrier()
        self._generation = 0
        self._load(start)

    def _load(self, state: MachineState) -> None:
        words = state.state.view(np.float32)
        for part, w in zip(self._parts, self._workers, strict=True):
            for k, number in enumerate(part):
                node = self.image.nodes[number]
                n = node.n_neurons
                own = slice(node.first_neuron, node.first_neuron + n)
                w.state[k, :, :n] = words[:, own]
                w.refractory[k, :n] = state.refractory[own].view(np.int32)
                w.ext_state[k] = state.ext_states[number].T
                w.saturated[k] = state.saturated[number]
                shard, base = w.node_shard[k], w.node_local[k] * NODE_STRIDE
                buffer = state.delay_buffer[:, :, own]
                for kind in range(2):
                    at = base + 256 * kind
                    w.buffer[shard, :, at : at + n] = buffer[:, kind]
            w.buffer_used[:] = w.buffer.any(axis=2)

    def run(self, steps: int) -> Recording:
        """Simulate `steps` steps and return what happened in them."""
        most = max(1, min(steps, _MAX_SPIKES_PER_CALL // max(self._neurons)))
        parts = [self._call(0)]
        while steps > 0:
            parts.append(self._call(min(most, steps)))
            steps -= min(most, steps)
        return join(parts)

    def _call(self, steps: int) -> Recording:
        words = len(self._model.float_states) + 2
        results: list[tuple[int, int]] = [(0, 0)] * len(self._workers)
        for index, n in enumerate(self._neurons):
            # Kept between calls, so that their pages need not be mapped again.
            if self._outputs[index].shape[1] < n * steps:
                self._outputs[index] = np.empty((2, n * steps), dtype=np.uint32)
        outputs = self._outputs
        workers = [
            w._replace(traces=np.zeros((steps, words, len(w.record_node)), dtype=np.uint32))
            for w in self._workers
        ]

        def work(index: int) -> None:
            results[index] = self._run(
                workers[index],
                index,
                self._barrier,
                self._generation,
                self.step + 1,
                steps,
                self.saturation_limit,
                self._exchange,
                self._counts,
                *outputs[index],
            )

        # Compile, or load from the cache, before threads meet at the barrier.
        threads = [
            threading.Thread(target=work, args=(i,), daemon=True) for i in range(1, len(workers))
        ]
        for thread in threads:
            thread.start()
        work(0)
        for thread in threads:
            thread.join()
        self._generation += steps
        self.step += steps
        step = np.concatenate([out[0][:n] for out, (n, _) in zip(outputs, results, strict=True)])
        source = np.concatenate([out[1][:n] for out, (n, _) in zip(outputs, results, strict=True)])
        order = np.lexsort((source, step))
        traces = np.concatenate([w.traces for w in workers], axis=2)
        # Workers trace their own neurons; put the columns back in the order asked for.
        owner = np.concatenate(
            [_recorded(self.image.nodes, part, self.record)[0] for part in self._parts]
        )
        arranged = np.empty_like(traces)
        arranged[:, :, owner] = traces
        return Recording(step[order], source[order], arranged, sum(e for _, e in results))

    def state(self) -> MachineState:
        """Return every state word after the last step."""
        image, nodes = self.image, self.image.nodes
        slots = nodes[0].delay_slots
        state = np.empty((len(self._model.float_states), image.n_neurons), dtype=np.uint32)
        refractory = np.empty(image.n_neurons, dtype=np.uint32)
        buffer = np.empty((slots, 2, image.n_neurons), dtype=np.uint32)
        ext_states = np.empty((len(nodes), *nodes[0].ext_states.shape), dtype=np.uint32)
        saturated = np.empty(len(nodes), dtype=bool)
        for part, w in zip(self._parts, self._workers, strict=True):
            for shard in range(w.cursor.shape[0]):
                inside = np.flatnonzero(w.node_shard == shard)
                for slot in range(slots):
                    events = _pending(w, shard, slot)
                    due = np.bincount(
                        events & np.uint32((1 << 17) - 1),
                        weights=events >> np.uint32(17),
                        minlength=w.buffer.shape[2],
                    ).astype(np.int64)
                    due += w.buffer[shard, slot]
                    clipped = due >= self.saturation_limit
                    due[clipped] = self.saturation_limit - 1
                    for k in inside:
                        node = nodes[part[k]]
                        n, base = node.n_neurons, w.node_local[k] * NODE_STRIDE
                        own = slice(node.first_neuron, node.first_neuron + n)
                        buffer[slot, 0, own] = due[base : base + n]
                        buffer[slot, 1, own] = due[base + 256 : base + 256 + n]
                        if clipped[base : base + NODE_STRIDE].any():
                            w.saturated[k] = 1
            for place, number in enumerate(part):
                node = nodes[number]
                own = slice(node.first_neuron, node.first_neuron + node.n_neurons)
                state[:, own] = w.state[place, :, : node.n_neurons].view(np.uint32)
                refractory[own] = w.refractory[place, : node.n_neurons].view(np.uint32)
                ext_states[number] = w.ext_state[place].T
                saturated[number] = w.saturated[place]
        return MachineState(
            step=self.step,
            state=state,
            refractory=refractory,
            delay_buffer=buffer,
            ext_states=ext_states,
            saturated=saturated,
        )


class _Arena:
    """Zeroed arrays side by side, each from the start of a cache line.

    NumPy asks for huge pages for large allocations only; what the loops touch at random shares one.
    """

    def __init__(self, words: int) -> None:
        self._raw = np.zeros(words + LINE_WORDS, dtype=np.uint32)
        self._used = -self._raw.ctypes.data // 4 % LINE_WORDS

    def array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return the next array, of a dtype of 4 bytes."""
        words = math.prod(shape)
        part = self._raw[self._used : self._used + words]
        self._used += -(-words // LINE_WORDS) * LINE_WORDS
        return part.view(dtype).reshape(shape)


def _pending(w: Worker, shard: int, slot: int) -> U32:
    """Events of one calendar list, in order."""
    block = int(w.head[shard, slot])
    parts = []
    while block != w.tail[shard, slot]:
        parts.append(w.pool[shard, block * BLOCK_WORDS : (block + 1) * BLOCK_WORDS])
        block = int(w.following[shard, block])
    parts.append(w.pool[shard, block * BLOCK_WORDS : w.cursor[shard, slot]])
    return np.concatenate(parts)


def _recorded(
    nodes: tuple[NodeImage, ...], part: range, record: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the recorded neurons that a worker owns.

    Returns their positions in `record`, their nodes' places in `part`, and their local numbers.
    """
    first = np.array([node.first_neuron for node in nodes], dtype=np.int64)
    node = np.searchsorted(first, record, side="right") - 1
    columns = np.flatnonzero(np.isin(node, part))
    places = (node[columns] - part.start) // part.step
    return columns, places, record[columns] - first[node[columns]]


def _make_worker(
    nodes: tuple[NodeImage, ...],
    part: range,
    model: Any,
    record: npt.NDArray[np.int64],
    pool_blocks: int,
) -> Worker:
    cut = shards(part)
    rows = transpose(nodes, cut)
    own = [nodes[k] for k in part]
    slots = own[0].delay_slots
    n_blocks = slots + pool_blocks
    shard_words = NODE_STRIDE * max(len(s) for s in cut)
    n_floats = len(model.float_constants)
    epochs = [node.schedule for node in own]
    ext_first = np.cumsum([0] + [len(node.ext_tables) for node in own])
    epoch_table = [
        np.where(
            schedule["ext_table"] == 0xFFFFFFFF,
            np.uint32(0xFFFFFFFF),
            (schedule["ext_table"].astype(np.int64) + first).astype(np.uint32),
        )
        for schedule, first in zip(epochs, ext_first, strict=False)
    ]
    ext = np.concatenate([node.ext_tables for node in own])
    _, record_node, record_neuron = _recorded(nodes, part, record)
    state = np.zeros((len(own), len(model.float_states), 256), dtype=np.float32)
    longest = int(rows.row_events.max(initial=0)) + 2 * LANES
    arena = _Arena(len(cut) * (shard_words + n_blocks * BLOCK_WORDS) + 2 * longest + 8 * LINE_WORDS)
    return Worker(
        row_first=rows.row_first,
        row_lanes=rows.row_lanes,
        row_events=rows.row_events,
        row_seed=rows.row_seed,
        row_length=rows.row_length,
        row_block=rows.row_block,
        block_first=rows.block_first,
        **{f"block_{name}": array for name, array in rows.blocks.items()},
        **rows.tables,
        synapses=rows.synapses,
        node_shard=np.repeat(np.arange(len(cut)), [len(s) for s in cut]),
        node_local=np.concatenate([np.arange(len(s)) for s in cut]),
        node_size=np.array([node.n_neurons for node in own]),
        node_neuron=np.array([node.first_neuron for node in own], dtype=np.uint32),
        node_ext_weight=np.array([node.ext_weight for node in own], dtype=np.int32),
        epoch_first=np.cumsum([0] + [len(schedule) for schedule in epochs]),
        epoch_step=np.concatenate([s["first_step"] for s in epochs]).astype(np.uint32),
        epoch_table=np.concatenate(epoch_table).astype(np.uint32),
        epoch_dc=np.concatenate([s["dc"] for s in epochs]).astype(np.float32),
        ext_packed=pack_external(ext),
        ext_state=np.zeros((len(own), 4, own[0].ext_lanes), dtype=np.uint32),
        constants_f=np.stack([node.constants[:n_floats].view(np.float32) for node in own]).copy(),
        constants_i=np.stack([node.constants[n_floats:].view(np.int32) for node in own]).copy(),
        dc_constant=model.float_constants.index("C_dc"),
        state=state,
        refractory=np.zeros((len(own), 256), dtype=np.int32),
        accumulator=arena.array((len(cut), shard_words), np.int32),
        pool=arena.array((len(cut), n_blocks * BLOCK_WORDS), np.uint32),
        cursor=np.tile(np.arange(slots) * BLOCK_WORDS, (len(cut), 1)),
        end=np.tile(np.arange(1, slots + 1) * BLOCK_WORDS, (len(cut), 1)),
        head=np.tile(np.arange(slots, dtype=np.int32), (len(cut), 1)),
        tail=np.tile(np.arange(slots, dtype=np.int32), (len(cut), 1)),
        following=np.zeros((len(cut), n_blocks), dtype=np.int32),
        free=np.tile(np.arange(n_blocks - 1, -1, -1, dtype=np.int32), (len(cut), 1)),
        n_free=np.full(len(cut), n_blocks - slots),
        buffer=np.zeros((len(cut), slots, shard_words), dtype=np.int32),
        buffer_used=np.zeros((len(cut), slots), dtype=np.uint8),
        saturated=np.zeros(len(own), dtype=np.uint8),
        record_node=record_node,
        record_neuron=record_neuron,
        traces=np.zeros((0, state.shape[1] + 2, len(record_node)), dtype=np.uint32),
        word=arena.array((longest,), np.uint32),
        slot=arena.array((longest,), np.uint32),
    )
