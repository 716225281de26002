"""Events in the order of their times, and the clocks that they are counted in."""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.memory import LINK, ROUTE, Base, Fixed, Link, Place, Words, link_at, place_at

_KEY_BITS = 40


@jit
def push(m: Words, time: int, kind: int, number: int) -> None:
    """Add an event: a binary heap by time, then kind, then number."""
    key = kind << _KEY_BITS | number
    times, keys = m[Base.HEAP_TIME], m[Base.HEAP_KEY]
    at = m[m[Base.HEAP_SIZE]]
    if at == m[Base.HEAP_CAPACITY]:
        raise RuntimeError("too many events are due")
    m[m[Base.HEAP_SIZE]] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        if m[times + parent] < time or (m[times + parent] == time and m[keys + parent] <= key):
            break
        m[times + at], m[keys + at] = m[times + parent], m[keys + parent]
        at = parent
    m[times + at], m[keys + at] = time, key


@jit
def pop(m: Words) -> tuple[int, int, int]:
    """Remove the earliest event and return time, kind and number."""
    times, keys = m[Base.HEAP_TIME], m[Base.HEAP_KEY]
    time, key = m[times], m[keys]
    size = m[m[Base.HEAP_SIZE]] - 1
    m[m[Base.HEAP_SIZE]] = size
    last_time, last_key = m[times + size], m[keys + size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            m[times + right] < m[times + child]
            or (m[times + right] == m[times + child] and m[keys + right] < m[keys + child])
        ):
            child = right
        if last_time < m[times + child] or (
            last_time == m[times + child] and last_key <= m[keys + child]
        ):
            break
        m[times + at], m[keys + at] = m[times + child], m[keys + child]
        at = child
    m[times + at], m[keys + at] = last_time, last_key
    return time, key >> _KEY_BITS, key & ((1 << _KEY_BITS) - 1)


@jit
def comm_time(m: Words, place: int, cycle: int) -> int:
    """Return the edge of the communication's clock at which a cycle begins."""
    at = place_at(m, place)
    return m[at + Place.COMM_PHASE_FS] + cycle * m[at + Place.COMM_FS]


@jit
def app_time(m: Words, place: int, cycle: int) -> int:
    """Return the same of the application's clock."""
    at = place_at(m, place)
    return m[at + Place.APP_PHASE_FS] + cycle * m[at + Place.APP_FS]


@jit
def comm_cycle(m: Words, place: int, time: int) -> int:
    """Return the first cycle of the communication that begins at a time or later."""
    at = place_at(m, place)
    cycle: int = -((m[at + Place.COMM_PHASE_FS] - time) // m[at + Place.COMM_FS])
    return cycle


@jit
def app_cycle(m: Words, place: int, time: int) -> int:
    """Return the same of the application."""
    at = place_at(m, place)
    cycle: int = -((m[at + Place.APP_PHASE_FS] - time) // m[at + Place.APP_FS])
    return cycle


@jit
def to_comm(m: Words, place: int, cycle: int) -> int:
    """Return when what is written in a cycle of the application can be seen by the router."""
    written = app_time(m, place, cycle + m[Fixed.CROSSING_SOURCE])
    seen: int = comm_cycle(m, place, written + 1) + m[Fixed.CROSSING_SINK] - 1
    return seen


@jit
def to_app(m: Words, place: int, cycle: int) -> int:
    """Return when what the router writes in a cycle can be seen by the unit of the place."""
    written = comm_time(m, place, cycle + m[Fixed.CROSSING_SOURCE])
    seen: int = app_cycle(m, place, written + 1) + m[Fixed.CROSSING_SINK] - 1
    return seen


@jit
def wake_link(m: Words, link: int, cycle: int) -> None:
    """Let the sender of a link look at what there is, in this cycle at the latest."""
    at = link_at(m, link)
    if cycle < m[at + Link.WAKE]:
        m[at + Link.WAKE] = cycle
        push(m, comm_time(m, m[at + Link.SOURCE], cycle), LINK, link)


@jit
def wake_route(m: Words, place: int, cycle: int) -> None:
    """Let the unicast router of a place look at what there is, in this cycle at the latest."""
    at = place_at(m, place)
    if cycle < m[at + Place.WAKE]:
        m[at + Place.WAKE] = cycle
        push(m, comm_time(m, place, cycle), ROUTE, place)
