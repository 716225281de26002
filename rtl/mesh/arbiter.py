"""Arbiter: several streams into one."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.packets import PACKET_BITS

MAX_INPUTS = 16


@dataclass(frozen=True, kw_only=True)
class StreamArbiterConfig:
    """Parameters.

    Attributes
    ----------
    inputs : int
        Streams that are merged.
    width : int
        Bits of a payload.
    """

    inputs: int = 2
    width: int = PACKET_BITS

    def __post_init__(self) -> None:
        if not 2 <= self.inputs <= MAX_INPUTS:
            raise ValueError(f"inputs = {self.inputs}: must be from 2 to {MAX_INPUTS}")
        if not 1 <= self.width <= 1024:
            raise ValueError(f"width = {self.width}: must be from 1 to 1024")


class StreamArbiter(wiring.Component):
    """Lets the streams that wait send in turn, one payload each.

    Ports
    -----
    inputs : array of streams of `width`, in
    output : stream of `width`, out

    Latency
        1 cycle: the register of the output.
    Throughput
        One payload per cycle. A stream waits for at most one payload of each other stream.
    Backpressure
        Nothing is accepted while the register holds a payload that does not leave. `ready` of an
        input depends on `valid` of all.
    Reference
        Round robin: Dally & Towles, "Principles and Practices of Interconnection Networks" (2004),
        chapter 18.
    """

    LATENCY = mesh_latency.STREAM_ARBITER

    def __init__(self, config: StreamArbiterConfig) -> None:
        self.config = config
        payloads = stream.Signature(config.width)
        super().__init__({"inputs": In(payloads).array(config.inputs), "output": Out(payloads)})

    def elaborate(self, platform: object) -> Module:
        """Choose the first that waits of those after the last choice; else the first of all."""
        m = Module()
        count = self.config.inputs
        # Those up to the last choice: they have had their turn in this round.
        passed = Signal(count)
        waiting, fresh, grant = Signal(count), Signal(count), Signal(count)
        index = Signal(range(count))
        payload = Signal(self.config.width, reset_less=True)
        free = Signal()
        m.d.comb += [
            waiting.eq(Cat(source.valid for source in self.inputs)),
            fresh.eq(waiting & ~passed),
            grant.eq(Mux(fresh.any(), _lowest(fresh), _lowest(waiting))),
            index.eq(_place(grant)),
            free.eq(~self.output.valid | self.output.ready),
            self.output.payload.eq(payload),
        ]
        for source, granted in zip(self.inputs, grant, strict=True):
            m.d.comb += source.ready.eq(granted & free)
        with m.If(free):
            m.d.sync += [
                self.output.valid.eq(waiting.any()),
                payload.eq(Array(source.payload for source in self.inputs)[index]),
            ]
            with m.If(waiting.any()):
                m.d.sync += passed.eq((grant << 1) - 1)
        return m


def _lowest(bits: Value) -> Value:
    """Return the lowest bit that is set, alone; no carry, which would be slower."""
    first, *others = (bits[place] for place in range(len(bits)))
    return Cat(first, *(bit & ~bits[:place].any() for place, bit in enumerate(others, 1)))


def _place(one_hot: Value) -> Value:
    """Return the number of the only bit that is set."""
    places = range(len(one_hot))
    width = (len(one_hot) - 1).bit_length()
    return Cat(
        Cat(one_hot[place] for place in places if place >> bit & 1).any() for bit in range(width)
    )
