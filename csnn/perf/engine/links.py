"""Senders and receivers of links: frames, window, credits, what the other side is told.

The sender of a link and the receiver of its reverse stand at the same place. Counts are those of
`rtl.mesh.link_sender`, but do not go round. No frame is lost here, so none is sent again.
"""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.broadcast import advance_broadcast
from csnn.perf.engine.events import comm_cycle, comm_time, push, wake_link, wake_route
from csnn.perf.engine.memory import (
    ARRIVE,
    NEVER,
    Base,
    Branch,
    Fixed,
    Link,
    Place,
    Port,
    Words,
    branch_at,
    link_at,
    place_at,
    port_at,
    ring_at,
)
from csnn.perf.rows import Rows

UNICAST, BROADCAST = 1, 2


@jit
def left_broadcast(m: Words, link: int, cycle: int) -> int:
    """Return how many broadcast packets have left the buffer of a link, seen in a cycle.

    The first of them that are to leave is known before it does.
    """
    place = m[link_at(m, link) + Link.TARGET]
    at = place_at(m, place)
    if m[at + Place.ENTRY] != link:
        return 0
    count = m[at + Place.POPPED]
    while count > 0 and m[ring_at(m, Base.PLACE_POP, place, count - 1)] >= cycle:
        count -= 1
    return count


@jit
def _hear(m: Words, link: int, cycle: int) -> None:
    """Take note of what frames from the other side have told by now."""
    at = link_at(m, link)
    while m[at + Link.TOLD_OUT] < m[at + Link.TOLD_IN]:
        number = m[at + Link.TOLD_OUT]
        if m[ring_at(m, Base.TOLD_CYCLE, link, number)] > cycle:
            return
        m[at + Link.ACKNOWLEDGED] = m[ring_at(m, Base.TOLD_RECEIVED, link, number)]
        m[at + Link.FREE_UNICAST] = m[ring_at(m, Base.TOLD_UNICAST, link, number)]
        m[at + Link.FREE_BROADCAST] = m[ring_at(m, Base.TOLD_BROADCAST, link, number)]
        m[at + Link.TOLD_OUT] += 1


@jit
def _begin(m: Words, link: int, cycle: int, channel: int, code: int) -> None:
    """Send a frame, with a packet if `channel` is not 0."""
    at = link_at(m, link)
    back = link_at(m, m[at + Link.REVERSE])
    m[at + Link.LAST_BEGIN] = cycle
    m[at + Link.TOLD_RECEIVED] = m[back + Link.RECEIVED]
    m[at + Link.TOLD_UNICAST] = m[back + Link.LEFT_UNICAST]
    m[at + Link.TOLD_BROADCAST] = left_broadcast(m, m[at + Link.REVERSE], cycle)
    arrival = comm_time(m, m[at + Link.SOURCE], cycle + m[at + Link.SEND]) + m[at + Link.LATENCY_FS]
    if m[at + Link.JITTER_FS]:
        m[at + Link.RANDOM] = (m[at + Link.RANDOM] * 1103515245 + 12345) & 0x7FFFFFFF
        arrival += (m[at + Link.RANDOM] >> 7) * (m[at + Link.JITTER_FS] >> 12) >> 12
        arrival = max(arrival, m[at + Link.LAST_ARRIVAL] + 1)
        m[at + Link.LAST_ARRIVAL] = arrival
    # The edge that takes the frame begins the cycle after the one that it is there in.
    seen = comm_cycle(m, m[at + Link.TARGET], arrival) + m[at + Link.CHECK]
    reverse, number = m[at + Link.REVERSE], m[back + Link.TOLD_IN]
    m[ring_at(m, Base.TOLD_CYCLE, reverse, number)] = seen
    m[ring_at(m, Base.TOLD_RECEIVED, reverse, number)] = m[at + Link.TOLD_RECEIVED]
    m[ring_at(m, Base.TOLD_UNICAST, reverse, number)] = m[at + Link.TOLD_UNICAST]
    m[ring_at(m, Base.TOLD_BROADCAST, reverse, number)] = m[at + Link.TOLD_BROADCAST]
    m[back + Link.TOLD_IN] += 1
    in_flight = m[back + Link.TAKEN] - m[back + Link.ACKNOWLEDGED]
    lacks = (
        in_flight >= m[Fixed.WINDOW]
        or m[back + Link.SENT_UNICAST] - m[back + Link.FREE_UNICAST] >= m[Fixed.BUFFER]
        or m[back + Link.SENT_BROADCAST] - m[back + Link.FREE_BROADCAST] >= m[Fixed.BUFFER]
    )
    if lacks:
        wake_link(m, m[at + Link.REVERSE], seen)
    if channel:
        m[at + Link.TAKEN] += 1
        m[ring_at(m, Base.FLIGHT_CHANNEL, link, m[at + Link.FLIGHT_IN])] = channel
        m[ring_at(m, Base.FLIGHT_CODE, link, m[at + Link.FLIGHT_IN])] = code
        m[at + Link.FLIGHT_IN] += 1
        push(m, comm_time(m, m[at + Link.TARGET], seen), ARRIVE, link)


