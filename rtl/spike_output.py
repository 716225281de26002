"""Output FIFO of spikes and index translation: from groups of neurons to global source IDs."""

from __future__ import annotations

from amaranth.hdl import Cat, EnableInserter, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from rtl.memory_access import MemoryAccess, TableMemory


class SpikeOutput(wiring.Component):
    """Names the neurons that spike.

    Ports
    -----
    valid, group, spikes : in
        A group of neurons and which of them spike; as many groups as the node has fit in.
    source : stream of 32 bits, out
        Global source IDs, in ascending order of the neurons.
    busy : 1 bit, out
        A spike waits or is under way.
    source_ids : MemoryAccess
        Word n: ID of neuron n.

    Latency
        5 cycles from a group to its first spike.
    Throughput
        One spike per cycle.
    Backpressure
        Spikes wait in the FIFO, which holds all groups of a step.
    Reference
        `csnn.simulator.plain.Node.compute`; Heittmann et al. (2022), Figure 3A.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "group": In(config.group_bits),
                "spikes": In(config.pipelines),
                "source": Out(stream.Signature(32)),
                "busy": Out(1),
                "source_ids": In(MemoryAccess(NEURON_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """FIFO of groups; lowest spike first; look-up of its ID."""
        m = Module()
        config = self.config
        width = config.group_bits + config.pipelines
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=width, depth=1 << config.group_bits)
        m.d.comb += [
            fifo.w_data.eq(Cat(self.group, self.spikes)),
            fifo.w_en.eq(self.valid & self.spikes.any()),
        ]
        go = Signal()
        m.d.comb += go.eq(~self.source.valid | self.source.ready)
        m.submodules.translation = EnableInserter(go)(self._translation(fifo, go))
        return m

    def _translation(self, fifo: SyncFIFOBuffered, go: Signal) -> Module:
        m = Module()
        config = self.config
        group = Signal(config.group_bits, reset_less=True)
        spikes = Signal(config.pipelines)
        rest = Signal(config.pipelines)
        m.d.comb += [
            rest.eq(spikes & (spikes - 1)[: config.pipelines]),
            fifo.r_en.eq(go & (rest == 0)),
        ]
        m.d.sync += spikes.eq(rest)
        with m.If(fifo.r_rdy & (rest == 0)):
            m.d.sync += [
                group.eq(fifo.r_data[: config.group_bits]),
                spikes.eq(fifo.r_data[config.group_bits :]),
            ]
        lane = Signal(max(1, config.lane_bits))
        for position in reversed(range(config.pipelines)):
            with m.If(spikes[position]):
                m.d.comb += lane.eq(position)
        m.submodules.source_ids = memory = TableMemory(depth=1 << NEURON_BITS, width=32)
        wiring.connect(m, wiring.flipped(self.source_ids), memory.access)
        valids = Signal(2)
        m.d.sync += valids.eq(Cat(spikes.any(), valids[0]))
        m.d.comb += [
            memory.enable.eq(1),
            memory.address.eq(Cat(lane[: config.lane_bits], group)),
            self.source.valid.eq(valids[1]),
            self.source.payload.eq(memory.data),
            self.busy.eq((fifo.level != 0) | spikes.any() | valids.any()),
        ]
        return m
