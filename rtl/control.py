"""Control of a node: the sequence of a step, barrier and sync."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import EPOCH_WORD_BITS
from csnn.image.layout import NO_EXT_TABLE
from csnn.packets import Kind
from rtl.memory_access import MemoryAccess, TableMemory, address_bits, connect_parts, readdressed
from rtl.packet_decoder import EVENT
from rtl.packet_layout import payload_layout
from rtl.spike_sum import SpikeSum

_EPOCH_WORDS = ("first_step", "ext_table", "dc")


class Control(wiring.Component):
    """Leads the node through its steps.

    A sync message begins a step once everything before it has been handled: the slot is moved,
    EXT drawn, the neurons advanced, their spikes sent, then the barrier message. Spikes that
    arrive meanwhile go to the router as soon as the slot has been moved. The count and the sum of
    what was handled must be those of the sync message; else the node stops.

    Ports
    -----
    run, failed : 1 bit, in
        The node shall compute; an error sticks.
    clear : 1 bit, in
        What was handled so far belongs to another run.
    step : 32 bits, in
        The step computed last, or being computed.
    node : 16 bits, in
        Number of the node.
    event : stream of `EVENT`, in
        Spikes and sync messages in the order of arrival. A node that failed drops them.
    source : stream of 32 bits, out
        Spikes for the router.
    router_busy : 1 bit, in
        A spike is under way between `source` and the circular buffer.
    next_step : 1 bit, out
        A step begins: the register that counts them goes on.
    start : 1 bit, out
        Begins the transfer of the slot and EXT.
    loading, computing, sending : 1 bit, in
        The transfer or EXT, the ODE unit, the output of spikes are busy.
    sent, sent_source : in
        A spike of this node has left.
    barrier : stream of the payload of a barrier packet, out
    ext_enabled, ext_table, dc : out
        Input in force.
    halted, waiting : 1 bit, out
    error_count, error_sum, error_sync_step, error_spike_step : 1 bit, out
    schedule : MemoryAccess
        Word 4 e + k of epoch e; k: first_step, ext_table, dc.

    Latency
        3 cycles from a sync message to `start`; 5 more for each epoch that begins.
    Throughput
        One event per cycle.
    Backpressure
        Events wait while they cannot be handled.
    Reference
        `csnn.simulator.plain.Node`; Heittmann et al. (2022), "Node synchronization", Figure 5.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            {
                "run": In(1),
                "failed": In(1),
                "clear": In(1),
                "step": In(32),
                "node": In(16),
                "event": In(stream.Signature(EVENT)),
                "source": Out(stream.Signature(32)),
                "router_busy": In(1),
                "next_step": Out(1),
                "start": Out(1),
                "loading": In(1),
                "computing": In(1),
                "sending": In(1),
                "sent": In(1),
                "sent_source": In(32),
                "barrier": Out(stream.Signature(payload_layout(Kind.BARRIER))),
                "ext_enabled": Out(1),
                "ext_table": Out(address_bits(config.ext_tables)),
                "dc": Out(32),
                "halted": Out(1),
                "waiting": Out(1),
                **{f"error_{name}": Out(1) for name in ("count", "sum", "sync_step", "spike_step")},
                "schedule": In(MemoryAccess(address_bits(config.epochs) + EPOCH_WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the state machine of a step, with the two sums."""
        m = Module()
        m.submodules.handled = handled = SpikeSum()
        m.submodules.sent_sum = sent = SpikeSum()
        spike, sync = self.event.payload.body.spike, self.event.payload.body.sync
        is_sync = self.event.payload.is_sync
        accepts, drops, may_sync = Signal(), Signal(), Signal()
        right_step = Signal()
        begins = Signal()
        m.d.comb += [
            handled.clear.eq(begins | self.clear),
            sent.clear.eq(begins | self.clear),
            right_step.eq(spike.step == self.step),
            self.source.payload.eq(spike.source),
            self.source.valid.eq(self.event.valid & ~is_sync & accepts & right_step),
            self.error_spike_step.eq(self.event.valid & ~is_sync & accepts & ~right_step),
            self.event.ready.eq(
                drops | (accepts & ~is_sync & self.source.ready) | (may_sync & is_sync)
            ),
            handled.valid.eq(self.source.valid & self.source.ready),
            handled.source.eq(spike.source),
            handled.step.eq(self.step),
            sent.valid.eq(self.sent),
            sent.source.eq(self.sent_source),
            sent.step.eq(self.step),
            self.barrier.payload.count.eq(sent.count),
            self.barrier.payload.node.eq(self.node),
            self.barrier.payload.step.eq(self.step),
            self.barrier.payload.sum.eq(sent.sum),
        ]
        epoch_begins, epoch_settled = self._schedule(m)
        going = self.run & ~self.failed
        agreed = Signal()
        with m.FSM(init="HALTED"):
            with m.State("HALTED"):
                m.d.comb += [self.halted.eq(1), drops.eq(self.failed)]
                with m.If(going):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.waiting.eq(1)
                with m.If(going):
                    m.d.comb += accepts.eq(1)
                    quiet = ~self.router_busy & ~handled.busy
                    with m.If(self.event.valid & is_sync & quiet):
                        m.d.comb += [
                            may_sync.eq(1),
                            self.error_count.eq(sync.count != handled.count),
                            self.error_sum.eq(sync.sum != handled.sum),
                            self.error_sync_step.eq(sync.step != self.step[: len(sync.step)]),
                            agreed.eq(~(self.error_count | self.error_sum | self.error_sync_step)),
                            begins.eq(1),
                        ]
                with m.Else():
                    m.next = "HALTED"
                with m.If(agreed):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                # The register counts the step; the schedule is asked about it from here on.
                m.d.comb += self.next_step.eq(1)
                m.next = "EPOCH"
            with m.State("EPOCH"), m.If(epoch_settled & ~epoch_begins):
                m.next = "START"
            with m.State("START"):
                m.d.comb += self.start.eq(1)
                m.next = "LOAD"
            with m.State("LOAD"), m.If(self.computing & ~self.loading):
                m.next = "COMPUTE"
            with m.State("COMPUTE"):
                m.d.comb += accepts.eq(~self.failed)
                with m.If(~(self.computing | self.sending | sent.busy)):
                    m.next = "SEND"
                    with m.If(self.failed):
                        m.next = "HALTED"
            with m.State("SEND"):
                m.d.comb += [accepts.eq(~self.failed), self.barrier.valid.eq(1)]
                with m.If(self.barrier.ready):
                    m.next = "WAIT"
        return m

    def _schedule(self, m: Module) -> tuple[Signal, Signal]:
        """Return whether another epoch begins with this step, and whether that is known."""
        config = self.config
        count = config.epochs
        coming = Signal(range(count + 1))
        words, parts = {}, []
        for name in _EPOCH_WORDS:
            m.submodules[name] = memory = TableMemory(depth=count, width=32)
            m.d.comb += [memory.enable.eq(1), memory.address.eq(coming)]
            words[name] = memory.data
            parts.append(memory.access)
        address = self.schedule.address
        word, epoch = address[:EPOCH_WORD_BITS], address[EPOCH_WORD_BITS:]
        connect_parts(m, readdressed(m, self.schedule, epoch, word), parts, len(epoch))
        settling = Signal(range(5))
        begins, settled = Signal(), Signal()
        m.d.comb += [
            settled.eq(settling == 0),
            begins.eq((coming != count) & (words["first_step"] <= self.step)),
        ]
        with m.If(self.halted):
            m.d.sync += [coming.eq(0), settling.eq(4)]
        with m.Elif(settling != 0):
            m.d.sync += settling.eq(settling - 1)
        with m.Elif(begins):
            m.d.sync += [
                coming.eq(coming + 1),
                settling.eq(4),
                self.ext_enabled.eq(words["ext_table"] != NO_EXT_TABLE),
                self.ext_table.eq(words["ext_table"]),
                self.dc.eq(words["dc"]),
            ]
        return begins, settled
