"""A node inside a cocotb simulation, with a memory and a host at its AXI ports."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiRamWrite, AxiResp, AxiWriteBus

from csnn.hardware.memory_map import Words, register_address
from csnn.hardware.recorder import PAGE_BITS
from csnn.hardware.registers import ERROR_BITS, STATUS_BITS
from csnn.packets import Kind, packet_words

PAGE, MEMORY_BYTES = 0x3A, 1 << 20
_LONGEST_WAIT = 20_000
HALTED = next(1 << bit.position for bit in STATUS_BITS if bit.name == "halted")
RECORDER_ERROR = next(1 << bit.position for bit in ERROR_BITS if bit.name == "recorder")


class Memory(AxiRamWrite):
    """The memory; refuses what goes to addresses from `limit` on."""

    limit = MEMORY_BYTES

    async def _write(self, address: int, data: bytes) -> None:
        if address >= self.limit:
            raise ValueError("beyond the limit")
        await super()._write(address, data)


class AxiNode:
    """Host, memory and network of a node."""

    def __init__(self, handle: Any, rng: np.random.Generator, pause: float) -> None:
        self.handle = handle
        self._rng = rng
        self._pause = pause
        self.answers: list[npt.NDArray[np.uint32]] = []
        self._barrier = Event()
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(handle, "s_axil"), handle.clk, handle.rst)
        self.memory = Memory(
            AxiWriteBus.from_prefix(handle, "m_axi"), handle.clk, handle.rst, size=MEMORY_BYTES
        )
        for side in (self.host.write_if, self.host.read_if, self.memory):
            for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
                if hasattr(side, name):
                    getattr(side, name).set_pause_generator(self.pauses(pause))

    def pauses(self, share: float) -> Iterator[bool]:
        """Yield without end whether to pause, true for the given share of cycles."""
        return (bool(self._rng.random() < share) for _ in itertools.count())

    async def reset(self) -> None:
        """Reset the node; nothing is offered."""
        self.handle.input__valid.value = 0
        self.handle.output__ready.value = 0
        self.handle.rst.value = 1
        await ClockCycles(self.handle.clk, 4)
        self.handle.rst.value = 0
        await ClockCycles(self.handle.clk, 2)
        cocotb.start_soon(self._listen())

    async def _listen(self) -> None:
        handle = self.handle
        while True:
            handle.output__ready.value = int(self._rng.random() >= self._pause)
            await RisingEdge(handle.clk)
            if int(handle.output__valid.value) and int(handle.output__ready.value):
                packet = packet_words(int(handle.output__payload.value))
                self.answers.append(packet)
                if packet[0] >> 24 == Kind.BARRIER:
                    self._barrier.set()

    async def send(self, packets: npt.NDArray[np.uint32]) -> None:
        """Send packets of shape (n, 3)."""
        handle = self.handle
        for packet in packets:
            handle.input__payload.value = int.from_bytes(packet.astype("<u4").tobytes(), "little")
            handle.input__valid.value = 1
            await RisingEdge(handle.clk)
            while not int(handle.input__ready.value):
                await RisingEdge(handle.clk)
            handle.input__valid.value = 0
            while self._rng.random() < self._pause:
                await RisingEdge(handle.clk)

    async def step(self, packets: npt.NDArray[np.uint32]) -> None:
        """Send the sync message and the spikes of a step; wait for the barrier message."""
        self._barrier.clear()
        await self.send(packets)
        await self._barrier.wait()

    async def write(self, words: Words) -> None:
        """Write words through the window; all must be accepted."""
        for address, value in zip(words.address.tolist(), words.value.tolist(), strict=True):
            assert await self.try_write(address, value) == AxiResp.OKAY, hex(address)

    async def try_write(self, address: int, value: int) -> AxiResp:
        """Write a word; return the response."""
        done = await self.host.write(4 * address, int(value).to_bytes(4, "little"))
        return AxiResp(done.resp)

    async def read(self, address: int) -> tuple[AxiResp, int]:
        """Read a word; return the response with it."""
        done = await self.host.read(4 * address, 4)
        return AxiResp(done.resp), int.from_bytes(done.data, "little")

    async def get(self, name: str) -> int:
        """Return a register."""
        response, value = await self.read(register_address(name))
        assert response == AxiResp.OKAY
        return value

    async def set(self, name: str, value: int) -> None:
        """Set a register."""
        assert await self.try_write(register_address(name), value) == AxiResp.OKAY

    async def start(self, size: int, step: int) -> None:
        """Record up to `size` records from now on; run."""
        await self.set("recorder_page", PAGE)
        await self.set("recorder_size", size)
        await self.set("step", step)
        await self.set("control", 3)

    async def halt(self) -> None:
        """Halt the node and wait until everything is written."""
        await self.set("control", 0)
        await self.until_halted()

    async def until_halted(self) -> None:
        """Wait until the node says that it is halted."""
        for _ in range(_LONGEST_WAIT):
            if await self.get("status") & HALTED:
                return
        raise AssertionError("the node does not halt")

    def recorded(self, count: int) -> bytes:
        """Return the bytes of so many records, and of the one after them."""
        return bytes(self.memory.read(PAGE << PAGE_BITS, 8 * (count + 1)))
