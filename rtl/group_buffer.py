"""Buffer of one word per neuron, written and read in groups: the SS and ES buffers."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from rtl.memory_access import MemoryAccess, zero_extended


class GroupBuffer(wiring.Component):
    """Keeps the words of a step, a group of one neuron per pipeline at a time.

    Ports
    -----
    write, write_group, write_words : in
        Stores a group.
    group : in
        Group to be read.
    words : out
        Array of `pipelines` words.
    access : MemoryAccess
        Word of a neuron; read only.

    Latency
        1 cycle from `group` to `words`.
    Throughput
        One group per cycle.
    Backpressure
        None.
    Reference
        Heittmann et al. (2022), Figure 3A.
    """

    def __init__(self, config: NodeConfig, width: int) -> None:
        self.config, self.width = config, width
        words = data.ArrayLayout(width, config.pipelines)
        super().__init__(
            {
                "write": In(1),
                "write_group": In(config.group_bits),
                "write_words": In(words),
                "group": In(config.group_bits),
                "words": Out(words),
                "access": In(MemoryAccess(NEURON_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One memory per pipeline."""
        m = Module()
        low, access = self.config.lane_bits, self.access
        accessed = access.address[low : low + self.config.group_bits]
        group = Mux(access.select, accessed, self.group)
        words = []
        for lane in range(self.config.pipelines):
            depth = 1 << self.config.group_bits
            m.submodules[f"lane_{lane}"] = memory = Memory(shape=self.width, depth=depth, init=[])
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(group),
                self.words[lane].eq(read.data),
                write.addr.eq(self.write_group),
                write.data.eq(self.write_words[lane]),
                write.en.eq(self.write),
            ]
            words.append(read.data)
        m.d.comb += access.read_data.eq(zero_extended(Array(words)[access.address[:low]]))
        return m
