"""Latencies around the nodes; the RTL takes its figures from here.

Links and routers: in cycles of the communication clock; master node: of the application's.
"""

from __future__ import annotations

from csnn.hardware.frames import COUNT_BITS
from csnn.hardware.latency import FIFO

# Memory of the frames under way, register of the frame.
LINK_SENDER = 2
# Register of the frame with its CRC.
FRAME_CRC = 1
# Register of the input, CRC, comparison.
FRAME_CHECK = 3
# Buffer of the channel.
LINK_RECEIVER = FIFO
# From the router to the link, and from the link to the router.
LINK_SEND = LINK_SENDER + FRAME_CRC
LINK_RECEIVE = FRAME_CHECK + LINK_RECEIVER
# The register of the output.
STREAM_ARBITER = 1
# A register at the input, which holds the packet and its route, and the arbiter of the output.
UNICAST_ROUTER = 1 + STREAM_ARBITER
# The arbiter of the inputs, the register of the packet and its branches, the queue of a branch.
BROADCAST_ROUTER = STREAM_ARBITER + 1 + FIFO
# FIFO between two clocks: edges of the one that writes, of the one that reads, and its size.
CROSSING_SOURCE = 1
CROSSING_SINK = 3
CROSSING_DEPTH = 16
# States of the master node from the last barrier message to the sync message.
MASTER_COLLECT = 1

# From a packet at the input of the master node to the packet that follows from it at the output.
# A spike: FIFO, decoder, register of the output.
MASTER_REBROADCAST = 4
# The last barrier message of a step: FIFO, decoder, count of the missing, comparison, register of
# the output. One more if a spike came in the cycle before.
MASTER_SYNC = 6
# Cycles for each node that the master can serve, before the first sync message of a run.
MASTER_START_PER_NODE = 1


def link_jitter(window: int, buffer: int, frame_cycles: int) -> int:
    """Return the cycles by which the latency of what is between two link ends may vary.

    Counts go round. A frame later than this could be taken for one of the next round: its
    `expected` for that of a packet under way now, for instance, which is `window` packets behind
    the last one at most. Every packet that makes up the rest of a round takes a frame.

    Parameters
    ----------
    window, buffer, frame_cycles : int
        Of a `csnn.hardware.mesh.LinkConfig`.
    """
    return ((1 << COUNT_BITS) - max(window, buffer) - 1) * frame_cycles


def link_round_trip(frame_cycles: int, wire_cycles: int = 0) -> int:
    """Return the most cycles from a packet taken until its acknowledgement is believed.

    The other side knows of the packet a cycle after its frame was checked; then a frame of its own
    may have begun just before.

    Parameters
    ----------
    frame_cycles : int
        Of a `csnn.hardware.mesh.LinkConfig`.
    wire_cycles : int
        Latency of what is between two link ends, one way.
    """
    return 2 * (LINK_SEND + wire_cycles + FRAME_CHECK) + frame_cycles
