"""Bench of the look-up of rows: `NodeImage.find_rows` says which, a pipeline in Python when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from bench import Bench, Coverage, Dut, assert_held
from packet_streams import integers
from row_directory import CONFIG, LAST_STUB, SPAN, Directory, Row
from row_models import LOOKUP_EQUIVALENT, LookupModel, compare, load

from csnn.rows import Sampler
from rtl.row_lookup import RowLookup, row_layout

PORTS = ("blocks", "presence", "rank", "seed", "length")
LATENCY = RowLookup.latency(CONFIG)
FIELDS = [(name, field.offset) for name, field in row_layout(CONFIG)]


def packed(row: Row) -> int:
    """Return the payload of a row."""
    return sum(row.fields[name] << offset for name, offset in FIELDS)


class Model:
    """A look-up with a directory."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.lookup = LookupModel(LATENCY)
        self.is_loaded = False

    async def load(self, n: int, base: int) -> None:
        """Write the memories of a new directory."""
        self.directory = Directory(self.rng, n=n, base=base, long=0.5)
        await self.write(PORTS)

    async def write(self, ports: tuple[str, ...]) -> None:
        await load(self.dut, self.rng, self.directory, ports)
        self.is_loaded = True

    async def send(
        self, sources: npt.ArrayLike, offered: npt.ArrayLike, ready: npt.ArrayLike,
        *, resets: npt.ArrayLike = 0,
    ) -> None:  # fmt: skip
        """Send sources and compare every output in every cycle."""
        cycles = len(np.asarray(offered))
        found = await self.dut.run(
            {
                "source__valid": offered,
                "row__ready": ready,
                "rst": resets,
                **self.directory.settings,
                **{f"{port}__address": self.rng.integers(0, 16, cycles) for port in PORTS},
            },
            {"source": sources},
        )
        self.check(found)
        assert_held(found, "row")

    def check(self, found: dict[str, np.ndarray]) -> None:
        lookup, hit = self.lookup, self.cover.hit
        cycles = len(found["rst"])
        ready, busy, valid = (np.zeros(cycles, bool) for _ in range(3))
        rows = []
        sources = found["source__payload"].tolist()
        for t in range(cycles):
            takes = bool(found["row__ready"][t])
            ready[t], busy[t] = lookup.takes(takes), lookup.busy
            if lookup.row is not None:
                valid[t] = True
                rows.append(packed(lookup.row))
                self.cover_row(lookup.row, takes)
            arriving = None
            if found["source__valid"][t] and ready[t]:
                arriving = self.directory.rows_of(sources[t]) if self.is_loaded else []
                self.cover_source(sources[t], arriving)
            hit("source waits for another's rows", len(lookup.waiting) > 1)
            lookup.cycle(arriving, takes)
            if found["rst"][t]:
                hit("reset with rows under way", busy[t])
                lookup.reset()
                self.is_loaded = False
        for name, expected in (("source__ready", ready), ("busy", busy), ("row__valid", valid)):
            differs = np.flatnonzero(found[name] != expected)
            assert not len(differs), (name, differs[:5])
        assert integers(found["row__payload"][valid]) == rows, "another row"

    def cover_row(self, row: Row, takes: bool) -> None:
        hit, fields = self.cover.hit, row.fields
        hit("row waits", not takes)
        hit(f"{Sampler(fields['sampler']).name} row")
        hit("own number", fields["own"] < self.directory.n)
        hit("own number 0", fields["own"] == 0)
        is_stub = fields["sampler"] == Sampler.STUBS
        hit("hash of a stub is zero", is_stub and fields["seed"] == LAST_STUB)

    def cover_source(self, source: int, rows: list[Row]) -> None:
        hit = self.cover.hit
        hit("no row", not rows)
        hit("row in every block", len(rows) == CONFIG.blocks)
        hit("absent row", any(not row.is_present for row in rows))
        hit("empty row", any(row.is_present and not row.length for row in rows))
        hit("source below all blocks", source < self.directory.base and self.directory.base > SPAN)
        hit("source beyond 2^31", source >= 1 << 31)

    async def drain(self) -> None:
        """Let everything out."""
        await self.send([], np.zeros(400), 1)
        assert not self.lookup.busy


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then single sources with long pauses."""
    model = Model(dut, rng, cover)
    await model.load(40, 0)
    await compare(dut, rng, model.directory, PORTS)
    await model.send([], np.zeros(40), rng.random(40) < 0.5)
    await model.send(model.directory.sources(rng, 30), np.arange(1200) % 40 == 20, 1)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Rows that wait long, and a row in every cycle."""
    model = Model(dut, rng, cover)
    await model.load(256, 2**32 - 128)
    for rate in (0.05, 0.3, 1.0):
        sources = model.directory.sources(rng, 200)
        await model.send(sources, np.ones(600), rng.random(600) < rate)
        await model.drain()
    await compare(dut, rng, model.directory, PORTS)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset drops what is under way, and the blocks; the other memories stay."""
    model = Model(dut, rng, cover)
    await model.load(255, 1 << 16)
    for at in (1, 2, 9, 20, 33, 47, 80):
        sources = model.directory.sources(rng, 150)
        await model.send(sources, np.ones(150), rng.random(150) < 0.6, resets=np.arange(150) == at)
        await model.drain()
        await model.write(("blocks",))
        await model.send(model.directory.sources(rng, 60), np.ones(60), rng.random(60) < 0.9)
        await model.drain()


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Sources and rows at every rate, in nodes of several sizes."""
    model = Model(dut, rng, cover)
    for n, base in ((256, 5000), (1, 2**31 - 50), (16, 0), (213, int(rng.integers(2**32 - SPAN)))):
        await model.load(n, base)
        for offers, takes in ((0.3, 0.9), (0.9, 0.5)):
            sources = model.directory.sources(rng, 300)
            await model.send(sources, rng.random(400) < offers, rng.random(400) < takes)
            await model.drain()


BENCH = Bench(
    make=lambda: RowLookup(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *(f"{sampler.name} row" for sampler in Sampler),
        "row waits",
        "own number",
        "own number 0",
        "hash of a stub is zero",
        "no row",
        "row in every block",
        "absent row",
        "empty row",
        "source waits for another's rows",
        "source below all blocks",
        "source beyond 2^31",
        "reset with rows under way",
    ),
    equivalent=LOOKUP_EQUIVALENT,
)
