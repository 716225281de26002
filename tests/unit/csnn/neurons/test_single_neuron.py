"""Every neuron with every synapse against textbook equations, spikes, resets and all."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.models.izhikevich import IzhikevichNeuron
from csnn.neurons.models.mat2 import Mat2Neuron
from csnn.neurons.registry import DESCRIPTIONS
from csnn.oracle.nest_models import COMBINATIONS
from csnn.oracle.single import Stimulus, simulate
from csnn.oracle.textbook import Equations
from csnn.spec.neuron import COUPLINGS, KERNELS, LifNeuron
from csnn.validation import single_neuron
from csnn.validation.neuron_accuracy import Case, compare, worst

STEPS = 200
# Binary32 and RK4 in steps of 0.1 ms, over 200 of them; then the same until three steps before a
# spike of a neuron whose V runs to infinity.
V_TOLERANCE_MV = 2e-4
UPSTROKE_MV = 1e-2
ALL = [
    Case(
        neuron=neuron, kernel=kernel, coupling=coupling, solver="rk4",
        substeps=2 if neuron in ("adex", "izhikevich") else 1,
        t_ref_ms=2.0 if neuron == "adex" else None,
    )
    for neuron, kernel, coupling in itertools.product(DESCRIPTIONS, KERNELS, COUPLINGS)
]  # fmt: skip
# Combinations that NEST has no model of.
QUICK = (
    "lif_delta_coba", "mat2_alpha_coba", "amat2_delta_cuba", "izhikevich_exp_cuba",
    "adex_beta_cuba",
)  # fmt: skip


def cases() -> list[object]:
    return [
        pytest.param(
            case, id=case.name, marks=[] if case.name.startswith(QUICK) else pytest.mark.slow
        )
        for case in ALL
    ]


@pytest.mark.parametrize("case", cases())
def test_machine_does_what_the_textbook_says(case: Case) -> None:
    lanes = case.lanes(steps=STEPS)
    exact = [simulate(*lane) for lane in lanes]
    found = worst(list(zip(case.machine(lanes), exact, strict=True)))
    assert found.spikes[0] == found.spikes[1] >= 2
    if case.neuron in ("adex", "izhikevich"):
        # A solver may see V leave for infinity a step late.
        assert 0 <= found.shift_steps <= 1
        assert found.before["V"] < UPSTROKE_MV
    else:
        assert found.same_spikes
        assert found.largest["V"] < V_TOLERANCE_MV
        assert found.largest.get("threshold", 0.0) < V_TOLERANCE_MV
    for side in ("ex", "inh"):
        # Hundreds of pA, or tens of nS.
        assert found.largest.get(side, 0.0) < 2e-2


def quick_case() -> Case:
    return Case(neuron="lif", kernel="alpha", coupling="coba", solver="rk4")


@pytest.mark.parametrize(
    "fault", ["E_in_mV", "tau_syn_ex_ms", "t_ref_ms", "C_m_pF", "V_reset_mV", "late"]
)
def test_planted_faults_are_seen(fault: str) -> None:
    case = quick_case()
    neuron, stimulus = case.lanes(seeds=(2,), steps=120)[0]
    exact = simulate(neuron, stimulus)
    assert exact.spikes.size >= 1
    good = compare(single_neuron.run([(neuron, stimulus)], grid=case.grid)[0], exact)
    assert good.same_spikes
    assert good.largest["V"] < V_TOLERANCE_MV
    assert isinstance(neuron, LifNeuron)
    if fault == "late":
        stimulus = replace(stimulus, inh=np.roll(stimulus.inh, 1), ex=np.roll(stimulus.ex, 1))
    elif fault == "t_ref_ms":
        neuron = replace(neuron, t_ref_ms=1.9)
    else:
        neuron = replace(neuron, **{fault: getattr(neuron, fault) * 1.001})
    bad = compare(single_neuron.run([(neuron, stimulus)], grid=case.grid)[0], exact)
    assert not bad.same_spikes or bad.largest["V"] > V_TOLERANCE_MV


def test_a_jump_while_refractory_is_ignored_where_V_is_held() -> None:
    none = np.zeros(30)
    jump = none.copy()
    jump[[2, 7]] = 30.0
    stimulus = Stimulus(dt_ms=0.1, ex=jump, inh=none, dc_pA=none, initial={"V": -65.0})
    lif = LifNeuron(kernel="delta")
    for trace in (simulate(lif, stimulus), single_neuron.run([(lif, stimulus)], grid=1.0)[0]):
        assert trace.spikes.tolist() == [3]
        assert (trace.states["V"][2:23] == -65.0).all()
    # MAT2 is never held: V jumps, but there is no second spike.
    mat2 = Mat2Neuron(kernel="delta", alpha_1_mV=0.0)
    stimulus = replace(stimulus, initial={"V": -70.0})
    for trace in (simulate(mat2, stimulus), single_neuron.run([(mat2, stimulus)], grid=1.0)[0]):
        assert trace.spikes[0] == 3
        assert trace.states["V"][7] > trace.states["V"][6] + 25.0
        assert 8 not in trace.spikes


def test_traces_may_differ_in_all_ways_that_are_told() -> None:
    neuron, stimulus = quick_case().lanes(seeds=(2,), steps=120)[0]
    trace = simulate(neuron, stimulus)
    late = replace(trace, spikes=trace.spikes + np.uint32(2))
    assert compare(trace, trace).largest["V"] == 0.0
    assert compare(late, trace).shift_steps == 2
    assert compare(replace(trace, spikes=trace.spikes[:0]), trace).shift_steps == -1
    first = int(trace.spikes[0])
    V = trace.states["V"].copy()
    V[first] += 1.0
    found = compare(replace(trace, states={**trace.states, "V": V}), trace)
    assert found.largest["V"] == pytest.approx(1.0)
    assert found.before["V"] == 0.0


def test_kernels_peak_at_what_arrived() -> None:
    none = np.zeros(300)
    one = none.copy()
    one[0] = 8.0
    for kernel in ("alpha", "beta"):
        case = Case(neuron="lif", kernel=kernel, coupling="coba", solver="rk4")
        stimulus = Stimulus(dt_ms=0.05, ex=one, inh=none, dc_pA=none, initial={"V": -70.0})
        assert simulate(case.parameters, stimulus).states["ex"].max() == pytest.approx(
            8.0, rel=2e-3
        )


def test_bad_input_is_refused() -> None:
    case = quick_case()
    neuron, stimulus = case.lanes(seeds=(1,), steps=5)[0]
    with pytest.raises(InvalidInputError, match="multiples of"):
        single_neuron.run([(neuron, replace(stimulus, ex=stimulus.ex + 1e-5))], grid=case.grid)
    with pytest.raises(InvalidInputError, match="of one kind"):
        single_neuron.run([(neuron, stimulus), (Mat2Neuron(), stimulus)], grid=case.grid)
    with pytest.raises(InvalidInputError, match="must be of V, g_ex"):
        single_neuron.run(
            [(neuron, replace(stimulus, initial={"V": 0.0, "q": 1.0}))], grid=case.grid
        )
    with pytest.raises(InvalidInputError, match="must be of V, y_ex"):
        simulate(neuron, replace(stimulus, initial={"V": -65.0, "q": 1.0}))
    with pytest.raises(InvalidInputError, match="must have V"):
        replace(stimulus, initial={})
    with pytest.raises(InvalidInputError, match="not negative"):
        replace(stimulus, inh=-stimulus.ex - 1.0)
    with pytest.raises(InvalidInputError, match=r"shape \(steps,\)"):
        replace(stimulus, dc_pA=np.zeros(4))


def test_every_neuron_has_equations_and_nest_models_are_known() -> None:
    for neuron, kernel, coupling in COMBINATIONS:
        assert (neuron, kernel, coupling) in {(c.neuron, c.kernel, c.coupling) for c in ALL}
    assert {case.neuron for case in ALL} == set(DESCRIPTIONS)

    class Other(IzhikevichNeuron):
        model = "other"

    with pytest.raises(InvalidInputError, match="no equations"):
        Equations(Other())
