"""Steps that are too long for a decay are refused, with the parameter and what helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.composed import base_constants
from csnn.neurons.composition import Step
from csnn.neurons.equations import Constant, Difference, Expression, Variable
from csnn.neurons.models.lif import Lif
from csnn.neurons.registry import DESCRIPTIONS, Combination, model_of
from csnn.neurons.solvers import ORDERS, stability_limit
from csnn.neurons.stability import bound, decays, enough_substeps, is_stable, lengths
from csnn.neurons.synapses import Synapses
from csnn.spec.neuron import LifNeuron, Neuron

DT_MS = 0.1
# The intervals of the real axis in textbooks (Hairer & Wanner, Solving ODEs II, IV.2).
TEXTBOOK = {1: 2.0, 2: 2.0, 3: 2.5127, 4: 2.7853, 5: 3.2170, 6: 3.5534}


def constants(neuron: Neuron, dt_ms: float = DT_MS) -> dict[str, Any]:
    return model_of(neuron).constants(neuron, dt_ms=dt_ms, weight_grid=2.0**-4)


def parts(neuron: Neuron) -> tuple[Step, dict[str, float]]:
    step = Combination.of(neuron).step
    return step, base_constants(step, neuron, dt_ms=DT_MS, weight_grid=1.0, dc_pA=0.0)


def enough(neuron: Neuron) -> int | None:
    """Return the least substeps, those of the neuron if they will do; without making a graph."""
    step, base = parts(neuron)
    found = lengths(step, base).values()
    if all(is_stable(step.solver, length) for length in found):
        return step.substeps
    return enough_substeps(step.solver, step.substeps * max(found))


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
         "neuron.tau_rise_ex_ms = 0.04: rk2 is unstable: "
         "its steps must be shorter than 2 time constants, and "
         "dt_ms = 0.1 is 2.5; substeps must be >= 2"),
        ("lif", {"solver": "rk4", "tau_syn_in_ms": 0.02},
         "neuron.tau_syn_in_ms = 0.02: rk4 is unstable: "
         "its steps must be shorter than 2.785 time constants, and "
         "dt_ms = 0.1 is 5; substeps must be >= 2"),
        ("lif", {"solver": "euler", "substeps": 2, "tau_m_ms": 0.01},
         "neuron.tau_m_ms = 0.01: euler is unstable: "
         "its steps must be shorter than 2 time constants, and "
         "dt_ms / 2 = 0.05 is 5; substeps must be >= 6"),
        ("mat2", {"solver": "ps3", "tau_1_ms": 0.03, "tau_2_ms": 0.004},
         "neuron.tau_1_ms = 0.03: ps3 is unstable: "
         "its steps must be shorter than 2.513 time constants, and "
         "dt_ms = 0.1 is 3.333; substeps must be >= 10"),
        ("lif", {"kernel": "alpha", "solver": "euler", "tau_syn_ex_ms": 0.05},
         "neuron.tau_syn_ex_ms = 0.05: euler is unstable: its steps must be shorter than 2 time "
         "constants, and dt_ms = 0.1 is 2; substeps must be >= 2"),
        ("lif", {"kernel": "alpha", "solver": "rk2", "substeps": 2, "tau_syn_in_ms": 0.02},
         "neuron.tau_syn_in_ms = 0.02: rk2 is unstable: its steps must be shorter than 2 time "
         "constants, and dt_ms / 2 = 0.05 is 2.5; substeps must be >= 3"),
        ("adex", {"C_m_pF": 0.5},
         "neuron.C_m_pF = 0.5: with g_L_nS = 30, rk4 is unstable: "
         "its steps must be shorter than 2.785 time "
         "constants, and dt_ms = 0.1 is 6; substeps must be >= 3"),
        ("adex", {"tau_w_ms": 0.002},
         "neuron.tau_w_ms = 0.002: rk4 is unstable: "
         "its steps must be shorter than 2.785 time constants, and "
         "dt_ms = 0.1 is 50; substeps = 16 is too few: dt_ms must be smaller"),
        ("izhikevich", {"a_per_ms": 50.0, "solver": "ps6"},
         "neuron.a_per_ms = 50.0: ps6 is unstable: "
         "its steps must be shorter than 3.553 time constants, and "
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
    for tau_ms, least in ((0.02, 3), (0.01, 6), (0.0126, 4), (0.025, 3)):
        for substeps in range(1, 9):
            neuron = DESCRIPTIONS["lif"].parameters(
                solver="euler", substeps=substeps, tau_syn_ex_ms=tau_ms
            )
            if substeps >= least:
                constants(neuron)
                continue
            with pytest.raises(InvalidInputError, match=rf"substeps must be >= {least}$"):
                constants(neuron)


@pytest.mark.parametrize("kernel", ["exp", "alpha", "beta"])
@pytest.mark.parametrize("solver", ORDERS)
def test_a_step_of_the_limit_itself_is_refused(solver: str, kernel: str) -> None:
    """What is multiplied with -1 or 1 is no decay, and constants are rounded to binary32."""
    limit = stability_limit(solver)
    for length, is_taken in (
        *((limit * (1.0 - part), False) for part in (0.0, 1e-12, 6e-8, -1e-12, -6e-8, -0.1)),
        *((limit * (1.0 - part), True) for part in (1e-5, 0.1)),
    ):
        neuron = DESCRIPTIONS["lif"].parameters(
            kernel=kernel, solver=solver, tau_syn_in_ms=DT_MS / length
        )
        assert enough(neuron) == (1 if is_taken else 2)


@pytest.mark.parametrize("kernel", ["exp", "alpha", "beta"])
@pytest.mark.parametrize("solver", ORDERS)
def test_the_substeps_of_the_message_are_taken(solver: str, kernel: str) -> None:
    limit = stability_limit(solver)
    for least in (2, 3, 7, 16):
        for part, is_taken in (
            *((part, True) for part in (1e-5, 3e-6)),
            *((part, False) for part in (6e-8, 1e-12, 0.0, -1e-12, -6e-8, -1e-6)),
        ):
            # Just `least - 1` parts of the limit's length, but for rounding.
            tau_ms = DT_MS / (limit * (least - 1) * (1.0 - part))

            def of(substeps: int, tau_ms: float = tau_ms) -> Neuron:
                return DESCRIPTIONS["lif"].parameters(
                    kernel=kernel, solver=solver, substeps=substeps, tau_syn_ex_ms=tau_ms
                )

            assert enough(of(least - 1)) == (least - 1 if is_taken else least)
            assert enough(of(least)) == least


@pytest.mark.parametrize("solver", ORDERS)
def test_substeps_between_stable_and_not(solver: str) -> None:
    """Where rounding decides, what is recommended is taken all the same."""
    limit = bound(solver)
    for least in (2, 3, 7, 16):
        # So close that a rounding could tip it: one part more is recommended.
        assert enough_substeps(solver, limit * (least - 1) * (1.0 - 1e-7)) == least
        for k in range(-6, 7):
            length = limit * (least - 1) * (1.0 + k * 2.0**-53)
            neuron = DESCRIPTIONS["lif"].parameters(solver=solver, tau_syn_ex_ms=DT_MS / length)
            found = enough(neuron)
            if found is not None:
                assert enough(replace(neuron, substeps=found)) == found


@pytest.mark.parametrize("solver", ORDERS)
@pytest.mark.parametrize(
    ("name", "source", "driven"), [("lif", "dI_in", "I_in"), ("amat2", "x", "th_V")]
)
def test_what_decays_twice_grows_at_the_limit(
    solver: str, name: str, source: str, driven: str
) -> None:
    """Of two equations with one decay, the second never forgets the first there."""

    def after(length: float) -> float:
        tau_ms = DT_MS / length
        neuron = DESCRIPTIONS[name].parameters(
            kernel="alpha",
            solver=solver,
            **({"tau_V_ms": tau_ms} if name == "amat2" else {"tau_syn_in_ms": tau_ms}),
        )
        step, base = parts(neuron)
        advance, values = step.advance(base), {n: 1.0 * (n == source) for n in step.rates}
        for _ in range(1500):
            values = advance(values)
        return abs(values[driven])

    limit = stability_limit(solver)
    assert after(limit) > 50.0
    assert after(0.98 * limit) < 1e-9


@pytest.mark.parametrize("solver", ORDERS)
def test_amat2_is_refused_at_the_limit(solver: str) -> None:
    tau_ms = DT_MS / stability_limit(solver)
    for factor, least in ((1.0, 2), (1.01, 1)):
        neuron = DESCRIPTIONS["amat2"].parameters(solver=solver, tau_V_ms=factor * tau_ms)
        assert enough(neuron) == least


class Decaying(Lif):
    """LIF with three further variables, of which two have several decays."""

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        x, y, z = (Variable(name) for name in ("x", "y", "z"))
        slow, fast = Constant("slow"), Constant("fast")
        return {
            **super().rates(drive, is_series=is_series),
            "x": Difference(slow * x + x * fast, fast * y),
            "y": fast * y + Constant("slow") * x,
            "z": z * slow + Variable("V") * slow,
        }

    def constants(self, neuron: Any, h_ms: float) -> dict[str, float]:
        return {**super().constants(neuron, h_ms), "slow": -0.5 * h_ms, "fast": -3.0 * h_ms}


def test_decays_are_found_in_every_form() -> None:
    step = Step(Decaying(), Synapses(kernel="delta", coupling="cuba"), "euler")
    assert decays(step) == {"V": ("leak",), "x": ("slow", "fast"), "y": ("fast",), "z": ("slow",)}
    base = Decaying().constants(LifNeuron(), 0.1)
    # Those of one variable add up, and the fastest stands for them; the longest of each counts.
    assert lengths(step, base) == {
        "leak": pytest.approx(0.01),
        "fast": pytest.approx(0.35),
        "slow": pytest.approx(0.05),
    }


def test_synapses_without_a_decay_have_no_limit() -> None:
    neuron = DESCRIPTIONS["lif"].parameters(kernel="delta", solver="euler", tau_m_ms=0.4)
    assert lengths(*parts(neuron)) == {"leak": pytest.approx(0.25)}
    assert np.isfinite(constants(neuron)["leak"])
