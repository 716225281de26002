"""The fast simulator: worker threads that run compiled loops, bit-identical to the plain one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.neurons.compiled import load
from csnn.neurons.registry import MODELS
from csnn.simulator.atomics import new_barrier
from csnn.simulator.exchange import Exchange
from csnn.simulator.kernels import NODE_STRIDE, make_run
from csnn.simulator.layout import divide_nodes
from csnn.simulator.recording import Recording, check_recorded, join
from csnn.simulator.state import MachineState, initial_state
from csnn.simulator.worker import make_worker, pending, recorded
from csnn.spec.machine import SUM_LIMIT_UNITS

_MAX_SPIKES_PER_CALL = 1 << 24
_POOL_BLOCKS = 4096

_loops: dict[str, Any] = {}


def step_loop(model: str) -> Any:
    """Return the compiled step loop of a registered neuron model."""
    if model not in _loops:
        chosen = MODELS[model]
        _loops[model] = make_run(model, load(chosen).update, chosen.graph.digest())
    return _loops[model]


class CompiledNodes:
    """Nodes, all of a machine or those of one rank, that run in compiled code on several threads.

    Parameters
    ----------
    nodes : sequence of NodeImage
        In ascending order.
    state : MachineState
        Where to start; of these nodes only, one behind the other.
    threads : int
        Worker threads; the result does not depend on it.
    record : ndarray of int64
        Global numbers of the neurons to trace; those of other nodes are passed over.
    exchange : Exchange, optional
        What brings the spikes of other ranks.
    saturation_limit, pool_blocks : int
        As of `FastSimulator`.

    Attributes
    ----------
    columns : ndarray of int64
        Positions in `record` of the neurons that are traced here.
    """

    def __init__(
        self,
        nodes: Sequence[NodeImage],
        state: MachineState,
        *,
        threads: int,
        record: npt.NDArray[np.int64],
        exchange: Exchange | None = None,
        saturation_limit: int = SUM_LIMIT_UNITS,
        pool_blocks: int = _POOL_BLOCKS,
    ) -> None:
        self.step = state.step
        self.saturation_limit = saturation_limit
        self._nodes = nodes
        self._model = MODELS[nodes[0].model]
        self._run = step_loop(self._model.name)
        self._parts = divide_nodes(len(nodes), min(threads, len(nodes)))
        self._workers = [
            make_worker(nodes, part, self._model, record, pool_blocks) for part in self._parts
        ]
        owned = [recorded(nodes, part, record)[0] for part in self._parts]
        self.columns = np.sort(np.concatenate(owned))
        # Workers trace their own neurons; their columns go where they were asked for.
        self._places = np.searchsorted(self.columns, np.concatenate(owned))
        sizes = np.array([node.n_neurons for node in nodes])
        self._first = np.concatenate([[0], np.cumsum(sizes)])
        neurons = [int(sizes[list(part)].sum()) for part in self._parts]
        self._neurons = neurons
        self._exchange = exchange
        self._spikes = np.zeros((2, len(self._parts), max(neurons)), dtype=np.uint32)
        # One more, for those of other ranks.
        self._counts = np.zeros((2, len(self._parts) + 1), dtype=np.int64)
        far = exchange.n_neurons if exchange else 0
        self._far = np.zeros((2, far), dtype=np.uint32)
        self._outputs = [np.empty((2, 0), dtype=np.uint32) for _ in neurons]
        self._barrier = new_barrier()
        self._generation = 0
        self._load(state)

    def _own(self, index: int) -> slice:
        """Return where the neurons of node `index` are in a state."""
        return slice(int(self._first[index]), int(self._first[index + 1]))

    def _load(self, state: MachineState) -> None:
        words = state.state.view(np.float32)
        for part, w in zip(self._parts, self._workers, strict=True):
            for k, index in enumerate(part):
                n = self._nodes[index].n_neurons
                own = self._own(index)
                w.state[k, :, :n] = words[:, own]
                w.refractory[k, :n] = state.refractory[own].view(np.int32)
                w.ext_state[k] = state.ext_states[index].T
                w.saturated[k] = state.saturated[index]
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
        links = _links(self._exchange)

        def work(index: int) -> None:
            results[index] = self._run(
                workers[index],
                index,
                self._barrier,
                self._generation,
                self.step + 1,
                steps,
                self.saturation_limit,
                self._spikes,
                self._counts,
                *outputs[index],
                self._far,
                *links,
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
        if self._exchange is not None and self._exchange.error is not None:
            raise self._exchange.error
        self._generation += steps if self._exchange is None else 2 * steps
        self.step += steps
        step = np.concatenate([out[0][:n] for out, (n, _) in zip(outputs, results, strict=True)])
        source = np.concatenate([out[1][:n] for out, (n, _) in zip(outputs, results, strict=True)])
        order = np.lexsort((source, step))
        traces = np.concatenate([w.traces for w in workers], axis=2)
        arranged = np.empty_like(traces)
        arranged[:, :, self._places] = traces
        return Recording(step[order], source[order], arranged, sum(e for _, e in results))

    def state(self) -> MachineState:
        """Return every state word of these nodes after the last step."""
        nodes = self._nodes
        slots, n_neurons = nodes[0].delay_slots, int(self._first[-1])
        state = np.empty((len(self._model.float_states), n_neurons), dtype=np.uint32)
        refractory = np.empty(n_neurons, dtype=np.uint32)
        buffer = np.empty((slots, 2, n_neurons), dtype=np.uint32)
        ext_states = np.empty((len(nodes), *nodes[0].ext_states.shape), dtype=np.uint32)
        saturated = np.empty(len(nodes), dtype=bool)
        for part, w in zip(self._parts, self._workers, strict=True):
            for shard in range(w.cursor.shape[0]):
                inside = np.flatnonzero(w.node_shard == shard)
                for slot in range(slots):
                    events = pending(w, shard, slot)
                    due = np.bincount(
                        events & np.uint32((1 << 17) - 1),
                        weights=events >> np.uint32(17),
                        minlength=w.buffer.shape[2],
                    ).astype(np.int64)
                    due += w.buffer[shard, slot]
                    clipped = due >= self.saturation_limit
                    due[clipped] = self.saturation_limit - 1
                    for k in inside:
                        n, base = nodes[part[k]].n_neurons, w.node_local[k] * NODE_STRIDE
                        own = self._own(part[k])
                        buffer[slot, 0, own] = due[base : base + n]
                        buffer[slot, 1, own] = due[base + 256 : base + 256 + n]
                        if clipped[base : base + NODE_STRIDE].any():
                            w.saturated[k] = 1
            for place, index in enumerate(part):
                n, own = nodes[index].n_neurons, self._own(index)
                state[:, own] = w.state[place, :, :n].view(np.uint32)
                refractory[own] = w.refractory[place, :n].view(np.uint32)
                ext_states[index] = w.ext_state[place].T
                saturated[index] = w.saturated[place]
        return MachineState(
            step=self.step,
            state=state,
            refractory=refractory,
            delay_buffer=buffer,
            ext_states=ext_states,
            saturated=saturated,
        )


def _links(exchange: Exchange | None) -> tuple[Any, ...]:
    """Return what the compiled loop takes of an exchange; address 0 says that there is none."""
    if exchange is None:
        nothing = np.zeros(0, dtype=np.uint32)
        return 0, 0, nothing, np.zeros((0, 1), dtype=np.uint32), nothing
    return (
        exchange.address, exchange.channel.rank, exchange.send, exchange.received, exchange.rest,
    )  # fmt: skip


class FastSimulator(CompiledNodes):
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
        Blocks of 1,008 events for each shard of a worker, beyond one per slot; a worker's shards
        share them. Where fewer may be free than there are slots, events take the slower dense
        buffer.
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
        self.image = image
        self.record = check_recorded(record, image.n_neurons)
        super().__init__(
            image.nodes,
            initial_state(image) if state is None else state,
            threads=threads,
            record=self.record,
            saturation_limit=saturation_limit,
            pool_blocks=pool_blocks,
        )
