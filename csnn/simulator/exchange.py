"""Exchange of the spikes of a step between ranks, called out of the compiled loop.

Every rank sends a message of fixed size: the number of its spikes and the first of them. Only when
somewhere more have spiked than fit does a second collective take the rest. All ranks see all
numbers, so that they agree on whether there is one.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from csnn._numba import intrinsic, jit

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

# A rank of PD14 has 4 spikes per step in 10,000 neurons; bursts go the longer way.
_NEURONS_PER_PLACE = 1024
_LINE_WORDS = 16
_MESSAGE, _REST = 0, 1


class Channel(Protocol):
    """What moves words between ranks."""

    rank: int
    size: int

    def allgather(self, own: U32, received: U32) -> None:
        """Put `own` of every rank into the rows of `received`."""

    def allgather_rest(self, own: U32, received: U32, counts: I64) -> None:
        """Put `own` of every rank, `counts` words each, one after the other into `received`."""


def message_places(neurons: int) -> int:
    """Return the spikes that a message has room for, of ranks of up to so many neurons."""
    lines = -(-neurons // (_NEURONS_PER_PLACE * _LINE_WORDS))
    return (lines + 1) * _LINE_WORDS - 1


class Exchange:
    """The buffers of an exchange, and the function that compiled code calls.

    Parameters
    ----------
    channel : Channel
    neurons : sequence of int
        Neurons of each rank.
    places : int, optional
        Spikes that a message has room for, the same on all ranks.

    Attributes
    ----------
    address : int
        Of a C function int64 f(int64 stage) that returns 0 unless it failed.
    error : BaseException or None
        Why it failed.
    marks : list of (float, float), optional
        If there is a list, begin and end of each step's exchange are put into it, in seconds.
    longer : int
        Steps that took a second collective.
    """

    def __init__(
        self, channel: Channel, neurons: Sequence[int], *, places: int | None = None
    ) -> None:
        if places is None:
            places = message_places(max(neurons))
        self.channel = channel
        self.places = places
        self.send = np.zeros(1 + max(neurons[channel.rank], places), dtype=np.uint32)
        self.received = np.zeros((channel.size, 1 + places), dtype=np.uint32)
        self.rest = np.zeros(sum(neurons), dtype=np.uint32)
        self.n_neurons = sum(neurons)
        self.marks: list[tuple[float, float]] | None = None
        self.longer = 0
        self.error: BaseException | None = None
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(self._call)
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def _call(self, stage: int) -> int:
        began = time.perf_counter()
        try:
            if stage == _MESSAGE:
                self.channel.allgather(self.send[: 1 + self.places], self.received)
            else:
                self.longer += 1
                counts = np.maximum(self.received[:, 0].astype(np.int64) - self.places, 0)
                first = 1 + self.places
                own = self.send[first : first + counts[self.channel.rank]]
                self.channel.allgather_rest(own, self.rest[: counts.sum()], counts)
        except BaseException as error:
            # Nothing may pass through compiled code.
            self.error = error
            return 1
        if self.marks is not None:
            self.marks.append((began, time.perf_counter()))
        return 0


@intrinsic
def _call_function(typingctx: Any, address: Any, stage: Any) -> Any:
    """Call the C function int64 f(int64) at `address`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(64)
        pointer = builder.inttoptr(arguments[0], ir.FunctionType(integer, [integer]).as_pointer())
        return builder.call(pointer, [arguments[1]])

    return types.int64(types.int64, types.int64), codegen


@jit
def exchange_spikes(
    address: int, rank: int, send: Any, received: Any, rest: Any, own: Any, counts: Any,
    workers: int, far: Any,
) -> int:  # fmt: skip
    """Send the spikes of this rank's workers; return how many of other ranks are now in `far`.

    Parameters
    ----------
    own : uint32, shape (workers, width)
        Spikes of each worker, of which `counts` hold.
    far : uint32, shape (neurons,)
        Receives those of other ranks.

    Returns
    -------
    int
        Negative if the exchange failed.
    """
    n = 0
    for worker in range(workers):
        for i in range(counts[worker]):
            send[1 + n] = own[worker, i]
            n += 1
    send[0] = n
    if _call_function(address, _MESSAGE) != 0:
        return -1
    places = received.shape[1] - 1
    for other in range(len(received)):
        if received[other, 0] > places:
            if _call_function(address, _REST) != 0:
                return -1
            break
    n = 0
    taken = 0
    for other in range(len(received)):
        count: Any = np.int64(received[other, 0])
        direct = min(count, places)
        if other != rank:
            for i in range(direct):
                far[n + i] = received[other, 1 + i]
            for i in range(count - direct):
                far[n + direct + i] = rest[taken + i]
            n += count
        taken += count - direct
    return n
