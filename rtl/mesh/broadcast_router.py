"""Broadcast router of a tile."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.hardware.mesh import COORDINATE_BITS, MAX_EXTENT, Direction, RouterConfig
from csnn.packets import PACKET_BITS, TARGET_BITS
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.mesh.arbiter import StreamArbiter, StreamArbiterConfig
from rtl.packet_layout import AXES, TARGET

LOCAL = "local"


class BroadcastRouter(wiring.Component):
    """Copies every packet to the branches of its sender's tree, and to the node of the tile.

    One sender in the mesh: all packets of a router come from one input then, and a packet that
    waits for room holds up no other branch of the mesh for good.

    Ports
    -----
    <direction>_in, <direction>_out : streams of 96 bits, in and out
        For each of `RouterConfig.directions`: from and to the router where the link leads.
    local_in, local_out : streams of 96 bits, in and out
        From and to the node of the tile.
    here_x, here_y, here_z : 8 bits, in
        Coordinates of the tile. These and the next two stay what they are.
    exists : 1 bit per direction, in
        There is such a link; others get no copy.
    deliver : 1 bit, in
        The node gets what comes from links.
    misrouted : 1 bit, out
        Since the last `clear` a packet came where none of its sender comes. It was dropped.
    clear : 1 bit, in
        Lowers `misrouted`, unless such a packet is found in the same cycle.

    Latency
        4 cycles: the arbiter of the inputs, the register of the packet and its branches, the queue
        of the output.
    Throughput
        One packet per cycle, to any number of outputs.
    Backpressure
        Each output has a queue of `branch_buffer` packets. A packet waits, and those behind it,
        until all queues that it goes to have room.
    Reference
        `csnn.hardware.mesh.RouterConfig.arrival` and `branches`; Heittmann et al. (2022), Figure 5.
    """

    LATENCY = mesh_latency.BROADCAST_ROUTER

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self.names = (*(direction.name for direction in config.directions), LOCAL)
        packets = stream.Signature(PACKET_BITS)
        super().__init__(
            {
                **{f"{name}_in": In(packets) for name in self.names},
                **{f"{name}_out": Out(packets) for name in self.names},
                **{f"here_{axis}": In(COORDINATE_BITS) for axis in AXES},
                "exists": In(len(config.directions)),
                "deliver": In(1),
                "misrouted": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Merge the inputs; hold the packet and where it goes; copy it to all queues at once."""
        m = Module()
        count = len(self.names)
        # A packet and the input that it came from, one bit per input.
        width = PACKET_BITS + count
        m.submodules.arbiter = arbiter = StreamArbiter(
            StreamArbiterConfig(inputs=count, width=width)
        )
        for place, (name, merged) in enumerate(zip(self.names, arbiter.inputs, strict=True)):
            source = getattr(self, f"{name}_in")
            m.d.comb += [
                merged.valid.eq(source.valid),
                merged.payload.eq(Cat(source.payload, Const(1 << place, count))),
                source.ready.eq(merged.ready),
            ]
        came, expected, branches = Signal(count), Signal(count), Signal(count)
        packet = Signal(PACKET_BITS, reset_less=True)
        held, leaves, wrong = Signal(), Signal(), Signal()
        # Outputs that the packet goes to, and those whose queues have room.
        copies, room = Signal(count, reset_less=True), Signal(count)
        merged = arbiter.output
        arrivals, onward = self._tree(m, data.View(TARGET, merged.payload[:TARGET_BITS]))
        m.d.comb += [
            came.eq(merged.payload[PACKET_BITS:]),
            expected.eq(Cat(arrivals)),
            branches.eq(Cat(Cat(onward) & self.exists, self.deliver & ~arrivals[-1])),
            wrong.eq(~(came & expected).any()),
            leaves.eq(~(copies & ~room).any()),
            merged.ready.eq(~held | leaves),
        ]
        with m.If(merged.ready):
            m.d.sync += [
                packet.eq(merged.payload[:PACKET_BITS]),
                copies.eq(branches),
                held.eq(merged.valid & ~wrong),
            ]
        lost = merged.valid & merged.ready & wrong
        m.d.sync += self.misrouted.eq((self.misrouted & ~self.clear) | lost)
        for place, name in enumerate(self.names):
            queue = PacketFifo(PacketFifoConfig(depth=self.config.branch_buffer))
            m.submodules[f"{name}_queue"] = queue
            m.d.comb += [
                queue.input.payload.eq(packet),
                queue.input.valid.eq(held & leaves & copies[place]),
                room[place].eq(queue.input.ready),
            ]
            wiring.connect(m, queue.output, wiring.flipped(getattr(self, f"{name}_out")))
        return m

    def _tree(self, m: Module, sender: data.View) -> tuple[list[Value], list[Value]]:
        """Return for each input whether packets of the sender come there, for each link if they go.

        A packet comes along the last axis in which it was sent at all, and goes on along it or a
        later one. Express links come first on an axis: what was passed on it after a link is a
        multiple of their span if and only if it is one of them.
        """
        directions = self.config.directions
        came: dict[Direction, Value] = {}
        goes: dict[Direction, Value] = {}
        unchanged: Value = Const(1)  # whether the later coordinates are the sender's
        for axis, letter in reversed([*enumerate(AXES)]):
            origin, here = sender[letter], getattr(self, f"here_{letter}")
            span = self.config.express[axis]
            if span:
                residue = _residue(m, origin, span)
                whole = {by: residue == _residue(m, here, span, by) for by in (0, 1, -1)}
            went = {sign: Signal(name=f"went_{letter}_{sign > 0:d}") for sign in (1, -1)}
            m.d.comb += [went[1].eq(origin < here), went[-1].eq(origin > here)]
            for direction in directions:
                if direction.axis != axis:
                    continue
                sign = 1 if direction.stride > 0 else -1
                arrived, onward = went[sign], ~went[-sign]
                if direction.span > 1:
                    arrived, onward = arrived & whole[0], onward & whole[0]
                elif span:
                    arrived, onward = arrived & ~whole[0], onward & ~whole[sign]
                came[direction.opposite] = unchanged & arrived
                goes[direction] = unchanged & onward
            same = Signal(name=f"same_from_{letter}")
            m.d.comb += same.eq(unchanged & (origin == here))
            unchanged = same
        return [*(came[link] for link in directions), unchanged], [goes[d] for d in directions]


def _residue(m: Module, place: Value, span: int, shift: int = 0) -> Value:
    """Return (place + shift) modulo the span of the express links: a table, not a division."""
    residue = Signal(range(span))
    table = Array(Const((value + shift) % span, len(residue)) for value in range(MAX_EXTENT))
    m.d.comb += residue.eq(table[place])
    return residue
