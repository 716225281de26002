"""The LIF model: propagators, constants, order of the step, cost."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import exact_binary32 as exact
import numpy as np
import pytest

from csnn import binary32
from csnn.errors import InvalidInputError
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Op
from csnn.neurons.lif import LIF, lif_constants, propagators, refractory_steps
from csnn.neurons.operators import Operators
from csnn.neurons.registry import MODELS, model_of
from csnn.spec.network import LifNeuron

GRID = 1.0 / 16.0
EQUAL_TAUS = LifNeuron(tau_syn_ex_ms=10.0, tau_syn_in_ms=10.0 * (1 + 1e-9))
NEURONS = (
    LifNeuron(),
    EQUAL_TAUS,
    LifNeuron(tau_m_ms=0.05, tau_syn_ex_ms=200.0, tau_syn_in_ms=0.05000001),
    LifNeuron(tau_m_ms=1e5, tau_syn_ex_ms=1e-3, tau_syn_in_ms=3e4),
)


def decimal_propagators(neuron: LifNeuron, dt_ms: float) -> dict[str, float]:
    """Evaluate the textbook formulas with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        tau_m, c_m, h = Decimal(neuron.tau_m_ms), Decimal(neuron.C_m_pF), Decimal(dt_ms)

        def p21(tau_s: Decimal) -> Decimal:
            if tau_s == tau_m:
                return h / c_m * (-h / tau_m).exp()
            difference = (-h / tau_m).exp() - (-h / tau_s).exp()
            return tau_m * tau_s / (tau_m - tau_s) / c_m * difference

        ex, inh = Decimal(neuron.tau_syn_ex_ms), Decimal(neuron.tau_syn_in_ms)
        exact_values = {
            "P22": (-h / tau_m).exp(),
            "P21_ex": p21(ex),
            "P21_in": p21(inh),
            "P20": tau_m / c_m * (1 - (-h / tau_m).exp()),
            "P11_ex": (-h / ex).exp(),
            "P11_in": (-h / inh).exp(),
        }
        return {name: float(value) for name, value in exact_values.items()}


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("dt_ms", [0.1, 1e-3, 5.0])
def test_propagators_have_full_precision(neuron: LifNeuron, dt_ms: float) -> None:
    ours = propagators(neuron, dt_ms)
    for name, expected in decimal_propagators(neuron, dt_ms).items():
        # exp(x) inherits |x| roundings of its argument.
        tolerance = 1e-15 * (4.0 + abs(math.log(max(expected, 1e-300))))
        assert getattr(ours, name) == pytest.approx(expected, rel=tolerance, abs=0.0), name


def test_textbook_formula_in_float64_would_fail_that_test() -> None:
    tau_m, tau_s = EQUAL_TAUS.tau_m_ms, EQUAL_TAUS.tau_syn_in_ms
    difference = math.exp(-0.1 / tau_m) - math.exp(-0.1 / tau_s)
    naive = tau_m * tau_s / (tau_m - tau_s) / 250.0 * difference
    expected = decimal_propagators(EQUAL_TAUS, 0.1)["P21_in"]
    assert naive != pytest.approx(expected, rel=1e-8, abs=0.0)


def test_constants_of_the_microcircuit() -> None:
    exact_values = propagators(LifNeuron(), 0.1)
    constants = LIF.constants(LifNeuron(), dt_ms=0.1, weight_grid=GRID, dc_pA=100.0)
    expected = {
        "P22": exact_values.P22,
        "P21_ex": exact_values.P21_ex * GRID,
        "P21_in": -exact_values.P21_in * GRID,
        "P11_ex": exact_values.P11_ex,
        "P11_in": exact_values.P11_in,
        "C_dc": exact_values.P20 * 100.0,
        "theta": 15.0,
        "V_reset": 0.0,
    }
    assert {k: v for k, v in constants.items() if k != "ref_steps"} == {
        name: np.float32(value) for name, value in expected.items()
    }
    assert constants["ref_steps"] == 20
    floats, ints = LIF.pack(constants)
    assert (floats.dtype, ints.dtype) == (np.float32, np.int32)
    assert floats.tolist() == [float(constants[name]) for name in LIF.float_constants]
    assert ints.tolist() == [20]


def test_broken_constants_are_refused() -> None:
    def constants(neuron: LifNeuron, grid: float = GRID, dc: float = 0.0, dt: float = 0.1) -> None:
        LIF.constants(neuron, dt_ms=dt, weight_grid=grid, dc_pA=dc)

    with pytest.raises(InvalidInputError, match="power of two"):
        constants(LifNeuron(), grid=0.1)
    with pytest.raises(InvalidInputError, match=r"current_pA = nan"):
        constants(LifNeuron(), dc=math.nan)
    with pytest.raises(InvalidInputError, match=r"neuron constant C_dc.*range of binary32"):
        constants(LifNeuron(), dc=1e300)
    with pytest.raises(InvalidInputError, match=r"neuron constant P21_ex.*no effect"):
        constants(LifNeuron(), grid=2.0**-130)
    with pytest.raises(InvalidInputError, match=r"t_ref_ms = 0\.25"):
        constants(LifNeuron(t_ref_ms=0.25))
    with pytest.raises(InvalidInputError, match=r"V_reset_mV.*in binary32"):
        constants(LifNeuron(V_reset_mV=-50.0 - 1e-9))
    with pytest.raises(InvalidInputError, match="must be a LifNeuron"):
        constants("lif")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="dt_ms"):
        constants(LifNeuron(), dt=0.0)
    with pytest.raises(InvalidInputError, match="one of the models lif"):
        model_of("lif")


