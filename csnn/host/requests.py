"""Requests to places of a machine, and their answers, which do not say where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from csnn.hardware.master_registers import MASTER_REGISTERS
from csnn.hardware.memory_map import OFFSET_BITS
from csnn.hardware.mesh import Site
from csnn.hardware.registers import REGISTERS
from csnn.hardware.router_registers import ROUTER_REGION
from csnn.host.transport import Transport
from csnn.packets import ANSWERS, TARGET_FIELDS, Kind

U32 = npt.NDArray[np.uint32]
_PACKET_WORDS = 3
# Registers that nodes and the master node have: reading them does nothing, at any time.
_UNIT_MARKS = range(min(len(REGISTERS), len(MASTER_REGISTERS)))
# A router answers for every offset; 0 where there is no register.
_ROUTER_MARKS = range(ROUTER_REGION << OFFSET_BITS, ROUTER_REGION + 1 << OFFSET_BITS)


class UnansweredError(Exception):
    """What a place does instead of answering."""


class Requests:
    """Asks places for words, and tells their answers from those that others give late.

    An answer has the address of its word, but not its place. The answers of a unit, and those of a
    router, come in the order of their requests. While any answer is owed from before, requests end
    with a mark: one more address, which no owed answer has. All answers are there when that of the
    mark is. If there are more for an address then than were asked for, late ones are among them:
    they are owed no more, and the place is asked again.

    Parameters
    ----------
    transport : Transport
    timeout_ms : float
        Time of the machine within which answers must come; it begins anew when late ones came.
    """

    def __init__(self, transport: Transport, timeout_ms: float) -> None:
        self._transport, self._timeout_ms = transport, timeout_ms
        # How many answers have not come, by address.
        self._owed: Counter[int] = Counter()

    def read(self, site: Site, asked: U32) -> U32:
        """Return words of a place, in the order of their addresses.

        Raises
        ------
        UnansweredError
            If it does not answer, or answers something else.
        """
        found = [np.empty(0, np.uint32)]
        for rest in _by_unit(asked):
            while len(rest):
                words = self._first_words(site, rest)
                found.append(words)
                rest = rest[len(words) :]
        return np.concatenate(found)

    def _first_words(self, site: Site, asked: U32) -> U32:
        """Return as many words as may be asked for at a time: more could hold up spikes."""
        if self._owed:
            self._strike(self._transport.receive(self._owed.total(), 0.0))
        while True:
            marks = self._marks(asked[:ANSWERS])
            part = asked[: ANSWERS - len(marks)]
            answers = self._ask(site, part, marks)
            if (words := _sorted_out(part, answers)) is not None:
                return words

    def _marks(self, asked: U32) -> U32:
        """Return the address of the mark, one more time than it is owed; none if nothing is."""
        if not self._owed:
            return np.empty(0, np.uint32)
        wanted = set(asked.tolist())
        if _of_router(asked)[0]:
            mark = next(a for a in _ROUTER_MARKS if a not in wanted and not self._owed[a])
        else:
            mark = min((a for a in _UNIT_MARKS if a not in wanted), key=lambda a: self._owed[a])
        count = self._owed[mark] + 1
        if count >= ANSWERS:
            raise UnansweredError("could not be told from places that have not answered")
        return np.full(count, mark, np.uint32)

    def _ask(self, site: Site, part: U32, marks: U32) -> U32:
        """Return answers, shape (n, 3): all those of the place, and late ones of others."""
        requests = np.concatenate([part, marks])
        self._transport.send(packets(Kind.MONITOR, site, requests, 0))
        self._owed.update(requests.tolist())
        found = np.empty((0, _PACKET_WORDS), np.uint32)
        lacks = len(requests)
        while lacks > 0:
            answers = self._transport.receive(lacks, self._timeout_ms)
            found = np.concatenate([found, answers])
            if len(answers) < lacks:
                break
            # If the mark is owed n times, the last of n + 1 that come is behind ours.
            lacks = len(marks) - int(np.isin(found[:, 1], marks).sum())
        strange = self._strike(found)
        if strange:
            # Something stands for them that was asked for.
            mine = (Counter(requests.tolist()) & self._owed).elements()
            self._owed -= Counter(islice(mine, strange))
            raise UnansweredError("answers another request")
        if lacks > 0:
            raise UnansweredError("does not answer")
        return found

    def _strike(self, answers: U32) -> int:
        """Take answers off those that are owed; return how many are none of them."""
        came = Counter(answers[:, 1].tolist())
        strange = (came - self._owed).total()
        self._owed -= came
        return strange


def _sorted_out(part: U32, answers: U32) -> U32 | None:
    """Return the words, in the order of their addresses; None if others are among them.

    Raises
    ------
    UnansweredError
        If some are missing.
    """
    words = np.empty(len(part), np.uint32)
    for address in np.unique(part):
        mine = answers[answers[:, 1] == address, 2]
        at = part == address
        if len(mine) < at.sum():
            raise UnansweredError("answers another request")
        if len(mine) > at.sum():
            return None
        words[at] = mine
    return words


def _of_router(addresses: U32) -> npt.NDArray[np.bool_]:
    return np.asarray(addresses >> np.uint32(OFFSET_BITS) == ROUTER_REGION)


def _by_unit(asked: U32) -> Iterator[U32]:
    """Split between addresses of a router and of its unit: they overtake each other."""
    changes = np.flatnonzero(np.diff(_of_router(asked))) + 1
    yield from np.split(asked, changes)


def packets(kind: Kind, site: Site, first: npt.ArrayLike, second: npt.ArrayLike) -> U32:
    """Return packets for a place, shape (n, 3), with the words of their payloads."""
    target = kind << TARGET_FIELDS[-1].low
    for field, place in zip(TARGET_FIELDS, site, strict=False):
        target |= place << field.low
    address = np.asarray(first, dtype=np.uint32)
    packed = np.empty((len(address), _PACKET_WORDS), dtype=np.uint32)
    packed[:, 0], packed[:, 1], packed[:, 2] = target, address, second
    return packed
