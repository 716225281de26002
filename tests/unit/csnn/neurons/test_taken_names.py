"""A neuron that declares names of its synapses, its solver or a step is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, make_dataclass
from typing import Any

import pytest

from csnn.neurons.composition import Step
from csnn.neurons.equations import Constant, Expression, Variable
from csnn.neurons.models.lif import Lif
from csnn.neurons.registry import DESCRIPTIONS, combinations, described
from csnn.neurons.synapses import Synapses
from csnn.spec.neuron import LifNeuron


class Crowded(Lif):
    """LIF with whatever else a test declares."""

    extra_state: str | None = None
    extra_constants: Mapping[str, float] = {}

    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        found = super().rates(drive, is_series=is_series)
        if self.extra_state is not None:
            found[self.extra_state] = Constant("leak") * Variable(self.extra_state)
        return found

    def constants(self, neuron: Any, h_ms: float) -> dict[str, float]:
        return super().constants(neuron, h_ms) | dict(self.extra_constants)


def declare(monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    if kind == "parameter":
        parameters = make_dataclass(
            "Parameters", [(name, "float", field(default=1.0))], bases=(LifNeuron,),
            frozen=True, kw_only=True,
        )  # fmt: skip
        monkeypatch.setattr(Crowded, "parameters", parameters)
    elif kind == "state variable":
        monkeypatch.setattr(Crowded, "extra_state", name)
    else:
        monkeypatch.setattr(Crowded, "extra_constants", {name: 1.0})


KINDS = ("parameter", "state variable", "constant")


@pytest.mark.parametrize("kind", KINDS)
def test_taken_names_are_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("decay_ex", "rise_in", "gain_ex", "E_in", "I_ex", "dg_in"),
        *("P_V_V", "P_u", "C_dc", "ref_steps", "refractory"),
    ):
        declare(monkeypatch, kind, name)
        message = rf"^{__name__}:Crowded: {kind} {name}: the name is taken; choose one that does"
        with pytest.raises(ValueError, match=message) as error:
            described(f"{__name__}:Crowded")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_other_names_are_not(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("decay_1", "gain_V", "E_peak", "I", "P", "ex", "index", "in_V", "steps"):
        declare(monkeypatch, kind, name)
        assert list(described(f"{__name__}:Crowded")) == ["lif"]


def test_what_is_composed_has_taken_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name beside the neuron's own, of any model and any multiple, is one that is refused."""
    found = set()
    for combination in combinations():
        if combination.refusal() is None:
            step = combination.step
            neuron = DESCRIPTIONS[combination.neuron]
            own = {*neuron.constants(neuron.parameters(), 1.0), "", "bias"}
            found |= {name for name, _ in step.sources.values()} - own
            found |= {*step.graph.states} - {*neuron.rates(None, is_series=step.is_series)}
    assert {"decay_ex", "gain_in", "rise_ex", "E_in", "P_V_V", "P_V", "I_ex", "dg_in"} < found
    for name in found:
        declare(monkeypatch, "constant", name)
        with pytest.raises(ValueError, match="the name is taken"):
            described(f"{__name__}:Crowded")


def test_multiple_of_a_constant_does_not_pass_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of `leak`, which RK2 takes, is called leak_1_2."""
    synapses = Synapses(kernel="exp", coupling="cuba")
    assert Step(Crowded(), synapses, "rk2").sources["leak_1_2"][0] == "leak"

    def rates(self: Lif, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        return {**Lif.rates(self, drive, is_series=is_series), "x": Constant("leak_1_2")}

    monkeypatch.setattr(Crowded, "rates", rates)
    with pytest.raises(ValueError, match="constant leak_1_2: the name is taken by a multiple"):
        _ = Step(Crowded(), synapses, "rk2").graph
