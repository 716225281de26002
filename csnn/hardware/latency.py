"""Latencies of a compute node in clock cycles; the RTL takes its figures from here."""

from __future__ import annotations

from csnn.hardware.config import NodeConfig
from csnn.rows import Sampler

FIFO = 2
PACKET_DECODER = 1
PACKET_ENCODER = 1
# Memory, its output register, selection.
ALIAS_TABLE = 3
# From `take` to the first group.
TAKE = 3
# From `start` to the first group: the group's register, the look-up, the product.
EXTERNAL = 2 + ALIAS_TABLE
# From the hand-over of a sync message to `start`: the states BEGIN, EPOCH and START.
SYNC_TO_START = 3
# From the end of the ODE unit to the barrier message: the states COMPUTE and SEND.
COMPUTED_TO_BARRIER = 1
# Memories of input and state, and the sum of SS and ES.
ODE_READ = 2
# From a group with spikes to the ID of the first one.
SPIKE_OUTPUT = 5
# From a spike to its place in the sum that goes with the counts.
SPIKE_SUM = 3
# From a synapse to its place in the circular buffer.
STORE = 6
# From a spike at the spike router until a row that its presence bit denies has been dropped.
ABSENT_ROW = 8
# From the hand-over of a sync message to the change of the step's register.
SYNC_TO_NEXT_STEP = 2
STUB_PERMUTATION = 30


def pipeline_latency(config: NodeConfig) -> int:
    """Return the latency of the neuron pipeline: the critical path of the model's graph."""
    return config.neuron_model.graph.latency(config.operators.latencies())


def ode_latency(config: NodeConfig) -> int:
    """Return IL of the ODE unit: cycles of a step less one per group."""
    return 1 + ODE_READ + pipeline_latency(config)


def neuron_groups(config: NodeConfig, n: int) -> int:
    """Return N_p: the groups of `n` neurons, one neuron per pipeline.

    Raises
    ------
    ValueError
        If the node cannot hold them.
    """
    if not 1 <= n <= config.neurons:
        raise ValueError(f"n = {n}: must be 1 to {config.neurons}")
    return -(-n // config.pipelines)


def ode_cycles(config: NodeConfig, n: int) -> int:
    """Return L_Np = IL + N_p: from `start` of the ODE unit to the end of `computing`."""
    return ode_latency(config) + neuron_groups(config, n)


def step_cycles(config: NodeConfig, n: int) -> int:
    """Return the cycles of a step in which no spike is sent and no epoch begins.

    Parameters
    ----------
    config : NodeConfig
    n : int
        Neurons of the node.

    Returns
    -------
    int
        Cycles from the one in which the node's core takes a sync message to the one in which it
        offers the barrier message.
    """
    return SYNC_TO_START + EXTERNAL + ode_cycles(config, n) + COMPUTED_TO_BARRIER


def packet_cycles(config: NodeConfig, n: int) -> int:
    """Return the same from sync packet to barrier packet, with FIFO, decoder and encoder."""
    return FIFO + PACKET_DECODER + step_cycles(config, n) + PACKET_ENCODER


def row_lookup_latency(config: NodeConfig) -> int:
    """Return the cycles from a spike at the spike router to its first row."""
    sparse = 4 if config.presence_words else 0
    return 12 + sparse + (3 if Sampler.STUBS in config.samplers else 0)


def empty_row_latency(config: NodeConfig) -> int:
    """Return the cycles from a spike at the spike router until a row of length 0 is dropped."""
    return 12 if config.presence_words else 8


def unroller_latency(config: NodeConfig) -> int:
    """Return the cycles from a row to its first synapse."""
    if Sampler.STUBS in config.samplers:
        return STUB_PERMUTATION + 3
    return 7 if Sampler.DISTINCT in config.samplers else 6


def accept_cycles(config: NodeConfig, n: int) -> int:
    """Return the cycles from a sync message to the first spike of its step that can be handled.

    The slot must have moved and EXT must have drawn before: the states LOAD and COMPUTE.
    """
    return SYNC_TO_START + EXTERNAL + neuron_groups(config, n) + 1
