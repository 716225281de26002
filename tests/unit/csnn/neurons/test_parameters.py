"""Parameters of all neurons: what is refused, and that the message names the field."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields, make_dataclass
from typing import Any, ClassVar

import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.registry import DESCRIPTIONS, model_of
from csnn.spec import checks
from csnn.spec.neuron import COUPLINGS, KERNELS, LifNeuron, Neuron

NAN, INF = float("nan"), float("inf")
KINDS = [description.parameters for description in DESCRIPTIONS.values()]
NUMBERS = [(kind, f.name) for kind in KINDS for f in fields(kind) if f.type == "float"]
# Kernel and coupling with which every parameter has a meaning.
ALL = {"kernel": "beta", "coupling": "coba"}


def refused(kind: type[Neuron], **values: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        kind(**values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name"), NUMBERS, ids=lambda value: str(getattr(value, "model", value))
)
def test_what_is_no_finite_number_is_refused(kind: type[Neuron], name: str) -> None:
    for value in (NAN, INF, -INF, None, "1.0", True, [1.0], 10**400):
        message = refused(kind, **ALL, **{name: value})
        assert message.startswith(f"neuron.{name} = ")
        assert "must be a finite number" in message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
def test_time_constants_and_the_like_must_be_positive(kind: type[Neuron]) -> None:
    names = [name for owner, name in NUMBERS if owner is kind]
    positive = [n for n in names if n.startswith("tau_") or n in kind.positive]
    assert {"tau_syn_ex_ms", "tau_rise_in_ms"} < set(positive)
    assert set(kind.positive) <= set(names)
    for name in positive:
        for value in (0.0, -0.0, -1.0):
            message = refused(kind, **ALL, **{name: value})
            assert message == f"neuron.{name} = {value}: must be a finite number > 0"
        assert getattr(kind(**ALL, **{name: 1.5}), name) == 1.5
    assert refused(kind, t_ref_ms=-0.1) == "neuron.t_ref_ms = -0.1: must be a finite number >= 0"
    assert kind(t_ref_ms=0.0).t_ref_ms == 0.0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
@pytest.mark.parametrize("name", ["kernel", "coupling", "solver"])
def test_unknown_words_are_refused(kind: type[Neuron], name: str) -> None:
    for value in ("", "EXP", "expo", 3, None, ["exp"], b"exp", "rk3", "ps0", "ps7"):
        message = refused(kind, **{name: value})
        assert message.startswith(f"neuron.{name} = ")
        assert "must be one of" in message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
def test_parts_of_a_step_are_1_to_16(kind: type[Neuron]) -> None:
    for value in (0, -1, 17, True, 2.0, "2", None):
        message = refused(kind, solver="rk2", substeps=value)
        assert message.startswith("neuron.substeps = ")
        assert message.endswith("must be an integer from 1 to 16")
    for value in (1, 16):
        assert kind(solver="rk2", substeps=value).substeps == value
    message = refused(kind, solver="exact", substeps=2)
    assert message == "neuron.substeps = 2: exact integration needs no parts"


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        ("lif", {"V_reset_mV": -50.0}, "neuron.V_reset_mV = -50.0: must be < V_th_mV"),
        ("lif", {"V_reset_mV": -40.0}, "neuron.V_reset_mV = -40.0: must be < V_th_mV"),
        ("lif", {"V_th_mV": -70.0}, "neuron.V_reset_mV = -65.0: must be < V_th_mV"),
        ("izhikevich", {"c_mV": 30.0}, "neuron.c_mV = 30.0: must be < V_th_mV"),
        ("adex", {"V_reset_mV": 1.0}, "neuron.V_reset_mV = 1.0: must be < V_peak_mV"),
        ("adex", {"V_peak_mV": -50.5}, "neuron.V_peak_mV = -50.5: must be >= V_T_mV, as in NEST"),
        ("adex", {"V_peak_mV": 70.0}, "neuron.V_peak_mV = 70.0: (V_peak_mV - V_T_mV) / Delta_T_mV"),
        ("adex", {"Delta_T_mV": 0.5}, "neuron.V_peak_mV = 0.0: (V_peak_mV - V_T_mV) / Delta_T_mV"),
        ("adex", {"g_L_nS": 0.0}, "neuron.g_L_nS = 0.0: must be a finite number > 0"),
    ],
)
def test_potentials_in_the_wrong_order(model: str, values: dict[str, Any], message: str) -> None:
    assert refused(DESCRIPTIONS[model].parameters, **values).startswith(message)


def test_a_peak_at_the_onset_is_taken() -> None:
    assert DESCRIPTIONS["adex"].parameters(V_peak_mV=-50.4, V_T_mV=-50.4).V_peak_mV == -50.4


@pytest.mark.parametrize(
    ("model", "values", "constant"),
    [
        ("lif", {"C_m_pF": 1e300}, "C_m_pF = 1e+300: neuron constant P21_ex = 1.40887e-303 under"),
        ("lif", {"C_m_pF": 1e300, "solver": "rk2", "tau_m_ms": 9.0},
         "C_m_pF = 1e+300: neuron constant drive_1_2 = 7.8125e-304 underflows binary32"),
        ("lif", {"C_m_pF": 1e300, "kernel": "alpha"},
         "C_m_pF = 1e+300: neuron constant P_V_dI_ex = 3.70852e-304 underflows binary32"),
        ("adex", {"C_m_pF": 1e300, "solver": "ps2"},
         "C_m_pF = 1e+300: neuron constant drive = 1.5625e-303 underflows binary32"),
        ("lif", {"V_th_mV": 1e39}, "V_th_mV = 1e+39: neuron constant theta = 1e+39 leaves the ran"),
        ("mat2", {"omega_mV": 1e39}, "omega_mV = 1e+39: neuron constant omega = 1e+39 leaves the"),
        ("izhikevich", {"d_mV": -1e40}, "d_mV = -1e+40: neuron constant d = -1e+40 leaves the ra"),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_constants_out_of_range_name_the_parameter(
    model: str, values: dict[str, Any], constant: str
) -> None:
    neuron = DESCRIPTIONS[model].parameters(**values)
    with pytest.raises(InvalidInputError) as caught:
        model_of(neuron).constants(neuron, dt_ms=0.1, weight_grid=2.0**-6)
    assert str(caught.value).startswith(f"neuron.{constant}")


def test_constants_out_of_range_by_the_current_name_no_parameter() -> None:
    for solver in ("exact", "euler"):
        neuron = LifNeuron(solver=solver)
        with pytest.raises(InvalidInputError, match=r"^neuron constant C_dc = "):
            model_of(neuron).constants(neuron, dt_ms=0.1, weight_grid=1.0, dc_pA=1e300)


MEANING = {
    "tau_syn_ex_ms": ("kernel", ("exp", "alpha", "beta")),
    "tau_syn_in_ms": ("kernel", ("exp", "alpha", "beta")),
    "tau_rise_ex_ms": ("kernel", ("beta",)),
    "tau_rise_in_ms": ("kernel", ("beta",)),
    "E_ex_mV": ("coupling", ("coba",)),
    "E_in_mV": ("coupling", ("coba",)),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
def test_what_has_no_meaning_is_refused(kind: type[Neuron]) -> None:
    for kernel in KERNELS:
        for coupling in COUPLINGS:
            chosen = {"kernel": kernel, "coupling": coupling}
            for name, (key, words) in MEANING.items():
                value = 1.5 if name.startswith("tau") else -3.0
                if chosen[key] in words:
                    assert getattr(kind(**chosen, **{name: value}), name) == value
                    continue
                message = refused(kind, **chosen, **{name: value})
                rule = f"has no meaning with {key} = {chosen[key]!r}; only with {words[0]}"
                assert message.startswith(f"neuron.{name} = {value}: {rule}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model)
def test_defaults_are_taken_where_they_have_no_meaning(kind: type[Neuron]) -> None:
    """Descriptions with all parameters, as `csnn show` prints them, may change their kernel."""
    usual = {name: getattr(kind(), name) for name in MEANING}
    assert kind(kernel="delta", coupling="cuba", **usual) == kind(kernel="delta", coupling="cuba")


def test_units_of_weights() -> None:
    units = {
        (k, c): LifNeuron(kernel=k, coupling=c).weight_unit for k in KERNELS for c in COUPLINGS
    }
    assert units == {
        ("delta", "cuba"): "mV",
        ("delta", "coba"): "1",
        **{(k, "cuba"): "pA" for k in ("exp", "alpha", "beta")},
        **{(k, "coba"): "nS" for k in ("exp", "alpha", "beta")},
    }


def test_parameters_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LifNeuron().C_m_pF = 1.0  # type: ignore[misc]


def test_annotations_that_are_types_count_as_well() -> None:
    """A file without postponed annotations has its numbers checked like any other."""
    kind = make_dataclass(
        "Plain",
        [("C_m_pF", float, 1.0)],
        bases=(Neuron,),
        namespace={"model": "plain", "comments": {"C_m_pF": "capacitance"}},
        frozen=True,
        kw_only=True,
    )
    field = next(f for f in fields(kind) if f.name == "C_m_pF")
    assert field.type is float
    assert checks.annotation(field) == "float"
    assert refused(kind, C_m_pF=0.0).startswith("neuron.C_m_pF = 0.0: must be a finite number > 0")


@dataclass(frozen=True, kw_only=True)
class Text(Neuron):
    """A neuron with a parameter that is no number."""

    model: ClassVar[str] = "text"
    positive: ClassVar[tuple[str, ...]] = ()
    note: str = "none"


def test_words_are_left_to_the_neuron() -> None:
    assert Text(note="anything").note == "anything"
