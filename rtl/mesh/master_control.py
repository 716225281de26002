"""Control of the master node: spikes go round, barriers come together, sync messages go out."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import bitmap_words
from csnn.packets import Kind
from rtl.memory_access import MemoryAccess, address_bits
from rtl.mesh.barrier_set import BarrierSet
from rtl.packet_decoder import MASTER_EVENT
from rtl.packet_layout import payload_layout
from rtl.spike_sum import COUNT_BITS, SpikeSum

ERRORS = (
    *("count", "sum", "spike_step", "barrier_step"),
    *("unknown_node", "duplicate", "timeout", "empty"),
)


class MasterControl(wiring.Component):
    """Leads the machine through its steps.

    A sync message tells count and sum of the spikes that were broadcast in the step before; the
    nodes compute the next step. Their spikes are broadcast at once. When the barrier messages of
    all active nodes have come, they must tell what was broadcast; then the next sync message
    follows, or the machine halts. After an error none follows, and everything that still comes
    is dropped.

    Ports
    -----
    run, failed : 1 bit, in
        The machine shall go on; an error sticks.
    clear : 1 bit, in
        Counts, sums and arrivals begin anew.
    step, stop_step : 32 bits, in
        The step computed last, or being computed; the one after which the machine halts.
    event : stream of `MASTER_EVENT`, in
        Spikes and barriers in the order of arrival.
    spike : stream of the payload of a SPIKE packet, out
    sync : stream of the payload of a SYNC packet, out
        Withdrawn if an error rises before it is taken.
    next_step : 1 bit, out
        The sync message is taken: the register that counts the steps goes on.
    ends : 1 bit, out
        The last cycle of a step: all barriers are there.
    expired : 1 bit, in
        The step takes too long.
    sent, dropped : 1 bit, out
        A spike is broadcast; one is not.
    halted, collecting, waiting : 1 bit, out
        Between runs; a step is under way; some barriers have come, but not all.
    missing, count, sum, barrier_count, barrier_sum : out
        Barriers to come; what was broadcast, and what the barriers told.
    error_<name> : 1 bit, out
    active, missing_words : MemoryAccess
        As `BarrierSet`.

    Latency
        3 cycles from the last barrier to `sync`, one more if a spike came in the cycle before. A
        run begins with a cycle for each node that there may be.
    Throughput
        One event per cycle.
    Backpressure
        A spike waits while `spike` does, and everything behind it; after an error nothing waits.
    Reference
        Heittmann et al. (2022), "Node synchronization", Figure 5.
    """

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        bits = address_bits(bitmap_words(config))
        super().__init__(
            {
                "run": In(1),
                "failed": In(1),
                "clear": In(1),
                "step": In(32),
                "stop_step": In(32),
                "event": In(stream.Signature(MASTER_EVENT)),
                "spike": Out(stream.Signature(payload_layout(Kind.SPIKE))),
                "sync": Out(stream.Signature(payload_layout(Kind.SYNC))),
                "next_step": Out(1),
                "ends": Out(1),
                "expired": In(1),
                "sent": Out(1),
                "dropped": Out(1),
                "halted": Out(1),
                "collecting": Out(1),
                "waiting": Out(1),
                "missing": Out(range(config.nodes + 1)),
                "count": Out(COUNT_BITS),
                "sum": Out(32),
                "barrier_count": Out(COUNT_BITS),
                "barrier_sum": Out(32),
                **{f"error_{name}": Out(1) for name in ERRORS},
                "active": In(MemoryAccess(bits)),
                "missing_words": In(MemoryAccess(bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Judge what comes; lead through the steps."""
        m = Module()
        m.submodules.spikes = spikes = SpikeSum()
        m.submodules.barriers = barriers = BarrierSet(self.config)
        wiring.connect(m, wiring.flipped(self.active), barriers.active)
        wiring.connect(m, wiring.flipped(self.missing_words), barriers.missing_words)
        self._events(m, spikes, barriers)
        m.d.comb += [
            barriers.next_step.eq(self.next_step),
            barriers.clear.eq(self.clear),
            spikes.clear.eq(self.next_step | self.clear),
            spikes.step.eq(self.step),
            self.waiting.eq(self.collecting & barriers.partly & ~barriers.complete),
            self.missing.eq(barriers.missing),
            self.count.eq(spikes.count),
            self.sum.eq(spikes.sum),
            self.barrier_count.eq(barriers.count),
            self.barrier_sum.eq(barriers.sum),
            self.sync.payload.count.eq(spikes.count),
            self.sync.payload.step.eq(self.step),
            self.sync.payload.sum.eq(spikes.sum),
        ]
        goes_on, same_count, same_sum = Signal(), Signal(), Signal()
        m.d.comb += [
            goes_on.eq(self.run & (self.step != self.stop_step)),
            same_count.eq(barriers.count == spikes.count),
            same_sum.eq(barriers.sum == spikes.sum),
            self.error_count.eq(self.ends & ~same_count),
            self.error_sum.eq(self.ends & ~same_sum),
        ]
        with m.FSM(init="HALTED"):
            with m.State("HALTED"):
                m.d.comb += self.halted.eq(~spikes.busy)
                with m.If(goes_on & ~self.failed):
                    m.d.comb += barriers.begin.eq(1)
                    m.next = "COUNT"
            with m.State("COUNT"), m.If(~barriers.counting):
                m.d.comb += self.error_empty.eq(barriers.is_empty)
                m.next = "SYNC"
                with m.If(barriers.is_empty):
                    m.next = "HALTED"
            with m.State("SYNC"):
                m.d.comb += self.sync.valid.eq(~self.failed)
                with m.If(self.failed):
                    m.next = "HALTED"
                with m.Elif(self.sync.ready):
                    m.d.comb += self.next_step.eq(1)
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                m.d.comb += self.collecting.eq(1)
                with m.If(self.failed):
                    m.next = "HALTED"
                with m.Elif(~barriers.complete):
                    m.d.comb += self.error_timeout.eq(self.expired)
                with m.Elif(~spikes.busy):
                    m.d.comb += self.ends.eq(1)
                    m.next = "HALTED"
                    with m.If(same_count & same_sum & goes_on):
                        m.next = "SYNC"
        return m

    def _events(self, m: Module, spikes: SpikeSum, barriers: BarrierSet) -> None:
        """Hand spikes on, tell barriers; say what is wrong with either."""
        spike, barrier = self.event.payload.body.spike, self.event.payload.body.barrier
        is_spike, is_barrier = Signal(), Signal()
        awaits, right_spike, right_barrier = Signal(), Signal(), Signal()
        m.d.comb += [
            is_spike.eq(self.event.valid & ~self.event.payload.is_barrier & ~self.failed),
            is_barrier.eq(self.event.valid & self.event.payload.is_barrier & ~self.failed),
            # All spikes of a step come before its last barrier.
            awaits.eq(self.collecting & ~barriers.complete),
            right_spike.eq(awaits & (spike.step == self.step)),
            right_barrier.eq(self.collecting & (barrier.step == self.step[: len(barrier.step)])),
            self.error_spike_step.eq(is_spike & ~right_spike),
            self.error_barrier_step.eq(is_barrier & ~right_barrier),
            self.spike.valid.eq(is_spike & right_spike),
            self.spike.payload.source.eq(spike.source),
            self.spike.payload.step.eq(spike.step),
            # A spike of another step waits as well: so the comparison is not part of `ready`.
            self.event.ready.eq(
                self.spike.ready | self.event.payload.is_barrier | ~awaits | self.failed
            ),
            self.sent.eq(self.spike.valid & self.spike.ready),
            self.dropped.eq(
                self.event.valid & self.event.ready & ~self.event.payload.is_barrier & ~self.sent
            ),
            spikes.valid.eq(self.sent),
            spikes.source.eq(spike.source),
            barriers.valid.eq(is_barrier & right_barrier),
            barriers.barrier.eq(barrier),
            self.error_unknown_node.eq(barriers.unknown),
            self.error_duplicate.eq(barriers.duplicate),
        ]
