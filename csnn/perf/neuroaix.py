"""Step time of neuroAIx, another FPGA cluster, from its published parameters.

The cluster has no master node: spikes go along one dimension of nodes, then the other, to all
nodes, where the synapses of each are fetched from external memory. A step is over when the last
spike's synapses are in the ring buffers. Stages and latencies are those of the step model that its
authors published; here real spikes pass through them, one after the other where they share a unit.

Reference: Kauth et al. (2023), neuroAIx-Framework; RWTH-IDS/neuroAIx-perf-sim (parameters of
`microcircuit.txt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.spec import checks

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
MEASURED_NS = 4894.5
# Ten per cent more: a parameter of which the sensitivity is asked for.
_MORE = 1.1


@dataclass(frozen=True, kw_only=True)
class NeuroAix:
    """Parameters; none is fitted.

    Attributes
    ----------
    rows, columns, cores, depth : int
        Nodes; neuron cores of a node; stages of their pipeline.
    neuron_mhz : float
    router_ns, crossing_ns, dispatcher_ns, transceiver_ns, extra_hop_ns, cable_ns : float
    link_gbps : float
    flit_bits : int
    memory_bytes_per_ns : float
        Of both channels of a node's memory.
    bytes_per_synapse, fetch_bytes : int
        A row is fetched in pieces of `fetch_bytes`.
    """

    rows: int = 5
    columns: int = 7
    cores: int = 10
    depth: int = 30
    neuron_mhz: float = 189.393
    router_ns: float = 43.0
    crossing_ns: float = 60.0
    dispatcher_ns: float = 880.0
    transceiver_ns: float = 600.0
    extra_hop_ns: float = 309.0
    cable_ns: float = 17.0
    link_gbps: float = 5.82
    flit_bits: int = 128
    memory_bytes_per_ns: float = 24.24
    bytes_per_synapse: int = 8
    fetch_bytes: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            checks.positive("neuroaix", field.name, getattr(self, field.name))

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.rows * self.columns

    @property
    def hop_ns(self) -> float:
        """From one router to the last one of a dimension, without the router."""
        return self.transceiver_ns + self.cable_ns + self.extra_hop_ns


def _queue(ready: F64, service_ns: F64 | float) -> F64:
    """Return when each job ends at a unit that does one after the other, in order of arrival."""
    order = np.argsort(ready, kind="stable")
    ends = np.empty_like(ready)
    services = np.broadcast_to(service_ns, ready.shape)
    free = 0.0
    for job in order:
        free = max(free, ready[job]) + services[job]
        ends[job] = free
    return ends


def neuroaix_step_ns(
    cluster: NeuroAix, sources: I64, n_neurons: int, out_degree: F64
) -> tuple[float, dict[str, float]]:
    """Return the time of a step with these spikes, and its parts, in ns.

    Parameters
    ----------
    cluster : NeuroAix
    sources : ndarray of int64, shape (n,)
        Neurons that spike; neurons are dealt out to the nodes in turn.
    n_neurons : int
    out_degree : ndarray of float64, shape (n_neurons,)
        Synapses of each neuron, spread evenly over the nodes.
    """
    node, local = sources % cluster.nodes, sources // cluster.nodes
    per_core = -(-n_neurons // (cluster.nodes * cluster.cores))
    cycle_ns = 1e3 / cluster.neuron_mhz
    calculation = (per_core + cluster.depth) * cycle_ns
    fixed = {
        "neurons": calculation,
        "network": 2 * (cluster.router_ns + cluster.hop_ns) + cluster.crossing_ns
        + cluster.router_ns + cluster.crossing_ns,
        "dispatcher": cluster.dispatcher_ns,
    }  # fmt: skip
    if not len(sources):
        return sum(fixed.values()), fixed
    sent = (local // cluster.cores + cluster.depth) * cycle_ns + cluster.crossing_ns
    flit_ns = cluster.flit_bits / cluster.link_gbps
    row = node // cluster.columns
    # Along its row: each node sends its own; then along the columns what came by the row.
    after_row = np.empty_like(sent)
    for k in range(cluster.nodes):
        mine = node == k
        after_row[mine] = _queue(sent[mine] + cluster.router_ns, flit_ns)
    after_row += cluster.hop_ns
    arrived = np.empty_like(sent)
    for k in range(cluster.rows):
        mine = row == k
        arrived[mine] = _queue(after_row[mine] + cluster.router_ns, flit_ns)
    arrived += cluster.hop_ns
    # Every node fetches the row of every spike.
    size = out_degree[sources] / cluster.nodes * cluster.bytes_per_synapse
    size = np.ceil(size / cluster.fetch_bytes) * cluster.fetch_bytes
    lookup = arrived + cluster.router_ns + cluster.crossing_ns
    done = _queue(lookup, size / cluster.memory_bytes_per_ns) + cluster.dispatcher_ns
    # A node knows that no spike is to come when the last neuron's time has passed on all hops.
    silent = sum(fixed.values())
    total = max(float(done.max()), silent)
    return total, {**fixed, "queues": total - silent}


def mean_step_ns(cluster: NeuroAix, steps: Sequence[I64], n_neurons: int, out_degree: F64) -> float:
    """Return the mean time of steps, whose spikes are given as `neuroaix_step_ns` takes them."""
    times = [neuroaix_step_ns(cluster, step, n_neurons, out_degree)[0] for step in steps]
    return float(np.mean(times))


def sensitivities(
    cluster: NeuroAix, steps: Sequence[I64], n_neurons: int, out_degree: F64
) -> dict[str, float]:
    """Return by how much, relative, the mean step changes with ten per cent more of a parameter.

    Parameters that count something are left as they are: they are the structure.
    """
    base = mean_step_ns(cluster, steps, n_neurons, out_degree)
    found = {}
    for field in fields(cluster):
        value = getattr(cluster, field.name)
        if isinstance(value, float):
            more: dict[str, Any] = {field.name: _MORE * value}
            changed = mean_step_ns(replace(cluster, **more), steps, n_neurons, out_degree)
            found[field.name] = changed / base - 1
    return found
