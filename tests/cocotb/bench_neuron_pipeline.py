"""Bench of the neuron pipeline with the LIF model: `csnn.neurons.evaluate` is its model."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench import Arrays, Bench, Coverage, Dut
from lif_neurons import Words, carried_neurons, odd_constants, odd_neurons, usual_neurons

from csnn import binary32
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Kind
from csnn.neurons.lif import LIF
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig

CONFIG = NeuronPipelineConfig(graph=LIF.graph)
LATENCY = CONFIG.latency


def model(found: Arrays) -> Arrays:
    """Return next states and the spike of every cycle's neuron."""

    def values(prefix: str, kinds: dict[str, Kind]) -> dict[str, np.ndarray]:
        return {
            name: found[f"{prefix}_{name}"]
            .astype(np.uint32)
            .view(np.float32 if kind is Kind.F32 else np.int32)
            for name, kind in kinds.items()
        }

    following, outputs = evaluate(
        LIF.graph,
        state=values("state", LIF.graph.states),
        inputs=values("in", LIF.graph.inputs),
        constants=values("constant", LIF.graph.constants),
    )
    wanted = {
        f"next_{name}": value.view(np.uint32).astype(np.uint64) for name, value in following.items()
    }
    return wanted | {"out_spike": outputs["spike"].astype(np.uint64)}


async def drive(
    dut: Dut,
    cover: Coverage,
    neurons: Words,
    *,
    cycles: Any = 1,
    rst: Any = 0,
) -> None:
    """Compare neurons that each stay for some cycles."""
    held = {name: np.repeat(words, cycles) for name, words in neurons.items()}
    found = await dut.run({**held, "rst": rst})
    # What is under way while constants change counts for nothing.
    counts = np.logical_and.reduce(
        [
            words[LATENCY:] == words[:-LATENCY]
            for name, words in held.items()
            if name.startswith("constant_")
        ]
    )
    for name, words in model(found).items():
        assert np.array_equal(found[name][LATENCY:][counts], words[:-LATENCY][counts]), name
        found[name] = words
    note(found, cover)


def note(found: Arrays, cover: Coverage) -> None:
    """Tell what kinds of neurons these were, given what follows."""
    refractory = found["state_refractory"].astype(np.uint32).view(np.int32)
    V, theta = (
        binary32.flush(found[name].astype(np.uint32).view(np.float32))
        for name in ("state_V", "constant_theta")
    )
    spike = found["out_spike"] == 1
    cover.hit("spike", spike & (refractory == 0))
    cover.hit("no spike", ~spike & (refractory == 0))
    cover.hit("spike while refractory", spike & (refractory != 0))
    cover.hit("at threshold", spike & (refractory != 0) & (theta == V))
    cover.hit("threshold of NaN", np.isnan(theta))
    cover.hit("V is NaN", np.isnan(V))
    cover.hit("last step of the refractory time", refractory == 1)
    cover.hit("negative refractory time", refractory < 0)
    for name in ("ss_ex", "ss_in"):
        cover.hit(f"{name} is zero", found[f"in_{name}"] == 0)
        cover.hit(f"{name} is negative", found[f"in_{name}"] >> np.uint64(31) == 1)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Neurons that stay, and change once in a while."""
    await drive(dut, cover, usual_neurons(5, rng), cycles=2 * LATENCY)
    await drive(dut, cover, usual_neurons(5, rng), cycles=[1, LATENCY - 1, 1, LATENCY, 1])


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A neuron in every cycle."""
    await drive(dut, cover, usual_neurons(400, rng))


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Registers of data have no reset: what is under way is not disturbed."""
    for share in (0.03, 0.5):
        await drive(dut, cover, usual_neurons(150, rng), rst=rng.random(150) < share)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Neurons and constants of every kind."""
    constants, part = odd_constants(220, rng)
    held = {name: np.repeat(words, 64) for name, words in constants.items()}
    await drive(dut, cover, {**held, **odd_neurons(held, np.repeat(part, 64), rng)})
    await drive(dut, cover, carried_neurons(300, rng))


BENCH = Bench(
    make=lambda: NeuronPipeline(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        "spike",
        "no spike",
        "spike while refractory",
        "at threshold",
        "threshold of NaN",
        "V is NaN",
        "last step of the refractory time",
        "negative refractory time",
        *(f"{name} is {kind}" for name in ("ss_ex", "ss_in") for kind in ("zero", "negative")),
    ),
    equivalent={
        "$: (! state_refractory) | state_refractory[31] => $ ^ state_refractory[31]": "zero is "
        "not negative",
    },
    mutated="top",
)