@jit
def _offers(m: Words, link: int) -> tuple[int, int]:
    """Return from when on a unicast and a broadcast packet wait for a link; NEVER: none does."""
    at = link_at(m, link)
    place = place_at(m, m[at + Link.SOURCE])
    unicast = NEVER
    if m[place + Place.UP] == link and m[place + Place.OUT_FULL]:
        unicast = m[place + Place.OUT_SINCE]
    broadcast = NEVER
    if m[at + Link.BRANCH] >= 0:
        branch = branch_at(m, m[at + Link.BRANCH])
        if m[branch + Branch.LEFT] < m[place + Place.COPIED]:
            offer = m[ring_at(m, Base.BRANCH_OFFER, m[at + Link.BRANCH], m[branch + Branch.LEFT])]
            broadcast = max(offer, m[branch + Branch.LAST_LEFT] + 1)
    return unicast, broadcast


@jit
def serve_link(m: Words, rows: Rows, link: int, cycle: int) -> None:
    """Begin a frame if there is reason to, or find out when there will be."""
    at = link_at(m, link)
    m[at + Link.WAKE] = NEVER
    _hear(m, link, cycle)
    idle = m[at + Link.KEEPALIVE]
    # Frames that only keep a link alive; when those before its first packet began is not known.
    if m[at + Link.LAST_BEGIN] >= 0 and cycle - m[at + Link.LAST_BEGIN] > idle:
        m[at + Link.LAST_BEGIN] += (cycle - m[at + Link.LAST_BEGIN] - 1) // idle * idle
    free_from = m[at + Link.LAST_BEGIN] + m[at + Link.FRAME_CYCLES]
    if cycle < free_from:
        wake_link(m, link, free_from)
        return
    unicast, broadcast = _offers(m, link)
    if m[at + Link.TAKEN] - m[at + Link.ACKNOWLEDGED] >= m[Fixed.WINDOW]:
        unicast = broadcast = NEVER
    if m[at + Link.SENT_UNICAST] - m[at + Link.FREE_UNICAST] >= m[Fixed.BUFFER]:
        unicast = NEVER
    if m[at + Link.SENT_BROADCAST] - m[at + Link.FREE_BROADCAST] >= m[Fixed.BUFFER]:
        broadcast = NEVER
    place = place_at(m, m[at + Link.SOURCE])
    if broadcast <= cycle and (unicast > cycle or not m[at + Link.WAS_BROADCAST]):
        m[at + Link.WAS_BROADCAST] = 1
        m[at + Link.SENT_BROADCAST] += 1
        branch = branch_at(m, m[at + Link.BRANCH])
        number = m[branch + Branch.LEFT]
        m[ring_at(m, Base.BRANCH_LEFT, m[at + Link.BRANCH], number)] = cycle
        m[branch + Branch.LEFT] = number + 1
        m[branch + Branch.LAST_LEFT] = cycle
        _begin(m, link, cycle, BROADCAST, number)
        # Room for a packet that waits for it.
        advance_broadcast(m, rows, m[at + Link.SOURCE])
    elif unicast <= cycle:
        m[at + Link.WAS_BROADCAST] = 0
        m[at + Link.SENT_UNICAST] += 1
        m[place + Place.OUT_FULL] = 0
        _begin(m, link, cycle, UNICAST, m[place + Place.OUT_CODE])
        wake_route(m, m[at + Link.SOURCE], cycle)
    else:
        back = link_at(m, m[at + Link.REVERSE])
        if (
            m[back + Link.RECEIVED] != m[at + Link.TOLD_RECEIVED]
            or m[back + Link.LEFT_UNICAST] != m[at + Link.TOLD_UNICAST]
            or left_broadcast(m, m[at + Link.REVERSE], cycle) != m[at + Link.TOLD_BROADCAST]
        ):
            _begin(m, link, cycle, 0, 0)
    _sleep(m, link, cycle)


