"""Row memory of one node: rows become blocks of seeds and lengths, dense or sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image import layout
from csnn.rows import Sampler, stub_word
from netgen.connectivity import NodeRows

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
_MAX_POSITION = 2**32


class RowMemory:
    """Collects the blocks of a node.

    Parameters
    ----------
    row_layout : str
        "dense", "sparse" or "auto" (per block, whichever is smaller).
    n_neurons : int
        Neurons of the node.
    """

    def __init__(self, row_layout: str, n_neurons: int) -> None:
        self._row_layout = row_layout
        self._n_neurons = n_neurons
        self._blocks: list[npt.NDArray[np.void]] = []
        self._seeds: list[U32] = []
        self._lengths: list[I64] = []
        self._presence: list[U32] = []
        self._ranks: list[U32] = []
        self._synapses: list[U32] = []
        self._n_rows = self._n_words = self._n_synapses = 0

    def add(
        self,
        rows: NodeRows,
        source_first: int,
        selector: int,
        rng: np.random.Generator,
        words: U32 | None = None,
    ) -> None:
        """Append a block.

        Parameters
        ----------
        rows : NodeRows
        source_first : int
            Global number of the first source.
        selector : int
            Table selector S.
        rng : numpy.random.Generator
            Draws seeds (1 to 2^32 - 1) or the key of the stub permutation.
        words : ndarray of uint32
            Stored synapse words in row order (STORED only).
        """
        length = rows.length
        if not length.any():
            return
        block = np.zeros((), dtype=layout.BLOCK)
        if rows.sampler in (Sampler.STUBS, Sampler.STORED):
            position = np.cumsum(length) - length
            if rows.sampler is Sampler.STORED:
                if words is None:
                    raise ValueError("stored rows need their synapse words")
                position += self._n_synapses
                self._synapses.append(words)
                self._n_synapses += len(words)
                if int(position[-1]) >= _MAX_POSITION:
                    raise ValueError("a node holds more synapses than a row can point at")
                seed = position.astype(np.uint32)
            else:
                block["in_degree"] = rows.in_degree
                block["stub_key"] = rng.integers(0, 2**32, dtype=np.uint32)
                seed = stub_word(position, self._n_neurons)
        else:
            seed = rng.integers(1, 2**32, len(length), dtype=np.uint32)
        block["source_first"], block["source_count"] = source_first, len(length)
        block["selector"], block["sampler"] = selector, int(rows.sampler)
        block["flags"] = layout.SKIP_SELF_FLAG if rows.skip_self else 0
        block["row_first"] = self._n_rows
        if self._is_sparse(length):
            block["flags"] |= layout.SPARSE_FLAG
            block["presence_first"] = self._n_words
            present = length > 0
            self._index(present)
            seed, length = seed[present], length[present]
        block["row_count"] = len(length)
        self._n_rows += len(length)
        self._seeds.append(seed)
        self._lengths.append(length)
        self._blocks.append(block)

    def _is_sparse(self, length: I64) -> bool:
        if self._row_layout != "auto":
            return self._row_layout == "sparse"
        row_bytes = 4 + (1 if length.max() < 256 else 2)
        index_bytes = 8 * ((len(length) + 31) // 32)
        return index_bytes + row_bytes * int(np.count_nonzero(length)) < row_bytes * len(length)

    def _index(self, present: npt.NDArray[np.bool_]) -> None:
        n_words = (len(present) + 31) // 32
        padded = np.zeros(32 * n_words, dtype=bool)
        padded[: len(present)] = present
        words = np.packbits(padded, bitorder="little").view("<u4")
        counts = np.bitwise_count(words).astype(np.int64)
        self._presence.append(words)
        self._ranks.append((np.cumsum(counts) - counts).astype(np.uint32))
        self._n_words += n_words

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """Return the sections `blocks`, `seed`, `length`, `presence`, `rank` and `synapses`."""
        blocks = np.array(self._blocks, dtype=layout.BLOCK)
        blocks = blocks[np.argsort(blocks["source_first"], kind="stable")]
        lengths = _join(self._lengths, np.int64)
        dtype = np.uint8 if lengths.max(initial=0) < 256 else np.uint16
        return {
            "blocks": blocks,
            "seed": _join(self._seeds, np.uint32),
            "length": lengths.astype(dtype),
            "presence": _join(self._presence, np.uint32),
            "rank": _join(self._ranks, np.uint32),
            "synapses": _join(self._synapses, np.uint32),
        }


def _join(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype=dtype)
