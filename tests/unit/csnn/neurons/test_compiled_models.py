"""Every neuron model: NumPy's evaluation and the compiled updates give the same words."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from combination_cases import N_NEURONS, STEPS, Case, Run, covering, legal

from csnn.neurons import compiled, flush
from csnn.neurons.evaluate import evaluate
from csnn.neurons.registry import Combination, combinations

RANDOM_NEURONS = 4096
MODES = ("hardware", "software") if flush.HARDWARE else ("software",)
COVERING = covering()
OTHERS = [c for c in legal() if c not in COVERING]
# Solvers of the same equations: their neurons fire nearly as often.
GROUPS = sorted({(c.neuron, c.kernel, c.coupling) for c in legal()})


def wrong_words(case: Case, mode: str, seed: int = 1) -> int:
    """Count the words that one compiled step from any words leaves unequal to the evaluation."""
    model = case.model
    state, refractory, (ex, inh) = case.random_words(RANDOM_NEURONS, seed)
    after, outputs = evaluate(
        model.graph,
        state={**dict(zip(model.float_states, state, strict=True)), "refractory": refractory},
        inputs={"ss_ex": ex, "ss_in": inh},
        constants=case.constants,
    )
    spiked = np.zeros(RANDOM_NEURONS, dtype=np.uint8)
    step = compiled.load(model, mode=mode).step
    step(state, refractory, ex, inh, *model.pack(case.constants), spiked, RANDOM_NEURONS)
    expected = np.stack([after[name] for name in model.float_states])
    return int(
        np.count_nonzero(state.view(np.uint32) != expected.view(np.uint32))
        + np.count_nonzero(refractory != after["refractory"])
        + np.count_nonzero(spiked.astype(bool) != outputs["spike"])
    )


def check(combination: Combination) -> None:
    case = Case(combination)
    for mode in MODES:
        assert wrong_words(case, mode) == 0, mode
    run = case.run(case.inputs(STEPS, N_NEURONS))
    assert run.first_difference() is None
    assert run.spikes.any(axis=0).all(), "some neuron never fired"
    assert np.isfinite(run.states).all()


@pytest.mark.parametrize("combination", COVERING, ids=lambda c: c.name)
def test_covering_models(combination: Combination) -> None:
    check(combination)


@pytest.mark.slow
@pytest.mark.parametrize("combination", OTHERS, ids=lambda c: c.name)
def test_all_other_models(combination: Combination) -> None:
    check(combination)


def test_every_legal_pair_is_covered() -> None:
    names = [field.name for field in fields(Combination)]

    def pairs(chosen: list[Combination]) -> set[tuple[object, ...]]:
        return {
            (a, getattr(c, a), b, getattr(c, b))
            for c in chosen
            for a, b in itertools.combinations(names, 2)
        }

    assert pairs(COVERING) == pairs(legal((1, 2)))
    assert len(COVERING) < len(legal()) / 4


def rates(neuron: str, kernel: str, coupling: str) -> dict[str, int]:
    found = {}
    for c in combinations():
        if (c.neuron, c.kernel, c.coupling) == (neuron, kernel, coupling) and c.refusal() is None:
            case = Case(c)
            found[c.solver] = int(case.run(case.inputs(STEPS, N_NEURONS)).spikes.sum())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "kernel", "coupling"), GROUPS)
def test_solvers_agree_on_rates(neuron: str, kernel: str, coupling: str) -> None:
    spikes = rates(neuron, kernel, coupling)
    for solver, count in spikes.items():
        tolerance = 0.1 if solver in ("euler", "ps1") else 0.02
        assert count == pytest.approx(spikes["rk4"], rel=tolerance), (solver, spikes)


def example() -> Run:
    case = Case(Combination(neuron="lif", kernel="exp", coupling="coba", solver="euler"))
    return case.run(case.inputs(200, 4))


def test_a_wrong_word_is_found() -> None:
    run = example()
    assert run.first_difference() is None
    states = run.states.copy()
    states[57, 0, 2] = np.nextafter(states[57, 0, 2], np.float32(100.0))
    found = replace(run, states=states).first_difference()
    assert found is not None
    assert "step 57, neuron 2, V" in found


def test_a_wrong_constant_is_found() -> None:
    run = example()
    case = Case(run.case.combination)
    constants = dict(case.constants)
    constants["decay_in"] = np.nextafter(constants["decay_in"], np.float32(0.0))
    case.__dict__["constants"] = constants
    assert replace(run, case=case).first_difference() is not None


def test_a_missing_spike_is_found() -> None:
    run = example()
    spikes = run.spikes.copy()
    spikes[100, 3] ^= True
    found = replace(run, spikes=spikes).first_difference()
    assert found is not None
    assert "step 101, neuron 3, spike" in found
