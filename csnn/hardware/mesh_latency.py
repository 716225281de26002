"""Latencies of the parts of a tile in clock cycles; the RTL takes its figures from here."""

from __future__ import annotations

from csnn.hardware import latency

# The register of the output.
STREAM_ARBITER = 1
# A register at the input, which holds the packet and its route, and the arbiter of the output.
UNICAST_ROUTER = 1 + STREAM_ARBITER
# The arbiter of the inputs, the register of the packet and its branches, the queue of a branch.
BROADCAST_ROUTER = STREAM_ARBITER + 1 + latency.FIFO
