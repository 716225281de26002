"""Latencies of the parts of the machine around the nodes, in clock cycles of each."""

from __future__ import annotations

# From a packet at the input of the master node to the packet that follows from it at the output.
# A spike: FIFO, decoder, register of the output.
MASTER_REBROADCAST = 4
# The last barrier message of a step: FIFO, decoder, count of the missing, comparison, register of
# the output. One more if a spike came in the cycle before.
MASTER_SYNC = 6
# Cycles for each node that the master can serve, before the first sync message of a run.
MASTER_START_PER_NODE = 1
