"""The machine against float64 references on its own network, spike for spike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import require_nest

from csnn.image.store import Image
from csnn.oracle import exact, nest
from csnn.oracle.experiment import Edges, Experiment
from csnn.simulator.blocks import External
from csnn.simulator.fast import FastSimulator
from csnn.spec.description import Description
from csnn.spec.distributions import Uniform
from csnn.spec.machine import Machine
from csnn.spec.network import DcInput, FixedTotalNumber, LifNeuron, Network, Population
from csnn.spec.pd14 import pd14
from csnn.validation import same_network
from csnn.validation.explicit import ExternalDraws, experiment_of
from csnn.validation.same_network import compare
from netgen.build import generate

STEPS = 5000
# A down-scaled microcircuit that is alive: 1,544 neurons, a tenth of the in-degrees.
N_SCALE, K_SCALE = 0.02, 0.1
FAULT_STEPS = 400
LIMIT_MV = 1e-3

Reference = Callable[[Experiment], Any]


def build(network: Network, folder: Path, **machine: Any) -> Image:
    return generate(Description(network=network, machine=Machine(**machine)), 1, folder / "image")


@pytest.fixture
def _require_nest() -> None:
    require_nest()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(pd14(n_scale=N_SCALE, k_scale=K_SCALE), tmp_path_factory.mktemp("pd14"))


@pytest.fixture(scope="module")
def experiment(image: Image) -> Experiment:
    return experiment_of(image, STEPS)


def test_synapses_are_unrolled_completely(image: Image, experiment: Experiment) -> None:
    edges = experiment.edges
    assert edges.size == image.manifest["synapses"] > 100_000
    # Draws are with replacement: pairs repeat, and none may be merged.
    pairs = edges.source.astype(np.int64) * image.n_neurons + edges.target
    assert len(np.unique(pairs)) < edges.size
    assert 1 == edges.delay_steps.min() < edges.delay_steps.max() <= 64
    assert np.array_equal(edges.weight_pA / 2.0 ** image.nodes[0].grid_exponent % 1.0, 0.0 * pairs)


def test_external_draws_are_those_of_the_units(tmp_path: Path) -> None:
    # Uneven nodes; populations whose input starts, stops and changes.
    network = networks.changing_inputs()
    machine = build(network, tmp_path, neurons_per_node=23, ext_lanes=4)
    draws = ExternalDraws(machine)
    units = [External(node, node.ext_states) for node in machine.nodes]
    silent = 0
    for step in range(1, 400):
        expected = []
        for unit, node in zip(units, machine.nodes, strict=True):
            epoch = np.searchsorted(node.schedule["first_step"], step, side="right") - 1
            expected.append(unit.draw(int(node.schedule["ext_table"][epoch])))
        assert np.array_equal(draws.draw(), np.concatenate(expected)), step
        silent += not expected[0].any()
    assert 0 < silent < 399


def test_spikes_are_those_of_the_exact_solution(image: Image, experiment: Experiment) -> None:
    recorded = tuple(range(0, image.n_neurons, 193))
    found = compare(image, replace(experiment, record=recorded))
    assert found.machine_spikes > 1000
    assert found.identical_steps >= 500
    assert found.is_explained, found
    assert 0.0 < found.largest_mV < LIMIT_MV
    assert found.largest_share <= 1.0


@pytest.mark.parametrize("reference", ["exact", "nest"])
def test_all_states_of_50_ms_stay_within_the_rounding_bound(
    image: Image, experiment: Experiment, reference: str, request: pytest.FixtureRequest
) -> None:
    if reference == "nest":
        request.getfixturevalue("_require_nest")
    simulate: Reference = exact.simulate if reference == "exact" else nest.run_explicit
    found = compare(
        image, replace(experiment, steps=500, record=tuple(range(image.n_neurons))), simulate
    )
    assert found.machine_spikes == found.reference_spikes > 50
    assert found.identical_steps == 500
    assert found.is_explained, found
    assert 0.0 < found.largest_mV < LIMIT_MV


@pytest.mark.usefixtures("_require_nest")
def test_spikes_are_those_of_nest(image: Image, experiment: Experiment) -> None:
    found = compare(image, replace(experiment, steps=2000), nest.run_explicit)
    assert found.machine_spikes > 500
    assert found.identical_steps >= 500
    assert found.is_explained, found


def changed_edge(edges: Edges, index: int, field: str, value: Any) -> Edges:
    arrays = {f.name: np.array(getattr(edges, f.name)) for f in fields(edges)}
    arrays[field][index] = value
    return Edges(**arrays)


def first_used_edge(image: Image, edges: Edges, *, inhibitory: bool) -> tuple[int, int]:
    """Return a synapse of the busiest early neuron of its kind, and that neuron's first spike."""
    spikes = FastSimulator(image).run(FAULT_STEPS // 2)
    kind = np.zeros(image.n_neurons, dtype=bool)
    kind[edges.source[edges.weight_pA < 0.0]] = True
    counts = np.bincount(spikes.source, minlength=image.n_neurons)
    counts[kind != inhibitory] = 0
    source = int(counts.argmax())
    assert counts[source] >= 1
    index = int(np.flatnonzero(edges.source == source)[0])
    return index, int(spikes.step[spikes.source == source].min())


@pytest.mark.parametrize("fault", ["weight", "delay", "sign"])
def test_one_wrong_synapse_is_found_where_it_acts(
    image: Image, experiment: Experiment, fault: str
) -> None:
    edges = experiment.edges
    index, spike = first_used_edge(image, edges, inhibitory=fault == "sign")
    weight, delay = edges.weight_pA[index], edges.delay_steps[index]
    wrong = {
        "weight": changed_edge(
            edges, index, "weight_pA", weight + 2.0 ** image.nodes[0].grid_exponent
        ),
        "delay": changed_edge(edges, index, "delay_steps", delay + 1),
        "sign": changed_edge(edges, index, "weight_pA", -weight),
    }[fault]
    everyone = tuple(range(image.n_neurons))
    found = compare(image, replace(experiment, steps=FAULT_STEPS, record=everyone, edges=wrong))
    assert not found.is_explained
    assert found.excess is not None
    assert (found.excess.step, found.excess.neuron) == (spike + delay, edges.target[index])
    assert found.excess.signal == ("I_ex" if fault != "sign" else found.excess.signal)


def shifted_input(experiment: Experiment, neuron: int) -> Experiment:
    drawn = experiment.external_ex_pA
    assert callable(drawn)

    def late(step: int) -> Any:
        row = np.array(drawn(step))
        row[neuron] = np.asarray(drawn(step - 1))[neuron] if step > 1 else 0.0
        return row

    return replace(experiment, external_ex_pA=late)


def test_external_spikes_one_step_late_are_found(image: Image, experiment: Experiment) -> None:
    wrong = shifted_input(experiment, 700)
    found = compare(image, replace(wrong, steps=50, record=tuple(range(image.n_neurons))))
    assert found.excess is not None
    assert found.excess.neuron == 700
    assert found.excess.signal == "I_ex"
    assert not found.is_explained


def shorter_refractory_time(experiment: Experiment) -> Experiment:
    neurons = tuple((replace(neuron, t_ref_ms=1.9), n) for neuron, n in experiment.neurons)
    return replace(experiment, neurons=neurons)


def test_a_shorter_refractory_time_is_found_after_the_first_spike(
    image: Image, experiment: Experiment
) -> None:
    everyone = tuple(range(image.n_neurons))
    wrong = replace(shorter_refractory_time(experiment), steps=FAULT_STEPS, record=everyone)
    found = compare(image, wrong)
    first = int(FastSimulator(image).run(FAULT_STEPS).step.min())
    assert found.excess is not None
    assert (found.excess.step, found.excess.signal) == (first + 20, "V")
    assert not found.is_explained


@pytest.mark.parametrize("fault", ["delay", "sign", "t_ref", "input", "weight"])
def test_wrong_networks_part_early_by_spikes_alone(
    image: Image, experiment: Experiment, fault: str
) -> None:
    edges = experiment.edges
    wrong = {
        "delay": lambda: replace(
            experiment, edges=replace(edges, delay_steps=edges.delay_steps + 1)
        ),
        "sign": lambda: replace(
            experiment, edges=replace(edges, weight_pA=np.abs(edges.weight_pA))
        ),
        "t_ref": lambda: shorter_refractory_time(experiment),
        "input": lambda: replace(
            experiment, external_ex_pA=lambda step: experiment.external(step + 1)[0]
        ),
        "weight": lambda: replace(
            experiment, edges=replace(edges, weight_pA=1.01 * edges.weight_pA)
        ),
    }[fault]()
    found = compare(image, replace(wrong, steps=1000))
    assert found.divergences
    assert not found.is_explained
    assert found.excess is not None


def tampered(image: Image, **changes: Callable[[Any], Any]) -> Image:
    """Return the image with changed fields of all nodes, in memory only."""
    copy = Image(image.path, image.manifest)
    nodes = tuple(
        replace(node, **{name: change(getattr(node, name)) for name, change in changes.items()})
        for node in image.nodes
    )
    copy.__dict__["nodes"] = nodes
    return copy


def changed_word(index: int, factor: float) -> Callable[[Any], Any]:
    def change(constants: Any) -> Any:
        words = np.array(constants)
        words.view(np.float32)[index] *= np.float32(factor)
        return words

    return change


@pytest.mark.parametrize(
    ("changes", "signal"),
    [
        ({"constants": changed_word(0, 1.0 + 1e-5)}, "V"),
        ({"constants": changed_word(3, 1.0 + 1e-5)}, "I_ex"),
        ({"constants": changed_word(1, 1.0 + 1e-3)}, "V"),
        ({"ext_weight": lambda units: units + 1}, "I_ex"),
    ],
    ids=["P22", "P11_ex", "P21_ex", "ext_weight"],
)
def test_wrong_machine_words_are_found(
    image: Image, experiment: Experiment, changes: Any, signal: str
) -> None:
    everyone = tuple(range(image.n_neurons))
    found = compare(tampered(image, **changes), replace(experiment, steps=100, record=everyone))
    assert found.excess is not None
    assert found.excess.signal == signal
    assert not found.is_explained


def creeping(folder: Path, tau_m_ms: float = 10.0) -> Image:
    """Neurons that creep over the threshold by nanovolts per step: rounding decides when."""
    population = Population(
        name="E",
        size=40,
        neuron=LifNeuron(tau_m_ms=tau_m_ms),
        V_init_mV=Uniform(low=-70.0, high=-50.5),
        # They tend to 0.4 uV above the threshold.
        dc=DcInput(current_pA=15.0004 * 250.0 / tau_m_ms),
    )
    return build(Network(name="creeping", populations=(population,)), folder)


def test_divergence_by_rounding_is_explained(tmp_path: Path) -> None:
    first = set()
    for tau_m_ms in (9.0, 10.0):
        machine = creeping(tmp_path, tau_m_ms)
        found = compare(machine, experiment_of(machine, 1500))
        assert found.divergences
        assert found.is_explained, found
        for divergence in found.divergences:
            sides = (divergence.machine_mV >= -50.0, divergence.reference_mV >= -50.0)
            assert sides == (divergence.machine_spikes, not divergence.machine_spikes)
            distance = abs(divergence.machine_mV - divergence.reference_mV)
            assert 0.0 < distance <= divergence.bound_mV < LIMIT_MV
            first.add(divergence.machine_spikes)
            at = divergence.step - divergence.first_step
            traces = divergence.machine_trace_mV, divergence.reference_trace_mV
            assert max(trace[at - 1] for trace in traces) < -50.0
            assert [trace[at] == -65.0 for trace in traces] == list(sides)
    # Each of the two has been the first to spike.
    assert first == {False, True}


def test_divergence_by_a_wrong_current_is_not_explained(tmp_path: Path) -> None:
    machine = creeping(tmp_path)
    found = compare(machine, replace(experiment_of(machine, 1500), dc_pA=375.04))
    assert found.divergences
    assert not found.is_explained
    assert not all(divergence.explained for divergence in found.divergences)


def firing(folder: Path) -> Image:
    """Build unconnected neurons of which one or another spikes in nearly every step."""
    population = Population(
        name="E",
        size=200,
        V_init_mV=Uniform(low=-65.0, high=-50.5),
        dc=DcInput(current_pA=1000.0),
    )
    return build(Network(name="firing", populations=(population,)), folder)


def without_spike(reference: Reference, step: int, neuron: int) -> Reference:
    """Return a reference that leaves out one spike."""

    def simulate(experiment: Experiment) -> Any:
        found = reference(experiment)
        kept = (found.step != step) | (found.source != neuron)
        assert np.count_nonzero(~kept) == 1
        return replace(found, step=found.step[kept], source=found.source[kept])

    return simulate


def test_spikes_are_identical_up_to_the_step_before_the_first_that_differs(
    tmp_path: Path,
) -> None:
    machine = firing(tmp_path)
    experiment = experiment_of(machine, 150)
    spikes = FastSimulator(machine).run(150)
    at = np.bincount(spikes.step, minlength=152)
    step = int(at[2:].argmax()) + 2
    neuron = int(spikes.source[spikes.step == step][0])
    # Neurons spike before, in and after that step, so that a shift by one would show.
    assert min(at[step - 1], at[step] - 1, at[step + 1]) > 0
    found = compare(machine, experiment, without_spike(exact.simulate, step, neuron))
    assert (found.identical_steps, found.identical_spikes) == (step - 1, at[:step].sum())
    assert (found.machine_spikes, found.reference_spikes) == (at.sum(), at.sum() - 1)
    assert (found.n_diverging, found.steps) == (1, 150)
    (divergence,) = found.divergences
    assert (divergence.step, divergence.neuron, divergence.machine_spikes) == (step, neuron, True)
    assert not found.is_explained
    same = compare(machine, experiment)
    assert (same.identical_steps, same.identical_spikes) == (150, at.sum())
    assert (same.n_diverging, same.divergences) == (0, ())


def test_every_kind_of_input_reaches_the_experiment(tmp_path: Path) -> None:
    network = networks.changing_inputs()
    inhibition = networks.projection("I", "E", FixedTotalNumber(count=600))
    network = replace(network, projections=(*network.projections, inhibition))
    machine = networks.image(network, tmp_path / "image", seed=2, random_delay_buffer=True)
    experiment = experiment_of(machine, 700, record=tuple(range(machine.n_neurons)))
    assert experiment.dc_changes
    found = compare(machine, experiment)
    assert found.machine_spikes > 1000
    # The whole initial buffer has been delivered by then.
    assert found.identical_steps >= 100
    assert found.is_explained, found
    for wrong in (
        replace(experiment, I_ex_init_pA=0.0),
        replace(experiment, I_in_init_pA=0.0),
        replace(experiment, external_in_pA=None),
        replace(experiment, dc_changes=()),
    ):
        assert not compare(machine, wrong).is_explained


def test_command_prints_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = creeping(tmp_path)
    assert same_network.main([str(machine.path), "--time-ms", "20", "--record", "3"]) == 0
    assert '"identical_steps": 200' in capsys.readouterr().out
    assert same_network.main([str(tmp_path / "nothing")]) == 3
    assert same_network.main([str(machine.path), "--time-ms", "0"]) == 3
    assert capsys.readouterr().err.count("error: ") == 2


def test_command_fails_where_rounding_does_not_explain_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = firing(tmp_path)
    command = [str(machine.path), "--time-ms", "10"]
    assert same_network.main(command) == 0
    assert json.loads(capsys.readouterr().out)["is_explained"] is True
    # States that are wrong while no spike is.
    altered = tampered(machine, constants=changed_word(0, 1.0 + 1e-5))
    with monkeypatch.context() as patch:
        patch.setattr(same_network, "open_image", lambda path: altered)
        assert same_network.main([str(machine.path), "--time-ms", "1", "--record", "3"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["is_explained"] is False
    assert printed["divergences"] == []
    assert printed["excess"]["signal"] == "V"
    # A spike that is missing.
    spikes = FastSimulator(machine).run(100)
    late = int(spikes.step[-1]), int(spikes.source[-1])
    monkeypatch.setattr(exact, "simulate", without_spike(exact.simulate, *late))
    assert same_network.main(command) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["is_explained"] is False
    assert printed["excess"] is None
    assert [(d["step"], d["neuron"]) for d in printed["divergences"]] == [late]


@pytest.mark.slow
@pytest.mark.usefixtures("_require_nest")
@pytest.mark.parametrize("reference", ["exact", "nest"])
def test_tenth_of_the_microcircuit(tmp_path: Path, reference: str) -> None:
    machine = build(pd14(n_scale=0.1, k_scale=0.1), tmp_path)
    simulate: Reference = exact.simulate
    if reference == "nest":
        simulate = nest.run_explicit
    recorded = tuple(range(0, machine.n_neurons, 386))
    found = compare(machine, experiment_of(machine, 10_000, record=recorded), simulate)
    print(found)
    assert found.machine_spikes > 10_000
    assert found.identical_steps >= 500
    assert found.is_explained, found
