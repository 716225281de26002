"""Pipelines made from schedules compute what `evaluate` does, with the schedule's IL and II."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graph_bench import leaves, port, random_graph, tame_words, words

from csnn.neurons.composition import Step
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Graph, Op
from csnn.neurons.lif import LIF
from csnn.neurons.models.adex import Adex
from csnn.neurons.models.izhikevich import Izhikevich
from csnn.neurons.models.lif import Lif
from csnn.neurons.models.mat2 import Mat2
from csnn.neurons.operators import ECP5_OPERATORS, Operators
from csnn.neurons.registry import MODELS
from csnn.neurons.synapses import Synapses
from hls_models.checks import violations
from hls_models.schedule import Schedule, schedule
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig
from rtl.scheduled_pipeline import ScheduledPipeline
from rtl.verilate import Verilated
from rtl.verilog import merge_units, to_verilog

STEPS = {
    "lif_delta": Step(Lif(), Synapses(kernel="delta", coupling="cuba"), "exact"),
    "mat2_exp": Step(Mat2(), Synapses(kernel="exp", coupling="cuba"), "exact"),
    "izhikevich_exp_coba_rk2": Step(Izhikevich(), Synapses(kernel="exp", coupling="coba"), "rk2"),
    "adex_exp_coba_euler": Step(Adex(), Synapses(kernel="exp", coupling="coba"), "euler"),
    "lif_alpha_coba_ps4": Step(Lif(), Synapses(kernel="alpha", coupling="coba"), "ps4"),
    "adex_exp_coba_rk4": Step(Adex(), Synapses(kernel="exp", coupling="coba"), "rk4"),
}
SHORT = Operators(fadd=1, fmul=1, compare=1, itof=1, select=0, integer=0, logic=0)


class Bench:
    """A pipeline, and what it must give."""

    def __init__(
        self, planned: Schedule, change: Callable[[str], str] = lambda verilog: verilog
    ) -> None:
        self.planned = planned
        self.rtl = Verilated(
            ScheduledPipeline(planned), change=lambda verilog: change(merge_units(verilog))
        )

    def delays(
        self, lead: int, rng: np.random.Generator, *, n: int = 150, is_tame: bool = False
    ) -> tuple[set[int], int]:
        """Return what a run of `n` neurons shows, of which the first enters in cycle `lead`.

        The delays at which every output has every neuron's words, and the cycles between neurons.
        """
        graph, ii = self.planned.graph, self.planned.ii
        given = leaves(graph, n, rng, tame_words if is_tame else words)
        longest = self.planned.latency + 2 * ii + 2
        total = lead + n * ii + longest
        drive: dict[str, Any] = {}
        for op, prefix in ((Op.INPUT, "in"), (Op.STATE, "state")):
            for name, values in given[op].items():
                # What stands there before and after is no neuron.
                column = rng.integers(0, 2**32, total).astype(np.uint64)
                column[lead : lead + n * ii] = np.repeat(port(values), ii)
                drive[f"{prefix}_{name}"] = column
        for name, value in given[Op.CONSTANT].items():
            drive[f"constant_{name}"] = np.full(total, port(np.asarray(value)[None])[0])
        if ii > 1:
            drive["start"] = (np.arange(total) == lead - 1).astype(np.uint64)
        found = self.rtl.run(drive)
        following, outputs = evaluate(
            graph, state=given[Op.STATE], inputs=given[Op.INPUT], constants=given[Op.CONSTANT]
        )
        wanted = {f"next_{name}": values for name, values in following.items()}
        wanted |= {f"out_{name}": values for name, values in outputs.items()}
        columns = {name: port(np.broadcast_to(values, n)) for name, values in wanted.items()}
        delays = {
            delay
            for delay in range(longest)
            if all(
                np.array_equal(found[name][lead + delay :: ii][:n], column)
                for name, column in columns.items()
            )
        }
        if ii == 1:
            return delays, 1
        (taken,) = np.nonzero(found["takes"][lead:])
        assert taken[0] == 0
        (interval,) = set(np.diff(taken).tolist())
        return delays, interval

    def measure(self, seed: int) -> tuple[int, int]:
        """Return IL and II of ten runs, with special and with tame words.

        IL is the least delay at which all of them are right, -1 if there is none: in a single one
        a late output may have the same word, a NaN say, for all neurons.
        """
        rng = np.random.default_rng(seed)
        # All but the first begin out of step with the one before.
        runs = [self.delays(lead, rng, is_tame=lead % 2 == 0) for lead in range(1, 11)]
        (interval,) = {interval for _, interval in runs}
        return min(set.intersection(*(delays for delays, _ in runs)), default=-1), interval


def graph_of(name: str) -> Graph:
    return STEPS[name].graph if name in STEPS else MODELS[name].graph


CASES = [
    ("lif", 1),
    ("lif_delta", 2),
    ("mat2_exp", 4),
    ("adex_exp_coba_euler", 8),
]
SLOW = [
    *((name, ii) for name in ("lif", "lif_delta", "mat2_exp") for ii in (1, 2, 3, 4, 8)),
    *(
        (name, ii)
        for name in ("izhikevich_exp_coba_rk2", "adex_exp_coba_euler", "lif_alpha_coba_ps4")
        for ii in (1, 2, 3, 4, 8)
    ),
    *(("adex_exp_coba_rk4", ii) for ii in (1, 4, 8, 32)),
    ("adex_delta_cuba_ps2", 3),
    ("amat2_beta_cuba_exact", 2),
    ("izhikevich_delta_cuba_ps4", 1),
]


@pytest.mark.parametrize(
    ("name", "ii"),
    [
        *CASES,
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in CASES),
    ],
)
def test_models(name: str, ii: int) -> None:
    planned = schedule(graph_of(name), ii=ii)
    assert violations(planned) == []
    assert Bench(planned).measure(1) == (planned.latency, ii)


@pytest.mark.parametrize(
    ("seed", "ii"),
    [
        (0, 5),
        *(
            pytest.param(seed, ii, marks=pytest.mark.slow)
            for seed, ii in zip(range(1, 25), [2, 3, 4, 6, 7, 8] * 4, strict=True)
        ),
    ],
)
def test_random_graphs(seed: int, ii: int) -> None:
    operators = (Operators(), ECP5_OPERATORS, SHORT)[seed % 3]
    planned = schedule(random_graph(seed), operators, ii=ii)
    assert violations(planned) == []
    assert Bench(planned).measure(seed) == (planned.latency, ii)


def test_without_sharing_it_is_the_neuron_pipeline() -> None:
    planned = schedule(LIF.graph, shorten=False)
    pipeline = NeuronPipeline(NeuronPipelineConfig(graph=LIF.graph))
    assert to_verilog(ScheduledPipeline(planned)) == to_verilog(pipeline)


# One adder does two sums and a difference in turn.
PLANNED = schedule(STEPS["lif_delta"].graph, ii=3)


def later(planned: Schedule) -> Schedule:
    """Return a schedule whose last operation is done one cycle late, and so the results."""
    position = max(range(len(planned.starts)), key=planned.ready)
    starts = list(planned.starts)
    starts[position] += 1
    return replace(planned, starts=tuple(starts))


def collided(planned: Schedule) -> Schedule:
    """Return a schedule in which two operations take an operator in the same cycle."""
    first, second = planned.work["fadd", 0][:2]
    starts = list(planned.starts)
    starts[second] = starts[first]
    return replace(planned, starts=tuple(starts))


def test_a_schedule_that_breaks_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be built: node 13 starts in"):
        to_verilog(ScheduledPipeline(collided(PLANNED)))


def test_another_latency_and_another_graph_are_seen() -> None:
    late = later(PLANNED)
    assert violations(late) == []
    assert Bench(late).measure(2) == (PLANNED.latency + 1, 3)
    bench = Bench(PLANNED)
    nodes = list(PLANNED.graph.nodes)
    position = next(i for i, node in enumerate(nodes) if node.op is Op.FSUB)
    nodes[position] = replace(nodes[position], op=Op.FADD)
    bench.planned = replace(PLANNED, graph=replace(PLANNED.graph, nodes=tuple(nodes)))
    assert bench.measure(2) == (-1, 3)


@pytest.mark.parametrize(
    ("original", "planted"),
    [
        ("fadd_0_b_negate <= ", "fadd_0_b_negate <= ~"),
        ("at_1 <= ", "at_1 <= ~"),
        ("_a_select <= ", "_a_select <= ~"),
    ],
)
def test_planted_faults_of_the_verilog_are_caught(original: str, planted: str) -> None:
    def change(verilog: str) -> str:
        assert original in verilog
        return verilog.replace(original, planted, 1)

    assert Bench(PLANNED, change).measure(3) == (-1, 3)
