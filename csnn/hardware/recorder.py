"""Format of the records that a node writes to an external memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Addresses of a region begin at multiples of 4 KiB, which no burst of AXI4 may cross.
PAGE_BITS = 12
RECORD = np.dtype([("step", "<u4"), ("source", "<u4")])
RECORD_BYTES = RECORD.itemsize
BURST_RECORDS = 16
FIFO_RECORDS = 32


def records(memory: bytes, count: int) -> npt.NDArray[np.void]:
    """Return the first `count` records of a recorder's region.

    Returns
    -------
    ndarray of `RECORD`, shape (count,)
        `step` and `source`, in the order in which the spikes left the node.

    Raises
    ------
    ValueError
        If the memory holds fewer.
    """
    if len(memory) < count * RECORD_BYTES:
        raise ValueError(f"{len(memory)} bytes hold no {count} records")
    return np.frombuffer(memory, dtype=RECORD, count=count)
