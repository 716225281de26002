"""A small node with random content in every memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tiny_neuron import TinyConfig

from csnn.image import layout
from csnn.image.layout import NO_EXT_TABLE
from csnn.image.node import NodeImage
from csnn.rows import Sampler, synapse_word

CONFIG = TinyConfig(
    pipelines=2,
    neurons=16,
    delay_slots=4,
    samplers=(Sampler.INDEPENDENT, Sampler.STORED),
    blocks=2,
    selectors=1,
    ext_tables=2,
    epochs=3,
    rows=64,
    synapses=64,
    event_fifo=16,
    # So low that words saturate now and then.
    sum_limit=100_000,
)
SOURCES = 24
FIRST_STEPS = 1, 4, 7


def image(rng: np.random.Generator, n: int, start: int) -> NodeImage:
    """Return a lively node, every word of it random; steps are counted from `start`."""
    blocks = np.zeros(CONFIG.blocks, layout.BLOCK)
    first = int(rng.integers(1000))
    for k, sampler in enumerate(CONFIG.samplers):
        blocks[k]["source_first"], blocks[k]["source_count"] = first + 4 * k, SOURCES - 4
        blocks[k]["row_first"], blocks[k]["row_count"] = k * SOURCES, SOURCES - 4
        blocks[k]["sampler"] = sampler
    blocks[0]["flags"] = layout.SKIP_SELF_FLAG
    length = rng.integers(0, 7, 2 * SOURCES).astype(np.uint8)
    seed = rng.integers(1, 2**32, 2 * SOURCES).astype(np.uint32)
    seed[SOURCES:] = rng.integers(0, CONFIG.synapses - 7, SOURCES)

    def table(kind: np.dtype, shape: tuple[int, int], largest: int) -> npt.NDArray[np.void]:
        made = np.zeros(shape, kind)
        made["H"] = rng.integers(0, 2**32, shape)
        made["own"], made["alias"] = rng.integers(0, largest, (2, *shape))
        return made

    schedule = np.zeros(CONFIG.epochs, layout.EPOCH)
    schedule["first_step"] = [start + first for first in FIRST_STEPS]
    schedule["ext_table"] = [1, NO_EXT_TABLE, 0]
    schedule["dc"] = rng.normal(size=CONFIG.epochs)
    synapses = synapse_word(
        rng.integers(0, n, CONFIG.synapses),
        rng.integers(0, CONFIG.delay_slots, CONFIG.synapses),
        rng.integers(0, 1 << 16, CONFIG.synapses),
    )
    constants = np.array([0.0, 60_000.0, -1.0], np.float32).view(np.uint32)
    return NodeImage(
        node=int(rng.integers(1 << 16)),
        population=0,
        first_neuron=first + 6,
        n_neurons=n,
        n_sources=first + SOURCES,
        node_key=int(rng.integers(2**32)),
        ext_lanes=CONFIG.pipelines,
        ext_weight=int(rng.integers(1, 1 << 15)),
        delay_slots=CONFIG.delay_slots,
        grid_exponent=0,
        dt_ms=0.1,
        model="lif",
        blocks=blocks,
        weight_tables=table(layout.WEIGHT_TABLE, (1, 64), 1 << 16),
        delay_tables=table(layout.DELAY_TABLE, (1, 64), CONFIG.delay_slots),
        ext_tables=table(layout.EXT_TABLE, (2, 32), 32),
        ext_states=rng.integers(0, 2**32, (CONFIG.pipelines, 4)).astype(np.uint32),
        schedule=schedule,
        constants=np.append(constants, np.uint32(2)),
        state=rng.normal(60_000.0, 60_000.0, (3, n)).astype(np.float32).view(np.uint32),
        refractory=rng.integers(0, 3, n).astype(np.uint32),
        source_ids=rng.integers(0, 2**32, n).astype(np.uint32),
        seed=seed,
        length=length,
        presence=np.zeros(0, np.uint32),
        rank=np.zeros(0, np.uint32),
        synapses=synapses,
        delay_buffer=rng.integers(0, 60_000, (CONFIG.delay_slots, 2, n)).astype(np.uint32),
    )
