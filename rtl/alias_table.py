"""Table-based random numbers: Walker's alias method, for one table or several."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


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
    selectors : int
        Number of tables; with 1 this is a TBRNG, with more an MTBRNG.
    """

    index_bits: int
    fraction_bits: int
    value_bits: int
    selectors: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("index_bits", 1, 16),
            ("fraction_bits", 1, 32),
            ("value_bits", 1, 32),
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
    def word_bits(self) -> int:
        """Width of an entry: H, own outcome, alias."""
        return self.fraction_bits + 2 * self.value_bits


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
    write, write_address, write_data : in
        Stores an entry: address S * 2^index_bits + index; H in the lowest bits, then the own
        outcome, then the alias.

    Latency
        3 cycles: memory, its output register, selection.
    Throughput
        One draw per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `netgen.alias`, `csnn.rows`; Heittmann et al. (2022), Figures 4B and 4C.
    """

    LATENCY = 3

    def __init__(self, config: AliasTableConfig) -> None:
        self.config = config
        address_bits = config.selector_bits + config.index_bits
        super().__init__(
            {
                "selector": In(config.selector_bits),
                "index": In(config.index_bits),
                "fraction": In(config.fraction_bits),
                "value": Out(config.value_bits),
                "write": In(1),
                "write_address": In(address_bits),
                "write_data": In(config.word_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory with an output register, comparison and selection."""
        m = Module()
        config = self.config
        depth = config.selectors << config.index_bits
        m.submodules.memory = memory = Memory(shape=config.word_bits, depth=depth, init=[])
        port, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            port.addr.eq(Cat(self.index, self.selector)),
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        word = Signal(config.word_bits, reset_less=True)
        early, late = (Signal(config.fraction_bits, reset_less=True, name=f"f{i}") for i in (1, 2))
        m.d.sync += [word.eq(port.data), early.eq(self.fraction), late.eq(early)]
        first, second = config.fraction_bits, config.fraction_bits + config.value_bits
        m.d.sync += self.value.eq(Mux(late < word[:first], word[first:second], word[second:]))
        return m
