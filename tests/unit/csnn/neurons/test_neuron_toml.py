"""Neurons of all kinds in descriptions: read, written, refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.registry import DESCRIPTIONS, Combination, combinations, model_of
from csnn.spec.description import Description
from csnn.spec.distributions import Constant, Normal
from csnn.spec.network import (
    AllToAll,
    EdgeList,
    FixedIndegree,
    LifNeuron,
    Network,
    Neuron,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.toml import dumps, loads
from netgen.build import generate

LEGAL = [c for c in combinations() if c.refusal() is None]
# One of each neuron, kernel and coupling, with a solver that all have.
KINDS = [c for c in LEGAL if c.solver == "rk2"]


def changed(combination: Combination, factor: float = 1.25) -> Neuron:
    """Return parameters of which every one that has a meaning is not its default."""
    usual = DESCRIPTIONS[combination.neuron].parameters(
        kernel=combination.kernel,
        coupling=combination.coupling,
        solver=combination.solver,
        substeps=3,
        t_ref_ms=1.5,
    )
    names = [n for n in (*usual.comments, "tau_syn_ex_ms", "tau_rise_in_ms") if usual.means(n)]
    small = {"Delta_T_mV", "c_mV", "V_reset_mV"}
    values = {n: getattr(usual, n) * (factor if n in small else 1.0625) + 1e-3 for n in names}
    potentials = {"E_in_mV": -71.5} if combination.coupling == "coba" else {}
    return replace(usual, **values, **potentials)


def network(neuron: Neuron, other: Neuron, weight: float = 0.5) -> Network:
    populations = (
        Population(name="A", size=8, neuron=neuron, poisson=PoissonInput(rate_hz=9.0, weight=0.75)),
        Population(name="B", size=6, neuron=other, V_init_mV=Normal(mu=-70.0, sigma=1.0)),
        Population(name="C", size=5, neuron=neuron),
    )
    projections = (
        Projection(
            source="A",
            target="B",
            rule=FixedIndegree(indegree=3),
            weight=Normal(mu=weight, sigma=0.1),
            delay_ms=Constant(value=1.0),
        ),
        Projection(
            source="B",
            target="A",
            rule=AllToAll(),
            weight=Constant(value=-weight),
            delay_ms=Constant(value=1.5),
        ),
    )
    return Network(name="three", populations=populations, projections=projections)


@pytest.mark.parametrize("combination", KINDS, ids=lambda c: c.name)
def test_what_is_written_reads_back_equal(combination: Combination) -> None:
    neuron = changed(combination)
    # Another set of parameters, and the same with what the other has not changed.
    for other in (replace(neuron, t_ref_ms=0.5), type(neuron)(kernel="delta", solver="euler")):
        description = Description(network=network(neuron, other))
        text = dumps(description)
        assert loads(text) == description
        assert dumps(loads(text)) == text
    key = {"pA": "weight_pA", "nS": "weight_nS", "mV": "weight_mV", "1": "weight"}
    assert f"{key[neuron.weight_unit]} = -0.5" in re.sub(" +", " ", text)
    shared = text[text.index("[neuron]") :].split("\n\n")[0]
    assert f'model = "{combination.neuron}"' in re.sub(" +", " ", shared)
    rows = [line for line in shared.splitlines()[1:] if not line.startswith("model")]
    assert all(re.search(r" # \S", row) for row in rows), shared


@pytest.mark.parametrize("combination", LEGAL, ids=lambda c: c.name)
def test_every_model_reads_back(combination: Combination) -> None:
    neuron = DESCRIPTIONS[combination.neuron].parameters(
        kernel=combination.kernel, coupling=combination.coupling, solver=combination.solver
    )
    description = Description(network=network(neuron, neuron))
    found = loads(dumps(description))
    assert found == description
    assert Combination.of(found.network.populations[1].neuron) == combination


def test_populations_of_different_models_are_described_but_make_no_image(tmp_path: Path) -> None:
    adex = DESCRIPTIONS["adex"].parameters(coupling="coba", V_T_mV=-49.0)
    description = Description(network=network(adex, LifNeuron(V_th_mV=-51.0)))
    assert loads(dumps(description)) == description
    message = r"population B\.neuron: all populations must use one model; A has adex_exp_coba_rk4"
    with pytest.raises(InvalidInputError, match=message):
        generate(description, 1, tmp_path / "image")
    two = Description(network=network(adex, replace(adex, substeps=2)))
    with pytest.raises(InvalidInputError, match="this one adex_exp_coba_rk4_x2"):
        generate(two, 1, tmp_path / "image")
    refused = Description(network=network(replace(adex, solver="exact"), adex))
    message = r"population A\.neuron\.solver = 'exact': exact integration needs a linear system"
    with pytest.raises(InvalidInputError, match=message):
        generate(refused, 1, tmp_path / "image")
    assert not (tmp_path / "image").exists()


def test_populations_of_one_model_have_their_own_parameters(tmp_path: Path) -> None:
    adex = DESCRIPTIONS["adex"].parameters(coupling="coba")
    other = replace(adex, b_pA=0.0, E_in_mV=-75.0)
    image = generate(Description(network=network(adex, other)), 1, tmp_path / "image")
    assert image.manifest["model"] == "adex_exp_coba_rk4"
    names = model_of(adex).float_constants
    words = [dict(zip(names, node.constants.tolist(), strict=False)) for node in image.nodes]
    differ = {name for name in names if words[0][name] != words[1][name]}
    assert differ == {"b", "E_in"}
    assert words[0] == words[2]
    reread = loads((tmp_path / "image" / "network.toml").read_text(encoding="utf-8"))
    assert reread.network == network(adex, other)


TEXT = """\
name = "n"
[neuron]
{neuron}
[[population]]
name = "E"
size = 10
{population}
[[projection]]
source = "E"
target = "E"
rule = "all_to_all"
{weight}
delay_ms = 1.0
"""
ADEX, COBA = 'model = "adex"', 'model = "adex"\ncoupling = "coba"'
DELTA = 'model = "adex"\nkernel = "delta"'


def text(neuron: str = "", population: str = "", weight: str = "weight_pA = 1.0") -> str:
    return TEXT.format(neuron=neuron, population=population, weight=weight)


PROJECTION = "projection E->E"
POISSON = "population E.poisson"
THESE = "weights of synapses onto these neurons"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (text(COBA), f"{PROJECTION}.weight_pA = 1.0: {THESE} are in nS; write weight_nS"),
        (
            text(weight="weight_nS = 1.0"),
            f"{PROJECTION}.weight_nS = 1.0: {THESE} are in pA; write weight_pA",
        ),
        (
            text(DELTA, weight="weight_nS = 1.0"),
            f"{PROJECTION}.weight_nS = 1.0: {THESE} are in mV; write weight_mV",
        ),
        (
            text(DELTA + '\ncoupling = "coba"', weight="weight_mV = 1.0"),
            f"{PROJECTION}.weight_mV = 1.0: {THESE} have no unit; write weight",
        ),
        (
            text(ADEX, weight="weight = 1.0"),
            f"{PROJECTION}.weight = 1.0: {THESE} are in pA; write weight_pA",
        ),
        (
            text(COBA, weight="weight_nS = 1.0\nweight_pA = 1.0"),
            f"{PROJECTION}.weight_pA = 1.0: {THESE} are in nS; write weight_nS",
        ),
        (text(COBA, weight=""), f"{PROJECTION}.weight_nS: missing"),
        (
            text(COBA, weight="weigth_nS = 1.0"),
            f"{PROJECTION}.weigth_nS = 1.0: is not a key here; did you mean weight_nS?",
        ),
        (
            text(COBA, weight="weight_nS = nan"),
            f"{PROJECTION}.weight_nS = nan: must be a finite number",
        ),
        (
            text(COBA, "poisson = { rate_hz = 1.0, weight_pA = 1.0 }", "weight_nS = 1.0"),
            f"{POISSON}.weight_pA = 1.0: {THESE} are in nS; write weight_nS",
        ),
        (
            text(COBA, "poisson = { rate_hz = 1.0, weight_nS = -1.0 }", "weight_nS = 1.0"),
            f"{POISSON}.weight_nS = -1.0: must be a finite number > 0",
        ),
        (
            text(COBA, "poisson = { rate_hz = -1.0, weight_nS = 1.0 }", "weight_nS = 1.0"),
            f"{POISSON}.rate_hz = -1.0: must be a finite number >= 0",
        ),
        (text(COBA, "poisson = 3", "weight_nS = 1.0"), f"{POISSON} = 3: must be a table"),
        (text('model = "adx"'), "neuron.model = 'adx': did you mean adex?"),
        (text("model = 3"), "neuron.model = 3: "),
        (text(ADEX + "\nV_th_mV = -50.0"), "neuron.V_th_mV = -50.0: is not a key here"),
        (text(ADEX + "\nE_ex_mV = 1.0"), "neuron.E_ex_mV = 1.0: has no meaning with coupling"),
        (text(ADEX + "\ntau_rise_ex_ms = 1"), "neuron.tau_rise_ex_ms = 1.0: has no meaning with"),
        (text(ADEX + "\nsubsteps = 1.0"), "neuron.substeps = 1.0: must be an integer"),
        (
            text(ADEX, "neuron = { V_reset_mV = 1.0 }"),
            "population E.neuron.V_reset_mV = 1.0: must be < V_peak_mV",
        ),
    ],
)
def test_bad_neurons_and_weights_are_named(document: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loads(document, "net.toml")
    assert str(caught.value).startswith(f"net.toml: {message}")


GRID = "weights of this network"


@pytest.mark.parametrize(
    ("neuron", "weight", "key"),
    [
        ("", "weight_pA", "weight_grid_pA"),
        (COBA, "weight_nS", "weight_grid_nS"),
        (DELTA, "weight_mV", "weight_grid_mV"),
        (DELTA + '\ncoupling = "coba"', "weight", "weight_grid"),
    ],
)
def test_key_of_the_grid_has_the_unit_of_weights(neuron: str, weight: str, key: str) -> None:
    document = text(neuron, weight=f"{weight} = 1.0") + "\n[machine]\n"
    automatic = loads(document)
    assert automatic.machine.weight_grid is None
    assert re.search(f"\n# {key} += \\.\\.\\. +# a power of two; ", dumps(automatic))
    given = loads(f"{document}{key} = 0.25\n")
    assert given.machine.weight_grid == 0.25
    assert re.search(f"\n{key} += 0.25 +# a power of two; ", dumps(given))
    assert loads(dumps(given)) == given
    listed = replace(
        given, network=replace(given.network, edges=EdgeList(path="/list.csv"), projections=())
    )
    assert f"# columns source, target, {weight}, delay_ms\n" in dumps(listed)
    for value, message in (
        ("0.3", f"machine.{key} = 0.3: must be a power of two"),
        ("-1", f"machine.{key} = -1.0: must be a finite number > 0"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            loads(f"{document}{key} = {value}\n", "net.toml")
        assert str(caught.value).startswith(f"net.toml: {message}")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            text(COBA, weight="weight_nS = 1.0") + "[machine]\nweight_grid_pA = 1.0",
            f"machine.weight_grid_pA = 1.0: {GRID} are in nS; write weight_grid_nS",
        ),
        (
            text() + "[machine]\nweight_grid = 1.0",
            f"machine.weight_grid = 1.0: {GRID} are in pA; write weight_grid_pA",
        ),
        (
            text(DELTA + '\ncoupling = "coba"', weight="weight = 1.0")
            + "[machine]\nweight_grid_mV = 1.0",
            f"machine.weight_grid_mV = 1.0: {GRID} have no unit; write weight_grid",
        ),
        (
            text(COBA, weight="weight_nS = 1.0") + "[machine]\nweight_gird_nS = 1.0",
            "machine.weight_gird_nS = 1.0: is not a key here; did you mean weight_grid_nS?",
        ),
        (
            'builtin = "pd14"\n[machine]\nweight_grid_nS = 1.0',
            f"machine.weight_grid_nS = 1.0: {GRID} are in pA; write weight_grid_pA",
        ),
    ],
)
def test_grid_of_another_unit_is_refused(document: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loads(document, "net.toml")
    assert str(caught.value).startswith(f"net.toml: {message}")


def test_weights_without_a_target_are_not_blamed() -> None:
    nowhere = text(COBA, weight="weight_nS = 1.0").replace('target = "E"', 'target = "X"')
    with pytest.raises(InvalidInputError, match=r"E->X\.target = 'X': must be one of"):
        loads(nowhere)
    without = text(COBA, weight="weight_nS = 1.0").replace('target = "E"\n', "")
    with pytest.raises(InvalidInputError, match=r"projection 1\.target: missing"):
        loads(without)


def one_neuron(shared: str, own: str) -> Any:
    document = text(shared, f"neuron = {{ {own} }}")
    return loads(document).network.populations[0].neuron


def test_the_shared_table_holds_for_neurons_of_its_model() -> None:
    same = LifNeuron(tau_m_ms=20.0, t_ref_ms=1.0)
    assert one_neuron("tau_m_ms = 20.0", "t_ref_ms = 1.0") == same
    # A table without a model is one of LIF, whether a population says so or not.
    assert one_neuron("tau_m_ms = 20.0", 'model = "lif", t_ref_ms = 1.0') == same
    assert one_neuron('model = "lif"\ntau_m_ms = 20.0', "t_ref_ms = 1.0") == same
    mat2 = DESCRIPTIONS["mat2"].parameters
    assert one_neuron("tau_m_ms = 20.0", 'model = "mat2"') == mat2()
    assert one_neuron(ADEX + "\nt_ref_ms = 3.0", 'model = "mat2"') == mat2()


LIF_TABLE = """\
C_m_pF = 250.0 # membrane capacitance
E_L_mV = -65.0 # resting potential
V_reset_mV = -65.0 # potential after a spike
V_th_mV = -50.0 # threshold
[neuron]
t_ref_ms = 2.0 # refractory time, a multiple of dt_ms
tau_m_ms = 10.0 # membrane time constant
tau_syn_ex_ms = 0.5 # decay of excitatory synaptic input
tau_syn_in_ms = 0.5 # decay of inhibitory synaptic input
""".splitlines()


def test_lif_networks_are_written_as_before_there_were_models() -> None:
    written = dumps(Description(network=network(LifNeuron(), LifNeuron(t_ref_ms=1.0))))
    table = written[written.index("[neuron]") :].split("\n\n")[0]
    assert sorted(re.sub(" +", " ", line) for line in table.splitlines()) == LIF_TABLE
    assert "model" not in re.sub("#.*", "", written)
    assert "neuron    = { t_ref_ms = 1.0 }" in written


@pytest.mark.parametrize("model", ["mat2", "amat2"])
def test_a_threshold_by_the_name_of_other_models(model: str) -> None:
    with pytest.raises(InvalidInputError, match=r"V_th_mV = -51\.0: .*; did you mean omega_mV\?$"):
        loads(text(f'model = "{model}"\nV_th_mV = -51.0'))


def test_synonyms_are_of_parameters() -> None:
    for description in DESCRIPTIONS.values():
        kind = description.parameters
        assert set(kind.synonyms.values()) <= set(kind.comments)
        assert not set(kind.synonyms) & set(kind.comments)
