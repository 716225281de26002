"""Pipelines of graphs compute what `csnn.neurons.evaluate` does, at the latency of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_bench import leaves, port, random_graph

from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Graph, Op
from csnn.neurons.lif import LIF
from csnn.neurons.operators import Operators
from csnn.spec.network import LifNeuron
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig
from rtl.verilate import Verilated

OPERATORS = [
    Operators(),
    Operators(fadd=10, fmul=7, fexp=16, compare=2, itof=5, select=2, integer=3, logic=1),
    Operators(fadd=1, fmul=1, fexp=1, compare=1, itof=1, select=0, integer=0, logic=0),
]


class Bench:
    """A pipeline, and what it must give."""

    def __init__(self, graph: Graph, operators: Operators) -> None:
        self.graph = graph
        self.config = NeuronPipelineConfig(graph=graph, operators=operators)
        self.rtl = Verilated(NeuronPipeline(self.config))

    def differing(self, leaves: dict[Op, dict[str, Any]], n: int) -> list[str]:
        """Return the ports that differ for `n` neurons that follow each other."""
        latency = self.config.latency
        drive = {}
        for op, prefix in ((Op.INPUT, "in"), (Op.STATE, "state")):
            for name, values in leaves[op].items():
                drive[f"{prefix}_{name}"] = np.append(port(values), np.zeros(latency, np.uint64))
        for name, value in leaves[Op.CONSTANT].items():
            drive[f"constant_{name}"] = np.full(n + latency, port(np.asarray(value)[None])[0])
        found = self.rtl.run(drive)
        following, outputs = evaluate(
            self.graph,
            state=leaves[Op.STATE],
            inputs=leaves[Op.INPUT],
            constants=leaves[Op.CONSTANT],
        )
        wanted = {f"next_{name}": values for name, values in following.items()}
        wanted |= {f"out_{name}": values for name, values in outputs.items()}
        return [
            name
            for name, values in wanted.items()
            if not np.array_equal(found[name][latency:], port(np.broadcast_to(values, n)))
        ]

    def leaves(self, n: int, rng: np.random.Generator) -> dict[Op, dict[str, Any]]:
        return leaves(self.graph, n, rng)


@pytest.mark.parametrize("operators", OPERATORS, ids=["default", "long", "short"])
def test_lif(operators: Operators) -> None:
    bench = Bench(LIF.graph, operators)
    assert bench.config.latency == LIF.graph.latency(operators.latencies())
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert bench.differing(bench.leaves(2000, rng), 2000) == []
    # A neuron as it is in a network: near threshold, some of them refractory.
    n = 50_000
    constants = LIF.constants(LifNeuron(), dt_ms=0.1, weight_grid=0.0625, dc_pA=50.0)
    given = {
        Op.INPUT: {name: rng.integers(0, 30_000, n).astype(np.int32) for name in LIF.graph.inputs},
        Op.STATE: {
            "V": rng.normal(5.0, 10.0, n).astype(np.float32),
            "I_ex": rng.normal(5000.0, 2000.0, n).astype(np.float32),
            "I_in": rng.normal(5000.0, 2000.0, n).astype(np.float32),
            "refractory": rng.integers(0, 3, n).astype(np.int32),
        },
        Op.CONSTANT: constants,
    }
    assert bench.differing(given, n) == []
    _, outputs = evaluate(
        LIF.graph, state=given[Op.STATE], inputs=given[Op.INPUT], constants=constants
    )
    assert 0.05 < outputs["spike"].mean() < 0.95


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(s, marks=pytest.mark.slow) for s in range(2, 40))]
)
def test_random_graphs(seed: int) -> None:
    bench = Bench(random_graph(seed), OPERATORS[seed % len(OPERATORS)])
    rng = np.random.default_rng(seed)
    for _ in range(10):
        assert bench.differing(bench.leaves(1000, rng), 1000) == []


def test_every_operation_occurs() -> None:
    used = {op for seed in range(40) for op in random_graph(seed).operator_counts()}
    assert used == {op for op in Op if op not in (Op.INPUT, Op.STATE, Op.CONSTANT)}


def test_the_bench_sees_a_wrong_graph() -> None:
    """A pipeline of another graph, or of another latency, does not pass."""
    bench = Bench(LIF.graph, Operators())
    rng = np.random.default_rng(3)
    leaves = bench.leaves(500, rng)
    assert bench.differing(leaves, 500) == []
    bench.config = NeuronPipelineConfig(graph=LIF.graph, operators=Operators(fadd=8))
    assert set(bench.differing(leaves, 500)) == {f"next_{n}" for n in LIF.graph.states} | {
        "out_spike"
    }
