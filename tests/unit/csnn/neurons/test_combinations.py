"""Which combinations of neuron, synapses and solver are models, and what they are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from csnn import binary32
from csnn.errors import InvalidInputError
from csnn.image import layout
from csnn.neurons import model as model_module
from csnn.neurons.evaluate import evaluate
from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel
from csnn.neurons.models.lif import Lif
from csnn.neurons.registry import (
    DESCRIPTIONS,
    MODELS,
    Combination,
    combinations,
    described,
    model_of,
    named,
    parse,
)
from csnn.spec.neuron import COUPLINGS, KERNELS, MAX_SUBSTEPS, SOLVERS, LifNeuron, Neuron

EVERY = list(combinations())
LEGAL = [c for c in EVERY if c.refusal() is None]
LINEAR, OTHERS = ("lif", "mat2", "amat2"), ("izhikevich", "adex")
GRID = 2.0**-4


def neuron_of(combination: Combination, **values: Any) -> Neuron:
    return DESCRIPTIONS[combination.neuron].parameters(
        kernel=combination.kernel,
        coupling=combination.coupling,
        solver=combination.solver,
        substeps=combination.substeps,
        **values,
    )


def constants_of(combination: Combination, dc_pA: float) -> dict[str, np.float32 | np.int32]:
    model = model_of(neuron_of(combination))
    return model.constants(neuron_of(combination), dt_ms=0.1, weight_grid=GRID, dc_pA=dc_pA)


def test_every_choice_combines_with_every_other() -> None:
    assert tuple(DESCRIPTIONS) == (*LINEAR, *OTHERS)
    assert len(EVERY) == len({c.name for c in EVERY}) == len(DESCRIPTIONS) * 4 * 2 * 10
    assert {(c.neuron, c.kernel, c.coupling, c.solver) for c in EVERY} == {
        (n, k, c, s) for n in DESCRIPTIONS for k in KERNELS for c in COUPLINGS for s in SOLVERS
    }


def test_exact_is_refused_for_nonlinear_systems_and_nothing_else_is() -> None:
    assert len(LEGAL) == 77 * len(LINEAR) + 72 * len(OTHERS)
    refused = {c: c.refusal() for c in EVERY if c not in LEGAL}
    # A conductance multiplies V; between the jumps of `delta` there is none.
    expected = {
        c
        for c in EVERY
        if c.solver == "exact"
        and (c.neuron in OTHERS or (c.coupling == "coba" and c.kernel != "delta"))
    }
    assert set(refused) == expected
    for combination, reason in refused.items():
        wrong = "V, x" if combination.neuron == "amat2" else "V"
        assert reason == f"exact integration needs a linear system; that of {wrong} is not"
    counts = {**dict.fromkeys(LINEAR, 77), **dict.fromkeys(OTHERS, 72)}
    assert Counter(c.neuron for c in LEGAL) == counts


def test_refused_combinations_have_no_graph() -> None:
    with pytest.raises(ValueError, match="linear system"):
        _ = Combination(neuron="lif", kernel="exp", coupling="coba", solver="exact").step.graph


@pytest.mark.parametrize("substeps", [1, 2, 3, 9, 10, 16])
def test_names_spell_combinations(substeps: int) -> None:
    for combination in EVERY:
        whole = replace(combination, substeps=substeps)
        assert whole.name.endswith(f"_{whole.solver}" if substeps == 1 else f"_x{substeps}")
        assert parse(whole.name) == whole
        is_refused = combination.refusal() is not None
        assert (whole.refusal() is not None) == (
            is_refused or (combination.solver == "exact" and substeps > 1)
        )
        assert (whole.name in MODELS) == (whole.refusal() is None)


@pytest.mark.parametrize(
    "name",
    [
        "lif",
        "",
        "lif_exp_cuba",
        "lif_exp_cuba_rk4_x1",
        "lif_exp_cuba_rk4_x0",
        "lif_exp_cuba_rk4_x02",
        "lif_exp_cuba_rk4_x17",
        "lif_exp_cuba_rk4_x116",
        "lif_exp_cuba_rk4_x",
        "lif_exp_cuba_rk4_x2_x2",
        "lif_exp_cuba_rk4 ",
        "lif_exp_cuba_rk4\n",
        "lif_exp_cuba_rk3",
        "lif_exp_cuba_ps7",
        "lif_cuba_exp_rk4",
        "LIF_exp_cuba_rk4",
        "hh_exp_cuba_rk4",
        "lif_double_cuba_rk4",
        "lif_exp_coba_rk4_x-2",
        "lif_exp_coba_rk4_x²",
    ],
)
def test_other_names_spell_none(name: str) -> None:
    assert parse(name) is None
    assert (name in MODELS) == (name == "lif")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lif_exp_coba_exact", "there is no such model: exact integration needs a linear system"),
        ("adex_exp_cuba_exact", "there is no such model: exact integration needs a linear system"),
        ("lif_exp_cuba_exact_x2", "there is no such model: exact integration needs no parts"),
        ("adex_exp_coba_rk5", "did you mean adex_exp_coba_rk"),
        ("izikevich_exp_cuba_rk4", "did you mean izhikevich_exp_cuba_rk4?"),
        ("lif2", "did you mean lif?"),
        ("x", "lif or <neuron>_<kernel>_<coupling>_<solver>"),
        ("q" * 100_000, "lif or <neuron>_<kernel>_<coupling>_<solver>"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        named(name, "node.model")
    assert str(caught.value).startswith("node.model = ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
    with pytest.raises(KeyError):
        MODELS[name]


def test_parameters_name_their_model() -> None:
    for combination in LEGAL:
        neuron = neuron_of(combination)
        assert Combination.of(neuron) == combination
        model = model_of(neuron)
        assert model is (LIF if neuron == LifNeuron() else MODELS[combination.name])
        assert model is named(model.name)
        assert model.neuron_type is type(neuron)
        assert model.float_states[0] == "V"
        assert model.int_states == ("refractory",)
    for combination in EVERY:
        if combination not in LEGAL:
            with pytest.raises(InvalidInputError, match=r"neuron\.solver = 'exact': exact int"):
                model_of(neuron_of(combination))


def test_parameters_that_nobody_registered_name_none(monkeypatch: pytest.MonkeyPatch) -> None:
    neuron = neuron_of(LEGAL[-1])
    monkeypatch.delitem(DESCRIPTIONS, "adex")
    with pytest.raises(InvalidInputError, match="one of the models lif, mat2, amat2, izhikevich"):
        model_of(neuron)


def test_the_direct_current_is_one_constant() -> None:
    for combination in LEGAL:
        none, some, more = (constants_of(combination, dc_pA) for dc_pA in (0.0, 70.0, 140.0))
        changed = {name for name in none if none[name].tobytes() != some[name].tobytes()}
        assert changed == {"C_dc"}, combination.name
        first, second = (float(x["C_dc"]) - float(none["C_dc"]) for x in (some, more))
        assert first > 0.0
        assert second == pytest.approx(2.0 * first, rel=1e-5)


def test_constants_are_those_of_the_parameters() -> None:
    for combination in LEGAL:
        model, neuron = model_of(neuron_of(combination)), neuron_of(combination)
        # Another refractory time is another counter and nothing else.
        other = constants_of(combination, 10.0)
        held = model.constants(
            replace(neuron, t_ref_ms=0.7), dt_ms=0.1, weight_grid=GRID, dc_pA=10.0
        )
        assert {n for n in other if other[n] != held[n]} == {"ref_steps"}
        assert held["ref_steps"] == 7
        assert set(other) == {*model.float_constants, *model.int_constants}


def test_names_fit_images() -> None:
    width = layout.HEADER["model"].itemsize
    assert width == model_module.MAX_NAME == 32
    longest = max((replace(c, substeps=MAX_SUBSTEPS).name for c in EVERY), key=len)
    assert len(longest) <= width
    with pytest.raises(ValueError, match="longer than 32"):
        NeuronModel(name="a" * 33, neuron_type=LifNeuron, graph=LIF.graph, rule=LIF.rule)


class Nameless(Lif):
    """A neuron whose name is no part of a model's name."""

    name = "my_lif"


