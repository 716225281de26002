"""What a source has in a node, in one word: length and kind of its row.

The hardware drops rows without synapses on the way, at places that depend on why there are none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.store import Image

Rows = npt.NDArray[np.unsignedinteger[Any]]
# No block holds the source; a row; none by its presence bit; a row of length 0.
NO_ROW, ROW, ABSENT_ROW, EMPTY_ROW = range(4)
KIND_BITS = 2
KIND_MASK = (1 << KIND_BITS) - 1


def read_rows(image: Image) -> Rows:
    """Return the rows of all sources in all nodes, shape (rows, sources, nodes).

    A source has as many rows in a node as blocks of the node hold it.
    """
    nodes = image.nodes
    n_sources = max(node.n_sources for node in nodes)
    widest = max(int(node.length.max(initial=0)) for node in nodes) << KIND_BITS | KIND_MASK
    dtype: Any = np.uint16 if widest < 1 << 16 else np.uint32
    rows: Rows = np.zeros((1, n_sources, len(nodes)), dtype)
    for number, node in enumerate(nodes):
        taken = np.zeros(n_sources, np.int64)
        for index, block in enumerate(node.blocks):
            sources = slice(
                int(block["source_first"]), int(block["source_first"] + block["source_count"])
            )
            if sources.stop <= sources.start:
                continue
            layer = int(taken[sources].max())
            if layer == len(rows):
                rows = np.concatenate([rows, np.zeros_like(rows[:1])])
            words = np.full(sources.stop - sources.start, ABSENT_ROW, dtype)
            source, _, length = node.rows(index)
            kinds = np.where(length > 0, ROW, EMPTY_ROW).astype(dtype)
            words[source - block["source_first"]] = length.astype(np.uint32) << KIND_BITS | kinds
            rows[layer, sources, number] = words
            taken[sources] = layer + 1
    return rows


def row_words(lengths: npt.NDArray[np.integer[Any]]) -> Rows:
    """Return words of rows of these lengths, all of them there."""
    kinds = np.where(lengths > 0, ROW, EMPTY_ROW)
    return (lengths.astype(np.uint32) << KIND_BITS | kinds.astype(np.uint32)).astype(np.uint32)
