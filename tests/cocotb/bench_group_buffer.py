"""Bench of the SS and ES buffers: an array of words is their model."""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut

from csnn.hardware.config import NodeConfig
from rtl.group_buffer import GroupBuffer

CONFIG = NodeConfig(neurons=8, pipelines=4)
WIDTH = 12
CYCLES = 300


def packed(words: np.ndarray) -> int:
    """Return the words of a group as the port has them."""
    return sum(int(word) << WIDTH * lane for lane, word in enumerate(words))


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, writes: float, selects: float = 0.3, resets: float = 0.0,
) -> None:  # fmt: skip
    """Write all groups, then write and read at random, also through the access port."""
    groups, lanes = CONFIG.groups, CONFIG.pipelines
    write = rng.random(CYCLES) < writes
    write[:groups] = True
    write_group = rng.integers(0, groups, CYCLES)
    write_group[:groups] = rng.permutation(groups)
    words = rng.integers(0, 1 << WIDTH, (CYCLES, lanes))
    group = rng.integers(0, groups, CYCLES)
    select = rng.random(CYCLES) < selects
    # The lane of an access is that of the present address: an address stays for two cycles.
    address = np.repeat(rng.integers(0, CONFIG.neurons, CYCLES // 2), 2)
    found = await dut.run(
        {
            "write": write,
            "write_group": write_group,
            "write_words": [packed(row) for row in words],
            "group": group,
            "access__select": select,
            "access__address": address,
            "access__write": rng.random(CYCLES) < 0.5,
            "access__write_data": rng.integers(0, 2**32, CYCLES),
            "rst": rng.random(CYCLES) < resets,
        }
    )
    held = np.zeros((groups, lanes), np.int64)
    for t in range(CYCLES - 1):
        cover.hit("reset as a group is written", found["rst"][t] and write[t])
        read = int(address[t]) // lanes if select[t] else int(group[t])
        # A group that is written is not read in the same cycle by the node.
        if t >= groups and not (write[t] and write_group[t] == read):
            assert int(found["words"][t + 1]) == packed(held[read]), t
            if select[t] and address[t + 1] == address[t]:
                cover.hit("word read by the configuration space")
                assert found["access__read_data"][t + 1] == held[read, address[t] % lanes], t
            cover.hit("another group is written meanwhile", write[t])
        if write[t]:
            held[write_group[t]] = words[t]


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """What was written stays."""
    await drive(dut, rng, cover, writes=0.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A group in and one out in every cycle: the buffer never stalls."""
    await drive(dut, rng, cover, writes=1.0, selects=0.0)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset leaves the words as they are."""
    await drive(dut, rng, cover, writes=0.3, resets=0.1)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Both ports busy at every rate."""
    for writes in (0.2, 0.5, 0.8):
        await drive(dut, rng, cover, writes=writes)


BENCH = Bench(
    make=lambda: GroupBuffer(CONFIG, WIDTH),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "word read by the configuration space",
        "another group is written meanwhile",
        "reset as a group is written",
    ),
)