@pytest.mark.parametrize("name", ["my_lif", "Lif", "2lif", "", "a" * 12])
def test_neurons_with_other_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nameless, "name", name)
    with pytest.raises(ValueError, match="must be 1 to 11 small letters and digits"):
        described(f"{__name__}:Nameless")


def test_neurons_are_registered_once() -> None:
    place = "csnn.neurons.models.lif:Lif"
    assert list(described(place)) == ["lif"]
    with pytest.raises(ValueError, match="another neuron called lif"):
        described(place, place)


def differing_words(combination: Combination, n: int = 20_000) -> int:
    """Count the words that a step of `lif` and of a combination leave different."""
    neuron = LifNeuron(tau_syn_in_ms=1.3, t_ref_ms=0.4)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**32, (3, n), dtype=np.uint32)
    usual = rng.normal(0.0, 30.0, (3, n)).astype(np.float32).view(np.uint32)
    state = binary32.from_bits(np.where(rng.random((3, n)) < 0.5, words, usual))
    leaves: dict[str, Any] = dict(zip(LIF.float_states, state, strict=True))
    leaves["refractory"] = rng.choice([0, 0, 1, 4, -1, -(2**31)], n).astype(np.int32)
    inputs = {
        name: rng.choice([0, 1, 1405, 2**24 - 1], n).astype(np.int32) for name in ("ss_ex", "ss_in")
    }
    results = []
    for model in (LIF, MODELS[combination.name]):
        constants = model.constants(neuron, dt_ms=0.1, weight_grid=GRID, dc_pA=3.7)
        after, outputs = evaluate(model.graph, state=leaves, inputs=inputs, constants=constants)
        floats = [binary32.bits_of(after[name]) for name in LIF.float_states]
        results.append(np.stack([*floats, after["refractory"].view(np.uint32), outputs["spike"]]))
    assert results[0][-1].any()
    return int(np.count_nonzero(results[0] != results[1]))


def test_composed_lif_is_the_machine_s_own_bit_for_bit() -> None:
    exact = Combination(neuron="lif", kernel="exp", coupling="cuba", solver="exact")
    assert differing_words(exact) == 0
    assert differing_words(replace(exact, solver="ps4")) > 0
