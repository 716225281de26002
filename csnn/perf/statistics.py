"""What a model run says: cycles per step, where they go, what limits them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.perf.model import Timing
from csnn.perf.rows import Rows
from csnn.perf.workload import Workload

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Parts of a step, along the node whose barrier message comes last.
PARTS = {
    "down": "sync message to the node",
    "unroll": "spikes of the step before",
    "compute": "EXT, neurons, spikes out",
    "up": "barrier message to the master node",
    "master": "master node",
}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures of a run.

    Attributes
    ----------
    steps, nodes, hops : int
        Steps counted; nodes; links from the farthest node to the master node.
    mean, deviation, least, most : float
        Cycles per step at the application's clock.
    mean_us : float
        Time per step.
    real_time_factor : float
        Wall time per model time.
    parts, worst_parts : dict of str to float
        Cycles of each part of a step, on average and in the longest step.
    limit : str
        The part that takes most.
    spikes_per_step, synapses_per_node_step : float
    largest : dict of str to int
        Most packets that waited in a queue of each kind.
    """

    steps: int
    nodes: int
    hops: int
    mean: float
    deviation: float
    least: float
    most: float
    mean_us: float
    real_time_factor: float
    parts: dict[str, float]
    worst_parts: dict[str, float]
    limit: str
    spikes_per_step: float
    synapses_per_node_step: float
    largest: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, with the names of the paper's beside them."""
        return {
            **asdict(self),
            "speed_up": 1 / self.real_time_factor,
            "worst_over_mean": self.most / self.mean,
        }


def step_parts(timing: Timing) -> dict[str, F64]:
    """Return the cycles of the parts of each step but the last; they add up to `cycles`."""
    ends = timing.sync_fs[1:]
    marks = (
        timing.sync_fs[:-1],
        timing.arrival_fs[:-1],
        timing.begin_fs[:-1],
        timing.barrier_fs[:-1],
        timing.collected_fs[:-1],
        ends,
    )
    per_fs = timing.app_mhz * 1e-9
    return {
        name: np.asarray((after - before) * per_fs, np.float64)
        for name, before, after in zip(PARTS, marks[:-1], marks[1:], strict=True)
    }


def summarise(timing: Timing, workload: Workload, *, hops: int, dt_ms: float) -> Summary:
    """Return the figures of a run of two steps or more."""
    cycles = timing.cycles()
    parts = step_parts(timing)
    means = {name: float(values.mean()) for name, values in parts.items()}
    worst = int(cycles.argmax())
    network = means["down"] + means["up"] + means["master"]
    shares = {
        "synchronisation through the network": network,
        "unrolling of rows": means["unroll"],
        "neuron update": means["compute"],
    }
    mean_us = float(cycles.mean()) / timing.app_mhz
    return Summary(
        steps=len(cycles),
        nodes=workload.nodes,
        hops=hops,
        mean=float(cycles.mean()),
        deviation=float(cycles.std()),
        least=float(cycles.min()),
        most=float(cycles.max()),
        mean_us=mean_us,
        real_time_factor=mean_us / (1e3 * dt_ms),
        parts=means,
        worst_parts={name: float(values[worst]) for name, values in parts.items()},
        limit=max(shares, key=lambda name: shares[name]),
        spikes_per_step=len(workload.source) / workload.steps,
        synapses_per_node_step=float(timing.synapses.mean()) / workload.steps,
        largest=timing.largest,
    )


def nodes_reached(lengths: Rows, sources: I64) -> I64:
    """Return in how many nodes each of some spikes has at least one target."""
    reached = (lengths > 0).any(axis=0).sum(axis=1)
    return np.asarray(reached[sources], np.int64)
