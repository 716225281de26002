"""Pipelines of every neuron model give the words of NumPy's evaluation.

What they are given are any words, and every step of a spike-driven run of one second: steps that
are equal from equal states are an equal run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from combination_cases import N_NEURONS, STEPS, Case, covering, legal
from graph_bench import port

from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Graph, Node, Op
from csnn.neurons.registry import Combination
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig
from rtl.shared_units import SharedUnits
from rtl.verilate import Verilated

RANDOM_NEURONS = 20_000
COVERING = covering()
OTHERS = [c for c in legal() if c not in COVERING]


class Bench:
    """The pipeline of a model, and what it must give."""

    def __init__(self, case: Case, graph: Graph | None = None) -> None:
        self.case = case
        self.config = NeuronPipelineConfig(graph=graph or case.model.graph)
        units = SharedUnits()
        pipeline = NeuronPipeline(self.config, units)
        self.rtl = Verilated(pipeline, verilog=units.verilog(pipeline))

    def differing(
        self, state: dict[str, Any], refractory: np.ndarray, inputs: dict[str, Any]
    ) -> dict[str, int]:
        """Return how many words differ, by port, for neurons that follow each other."""
        graph, latency, n = self.case.model.graph, self.config.latency, len(refractory)
        state = {**state, "refractory": refractory}

        def column(values: np.ndarray) -> np.ndarray:
            return np.append(port(values), np.zeros(latency, np.uint64))

        drive = {f"in_{name}": column(values) for name, values in inputs.items()}
        drive |= {f"state_{name}": column(values) for name, values in state.items()}
        for name, value in self.case.constants.items():
            drive[f"constant_{name}"] = np.full(n + latency, port(np.asarray(value)[None])[0])
        found = self.rtl.run(drive)
        following, outputs = evaluate(
            graph, state=state, inputs=inputs, constants=self.case.constants
        )
        wanted = {f"next_{name}": values for name, values in following.items()}
        wanted |= {f"out_{name}": values for name, values in outputs.items()}
        counts = {
            name: int(np.count_nonzero(found[name][latency:] != port(values)))
            for name, values in wanted.items()
        }
        return {name: count for name, count in counts.items() if count}

    def on_random_words(self, seed: int = 1) -> dict[str, int]:
        state, refractory, (ex, inh) = self.case.random_words(RANDOM_NEURONS, seed)
        names = self.case.model.float_states
        return self.differing(
            dict(zip(names, state, strict=True)), refractory, {"ss_ex": ex, "ss_in": inh}
        )

    def on_a_run(self) -> dict[str, int]:
        run = self.case.run(self.case.inputs(STEPS, N_NEURONS))
        assert run.spikes.any(axis=0).all()
        names = self.case.model.float_states
        state = dict(zip(names, np.moveaxis(run.states[:-1], 1, 0), strict=True))
        return self.differing(
            {name: values.ravel() for name, values in state.items()},
            run.refractory[:-1].ravel(),
            {"ss_ex": run.inputs[:, 0].ravel(), "ss_in": run.inputs[:, 1].ravel()},
        )


def check(combination: Combination) -> None:
    bench = Bench(Case(combination))
    assert bench.on_random_words() == {}
    assert bench.on_a_run() == {}


@pytest.mark.parametrize("combination", COVERING, ids=lambda c: c.name)
def test_covering_models(combination: Combination) -> None:
    check(combination)


@pytest.mark.slow
@pytest.mark.parametrize("combination", OTHERS, ids=lambda c: c.name)
def test_all_other_models(combination: Combination) -> None:
    check(combination)


def test_a_wrong_operation_is_found() -> None:
    case = Case(Combination(neuron="lif", kernel="exp", coupling="coba", solver="euler"))
    graph = case.model.graph
    (position, *_) = [i for i, node in enumerate(graph.nodes) if node.op is Op.FSUB]
    node = graph.nodes[position]
    nodes = list(graph.nodes)
    nodes[position] = Node(Op.FADD, node.kind, node.operands)
    wrong = Graph(nodes=tuple(nodes), next_state=graph.next_state, outputs=graph.outputs)
    bench = Bench(case, wrong)
    assert "next_V" in bench.on_random_words()
    assert "next_V" in bench.on_a_run()
