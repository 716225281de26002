"""Bench of the unroller: `csnn.rows.unroll` says which synapses, a count of draws says when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from bench import Bench, Coverage, Dut
from row_directory import CONFIG, Directory, Row
from row_models import UNROLLER_EQUIVALENT, UnrollerModel, compare, load

from csnn.rows import Sampler
from rtl.row_lookup import row_layout
from rtl.unroller import Unroller
from rtl.verilate import from_words, to_words

PORTS = ("weights", "delays", "synapses")
LATENCY = Unroller.latency(CONFIG)
LAYOUT = row_layout(CONFIG)
FIELDS = [(name, field.offset) for name, field in LAYOUT]
PARTS = ("neuron", "delay", "code")


def packed(row: Row) -> int:
    """Return the payload of a row."""
    return sum(row.fields[name] << offset for name, offset in FIELDS)


class Model:
    """An unroller with tables, and rows that are no directory's any more."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.unroller = UnrollerModel(LATENCY)

    async def load(self, n: int, **kinds: object) -> None:
        """Write the tables of a new directory."""
        self.directory = Directory(self.rng, n=n, base=1000, **kinds)  # type: ignore[arg-type]
        await load(self.dut, self.rng, self.directory, PORTS)

    def rows(self, count: int, largest: int = 255) -> list[Row]:
        """Return rows of the directory in random order."""
        rows = [
            row
            for source in self.directory.rows
            for row in self.directory.rows_of(source)
            if 0 < row.length <= largest
        ]
        return [rows[place] for place in self.rng.integers(0, len(rows), count)]

    async def unroll(
        self, rows: list[Row], offered: npt.ArrayLike, *, resets: npt.ArrayLike = 0
    ) -> dict[str, np.ndarray]:
        """Unroll rows and compare every output in every cycle."""
        cycles = len(np.asarray(offered))
        found = await self.dut.run(
            {
                "row__valid": offered,
                "n_neurons": self.directory.n,
                "rst": resets,
                **{f"{port}__address": self.rng.integers(0, 128, cycles) for port in PORTS},
            },
            {"row": to_words([packed(row) for row in rows], LAYOUT.size)},
        )
        self.check(found, {packed(row): row for row in rows})
        return found

    def check(self, found: dict[str, np.ndarray], rows: dict[int, Row]) -> None:
        unroller, hit = self.unroller, self.cover.hit
        cycles = len(found["rst"])
        ready, busy, valid = (np.zeros(cycles, bool) for _ in range(3))
        synapses = []
        payloads = from_words(found["row__payload"])
        for t in range(cycles):
            ready[t], busy[t] = unroller.ready, unroller.busy
            if unroller.synapse is not None:
                valid[t] = True
                synapses.append(unroller.synapse)
            row = None
            if found["row__valid"][t] and ready[t]:
                row = rows[payloads[t]]
                self.cover_row(row)
            unroller.cycle(row)
            if found["rst"][t]:
                hit("reset within a row", unroller.left)
                unroller.reset()
        for name, expected in (("row__ready", ready), ("busy", busy), ("valid", valid)):
            differs = np.flatnonzero(found[name] != expected)
            assert not len(differs), (name, differs[:5])
        if synapses:
            given = np.stack([found[name][valid] for name in PARTS], axis=1)
            assert np.array_equal(given, np.array(synapses)), "another synapse"

    def cover_row(self, row: Row) -> None:
        hit, fields = self.cover.hit, row.fields
        sampler = Sampler(fields["sampler"])
        last = self.unroller.row
        if last is not None and self.unroller.left == 1:
            hit("row after a row of one synapse", last.length == 1)
            hit(f"{sampler.name} right after {Sampler(last.fields['sampler']).name}")
        hit("row of one synapse", row.length == 1)
        hit("longest row", row.length == 255)
        hit("every candidate", sampler is Sampler.DISTINCT and row.length == fields["available"])
        hit("own number stepped over", np.any(row.synapses[:, 0] > fields["own"]))
        right = fields["seed"] & 0xFF
        hit("stubs carry", sampler is Sampler.STUBS and right + row.length > self.directory.n)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then single rows with long pauses."""
    model = Model(dut, rng, cover)
    await model.load(40)
    await compare(dut, rng, model.directory, PORTS)
    await model.unroll([], np.zeros(60))
    await model.unroll(model.rows(20, 40), np.arange(2000) % 100 == 50)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Rows without a pause give a synapse in every cycle."""
    model = Model(dut, rng, cover)
    for n, samplers in ((256, (*Sampler, Sampler.DISTINCT)), (17, (Sampler.DISTINCT,) * 5)):
        await model.load(n, samplers=samplers, long=0.3)
        for largest, count in ((1, 100), (3, 100), (255, 40)):
            rows = model.rows(count, largest)
            total = sum(row.length for row in rows)
            found = await model.unroll(rows, np.ones(total + LATENCY))
            assert np.flatnonzero(found["valid"]).tolist() == [*range(LATENCY, total + LATENCY)]
    await compare(dut, rng, model.directory, PORTS)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset drops the row and what was drawn; tables stay."""
    model = Model(dut, rng, cover)
    await model.load(255, long=0.2)
    for at in (1, 2, 9, 40, 60, 101):
        cycles = 250
        resets = np.arange(cycles) == at
        await model.unroll(model.rows(cycles), rng.random(cycles) < 0.7, resets=resets)
        await model.unroll([], np.zeros(300))


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Rows at every rate, in nodes of several sizes."""
    model = Model(dut, rng, cover)
    for n, rate, long in ((256, 0.1, 0.2), (1, 0.5, 0.1), (16, 0.9, 0.03), (213, 0.3, 0.2)):
        await model.load(n, long=long)
        await model.unroll(model.rows(1000), rng.random(1000) < rate)
        await model.unroll([], np.zeros(300))


BENCH = Bench(
    make=lambda: Unroller(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *(f"{after.name} right after {before.name}" for before in Sampler for after in Sampler),
        "row of one synapse",
        "row after a row of one synapse",
        "longest row",
        "every candidate",
        "own number stepped over",
        "stubs carry",
        "reset within a row",
    ),
    equivalent=UNROLLER_EQUIVALENT,
)
