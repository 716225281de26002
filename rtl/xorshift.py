"""Xorshift generators: of the rows of synapses and of the external input."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.prng import EXT_SHIFTS, ROW_SHIFTS
from rtl.memory_access import MemoryAccess


def next_word(m: Module, first: Value, last: Value, shifts: tuple[int, int, int]) -> Value:
    """Return the word that follows in a recurrence whose state begins and ends with these.

    Each bit is the sum mod 2 of at most six bits of the state: one look-up table.
    """
    a, b, c = shifts
    t = Signal(32)
    m.d.comb += t.eq(first ^ Cat(Const(0, a), first[: 32 - a]))
    return last ^ (last >> c) ^ t ^ (t >> b)


class RowGenerator(wiring.Component):
    """Generator of one row of synapses: two words per draw.

    Ports
    -----
    load : 1 bit, in
        Takes `x` and `y`, ready for the first draw, in place of the state.
    x, y : 32 bits, in
    draw : 1 bit, in
        Draw from the state that the registers hold; it goes on.
    a, b : 32 bits, out
        The words of the draw, valid while `draw` is asserted.

    Latency
        None: the words belong to the state in the registers. `load` and `draw` may be asserted
        together: the old row draws its last words while the next one is loaded.
    Throughput
        One draw per cycle.
    Backpressure
        A cycle without `draw` and `load` changes nothing.
    Reference
        `csnn.prng.row_draw`; Heittmann et al. (2022), Figure 4A.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "load": In(1),
                "x": In(32),
                "y": In(32),
                "draw": In(1),
                "a": Out(32),
                "b": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Two steps of the recurrence and two sums."""
        m = Module()
        x, y = Signal(32), Signal(32)
        new_x, new_y = Signal(32), Signal(32)
        m.d.comb += [
            new_x.eq(next_word(m, x, y, ROW_SHIFTS)),
            new_y.eq(next_word(m, y, new_x, ROW_SHIFTS)),
            self.a.eq(new_x + y),
            self.b.eq(new_y + new_x),
        ]
        with m.If(self.load | self.draw):
            m.d.sync += [
                x.eq(Mux(self.load, self.x, new_x)),
                y.eq(Mux(self.load, self.y, new_y)),
            ]
        return m


class ExtGenerator(wiring.Component):
    """Generator of one lane of external input: one word per draw.

    Ports
    -----
    draw : 1 bit, in
        Draw and go on.
    value : 32 bits, out
        The word of the draw, valid while `draw` is asserted.
    access : MemoryAccess
        The four words of the state.

    Latency
        None.
    Throughput
        One draw per cycle.
    Backpressure
        A cycle without `draw` changes nothing.
    Reference
        `csnn.prng.ext_draw`; Heittmann et al. (2022), Figure 4A.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "draw": In(1),
                "value": Out(32),
                "access": In(MemoryAccess(2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One step of the recurrence; the words move down by one."""
        m = Module()
        words = [Signal(32, name=f"word_{i}") for i in range(4)]
        access = self.access
        m.d.comb += [
            self.value.eq(next_word(m, words[0], words[3], EXT_SHIFTS)),
            access.read_data.eq(Array(words)[access.address]),
        ]
        with m.If(self.draw):
            m.d.sync += [
                *(words[i].eq(words[i + 1]) for i in range(3)),
                words[3].eq(self.value),
            ]
        with m.Elif(access.write):
            m.d.sync += Array(words)[access.address].eq(access.write_data)
        return m
