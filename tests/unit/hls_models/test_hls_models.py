"""Emitted models = NumPy evaluation, word for word: single steps from random words, and runs."""

from __future__ import annotations

import re
from pathlib import Path

import many_benches
import numpy as np
import pytest
from combination_cases import N_NEURONS, STEPS, Case, legal

from csnn.binary32 import from_bits
from csnn.neurons.graph import LEAVES, Kind, Op, Trace, decrement, is_zero, select, to_f32
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import DESCRIPTIONS, MODELS, default_parameters, parse, resting_state
from csnn.spec.network import LifNeuron
from csnn.spec.neuron import COUPLINGS, KERNELS, SOLVERS
from hls_models import artifact, build
from hls_models.emit_cpp import Block
from hls_models.stimulus import DT_MS, WEIGHT_GRID, sections
from hls_models.vectors import DRIVEN, Section, packed

VARIANTS = {"integers": (), "cores": (build.FLOAT_CORES,)}
# Every neuron, kernel, coupling and solver at least once.
SUBSET = (
    "lif_exp_cuba_exact",
    "lif_delta_coba_ps6",
    "mat2_alpha_coba_rk2",
    "mat2_exp_cuba_ps1",
    "amat2_beta_cuba_ps2",
    "amat2_exp_coba_ps3",
    "izhikevich_exp_cuba_euler",
    "izhikevich_delta_cuba_ps5",
    "adex_exp_coba_rk4",
    "adex_delta_cuba_ps4",
)


def block_of(model: NeuronModel, neurons: int = 37, pipelines: int = 8) -> Block:
    return Block(model=model, neurons=neurons, pipelines=pipelines)


def constants_of(model: NeuronModel) -> np.ndarray:
    is_registered = model.name in MODELS
    neuron = default_parameters(model.name) if is_registered else model.neuron_type()
    constants = model.constants(neuron, dt_ms=DT_MS, weight_grid=WEIGHT_GRID)
    return packed(model, constants)


def vectors(block: Block, steps: int, seed: int) -> tuple[Block, list[Section]]:
    name, constants = block.model.name, constants_of(block.model)
    initial = resting_state(default_parameters(name)) if name in MODELS else {}
    return block, sections(block, constants, initial, steps=steps, seed=seed)


def every_operation() -> NeuronModel:
    """Return a model with every operation of graphs, and with unused leaves, in odd places."""
    trace = Trace()
    ss_ex, _ = trace.input("ss_ex", Kind.I32), trace.input("ss_in", Kind.I32)
    u, w = trace.state("u"), trace.state("w")
    refractory = trace.state("refractory", Kind.I32)
    a, b = trace.constant("a"), trace.constant("b")
    shift = trace.constant("shift", Kind.I32)
    free = is_zero(refractory) & ~(u < a)
    swapped = select(free, select(u >= w, a, w), b)
    grown = trace.apply(Op.FEXP, u * (w - a))
    spike = ~(grown < to_f32((ss_ex + ss_ex) + shift)) & select(free, u >= b, free)
    return NeuronModel(
        name="every_operation",
        neuron_type=LifNeuron,
        graph=trace.build(
            next_state={
                "u": grown - swapped + a,
                "w": swapped,
                "refractory": select(spike, decrement(shift), refractory + shift),
            },
            outputs={"spike": spike},
        ),
        rule=lambda neuron, *, dt_ms, weight_grid, dc_pA: {"a": 3.0, "b": 1e-30, "shift": -9},
    )


def test_subset_has_one_of_each() -> None:
    for place, parts in enumerate((DESCRIPTIONS, KERNELS, COUPLINGS, SOLVERS)):
        assert {name.split("_")[place] for name in SUBSET} == set(parts)
    assert set(SUBSET) <= {c.name for c in legal()}


def test_operations_are_all_there() -> None:
    ops = {node.op for node in every_operation().graph.nodes}
    assert ops == set(Op)
    assert ops - set(LEAVES) == set(every_operation().graph.operator_counts())


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_equal_their_evaluation(
    tmp_path: Path, variant: str, subset: dict[str, tuple[Block, list[Section]]]
) -> None:
    blocks = [block for block, _ in subset.values()]
    program = many_benches.build(tmp_path, blocks, VARIANTS[variant])
    lines = many_benches.run(program, subset)
    for name, line in zip(subset, lines, strict=True):
        assert line.startswith(f"{name}: equal in 592 steps from random words (")
        found = re.search(r"in 60 steps of 16 neurons driven by spikes \((\d+) spikes\)$", line)
        assert found is not None
        assert int(found[1]) > 0 or name == "every_operation"


@pytest.fixture(scope="module")
def subset() -> dict[str, tuple[Block, list[Section]]]:
    models = [MODELS["lif"], every_operation(), *(MODELS[name] for name in SUBSET)]
    return {model.name: vectors(block_of(model), 60, seed=2) for model in models}


