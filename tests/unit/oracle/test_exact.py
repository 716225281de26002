"""The float64 reference against closed forms and the conventions of the update order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.oracle import exact
from csnn.oracle.experiment import Edges, Experiment
from csnn.spec.network import LifNeuron
from csnn.spec.pd14 import psp_to_psc

DT = 0.1


def edges(*rows: tuple[int, int, float, int]) -> Edges:
    source, target, weight, delay = zip(*rows, strict=True)
    return Edges(
        source=np.array(source, dtype=np.uint32),
        target=np.array(target, dtype=np.uint32),
        weight_pA=np.array(weight),
        delay_steps=np.array(delay),
    )


def pulse(steps: int, n: int, *events: tuple[int, int, float]) -> np.ndarray:
    external = np.zeros((steps, n))
    for step, neuron, weight in events:
        external[step - 1, neuron] = weight
    return external


def psp(t_ms: np.ndarray, weight: float, neuron: LifNeuron) -> np.ndarray:
    """Return the closed form of the PSP `t_ms` after the current jumped by `weight`."""
    tau_m, tau_s = neuron.tau_m_ms, neuron.tau_syn_ex_ms
    if tau_m == tau_s:
        return weight / neuron.C_m_pF * t_ms * np.exp(-t_ms / tau_m)
    factor = weight / neuron.C_m_pF * tau_m * tau_s / (tau_m - tau_s)
    return factor * (np.exp(-t_ms / tau_m) - np.exp(-t_ms / tau_s))


@pytest.mark.parametrize("tau_m_ms", [10.0, 0.5])
def test_single_spike_evokes_the_analytic_psp(tau_m_ms: float) -> None:
    neuron = LifNeuron(tau_m_ms=tau_m_ms)
    steps, arrival, weight = 400, 7, 87.8
    result = exact.simulate(
        Experiment(
            neurons=((neuron, 1),),
            steps=steps,
            edges=Edges.none(),
            external_ex_pA=pulse(steps, 1, (arrival, 0, weight)),
            record=(0,),
        )
    )
    t = DT * (np.arange(1, steps + 1) - arrival)
    expected = np.where(t > 0, psp(t, weight, neuron), 0.0)
    np.testing.assert_allclose(result.V_mV[:, 0] - neuron.E_L_mV, expected, rtol=0, atol=1e-12)
    current = np.where(t >= 0, weight * np.exp(-t / neuron.tau_syn_ex_ms), 0.0)
    np.testing.assert_allclose(result.I_ex_pA[:, 0], current, rtol=0, atol=1e-12)
    assert not result.I_in_pA.any()
    # The comparison above sees a shift by one step.
    assert np.abs(np.diff(expected)).max() > 1e-3


def test_nearly_equal_time_constants_meet_the_limit() -> None:
    near = exact.propagator(LifNeuron(tau_m_ms=0.5 * (1 + 1e-9)), DT)
    equal = exact.propagator(LifNeuron(tau_m_ms=0.5), DT)
    np.testing.assert_allclose(near, equal, rtol=1e-8)
    assert equal[2, 0] == pytest.approx(DT / 250.0 * np.exp(-DT / 0.5), rel=1e-14)


def test_psc_of_the_microcircuit_peaks_at_its_psp() -> None:
    neuron = LifNeuron()
    result = exact.simulate(
        Experiment(
            neurons=((neuron, 1),),
            steps=4000,
            edges=Edges.none(),
            dt_ms=0.001,
            I_ex_init_pA=psp_to_psc(0.15, neuron),
            record=(0,),
        )
    )
    assert result.V_mV.max() + 65.0 == pytest.approx(0.15, abs=1e-6)


def test_a_neuron_exactly_at_its_threshold_spikes() -> None:
    # With E_L = 0 and no current, V after one step is this product, in float64 without a rest.
    reached = float(exact.propagator(LifNeuron(), DT)[2, 2] * 20.0)
    above = float(np.nextafter(reached, np.inf))
    neurons = tuple(
        (LifNeuron(E_L_mV=0.0, V_reset_mV=-5.0, V_th_mV=theta), 1) for theta in (above, reached)
    )
    result = exact.simulate(
        Experiment(
            neurons=neurons, steps=3, edges=Edges.none(), V_init_mV=20.0, record=tuple(range(2))
        )
    )
    assert (result.step.tolist(), result.source.tolist()) == ([1], [1])
    assert result.V_mV[0].tolist() == [reached, -5.0]


@pytest.mark.parametrize("t_ref_ms", [2.0, 0.0, 0.5])
def test_refractoriness_holds_v_while_currents_evolve(t_ref_ms: float) -> None:
    neuron = LifNeuron(t_ref_ms=t_ref_ms)
    held = round(t_ref_ms / DT)
    steps = 60
    result = exact.simulate(
        Experiment(
            neurons=((neuron, 1),),
            steps=steps,
            edges=Edges.none(),
            V_init_mV=-50.0,
            I_ex_init_pA=2000.0,
            dc_pA=100.0,
            record=(0,),
        )
    )
    V = result.V_mV[:, 0]
    first = int(result.step[0])
    assert first == 1
    # The spiking step and the `held` steps after it stand at V_reset; then V moves.
    assert (V[first - 1 : first + held] == neuron.V_reset_mV).all()
    assert V[first + held] > neuron.V_reset_mV
    decay = np.exp(-DT * np.arange(1, steps + 1) / neuron.tau_syn_ex_ms)
    np.testing.assert_allclose(result.I_ex_pA[:, 0], 2000.0 * decay, rtol=1e-12)


def test_spike_enters_the_current_after_the_delay_and_v_one_step_later() -> None:
    neuron = LifNeuron()
    base = Experiment(
        neurons=((neuron, 3),),
        steps=30,
        edges=edges((0, 1, 50.0, 1), (0, 1, 25.0, 1), (0, 2, -40.0, 13), (0, 0, 5.0, 30)),
        V_init_mV=np.array([-40.0, -65.0, -65.0]),
        record=(2, 1, 0),
    )
    result = exact.simulate(base)
    # V(1) of neuron 0 is still above threshold: a spike of step 1.
    np.testing.assert_array_equal(result.step, [1])
    np.testing.assert_array_equal(result.source, [0])
    assert result.step.dtype == result.source.dtype == np.uint32
    I_1, V_1 = result.I_ex_pA[:, 1], result.V_mV[:, 1]
    assert I_1[0] == 0.0
    assert I_1[2 - 1] == 75.0
    assert V_1[2 - 1] == -65.0
    assert V_1[3 - 1] > -65.0
    I_2, V_2 = result.I_in_pA[:, 0], result.V_mV[:, 0]
    assert not I_2[: 14 - 1].any()
    assert I_2[14 - 1] == -40.0
    assert V_2[14 - 1] == -65.0
    assert V_2[15 - 1] < -65.0
    assert not result.I_ex_pA[:, 2].any()


def test_external_input_adds_to_recurrent_input_of_the_same_step() -> None:
    base = Experiment(
        neurons=((LifNeuron(), 2),),
        steps=5,
        edges=edges((0, 1, 50.0, 2)),
        V_init_mV=np.array([-40.0, -65.0]),
        external_ex_pA=pulse(5, 2, (3, 1, 8.0)),
        external_in_pA=lambda step: np.array([0.0, -3.0 * (step == 3)]),
        record=(1,),
    )
    result = exact.simulate(base)
    assert result.I_ex_pA[2, 0] == 58.0
    assert result.I_in_pA[2, 0] == -3.0


def test_direct_current_and_its_changes_act_on_v_of_their_step() -> None:
    neuron = LifNeuron()
    result = exact.simulate(
        Experiment(
            neurons=((neuron, 2),),
            steps=300,
            edges=Edges.none(),
            dc_pA=np.array([100.0, 0.0]),
            dc_changes=((101, np.array([0.0, 200.0])),),
            record=(0, 1),
        )
    )
    V = result.V_mV - neuron.E_L_mV
    t = DT * np.arange(1, 301)
    charged = 100.0 * neuron.tau_m_ms / neuron.C_m_pF * -np.expm1(-t[:100] / neuron.tau_m_ms)
    np.testing.assert_allclose(V[:100, 0], charged, atol=1e-12)
    np.testing.assert_allclose(V[100:, 0], V[99, 0] * np.exp(-t[:200] / 10.0), atol=1e-12)
    assert not V[:100, 1].any()
    assert V[100, 1] == pytest.approx(8.0 * -np.expm1(-DT / 10.0), rel=1e-12)


def test_populations_keep_their_own_parameters() -> None:
    slow, fast = LifNeuron(tau_m_ms=20.0, E_L_mV=-70.0), LifNeuron(tau_syn_ex_ms=2.0)
    both = Experiment(
        neurons=((slow, 2), (fast, 1)),
        steps=200,
        edges=Edges.none(),
        I_ex_init_pA=300.0,
        I_in_init_pA=-100.0,
        record=(1, 2),
    )
    result = exact.simulate(both)
    for column, neuron in enumerate((slow, fast)):
        alone = exact.simulate(replace(both, neurons=((neuron, 1),), record=(0,)))
        np.testing.assert_array_equal(result.V_mV[:, column], alone.V_mV[:, 0])
    assert np.abs(result.V_mV[:, 0] - result.V_mV[:, 1]).max() > 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("record", (2,)),
        ("V_init_mV", np.zeros(3)),
        ("V_init_mV", np.nan),
        ("I_ex_init_pA", -1.0),
        ("I_in_init_pA", 1.0),
        ("external_ex_pA", np.zeros((9, 2))),
        ("external_ex_pA", -np.ones((10, 2))),
        ("external_in_pA", np.ones((10, 2))),
        ("dc_changes", ((1, 5.0),)),
        ("dc_changes", ((3, 5.0), (3, 6.0))),
        ("neurons", ((LifNeuron(t_ref_ms=0.25), 2),)),
        ("edges", edges((0, 2, 1.0, 1))),
    ],
)
def test_bad_experiments_are_refused(field: str, value: object) -> None:
    good = Experiment(neurons=((LifNeuron(), 2),), steps=10, edges=Edges.none())
    with pytest.raises(InvalidInputError, match=field if field != "neurons" else "t_ref_ms"):
        replace(good, **{field: value})


def test_bad_edges_and_callables_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="delay_steps"):
        edges((0, 0, 1.0, 0))
    with pytest.raises(InvalidInputError, match="weight_pA"):
        edges((0, 0, np.inf, 1))
    with pytest.raises(InvalidInputError, match="target"):
        Edges(
            source=np.zeros(2, dtype=int),
            target=np.zeros(1, dtype=int),
            weight_pA=np.zeros(2),
            delay_steps=np.ones(2, dtype=int),
        )
    wrong = Experiment(
        neurons=((LifNeuron(), 2),),
        steps=10,
        edges=Edges.none(),
        external_ex_pA=lambda step: np.zeros(3),
    )
    with pytest.raises(InvalidInputError, match="external_ex_pA"):
        exact.simulate(wrong)
