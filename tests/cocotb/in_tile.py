"""cocotb tests of a tile at its pins: the host's AXI4-Stream ports, and links."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource
from link_models import CHANNELS, LinkEndModel
from router_surroundings import LINK, LINKS

from csnn.hardware.memory_map import register_address
from csnn.hardware.mesh import Site
from csnn.hardware.router_registers import OFFSETS, ROUTER_ID, ROUTER_REGION
from csnn.packets import PACKET_BITS, Kind, decode, encode

# Names the number of a planted fault, 0 none.
FAULT_VARIABLE = "CSNN_TILE_FAULT"
# Where the tile stands, and the only place around it.
HERE, THERE, LINK_THERE = (0, 0, 0), (1, 0, 0), "x_plus"
APP_PS, COMM_PS = 6_666, 10_000
NODE_ID = int.from_bytes(b"CSNN", "big")
_LIMIT_US = 20


class Pins:
    """Host and neighbour of a tile, and a look at the rules of AXI4-Stream."""

    def __init__(self, handle: Any, seed: int) -> None:
        self.handle, self.rng = handle, np.random.default_rng(seed)
        clock, reset = handle.comm_clk, handle.comm_rst
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(handle, "s_axis"), clock, reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(handle, "m_axis"), clock, reset)
        # Cycles in which somebody waited, by port.
        self.waits = {"s_axis": 0, "m_axis": 0}
        self.answers: list[dict[str, int]] = []

    async def start(self) -> None:
        """Reset everything, with clocks of any phase."""
        handle = self.handle
        handle.fault.value = int(os.environ.get(FAULT_VARIABLE, "0"))
        for axis, place in zip("xyz", HERE, strict=True):
            getattr(handle, f"here_{axis}").value = place
        handle.exists.value = 1 << LINKS.index(LINK_THERE)
        handle.has_host.value = 1
        for name in LINKS:
            getattr(handle, f"{name}_rx_valid").value = 0
        handle.rst.value = handle.comm_rst.value = 1
        Clock(handle.clk, APP_PS, unit="ps", impl="gpi").start()
        await Timer(int(self.rng.integers(1, COMM_PS)), "ps")
        Clock(handle.comm_clk, COMM_PS, unit="ps", impl="gpi").start()
        await ClockCycles(handle.comm_clk, 8)
        handle.rst.value = handle.comm_rst.value = 0
        await ClockCycles(handle.comm_clk, 2)
        for task in (self._watch("s_axis"), self._watch("m_axis"), self._neighbour()):
            cocotb.start_soon(task)

    def pause(self, *, source: float, sink: float) -> None:
        """Let the host rest in such shares of the cycles."""
        for side, share in ((self.source, source), (self.sink, sink)):
            side.set_pause_generator(self._pauses(share))

    def _pauses(self, share: float) -> Iterator[bool]:
        return (bool(self.rng.random() < share) for _ in itertools.count())

    async def _watch(self, port: str) -> None:
        """Demand that what is offered stays until it is taken."""
        handle = self.handle
        valid, ready, data = (getattr(handle, f"{port}_t{n}") for n in ("valid", "ready", "data"))
        waiting: int | None = None
        while True:
            await RisingEdge(handle.comm_clk)
            offered = int(data.value) if int(valid.value) else None
            assert waiting is None or offered == waiting, f"{port} changed what it offered"
            waiting = None if int(ready.value) else offered
            self.waits[port] += waiting is not None

    async def _neighbour(self) -> None:
        """Be the router next door, which answers every request with the address, inverted."""
        handle, end = self.handle, LinkEndModel(LINK)
        frame, valid = (getattr(handle, f"{LINK_THERE}_tx_{part}") for part in ("frame", "valid"))
        rx_frame, rx_valid = (getattr(handle, f"{LINK_THERE}_rx_{n}") for n in ("frame", "valid"))
        others = [getattr(handle, f"{name}_tx_valid") for name in LINKS if name != LINK_THERE]
        answers: deque[int] = deque()
        while True:
            await RisingEdge(handle.comm_clk)
            assert not any(int(other.value) for other in others), (
                "sends on a link that is not there"
            )
            came = int(frame.value) if int(valid.value) else None
            goes = end.tx_frame
            rx_valid.value = goes is not None
            rx_frame.value = goes or 0
            takes = bool(self.rng.random() < 0.7)
            packet = end.receiver.offered("unicast")
            if packet is not None and takes:
                address = decode(packet)["address"]
                answers.append(encode(Kind.MONITOR, HERE, address=address, data=inverted(address)))
            offered = {"unicast": answers[0] if answers else None, "broadcast": None}
            accepted = end.step(offered, dict.fromkeys(CHANNELS, takes), came, True)
            if accepted["unicast"] and answers:
                answers.popleft()

    async def ask(self, requests: list[tuple[Site, int]]) -> None:
        """Send requests for words; wait until there are as many answers."""
        for target, address in requests:
            packet = encode(Kind.MONITOR, target, address=address, data=0)
            await self.source.send(packet.to_bytes(PACKET_BITS // 8, "little"))
        for _ in requests:
            frame = await self.sink.recv()
            fields = decode(int.from_bytes(bytes(frame.tdata), "little"))
            assert (fields["x"], fields["y"], fields["z"]) == HERE
            assert fields["kind"] == Kind.MONITOR
            self.answers.append(fields)


def inverted(address: int) -> int:
    return ~address % (1 << 32)


async def started(handle: Any, seed: int, *, source: float = 0.3, sink: float = 0.3) -> Pins:
    pins = Pins(handle, seed)
    await pins.start()
    pins.pause(source=source, sink=sink)
    return pins


def router_address(name: str) -> int:
    return ROUTER_REGION << 20 | OFFSETS[name]


@cocotb.test()
async def router_answers(handle: Any) -> None:
    """Every register that does not change."""
    pins = await started(handle, seed=1)
    expected = {"id": ROUTER_ID, "version": 1, "place": 0, "links": 1 << LINKS.index(LINK_THERE)}
    names = list(expected) * 10
    await with_timeout(pins.ask([(HERE, router_address(name)) for name in names]), _LIMIT_US, "us")
    assert [a["address"] for a in pins.answers] == [router_address(name) for name in names]
    assert [a["data"] for a in pins.answers] == [expected[name] for name in names]
    assert pins.waits["m_axis"] > 0


@cocotb.test()
async def node_answers(handle: Any) -> None:
    """Beyond the crossing, on the other clock; what was written is read."""
    pins = await started(handle, seed=2)
    written = register_address("first_neuron")
    packet = encode(Kind.CONFIG, HERE, address=written, data=0x1234567)
    await pins.source.send(packet.to_bytes(PACKET_BITS // 8, "little"))
    asked = [register_address("id"), written] * 8
    await with_timeout(pins.ask([(HERE, address) for address in asked]), _LIMIT_US, "us")
    assert [a["address"] for a in pins.answers] == asked
    assert [a["data"] for a in pins.answers] == [NODE_ID, 0x1234567] * 8


@cocotb.test()
async def neighbour_answers(handle: Any) -> None:
    """Over the pins of a link."""
    pins = await started(handle, seed=3)
    asked = [int(address) for address in pins.rng.integers(0, 1 << 32, 40)]
    await with_timeout(pins.ask([(THERE, address) for address in asked]), _LIMIT_US, "us")
    assert [a["address"] for a in pins.answers] == asked
    assert all(a["data"] == inverted(a["address"]) for a in pins.answers)


@cocotb.test()
async def nothing_is_lost_while_the_host_does_not_listen(handle: Any) -> None:
    """Requests wait at the port, then all are answered, those of one place in order."""
    pins = await started(handle, seed=4, source=0.0, sink=1.0)
    asked = [(THERE, n) if n % 2 else (HERE, router_address("id")) for n in range(150)]
    task = cocotb.start_soon(pins.ask(asked))
    await ClockCycles(handle.comm_clk, 600)
    assert pins.waits["s_axis"] > 100
    assert pins.waits["m_axis"] > 100
    assert not pins.answers
    pins.pause(source=0.0, sink=0.2)
    await with_timeout(task, _LIMIT_US, "us")
    from_there = [a["address"] for a in pins.answers if a["address"] < len(asked)]
    assert from_there == [n for place, n in asked if place == THERE]
    assert len(pins.answers) == len(asked)
