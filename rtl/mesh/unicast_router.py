"""Unicast router of a tile."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware import mesh_latency
from csnn.hardware.mesh import COORDINATE_BITS, Direction, RouterConfig
from csnn.packets import PACKET_BITS, TARGET_BITS, Kind
from rtl.mesh.arbiter import StreamArbiter, StreamArbiterConfig
from rtl.packet_layout import AXES, TARGET

LOCAL, HOST = "local", "host"


def may_leave(entry: Direction | str, leaving: Direction | str) -> bool:
    """Return whether an output follows an input in the order that all routes keep.

    X before Y before Z; along one of them in one direction, express links before the nearest.

    Parameters
    ----------
    entry, leaving : Direction, `LOCAL` or `HOST`
        Both are named for where the link leads.
    """
    if not isinstance(leaving, Direction):
        return (entry, leaving) != (HOST, HOST)
    if not isinstance(entry, Direction):
        return True
    travelled = entry.opposite
    goes_on = travelled.stride * leaving.stride > 0 and leaving.span <= travelled.span
    return leaving.axis > travelled.axis or (leaving.axis == travelled.axis and goes_on)


class UnicastRouter(wiring.Component):
    """Sends every packet on towards its target, in the order of the dimensions.

    Inputs are connected only to the outputs that follow them in the order of all routes: a packet
    that would have to turn otherwise is dropped. So no packets, whatever is in them, can wait for
    each other in a circle.

    Ports
    -----
    <direction>_in, <direction>_out : streams of 96 bits, in and out
        For each of `RouterConfig.directions`: from and to the router where the link leads.
    local_in, local_out : streams of 96 bits, in and out
        From and to the node of the tile.
    host_in, host_out : streams of 96 bits, in and out
        From and to the host, at its tile.
    here_x, here_y, here_z : 8 bits, in
        Coordinates of the tile. These and the next two stay what they are.
    exists : 1 bit per direction, in
        There is such a link.
    has_host : 1 bit, in
        MONITOR packets for this place leave through `host_out`, unless they came from `host_in`:
        they are answers. Otherwise nothing leaves there.
    misrouted : 1 bit, out
        Since the last `clear` a packet came that no output is for: its link does not exist, or no
        route turns so, back for instance. It was dropped.
    clear : 1 bit, in
        Lowers `misrouted`, unless such a packet was accepted in the cycle before.

    Latency
        2 cycles: the register of the input, that of the output.
    Throughput
        One packet per cycle and output. Inputs with packets for the same output take turns.
    Backpressure
        A packet that waits for its output holds up those behind it at its input, and no others.
    Reference
        `csnn.hardware.mesh.RouterConfig.unicast`; Heittmann et al. (2022), Figure 5.
    """

    LATENCY = mesh_latency.UNICAST_ROUTER

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self.ends = (*config.directions, LOCAL, HOST)
        packets = stream.Signature(PACKET_BITS)
        super().__init__(
            {
                **{f"{end_name(end)}_in": In(packets) for end in self.ends},
                **{f"{end_name(end)}_out": Out(packets) for end in self.ends},
                **{f"here_{axis}": In(COORDINATE_BITS) for axis in AXES},
                "exists": In(len(config.directions)),
                "has_host": In(1),
                "misrouted": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect a register with a route per input and an arbiter per output."""
        m = Module()
        sources: dict[Direction | str, list[tuple[Value, Value, Signal]]] = {
            end: [] for end in self.ends
        }
        drops = []
        for entry in self.ends:
            name = end_name(entry)
            source = getattr(self, f"{name}_in")
            exits = [end for end in self.ends if may_leave(entry, end)]
            packet = Signal(PACKET_BITS, name=f"{name}_packet", reset_less=True)
            route = Signal(len(exits), name=f"{name}_route")
            wanted = Signal(len(exits), name=f"{name}_wanted")
            leaves = Signal(len(exits), name=f"{name}_leaves")
            dropped = Signal(name=f"{name}_dropped")
            wishes = self._wishes(m, entry, exits, data.View(TARGET, source.payload[:TARGET_BITS]))
            m.d.comb += [
                wanted.eq(Cat(wishes[end] for end in exits)),
                source.ready.eq(~(route & ~leaves).any()),
            ]
            # No bit of the route: no packet is there.
            with m.If(source.ready):
                m.d.sync += [packet.eq(source.payload), route.eq(Mux(source.valid, wanted, 0))]
            # A register of its own: the way from the turns to here is long.
            m.d.sync += dropped.eq(source.valid & source.ready & ~wanted.any())
            drops.append(dropped)
            for place, end in enumerate(exits):
                sources[end].append((route[place], packet, leaves[place]))
        for end, requests in sources.items():
            name = end_name(end)
            arbiter = StreamArbiter(StreamArbiterConfig(inputs=len(requests)))
            m.submodules[f"{name}_arbiter"] = arbiter
            for merged, (is_for, packet, leaves) in zip(arbiter.inputs, requests, strict=True):
                m.d.comb += [
                    merged.valid.eq(is_for),
                    merged.payload.eq(packet),
                    leaves.eq(merged.ready),
                ]
            wiring.connect(m, arbiter.output, wiring.flipped(getattr(self, f"{name}_out")))
        m.d.sync += self.misrouted.eq((self.misrouted & ~self.clear) | Cat(drops).any())
        return m

    def _wishes(
        self, m: Module, entry: Direction | str, exits: list[Direction | str], target: data.View
    ) -> dict[Direction | str, Value]:
        """Return for each output that an input leads to whether a packet is for it."""
        name = end_name(entry)
        # Whether the coordinates before an axis are those of the target.
        arrived: list[Value] = [Const(1)]
        for axis, letter in enumerate(AXES):
            same = Signal(name=f"{name}_arrived_{letter}")
            m.d.comb += same.eq(arrived[axis] & (target[letter] == self._here(axis)))
            arrived.append(same)
        answer: Value = Const(0)
        if HOST in exits:
            answer = self.has_host & (target.kind == Kind.MONITOR)
        wishes = {LOCAL: arrived[-1] & ~answer, HOST: arrived[-1] & answer}
        for place, direction in enumerate(self.config.directions):
            if direction not in exits:
                continue
            goal, axis = target[AXES[direction.axis]], direction.axis
            wish = arrived[axis] & self._reaches(direction, goal) & self.exists[place]
            longest = self.config.spans(axis)[0]
            if direction.span < longest:
                express = Direction(axis, longest if direction.stride > 0 else -longest)
                wish &= ~self._reaches(express, goal)
            wishes[direction] = wish
        return wishes

    def _here(self, axis: int) -> Value:
        return getattr(self, f"here_{AXES[axis]}")

    def _reaches(self, direction: Direction, goal: Value) -> Value:
        """Return whether a link does not overshoot a coordinate."""
        next_place = self._here(direction.axis) + direction.stride
        return goal >= next_place if direction.stride > 0 else goal <= next_place


def end_name(end: Direction | str) -> str:
    """Return what the ports of a link, the node or the host are named for."""
    return end if isinstance(end, str) else end.name
