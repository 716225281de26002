"""Bench of RTR: `csnn.rows.unroll` says which synapses, models of its parts say when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from bench import Bench, Coverage, Dut
from row_directory import CONFIG, LAST_STUB, PORTS, Directory
from row_models import (
    LOOKUP_EQUIVALENT,
    UNROLLER_EQUIVALENT,
    LookupModel,
    UnrollerModel,
    compare,
    load,
)

from csnn.rows import Sampler
from rtl.row_lookup import RowLookup
from rtl.spike_router import SpikeRouter
from rtl.unroller import Unroller

LATENCY = SpikeRouter.latency(CONFIG)
PARTS = ("neuron", "delay", "code")


class Model:
    """A router with a directory."""

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.lookup = LookupModel(RowLookup.latency(CONFIG))
        self.unroller = UnrollerModel(Unroller.latency(CONFIG))
        self.is_loaded = False

    async def load(self, directory: Directory) -> None:
        self.directory = directory
        await load(self.dut, self.rng, directory)
        self.is_loaded = True

    async def reload_blocks(self) -> None:
        """What a reset forgets."""
        await load(self.dut, self.rng, self.directory, ("blocks",))
        self.is_loaded = True

    async def send(
        self, sources: npt.ArrayLike, offered: npt.ArrayLike, *, resets: npt.ArrayLike = 0
    ) -> dict[str, np.ndarray]:
        """Send sources and compare every output in every cycle."""
        cycles = len(np.asarray(offered))
        found = await self.dut.run(
            {
                "source__valid": offered,
                "rst": resets,
                **self.directory.settings,
                **{f"{port}__address": self.rng.integers(0, 16, cycles) for port in PORTS},
            },
            {"source": sources},
        )
        self.check(found)
        return found

    def check(self, found: dict[str, np.ndarray]) -> None:
        lookup, unroller, hit = self.lookup, self.unroller, self.cover.hit
        ready, busy, valid = (np.zeros(len(found["rst"]), bool) for _ in range(3))
        synapses = []
        payload = found["source__payload"].tolist()
        for t, (offers, resets) in enumerate(
            zip(found["source__valid"].tolist(), found["rst"].tolist(), strict=True)
        ):
            takes = unroller.ready
            ready[t] = lookup.takes(takes)
            busy[t] = lookup.busy or unroller.busy
            synapse = unroller.synapse
            if synapse is not None:
                valid[t] = True
                synapses.append(synapse)
            row = lookup.row if takes else None
            hit("row waits", lookup.row is not None and not takes)
            hit("row follows without a gap", row is not None and unroller.left == 1)
            if row is not None:
                hit(f"{Sampler(row.fields['sampler']).name} row")
                hit("row of one synapse", row.length == 1)
                is_last = row.fields["seed"] == LAST_STUB
                hit("hash of a stub is zero", is_last and row.fields["sampler"] == Sampler.STUBS)
                hit("own number stepped over", row.fields["own"] < self.directory.n)
            arriving = None
            if offers and ready[t]:
                arriving = self.directory.rows_of(payload[t]) if self.is_loaded else []
                hit("spike without a row", not arriving)
                hit("spike with rows in several blocks", len(arriving) > 1)
                hit("absent row", any(not r.is_present for r in arriving))
                hit("empty row", any(r.is_present and not r.length for r in arriving))
            lookup.cycle(arriving, takes)
            unroller.cycle(row)
            if resets:
                hit("reset with synapses under way", busy[t])
                lookup.reset()
                unroller.reset()
                self.is_loaded = False
        for name, expected in (("source__ready", ready), ("busy", busy), ("valid", valid)):
            differs = np.flatnonzero(found[name] != expected)
            assert not len(differs), (name, differs[:5])
        if synapses:
            given = np.stack([found[name][valid] for name in PARTS], axis=1)
            assert np.array_equal(given, np.array(synapses)), "another synapse"


def cost(directory: Directory, source: int) -> int:
    """Return the cycles that a spike may cost."""
    return max(1, sum(max(1, row.length) for row in directory.rows_of(source)))


def make(rng: np.random.Generator, n: int, **kinds: object) -> Directory:
    base = int(rng.choice([16, 2**32 - 128, int(rng.integers(2**10, 2**31))]))
    return Directory(rng, n=n, base=base, **kinds)  # type: ignore[arg-type]


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Nothing comes; then single spikes with long pauses, of which the last is heard out."""
    model = Model(dut, rng, cover)
    await model.load(make(rng, 40))
    await compare(dut, rng, model.directory)
    await model.send([], np.zeros(40))
    await model.send(model.directory.sources(rng, 20), np.arange(2000) % 100 == 50)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Spikes without a pause, of every sampler: max(1, L) cycles for each row, no more."""
    model = Model(dut, rng, cover)
    for sampler in Sampler:
        for fixed, count in ((0, 100), (1, 100), (2, 60), (9, 30)):
            kinds = {"samplers": (sampler,), "fixed": fixed, "everywhere": True}
            directory = make(rng, 40, **kinds)
            await model.load(directory)
            sources = directory.base + rng.integers(0, 90, count)
            total = count * max(1, fixed)
            found = await model.send(sources, np.ones(total + LATENCY))
            taken = found["source__valid"] & found["source__ready"]
            assert taken.sum() == count
            times = np.flatnonzero(found["valid"])
            if fixed:
                assert times.tolist() == list(range(LATENCY, LATENCY + total))
            else:
                assert np.array_equal(np.flatnonzero(taken), np.arange(count))
                assert not len(times)
    directory = make(rng, 256, samplers=(Sampler.DISTINCT,), fixed=255, everywhere=True)
    await model.load(directory)
    await model.send(directory.sources(rng, 12), np.ones(12 * 255 + LATENCY))
    directory = make(rng, 256, samplers=(Sampler.STUBS,), fixed=1, everywhere=True)
    await model.load(directory)
    await model.send(directory.sources(rng, 112), np.ones(112 + LATENCY))
    directory = make(rng, 200)
    await model.load(directory)
    sources = directory.sources(rng, 200)
    total = sum(cost(directory, source) for source in sources.tolist())
    found = await model.send(sources, np.ones(total + LATENCY))
    assert not model.lookup.busy
    assert not model.unroller.busy


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset drops what is under way, and the blocks; the other memories stay."""
    model = Model(dut, rng, cover)
    await model.load(make(rng, 255, long=0.1))
    for at in (3, 21, 37, 60, 61, 111, 203):
        cycles = 300
        await model.send(
            model.directory.sources(rng, cycles), np.ones(cycles), resets=np.arange(cycles) == at
        )
        await model.reload_blocks()


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Spikes at every rate, in nodes of several sizes."""
    model = Model(dut, rng, cover)
    for n, rate, long in ((256, 0.05, 0.2), (16, 0.3, 0.03), (1, 0.1, 0.1), (213, 0.9, 0.1)):
        await model.load(make(rng, n, long=long))
        cycles = 1500
        await model.send(model.directory.sources(rng, cycles), rng.random(cycles) < rate)
        await model.send([], np.zeros(1500))
    await compare(dut, rng, model.directory)


BENCH = Bench(
    make=lambda: SpikeRouter(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *(f"{sampler.name} row" for sampler in Sampler),
        "row waits",
        "row follows without a gap",
        "row of one synapse",
        "own number stepped over",
        "hash of a stub is zero",
        "spike without a row",
        "spike with rows in several blocks",
        "absent row",
        "empty row",
        "reset with synapses under way",
    ),
    equivalent={
        **LOOKUP_EQUIVALENT,
        **UNROLLER_EQUIVALENT,
    },
)
