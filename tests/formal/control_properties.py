# amaranth: UnusedElaboratable=no
"""A sync message never overtakes a spike, and every step ends with one barrier message.

The units around the control are free: they may be busy or idle whenever they like. So are the
counts and sums of spikes, which have proofs of their own; what is proven is what the control makes
of them. One assumption is made: an error sticks until the node is cleared or reset, which is what
`rtl.registers` does.
"""

from __future__ import annotations

from unittest import mock

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.hardware.config import NodeConfig
from rtl.control import Control
from rtl.packet_decoder import EVENT
from rtl.spike_sum import COUNT_BITS, SpikeSum

_FREE = {"run": 1, "failed": 1, "clear": 1, "step": 32, "node": 16, "router_busy": 1}
_FREE |= {"loading": 1, "computing": 1, "sending": 1, "sent": 1, "sent_source": 32}
# Count, sum, busy.
_TOLD_BITS = COUNT_BITS + 32 + 1
_COVERS = ("two_barriers", "sync_waits", "failed_in_a_step", "wrong_count")


class FreeSum(SpikeSum):
    """A sum that says what it is told."""

    def __init__(self, told: Signal) -> None:
        self._told = told
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Hand on what is told."""
        m = Module()
        m.d.comb += [
            self.count.eq(self._told[:COUNT_BITS]),
            self.sum.eq(self._told[COUNT_BITS:-1]),
            self.busy.eq(self._told[-1]),
        ]
        return m


class ControlHarness(wiring.Component):
    """A control in a free environment."""

    def __init__(self) -> None:
        self.control = Control(NodeConfig(rows=16, presence_words=0, epochs=2))
        super().__init__(
            {
                **{name: In(width) for name, width in _FREE.items()},
                "event": In(stream.Signature(EVENT)),
                "source_ready": In(1),
                "barrier_ready": In(1),
                "schedule": self.control.signature.members["schedule"],
                "handled": In(_TOLD_BITS),
                "sent_told": In(_TOLD_BITS),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in _COVERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the control and watch it."""
        m = Module()
        control = self.control
        told = [Signal(_TOLD_BITS, name=f"told_{i}") for i in range(2)]
        sums = [FreeSum(signal) for signal in told]
        with mock.patch("rtl.control.SpikeSum", side_effect=list(sums)):
            m.submodules.control = control.elaborate(platform)
        m.d.comb += [told[0].eq(self.handled), told[1].eq(self.sent_told)]
        m.d.comb += [getattr(control, name).eq(getattr(self, name)) for name in _FREE]
        m.d.comb += [
            control.source.ready.eq(self.source_ready),
            control.barrier.ready.eq(self.barrier_ready),
        ]
        wiring.connect(m, wiring.flipped(self.event), control.event)
        wiring.connect(m, wiring.flipped(self.schedule), control.schedule)
        self._watch(m, control, *sums)
        return m

    def _watch(self, m: Module, control: Control, handled: FreeSum, sent: FreeSum) -> None:
        p = Properties(m, self)
        failed_before = Signal()
        m.d.sync += failed_before.eq(self.failed)
        p.assume(~failed_before | self.failed | self.clear)

        is_sync = self.event.payload.is_sync
        sync, spike = self.event.payload.body.sync, self.event.payload.body.spike
        moved, dropped = Signal(), Signal()
        sync_taken, handed, barrier = Signal(), Signal(), Signal()
        m.d.comb += [
            moved.eq(self.event.valid & self.event.ready),
            dropped.eq(control.halted & self.failed),
            sync_taken.eq(moved & is_sync & ~dropped),
            handed.eq(control.source.valid & control.source.ready),
            barrier.eq(control.barrier.valid & control.barrier.ready),
        ]
        # Every spike goes to the router in the cycle in which it leaves the stream, once and
        # unaltered, unless the node has failed, or fails for its step.
        wrong_step = Signal()
        m.d.comb += wrong_step.eq(spike.step != self.step)
        p.never(moved & ~is_sync & ~handed & ~dropped & ~(wrong_step & control.error_spike_step))
        p.never(handed & ~(moved & ~is_sync))
        p.never(handed & (wrong_step | (control.source.payload != spike.source)))

        # A sync leaves the stream only when all spikes before it have been handled.
        p.never(sync_taken & (self.router_busy | handled.busy | self.failed | ~control.waiting))
        p.never(
            control.waiting & self.run & ~self.failed & self.event.valid & is_sync
            & ~self.router_busy & ~handled.busy & ~moved
        )  # fmt: skip
        # Count, sum and step must agree, or the node says so and begins nothing.
        count, total = sync.count != handled.count, sync.sum != handled.sum
        step = sync.step != self.step[: len(sync.step)]
        p.never(sync_taken & (control.error_count != count))
        p.never(sync_taken & (control.error_sum != total))
        p.never(sync_taken & (control.error_sync_step != step))
        p.never(~sync_taken & (control.error_count | control.error_sum | control.error_sync_step))
        agreed = Signal()
        m.d.sync += agreed.eq(sync_taken & ~(count | total | step))
        p.never(control.next_step != agreed)

        # One barrier for each sync that agreed; one start between them; none for a failed step.
        owed, started, ready = Signal(), Signal(), Signal()
        m.d.sync += ready.eq(~self.computing & ~self.sending & ~sent.busy & ~self.failed)
        was_offered = Signal()
        m.d.sync += was_offered.eq(control.barrier.valid & ~barrier)
        with m.If(sync_taken & ~(count | total | step)):
            m.d.sync += [owed.eq(1), started.eq(0)]
        with m.Elif(barrier | control.halted):
            m.d.sync += owed.eq(0)
        with m.If(control.start):
            m.d.sync += started.eq(1)
        p.never(sync_taken & owed)
        p.never(control.start & (~owed | started))
        p.never(control.barrier.valid & (~owed | ~started))
        p.never(control.barrier.valid & ~was_offered & ~ready)
        p.never(was_offered & ~control.barrier.valid)
        p.never(control.waiting & owed)
        # A spike of the step that has begun waits until the slot of its step has been moved.
        loaded = Signal()
        with m.If(sync_taken):
            m.d.sync += loaded.eq(0)
        with m.Elif(owed & started & self.computing & ~self.loading):
            m.d.sync += loaded.eq(1)
        p.never(handed & owed & ~loaded)
        payload = control.barrier.payload
        p.never(
            control.barrier.valid
            & (
                (payload.count != sent.count[: len(payload.count)])
                | (payload.sum != sent.sum)
                | (payload.node != self.node)
                | (payload.step != self.step[: len(payload.step)])
            )
        )
        # The count of handled spikes begins anew with each sync, and counts what the router gets.
        p.never(handled.clear != (sync_taken | self.clear))
        p.never(sent.clear != handled.clear)
        p.never(handled.valid != handed)
        p.never(handled.valid & (handled.source != spike.source))
        p.never(handled.valid & (handled.step != self.step))
        p.never(sent.valid != self.sent)
        p.never(sent.valid & (sent.source != self.sent_source))
        p.never(sent.valid & (sent.step != self.step))

        barriers = Signal(2)
        m.d.sync += barriers.eq(barriers + Mux(barriers == 2, 0, barrier))
        waited = Signal()
        m.d.sync += waited.eq(control.waiting & self.event.valid & is_sync & self.router_busy)
        p.cover("two_barriers", Value.cast(barriers == 2))
        p.cover("sync_waits", waited & sync_taken)
        p.cover("failed_in_a_step", control.halted & owed)
        p.cover("wrong_count", control.error_count & ~control.error_sum)
        p.finish()
