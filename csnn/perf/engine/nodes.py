"""Compute nodes: what comes from the router, and what a step sends to it.

Broadcast packets are handled in their order, so their cycles are known when they come. In the
router of spikes a row that waits for the unroller stops the whole look-up; its cycles are kept, so
that what is behind it can be delayed by as much.
"""

from __future__ import annotations

from csnn._numba import jit
from csnn.perf.engine.events import (
    app_cycle,
    app_time,
    comm_cycle,
    comm_time,
    to_app,
    to_comm,
    wake_route,
)
from csnn.perf.engine.memory import (
    NEVER,
    Base,
    Fixed,
    Node,
    Place,
    Port,
    Words,
    node_at,
    place_at,
    popped_at,
    port_at,
    ring_at,
)
from csnn.perf.rows import ABSENT_ROW, KIND_BITS, KIND_MASK, NO_ROW, ROW, Rows


@jit
def take_broadcast(m: Words, rows: Rows, node: int, code: int, offer: int) -> None:
    """Handle a packet that the queue of the router offers from a cycle on."""
    at = node_at(m, node)
    place, number, depth = m[at + Node.PLACE], m[at + Node.ARRIVED], m[Fixed.CROSSING_DEPTH]
    m[at + Node.ARRIVED] = number + 1
    # Router: the arbiter before the crossing takes it, and hands it on in the cycle after.
    taken = max(offer, m[at + Node.LAST_TAKEN] + 1)
    if number > depth:
        # When the packet before the last `depth` ones left the crossing, seen by its other side.
        left = app_time(m, place, m[ring_at(m, Base.NODE_STORED, node, number - depth - 1)] + 1)
        taken = max(taken, comm_cycle(m, place, left + 1) + 1 - m[Fixed.LOCAL_ARBITER])
    m[at + Node.LAST_TAKEN] = taken
    # Input FIFO and decoder.
    size = m[Fixed.NODE_FIFO]
    seen = to_app(m, place, taken + m[Fixed.LOCAL_ARBITER])
    stored = max(seen, m[at + Node.LAST_STORED] + 1)
    if number >= size:
        stored = max(stored, m[popped_at(m, node, number)] + 1)
    m[at + Node.LAST_STORED] = stored
    m[ring_at(m, Base.NODE_STORED, node, number)] = stored
    # Before the place of the packet that made room is used for this one.
    first = m[at + Node.FIFO_FIRST]
    while first < number and m[popped_at(m, node, first)] < stored:
        first += 1
    m[at + Node.FIFO_FIRST] = first
    m[at + Node.LARGEST_FIFO] = max(m[at + Node.LARGEST_FIFO], number + 1 - first)
    popped = max(stored + m[Fixed.FIFO], m[at + Node.LAST_POPPED] + 1, m[at + Node.LAST_HANDLED])
    m[at + Node.LAST_POPPED] = popped
    m[popped_at(m, node, number)] = popped
    due = max(popped + m[Fixed.DECODER], m[at + Node.LAST_HANDLED] + 1)
    if code >= 0 and m[Fixed.EAGER]:
        m[at + Node.LAST_HANDLED] = _route_spike(m, rows, node, code, due)
    elif code >= 0:
        m[at + Node.HELD] += 1
    else:
        m[at + Node.SYNC_DUE] = due
        # All nodes get the same packets in the same order: those held are the last ones.
        for held in range(number - m[at + Node.HELD], number):
            code = m[m[Base.CODES] + held]
            due = _route_spike(m, rows, node, code, due) + 1
        m[at + Node.HELD] = 0
        m[at + Node.LAST_HANDLED] = max(due, m[at + Node.QUIET])
        _begin_step(m, node, m[at + Node.LAST_HANDLED])


@jit
def _route_spike(m: Words, rows: Rows, node: int, code: int, due: int) -> int:
    """Look the rows of a spike up and unroll them; return the cycle in which it is taken."""
    at = node_at(m, node)
    source = m[m[Base.SPIKE_SOURCE] + code]
    m[at + Node.HANDLED] += 1
    cycle = max(due, m[at + Node.ACCEPT_FROM])
    if not m[Fixed.PIPELINED]:
        # The last synapse of the spike before must have left the unroller.
        cycle = max(cycle, m[at + Node.UNROLLER_FREE] + m[Fixed.UNROLLER])
    # A cycle in which the look-up moves, and no earlier than the spike before allows.
    while True:
        cycle = max(cycle, m[at + Node.NEXT_ENTRY] + m[at + Node.STALLED])
        if m[at + Node.STALL_FIRST] == m[at + Node.STALL_LAST]:
            break
        row = m[at + Node.STALL_FIRST]
        if m[ring_at(m, Base.STALL_FROM, node, row)] > cycle:
            break
        cycle = max(cycle, m[ring_at(m, Base.STALL_UNTIL, node, row)])
        m[at + Node.STALLED] += (
            m[ring_at(m, Base.STALL_UNTIL, node, row)] - m[ring_at(m, Base.STALL_FROM, node, row)]
        )
        m[at + Node.STALL_FIRST] += 1
    entry = cycle - m[at + Node.STALLED]
    found = 0
    for k in range(rows.shape[0]):
        word = int(rows[k, source, node])
        kind, length = word & KIND_MASK, word >> KIND_BITS
        if kind == NO_ROW:
            continue
        # Rows before it that have yet to wait delay it as well.
        passed = entry + found + m[at + Node.STALLED]
        for row in range(m[at + Node.STALL_FIRST], m[at + Node.STALL_LAST]):
            passed += (
                m[ring_at(m, Base.STALL_UNTIL, node, row)]
                - m[ring_at(m, Base.STALL_FROM, node, row)]
            )
        found += 1
        if kind != ROW:
            after = m[Fixed.ABSENT_ROW] if kind == ABSENT_ROW else m[Fixed.EMPTY_ROW]
            m[at + Node.QUIET] = max(m[at + Node.QUIET], passed + after)
            continue
        offered = passed + m[Fixed.LOOKUP]
        taken = max(offered, m[at + Node.UNROLLER_FREE])
        if taken > offered:
            m[ring_at(m, Base.STALL_FROM, node, m[at + Node.STALL_LAST])] = offered
            m[ring_at(m, Base.STALL_UNTIL, node, m[at + Node.STALL_LAST])] = taken
            m[at + Node.STALL_LAST] += 1
        m[at + Node.UNROLLER_FREE] = taken + length
        m[at + Node.SYNAPSES] += length
        m[at + Node.QUIET] = max(
            m[at + Node.QUIET], taken + length - 1 + m[Fixed.UNROLLER] + m[Fixed.STORE]
        )
    m[at + Node.NEXT_ENTRY] = entry + max(1, found)
    m[at + Node.QUIET] = max(m[at + Node.QUIET], cycle + m[Fixed.SPIKE_SUM])
    return cycle


