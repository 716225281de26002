"""The memory that the event loop works on, and what stands where in it.

One array of integers holds everything, for a compiled function takes long to be handed many arrays.
First come single words, then tables with a record per link, port, branch, place, node and step,
then rings and lists. Counts of packets only grow; rings hold cycles by count modulo their size.
Times of a place are cycles of its own clocks, since edge 0; those of events are in femtoseconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from csnn._numba import jit


class Words(Protocol):
    """The memory: an array of 64-bit integers."""

    def __getitem__(self, at: int, /) -> int: ...
    def __setitem__(self, at: int, value: int, /) -> None: ...


# Later than anything.
NEVER = 1 << 62
# Kinds of events, in the order in which they happen in one cycle.
ARRIVE, LINK, ROUTE, MASTER = range(4)


class Base(IntEnum):
    """Addresses of tables, rings and lists; sizes."""

    LINKS = 0
    PORTS = 1
    BRANCHES = 2
    PLACES = 3
    NODES = 4
    STEPS = 5
    FLIGHT_CHANNEL = 6
    FLIGHT_CODE = 7
    TOLD_CYCLE = 8
    TOLD_RECEIVED = 9
    TOLD_UNICAST = 10
    TOLD_BROADCAST = 11
    PORT_CODE = 12
    PORT_OFFER = 13
    PORT_LEFT = 14
    BRANCH_OFFER = 15
    BRANCH_LEFT = 16
    PLACE_OFFER = 17
    PLACE_POP = 18
    NODE_POPPED = 19
    NODE_STORED = 20
    STALL_FROM = 21
    STALL_UNTIL = 22
    MASTER_CODE = 23
    MASTER_OFFER = 24
    CODES = 25
    SPIKE_SOURCE = 26
    SPIKE_GROUP = 27
    SPIKE_FIRST = 28
    BEGINS = 29
    HEAP_TIME = 30
    HEAP_KEY = 31
    HEAP_SIZE = 32
    HEAP_CAPACITY = 33
    N_NODES = 34
    N_STEPS = 35
    MASTER_SIZE = 36
    RING = 37


class Fixed(IntEnum):
    """Latencies in cycles, sizes of buffers in packets."""

    WINDOW = 38
    BUFFER = 39
    BRANCH_BUFFER = 40
    NODE_FIFO = 41
    CROSSING_SOURCE = 42
    CROSSING_SINK = 43
    CROSSING_DEPTH = 44
    FIFO = 45
    DECODER = 46
    ENCODER = 47
    LOCAL_ARBITER = 48
    SPIKE_SUM = 49
    COLLECT = 50
    LOOKUP = 51
    UNROLLER = 52
    STORE = 53
    ABSENT_ROW = 54
    EMPTY_ROW = 55
    BEGIN = 56
    EAGER = 57
    PIPELINED = 58


class Master(IntEnum):
    """The master node: input FIFO, step under way, encoder, crossing."""

    PLACE = 59
    NODES = 60
    MISSING = 61
    STEP = 62
    STEPS = 63
    STOP = 64
    QUEUED = 65
    SERVED = 66
    LAST_STORED = 67
    LAST_POPPED = 68
    LAST_HANDLED = 69
    LAST_SPIKE = 70
    LARGEST = 71
    HOLDS = 72
    HELD_CODE = 73
    HELD_SINCE = 74
    FREE_FROM = 75
    LAST_CROSSED = 76
    SENT = 77
    OWES_SYNC = 78
    SYNC_FROM = 79
    BLOCKED = 80


class Link(IntEnum):
    """One direction of a link: sender at its source, receiver at its target."""

    SOURCE = 0
    TARGET = 1
    REVERSE = 2
    LATENCY_FS = 3
    JITTER_FS = 4
    RANDOM = 5
    BRANCH = 6
    PORT = 7
    LAST_BEGIN = 8
    WAS_BROADCAST = 9
    TAKEN = 10
    ACKNOWLEDGED = 11
    WAKE = 12
    SENT_UNICAST = 13
    SENT_BROADCAST = 14
    FREE_UNICAST = 15
    FREE_BROADCAST = 16
    TOLD_RECEIVED = 17
    TOLD_UNICAST = 18
    TOLD_BROADCAST = 19
    LAST_ARRIVAL = 20
    FLIGHT_IN = 21
    FLIGHT_OUT = 22
    TOLD_IN = 23
    TOLD_OUT = 24
    RECEIVED = 25
    LEFT_UNICAST = 26
    FRAME_CYCLES = 27
    KEEPALIVE = 28
    SEND = 29
    CHECK = 30


class Port(IntEnum):
    """Input of a unicast router: buffer of a link or crossing, and register."""

    LINK = 0
    CODE = 1
    SINCE = 2
    ARRIVED = 3
    LEFT = 4
    LAST_LEFT = 5
    LARGEST = 6


class Branch(IntEnum):
    """Output of a broadcast router: its queue."""

    LINK = 0
    LEFT = 1
    LAST_LEFT = 2
    LARGEST = 3


class Place(IntEnum):
    """A place: clocks, wiring, unicast output, broadcast registers."""

    COMM_FS = 0
    COMM_PHASE_FS = 1
    APP_FS = 2
    APP_PHASE_FS = 3
    UP = 4
    ENTRY = 5
    FIRST_BRANCH = 6
    BRANCHES = 7
    FIRST_PORT = 8
    PORTS = 9
    NODE = 10
    OUT_FULL = 11
    OUT_CODE = 12
    OUT_SINCE = 13
    LAST_GRANT = 14
    WAKE = 15
    ARRIVED = 16
    POPPED = 17
    MOVED = 18
    COPIED = 19
    LAST_POP = 20
    LAST_MOVE = 21
    LAST_COPY = 22


class Node(IntEnum):
    """A compute node."""

    PLACE = 0
    STEP_CYCLES = 1
    FIRST_SPIKE = 2
    ACCEPT_CYCLES = 3
    ARRIVED = 4
    LAST_TAKEN = 5
    LAST_STORED = 6
    LAST_POPPED = 7
    LAST_HANDLED = 8
    FIFO_FIRST = 9
    NEXT_ENTRY = 10
    STALL_FIRST = 11
    STALL_LAST = 12
    STALLED = 13
    UNROLLER_FREE = 14
    QUIET = 15
    STEP = 16
    SYNC_DUE = 17
    BEGIN = 18
    ACCEPT_FROM = 19
    BARRIER = 20
    NEXT_SPIKE = 21
    END_SPIKE = 22
    OWES_BARRIER = 23
    LAST_NAMED = 24
    LAST_CROSSED = 25
    SENT = 26
    HANDLED = 27
    HELD = 28
    SYNAPSES = 29
    LARGEST_FIFO = 30


class Step(IntEnum):
    """What is kept of a step; times in fs."""

    SYNC_FS = 0
    NODE = 1
    ARRIVAL_FS = 2
    BEGIN_FS = 3
    BARRIER_FS = 4
    COLLECTED_FS = 5


WORDS = 81
LINK_WORDS = len(Link)
PORT_WORDS = len(Port)
BRANCH_WORDS = len(Branch)
PLACE_WORDS = len(Place)
NODE_WORDS = len(Node)
STEP_WORDS = len(Step)


@jit
def link_at(m: Words, link: int) -> int:
    """Return the address of a link's record."""
    return m[Base.LINKS] + link * LINK_WORDS


@jit
def port_at(m: Words, port: int) -> int:
    """Return the address of a port's record."""
    return m[Base.PORTS] + port * PORT_WORDS


@jit
def branch_at(m: Words, branch: int) -> int:
    """Return the address of a branch's record."""
    return m[Base.BRANCHES] + branch * BRANCH_WORDS


@jit
def place_at(m: Words, place: int) -> int:
    """Return the address of a place's record."""
    return m[Base.PLACES] + place * PLACE_WORDS


@jit
def node_at(m: Words, node: int) -> int:
    """Return the address of a node's record."""
    return m[Base.NODES] + node * NODE_WORDS


@jit
def step_at(m: Words, step: int) -> int:
    """Return the address of a step's record."""
    return m[Base.STEPS] + step * STEP_WORDS


@jit
def ring_at(m: Words, ring: int, row: int, number: int) -> int:
    """Return the address of a word by its number in a row of a ring."""
    size = m[Base.RING]
    return m[ring] + row * size + (number & (size - 1))


@jit
def popped_at(m: Words, node: int, number: int) -> int:
    """Return the address of the cycle in which a packet leaves a node's input FIFO."""
    size = m[Fixed.NODE_FIFO]
    return m[Base.NODE_POPPED] + node * size + number % size