def test_runs_are_neither_silent_nor_saturated(
    subset: dict[str, tuple[Block, list[Section]]],
) -> None:
    """Of a run in which nothing or everything spikes equality would say little."""
    for name in (
        *("lif", "mat2_alpha_coba_rk2", "amat2_beta_cuba_ps2", "adex_exp_coba_rk4"),
        *("izhikevich_exp_cuba_euler", "izhikevich_delta_cuba_ps5"),
    ):
        (run,) = (section for section in subset[name][1] if section.kind == DRIVEN)
        spikes = run.spikes.sum(axis=0)
        assert spikes.min() == 0
        assert spikes.max() > 0
        words = run.next_states[-1, : len(subset[name][0].model.float_states)]
        assert np.isfinite(from_bits(words.ravel())).mean() > 0.7


# What is wrong in an operation, and a model in which it must show.
_FAULTS = {
    "operands of products are not flushed": (
        "lif",
        "csnn_primitives.h",
        "const word a = flushed(a_any), b = flushed(b_any);\n    const word sign",
        "const word a = a_any, b = b_any;\n    const word sign",
    ),
    "operands of sums are not flushed": (
        "mat2_exp_cuba_ps1",
        "csnn_primitives.h",
        "const word a = flushed(a_any), b = flushed(b_any);\n    const bool is_b_larger",
        "const word a = a_any, b = b_any;\n    const bool is_b_larger",
    ),
    "a NaN keeps its bits": (
        "lif",
        "csnn_primitives.h",
        "is_nan(b) || (is_infinite && is_zero))\n        return CANONICAL_NAN",
        "is_nan(b) || (is_infinite && is_zero))\n        return a",
    ),
    "sums are rounded by the wrong bit": (
        "lif",
        "csnn_primitives.h",
        "total >> 3 & 1u",
        "total >> 2 & 1u",
    ),
    "the exponential has a wrong term": (
        "adex_exp_coba_rk4",
        "csnn_exponential.h",
        "leading * leading >> 9",
        "leading * leading >> 10",
    ),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_planted_fault_in_an_operation_is_found(
    tmp_path: Path, subset: dict[str, tuple[Block, list[Section]]], fault: str
) -> None:
    """Not only operation by operation, but in the steps of models, too."""
    name, header, old, new = _FAULTS[fault]
    block, parts = subset[name]
    program = many_benches.build(tmp_path, [block], changes={header: (old, new)})
    (line,) = many_benches.run(program, {name: (block, parts)})
    assert line.startswith(f"{name}: section ")
    assert ", expected 0x" in line


def a_second(block: Block) -> Section:
    """Return a spike-driven run of 10,000 steps; NumPy has evaluated every one of them."""
    combination = parse(block.model.name)
    assert combination is not None
    case = Case(combination)
    run = case.run(case.inputs(STEPS, N_NEURONS))
    assert run.first_difference() is None
    assert run.spikes.any(axis=0).all()
    states = np.concatenate(
        [run.states.view(np.uint32), run.refractory.view(np.uint32)[:, None]], axis=1
    )
    return Section(
        kind=DRIVEN,
        constants=packed(case.model, case.constants),
        states=states[0],
        inputs=run.inputs.view(np.uint32),
        next_states=states[1:],
        spikes=run.spikes,
    )


@pytest.mark.slow
@pytest.mark.parametrize("neuron", DESCRIPTIONS)
def test_all_models_equal_their_evaluation(tmp_path: Path, neuron: str) -> None:
    chosen = [c.name for c in legal() if c.neuron == neuron]
    assert len(chosen) >= 72
    blocks = [block_of(MODELS[name], neurons=24) for name in chosen]
    expected = {}
    for block in blocks:
        _, sections = vectors(block, 0, seed=10)
        expected[block.model.name] = (block, [*sections, a_second(block)])
    for variant, options in VARIANTS.items():
        (tmp_path / variant).mkdir()
        program = many_benches.build(tmp_path / variant, blocks, options)
        lines = many_benches.run(program, expected)
        assert [line for line in lines if " equal in " not in line] == []
        assert [line.split(":")[0] for line in lines] == chosen
        assert all(f"in {STEPS} steps of {N_NEURONS} neurons" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adex_exp_coba_rk4", "lif_exp_cuba_exact"])
def test_a_second_of_model_time(tmp_path: Path, name: str) -> None:
    manifest = artifact.emit(block_of(MODELS[name], neurons=64), tmp_path / name)
    assert manifest["vectors"]["driven_steps"] == 10_000
    assert manifest["vectors"]["driven_spikes"] > 100
    for float_cores in (False, True):
        is_equal, said = build.run_bench(tmp_path / name, float_cores=float_cores)
        assert is_equal, said
