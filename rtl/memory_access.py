"""Memories that the configuration space can write and read back."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

# Cycles from a stable address to valid `read_data`, at most.
READ_LATENCY = 4


class MemoryAccess(wiring.Signature):
    """Access of the configuration space to one memory; the node is halted meanwhile.

    Members
    -------
    select : 1 bit
        The memory's read port belongs to the configuration space.
    address : `address_bits`
    write, write_data : 1 and 32 bits
        Stores a word.
    read_data : 32 bits, to the configuration space
        The word at `address`, READ_LATENCY cycles after it came; zeros above the memory's width.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "select": Out(1),
                "address": Out(address_bits),
                "write": Out(1),
                "write_data": Out(32),
                "read_data": In(32),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryAccess) and self.address_bits == other.address_bits


def address_bits(depth: int) -> int:
    """Return the width of an address of a memory of `depth` words; at least one."""
    return max(1, (depth - 1).bit_length())


class TableMemory(wiring.Component):
    """Memory that a unit reads and the configuration space writes.

    Ports
    -----
    enable : 1 bit, in
        Both registers of the read path go on.
    address : in
    data : `width`, out
    access : MemoryAccess

    Latency
        2 enabled cycles: memory and output register.
    Throughput
        One word per cycle.
    Backpressure
        Without `enable` nothing changes.
    Reference
        Heittmann et al. (2022), Figure 3B.
    """

    LATENCY = 2

    def __init__(self, *, depth: int, width: int) -> None:
        self.depth, self.width = depth, width
        bits = address_bits(depth)
        super().__init__(
            {
                "enable": In(1),
                "address": In(bits),
                "data": Out(width),
                "access": In(MemoryAccess(bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory, address multiplexer, output register."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        access = self.access
        go = Signal()
        m.d.comb += [
            go.eq(self.enable | access.select),
            read.en.eq(go),
            read.addr.eq(Mux(access.select, access.address, self.address)),
            write.en.eq(access.write),
            write.addr.eq(access.address),
            write.data.eq(access.write_data[: self.width]),
            access.read_data.eq(self.data),
        ]
        with m.If(go):
            m.d.sync += self.data.eq(read.data)
        return m


class StateMemory(wiring.Component):
    """Memory that a unit reads and writes, and the configuration space as well.

    Ports
    -----
    address : in
    data : `width`, out
    write, write_address, write_data : in
    access : MemoryAccess

    Latency
        2 cycles: memory and output register.
    Throughput
        One read and one write per cycle; a word is not read in the cycle in which it is written.
    Backpressure
        None.
    Reference
        Heittmann et al. (2022), Figure 3C.
    """

    LATENCY = 2

    def __init__(self, *, depth: int, width: int) -> None:
        self.depth, self.width = depth, width
        bits = address_bits(depth)
        super().__init__(
            {
                "address": In(bits),
                "data": Out(width),
                "write": In(1),
                "write_address": In(bits),
                "write_data": In(width),
                "access": In(MemoryAccess(bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory, address multiplexers, output register."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        access = self.access
        m.d.comb += [
            read.addr.eq(Mux(access.select, access.address, self.address)),
            write.en.eq(Mux(access.select, access.write, self.write)),
            write.addr.eq(Mux(access.select, access.address, self.write_address)),
            write.data.eq(Mux(access.select, access.write_data[: self.width], self.write_data)),
            access.read_data.eq(self.data),
        ]
        m.d.sync += self.data.eq(read.data)
        return m


def connect_parts(
    m: Module, access: wiring.PureInterface, parts: list[wiring.PureInterface], low: int
) -> None:
    """Divide one access among memories by `address[low:]`, the bits below going to each.

    Parameters
    ----------
    m : Module
    access : MemoryAccess interface
    parts : list of MemoryAccess interfaces
        Part k answers where address[low:] is k.
    low : int
        Bits of a part's own address.
    """
    which: Value = access.address[low:] if len(access.address) > low else Const(0, 1)
    with m.Switch(which):
        for k, part in enumerate(parts):
            m.d.comb += [
                part.select.eq(access.select),
                part.address.eq(access.address[:low]),
                part.write_data.eq(access.write_data),
            ]
            with m.Case(k):
                m.d.comb += [part.write.eq(access.write), access.read_data.eq(part.read_data)]


def readdressed(m: Module, access: wiring.PureInterface, *fields: Value) -> wiring.PureInterface:
    """Return the same access with its address put together anew, lowest field first."""
    address = Cat(*fields)
    other = MemoryAccess(len(address)).create()
    m.d.comb += [
        other.select.eq(access.select),
        other.address.eq(address),
        other.write.eq(access.write),
        other.write_data.eq(access.write_data),
        access.read_data.eq(other.read_data),
    ]
    return other


def zero_extended(value: Value) -> Value:
    """Return a value of at most 32 bits as 32 bits."""
    return Cat(value, Const(0, 32 - len(value))) if len(value) < 32 else value
