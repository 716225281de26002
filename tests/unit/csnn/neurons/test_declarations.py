"""What a neuron's file names but does not declare, or leaves out, is told when it is registered."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from csnn.errors import InvalidInputError
from csnn.neurons import composition
from csnn.neurons.description import Firing
from csnn.neurons.equations import Constant, Difference, Expression, Product, Rate, Sum, Variable
from csnn.neurons.models.leaky import leaky
from csnn.neurons.models.lif import Lif
from csnn.neurons.registry import DESCRIPTIONS, MODELS, Combination, described, model_of

V, BIAS = Variable("V"), Constant("bias")


class Changed(Lif):
    """LIF, of which a test replaces a part."""


PLACE = f"{__name__}:Changed"


def refused(message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{PLACE}: {message}')}") as error:
        described(PLACE)
    assert "\n" not in str(error.value)


def rates(make: Callable[[Any], dict[str, Expression]]) -> Any:
    return lambda self, drive, *, is_series: make(drive)


def add(
    patch: pytest.MonkeyPatch,
    *,
    plain: dict[str, Expression] | None = None,
    series: dict[str, Expression] | None = None,
    functions: dict[str, Expression] | None = None,
) -> None:
    """Add variables to either form of LIF, and the functions that begin some of a series."""

    def both(self: Any, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        return {"V": leaky(drive), **((series if is_series else plain) or {})}

    patch.setattr(Changed, "rates", both)
    patch.setattr(Changed, "series_variables", lambda self: functions or {})


def add_to_series(patch: pytest.MonkeyPatch, name: str) -> None:
    """Add a variable to LIF that its series alone has, as AdEx has its exponential."""
    rate = Constant("leak") * (Variable(name) * Rate("V"))
    add(patch, series={name: rate}, functions={name: Constant("leak") * V})


def test_lif_itself_is_taken() -> None:
    assert list(described(PLACE)) == ["lif"]


@pytest.mark.parametrize("name", ["bias", "drive", "input"])
def test_constants_that_all_need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def constants(self: Any, neuron: Any, h_ms: float) -> dict[str, float]:
        found = Lif.constants(self, neuron, h_ms)
        del found[name]
        return found

    monkeypatch.setattr(Changed, "constants", constants)
    refused(f"constants() must give {name}")


WRONG_RATES = {
    "rate of V: constant leek is unknown; known are leak, drive, input, bias, theta, V_reset": (
        lambda drive: {"V": Sum((Constant("leek") * V, drive or BIAS, BIAS))}
    ),
    "rate of V: state variable U is unknown; known are V": (
        lambda drive: {"V": Sum((Constant("leak") * Variable("U"), drive or BIAS, BIAS))}
    ),
    "rate of x: state variable U is unknown; known are V, x": (
        lambda drive: {"V": leaky(drive), "x": Rate("U")}
    ),
    "rate of x: Rate(V): a Rate is for series only": (
        lambda drive: {"V": leaky(drive), "x": Product(Constant("leak"), V + Rate("V"))}
    ),
    "rate of x: constant decay_ex is unknown": (
        lambda drive: {"V": leaky(drive), "x": Constant("decay_ex") * Variable("x")}
    ),
    "rate of V: bias must be a term of its own": (
        lambda drive: {"V": Constant("leak") * V + (drive or BIAS)}
    ),
    "rate of V: bias must be a term": (
        lambda drive: {"V": Difference(Constant("leak") * V + (drive or V), BIAS)}
    ),
    "rate of V: the drive must be part of it": lambda drive: {"V": leaky(None)},
    "rate of V: bias must be a term ": (lambda drive: {"V": Difference(V, leaky(drive))}),
    "rates() must begin with V, not with x": lambda drive: {"x": V, "V": leaky(drive)},
    "rates() must have the same state variables with and without": (
        lambda drive: {"V": leaky(drive), **({"x": V} if drive else {})}
    ),
}


@pytest.mark.parametrize("message", WRONG_RATES)
def test_right_hand_sides(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Changed, "rates", rates(WRONG_RATES[message]))
    refused(message)


def test_bias_may_be_what_is_subtracted_from(monkeypatch: pytest.MonkeyPatch) -> None:
    less = rates(lambda drive: {"V": Difference(leaky(drive), Constant("theta") * V)})
    monkeypatch.setattr(Changed, "rates", less)
    assert list(described(PLACE)) == ["lif"]


@pytest.mark.parametrize("other", ["x", "y", "U"])
def test_rates_of_a_series_name_those_of_earlier_variables(
    other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def added(name: str) -> dict[str, Expression]:
        return {"x": Variable("x") * Rate(name), "y": Variable("y") * Rate("x")}

    plain: dict[str, Expression] = {"x": V, "y": V}
    add(monkeypatch, plain=plain, series=added("V"))
    assert list(described(PLACE)) == ["lif"]
    add(monkeypatch, plain=plain, series=added(other))
    refused(
        "rate of x: state variable U is unknown; known are V, x, y"
        if other == "U"
        else f"rate of x: Rate({other}): must be that of an earlier variable"
    )


FIRINGS: dict[str, Callable[..., Firing]] = {
    "fire(): constant thetta is unknown; known are leak": (
        lambda self, before, after, c: Firing(spike=after["V"] >= c["thetta"], reset={})
    ),
    "fire(): state variable w is unknown; known are V": (
        lambda self, before, after, c: Firing(spike=after["w"] >= c["theta"], reset={})
    ),
    "fire(): state variable u is unknown": (
        lambda self, before, after, c: Firing(
            spike=after["V"] >= c["theta"], reset={"u": c["V_reset"]}
        )
    ),
}


@pytest.mark.parametrize("message", FIRINGS)
def test_firing(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Changed, "fire", FIRINGS[message])
    refused(message)


def test_firing_names_what_both_forms_have(monkeypatch: pytest.MonkeyPatch) -> None:
    fall = Constant("leak") * Variable("x")
    monkeypatch.setattr(
        Changed,
        "fire",
        lambda self, before, after, c: Firing(spike=after["x"] >= c["theta"], reset={}),
    )
    add(monkeypatch, plain={"x": fall}, series={"x": fall})
    assert list(described(PLACE)) == ["lif"]
    for one in ({"plain": {"x": fall}}, {"series": {"x": fall}}):
        add(monkeypatch, **one)  # type: ignore[arg-type]
        refused("fire(): state variable x is unknown; known are V")
    add_to_series(monkeypatch, "x")
    refused("fire(): state variable x is unknown; known are V")


def test_a_variable_that_series_alone_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is looked at like any other, and it is no state."""
    add_to_series(monkeypatch, "E")
    assert list(described(PLACE)) == ["lif"]
    with monkeypatch.context() as patch:
        for part, value, place in (
            ("initial", lambda self, neuron, V: {"E": V}, "initial()"),
            ("jumped", lambda self, change, values, c: {"E": change}, "jumped()"),
            ("bounds", {"V": "theta", "E": "theta"}, "bounds"),
        ):
            with monkeypatch.context() as inner:
                inner.setattr(Changed, part, value)
                refused(f"{place}: state variable E is unknown; known are V")
        for name, taken in (
            ("E_ex", "the name is taken; choose one that does not end in _ex or _in"),
            ("leak_1_2", "the name is taken by a multiple of leak"),
            ("theta", "the name is taken by a constant"),
            ("words", "the name is taken by an array of traces"),
        ):
            add_to_series(patch, name)
            refused(f"state variable {name}: {taken}")


