"""The plain simulator: the machine as its definition reads, in NumPy, block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import MODELS
from csnn.simulator.blocks import CircularBuffer, External, OdeUnit, Router
from csnn.simulator.recording import Recording, check_recorded
from csnn.simulator.state import MachineState, initial_state
from csnn.spec.machine import SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


class Node:
    """A compute node: the step sequence over its units.

    Parameters
    ----------
    node : NodeImage
    model : NeuronModel
    state : MachineState
        State of the whole machine, from which the node takes its part.
    saturation_limit : int
        Limit of the circular buffer; only tests change it.
    """

    def __init__(
        self, node: NodeImage, model: NeuronModel, state: MachineState, saturation_limit: int
    ) -> None:
        self.image = node
        self.part = slice(node.first_neuron, node.first_neuron + node.n_neurons)
        self.router = Router(node)
        self.buffer = CircularBuffer(state.delay_buffer[:, :, self.part], saturation_limit)
        self.buffer.saturated = bool(state.saturated[node.node])
        self.external = External(node, state.ext_states[node.node])
        self.ode = OdeUnit(node, model, state.state[:, self.part], state.refractory[self.part])
        # What the SS and ES buffers hold, and their sum.
        self.ss: I64 = np.zeros((2, node.n_neurons), dtype=np.int64)
        self.es: I64 = np.zeros(node.n_neurons, dtype=np.int64)
        self.synaptic_input: I64 = self.ss

    def compute(self, step: int) -> U32:
        """Do everything between the sync message and the barrier; return the spiking sources."""
        epoch = self.image.schedule[
            np.searchsorted(self.image.schedule["first_step"], step, side="right") - 1
        ]
        self.ss = self.buffer.take(step)
        self.es = self.external.draw(int(epoch["ext_table"])) * self.image.ext_weight
        self.synaptic_input = self.ss.copy()
        self.synaptic_input[0] += self.es
        return self.image.source_ids[self.ode.advance(self.synaptic_input, epoch["dc"])]

    def receive(self, spikes: U32, step: int) -> None:
        """Unroll the broadcast spikes of `step` into the circular buffer."""
        self.router.deliver(spikes, step, self.buffer)


class PlainSimulator:
    """Runs an image with the plain definition.

    Parameters
    ----------
    image : Image
    state : MachineState, optional
        Where to start; the image's initial state if absent.
    record : array_like of int
        Global numbers of the neurons to trace.
    saturation_limit : int
        Limit of the circular buffer; only tests change it.
    """

    def __init__(
        self,
        image: Image,
        *,
        state: MachineState | None = None,
        record: npt.ArrayLike = (),
        saturation_limit: int = SUM_LIMIT_UNITS,
    ) -> None:
        start = initial_state(image) if state is None else state
        model = MODELS[image.nodes[0].model]
        self.image = image
        self.record = check_recorded(record, image.n_neurons)
        self.step = start.step
        self.nodes = [Node(node, model, start, saturation_limit) for node in image.nodes]

    def run(self, steps: int) -> Recording:
        """Simulate `steps` steps and return what happened in them."""
        spikes: list[tuple[int, U32]] = []
        traces = []
        before = self._events()
        for _ in range(steps):
            self.step += 1
            sources = np.concatenate([node.compute(self.step) for node in self.nodes])
            for node in self.nodes:
                node.receive(sources, self.step)
            spikes.append((self.step, sources))
            if self.record.size:
                traces.append(self._trace())
        counts = [len(sources) for _, sources in spikes]
        words = len(self.nodes[0].ode.state) + 2
        return Recording(
            np.repeat(np.array([step for step, _ in spikes], dtype=np.uint32), counts),
            np.concatenate([np.empty(0, np.uint32), *(sources for _, sources in spikes)]),
            np.array(traces, dtype=np.uint32).reshape(steps, words, self.record.size),
            self._events() - before,
        )

    def _events(self) -> int:
        return sum(node.router.events for node in self.nodes)

    def _trace(self) -> U32:
        state = np.concatenate([node.ode.state for node in self.nodes], axis=1)
        inputs = np.concatenate([node.synaptic_input for node in self.nodes], axis=1)
        return np.concatenate([state, inputs.astype(np.uint32)])[:, self.record]

    def state(self) -> MachineState:
        """Return every state word after the last step."""
        nodes = self.nodes
        return MachineState(
            step=self.step,
            state=np.concatenate([node.ode.state for node in nodes], axis=1),
            refractory=np.concatenate([node.ode.refractory for node in nodes]),
            delay_buffer=np.concatenate([n.buffer.words for n in nodes], axis=2).astype(np.uint32),
            ext_states=np.stack([node.external.state for node in nodes]),
            saturated=np.array([node.buffer.saturated for node in nodes]),
        )
