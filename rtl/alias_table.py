"""Table-based random numbers: Walker's alias method, for one table or several."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from rtl.memory_access import MemoryAccess, TableMemory, address_bits


@dataclass(frozen=True, kw_only=True)
class AliasTableConfig:
    """Parameters.

    Attributes
    ----------
    index_bits : int
        A table has 2^index_bits entries.
    fraction_bits : int
        Width of the fraction that is compared, and of H in the memory.
    value_bits : int
        Width of an outcome.
    field_bits : int
        Width that the image gives an outcome; the bits above `value_bits` are zero there.
    selectors : int
        Number of tables; with 1 this is a TBRNG, with more an MTBRNG.
    """

    index_bits: int
    fraction_bits: int
    value_bits: int
    field_bits: int = 16
    selectors: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("index_bits", 1, 16),
            ("fraction_bits", 1, 32),
            ("field_bits", 1, 16),
            ("value_bits", 1, self.field_bits),
            ("selectors", 1, 1024),
        ):
            if not low <= getattr(self, name) <= high:
                rule = f"must be from {low} to {high}"
                raise ValueError(f"{name} = {getattr(self, name)}: {rule}")

    @property
    def selector_bits(self) -> int:
        """Width of the selector S; 1 if there is only one table."""
        return max(1, (self.selectors - 1).bit_length())

    @property
    def address_bits(self) -> int:
        """Width of the address of a word: S, index, and which of the entry's two words."""
        return address_bits(self.selectors << self.index_bits) + 1


class AliasTable(wiring.Component):
    """Draws an outcome of the distribution that table S holds.

    Ports
    -----
    selector : in
        S.
    index : `index_bits`, in
        Which entry.
    fraction : `fraction_bits`, in
        The entry's own outcome is taken where this is less than H, else its alias.
    value : `value_bits`, out
    access : MemoryAccess
        Word 2 (S 2^index_bits + index) is the fraction H, aligned to bit 31; the word after it
        holds the entry's own outcome, and its alias from bit `field_bits` on.

    Latency
        3 cycles: memory, its output register, selection.
    Throughput
        One draw per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `netgen.alias`, `csnn.rows`; Heittmann et al. (2022), Figures 4B and 4C.
    """

    LATENCY = latency.ALIAS_TABLE

    def __init__(self, config: AliasTableConfig) -> None:
        self.config = config
        super().__init__(
            {
                "selector": In(config.selector_bits),
                "index": In(config.index_bits),
                "fraction": In(config.fraction_bits),
                "value": Out(config.value_bits),
                "access": In(MemoryAccess(config.address_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memories of H and of the outcomes, comparison and selection."""
        m = Module()
        config, access = self.config, self.access
        depth = config.selectors << config.index_bits
        m.submodules.H = H = TableMemory(depth=depth, width=config.fraction_bits)
        m.submodules.outcomes = outcomes = TableMemory(depth=depth, width=2 * config.value_bits)
        unused = Const(0, 32 - config.fraction_bits)
        gap = Const(0, config.field_bits - config.value_bits)
        word, width = access.write_data, config.value_bits
        for part, memory in enumerate((H, outcomes)):
            m.d.comb += [
                memory.enable.eq(1),
                memory.address.eq(Cat(self.index, self.selector)),
                memory.access.select.eq(access.select),
                memory.access.address.eq(access.address[1:]),
                memory.access.write.eq(access.write & (access.address[0] == part)),
            ]
        own, alias = outcomes.data[:width], outcomes.data[width:]
        m.d.comb += [
            H.access.write_data.eq(word[len(unused) :]),
            outcomes.access.write_data.eq(
                Cat(word[:width], word[config.field_bits : config.field_bits + width])
            ),
            access.read_data.eq(Mux(access.address[0], Cat(own, gap, alias), Cat(unused, H.data))),
        ]
        early, late = (Signal(config.fraction_bits, reset_less=True, name=f"f{i}") for i in (1, 2))
        m.d.sync += [early.eq(self.fraction), late.eq(early)]
        m.d.sync += self.value.eq(Mux(late < H.data, own, alias))
        return m
