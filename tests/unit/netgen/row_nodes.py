"""Nodes that hold nothing but rows, for tests of what makes and reads rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.prng import node_key
from csnn.rows import Sampler, synapse_word
from csnn.spec.network import Projection
from netgen.connectivity import Connector
from netgen.partition import NodePlan
from netgen.row_memory import RowMemory
from netgen.tables import delay_table, weight_table
from netgen.unrolling import unroll

# One table of each kind: weight 1 and delay 1.
_CERTAIN = (np.array([1]), np.array([1.0]))
_WEIGHTS, _DELAYS = weight_table(_CERTAIN)[None], delay_table(_CERTAIN)[None]


def node_of(
    memory: RowMemory, size: int, *, n_sources: int, first_neuron: int = 0, node: int = 0
) -> NodeImage:
    """Return a node of `size` neurons with the rows of `memory` and one constant table."""
    words = np.zeros(0, dtype=np.uint32)
    return NodeImage(
        node=node,
        population=0,
        first_neuron=first_neuron,
        n_neurons=size,
        n_sources=n_sources,
        node_key=node_key(node),
        ext_lanes=1,
        ext_weight=0,
        delay_slots=64,
        grid_exponent=0,
        dt_ms=0.1,
        model="lif",
        weight_tables=_WEIGHTS,
        delay_tables=_DELAYS,
        ext_tables=np.zeros((0, 32), dtype=layout.EXT_TABLE),
        ext_states=np.ones((1, 4), dtype=np.uint32),
        schedule=np.zeros(0, dtype=layout.EPOCH),
        constants=words,
        state=np.zeros((3, size), dtype=np.uint32),
        refractory=np.zeros(size, dtype=np.uint32),
        source_ids=np.arange(first_neuron, first_neuron + size, dtype=np.uint32),
        delay_buffer=words,
        **memory.sections(),
    )


def plans(sizes: Sequence[int], *, first: int = 0, index: int = 0) -> list[NodePlan]:
    """Return nodes of one population with these numbers of neurons."""
    found = []
    for size in sizes:
        found.append(NodePlan(index=index, population="T", first_neuron=first, size=size))
        first, index = first + size, index + 1
    return found


def connector(projection: Projection, n_sources: int, sizes: Sequence[int], seed: int) -> Connector:
    """Return the connector of a projection onto nodes of these sizes.

    Populations of one name begin at neuron 0; otherwise the sources come first.
    """
    same = projection.source == projection.target
    nodes = plans(sizes, first=0 if same else n_sources)
    sequence = np.random.SeedSequence(seed)
    return Connector(projection, n_sources, sum(sizes), 0, nodes, sequence)


def adjacency(
    projection: Projection, n_sources: int, sizes: Sequence[int], seed: int
) -> np.ndarray:
    """Draw and unroll a projection; return the number of synapses of each (source, target)."""
    drawn = connector(projection, n_sources, sizes, seed)
    matrix = np.zeros((n_sources, sum(sizes)), dtype=np.int64)
    column = 0
    for index, plan in enumerate(drawn.nodes):
        rng = np.random.default_rng([seed, index])
        rows = drawn.rows(index)
        memory = RowMemory("auto", plan.size)
        words = None
        if rows.sampler is Sampler.STORED:
            assert rows.target is not None
            words = synapse_word(rows.target, 0, 1)
        memory.add(rows, 0, 0, rng, words)
        node = node_of(
            memory, plan.size, n_sources=n_sources, first_neuron=plan.first_neuron, node=index
        )
        for k in range(len(node.blocks)):
            source, first, length = node.rows(k)
            synapses = unroll(node.block(k), source, first, length)
            np.add.at(matrix, (source[synapses.row], column + synapses.neuron.astype(int)), 1)
        column += plan.size
    return matrix
