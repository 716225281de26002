"""The master node: spikes go round, barrier messages come together, sync messages go out."""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.events import app_cycle, app_time, comm_time, to_app, to_comm
from csnn.perf.engine.memory import (
    NEVER,
    Base,
    Fixed,
    Master,
    Node,
    Place,
    Step,
    Words,
    node_at,
    place_at,
    ring_at,
    step_at,
)


@jit
def master_has_room(m: Words) -> bool:
    """Return whether the input FIFO and the crossing before it have room."""
    return bool(m[Master.QUEUED] - m[Master.SERVED] < m[Base.MASTER_SIZE])


@jit
def take_unicast(m: Words, code: int, cycle: int) -> None:
    """Put a packet into the input FIFO; the router offers it in a cycle of its own."""
    stored = max(to_app(m, m[Master.PLACE], cycle), m[Master.LAST_STORED] + 1)
    m[Master.LAST_STORED] = stored
    row = m[Master.QUEUED] % m[Base.MASTER_SIZE]
    m[m[Base.MASTER_CODE] + row] = code
    m[m[Base.MASTER_OFFER] + row] = stored + m[Fixed.FIFO]
    m[Master.QUEUED] += 1
    m[Master.LARGEST] = max(m[Master.LARGEST], m[Master.QUEUED] - m[Master.SERVED])


@jit
def serve_master(m: Words) -> bool:
    """Handle what is known to come next; return whether a packet has gone to the routers."""
    while True:
        if m[Master.HOLDS]:
            room = _room(m)
            if room == NEVER:
                m[Master.BLOCKED] = 1
                return False
            _cross(m, room)
            return True
        if m[Master.OWES_SYNC]:
            m[Master.OWES_SYNC] = 0
            _send_sync(m)
            continue
        if m[Master.SERVED] == m[Master.QUEUED]:
            return False
        row = m[Master.SERVED] % m[Base.MASTER_SIZE]
        m[Master.SERVED] += 1
        code = m[m[Base.MASTER_CODE] + row]
        popped = max(
            m[m[Base.MASTER_OFFER] + row], m[Master.LAST_POPPED] + 1, m[Master.LAST_HANDLED]
        )
        m[Master.LAST_POPPED] = popped
        due = max(popped + m[Fixed.DECODER], m[Master.LAST_HANDLED] + 1)
        if code >= 0:
            cycle = max(due, m[Master.FREE_FROM])
            m[Master.LAST_SPIKE] = cycle
            _hold(m, code, cycle)
        else:
            cycle = due
            m[Master.MISSING] -= 1
            if m[Master.MISSING] == 0:
                _conclude(m, -1 - code, cycle)
        m[Master.LAST_HANDLED] = cycle


@jit
def _hold(m: Words, code: int, cycle: int) -> None:
    """Put a packet into the encoder's register."""
    m[Master.HOLDS] = 1
    m[Master.HELD_CODE] = code
    m[Master.HELD_SINCE] = cycle + m[Fixed.ENCODER]


@jit
def _conclude(m: Words, node: int, cycle: int) -> None:
    """End the step with the barrier message of the last node."""
    last = node_at(m, node)
    place = m[last + Node.PLACE]
    row = step_at(m, m[Master.STEP] - 1)
    m[row + Step.NODE] = node
    m[row + Step.ARRIVAL_FS] = app_time(m, place, m[last + Node.SYNC_DUE])
    m[row + Step.BEGIN_FS] = app_time(m, place, m[last + Node.BEGIN])
    m[row + Step.BARRIER_FS] = app_time(m, place, m[last + Node.BARRIER])
    m[row + Step.COLLECTED_FS] = app_time(m, m[Master.PLACE], cycle)
    # The spikes must be in the sum.
    m[Master.SYNC_FROM] = (
        max(cycle + 1, m[Master.LAST_SPIKE] + m[Fixed.SPIKE_SUM]) + m[Fixed.COLLECT]
    )
    if m[Master.STEP] == m[Master.STEPS]:
        m[Master.STOP] = 1
    else:
        m[Master.OWES_SYNC] = 1


@jit
def _send_sync(m: Words) -> None:
    cycle = max(m[Master.SYNC_FROM], m[Master.FREE_FROM])
    m[Master.MISSING] = m[Master.NODES]
    m[step_at(m, m[Master.STEP]) + Step.SYNC_FS] = app_time(m, m[Master.PLACE], cycle)
    m[Master.STEP] += 1
    _hold(m, -1, cycle)


@jit
def _room(m: Words) -> int:
    """Return from when on the crossing to the router has room; NEVER: not known yet."""
    behind = m[Master.SENT] - m[Fixed.CROSSING_DEPTH]
    if behind < 0:
        return 0
    place = place_at(m, m[Master.PLACE])
    if m[place + Place.POPPED] <= behind:
        return NEVER
    # When the packet before it left the register behind the crossing.
    pop = m[ring_at(m, Base.PLACE_POP, m[Master.PLACE], behind - 1)] + 1 if behind > 0 else 0
    left = comm_time(m, m[Master.PLACE], pop)
    room: int = app_cycle(m, m[Master.PLACE], left + 1) + 1
    return room


@jit
def _cross(m: Words, room: int) -> None:
    """Send the packet in the encoder's register to the broadcast router."""
    crossed = max(m[Master.HELD_SINCE], m[Master.LAST_CROSSED] + 1, room)
    m[Master.LAST_CROSSED] = m[Master.FREE_FROM] = crossed
    m[Master.HOLDS] = 0
    m[m[Base.CODES] + m[Master.SENT]] = m[Master.HELD_CODE]
    m[Master.SENT] += 1
    place = place_at(m, m[Master.PLACE])
    offer = to_comm(m, m[Master.PLACE], crossed)
    m[ring_at(m, Base.PLACE_OFFER, m[Master.PLACE], m[place + Place.ARRIVED])] = offer
    m[place + Place.ARRIVED] += 1
