"""The units of a compute node, one class each, as the hardware has them.

CB (circular buffer), RTR (spike router), EXT (external spikes) and ODE (neuron update with spike
detection). Everything is integers and binary32 words; nothing here depends on arrival order.

Reference: Heittmann et al. (2022), Figures 3 and 4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.neurons.evaluate import evaluate
from csnn.neurons.model import NeuronModel
from csnn.prng import ext_draw
from csnn.rows import INHIBITORY, MAGNITUDE_MASK, Synapses, unroll
from csnn.spec.machine import EXT_FRACTION_BITS, EXT_OUTCOMES, SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


class CircularBuffer:
    """CB: synaptic input that is due in the next steps, by slot, type (exc, inh) and neuron.

    Parameters
    ----------
    words : ndarray of uint32, shape (slots, 2, n)
        Initial contents, copied.
    limit : int
        Words saturate at `limit` - 1 and set the sticky flag.
    """

    def __init__(self, words: U32, limit: int = SUM_LIMIT_UNITS) -> None:
        self.words: I64 = words.astype(np.int64)
        self.limit = limit
        self.saturated = False

    def add(self, step: int, synapses: Synapses) -> None:
        """Add the weights of synapses whose spike belongs to `step`."""
        slots = len(self.words)
        slot = (np.int64(step + 1) + synapses.delay) % slots
        kind = (synapses.code & np.uint32(INHIBITORY)) != 0
        magnitude = (synapses.code & np.uint32(MAGNITUDE_MASK)).astype(np.int64)
        place = (slot, kind.astype(np.intp), synapses.neuron)
        np.add.at(self.words, place, magnitude)
        if (self.words[place] >= self.limit).any():
            self.saturated = True
            np.minimum(self.words, self.limit - 1, out=self.words)

    def take(self, step: int) -> I64:
        """Return the slot of `step`, shape (2, n), and clear it: the transfer to the SS buffer."""
        slot = step % len(self.words)
        due = self.words[slot].copy()
        self.words[slot] = 0
        return np.asarray(due)


class External:
    """EXT: external spikes of each neuron in a step, from an alias table of 32 outcomes.

    Lane k serves neurons k, k + lanes, k + 2 lanes, ...; in a step with external input every lane
    draws as often as the fullest one.
    """

    def __init__(self, node: NodeImage, state: U32) -> None:
        self.tables = node.ext_tables
        self.n = node.n_neurons
        self.state: U32 = state.copy()

    def draw(self, table: int) -> I64:
        """Return the number of external spikes of each neuron, shape (n,)."""
        if table == layout.NO_EXT_TABLE:
            return np.zeros(self.n, dtype=np.int64)
        turns = -(-self.n // len(self.state))
        word = np.stack([ext_draw(self.state) for _ in range(turns)]).ravel()[: self.n]
        entry = self.tables[table][word & np.uint32(EXT_OUTCOMES - 1)]
        shift = np.uint32(32 - EXT_FRACTION_BITS)
        own = word >> shift < entry["H"] >> shift
        return np.asarray(np.where(own, entry["own"], entry["alias"]), dtype=np.int64)


class Router:
    """RTR: unrolls the rows of arriving spikes into the circular buffer."""

    def __init__(self, node: NodeImage) -> None:
        self.node = node
        self.blocks = [node.block(index) for index in range(len(node.blocks))]
        self.events = 0

    def deliver(self, spikes: U32, step: int, buffer: CircularBuffer) -> None:
        """Add every synapse of `spikes` (global source IDs of step `step`) to `buffer`."""
        for index, block in enumerate(self.blocks):
            source, seed, length = self.node.find_rows(index, spikes)
            if len(source):
                synapses = unroll(block, source, seed, length)
                buffer.add(step, synapses)
                self.events += len(synapses.neuron)


class OdeUnit:
    """ODE: advances all neurons by one step and detects their spikes."""

    def __init__(self, node: NodeImage, model: NeuronModel, state: U32, refractory: U32) -> None:
        self.model = model
        n_floats = len(model.float_constants)
        self.constants: dict[str, np.float32 | np.int32] = {
            **dict(
                zip(model.float_constants, node.constants[:n_floats].view(np.float32), strict=True)
            ),
            **dict(zip(model.int_constants, node.constants[n_floats:].view(np.int32), strict=True)),
        }
        self.state: U32 = state.copy()
        self.refractory: U32 = refractory.copy()

    def advance(self, ss: I64, dc: np.float32) -> Bool:
        """Consume the summed synaptic input `ss`, shape (2, n); return which neurons spike."""
        floats = dict(zip(self.model.float_states, self.state.view(np.float32), strict=True))
        after, outputs = evaluate(
            self.model.graph,
            state={**floats, "refractory": self.refractory.view(np.int32)},
            inputs={"ss_ex": ss[0].astype(np.int32), "ss_in": ss[1].astype(np.int32)},
            constants={**self.constants, "C_dc": dc},
        )
        for row, name in zip(self.state, self.model.float_states, strict=True):
            row[:] = after[name].view(np.uint32)
        self.refractory[:] = after["refractory"].view(np.uint32)
        spike: Bool = outputs["spike"]
        return spike