@jit
def _sleep(m: Words, link: int, cycle: int) -> None:
    """Wake the sender when it can do something, as far as that is known."""
    at = link_at(m, link)
    unicast, broadcast = _offers(m, link)
    due = min(unicast, broadcast)
    if due < NEVER:
        lacks = m[at + Link.TAKEN] - m[at + Link.ACKNOWLEDGED] >= m[Fixed.WINDOW]
        lacks |= (
            unicast < NEVER
            and m[at + Link.SENT_UNICAST] - m[at + Link.FREE_UNICAST] >= m[Fixed.BUFFER]
        )
        lacks |= (
            broadcast < NEVER
            and m[at + Link.SENT_BROADCAST] - m[at + Link.FREE_BROADCAST] >= m[Fixed.BUFFER]
        )
        if lacks:
            # What has been told and is on its way; later news wakes the sender.
            due = NEVER
            if m[at + Link.TOLD_OUT] < m[at + Link.TOLD_IN]:
                due = m[ring_at(m, Base.TOLD_CYCLE, link, m[at + Link.TOLD_OUT])]
    back = link_at(m, m[at + Link.REVERSE])
    if (
        m[back + Link.RECEIVED] != m[at + Link.TOLD_RECEIVED]
        or m[back + Link.LEFT_UNICAST] != m[at + Link.TOLD_UNICAST]
    ):
        due = cycle + 1
    entry = place_at(m, m[at + Link.SOURCE])
    if (
        m[entry + Place.ENTRY] == m[at + Link.REVERSE]
        and m[at + Link.TOLD_BROADCAST] < m[entry + Place.POPPED]
    ):
        due = min(
            due, m[ring_at(m, Base.PLACE_POP, m[at + Link.SOURCE], m[at + Link.TOLD_BROADCAST])] + 1
        )
    if due < NEVER:
        wake_link(m, link, max(due, cycle + 1, m[at + Link.LAST_BEGIN] + m[at + Link.FRAME_CYCLES]))


@jit
def arrive(m: Words, rows: Rows, link: int, time: int) -> None:
    """Put the packet of a frame into the buffer of its channel."""
    at = link_at(m, link)
    place = m[at + Link.TARGET]
    cycle = comm_cycle(m, place, time)
    channel = m[ring_at(m, Base.FLIGHT_CHANNEL, link, m[at + Link.FLIGHT_OUT])]
    code = m[ring_at(m, Base.FLIGHT_CODE, link, m[at + Link.FLIGHT_OUT])]
    m[at + Link.FLIGHT_OUT] += 1
    m[at + Link.RECEIVED] += 1
    # The buffer has taken it in the cycle before the count goes on.
    offer = cycle - 1 + m[Fixed.FIFO]
    if channel == UNICAST:
        port = port_at(m, m[at + Link.PORT])
        number = m[port + Port.ARRIVED]
        m[ring_at(m, Base.PORT_CODE, m[at + Link.PORT], number)] = code
        m[ring_at(m, Base.PORT_OFFER, m[at + Link.PORT], number)] = offer
        m[port + Port.ARRIVED] = number + 1
        m[port + Port.LARGEST] = max(m[port + Port.LARGEST], number + 1 - m[port + Port.LEFT])
        wake_route(m, place, offer)
    else:
        target = place_at(m, place)
        m[ring_at(m, Base.PLACE_OFFER, place, m[target + Place.ARRIVED])] = offer
        m[target + Place.ARRIVED] += 1
        advance_broadcast(m, rows, place)
    wake_link(m, m[at + Link.REVERSE], cycle)
