"""The model: a machine, a topology and a workload in, the times of all steps out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import ToolFailedError, reject
from csnn.perf.engine.loop import run
from csnn.perf.engine.memory import Master
from csnn.perf.parameters import Machine
from csnn.perf.setup import Memory, prepare
from csnn.perf.topology import Topology
from csnn.perf.workload import Workload

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
_MAX_EVENTS = 1 << 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """What happened.

    Attributes
    ----------
    begins_fs : ndarray of int64, shape (steps, nodes)
        When each node began each step.
    sync_fs : ndarray of int64, shape (steps,)
        When the master node handed over the sync message of each step.
    critical_node : ndarray of int64, shape (steps,)
        Node whose barrier message came last.
    arrival_fs, begin_fs, barrier_fs, collected_fs : ndarray of int64, shape (steps,)
        At that node: sync message there, taken, barrier message sent; at the master node: barrier
        message there.
    app_mhz : float
    events : int
    largest : dict of str to int
        Most packets that waited: in a link's buffer, an output's queue, the FIFO of a node, of the
        master node.
    handled, synapses : ndarray of int64, shape (nodes,)
        Spikes and synapses of each node.
    """

    begins_fs: I64
    sync_fs: I64
    critical_node: I64
    arrival_fs: I64
    begin_fs: I64
    barrier_fs: I64
    collected_fs: I64
    app_mhz: float
    events: int
    largest: dict[str, int]
    handled: I64
    synapses: I64

    def cycles(self) -> F64:
        """Return the cycles of each step but the last, from sync to sync at the master node."""
        return np.diff(self.sync_fs) * (self.app_mhz * 1e-9)


def simulate(
    machine: Machine,
    topology: Topology,
    workload: Workload,
    *,
    first_sync_ns: float = 1000.0,
    echo: bool = False,
) -> Timing:
    """Run a workload on a machine.

    Parameters
    ----------
    machine : Machine
    topology : Topology
    workload : Workload
    first_sync_ns : float
        When the master node sends its first sync message.
    echo : bool
        Nodes answer a sync message with their barrier message at once.

    Raises
    ------
    InvalidInputError
        If topology and workload have different numbers of nodes, or a node is too large.
    ToolFailedError
        If the machine comes to a standstill: some queue is too small for what is in it.
    """
    if len(topology.nodes) != workload.nodes:
        rule = f"must be {workload.nodes}, as the workload has"
        raise reject("topology.nodes", len(topology.nodes), rule)
    if workload.sizes.max() > machine.node.neurons:
        rule = f"the workload has nodes of {workload.sizes.max()}"
        raise reject("node.neurons", machine.node.neurons, rule)
    memory = prepare(machine, topology, workload, first_sync_ns=first_sync_ns, echo=echo)
    events = int(run(memory.words, workload.rows, _MAX_EVENTS))
    word = memory.words
    if not word[Master.STOP]:
        step, missing = int(word[Master.STEP]), int(word[Master.MISSING])
        raise ToolFailedError(f"the machine stands still in step {step}; {missing} nodes are late")
    return _timing(machine, memory, workload, events)


def _timing(machine: Machine, memory: Memory, workload: Workload, events: int) -> Timing:
    steps, nodes, ports = memory.steps, memory.nodes, memory.ports
    return Timing(
        begins_fs=memory.begins.reshape(workload.steps, workload.nodes).copy(),
        sync_fs=steps["SYNC_FS"].copy(),
        critical_node=steps["NODE"].copy(),
        arrival_fs=steps["ARRIVAL_FS"].copy(),
        begin_fs=steps["BEGIN_FS"].copy(),
        barrier_fs=steps["BARRIER_FS"].copy(),
        collected_fs=steps["COLLECTED_FS"].copy(),
        app_mhz=machine.clocks.app_mhz,
        events=events,
        largest={
            "link": int(ports["LARGEST"][ports["LINK"] >= 0].max(initial=0)),
            "branch": int(memory.branches["LARGEST"].max(initial=0)),
            "node": int(nodes["LARGEST_FIFO"].max()),
            "master": int(memory.words[Master.LARGEST]),
        },
        handled=nodes["HANDLED"].copy(),
        synapses=nodes["SYNAPSES"].copy(),
    )
