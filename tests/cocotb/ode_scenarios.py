"""Scenarios of the ODE unit: `csnn.simulator.blocks.OdeUnit` is its model, IL + N_p its cycles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from bench import Arrays, Bench, Coverage, Dut, Scenario

from csnn.hardware.config import NodeConfig
from csnn.hardware.latency import ode_cycles, ode_latency
from csnn.hardware.memory_map import NEURON_BITS
from csnn.neurons.lif import LIF
from csnn.simulator.blocks import OdeUnit as Reference
from csnn.spec.network import LifNeuron
from rtl.circular_buffer import SUM_BITS
from rtl.external import UNITS_BITS
from rtl.ode_unit import OdeUnit

U32 = npt.NDArray[np.uint32]

# From the cycle of an address to that of its word.
READ = 2
ONE, SIGN, INFINITY = 0x3F800000, 0x80000000, 0x7F800000
CORNERS = np.array(
    [
        *(0, 1, 0x7FFFFF, 0x800000, 0x800001, 0x1000000, 0x33800000, 0x33800001, 0x3F7FFFFF),
        *(ONE, ONE + 1, 0x40000000, 0x4B7FFFFF, 0x4B800000, 0x7F000000, 0x7F7FFFFF, INFINITY),
        *(0x7F800001, 0x7FC00000),
    ],
    np.uint32,
)
# Zeros, infinities, no numbers, and words that look like them if a bit is forgotten.
THRESHOLDS = [0, SIGN, INFINITY, INFINITY + 1, 0x7FC00000, 0xFF800001, 0x3FC00001, 0x77800001]


def with_exponent(words: U32, exponent: npt.NDArray[np.integer]) -> U32:
    field = np.clip(exponent, 0, 255).astype(np.uint32) << np.uint32(23)
    return words & np.uint32(0x807FFFFF) | field


def beside(a: U32, rng: np.random.Generator) -> U32:
    """Return operands that make sums and products with `a` hard: cancellation, ties, limits."""
    n = len(a)
    words = rng.integers(0, 2**32, n, dtype=np.uint32)
    exponent = (a >> np.uint32(23) & np.uint32(255)).astype(np.int64)
    nudge = (rng.integers(-(2**23), 2**23, n) >> rng.integers(0, 24, n)).astype(np.int32)
    few = words & np.uint32(0xFFFFFFFF) << rng.integers(8, 24, n).astype(np.uint32)
    kinds = [
        words,
        rng.choice(CORNERS, n) | rng.choice([0, SIGN], n).astype(np.uint32),
        (a ^ np.uint32(SIGN)) + nudge.view(np.uint32),
        with_exponent(words, exponent + rng.integers(-28, 29, n)),
        with_exponent(words, 127 - exponent + rng.integers(-2, 3, n)),
        with_exponent(words, 381 - exponent + rng.integers(-2, 3, n)),
        with_exponent(few, exponent + rng.integers(-26, 27, n)),
    ]
    return np.choose(rng.integers(0, len(kinds), n), kinds).astype(np.uint32)


class Model:
    """The unit with constants, states and the neurons that spiked last."""

    def __init__(
        self, config: NodeConfig, dut: Dut, rng: np.random.Generator, cover: Coverage
    ) -> None:
        self.config, self.dut, self.rng, self.cover = config, dut, rng, cover
        self.lanes, self.size, self.IL = config.pipelines, config.neurons, ode_latency(config)
        model = config.neuron_model
        self.constant_names = (*model.float_constants, *model.int_constants)
        self.states = np.zeros((len(config.state_words), self.size), np.uint32)
        self.constants = np.zeros(len(self.constant_names), np.uint32)
        self.dc = 0

    async def write(self, port: str, address: np.ndarray, words: np.ndarray) -> None:
        order = self.rng.permutation(len(address))
        await self.dut.run(
            {
                f"{port}__select": 1,
                f"{port}__write": np.ones(len(order)),
                f"{port}__address": address[order],
                f"{port}__write_data": words[order],
            }
        )

    async def write_constants(self, words: U32) -> None:
        """Write the constants and read them back."""
        self.constants = words
        await self.write("constants", np.arange(len(words)), words)
        await self.compare_constants()

    async def compare_constants(self) -> None:
        # Twice: the first time must not have written what is offered.
        address = np.tile(np.arange(len(self.constants)), 2)
        found = await self.dut.run(
            {
                "constants__address": address,
                "constants__write_data": self.rng.integers(0, 2**32, len(address)),
            }
        )
        assert np.array_equal(found["constants__read_data"], self.constants[address])

    async def write_states(self, states: U32) -> None:
        self.states = states
        word, neuron = np.indices(states.shape)
        await self.write("states", (word << NEURON_BITS | neuron).ravel(), states.ravel())

    async def compare_states(self) -> None:
        """Read all states, memory by memory: each gives a word per cycle."""
        word, lane, group = np.indices(
            (len(self.states), self.lanes, self.size // self.lanes + READ)
        )
        neuron = np.minimum(group, self.size // self.lanes - 1) * self.lanes + lane
        address = (word << NEURON_BITS | neuron).ravel()
        found = await self.dut.run(
            {
                "states__select": 1,
                "states__address": address,
                "states__write_data": self.rng.integers(0, 2**32, len(address)),
            }
        )
        words = found["states__read_data"].reshape(word.shape)[:, :, READ:]
        assert np.array_equal(
            words.transpose(0, 2, 1).reshape(len(self.states), self.size), self.states
        )

    def inputs(self) -> npt.NDArray[np.int64]:
        """Return sums of every magnitude, shape (ex, in, external; neurons)."""
        shape = 2, self.size
        sums = self.rng.integers(0, 1 << SUM_BITS, shape) >> self.rng.integers(0, SUM_BITS, shape)
        units = self.rng.integers(0, 1 << UNITS_BITS, self.size) >> self.rng.integers(
            0, UNITS_BITS, self.size
        )
        sums[:, ::8] = units[::8] = 0
        return np.concatenate([sums, units[np.newaxis]])

    async def step(self, n: int, *, reset: int | None = None, pause: int = 0) -> None:
        """Make a step with `n` neurons and compare every output in every cycle."""
        groups = -(-n // self.lanes)
        begin = pause
        cycles = begin + ode_cycles(self.config, n)
        inputs = self.inputs()
        driven = {}
        for name, values, bits in zip(
            ("input_ex", "input_in", "external"),
            inputs,
            (SUM_BITS, SUM_BITS, UNITS_BITS),
            strict=True,
        ):
            column = self.rng.integers(0, 1 << bits * self.lanes, cycles)
            packed = sum(values[lane :: self.lanes] << bits * lane for lane in range(self.lanes))
            column[begin + 2 : begin + 2 + groups] = packed[:groups]
            driven[name] = column
        found = await self.dut.run(
            {
                "start": np.arange(cycles) == begin,
                "last_group": groups - 1,
                "n_neurons": n,
                "dc": self.dc,
                "states__address": self.rng.integers(0, 1 << NEURON_BITS, cycles),
                "rst": np.arange(cycles) == (cycles if reset is None else begin + reset),
                **driven,
            }
        )
        self.check(found, inputs, n, begin, reset)

    def check(
        self, found: Arrays, inputs: npt.NDArray[np.int64], n: int, begin: int, reset: int | None
    ) -> None:
        groups, cycles = -(-n // self.lanes), len(found["rst"])
        end = cycles if reset is None else begin + reset
        t = np.arange(cycles)
        computing = (t > begin) & (t < begin + self.IL + groups) & (t <= end)
        assert np.array_equal(found["computing"], computing)
        valid = (t >= begin + self.IL) & (t < begin + self.IL + groups) & (t <= end)
        assert np.array_equal(found["valid"], valid)
        asked = (t > begin) & (t <= begin + groups) & (t <= end)
        assert np.array_equal(found["group"][asked], np.arange(asked.sum()))
        if reset is None:
            # L_Np = IL + N_p, from `start` to the end of `computing`.
            assert np.flatnonzero(found["computing"])[-1] - begin + 1 == ode_cycles(self.config, n)
            assert OdeUnit.latency(self.config) + groups == ode_cycles(self.config, n)
        after, spikes = self.reference(inputs)
        written = int(valid.sum())
        assert np.array_equal(found["spiking_group"][valid], np.arange(written))
        spikes[n:] = False
        packed = sum(spikes[lane :: self.lanes].astype(int) << lane for lane in range(self.lanes))
        assert np.array_equal(found["spikes"][valid], packed[:written])
        part = slice(0, written * self.lanes)
        self.cover_neurons(after[:, part], spikes[part], n)
        self.states[:, part] = after[:, part]
        self.cover.hit("reset within a step", 0 < written < groups and reset is not None)
        if reset is not None:
            self.constants = np.zeros_like(self.constants)

    def reference(self, inputs: npt.NDArray[np.int64]) -> tuple[U32, npt.NDArray[np.bool_]]:
        node = cast(Any, SimpleNamespace(constants=self.constants))
        unit = Reference(node, self.config.neuron_model, self.states[:-1], self.states[-1])
        ss = np.stack([inputs[0] + inputs[2], inputs[1]])
        with np.errstate(all="ignore"):
            spikes = unit.advance(ss, np.array([self.dc], np.uint32).view(np.float32)[0])
        return np.concatenate([unit.state, unit.refractory[np.newaxis]]), spikes

    def cover_neurons(self, after: U32, spikes: npt.NDArray[np.bool_], n: int) -> None:
        hit = self.cover.hit
        V, refractory = after[0], self.states[-1][: len(spikes)]
        waits = refractory != 0
        hit("spike", spikes)
        hit("no spike", ~spikes)
        hit("spike while refractory", spikes & waits)
        hit("refractory counts down", waits & ~spikes & (after[-1] == refractory - 1))
        hit("refractory ends", waits & ~spikes & (after[-1] == 0))
        hit(
            "potential equals threshold",
            waits & spikes & (self.states[0][: len(spikes)] == self.theta),
        )
        hit("infinite", V & 0x7FFFFFFF == INFINITY)
        hit("no number", V & 0x7FFFFFFF > INFINITY)
        hit("part of a group", n % self.lanes)
        hit("all groups", n == self.size)

    @property
    def theta(self) -> int:
        return int(self.constants[self.constant_names.index("theta")])

    async def usual(self) -> None:
        """Constants of a neuron, states near its threshold."""
        made = LIF.constants(LifNeuron(t_ref_ms=0.3), dt_ms=0.1, weight_grid=2**-9)
        words = [np.array([made[name]]).view(np.uint32)[0] for name in self.constant_names]
        await self.write_constants(np.array(words, np.uint32))
        potentials = self.rng.normal(14.0, 2.0, self.size)
        potentials[::8] = made["theta"]
        currents = self.rng.normal(0.0, 2e5, (2, self.size))
        currents[0, ::2] = self.rng.normal(14.0, 2.0, self.size // 2)
        states = np.concatenate([potentials[np.newaxis], currents]).astype(np.float32)
        counters = self.rng.integers(0, 4, (1, self.size), dtype=np.uint32)
        await self.write_states(np.concatenate([states.view(np.uint32), counters]))
        self.dc = int(np.float32(self.rng.normal(0.0, 1.0)).view(np.uint32))

    async def unusual(self) -> None:
        """Words that are hard to add, to multiply or to compare."""
        rng = self.rng
        words = rng.choice(
            np.array([ONE, ONE | SIGN, 0], np.uint32), len(self.constants), p=[0.7, 0.15, 0.15]
        )
        a = rng.integers(0, 2**32, self.size, dtype=np.uint32)
        for _ in range(int(rng.integers(3))):
            words[rng.integers(len(words))] = rng.integers(2**32)
        self.dc = int(rng.choice([0, int(rng.integers(2**32))]))
        place = {name: k for k, name in enumerate(self.constant_names)}
        of = {
            name: words[place[name]] if name in place else ONE
            for name in ("P11_in", "P22", "P21_ex")
        }
        near = np.uint32(self.dc if rng.random() < 0.5 else of["P11_in"])
        first = np.where(rng.random(self.size) < 0.3, beside(np.full(self.size, of["P22"]), rng), a)
        currents = beside(first, rng), beside(np.full(self.size, near), rng)
        if rng.random() < 0.3:
            currents = beside(np.full(self.size, of["P21_ex"]), rng), beside(first, rng)
        words[place["theta"]] = rng.choice([*first[:4], *currents[0][:4], *THRESHOLDS])
        # Added to no input: nothing at all, and a number that rounding carries over a power of two.
        words[place["ref_steps"]] = rng.choice([rng.integers(2**32), 0, 0x1FFFFFFF])
        counters = np.where(
            rng.random(self.size) < 0.6,
            0,
            rng.integers(0, 2**32, self.size) >> rng.integers(0, 32, self.size),
        )
        await self.write_constants(words)
        await self.write_states(np.stack([first, *currents, counters.astype(np.uint32)]))


async def idle(config: NodeConfig, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """No step begins: nothing changes. Then steps far apart."""
    model = Model(config, dut, rng, cover)
    await model.usual()
    found = await dut.run({"last_group": np.full(60, 3), "n_neurons": 7})
    assert not found["computing"].any()
    assert not found["valid"].any()
    await model.compare_states()
    for n in (1, 2, 9):
        await model.step(n, pause=30)
        await model.compare_states()


async def back_pressure(
    config: NodeConfig, dut: Dut, rng: np.random.Generator, cover: Coverage
) -> None:
    """A step right after another: a group per cycle, the unit never stalls."""
    model = Model(config, dut, rng, cover)
    await model.usual()
    n = model.size
    for size in (n, n - 1, 5, n, 1, 2, n // 2 + 1, n):
        await model.step(size)
    await model.compare_states()


async def reset_in_flight(
    config: NodeConfig, dut: Dut, rng: np.random.Generator, cover: Coverage
) -> None:
    """A reset ends the step; groups that are not done keep their states, constants are zero."""
    model = Model(config, dut, rng, cover)
    for reset in (1, 3, model.IL - 1, model.IL, model.IL + 5, model.IL + 12):
        await model.usual()
        await model.step(model.size, reset=reset)
        await model.compare_constants()
        await model.compare_states()
        await model.step(model.size)
        await model.compare_states()


async def random(config: NodeConfig, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Words of every kind."""
    model = Model(config, dut, rng, cover)
    for turn in range(160):
        await (model.usual() if turn % 10 == 0 else model.unusual())
        await model.step(
            int(rng.integers(1, model.size + 1)) if turn % 5 == 0 else model.size, pause=turn % 3
        )
        await model.compare_states()


def ode_bench(config: NodeConfig, equivalent: Mapping[str, str]) -> Bench:
    """Return the bench of the unit of a configuration."""

    def of(scenario: Callable[..., Awaitable[None]]) -> Scenario:
        async def run(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
            await scenario(config, dut, rng, cover)

        run.__name__ = scenario.__name__
        return run

    return Bench(
        make=lambda: OdeUnit(config),
        scenarios=tuple(of(each) for each in (idle, back_pressure, reset_in_flight, random)),
        bins=(
            "spike",
            "no spike",
            "spike while refractory",
            "refractory counts down",
            "refractory ends",
            "potential equals threshold",
            "infinite",
            "no number",
            "part of a group",
            "all groups",
            "reset within a step",
        ),
        equivalent=equivalent,
        mutated="top",
    )
