"""Barrier: which nodes there are, which of them have arrived, and what they told."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import NODES_PER_WORD, bitmap_words
from csnn.packets import PAYLOAD_FIELDS, Kind
from rtl.memory_access import MemoryAccess, address_bits
from rtl.packet_layout import payload_layout
from rtl.spike_sum import COUNT_BITS

NODE_BITS = next(field.width for field in PAYLOAD_FIELDS[Kind.BARRIER] if field.name == "node")


class BarrierSet(wiring.Component):
    """Two bitmaps, of the nodes that are active and of those that have arrived.

    A node has arrived if its bit is that of the step's colour. All active nodes have it when a
    step is complete, so the other colour makes them all missing at once.

    Ports
    -----
    begin : 1 bit, in
        Count the active nodes; as if all of them had arrived.
    counting : 1 bit, out
        That is going on.
    next_step : 1 bit, in
        Every active node is missing; nothing is told yet.
    clear : 1 bit, in
        `missing_words` shows all active nodes until `next_step`, and so it does after a write of
        ACTIVE; nothing is told.
    valid, barrier : in
        A barrier message of the step.
    unknown, duplicate : 1 bit, out
        In the same cycle: its node is not active, or it has arrived already; it changes nothing.
    is_empty, complete, partly : 1 bit, out
        No node is active; all have arrived since `next_step`; some have.
    missing : out
        Active nodes that have not arrived.
    count, sum : out
        Totals of what the messages told.
    active, missing_words : MemoryAccess
        Word w has a bit for each of the nodes 32 w to 32 w + 31. Only `active` can be written, and
        only between steps.

    Latency
        1 cycle from a message to `complete`; `counting` takes a cycle for each node.
    Throughput
        One message per cycle; 1 cycle for `next_step`.
    Backpressure
        None.
    Reference
        Heittmann et al. (2022), "Node synchronization".
    """

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        bits = address_bits(bitmap_words(config))
        super().__init__(
            {
                "begin": In(1),
                "counting": Out(1),
                "next_step": In(1),
                "clear": In(1),
                "valid": In(1),
                "barrier": In(payload_layout(Kind.BARRIER)),
                "unknown": Out(1),
                "duplicate": Out(1),
                "is_empty": Out(1),
                "complete": Out(1),
                "partly": Out(1),
                "missing": Out(range(config.nodes + 1)),
                "count": Out(COUNT_BITS),
                "sum": Out(32),
                "active": In(MemoryAccess(bits)),
                "missing_words": In(MemoryAccess(bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Bitmaps of small memories that are read in the cycle of the address."""
        m = Module()
        width, depth = min(NODES_PER_WORD, self.config.nodes), bitmap_words(self.config)
        node_bits, low = address_bits(self.config.nodes), address_bits(width)
        m.submodules.active_nodes = active = Memory(shape=width, depth=depth, init=[])
        m.submodules.arrived_nodes = arrived = Memory(shape=width, depth=depth, init=[])
        colour = Signal()
        fresh = Signal(init=1)
        cursor = Signal(node_bits)
        active_count = Signal(len(self.missing))

        # A message: look its node up, and give its bit the colour.
        node = self.barrier.node
        active_word, arrived_word = Signal(width), Signal(width)
        is_active, has_arrived, arrives = Signal(), Signal(), Signal()
        for memory, word in ((active, active_word), (arrived, arrived_word)):
            port = memory.read_port(domain="comb")
            m.d.comb += [port.addr.eq(node[low:node_bits]), word.eq(port.data)]
        place = node[:low]
        m.d.comb += [
            is_active.eq(active_word.bit_select(place, 1) & (node[node_bits:] == 0)),
            has_arrived.eq(arrived_word.bit_select(place, 1) == colour),
            self.unknown.eq(self.valid & ~is_active),
            self.duplicate.eq(self.valid & is_active & has_arrived),
            arrives.eq(self.valid & is_active & ~has_arrived),
        ]
        mark = arrived.write_port()
        with m.If(self.counting):
            m.d.comb += [
                mark.en.eq(1),
                mark.addr.eq(cursor[low:]),
                mark.data.eq(colour.replicate(width)),
            ]
        with m.Else():
            m.d.comb += [
                mark.en.eq(arrives),
                mark.addr.eq(node[low:node_bits]),
                # A node that arrives has the other colour.
                mark.data.eq(arrived_word ^ (1 << place)[:width]),
            ]
        with m.If(self.next_step):
            m.d.sync += [
                colour.eq(~colour),
                self.missing.eq(active_count),
                self.complete.eq(0),
                self.partly.eq(0),
            ]
        with m.Elif(arrives):
            m.d.sync += [
                self.missing.eq(self.missing - 1),
                self.complete.eq(self.missing == 1),
                self.partly.eq(1),
            ]
        with m.If(self.next_step | self.clear):
            m.d.sync += [self.count.eq(0), self.sum.eq(0)]
        with m.Elif(arrives):
            m.d.sync += [
                self.count.eq(self.count + self.barrier.count),
                self.sum.eq(self.sum + self.barrier.sum),
            ]

        # How many there are.
        counted = active.read_port(domain="comb")
        m.d.comb += [counted.addr.eq(cursor[low:]), self.is_empty.eq(active_count == 0)]
        with m.If(self.counting):
            m.d.sync += [
                cursor.eq(cursor + 1),
                active_count.eq(active_count + counted.data.bit_select(cursor[:low], 1)),
                self.counting.eq(~cursor.all()),
            ]
        with m.If(self.begin):
            # The cursor went round when the nodes were counted last.
            m.d.sync += [self.counting.eq(1), active_count.eq(0)]
        self._words(m, active, arrived, colour, fresh)
        return m

    def _words(
        self, m: Module, active: Memory, arrived: Memory, colour: Signal, fresh: Signal
    ) -> None:
        """Let the host see both bitmaps, and write the one."""
        write = active.write_port()
        shown, active_read = active.read_port(domain="comb"), active.read_port(domain="comb")
        arrived_read = arrived.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.active.write),
            write.addr.eq(self.active.address),
            write.data.eq(self.active.write_data),
            shown.addr.eq(self.active.address),
            active_read.addr.eq(self.missing_words.address),
            arrived_read.addr.eq(self.missing_words.address),
        ]
        misses = arrived_read.data ^ colour.replicate(len(arrived_read.data))
        m.d.sync += [
            self.active.read_data.eq(shown.data),
            self.missing_words.read_data.eq(
                active_read.data & (misses | fresh.replicate(len(misses)))
            ),
        ]
        with m.If(self.clear | self.active.write):
            m.d.sync += fresh.eq(1)
        with m.Elif(self.next_step):
            m.d.sync += fresh.eq(0)
