"""Small machines and workloads for the tests of the performance model."""

from __future__ import annotations

import numpy as np

from csnn.hardware.config import NodeConfig
from csnn.perf.parameters import Clocks, Machine
from csnn.perf.rows import row_words
from csnn.perf.workload import Workload

NODE = NodeConfig(rows=64)


def random_workload(
    nodes: int, steps: int, spikes: float, *, longest: int = 12, seed: int = 1, rows: int = 1
) -> Workload:
    """Return a workload of so many spikes per node and step, with rows of random length."""
    rng = np.random.default_rng(seed)
    size = 64
    counts = rng.poisson(spikes, size=(steps, nodes)).clip(0, size)
    local = [np.sort(rng.choice(size, n, replace=False)) for n in counts.ravel()]
    node = np.tile(np.arange(nodes), steps)
    return Workload(
        steps=steps,
        sizes=np.full(nodes, size, np.int64),
        source=np.concatenate([n * size + k for n, k in zip(node, local, strict=True)]),
        local=np.concatenate(local),
        first=np.concatenate([[0], np.cumsum(counts.ravel())]).astype(np.int64),
        rows=row_words(rng.integers(0, longest + 1, (rows, nodes * size, nodes))),
    )


def machine(**values: object) -> Machine:
    """Return a machine with a small node."""
    return Machine(node=NODE, clocks=Clocks(seed=3), **values)  # type: ignore[arg-type]
