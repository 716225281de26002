"""cocotb tests of a node at its AXI ports: load, run, record, refuse."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from axi_node import HALTED, PAGE, RECORDER_ERROR, AxiNode
from cocotb.clock import Clock
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiResp

from csnn.hardware.memory_map import OFFSET_BITS, Region, Words, digests, register_address
from csnn.hardware.recorder import PAGE_BITS, RECORD, records
from csnn.packets import Kind

# Names the file with the `Given`; a planted fault if the second is set.
GIVEN_VARIABLE, FAULT_VARIABLE = "CSNN_AXI_GIVEN", "CSNN_AXI_FAULT"
_LIMIT_MS = 50


@dataclass(frozen=True)
class Given:
    """What a node is loaded with and sent, and the records that it must write.

    Attributes
    ----------
    words : list of Words
    first_step : int
    steps : list of ndarray of uint32, shape (n, 3)
        Packets of each step.
    records : ndarray of `RECORD`
    """

    words: list[Words]
    first_step: int
    steps: list[npt.NDArray[np.uint32]]
    records: npt.NDArray[np.void]


def given(name: str) -> Given:
    return pickle.loads(Path(os.environ[GIVEN_VARIABLE]).read_bytes())[name]


async def started(handle: Any, pause: float, seed: int) -> AxiNode:
    """Return a node fresh from reset, with a clock."""
    Clock(handle.clk, 10, unit="ns", impl="gpi").start()
    node = AxiNode(handle, np.random.default_rng(seed), pause)
    await node.reset()
    return node


async def run(node: AxiNode, what: Given, size: int) -> None:
    """Load by the window and run all steps."""
    for words in what.words:
        await node.write(words)
    await node.start(size, what.first_step)
    for packets in what.steps:
        await node.step(packets)


def assert_recorded(node: AxiNode, expected: npt.NDArray[np.void]) -> None:
    """Demand that the memory holds the records, and nothing after them."""
    content = bytearray(node.recorded(len(expected)))
    if os.environ.get(FAULT_VARIABLE):
        content[0] ^= 1
    np.testing.assert_array_equal(records(bytes(content), len(expected)), expected)
    assert bytes(content[-RECORD.itemsize :]) == bytes(RECORD.itemsize)


@cocotb.test()
async def loads_by_both_ways_and_records(handle: Any) -> None:
    """Every second word by packet, the others by the window at the same time."""
    what = given("network")
    node = await started(handle, 0.2, seed=1)
    for words in what.words:
        halves = [
            replace(words, offset=words.offset[i::2], value=words.value[i::2]) for i in (0, 1)
        ]
        packets = np.zeros((len(halves[1].offset), 3), dtype=np.uint32)
        packets[:, 0] = Kind.CONFIG << 24
        packets[:, 1], packets[:, 2] = halves[1].address, halves[1].value
        sending = cocotb.start_soon(node.send(packets))
        await node.write(halves[0])
        await sending
    held = []
    for words in what.words:
        found = [await node.read(int(address)) for address in words.address]
        assert {response for response, _ in found} <= {AxiResp.OKAY}
        held.append(replace(words, value=np.array([word for _, word in found], dtype=np.uint32)))
    assert digests(held) == digests(what.words)
    await node.start(1000, what.first_step)
    for packets in what.steps:
        await node.step(packets)
    await node.halt()
    assert await node.get("errors") == 0
    assert await node.get("recorded") == len(what.records)
    assert_recorded(node, what.records)


@cocotb.test()
async def bursts_respect_4_KiB(handle: Any) -> None:
    """All neurons spike in every step, past the first boundary; the memory checks the bursts."""
    what = given("all spike")
    node = await started(handle, 0.1, seed=2)
    await with_timeout(run(node, what, 10_000), _LIMIT_MS, "ms")
    await node.halt()
    assert len(what.records) * RECORD.itemsize > 1 << PAGE_BITS
    assert await node.get("recorded") == len(what.records)
    assert_recorded(node, what.records)


@cocotb.test()
async def a_slow_memory_stalls_the_node(handle: Any) -> None:
    """Nothing is lost or overwritten; the node takes longer."""
    what = given("all spike")
    what = replace(what, steps=what.steps[:3])
    node = await started(handle, 0.1, seed=3)
    cycles = []
    for pause in (0.0, 0.97):
        node.memory.w_channel.set_pause_generator(node.pauses(pause))
        await run(node, what, 10_000)
        await node.halt()
        cycles.append(await node.get("cycles"))
        count = await node.get("recorded")
        assert count == 3 * len(what.records) // len(given("all spike").steps)
        np.testing.assert_array_equal(records(node.recorded(count), count), what.records[:count])
        await node.set("control", 2)
    assert cycles[1] > 3 * cycles[0]


@cocotb.test()
async def a_refusing_memory_stops_the_node(handle: Any) -> None:
    """What the memory took before is counted; the rest is not, and the node stops."""
    what = given("all spike")
    node = await started(handle, 0.1, seed=4)
    taken = 48
    node.memory.limit = (PAGE << PAGE_BITS) + taken * RECORD.itemsize
    task = cocotb.start_soon(run(node, what, 10_000))
    while not (await node.get("errors")):
        pass
    await node.until_halted()
    task.cancel()
    assert await node.get("errors") == RECORDER_ERROR
    assert await node.get("recorded") == taken
    assert await node.get("steps") < len(what.steps)
    assert_recorded(node, what.records[:taken])


@cocotb.test()
async def a_full_region_stops_the_node(handle: Any) -> None:
    """The memory behind the region is left alone."""
    what = given("all spike")
    node = await started(handle, 0.1, seed=5)
    size = 77
    task = cocotb.start_soon(run(node, what, size))
    while not (await node.get("errors")):
        pass
    await node.until_halted()
    task.cancel()
    assert await node.get("errors") == RECORDER_ERROR
    assert await node.get("recorded") == size
    assert await node.get("steps") < len(what.steps)
    assert_recorded(node, what.records[:size])


@cocotb.test()
async def refuses_with_slverr(handle: Any) -> None:
    """Words that are not there, part of a word, a running node; nothing changes."""
    what = given("network")
    node = await started(handle, 0.2, seed=6)
    for words in what.words:
        await node.write(words)
    nowhere = (len(Region) << OFFSET_BITS, Region.REGISTERS << OFFSET_BITS | 0xFFFFF)
    for address in nowhere:
        assert await node.try_write(address, 1) == AxiResp.SLVERR
        assert await node.read(address) == (AxiResp.SLVERR, 0)
    before = await node.get("n_neurons")
    for first, size in ((0, 1), (1, 1), (2, 2), (0, 3)):
        done = await node.host.write(4 * register_address("n_neurons") + first, b"\xff" * size)
        assert AxiResp(done.resp) == AxiResp.SLVERR
    assert await node.get("n_neurons") == before
    # Refused words are answered, not reported as the errors of packets are.
    assert await node.get("errors") == 0
    await node.start(0, what.first_step)
    for words in what.words:
        if words.region is not Region.REGISTERS and len(words.address):
            address = int(words.address[0])
            assert await node.try_write(address, 0) == AxiResp.SLVERR
            assert await node.read(address) == (AxiResp.SLVERR, 0)
    assert not await node.get("status") & HALTED
    for packets in what.steps[:2]:
        await node.step(packets)
    await node.halt()
    assert await node.get("errors") == 0
    assert await node.get("recorded") == 0
