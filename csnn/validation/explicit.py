"""The network of an image as an explicit experiment, for the oracle.

Synapses are unrolled, EXT is drawn ahead, initial words become physical values. Neuron parameters
and direct currents come from the description that the image carries, not from its constants, so
that wrong constants show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import rows_compiled
from csnn.errors import reject
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.store import NETWORK_FILE, Image
from csnn.neurons.registry import MODELS, rest_mV
from csnn.oracle.experiment import Edges, Experiment, require_lif
from csnn.prng import ext_draw
from csnn.rows import weight_units
from csnn.spec import toml
from csnn.spec.machine import EXT_FRACTION_BITS, EXT_OUTCOMES
from csnn.spec.network import Network

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


def edges_of(image: Image) -> Edges:
    """Unroll all rows of an image.

    Returns
    -------
    Edges
        Every synapse with its multiplicity: source, target, weight in pA, delay in steps.
    """
    columns: list[list[npt.NDArray[Any]]] = [[], [], [], []]
    for node in image.nodes:
        grid_pA = 2.0**node.grid_exponent
        for index in range(len(node.blocks)):
            source, seed, length = node.rows(index)
            synapses = rows_compiled.unroll(node.block(index), source, seed, length)
            columns[0].append(source[synapses.row])
            columns[1].append(synapses.neuron + np.uint32(node.first_neuron))
            columns[2].append(weight_units(synapses.code) * grid_pA)
            columns[3].append((synapses.delay + np.uint32(1)).astype(np.uint8))
    if not columns[0]:
        return Edges.none()
    source, target, weight, delay = (np.concatenate(parts) for parts in columns)
    return Edges(source=source, target=target, weight_pA=weight, delay_steps=delay)


class ExternalDraws:
    """The EXT units of all nodes side by side; equal to `csnn.simulator.blocks.External` of each.

    Parameters
    ----------
    image : Image
    """

    def __init__(self, image: Image) -> None:
        sizes = np.array([node.n_neurons for node in image.nodes])
        lanes = len(image.nodes[0].ext_states)
        turns = -(-sizes // lanes)
        # Nodes with the most turns first: those that draw in a turn are a prefix.
        order = np.argsort(-turns, kind="stable")
        self._nodes = [image.nodes[k] for k in order]
        self._drawing = [int(np.count_nonzero(turns > turn)) for turn in range(int(turns.max()))]
        self._state = np.stack([node.ext_states for node in self._nodes])
        self._words = np.zeros((len(self._drawing), len(order), lanes), dtype=np.uint32)
        self._tables: npt.NDArray[np.void] = np.zeros((len(order), 32), dtype=layout.EXT_TABLE)
        self._silent = np.zeros(len(order), dtype=bool)
        self._epochs = {int(s) for node in image.nodes for s in node.schedule["first_step"]}
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self._node = np.repeat(rank, sizes)
        local = np.concatenate([np.arange(n) for n in sizes])
        self._place = (local // lanes * len(order) + self._node) * lanes + local % lanes
        self.step = 0

    def draw(self) -> U8:
        """Return the external spikes of every neuron in the next step, shape (n,)."""
        self.step += 1
        if self.step in self._epochs:
            self._start_epoch()
        before = self._state[self._silent]
        for words, count in zip(self._words, self._drawing, strict=True):
            words[:count] = ext_draw(self._state[:count])
        # Where there is no external input, the generators stand still.
        self._state[self._silent] = before
        word = self._words.ravel()[self._place]
        entry = self._tables[self._node, word & np.uint32(EXT_OUTCOMES - 1)]
        shift = np.uint32(32 - EXT_FRACTION_BITS)
        own = word >> shift < entry["H"] >> shift
        spikes: U8 = np.where(own, entry["own"], entry["alias"])
        spikes[self._silent[self._node]] = 0
        return spikes

    def _start_epoch(self) -> None:
        for k, node in enumerate(self._nodes):
            at = np.searchsorted(node.schedule["first_step"], self.step, side="right") - 1
            table = int(node.schedule["ext_table"][at])
            self._silent[k] = table == layout.NO_EXT_TABLE
            if not self._silent[k]:
                self._tables[k] = node.ext_tables[table]


def per_neuron(image: Image, value: Callable[[NodeImage], float]) -> F64:
    """Return a value of each node for each of its neurons, shape (n,)."""
    return np.repeat(
        np.array([value(node) for node in image.nodes], dtype=np.float64),
        [node.n_neurons for node in image.nodes],
    )


def network_of(image: Image) -> Network:
    """Return the network description that an image carries."""
    return toml.load(image.path / NETWORK_FILE).network


def _first_step(time_ms: float, dt_ms: float) -> int:
    # A change takes effect in the first step that begins at its time or later.
    return math.ceil(time_ms / dt_ms - 1e-6) + 1


def direct_current(network: Network) -> tuple[F64, tuple[tuple[int, F64], ...]]:
    """Return the direct current of every neuron in pA, and its changes as (step, current)."""
    changes: dict[int, list[tuple[slice, float]]] = {}
    current = np.empty(network.size)
    for population in network.populations:
        first = network.first_ids[population.name]
        part = slice(first, first + population.size)
        current[part] = population.dc.current_pA
        for time_ms, value in population.dc.changes:
            changes.setdefault(_first_step(time_ms, network.dt_ms), []).append((part, value))
    stretches = []
    latest = current.copy()
    for step in sorted(changes):
        for part, value in changes[step]:
            latest[part] = value
        stretches.append((step, latest.copy()))
    return current, tuple(stretches)


def experiment_of(image: Image, steps: int, *, record: Sequence[int] = ()) -> Experiment:
    """Describe the network of an image, with its input, to the oracle.

    Parameters
    ----------
    image : Image
        Of a LIF network.
    steps : int
        Steps for which external input is drawn.
    record : sequence of int
        Neurons to trace.

    Returns
    -------
    Experiment
        Its external inputs are functions of the step, defined for 1 to `steps`.
    """
    network = network_of(image)
    model = MODELS[image.nodes[0].model]
    if model.name != "lif":
        raise reject("image.model", model.name, "the oracle knows only lif")
    grid_pA = per_neuron(image, lambda node: 2.0**node.grid_exponent)
    state = np.concatenate([node.state for node in image.nodes], axis=1).view(np.float32)
    initial = {
        name: row.astype(np.float64) for name, row in zip(model.float_states, state, strict=True)
    }
    E_L = np.concatenate([np.full(p.size, rest_mV(p.neuron)) for p in network.populations])
    if any(node.refractory.any() for node in image.nodes):
        raise reject("image.refractory", "array", "the oracle starts with no neuron refractory")
    draws = ExternalDraws(image)
    counts = np.stack([draws.draw() for _ in range(steps)])
    weight_pA = per_neuron(image, lambda node: node.ext_weight) * grid_pA
    pending = _pending(image)

    def excitation(step: int) -> F64:
        row: F64 = counts[step - 1] * weight_pA
        return row + pending[step, 0] * grid_pA if step < len(pending) else row

    def inhibition(step: int) -> F64:
        # The sum keeps zeros positive: -0.0 would be no harm, but shows.
        return 0.0 - pending[step, 1] * grid_pA if step < len(pending) else np.zeros(len(E_L))

    dc_pA, dc_changes = direct_current(network)
    return Experiment(
        neurons=tuple(
            (require_lif(f"population {p.name}.neuron", p.neuron), p.size)
            for p in network.populations
        ),
        steps=steps,
        edges=edges_of(image),
        dt_ms=image.dt_ms,
        V_init_mV=initial["V"] + E_L,
        I_ex_init_pA=initial["I_ex"] * grid_pA,
        I_in_init_pA=0.0 - initial["I_in"] * grid_pA,
        external_ex_pA=excitation,
        external_in_pA=inhibition,
        dc_pA=dc_pA,
        dc_changes=dc_changes,
        record=tuple(int(neuron) for neuron in record),
    )


def _pending(image: Image) -> I64:
    """Return the initial circular buffer by the step in which it is due, (slots + 1, 2, n)."""
    nodes = image.nodes
    slots = nodes[0].delay_slots
    due = np.zeros((slots + 1, 2, image.n_neurons), dtype=np.int64)
    for node in nodes:
        if node.delay_buffer.size:
            part = slice(node.first_neuron, node.first_neuron + node.n_neurons)
            # Step t takes slot t mod slots: slot 0 is due last.
            due[1:slots, :, part] = node.delay_buffer[1:]
            due[slots, :, part] = node.delay_buffer[0]
    return due
