"""Registers of a router, read by packets."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.memory_map import OFFSET_BITS
from csnn.hardware.mesh import AXES, COORDINATE_BITS, RouterConfig
from csnn.hardware.router_registers import (
    COUNTERS,
    ERRORS,
    INTERFACE_VERSION,
    OFFSETS,
    ROUTER_ID,
    ROUTER_REGION,
    counter_offset,
)
from csnn.packets import ANSWERS, PACKET_BITS, PAYLOAD_BITS, TARGET_BITS, Kind
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.packet_layout import TARGET, payload_layout


class RouterRegisters(wiring.Component):
    """Takes the requests for a router's registers out of the packets for its place.

    Ports
    -----
    input : stream of packets, in
        Unicast packets that have arrived here.
    output : stream of packets, out
        Those for the node, the master node, if there is one.
    answer : stream of packets, out
        MONITOR packets for the host, at (0, 0, 0).
    has_unit : 1 bit, in
        Strap: something stands behind `output`. Else what is not for the router is dropped.
    here_x, here_y, here_z : in
        Straps: coordinates.
    exists, failed, silent, overflow : one bit per direction, in
    error_unicast, error_broadcast : 1 bit, in
    count_sent, count_resent, count_bad : one bit per direction, in
        Events that are counted.

    Latency
        None on the way through; 4 cycles from a request to its answer.
    Throughput
        One packet per cycle; a request every other cycle.
    Backpressure
        A request waits while `ANSWERS` answers do.
    Reference
        `csnn.hardware.router_registers`.
    """

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        links = len(config.directions)
        packets = stream.Signature(PACKET_BITS)
        super().__init__(
            {
                "input": In(packets),
                "output": Out(packets),
                "answer": Out(packets),
                "has_unit": In(1),
                **{f"here_{axis}": In(COORDINATE_BITS) for axis in AXES},
                **{name: In(links) for name in ("exists", "failed", "silent", "overflow")},
                "error_unicast": In(1),
                "error_broadcast": In(1),
                **{f"count_{name}": In(links) for name in COUNTERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Tell requests apart; look the word up a cycle later; queue the answer."""
        m = Module()
        target = data.View(TARGET, self.input.payload[:TARGET_BITS])
        request = data.View(payload_layout(Kind.MONITOR), self.input.payload[TARGET_BITS:])
        queue_config = PacketFifoConfig(width=PAYLOAD_BITS, depth=ANSWERS)
        m.submodules.queue = queue = PacketFifo(queue_config)
        is_request, is_mine, for_unit, taken = Signal(), Signal(), Signal(), Signal()
        pending, address = Signal(), Signal(32, reset_less=True)
        m.d.comb += [
            is_request.eq((target.kind == Kind.CONFIG) | (target.kind == Kind.MONITOR)),
            is_mine.eq(is_request & (request.address[OFFSET_BITS:] == ROUTER_REGION)),
            for_unit.eq(self.has_unit & ~is_mine),
            self.output.payload.eq(self.input.payload),
            self.output.valid.eq(self.input.valid & for_unit),
            self.input.ready.eq(Mux(for_unit, self.output.ready, ~pending & queue.input.ready)),
            taken.eq(self.input.valid & self.input.ready & ~for_unit),
        ]
        m.d.sync += pending.eq(taken & is_mine & (target.kind == Kind.MONITOR))
        m.d.sync += address.eq(request.address)
        answer = data.View(payload_layout(Kind.MONITOR), queue.input.payload)
        to_host = Signal(TARGET)
        m.d.comb += [
            queue.input.valid.eq(pending),
            answer.address.eq(address),
            to_host.kind.eq(Kind.MONITOR),
            self.answer.valid.eq(queue.output.valid),
            self.answer.payload.eq(Cat(to_host, queue.output.payload)),
            queue.output.ready.eq(self.answer.ready),
        ]
        words = self._words(m, taken & ~is_mine)
        with m.Switch(address[:OFFSET_BITS]):
            for offset, word in words.items():
                with m.Case(offset):
                    m.d.comb += answer.data.eq(word)
        return m

    def _words(self, m: Module, no_unit: Signal) -> dict[int, Signal | int | Cat]:
        """Return the words by offset."""
        error_no_unit = Signal()
        with m.If(no_unit):
            m.d.sync += error_no_unit.eq(1)
        errors = {
            "unicast": self.error_unicast,
            "broadcast": self.error_broadcast,
            "no_unit": error_no_unit,
        }
        words = {
            "id": ROUTER_ID,
            "version": INTERFACE_VERSION,
            "place": Cat(*(getattr(self, f"here_{axis}") for axis in AXES)),
            "links": self.exists,
            "failed": self.failed,
            "silent": self.silent,
            "overflow": self.overflow,
            "errors": Cat(*(errors[name] for name in ERRORS)),
        }
        found: dict[int, Signal | int | Cat] = {OFFSETS[name]: word for name, word in words.items()}
        for link, direction in enumerate(self.config.directions):
            for name in COUNTERS:
                counter = Signal(32, name=f"{direction.name}_{name}")
                m.d.sync += counter.eq(counter + getattr(self, f"count_{name}")[link])
                found[counter_offset(self.config, direction, name)] = counter
        return found
