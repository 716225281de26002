"""The float64 reference against the real NEST: two independent programs, one result."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from commands import require_nest

from csnn.errors import ToolFailedError
from csnn.oracle import exact, nest
from csnn.oracle.experiment import Edges, Experiment, Recording
from csnn.spec.network import LifNeuron
from csnn.spec.pd14 import PSP_MV, psp_to_psc

PSC_PA = psp_to_psc(PSP_MV, LifNeuron())
V_TOLERANCE_MV = 1e-9
I_TOLERANCE_PA = 1e-8


@pytest.fixture(autouse=True, scope="module")
def _require_nest() -> None:
    require_nest()


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
    "unlike synapses": LifNeuron(tau_syn_ex_ms=0.7, tau_syn_in_ms=0.9, C_m_pF=300.0),
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
    return nest.run_explicit(recurrent)


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
