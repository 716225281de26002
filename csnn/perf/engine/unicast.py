"""Unicast routers: all packets go to the master node, so each router has one output in use."""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.events import wake_link, wake_route
from csnn.perf.engine.master import master_has_room, take_unicast
from csnn.perf.engine.memory import (
    NEVER,
    Base,
    Link,
    Place,
    Port,
    Words,
    link_at,
    place_at,
    port_at,
    ring_at,
)
from csnn.perf.engine.nodes import send_waiting


@jit
def _grant(m: Words, place: int, cycle: int) -> int:
    """Return the port whose turn it is, of those with a packet; -1: there is none."""
    at = place_at(m, place)
    first, last = -1, m[at + Place.LAST_GRANT]
    for port in range(m[at + Place.FIRST_PORT], m[at + Place.FIRST_PORT] + m[at + Place.PORTS]):
        if m[port_at(m, port) + Port.SINCE] <= cycle:
            if port > last:
                return port
            if first < 0:
                first = port
    return first


@jit
def serve_route(m: Words, place: int, cycle: int) -> None:
    """Move packets from the buffers to the inputs' registers, and one of them to the output's."""
    at = place_at(m, place)
    m[at + Place.WAKE] = NEVER
    is_master = m[at + Place.UP] < 0
    if not m[at + Place.OUT_FULL] and (not is_master or master_has_room(m)):
        port = _grant(m, place, cycle)
        if port >= 0:
            m[at + Place.LAST_GRANT] = port
            m[port_at(m, port) + Port.SINCE] = NEVER
            if is_master:
                take_unicast(m, m[port_at(m, port) + Port.CODE], cycle + 1)
            else:
                m[at + Place.OUT_FULL] = 1
                m[at + Place.OUT_CODE] = m[port_at(m, port) + Port.CODE]
                m[at + Place.OUT_SINCE] = cycle + 1
                wake_link(m, m[at + Place.UP], cycle + 1)
    due = NEVER
    for number in range(m[at + Place.FIRST_PORT], m[at + Place.FIRST_PORT] + m[at + Place.PORTS]):
        inlet = port_at(m, number)
        left = m[inlet + Port.LEFT]
        if m[inlet + Port.SINCE] == NEVER and left < m[inlet + Port.ARRIVED]:
            offer = max(m[ring_at(m, Base.PORT_OFFER, number, left)], m[inlet + Port.LAST_LEFT] + 1)
            if offer > cycle:
                due = min(due, offer)
                continue
            m[inlet + Port.CODE] = m[ring_at(m, Base.PORT_CODE, number, left)]
            m[inlet + Port.SINCE] = cycle + 1
            m[inlet + Port.LEFT] = left + 1
            m[inlet + Port.LAST_LEFT] = cycle
            m[ring_at(m, Base.PORT_LEFT, number, left)] = cycle
            if m[inlet + Port.LINK] >= 0:
                m[link_at(m, m[inlet + Port.LINK]) + Link.LEFT_UNICAST] += 1
                wake_link(m, m[link_at(m, m[inlet + Port.LINK]) + Link.REVERSE], cycle + 1)
            else:
                send_waiting(m, m[at + Place.NODE])
        if m[inlet + Port.SINCE] < NEVER and not m[at + Place.OUT_FULL]:
            due = min(due, cycle + 1)
    if due < NEVER:
        wake_route(m, place, due)
