"""Steps that are too long for a decay are refused, with the parameter and what helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.composed import base_constants
from csnn.neurons.composition import Step
from csnn.neurons.registry import DESCRIPTIONS, Combination, model_of
from csnn.neurons.solvers import ORDERS, stability_limit
from csnn.neurons.stability import decays, lengths
from csnn.spec.neuron import Neuron

DT_MS = 0.1
# The intervals of the real axis in textbooks (Hairer & Wanner, Solving ODEs II, IV.2).
TEXTBOOK = {1: 2.0, 2: 2.0, 3: 2.5127, 4: 2.7853, 5: 3.2170, 6: 3.5534}


def constants(neuron: Neuron, dt_ms: float = DT_MS) -> dict[str, Any]:
    return model_of(neuron).constants(neuron, dt_ms=dt_ms, weight_grid=2.0**-4)


def parts(neuron: Neuron) -> tuple[Step, dict[str, float]]:
    step = Combination.of(neuron).step
    return step, base_constants(step, neuron, dt_ms=DT_MS, weight_grid=1.0, dc_pA=0.0)


@pytest.mark.parametrize("solver", ORDERS)
def test_limits_are_those_of_the_stability_polynomials(solver: str) -> None:
    assert stability_limit(solver) == pytest.approx(TEXTBOOK[ORDERS[solver]], abs=1e-4)


def test_exact_integration_has_no_limit() -> None:
    for kernel in ("exp", "alpha", "beta"):
        constants(DESCRIPTIONS["lif"].parameters(kernel=kernel, solver="exact", tau_m_ms=1e-3,
                  tau_syn_ex_ms=2e-3, tau_syn_in_ms=3e-3))  # fmt: skip
    constants(DESCRIPTIONS["mat2"].parameters(tau_1_ms=1e-3))


@pytest.mark.parametrize("solver", ORDERS)
@pytest.mark.parametrize("name", ["I_ex", "dI_in"])
def test_synapses_grow_just_beyond_the_limit(solver: str, name: str) -> None:
    """Its own arithmetic, and not the polynomial, says whether a solver's steps grow."""

    def after(length: float) -> float:
        tau_ms = DT_MS / length
        neuron = DESCRIPTIONS["lif"].parameters(
            kernel="beta", solver=solver, tau_syn_in_ms=tau_ms, tau_rise_ex_ms=tau_ms
        )
        step, base = parts(neuron)
        advance, values = step.advance(base), {n: 1.0 * (n == name) for n in step.rates}
        for _ in range(2000):
            values = advance(values)
        return abs(values[name])

    limit = stability_limit(solver)
    assert after(0.98 * limit) < 1e-9
    assert after(1.02 * limit) > 1e9


def test_decays_of_all_neurons_are_found() -> None:
    found = {
        name: decays(Combination(neuron=name, kernel="beta", coupling="coba", solver="euler").step)
        for name in DESCRIPTIONS
    }
    synapses = {
        **{f"g_{side}": (f"rise_{side}",) for side in ("ex", "in")},
        **{f"dg_{side}": (f"decay_{side}",) for side in ("ex", "in")},
    }
    thresholds = {"th_1": ("decay_1",), "th_2": ("decay_2",)}
    own = {
        "lif": {"V": ("leak",)},
        "mat2": {"V": ("leak",), **thresholds},
        "amat2": {"V": ("leak",), **thresholds, "th_V": ("decay_V",), "x": ("decay_V",)},
        "izhikevich": {"u": ("u_on_u",)},
        "adex": {"V": ("leak",), "w": ("w_on_w",)},
    }
    assert found == {name: {**own[name], **synapses} for name in DESCRIPTIONS}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("lif", {"kernel": "beta", "solver": "rk2", "tau_rise_ex_ms": 0.04},
         "neuron.tau_rise_ex_ms = 0.04: rk2 is unstable: its steps may be 2 time constants, and "
         "dt_ms = 0.1 is 2.5; substeps must be >= 2"),
        ("lif", {"solver": "rk4", "tau_syn_in_ms": 0.02},
         "neuron.tau_syn_in_ms = 0.02: rk4 is unstable: its steps may be 2.785 time constants, and "
         "dt_ms = 0.1 is 5; substeps must be >= 2"),
        ("lif", {"solver": "euler", "substeps": 2, "tau_m_ms": 0.01},
         "neuron.tau_m_ms = 0.01: euler is unstable: its steps may be 2 time constants, and "
         "dt_ms / 2 = 0.05 is 5; substeps must be >= 5"),
        ("mat2", {"solver": "ps3", "tau_1_ms": 0.03, "tau_2_ms": 0.004},
         "neuron.tau_1_ms = 0.03: ps3 is unstable: its steps may be 2.513 time constants, and "
         "dt_ms = 0.1 is 3.333; substeps must be >= 10"),
        ("adex", {"C_m_pF": 0.5},
         "neuron.C_m_pF = 0.5: with g_L_nS = 30, rk4 is unstable: its steps may be 2.785 time "
         "constants, and dt_ms = 0.1 is 6; substeps must be >= 3"),
        ("adex", {"tau_w_ms": 0.002},
         "neuron.tau_w_ms = 0.002: rk4 is unstable: its steps may be 2.785 time constants, and "
         "dt_ms = 0.1 is 50; substeps = 16 is too few: dt_ms must be smaller"),
        ("izhikevich", {"a_per_ms": 50.0, "solver": "ps6"},
         "neuron.a_per_ms = 50.0: ps6 is unstable: its steps may be 3.553 time constants, and "
         "dt_ms = 0.1 is 5; substeps must be >= 2"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)  # fmt: skip
def test_steps_too_long_are_refused(name: str, values: dict[str, Any], message: str) -> None:
    neuron = DESCRIPTIONS[name].parameters(**values)
    with pytest.raises(InvalidInputError) as caught:
        constants(neuron)
    assert str(caught.value) == message


def test_the_substeps_of_the_message_are_the_least_that_help() -> None:
    for tau_ms, least in ((0.02, 3), (0.01, 5), (0.0126, 4)):
        for substeps in range(1, 9):
            neuron = DESCRIPTIONS["lif"].parameters(
                solver="euler", substeps=substeps, tau_syn_ex_ms=tau_ms
            )
            if substeps >= least:
                constants(neuron)
                continue
            with pytest.raises(InvalidInputError, match=rf"substeps must be >= {least}$"):
                constants(neuron)


def test_a_step_of_the_limit_itself_is_taken() -> None:
    """What is multiplied with -1 does not grow."""
    for dt_ms, tau_ms in ((0.1, 0.05), (0.3, 0.15), (0.7, 0.35)):
        constants(DESCRIPTIONS["lif"].parameters(solver="euler", t_ref_ms=0.0, tau_m_ms=tau_ms,
                  tau_syn_ex_ms=tau_ms, tau_syn_in_ms=tau_ms), dt_ms)  # fmt: skip


def test_synapses_without_a_decay_have_no_limit() -> None:
    neuron = DESCRIPTIONS["lif"].parameters(kernel="delta", solver="euler", tau_m_ms=0.4)
    assert lengths(*parts(neuron)) == {"leak": pytest.approx(0.25)}
    assert np.isfinite(constants(neuron)["leak"])
