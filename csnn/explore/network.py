"""A network and its spikes, as designs need them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from csnn.explore.partition import first_steps, rows_in_use, spiking_only
from csnn.hardware.config import NodeConfig
from csnn.image.store import Image
from csnn.perf.workload import Workload

I64 = npt.NDArray[np.int64]
# Sources whose rows are looked at to tell how many rows a node needs.
_SAMPLE = 1000
SEED = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network and its spikes, as designs need them.

    Attributes
    ----------
    work : Workload
        On the nodes of the image, with the rows of the sources that spike.
    sample : ndarray of int64, shape (sources, nodes)
        Lengths of rows of any sources.
    config : NodeConfig
        Of the image's nodes.
    sources : int
    dt_ms : float
    """

    work: Workload
    sample: I64
    config: NodeConfig
    sources: int
    dt_ms: float
    _shares: dict[tuple[bytes, int], float] = field(default_factory=dict, repr=False)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(self.work.sizes.sum())

    def row_share(self, bounds: I64, lanes: int) -> float:
        """Return in what share of the sources a node has a row, for the node that has most."""
        key = (bounds.tobytes(), lanes)
        if key not in self._shares:
            shares = rows_in_use(self.sample, self.work.sizes, bounds, lanes, SEED)
            self._shares[key] = float(shares.max())
        return self._shares[key]

    def steps(self, count: int) -> Network:
        """Return the same with fewer steps."""
        return replace(self, work=spiking_only(first_steps(self.work, count)))


def make_network(image: Image, workload: Workload) -> Network:
    """Return what designs for an image and a run are evaluated with."""
    config = NodeConfig.for_nodes(image.nodes)
    sources = workload.rows.shape[1]
    chosen = np.random.default_rng(SEED).permutation(sources)[:_SAMPLE]
    return Network(
        work=spiking_only(workload),
        sample=workload.lengths[:, np.sort(chosen)].sum(axis=0, dtype=np.int64),
        config=config,
        sources=sources,
        dt_ms=image.dt_ms,
    )
