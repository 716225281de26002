"""First-in first-out buffer of packets."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from csnn.packets import PACKET_BITS


@dataclass(frozen=True, kw_only=True)
class PacketFifoConfig:
    """Parameters.

    Attributes
    ----------
    width : int
        Bits of a packet.
    depth : int
        Packets that the buffer holds, a power of two.
    """

    width: int = PACKET_BITS
    depth: int = 512

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 1024:
            raise ValueError(f"width = {self.width}: must be from 1 to 1024")
        if not 2 <= self.depth <= 1 << 16 or self.depth & self.depth - 1:
            raise ValueError(f"depth = {self.depth}: must be a power of two from 2 to 65536")


class PacketFifo(wiring.Component):
    """Hands on packets in the order in which they came, and holds them meanwhile.

    Ports
    -----
    input : stream of `width`, in
    output : stream of `width`, out
    level : in 0 to `depth`, out
        Packets accepted and not yet handed on.

    Latency
        2 cycles from an empty buffer: memory, its output register. A packet accepted in cycle t
        is offered from cycle t + 2 on, or from the cycle after its predecessor left.
    Throughput
        One packet in and one out per cycle.
    Backpressure
        `input.ready` is a register, low while the buffer holds `depth` packets, even in a cycle
        that one of them leaves. A packet that is not accepted changes nothing.
    Reference
        Heittmann et al. (2022), Figure 5A.
    """

    LATENCY = latency.FIFO

    def __init__(self, config: PacketFifoConfig) -> None:
        self.config = config
        super().__init__(
            {
                "input": In(stream.Signature(config.width)),
                "output": Out(stream.Signature(config.width)),
                "level": Out(range(config.depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory between two pointers; its output register holds the packet that leaves next."""
        m = Module()
        config = self.config
        m.submodules.memory = memory = Memory(shape=config.width, depth=config.depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        # Equal pointers mean an empty memory: when all packets are held, the register has one.
        produce, consume = Signal(range(config.depth)), Signal(range(config.depth))
        taken, given, free = Signal(), Signal(), Signal()
        m.d.comb += [
            self.input.ready.eq(~self.level[-1]),
            taken.eq(self.input.valid & self.input.ready),
            given.eq(self.output.valid & self.output.ready),
            write.en.eq(taken),
            write.addr.eq(produce),
            write.data.eq(self.input.payload),
            free.eq(~self.output.valid | self.output.ready),
            read.en.eq(free & (produce != consume)),
            read.addr.eq(consume),
            self.output.payload.eq(read.data),
        ]
        m.d.sync += [
            produce.eq(produce + taken),
            consume.eq(consume + read.en),
            self.level.eq(self.level + taken - given),
        ]
        with m.If(free):
            m.d.sync += self.output.valid.eq(produce != consume)
        return m