@jit
def _begin_step(m: Words, node: int, cycle: int) -> None:
    """Begin a step: when its spikes and its barrier message leave follows."""
    at = node_at(m, node)
    step = m[at + Node.STEP]
    m[at + Node.STEP] = step + 1
    m[at + Node.BEGIN] = cycle
    m[at + Node.ACCEPT_FROM] = cycle + m[at + Node.ACCEPT_CYCLES]
    if step < m[Base.N_STEPS]:
        begins = m[Base.BEGINS] + step * m[Base.N_NODES] + node
        m[begins] = app_time(m, m[at + Node.PLACE], cycle + m[Fixed.BEGIN])
    first = m[Base.SPIKE_FIRST] + step * m[Base.N_NODES] + node
    m[at + Node.NEXT_SPIKE], m[at + Node.END_SPIKE] = m[first], m[first + 1]
    m[at + Node.OWES_BARRIER] = 1
    send_waiting(m, node)


@jit
def _room(m: Words, node: int) -> int:
    """Return from when on the crossing to the router has room; NEVER: not known yet."""
    at = node_at(m, node)
    # The crossing and the register of the arbiter behind it.
    behind = m[at + Node.SENT] - m[Fixed.CROSSING_DEPTH] - 2
    if behind < 0:
        return 0
    place = place_at(m, m[at + Node.PLACE])
    port = m[place + Place.FIRST_PORT] + m[place + Place.PORTS] - 1
    if m[port_at(m, port) + Port.LEFT] <= behind:
        return NEVER
    left = comm_time(m, m[at + Node.PLACE], m[ring_at(m, Base.PORT_LEFT, port, behind)] + 1)
    room: int = app_cycle(m, m[at + Node.PLACE], left + 1) + 1
    return room


@jit
def send_waiting(m: Words, node: int) -> None:
    """Send spikes and barrier message of the step as far as there is room."""
    at = node_at(m, node)
    while m[at + Node.NEXT_SPIKE] < m[at + Node.END_SPIKE] or m[at + Node.OWES_BARRIER]:
        room = _room(m, node)
        if room == NEVER:
            return
        if m[at + Node.NEXT_SPIKE] < m[at + Node.END_SPIKE]:
            code = m[at + Node.NEXT_SPIKE]
            m[at + Node.NEXT_SPIKE] = code + 1
            named = m[at + Node.BEGIN] + m[at + Node.FIRST_SPIKE] + m[m[Base.SPIKE_GROUP] + code]
            # The encoder takes it when what was before it has left.
            named = max(named, m[at + Node.LAST_NAMED] + 1, m[at + Node.LAST_CROSSED])
            m[at + Node.LAST_NAMED] = named
        else:
            code = -1 - node
            m[at + Node.OWES_BARRIER] = 0
            named = max(m[at + Node.BEGIN] + m[at + Node.STEP_CYCLES], m[at + Node.LAST_CROSSED])
            if m[at + Node.LAST_NAMED] > m[at + Node.BEGIN]:
                named = max(named, m[at + Node.LAST_NAMED] + m[Fixed.SPIKE_SUM] + 1)
            m[at + Node.BARRIER] = named
        crossed = max(named + m[Fixed.ENCODER], m[at + Node.LAST_CROSSED] + 1, room)
        m[at + Node.LAST_CROSSED] = crossed
        place = place_at(m, m[at + Node.PLACE])
        port = m[place + Place.FIRST_PORT] + m[place + Place.PORTS] - 1
        inlet = port_at(m, port)
        number = m[inlet + Port.ARRIVED]
        offer = to_comm(m, m[at + Node.PLACE], crossed) + m[Fixed.LOCAL_ARBITER]
        m[ring_at(m, Base.PORT_CODE, port, number)] = code
        m[ring_at(m, Base.PORT_OFFER, port, number)] = offer
        m[inlet + Port.ARRIVED] = number + 1
        m[at + Node.SENT] += 1
        wake_route(m, m[at + Node.PLACE], offer)
