"""Directories of rows with all samplers, and what `csnn.image` and `csnn.rows` make of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import Region, Words, node_words
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.prng import row_draw, row_start
from csnn.rows import (
    DELAY_INDEX_SHIFT,
    FRACTION_BITS,
    FRACTION_MASK,
    INDEX_MASK,
    STUB_R_BITS,
    Sampler,
    row_seed,
    synapse_word,
    unroll,
)

I64 = npt.NDArray[np.int64]
Inputs = dict[str, npt.ArrayLike]

CONFIG = NodeConfig(
    neurons=256,
    samplers=tuple(Sampler),
    blocks=5,
    selectors=3,
    rows=512,
    presence_words=16,
    synapses=600,
)
PORTS = {
    "blocks": Region.BLOCKS,
    "presence": Region.PRESENCE,
    "rank": Region.RANK,
    "seed": Region.SEED,
    "length": Region.LENGTH,
    "weights": Region.WEIGHT_TABLES,
    "delays": Region.DELAY_TABLES,
    "synapses": Region.SYNAPSES,
}
PER_READ = 5
SPAN = 96
MAX_LENGTH = 255
# Stub word 2^32 - 1, the only one whose hash is zero.
LAST_STUB = 0xFFFFFFFF


@dataclass(frozen=True)
class Row:
    """A row that a source may have in a block; `synapses`, shape (length, 3), in order."""

    is_present: bool
    length: int
    fields: dict[str, int]
    synapses: I64


def lengths(rng: np.random.Generator, count: int, largest: int, long: float) -> I64:
    """Return lengths of rows: zeros, ones, short ones, and a share of long ones."""
    short = rng.choice([0, 1, 1, 2, 3, 4, 7], count)
    longer = np.where(rng.random(count) < 0.3, largest, rng.integers(0, largest + 1, count))
    return np.minimum(np.where(rng.random(count) < long, longer, short), largest)


class Directory:
    """Blocks of every sampler, dense and sparse, whose ranges of sources overlap.

    Parameters
    ----------
    rng : Generator
    n : int
        Neurons of the node.
    base : int
        Sources from here on, `SPAN` of them, are in some block; the node's neurons are among them.
    long : float
        Share of long rows.
    fixed : int, optional
        Length of all rows, in place of random ones.
    samplers : sequence of Sampler
        Those of the blocks.
    everywhere : bool
        Whether every block holds every source, and no row is absent.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        n: int,
        base: int,
        long: float = 0.03,
        fixed: int | None = None,
        samplers: Iterable[Sampler] = (*Sampler, Sampler.INDEPENDENT),
        everywhere: bool = False,
    ) -> None:
        self.n, self.base = n, base
        chosen = [*samplers]
        blocks = np.zeros(len(chosen), layout.BLOCK)
        seeds, row_lengths, presence, rank = [], [], [], []
        synapses = self._stored(rng, n)
        for entry, sampler in zip(blocks, chosen, strict=True):
            first = 0 if everywhere else int(rng.integers(0, 20))
            count = SPAN if everywhere else int(rng.integers(40, SPAN - 20))
            is_sparse = not everywhere and (not seeds or rng.random() < 0.5)
            entry["source_first"], entry["source_count"] = base + first, count
            entry["row_first"] = sum(len(part) for part in seeds)
            entry["selector"], entry["sampler"] = rng.integers(CONFIG.selectors), sampler
            skips = n > 1 and sampler is not Sampler.STUBS and rng.random() < 0.7
            entry["flags"] = layout.SKIP_SELF_FLAG * skips
            # Of the largest block of stubs, the last one is the only one whose hash is zero.
            degrees = [1 << 24] if n == 256 else [32, 1 << 24, int(rng.integers(32, 1 << 24))]
            entry["in_degree"] = rng.choice(degrees)
            entry["stub_key"] = rng.integers(2**32)
            if is_sparse:
                bits = rng.random(-(-count // 32) * 32) < 0.6
                bits[count:] = False
                entry["flags"] |= layout.SPARSE_FLAG
                entry["presence_first"] = sum(len(part) for part in presence)
                words = np.packbits(bits, bitorder="little").view(np.uint32)
                presence.append(words)
                rank.append(np.cumsum(np.bitwise_count(words)) - np.bitwise_count(words))
                rows = int(bits.sum())
            else:
                rows = count
            entry["row_count"] = rows
            largest = {
                Sampler.DISTINCT: max(1, n - 1),
                Sampler.STUBS: int(entry["in_degree"]) * n,
            }.get(sampler, MAX_LENGTH)
            made = lengths(rng, rows, min(MAX_LENGTH, largest), long)
            made[:4] = 1
            if fixed is not None:
                made[:] = fixed
            seeds.append(self._seeds(rng, sampler, made, entry, n, len(synapses)))
            row_lengths.append(made)
        self.image = _image(
            n_neurons=n,
            first_neuron=(base + 24) % (1 << 32),
            node_key=int(rng.integers(2**32)),
            blocks=blocks,
            weight_tables=_tables(rng, layout.WEIGHT_TABLE),
            delay_tables=_tables(rng, layout.DELAY_TABLE),
            seed=np.concatenate(seeds).astype(np.uint32),
            length=np.concatenate(row_lengths).astype(np.uint8),
            presence=np.concatenate([np.zeros(0, np.uint32), *presence]),
            rank=np.concatenate([np.zeros(0, np.uint32), *rank]).astype(np.uint32),
            synapses=synapses,
        )
        self._meet_fractions()
        self.settings = {
            "n_neurons": n,
            "first_neuron": self.image.first_neuron,
            "node_key": self.image.node_key,
        }
        self.rows = self._rows()

    @staticmethod
    def _stored(rng: np.random.Generator, n: int) -> npt.NDArray[np.uint32]:
        count = CONFIG.synapses
        return synapse_word(
            rng.integers(0, n, count), rng.integers(0, 64, count), rng.integers(0, 1 << 16, count)
        )

    @staticmethod
    def _seeds(
        rng: np.random.Generator, sampler: Sampler, made: I64, entry: np.void, n: int, stored: int
    ) -> I64:
        if sampler is Sampler.STORED:
            return rng.integers(0, stored - made + 1)
        if sampler is not Sampler.STUBS:
            return rng.integers(1, 2**32, len(made))
        # Many rows end or begin at the corners of the stubs.
        stubs = int(entry["in_degree"]) * n
        position = rng.integers(0, stubs - made + 1)
        corner = rng.random(len(made))
        corner[:4] = 0
        position = np.where(corner < 0.2, stubs - np.maximum(made, 1), position)
        position = np.where(corner > 0.8, np.maximum(position - position % n - 1, 0), position)
        left, right = np.divmod(position, n)
        return left << STUB_R_BITS | right

    def _meet_fractions(self) -> None:
        """Let the first draws of some rows meet fractions that equal H: they are too rare."""
        image = self.image
        for index in range(len(image.blocks)):
            block = image.block(index)
            source, seed, _ = image.rows(index)
            start = row_seed(seed) if block.sampler is Sampler.STUBS else seed
            *_, a, b = row_draw(*row_start(start, source, image.node_key))
            for words_a, words_b in zip(a[::3], b[::3], strict=True):
                block.weight_H[words_a & INDEX_MASK] = words_b & ~np.uint32(FRACTION_MASK)
                place = words_a >> DELAY_INDEX_SHIFT & INDEX_MASK
                block.delay_H[place] = words_b << FRACTION_BITS

    def sources(self, rng: np.random.Generator, count: int) -> I64:
        """Return every source, and others in between."""
        all_sources = rng.permutation(np.arange(-8, SPAN + 8))[:count]
        others = rng.integers(-8, SPAN + 8, count - len(all_sources))
        return (self.base + rng.permutation(np.append(all_sources, others))) % (1 << 32)

    def _rows(self) -> dict[int, list[Row]]:
        """Return the rows of every source, one for each block that holds it, in order."""
        found: dict[int, list[Row]] = {}
        image = self.image
        universe = (self.base + np.arange(-8, SPAN + 8)) % (1 << 32)
        for index, entry in enumerate(image.blocks):
            block = image.block(index)
            distance = (universe - int(entry["source_first"])) % (1 << 32)
            held = universe[distance < entry["source_count"]].astype(np.uint32)
            source, seed, length = image.find_rows(index, held)
            made = unroll(block, source, seed, length)
            order = np.argsort(made.row, kind="stable")
            parts = np.stack([made.neuron, made.delay, made.code], axis=1).astype(np.int64)[order]
            ends = np.cumsum(length.astype(np.int64))
            is_stub = block.sampler is Sampler.STUBS
            x, y = row_start(row_seed(seed) if is_stub else seed, source, image.node_key)
            present = {int(s): place for place, s in enumerate(source)}
            for s in held.tolist():
                place = present.get(s)
                if place is None:
                    found.setdefault(s, []).append(Row(False, 0, {}, parts[:0]))
                    continue
                local = (s - image.first_neuron) % (1 << 32)
                inside = block.skip_self and local < self.n
                fields = {
                    "in_degree": block.in_degree,
                    "stub_key": block.stub_key,
                    "x": int(x[place]),
                    "y": int(y[place]),
                    "seed": int(seed[place]),
                    "length": int(length[place]),
                    "selector": int(entry["selector"]),
                    "sampler": int(block.sampler),
                    "own": local if inside else self.n,
                    "available": self.n - inside,
                }
                end = int(ends[place])
                synapses = parts[end - int(length[place]) : end]
                found.setdefault(s, []).append(Row(True, int(length[place]), fields, synapses))
        return found

    def rows_of(self, source: int) -> list[Row]:
        """Return the rows of a source, absent and empty ones among them."""
        return self.rows.get(source, [])

    def words(self, ports: Iterable[str]) -> dict[str, Words]:
        """Return the words of the memories at these ports."""
        parts = [*node_words(CONFIG, self.image)]
        return {name: part for name in ports for part in parts if part.region is PORTS[name]}

    def writing(self, rng: np.random.Generator, ports: Iterable[str] = PORTS) -> Inputs:
        """Return inputs that write the memories at these ports, all at once."""
        words = self.words(ports)
        cycles = max(len(part.offset) for part in words.values())
        inputs: Inputs = {}
        for name, part in words.items():
            order = rng.permutation(len(part.offset))
            idle = np.zeros(cycles - len(order), np.int64)
            write = np.arange(cycles) < len(order)
            inputs |= {
                f"{name}__select": write,
                f"{name}__write": write,
                f"{name}__address": np.append(part.offset[order], idle),
                f"{name}__write_data": np.append(part.value[order], idle),
            }
        return inputs

    def reading(self, rng: np.random.Generator, name: str) -> tuple[Inputs, I64]:
        """Return inputs that read a memory back, and each word `PER_READ` cycles after another."""
        part = self.words([name])[name]
        noise = rng.integers(0, 2**32, len(part.offset) * PER_READ)
        inputs = {
            f"{name}__select": np.ones(len(noise)),
            f"{name}__address": np.repeat(part.offset, PER_READ),
            f"{name}__write_data": noise,
        }
        return inputs, part.value.astype(np.int64)


def _tables(rng: np.random.Generator, kind: np.dtype) -> npt.NDArray[np.void]:
    """Return random alias tables; some entries are always their own, and some never."""
    tables = np.zeros((CONFIG.selectors, 64), kind)
    tables["H"] = rng.integers(0, 2**32, tables.shape)
    tables["H"][:, ::7], tables["H"][:, 3::7] = 2**32 - 1, 0
    largest = 64 if kind == layout.DELAY_TABLE else 1 << 16
    tables["own"], tables["alias"] = rng.integers(0, largest, (2, *tables.shape))
    return tables


def _image(**given: object) -> NodeImage:
    """Return an image of which nothing but the rows matters."""
    return NodeImage(
        node=0,
        population=0,
        n_sources=0,
        ext_lanes=CONFIG.pipelines,
        ext_weight=0,
        delay_slots=CONFIG.delay_slots,
        grid_exponent=0,
        dt_ms=0.1,
        model="lif",
        ext_tables=np.zeros((1, 32), layout.EXT_TABLE),
        ext_states=np.zeros((CONFIG.pipelines, 4), np.uint32),
        schedule=np.zeros(1, layout.EPOCH),
        constants=np.zeros(1, np.uint32),
        state=np.zeros((1, 1), np.uint32),
        refractory=np.zeros(1, np.uint32),
        source_ids=np.zeros(1, np.uint32),
        delay_buffer=np.zeros(0, np.uint32),
        **given,  # type: ignore[arg-type]
    )
