# amaranth: UnusedElaboratable=no
"""No sync message before all barriers, one for each step, and after all spikes of the step.

The spikes' counts and sums are free inputs, as in the proof of the node's control; how long they
take to settle is not. The barrier and its bitmaps are part of what is proven, for four nodes.
Assumptions, which `rtl.register_file` and `rtl.config_space` make true: an error sticks until it is
cleared; what is active is written, and errors are cleared, only while the master is halted. ACTIVE
is written before the first run.
"""

from __future__ import annotations

from unittest import mock

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from csnn.hardware.master_config import MasterConfig
from rtl.mesh.barrier_set import BarrierSet
from rtl.mesh.master_control import ERRORS, MasterControl
from rtl.packet_decoder import MASTER_EVENT
from rtl.spike_sum import COUNT_BITS, SpikeSum

NODES = 4
_FREE = {"run": 1, "failed": 1, "clear": 1, "step": 32, "stop_step": 32, "expired": 1}
_TOLD_BITS = COUNT_BITS + 32
_COVERS = ("two_steps", "all_nodes", "late", "duplicate", "stopped", "sync_waits", "sum_awaited")


class FreeSum(SpikeSum):
    """A sum that says what it is told, and settles in two cycles."""

    def __init__(self, told: Signal) -> None:
        self._told = told
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Hand on what is told."""
        m = Module()
        valids = Signal(2)
        m.d.sync += valids.eq(Cat(self.valid, valids[0]))
        m.d.comb += [
            self.count.eq(self._told[:COUNT_BITS]),
            self.sum.eq(self._told[COUNT_BITS:]),
            self.busy.eq(valids.any()),
        ]
        return m


class MasterControlHarness(wiring.Component):
    """The control of a master of four nodes in a free environment."""

    def __init__(self) -> None:
        self.config = MasterConfig(nodes=NODES)
        self.control = MasterControl(self.config)
        members = self.control.signature.members
        super().__init__(
            {
                **{name: In(width) for name, width in _FREE.items()},
                "event": In(stream.Signature(MASTER_EVENT)),
                "spike_ready": In(1),
                "sync_ready": In(1),
                "active": members["active"],
                "missing_words": members["missing_words"],
                "told": In(_TOLD_BITS),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in _COVERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the control and watch it."""
        m = Module()
        control = self.control
        told = Signal(_TOLD_BITS)
        spikes, barriers = FreeSum(told), BarrierSet(self.config)
        with (
            mock.patch("rtl.mesh.master_control.SpikeSum", return_value=spikes),
            mock.patch("rtl.mesh.master_control.BarrierSet", return_value=barriers),
        ):
            m.submodules.control = control.elaborate(platform)
        m.d.comb += told.eq(self.told)
        m.d.comb += [getattr(control, name).eq(getattr(self, name)) for name in _FREE]
        m.d.comb += [
            control.spike.ready.eq(self.spike_ready),
            control.sync.ready.eq(self.sync_ready),
        ]
        wiring.connect(m, wiring.flipped(self.event), control.event)
        wiring.connect(m, wiring.flipped(self.active), control.active)
        wiring.connect(m, wiring.flipped(self.missing_words), control.missing_words)
        p = Properties(m, self)
        self._assume(m, p)
        self._spikes(m, p, spikes)
        missing, arrives = self._barriers(m, p)
        self._totals(m, p, arrives)
        self._syncs(m, p, spikes, missing)
        p.finish()
        return m

    def _assume(self, m: Module, p: Properties) -> None:
        control = self.control
        written, must_fail = Signal(), Signal()
        with m.If(self.active.write):
            m.d.sync += written.eq(1)
        errors = Cat(getattr(control, f"error_{name}") for name in ERRORS)
        m.d.sync += must_fail.eq(~self.clear & (self.failed | errors.any()))
        p.assume(~must_fail | self.failed)
        p.assume(written | ~self.run)
        p.assume(control.halted | ~(self.clear | self.active.write))

    def _spikes(self, m: Module, p: Properties, spikes: FreeSum) -> None:
        """Every spike of the step is handed on, once and unaltered, when it leaves the stream."""
        control, spike = self.control, self.event.payload.body.spike
        is_spike = ~self.event.payload.is_barrier
        moved, handed = Signal(), Signal()
        m.d.comb += [
            moved.eq(self.event.valid & self.event.ready & is_spike),
            handed.eq(control.spike.valid & self.spike_ready),
        ]
        p.never(handed & (~moved | self.failed | ~control.collecting))
        p.never(handed & (spike.step != self.step))
        p.never(control.spike.valid & (control.spike.payload.as_value() != spike.as_value()))
        p.never(moved & ~handed & ~self.failed & ~control.error_spike_step)
        p.never(control.sent != handed)
        p.never(control.dropped != (moved & ~handed))
        # The sum is of these spikes, from one sync message to the next.
        p.never(spikes.valid != handed)
        p.never(handed & ((spikes.source != spike.source) | (spikes.step != self.step)))
        p.never(spikes.clear != (control.next_step | self.clear))
        # After an error nothing waits.
        p.never(self.failed & self.event.valid & ~self.event.ready)

    def _barriers(self, m: Module, p: Properties) -> tuple[Value, Value]:
        """Return who is missing, and whether one of them arrives; errors say what is wrong."""
        control, barrier = self.control, self.event.payload.body.barrier
        active, arrived = Signal(NODES), Signal(NODES)
        told, right, arrives = Signal(), Signal(), Signal()
        missing, mine = Signal(NODES), Signal(NODES)
        m.d.comb += [
            told.eq(self.event.valid & self.event.payload.is_barrier & ~self.failed),
            right.eq(told & control.collecting & (barrier.step == self.step[:6])),
            missing.eq(active & ~arrived),
            mine.eq(Cat(barrier.node == k for k in range(NODES))),
            arrives.eq(right & (mine & missing).any()),
        ]
        with m.If(self.active.write):
            m.d.sync += active.eq(self.active.write_data)
        with m.If(control.next_step):
            m.d.sync += arrived.eq(0)
        with m.Elif(arrives):
            m.d.sync += arrived.eq(arrived | mine)
        p.never(told & ~self.event.ready)
        p.never(control.error_barrier_step != (told & ~right))
        p.never(control.error_unknown_node != (right & ~(mine & active).any()))
        p.never(control.error_duplicate != (right & (mine & active & arrived).any()))
        p.never(
            control.error_timeout
            != (control.collecting & ~self.failed & missing.any() & self.expired)
        )
        number = sum(missing[k] for k in range(NODES))
        p.never(control.collecting & (control.missing != number))
        # What MISSING shows is what was missing in the cycle before.
        shown, has_shown = Signal(NODES), Signal()
        m.d.sync += [shown.eq(missing), has_shown.eq(control.collecting)]
        p.never(has_shown & (self.missing_words.read_data != shown))
        p.cover("duplicate", control.error_duplicate)
        p.cover("late", control.error_timeout & (missing == 0b1010))
        return missing, arrives

    def _totals(self, m: Module, p: Properties, arrives: Value) -> None:
        """What the barriers told is added up from one sync message to the next."""
        control, barrier = self.control, self.event.payload.body.barrier
        for total, part in (
            (control.barrier_count, barrier.count),
            (control.barrier_sum, barrier.sum),
        ):
            # One step ahead, so that bits are compared with bits.
            expected = Signal.like(total)
            begins = control.next_step | self.clear
            grown = Mux(arrives, (total + part)[: len(total)], total)
            m.d.sync += expected.eq(Mux(begins, 0, grown))
            p.never(total != expected)

    def _syncs(self, m: Module, p: Properties, spikes: FreeSum, missing: Value) -> None:
        """A sync message comes first in a run, and then when a step is complete and right."""
        control, sync = self.control, self.control.sync
        handed, wrong_count, wrong_sum = Signal(), Signal(), Signal()
        m.d.comb += [
            handed.eq(sync.valid & self.sync_ready),
            wrong_count.eq(control.barrier_count != spikes.count),
            wrong_sum.eq(control.barrier_sum != spikes.sum),
        ]
        p.never(control.next_step != handed)
        p.never(
            sync.valid
            & (
                (sync.payload.count != spikes.count)
                | (sync.payload.sum != spikes.sum)
                | (sync.payload.step != self.step[:6])
            )
        )
        p.never(sync.valid & (self.failed | control.collecting | control.halted | spikes.busy))
        # A step ends at once when all is there, and only then.
        is_whole = control.collecting & ~self.failed & ~missing.any() & ~spikes.busy
        p.never(control.ends != is_whole)
        p.never(control.error_count != (control.ends & wrong_count))
        p.never(control.error_sum != (control.ends & wrong_sum))
        # One sync message for each step that has ended well, unless the machine is to halt.
        is_open, may_follow, follows = Signal(), Signal(), Signal()
        goes_on = self.run & (self.step != self.stop_step)
        with m.If(handed):
            m.d.sync += [is_open.eq(1), may_follow.eq(0)]
        with m.Elif(control.halted):
            m.d.sync += is_open.eq(0)
        with m.Elif(control.ends):
            m.d.sync += may_follow.eq(~wrong_count & ~wrong_sum & goes_on)
        m.d.sync += follows.eq(control.ends & ~wrong_count & ~wrong_sum & goes_on)
        p.never(sync.valid & is_open & (~may_follow | missing.any()))
        p.never(follows & ~self.failed & ~sync.valid)
        waits = Signal()
        m.d.sync += waits.eq(sync.valid & ~self.sync_ready)
        p.never(waits & ~self.failed & ~sync.valid)
        # It halts within a step only after an error.
        was_collecting = Signal()
        m.d.sync += was_collecting.eq(control.collecting & ~control.ends & ~self.failed)
        p.never(was_collecting & ~control.collecting)
        p.never(control.halted & (control.spike.valid | sync.valid))

        ended = Signal(2)
        with m.If(control.halted):
            m.d.sync += ended.eq(0)
        with m.Elif(control.ends & (ended != 2)):
            m.d.sync += ended.eq(ended + 1)
        all_nodes, stops = Signal(), Signal()
        with m.If(handed):
            m.d.sync += all_nodes.eq(0)
        with m.Elif(control.missing == NODES):
            m.d.sync += all_nodes.eq(1)
        m.d.sync += stops.eq(control.ends & ~wrong_count & ~wrong_sum & self.run)
        p.cover("two_steps", sync.valid & (ended == 2))
        p.cover("all_nodes", sync.valid & is_open & all_nodes)
        p.cover("stopped", stops & control.halted & ~self.failed)
        p.cover("sync_waits", waits & handed & is_open)
        p.cover("sum_awaited", control.collecting & ~missing.any() & spikes.busy & ~self.failed)
