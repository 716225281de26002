"""Broadcast routers: from the buffer of a link, or the master node, to the queues of all branches.

A packet's cycles follow from those of the packets before it, so they are known ahead of time
unless a queue has no room yet.
"""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.events import app_time, push, wake_link
from csnn.perf.engine.memory import (
    MASTER,
    NEVER,
    Base,
    Branch,
    Fixed,
    Link,
    Master,
    Place,
    Words,
    branch_at,
    link_at,
    place_at,
    ring_at,
)
from csnn.perf.engine.nodes import take_broadcast
from csnn.perf.rows import Rows


@jit
def _room(m: Words, place: int, number: int) -> int:
    """Return from when on all queues have room for a packet; NEVER: not known yet."""
    at, depth = place_at(m, place), m[Fixed.BRANCH_BUFFER]
    since = 0
    for branch in range(
        m[at + Place.FIRST_BRANCH], m[at + Place.FIRST_BRANCH] + m[at + Place.BRANCHES]
    ):
        if number >= depth:
            if m[branch_at(m, branch) + Branch.LEFT] <= number - depth:
                return NEVER
            since = max(since, m[ring_at(m, Base.BRANCH_LEFT, branch, number - depth)] + 1)
    return since


@jit
def advance_broadcast(m: Words, rows: Rows, place: int) -> None:
    """Take the packets of a place on as far as their cycles are known."""
    at = place_at(m, place)
    while True:
        number = m[at + Place.COPIED]
        if number < m[at + Place.MOVED]:
            room = _room(m, place, number)
            if room == NEVER:
                return
            cycle = max(m[at + Place.LAST_MOVE] + 1, room)
            m[at + Place.LAST_COPY] = cycle
            m[at + Place.COPIED] = number + 1
            offer = cycle + m[Fixed.FIFO]
            for k in range(
                m[at + Place.FIRST_BRANCH], m[at + Place.FIRST_BRANCH] + m[at + Place.BRANCHES]
            ):
                branch = branch_at(m, k)
                m[ring_at(m, Base.BRANCH_OFFER, k, number)] = offer
                m[branch + Branch.LARGEST] = max(
                    m[branch + Branch.LARGEST], number + 1 - m[branch + Branch.LEFT]
                )
                wake_link(m, m[branch + Branch.LINK], offer)
            if m[at + Place.NODE] >= 0:
                take_broadcast(m, rows, m[at + Place.NODE], m[m[Base.CODES] + number], offer)
        elif m[at + Place.MOVED] < m[at + Place.POPPED]:
            m[at + Place.LAST_MOVE] = max(m[at + Place.LAST_POP] + 1, m[at + Place.LAST_COPY])
            m[at + Place.MOVED] += 1
        elif m[at + Place.POPPED] < m[at + Place.ARRIVED]:
            offer = m[ring_at(m, Base.PLACE_OFFER, place, m[at + Place.POPPED])]
            cycle = max(offer, m[at + Place.LAST_POP] + 1, m[at + Place.LAST_MOVE])
            m[at + Place.LAST_POP] = cycle
            m[ring_at(m, Base.PLACE_POP, place, m[at + Place.POPPED])] = cycle
            m[at + Place.POPPED] += 1
            if m[at + Place.ENTRY] >= 0:
                wake_link(m, m[link_at(m, m[at + Place.ENTRY]) + Link.REVERSE], cycle + 1)
            elif m[Master.BLOCKED]:
                # Room in the crossing behind the master node.
                m[Master.BLOCKED] = 0
                push(m, app_time(m, place, 0), MASTER, 0)
        else:
            return
