"""Vector code of the fast simulator against the definitions, with both kinds of table look-up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from csnn import prng, rows
from csnn._numba import compiles_for
from csnn.image import layout
from csnn.rows import Block, Sampler
from csnn.simulator import lanes
from csnn.simulator.layout import pack_external

SOURCE, NOW, SLOTS = 70123, 61, 64


@pytest.fixture(params=[False, True], ids=["loads", "permutations"], autouse=True)
def look_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not compiles_for("avx512bw"):
        pytest.skip("this processor has no permutations of 64 words (AVX-512BW)")
    monkeypatch.setattr(lanes, "permutes", request.param)


def compiled_unroll() -> Any:
    # Made anew: the choice of the look-up is compiled in.
    unroll = lanes.unroll_lanes

    @njit
    def all_rows(
        seed: Any, length: Any, block: Any, n: int, block_word: Any, weight: Any, delay: Any,
        table: Any, word: Any, slot: Any,
    ) -> tuple[int, int]:  # fmt: skip
        position = 0
        row = 0
        turns = 0
        while row < n:
            position, done = unroll(
                seed, length, block, row, n - row, np.uint32(SOURCE), block_word, weight, delay,
                table, np.uint32(NOW), np.uint32(SLOTS - 1), word, slot, position,
            )  # fmt: skip
            row += done
            turns += 1
        return position, turns

    return all_rows


def random_blocks(rng: np.random.Generator, count: int) -> list[Block]:
    return [
        Block(
            sampler=Sampler.INDEPENDENT,
            n_neurons=n,
            skip_self=False,
            first_neuron=256 * k,
            node_key=prng.node_key(k),
            weight_H=rng.integers(0, 2**32, 64, dtype=np.uint32),
            weight_own=rng.integers(0, 2**16, 64).astype(np.uint16),
            weight_alias=rng.integers(0, 2**16, 64).astype(np.uint16),
            delay_H=rng.integers(0, 2**32, 64, dtype=np.uint32),
            delay_own=rng.integers(0, SLOTS, 64).astype(np.uint8),
            delay_alias=rng.integers(0, SLOTS, 64).astype(np.uint8),
            in_degree=0,
            stub_key=0,
            synapses=np.zeros(0, dtype=np.uint32),
        )
        for k, n in enumerate([1, 213, 256][:count])
    ]


@pytest.mark.parametrize("n_rows", [1, 16, 53])
def test_unrolled_rows_are_those_of_the_definition(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    blocks = random_blocks(rng, 3)
    which = rng.integers(0, 3, n_rows).astype(np.uint16)
    seed = rng.integers(1, 2**32, n_rows, dtype=np.uint32)
    length = np.sort(rng.integers(1, 40, n_rows))[::-1].astype(np.uint16)
    if lanes.permutes:
        # All rows of a table come together.
        order = np.argsort(which, kind="stable")
        which, length = which[order], length[order]
    expected = []
    for k, s, n in zip(which, seed, length, strict=True):
        row = rows.unroll(
            blocks[k], np.array([SOURCE], np.uint32), np.array([s], np.uint32), np.array([n])
        )
        code = row.code.astype(np.int64)
        word = int(k) * 512 + row.neuron + (code >> 15) * 256 + ((code & 0x7FFF) << 17)
        expected += zip(word.tolist(), ((NOW + row.delay) % SLOTS).tolist(), strict=True)

    def column(name: str) -> Any:
        return np.concatenate([getattr(block, name) for block in blocks]).astype(np.uint64)

    def padded(array: Any) -> Any:
        # What lies beyond the last row belongs to another source and must not matter.
        return np.concatenate([array, rng.integers(1, 3, 16).astype(array.dtype)])

    high = np.uint64(16)
    weight = (
        column("weight_H") >> high << np.uint64(32)
        | column("weight_alias") << high
        | column("weight_own")
    )
    delay_pair = column("delay_alias") << np.uint64(8) | column("delay_own")
    delay = column("delay_H") >> high << high | delay_pair
    columns = [
        column("weight_H") >> high, column("weight_own"), column("weight_alias"),
        column("delay_H") >> high, delay_pair,
    ]  # fmt: skip
    table = np.stack([c.reshape(3, 64) for c in columns], axis=1).astype(np.uint16).ravel()
    block_word = np.array(
        [block.node_key << 32 | k << 16 | block.n_neurons - 1 << 8 | k
         for k, block in enumerate(blocks)], dtype=np.uint64,
    )  # fmt: skip
    word, slot = (np.zeros(len(expected) + 32, dtype=np.uint32) for _ in range(2))
    unroll = compiled_unroll()
    end, turns = unroll(
        padded(seed), padded(length), np.minimum(padded(which), np.uint16(2)), n_rows,
        block_word, weight, delay.astype(np.uint32), table, word, slot,
    )  # fmt: skip
    if lanes.permutes:
        assert turns == sum(-(-n // 16) for n in np.bincount(which))
    else:
        assert turns == -(-n_rows // 16)
    assert end == len(expected)
    got = zip(word[:end].tolist(), slot[:end].tolist(), strict=True)
    assert sorted(got) == sorted(expected)
    text = "".join(unroll.inspect_llvm().values())
    assert ("llvm.masked.gather" in text) == lanes.permutes
    assert ("llvm.x86.avx512.vpermi2var.hi.512" in text) == lanes.permutes


@pytest.mark.parametrize("n_lanes", [8, 24])
def test_external_draws_are_those_of_the_definition(n_lanes: int) -> None:
    rng = np.random.default_rng(n_lanes)
    tables = np.zeros((2, 32), dtype=layout.EXT_TABLE)
    tables["H"] = rng.integers(0, 2**32, tables.shape)
    tables["H"][:, :3] = 0, 31, 2**32 - 1
    tables["own"] = np.arange(32)
    tables["alias"] = rng.integers(0, 32, tables.shape)
    tables["own"][:, 5] = tables["alias"][:, 5]
    state = rng.integers(1, 2**32, (n_lanes, 4), dtype=np.uint32)
    turns, weight, table = 50, 31, 1
    draw = lanes.draw_external_lanes

    @njit
    def all_lanes(state: Any, packed: Any, ss: Any) -> None:
        for first in range(0, n_lanes, 8):
            draw(state, n_lanes, first, turns, packed, 32 * table, np.int32(weight), ss)

    flat = np.ascontiguousarray(state.T).ravel()
    ss = np.arange(turns * n_lanes, dtype=np.int32)
    all_lanes(flat, pack_external(tables), ss)
    word = np.stack([prng.ext_draw(state) for _ in range(turns)]).ravel()
    entry = tables[table][word % 32]
    spikes = np.where(word >> 5 < entry["H"] >> 5, entry["own"], entry["alias"])
    assert np.array_equal(ss - np.arange(turns * n_lanes), weight * spikes.astype(np.int64))
    assert np.array_equal(flat.reshape(4, n_lanes).T, state)
    assert len(np.unique(spikes)) > 20
