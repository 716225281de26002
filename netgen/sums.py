"""Sums of |J| over the synapses of each neuron, from what a node's rows really unroll to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csnn import rows
from csnn.image.node import NodeImage
from netgen.unrolling import compiled_rows


def weight_sums(node: NodeImage) -> npt.NDArray[np.int64]:
    """Return the sum of |J| of each neuron's excitatory and inhibitory synapses.

    Parameters
    ----------
    node : NodeImage

    Returns
    -------
    ndarray of int64, shape (2, n_neurons), grid units
    """
    compiled = compiled_rows()
    sums = np.zeros((2, node.n_neurons), dtype=np.int64)
    for index in range(len(node.blocks)):
        block = node.block(index)
        source, seed, length = node.rows(index)
        if compiled is not None:
            compiled.sum_weights(block, source, seed, length, sums)
            continue
        synapses = rows.unroll(block, source, seed, length)
        kind = (synapses.code >> np.uint32(15)).astype(np.intp)
        magnitude = (synapses.code & np.uint32(rows.MAGNITUDE_MASK)).astype(np.int64)
        np.add.at(sums, (kind, synapses.neuron.astype(np.intp)), magnitude)
    return sums