NAMES = ("x-1", "x y", "1x", "", "\u03b1", "x\u0661", "x\n")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_that_back_ends_cannot_use(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "must be of ASCII letters, digits and _, no digit first"
    declare(monkeypatch, state=None, constant=name)
    refused(f"constant {name!r}: {rule}")
    declare(monkeypatch, state=name, constant=None)
    refused(f"state variable {name!r}: {rule}")
    add_to_series(monkeypatch, name)
    refused(f"state variable {name!r}: {rule}")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_constants_are_numbers(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, state=None, constant="x", value=value)
    refused(f"constant x = {value}: must be finite with the defaults")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"E": Variable("V")},
            "series_variables(): variable of a series E is unknown; known are V",
        ),
        ({"V": Constant("leek")}, "series_variables(): V: constant leek is unknown"),
        ({"V": Variable("E")}, "series_variables(): V: state variable E is unknown; known are V"),
        ({"V": Variable("V") * Rate("V")}, "series_variables(): V: must not name Rate(V)"),
    ],
)
def test_variables_of_series(
    variables: dict[str, Expression], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Changed, "series_variables", lambda self: variables)
    refused(message)


def test_functions_are_of_state_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a series that are functions begin together, none before another."""
    series = {name: Variable(name) * Rate("V") for name in ("E", "F")}
    for names, message in (
        ("VV", None),
        ("VE", "series_variables(): F: state variable E is unknown; known are V"),
        ("EV", "series_variables(): E: state variable E is unknown; known are V"),
    ):
        functions: dict[str, Expression] = dict(zip("EF", map(Variable, names), strict=True))
        add(monkeypatch, series=series, functions=functions)
        if message is None:
            assert list(described(PLACE)) == ["lif"]
        else:
            refused(message)


def test_jumps_bounds_and_initial_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for part, value, message in (
        ("jumped", lambda self, change, values, c: {"x": change}, "jumped(): state variable x is"),
        ("jumped", lambda self, change, values, c: {"V": c["x"]}, "jumped(): constant x is unkn"),
        ("bounds", {"U": "theta"}, "bounds: V must have one if others do"),
        ("bounds", {"V": "peak"}, "bounds: constant peak is unknown; known are leak"),
        ("bounds", {"U": "theta", "V": "theta"}, "bounds: state variable U is unknown; known are"),
        ("initial", lambda self, neuron, V: {"u": V}, "initial(): state variable u is unkn"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Changed, part, value)
            refused(message)


def declare(
    patch: pytest.MonkeyPatch, *, state: str | None, constant: str | None, value: float = 1.0
) -> None:
    """Add a state variable or a constant to LIF."""

    def constants(self: Any, neuron: Any, h_ms: float) -> dict[str, float]:
        own = {} if constant is None else {constant: value}
        return Lif.constants(self, neuron, h_ms) | own

    own = {} if state is None else {state: Constant("leak") * V}
    patch.setattr(Changed, "rates", rates(lambda drive: {"V": leaky(drive), **own}))
    patch.setattr(Changed, "constants", constants)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("leak_1_2", "a multiple of leak"),
        ("leak_2", "a multiple of leak"),
        ("drive_1_6", "a multiple of drive"),
        ("decay_in_1_2", "a multiple of decay_in"),
        ("number_1_3", "a number"),
        ("number_0", "a number"),
    ],
)
def test_names_of_multiples(name: str, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, state=None, constant=name)
    refused(f"constant {name}: the name is taken by {taken}")
    declare(monkeypatch, state=name, constant=None)
    refused(f"state variable {name}: the name is taken by {taken}")


def test_every_multiple_that_a_solver_takes_has_a_name_that_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = set()
    for solver in ("euler", "rk2", "rk4", "ps2", "ps6"):
        step = Combination(neuron="lif", kernel="exp", coupling="cuba", solver=solver).step
        own = {*step.neuron.constants(step.neuron.parameters(), 1.0)}
        found |= {shown for shown, (name, scale) in step.sources.items() if scale != 1}
        assert not found & own
    assert {"leak_1_2", "number_1_3", "drive_1_2", "decay_ex_1_2"} < found
    for name in found:
        declare(monkeypatch, state=None, constant=name)
        with pytest.raises(ValueError, match="the name is taken"):
            described(PLACE)


def test_names_like_multiples_of_nothing_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("decay_1", "x_1_2", "leak_V", "numbers", "leak_1_x", "Leak_1"):
        declare(monkeypatch, state=None, constant=name)
        assert list(described(PLACE)) == ["lif"]


def test_state_variables_called_like_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, state="theta", constant=None)
    refused("state variable theta: the name is taken by a constant")
    for name in ("step", "neuron", "words", "V_mV"):
        declare(monkeypatch, state=name, constant=None)
        refused(f"state variable {name}: the name is taken by an array of traces")
    declare(monkeypatch, state=None, constant="number")
    refused("constant number: the name is taken")


def test_exact_integration_refuses_constant_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their share of a step would not be known."""
    extra = rates(lambda drive: {"V": Sum((*leaky(drive).parts(), Constant("theta")))})
    monkeypatch.setattr(Changed, "rates", extra)
    monkeypatch.setitem(DESCRIPTIONS, "lif", described(PLACE)["lif"])
    for name in [name for name in MODELS if name.startswith("lif_")]:
        monkeypatch.delitem(MODELS, name)
    parameters = DESCRIPTIONS["lif"].parameters
    with pytest.raises(InvalidInputError, match="takes no constant term but bias; that of V has"):
        model_of(parameters(kernel="alpha"))
    assert Combination.of(parameters(kernel="alpha", solver="euler")).refusal() is None


def test_the_solvers_bias_is_that_of_composition() -> None:
    from csnn.neurons import solvers

    assert solvers.BIAS == composition.BIAS