def test_registry_and_cost() -> None:
    assert MODELS["lif"] is LIF
    assert model_of(LifNeuron()) is LIF
    assert LIF.float_states == ("V", "I_ex", "I_in")
    assert LIF.int_states == ("refractory",)
    counts = LIF.graph.operator_counts()
    assert (counts[Op.FMUL], counts[Op.FADD], counts[Op.ITOF]) == (5, 5, 2)
    # multiply, add, add, select (refractory), compare, select (reset)
    assert LIF.graph.latency(Operators().latencies()) == 5 + 7 + 7 + 1 + 1 + 1


def run(
    steps: int, neuron: LifNeuron, dc_pA: float, ss_ex: dict[int, int], V: float = 0.0
) -> tuple[list[float], list[int]]:
    """Potentials after each step from 1, and the steps with a spike."""
    constants = LIF.constants(neuron, dt_ms=0.1, weight_grid=GRID, dc_pA=dc_pA)
    zero = np.zeros(1, dtype=np.float32)
    state = {"V": zero + np.float32(V), "I_ex": zero, "I_in": zero}
    state["refractory"] = np.zeros(1, dtype=np.int32)
    potentials, spikes = [], []
    for step in range(1, steps + 1):
        inputs = {"ss_ex": np.int32(ss_ex.get(step, 0)), "ss_in": np.int32(0)}
        state, out = evaluate(LIF.graph, state=state, inputs=inputs, constants=constants)
        potentials.append(float(state["V"][0]))
        if out["spike"][0]:
            spikes.append(step)
    return potentials, spikes


def test_input_reaches_the_potential_one_step_later() -> None:
    potentials, _ = run(6, LifNeuron(), 0.0, {3: 1600})
    assert potentials[:3] == [0.0, 0.0, 0.0]
    assert potentials[3] == pytest.approx(propagators(LifNeuron(), 0.1).P21_ex * 100.0, rel=1e-6)


def test_refractory_period_holds_the_potential_for_20_steps() -> None:
    neuron = LifNeuron(V_reset_mV=-60.0)
    potentials, spikes = run(130, neuron, 1000.0, {})
    first = spikes[0]
    assert potentials[first - 2] > 5.0
    assert potentials[first - 1 : first + 20] == [5.0] * 21
    assert potentials[first + 20] > 5.0
    assert spikes[1] - first > 20


def test_direct_current_follows_the_closed_form() -> None:
    potentials, spikes = run(400, LifNeuron(), 300.0, {})
    times = 0.1 * np.arange(1, 401)
    closed = 300.0 * 10.0 / 250.0 * (1.0 - np.exp(-times / 10.0))
    assert spikes == []
    np.testing.assert_allclose(potentials, closed, atol=1e-5)


def random_words(n: int, seed: int) -> np.ndarray:
    """Words of every kind: plausible values, any bits, zeros, subnormals, infinities, NaNs."""
    rng = np.random.default_rng(seed)
    plausible = rng.normal(8.0, 8.0, n).astype(np.float32).view(np.uint32)
    anything = rng.integers(0, 2**32, n, dtype=np.uint32)
    small = rng.integers(0, 2**25, n, dtype=np.uint32) | anything & np.uint32(0x80000000)
    special = rng.choice(
        np.array([0, 1, 0x80000001, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F800001]), n
    ).astype(np.uint32)
    return np.choose(rng.integers(0, 4, n), [plausible, anything, small, special])


def test_evaluation_equals_exact_rational_arithmetic() -> None:
    n = 1500
    rng = np.random.default_rng(0)
    constants = LIF.constants(LifNeuron(), dt_ms=0.1, weight_grid=GRID, dc_pA=-3.0)
    words = {name: random_words(n, i) for i, name in enumerate(LIF.float_states)}
    refractory = rng.choice([0, 0, 0, 1, 2, 20], n).astype(np.int32)
    ss_ex, ss_in = rng.integers(0, 2**24, (2, n)).astype(np.int32)
    state = {name: binary32.from_bits(w) for name, w in words.items()}
    after, out = evaluate(
        LIF.graph,
        state={**state, "refractory": refractory},
        inputs={"ss_ex": ss_ex, "ss_in": ss_in},
        constants=constants,
    )
    word_of = {k: int(binary32.bits_of(v)) for k, v in constants.items() if k != "ref_steps"}
    word_of["ref_steps"] = int(constants["ref_steps"])
    columns = [words["V"], words["I_ex"], words["I_in"], refractory, ss_ex, ss_in]
    expected = [
        exact.lif_step((V, I_ex, I_in, r), ex, inh, word_of)
        for V, I_ex, I_in, r, ex, inh in zip(*(c.tolist() for c in columns), strict=True)
    ]
    got = [binary32.bits_of(after[name]).tolist() for name in LIF.float_states]
    got += [after["refractory"].tolist()]
    assert list(zip(*got, strict=True)) == [state for state, _ in expected]
    assert out["spike"].tolist() == [spike for _, spike in expected]
    assert 0 < sum(out["spike"]) < n


def test_rounded_refractory_steps() -> None:
    assert refractory_steps(LifNeuron(t_ref_ms=0.3), 0.1) == 3
    assert refractory_steps(LifNeuron(t_ref_ms=0.0), 0.1) == 0
    assert lif_constants(LifNeuron(), dt_ms=0.1, weight_grid=1.0)["ref_steps"] == 20
