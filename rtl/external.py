"""EXT: external input of every neuron in a step."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from csnn.hardware.config import NodeConfig
from csnn.spec.machine import EXT_FRACTION_BITS, EXT_OUTCOMES, MAX_WEIGHT_UNITS
from rtl.alias_table import AliasTable, AliasTableConfig
from rtl.memory_access import MemoryAccess, address_bits, connect_parts, readdressed
from rtl.xorshift import ExtGenerator

INDEX_BITS = (EXT_OUTCOMES - 1).bit_length()
WEIGHT_BITS = MAX_WEIGHT_UNITS.bit_length()
UNITS_BITS = INDEX_BITS + WEIGHT_BITS


def ext_table(config: NodeConfig) -> AliasTableConfig:
    """Return the shape of the tables of one lane."""
    return AliasTableConfig(
        index_bits=INDEX_BITS,
        fraction_bits=EXT_FRACTION_BITS,
        value_bits=INDEX_BITS,
        field_bits=8,
        selectors=config.ext_tables,
    )


class External(wiring.Component):
    """Draws the external spikes of all neurons, a group of one neuron per lane each cycle.

    Ports
    -----
    start : 1 bit, in
        Begins a step.
    enabled, table : in
        Whether there is external input, and by which table; stable during the step.
    last_group : in
        Number of the last group of neurons.
    weight : in
        Of one external spike, grid units.
    drawing : 1 bit, out
        A group is under way.
    valid, group, units : out
        A group: array of `pipelines` inputs in grid units.
    tables : MemoryAccess
        Word 2 ((table lanes + lane) 32 + index), laid out as in `AliasTable`.
    states : MemoryAccess
        Word 4 lane + word.

    Latency
        5 cycles from `start` to the first group.
    Throughput
        One group per cycle.
    Backpressure
        None.
    Reference
        `csnn.simulator.blocks.External`; Heittmann et al. (2022), Figures 3A and 4B.
    """

    LATENCY = latency.EXTERNAL

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.table_bits = address_bits(config.ext_tables)
        super().__init__(
            {
                "start": In(1),
                "enabled": In(1),
                "table": In(self.table_bits),
                "last_group": In(config.group_bits),
                "weight": In(WEIGHT_BITS),
                "drawing": Out(1),
                "valid": Out(1),
                "group": Out(config.group_bits),
                "units": Out(data.ArrayLayout(UNITS_BITS, config.pipelines)),
                "tables": In(MemoryAccess(self.table_bits + config.lane_bits + INDEX_BITS + 1)),
                "states": In(MemoryAccess(config.lane_bits + 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One generator, table and product per lane."""
        m = Module()
        config = self.config
        active, group = Signal(), Signal(config.group_bits, reset_less=True)
        with m.If(self.start):
            m.d.sync += [active.eq(1), group.eq(0)]
        with m.Elif(active):
            m.d.sync += [active.eq(group != self.last_group), group.eq(group + 1)]
        valids = [active]
        groups = [group]
        for i in range(1, self.LATENCY):
            valid = Signal(name=f"valid_{i}")
            number = Signal(config.group_bits, name=f"group_{i}", reset_less=True)
            m.d.sync += [valid.eq(valids[-1]), number.eq(groups[-1])]
            valids.append(valid)
            groups.append(number)
        m.d.comb += [
            self.drawing.eq(Cat(*valids).any()),
            self.valid.eq(valids[-1]),
            self.group.eq(groups[-1]),
        ]
        table_parts, state_parts = [], []
        for lane in range(config.pipelines):
            m.submodules[f"generator_{lane}"] = generator = ExtGenerator()
            m.submodules[f"table_{lane}"] = table = AliasTable(ext_table(config))
            m.d.comb += [
                generator.draw.eq(active & self.enabled),
                table.selector.eq(self.table),
                table.index.eq(generator.value[:INDEX_BITS]),
                table.fraction.eq(generator.value[INDEX_BITS:]),
            ]
            count = Mux(self.enabled, table.value, 0)
            m.d.sync += self.units[lane].eq(count * self.weight)
            table_parts.append(table.access)
            state_parts.append(generator.access)
        low, lane_bits = INDEX_BITS + 1, config.lane_bits
        address = self.tables.address
        # The lane stands between the entry and the table.
        entry, lane, table = address[:low], address[low:][:lane_bits], address[low + lane_bits :]
        tables = readdressed(m, self.tables, entry, table, lane)
        connect_parts(m, tables, table_parts, low + self.table_bits)
        connect_parts(m, self.states, state_parts, 2)
        return m
