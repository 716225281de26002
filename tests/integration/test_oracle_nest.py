"""The float64 reference against the real NEST: two independent programs, one result."""

from __future__ import annotations

import os
from dataclasses import fields, replace

import numpy as np
import pytest

from csnn.errors import ToolFailedError
from csnn.oracle import exact, nest
from csnn.oracle.experiment import Edges, Experiment, Recording
from csnn.spec.distributions import Constant, Normal, Uniform
from csnn.spec.network import (
    AllToAll,
    DcInput,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    PairwiseBernoulli,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.pd14 import PSP_MV, pd14, psp_to_psc

PSC_PA = psp_to_psc(PSP_MV, LifNeuron())
V_TOLERANCE_MV = 1e-9
I_TOLERANCE_PA = 1e-8


@pytest.fixture(autouse=True)
def _require_nest() -> None:
    if nest.is_installed():
        return
    reason = 'NEST is not installed: pip install "csnn[nest]"'
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def differences(a: Recording, b: Recording) -> list[str]:
    """Return the names of what differs: spike trains exactly, traces beyond rounding."""
    found = [] if np.array_equal(a.step, b.step) and np.array_equal(a.source, b.source) else ["s"]
    for name, tolerance in (
        ("V_mV", V_TOLERANCE_MV),
        ("I_ex_pA", I_TOLERANCE_PA),
        ("I_in_pA", I_TOLERANCE_PA),
    ):
        x, y = getattr(a, name), getattr(b, name)
        if x.shape != y.shape or not np.abs(x - y).max(initial=0.0) <= tolerance:
            found.append(name)
    return found


def random_input(rng: np.random.Generator, steps: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return excitation of 2.3 spikes per step and bursts of inhibition."""
    excitation = PSC_PA * rng.poisson(2.3, (steps, n))
    bursts = rng.random((steps, n)) < 0.05
    inhibition = -4.0 * PSC_PA * rng.poisson(9.0, (steps, n)) * bursts
    return excitation, inhibition


SPECIMENS = {
    "pd14": LifNeuron(),
    "equal time constants": LifNeuron(tau_m_ms=3.0, tau_syn_ex_ms=3.0, tau_syn_in_ms=3.0),
    "unlike synapses": LifNeuron(tau_syn_ex_ms=0.3, tau_syn_in_ms=5.0, C_m_pF=300.0),
    "no refractoriness": LifNeuron(t_ref_ms=0.0),
    "pacemaker": LifNeuron(E_L_mV=-45.0, V_reset_mV=-60.0, t_ref_ms=0.7),
}


@pytest.fixture(scope="module")
def ten_seconds() -> Experiment:
    steps = 100_000
    excitation, inhibition = random_input(np.random.default_rng(42), steps, len(SPECIMENS))
    return Experiment(
        neurons=tuple((neuron, 1) for neuron in SPECIMENS.values()),
        steps=steps,
        edges=Edges.none(),
        V_init_mV=np.array([-58.0, -65.0, -49.0, -63.3, -45.0]),
        I_ex_init_pA=np.array([200.0, 0.0, 0.0, 17.5, 0.0]),
        I_in_init_pA=np.array([-100.0, 0.0, -3.0, 0.0, 0.0]),
        external_ex_pA=excitation,
        external_in_pA=inhibition,
        dc_pA=np.array([0.0, 50.0, -20.0, 0.0, 10.0]),
        dc_changes=((50_001, np.array([100.0, 50.0, 0.0, -40.0, 10.0])),),
        record=tuple(range(len(SPECIMENS))),
    )


@pytest.fixture(scope="module")
def ten_seconds_in_nest(ten_seconds: Experiment) -> Recording:
    return nest.run_explicit(ten_seconds)


def test_single_neuron_traces_equal_nest_over_10_s(
    ten_seconds: Experiment, ten_seconds_in_nest: Recording
) -> None:
    ours = exact.simulate(ten_seconds)
    assert differences(ours, ten_seconds_in_nest) == []
    # Every specimen spikes, so that reset and refractoriness are compared too.
    assert np.bincount(ours.source, minlength=len(SPECIMENS)).min() > 20
    assert ours.step.max() > 90_000


@pytest.mark.parametrize("fault", ["t_ref", "one step late", "wrong sign", "V_reset", "tau_syn_in"])
def test_planted_single_neuron_faults_are_seen(
    ten_seconds: Experiment, ten_seconds_in_nest: Recording, fault: str
) -> None:
    steps, column = 5000, 0
    neuron = SPECIMENS["pd14"]
    excitation = np.asarray(ten_seconds.external_ex_pA)[:steps, [column]]
    inhibition = np.asarray(ten_seconds.external_in_pA)[:steps, [column]]
    mine = ten_seconds_in_nest.source == column
    mine &= ten_seconds_in_nest.step <= steps
    theirs = Recording(
        step=ten_seconds_in_nest.step[mine],
        source=ten_seconds_in_nest.source[mine],
        V_mV=ten_seconds_in_nest.V_mV[:steps, [column]],
        I_ex_pA=ten_seconds_in_nest.I_ex_pA[:steps, [column]],
        I_in_pA=ten_seconds_in_nest.I_in_pA[:steps, [column]],
    )
    good = Experiment(
        neurons=((neuron, 1),),
        steps=steps,
        edges=Edges.none(),
        V_init_mV=-58.0,
        I_ex_init_pA=200.0,
        I_in_init_pA=-100.0,
        external_ex_pA=excitation,
        external_in_pA=inhibition,
        record=(0,),
    )
    assert differences(exact.simulate(good), theirs) == []
    wrong = {
        "t_ref": {"neurons": ((replace(neuron, t_ref_ms=1.9), 1),)},
        "one step late": {"external_ex_pA": np.roll(excitation, 1, axis=0)},
        "wrong sign": {"external_ex_pA": excitation - inhibition, "external_in_pA": None},
        "V_reset": {"neurons": ((replace(neuron, V_reset_mV=-65.001), 1),)},
        "tau_syn_in": {"neurons": ((replace(neuron, tau_syn_in_ms=0.50001), 1),)},
    }[fault]
    assert differences(exact.simulate(replace(good, **wrong)), theirs) != []


def test_run_single_neuron_returns_every_step() -> None:
    rng = np.random.default_rng(7)
    excitation, inhibition = random_input(rng, 400, 1)
    theirs = nest.run_single_neuron(
        LifNeuron(), excitation[:, 0], inhibition[:, 0], V_init_mV=-51.0, dc_pA=30.0
    )
    assert theirs.V_mV.shape == theirs.I_ex_pA.shape == theirs.I_in_pA.shape == (400, 1)
    # Input of step 1 is in the current of step 1, and V(1) knows nothing of it.
    assert theirs.I_ex_pA[0, 0] == excitation[0, 0]
    decay = np.exp(-0.1 / 10.0)
    expected = -65.0 + 14.0 * decay + 30.0 * 10.0 / 250.0 * (1.0 - decay)
    assert theirs.V_mV[0, 0] == pytest.approx(expected, abs=1e-12)


def random_network(
    seed: int, *, n: int = 200, in_degree: int = 40, steps: int = 2000
) -> Experiment:
    """Return a recurrent network, four fifths excitatory, with autapses and multapses."""
    rng = np.random.default_rng(seed)
    n_synapses = n * in_degree
    source = rng.integers(n, size=n_synapses)
    scale = 1.0 / np.sqrt(in_degree / 40.0)
    weight = np.abs(rng.normal(3.0 * PSC_PA, 0.3 * PSC_PA, n_synapses)) * scale
    weight[source >= 0.8 * n] *= -4.0
    rates = np.full(n, 1.5)
    return Experiment(
        neurons=((LifNeuron(), n // 2), (LifNeuron(tau_m_ms=15.0, t_ref_ms=1.0), n - n // 2)),
        steps=steps,
        edges=Edges(
            source=source.astype(np.uint32),
            target=rng.integers(n, size=n_synapses).astype(np.uint32),
            weight_pA=weight,
            delay_steps=rng.integers(1, 65, n_synapses),
        ),
        V_init_mV=rng.normal(-58.0, 5.0, n),
        external_ex_pA=lambda step: PSC_PA * np.random.default_rng((seed, step)).poisson(rates),
        record=(3, n - 1, 0),
    )


@pytest.fixture(scope="module")
def recurrent() -> Experiment:
    return random_network(3)


@pytest.fixture(scope="module")
def recurrent_in_nest(recurrent: Experiment) -> Recording:
    return nest.run_explicit(recurrent, threads=2)


def test_explicit_network_spikes_identically_in_nest(
    recurrent: Experiment, recurrent_in_nest: Recording
) -> None:
    ours = exact.simulate(recurrent)
    assert differences(ours, recurrent_in_nest) == []
    assert len(ours.step) > 200
    assert len(np.unique(ours.source)) > 100
    assert ours.step.min() <= 2
    assert np.abs(ours.I_in_pA).max() > 100.0
    alone = exact.simulate(replace(recurrent, edges=Edges.none()))
    assert differences(alone, recurrent_in_nest) != []


@pytest.mark.parametrize("fault", ["delay", "sign", "target", "t_ref", "weight", "input"])
def test_planted_network_faults_are_seen(
    recurrent: Experiment, recurrent_in_nest: Recording, fault: str
) -> None:
    arrays = {
        field.name: np.array(getattr(recurrent.edges, field.name))
        for field in fields(recurrent.edges)
    }
    changes: dict[str, object] = {}
    if fault == "delay":
        arrays["delay_steps"] += 1
    elif fault == "sign":
        arrays["weight_pA"] = np.abs(arrays["weight_pA"])
    elif fault == "target":
        arrays["target"] = (arrays["target"] + 1) % recurrent.size
    elif fault == "weight":
        arrays["weight_pA"] *= 1.001
    elif fault == "t_ref":
        changes["neurons"] = tuple(
            (replace(neuron, t_ref_ms=neuron.t_ref_ms + 0.1), count)
            for neuron, count in recurrent.neurons
        )
    else:
        late = recurrent.external_ex_pA
        assert callable(late)
        changes["external_ex_pA"] = lambda step: late(step + 1)
    wrong = replace(recurrent, edges=Edges(**arrays), **changes)
    assert "s" in differences(exact.simulate(wrong), recurrent_in_nest)


def test_long_delays_and_a_silent_start_need_no_external_input() -> None:
    # No generator: NEST's minimal delay is then that of the synapses, 15 steps.
    ring = Experiment(
        neurons=((LifNeuron(), 3),),
        steps=200,
        edges=Edges(
            source=np.array([0, 1, 2]),
            target=np.array([1, 2, 0]),
            weight_pA=np.full(3, 12000.0),
            delay_steps=np.array([15, 20, 33]),
        ),
        V_init_mV=np.array([-49.0, -65.0, -65.0]),
        record=(0, 1, 2),
    )
    ours = exact.simulate(ring)
    assert len(ours.step) > 5
    assert differences(ours, nest.run_explicit(ring)) == []


def test_nest_keeps_off_our_stdout_and_reports_failure(capfd: pytest.CaptureFixture[str]) -> None:
    good = Experiment(neurons=((LifNeuron(t_ref_ms=0.0), 1),), steps=5, edges=Edges.none())
    nest.run_explicit(good)
    with pytest.raises(ToolFailedError, match="NEST failed") as caught:
        # Finer than NEST's clock of 1 us.
        nest.run_explicit(replace(good, dt_ms=0.0001))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def network_of_all_rules() -> tuple[Network, int]:
    """Return a network with every rule and its number of synapses (no random counts)."""
    quiet = Population(name="Q", size=30)
    noisy = Population(
        name="P",
        size=40,
        V_init_mV=Normal(mu=-60.0, sigma=3.0, maximum=-50.0),
        I_ex_init_pA=Uniform(low=0.0, high=50.0),
        poisson=PoissonInput(rate_hz=0.0, weight_pA=PSC_PA, changes=((50.0, 25000.0),)),
    )
    driven = Population(name="D", size=30, dc=DcInput(changes=((20.0, 600.0), (30.0, 0.0))))

    def link(source: str, target: str, rule: object, **switches: bool) -> Projection:
        return Projection(
            source=source,
            target=target,
            rule=rule,
            weight_pA=Normal(mu=1.0, sigma=0.1, minimum=0.0),
            delay_ms=Normal(mu=1.5, sigma=0.75, minimum=0.05),
            **switches,
        )

    projections = (
        link("P", "Q", FixedTotalNumber(count=500)),
        link("P", "P", FixedTotalNumber(count=100), allow_autapses=False),
        link("P", "Q", FixedIndegree(indegree=7), allow_multapses=False),
        link("Q", "P", FixedOutdegree(outdegree=5), allow_multapses=False),
        link("Q", "Q", AllToAll(), allow_autapses=False),
        link("Q", "D", OneToOne()),
        link("P", "D", PairwiseBernoulli(p=1.0)),
    )
    count = 500 + 100 + 7 * 30 + 5 * 30 + 30 * 29 + 30 + 40 * 30
    network = Network(name="rules", populations=(quiet, noisy, driven), projections=projections)
    return network, count


def test_run_network_builds_every_rule_and_input() -> None:
    network, count = network_of_all_rules()
    stages: list[tuple[str, float]] = []
    run = nest.run_network(
        network, time_ms=100.0, seed=5, progress=lambda *stage: stages.append(stage)
    )
    assert run.n_synapses == count
    assert run.threads == 2
    assert run.version.startswith("3.10")
    assert stages[-1] == ("simulate", 1.0)
    assert min(run.create_s, run.connect_s, run.prepare_s, run.simulate_s, run.peak_mb) > 0.0
    assert run.warmup_s == 0.0
    first = network.first_ids
    noisy = (run.source >= first["P"]) & (run.source < first["D"])
    driven = run.source >= first["D"]
    # 25 kHz from 50 ms on; the step that ends after 50 ms takes the first input.
    assert run.step[noisy].min() > 501
    assert len(np.unique(run.source[noisy])) == 40
    # 600 pA lift V by 24 mV (1 - exp(-t / 10 ms)): threshold at step 99 of the current.
    crossing = 200 + int(np.ceil(-100.0 * np.log1p(-15.0 / 24.0)))
    assert (run.step[driven] == crossing).all()
    assert driven.sum() == 30
    assert not (run.source < first["P"]).any()
    assert run.step.dtype == run.source.dtype == np.uint32

    late = nest.run_network(network, time_ms=40.0, warmup_ms=60.0, seed=5)
    kept = run.step > 600
    np.testing.assert_array_equal(late.step, run.step[kept])
    np.testing.assert_array_equal(late.source, run.source[kept])
    other = nest.run_network(network, time_ms=100.0, seed=6)
    assert not np.array_equal(other.step, run.step)


def test_run_network_takes_explicit_edges() -> None:
    population = Population(
        name="A",
        size=2,
        dc=DcInput(changes=((10.0, 1e5), (10.1, 0.0))),
        V_init_mV=Constant(value=-65.0),
    )
    network = Network(name="pair", populations=(population,))
    edges = Edges(
        source=np.array([0, 1]),
        target=np.array([1, 0]),
        weight_pA=np.array([30000.0, 30000.0]),
        delay_steps=np.array([40, 64]),
    )
    run = nest.run_network(network, time_ms=30.0, seed=1, edges=edges)
    assert run.n_synapses == 2
    # Both fire at step 101; each answers the other one step after its delay.
    np.testing.assert_array_equal(run.step[:4], [101, 101, 101 + 41, 101 + 65])
    np.testing.assert_array_equal(run.source[:4], [0, 1, 1, 0])


def microcircuit(seed: int, steps: int) -> tuple[Network, Experiment]:
    """Return PD14 at scale 0.1 with synapses drawn from its description."""
    rng = np.random.default_rng(seed)
    network = pd14(n_scale=0.1, k_scale=0.1)
    columns: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(Edges)}
    for projection in network.projections:
        count = projection.rule.count
        for field in ("source", "target"):
            name = getattr(projection, field)
            ids = rng.integers(network.population(name).size, size=count)
            columns[field].append((network.first_ids[name] + ids).astype(np.uint32))
        columns["weight_pA"].append(projection.weight_pA.ppf(rng.random(count)))
        delay = np.rint(projection.delay_ms.ppf(rng.random(count)) / network.dt_ms)
        columns["delay_steps"].append(np.maximum(delay, 1).astype(np.int32))
    sizes = [population.size for population in network.populations]
    poisson = [population.poisson for population in network.populations]
    per_step = np.repeat([1e-3 * network.dt_ms * p.rate_hz for p in poisson], sizes)
    weight = poisson[0].weight_pA
    experiment = Experiment(
        neurons=tuple((population.neuron, population.size) for population in network.populations),
        steps=steps,
        edges=Edges(**{name: np.concatenate(parts) for name, parts in columns.items()}),
        V_init_mV=np.concatenate(
            [p.V_init_mV.ppf(rng.random(p.size)) for p in network.populations]
        ),
        external_ex_pA=lambda step: weight * np.random.default_rng((seed, step)).poisson(per_step),
        dc_pA=np.repeat([p.dc.current_pA for p in network.populations], sizes),
        record=(0, 5000),
    )
    return network, experiment


def rates_hz(network: Network, source: np.ndarray, seconds: float) -> np.ndarray:
    counts = np.bincount(source, minlength=network.size)
    stops = np.cumsum([population.size for population in network.populations])
    return np.array([part.mean() for part in np.split(counts, stops[:-1])]) / seconds


@pytest.mark.slow
def test_scaled_microcircuit_spikes_identically_in_nest() -> None:
    _, experiment = microcircuit(5, 1000)
    ours = exact.simulate(experiment)
    assert len(ours.step) > 1000
    assert differences(ours, nest.run_explicit(experiment, threads=2)) == []
    wrong = replace(experiment.edges, delay_steps=experiment.edges.delay_steps + 1)
    faulty = exact.simulate(replace(experiment, edges=wrong))
    assert differences(ours, faulty) != []


@pytest.mark.slow
def test_rules_in_nest_and_drawn_synapses_give_the_same_rates() -> None:
    network, experiment = microcircuit(5, 15_000)
    ours = exact.simulate(experiment)
    expected = rates_hz(network, ours.source[ours.step > 5000], 1.0)
    run = nest.run_network(network, time_ms=1000.0, warmup_ms=500.0, seed=1)
    measured = rates_hz(network, run.source, 1.0)
    # Four times the largest of the 8 differences seen between realisations of 1 s.
    np.testing.assert_allclose(measured, expected, rtol=0.2)
    other = pd14(n_scale=0.1, k_scale=0.1, inhibition=-3.0)
    strayed = nest.run_network(other, time_ms=1000.0, warmup_ms=500.0, seed=1)
    assert np.abs(rates_hz(other, strayed.source, 1.0) / expected - 1.0).max() > 0.2
