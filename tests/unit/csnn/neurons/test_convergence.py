"""Every solver converges to the independent reference with its order, and rounding ends it."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.neurons import evaluate as evaluation
from csnn.neurons import solvers
from csnn.neurons.graph import Op
from csnn.neurons.models.adex import Adex
from csnn.neurons.registry import DESCRIPTIONS, Combination
from csnn.neurons.solvers import ORDERS
from csnn.neurons.synapses import Synapses
from csnn.spec.neuron import COUPLINGS, KERNELS, SOLVERS
from csnn.validation import convergence
from csnn.validation.convergence import Stretch, binary32, distance, float64, order, stretch_of

# At the finest steps, which rounding allows, the errors of the next order still show.
ORDER_TOLERANCE = 0.5
# float64 and DOP853 at 1e-12, over at most 128 steps.
EXACT = 2e-11
# Largest difference between a solver in binary32 and in float64, in units of 2**-24, for the linear
# neurons and for those that magnify a difference on their way up.
ROUNDINGS = {"lif": 16, "mat2": 16, "amat2": 64, "izhikevich": 64, "adex": 64}
ALL = [
    *((n, k, c, False) for n, k, c in itertools.product(DESCRIPTIONS, KERNELS, COUPLINGS)),
    *(("adex", k, c, True) for k, c in itertools.product(KERNELS, COUPLINGS)),
]
QUICK = [
    ("lif", "exp", "coba", False),
    ("mat2", "delta", "cuba", False),
    ("amat2", "beta", "cuba", False),
    ("izhikevich", "alpha", "coba", False),
    ("adex", "exp", "coba", False),
    ("adex", "exp", "cuba", True),
]


def systems() -> list[object]:
    return [
        pytest.param(*system, marks=[] if system in QUICK else pytest.mark.slow) for system in ALL
    ]


def able(stretch: Stretch, solver: str) -> bool:
    return Combination.of(stretch.with_solver(solver)).refusal() is None


def wrong_orders(stretch: Stretch) -> dict[str, float]:
    found = {solver: order(stretch, solver) for solver in ORDERS}
    return {s: q for s, q in found.items() if not abs(q - ORDERS[s]) < ORDER_TOLERANCE}


@pytest.mark.parametrize(("neuron", "kernel", "coupling", "rises"), systems())
def test_the_error_falls_with_the_order_of_the_solver(
    neuron: str, kernel: str, coupling: str, rises: bool
) -> None:
    stretch = stretch_of(neuron, kernel, coupling, rises=rises)
    assert wrong_orders(stretch) == {}
    if able(stretch, "exact"):
        reference = stretch.exact()
        for steps in (4, 32):
            assert distance(float64(stretch, "exact", steps), reference) < EXACT


@pytest.mark.parametrize(("neuron", "kernel", "coupling", "rises"), systems())
def test_in_binary32_it_falls_until_rounding_takes_over(
    neuron: str, kernel: str, coupling: str, rises: bool
) -> None:
    stretch = stretch_of(neuron, kernel, coupling, rises=rises)
    steps = (4, 8, 16, 32)
    for solver in filter(lambda s: able(stretch, s), SOLVERS):
        for count, values in zip(steps, binary32(stretch, solver, steps), strict=True):
            roundings = distance(values, float64(stretch, solver, count)) * 2**24
            assert roundings < ROUNDINGS[neuron], (solver, count)


def test_stretches_are_what_they_are_said_to_be() -> None:
    rising = stretch_of("adex", "exp", "coba", rises=True)
    V_T, onset = rising.neuron.V_T_mV, rising.neuron.Delta_T_mV
    assert rising.initial["V"] > V_T + 2 * onset
    assert rising.exact()[-1][0] > rising.initial["V"] + onset / 2
    with pytest.raises(ArithmeticError, match="peak"):
        Stretch(neuron=rising.neuron, initial=rising.initial, dc_pA=1e4, duration_ms=4.0).exact()
    with pytest.raises(ArithmeticError, match="a spike in step"):
        binary32(
            Stretch(neuron=rising.neuron, initial=rising.initial, dc_pA=1e4, duration_ms=4.0),
            "rk4",
            (64,),
        )


@pytest.mark.parametrize(
    ("constant", "value", "caught"),
    [
        ("THIRD", Fraction(3334, 10_000), {"rk4"}),
        ("HALF", Fraction(49, 100), {"rk2", "rk4"}),
    ],
)
def test_a_wrong_weight_of_a_solver_is_caught(
    monkeypatch: pytest.MonkeyPatch, constant: str, value: Fraction, caught: set[str]
) -> None:
    stretch = stretch_of("lif", "exp", "coba")
    monkeypatch.setattr(solvers, constant, value)
    assert set(wrong_orders(stretch)) == caught


def test_a_wrong_constant_of_a_model_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch = stretch_of("adex", "exp", "coba")
    right = Adex.constants

    def wrong(self: Adex, neuron: object, h_ms: float) -> dict[str, float]:
        constants = right(self, neuron, h_ms)  # type: ignore[arg-type]
        return {**constants, "V_on_w": 1.001 * constants["V_on_w"]}

    monkeypatch.setattr(Adex, "constants", wrong)
    assert {"rk2", "rk4", "ps4"} <= set(wrong_orders(stretch))


def test_a_wrong_synapse_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch = stretch_of("lif", "alpha", "cuba")
    right = Synapses.constants

    def wrong(self: Synapses, *arguments: object) -> dict[str, float]:
        constants = right(self, *arguments)  # type: ignore[arg-type]
        return {**constants, "gain_in": 1.001 * constants["gain_in"]}

    monkeypatch.setattr(Synapses, "constants", wrong)
    assert {"rk2", "rk4", "ps4"} <= set(wrong_orders(stretch))
    reference = stretch.exact()
    assert distance(float64(stretch, "exact", 32), reference) > 100 * EXACT


def test_an_inexact_operator_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch = stretch_of("lif", "exp", "cuba")
    good = float64(stretch, "rk4", 32)
    assert distance(binary32(stretch, "rk4", (32,))[0], good) * 2**24 < ROUNDINGS["lif"]
    right = evaluation._RULES[Op.FMUL]
    wrong = np.float32(1 + 2**-12)
    monkeypatch.setitem(evaluation._RULES, Op.FMUL, lambda a, b: right(right(a, b), wrong))
    assert distance(binary32(stretch, "rk4", (32,))[0], good) * 2**24 > ROUNDINGS["lif"]


def test_figure_shows_every_solver_in_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence, "DRAWN", (4, 8))
    figure = convergence.draw({"LIF": stretch_of("lif", "exp", "cuba")}, SOLVERS)
    above, below = figure.axes
    assert [len(axes.lines) for axes in (above, below)] == [len(SOLVERS), len(SOLVERS) + 1]
    texts = [text.get_text() for text in below.get_legend().get_texts()]
    assert [text.split(":")[0] for text in texts] == list(SOLVERS)
    shown = {text.split(": ")[0]: float(text.split(": ")[1]) for text in texts if ":" in text}
    assert shown.keys() == ORDERS.keys()
    assert all(abs(shown[solver] - ORDERS[solver]) < ORDER_TOLERANCE for solver in ORDERS)


def test_a_missing_folder_is_an_error_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not exist"):
        convergence.main(["--out", str(tmp_path / "none" / "figure.svg")])
    assert list(tmp_path.iterdir()) == []
