"""The loop: takes the earliest event and lets its place act, until all steps are done."""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.broadcast import advance_broadcast
from csnn.perf.engine.events import comm_time, pop
from csnn.perf.engine.links import arrive, serve_link
from csnn.perf.engine.master import serve_master
from csnn.perf.engine.memory import (
    ARRIVE,
    LINK,
    NEVER,
    ROUTE,
    Base,
    Link,
    Master,
    Place,
    Words,
    link_at,
    place_at,
)
from csnn.perf.engine.unicast import serve_route
from csnn.perf.rows import Rows


@jit
def run(m: Words, rows: Rows, limit: int) -> int:
    """Run until no event is left or `limit` of them have passed.

    Returns
    -------
    int
        Events.
    """
    events = 0
    _serve_master(m, rows)
    while m[m[Base.HEAP_SIZE]] > 0 and events < limit:
        time, kind, number = pop(m)
        events += 1
        if kind == ARRIVE:
            arrive(m, rows, number, time)
        elif kind == LINK:
            at = link_at(m, number)
            # A later call was replaced by an earlier one, or the other way round.
            if m[at + Link.WAKE] < NEVER and time == comm_time(
                m, m[at + Link.SOURCE], m[at + Link.WAKE]
            ):
                serve_link(m, rows, number, m[at + Link.WAKE])
        elif kind == ROUTE:
            place = place_at(m, number)
            if m[place + Place.WAKE] < NEVER and time == comm_time(
                m, number, m[place + Place.WAKE]
            ):
                serve_route(m, number, m[place + Place.WAKE])
                if number == m[Master.PLACE]:
                    _serve_master(m, rows)
        else:
            _serve_master(m, rows)
    return events


@jit
def _serve_master(m: Words, rows: Rows) -> None:
    while serve_master(m):
        advance_broadcast(m, rows, m[Master.PLACE])
