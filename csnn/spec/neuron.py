"""What all neurons have: synapses, the solver of their equations, a refractory time.

The parameters of a neuron model are a subclass of `Neuron` in the model's own file of
`csnn.neurons.models`; LIF, which networks start from, is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from csnn.errors import reject
from csnn.spec import checks

KERNELS = ("delta", "exp", "alpha", "beta")
COUPLINGS = ("cuba", "coba")
SOLVERS = ("exact", "euler", "rk2", "rk4", "ps1", "ps2", "ps3", "ps4", "ps5", "ps6")
MAX_SUBSTEPS = 16
SHARED_COMMENTS = {
    "kernel": "course of synaptic input: delta, exp, alpha or beta",
    "coupling": "cuba (currents) or coba (conductances)",
    "solver": "exact, euler, rk2, rk4 or ps1 to ps6",
    "substeps": "parts into which the solver divides a step",
    "tau_syn_ex_ms": "decay of excitatory synaptic input",
    "tau_syn_in_ms": "decay of inhibitory synaptic input",
    "tau_rise_ex_ms": "rise of excitatory synaptic input",
    "tau_rise_in_ms": "rise of inhibitory synaptic input",
    "E_ex_mV": "reversal potential of excitation",
    "E_in_mV": "reversal potential of inhibition",
    "t_ref_ms": "refractory time, a multiple of dt_ms",
}
# Endings of names of parameters, the longest first.
_UNITS = {"_per_ms": "1/ms", "_ms": "ms", "_mV": "mV", "_pF": "pF", "_nS": "nS", "_pA": "pA"}
# Fields that have no meaning but with one of these kernels or couplings.
_ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "tau_syn_ex_ms": ("kernel", ("exp", "alpha", "beta")),
    "tau_syn_in_ms": ("kernel", ("exp", "alpha", "beta")),
    "tau_rise_ex_ms": ("kernel", ("beta",)),
    "tau_rise_in_ms": ("kernel", ("beta",)),
    "E_ex_mV": ("coupling", ("coba",)),
    "E_in_mV": ("coupling", ("coba",)),
}
# Units of synaptic weights, by coupling and by whether the kernel is `delta`.
_WEIGHT_UNITS = {
    ("cuba", False): "pA",
    ("coba", False): "nS",
    ("cuba", True): "mV",
    ("coba", True): "1",
}
WEIGHT_UNITS = tuple(_WEIGHT_UNITS.values())


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """Parameters that every neuron model has.

    Attributes
    ----------
    kernel : {"exp", "alpha", "beta", "delta"}
        Course of a synaptic current or conductance after a spike.
    coupling : {"cuba", "coba"}
        Whether synapses give a current, or a conductance to a reversal potential.
    solver : {"exact", "euler", "rk2", "rk4", "ps1", ..., "ps6"}
        How a step is taken; `csnn.neurons.solvers`.
    substeps : int
        Parts, from 1 to 16, into which the solver divides a step.
    tau_syn_ex_ms, tau_syn_in_ms : float
        Decay of what synapses give.
    tau_rise_ex_ms, tau_rise_in_ms : float
        Its rise, with the kernel `beta`.
    E_ex_mV, E_in_mV : float
        Reversal potentials, with the coupling `coba`.
    t_ref_ms : float
        Refractory time, a multiple of the step.

    Raises
    ------
    InvalidInputError
        If a value breaks a rule, or is given although kernel or coupling have no use for it.
    """

    # Key in descriptions of networks, and in names of models.
    model: ClassVar[str]
    # Fields that must be above zero, beside time constants.
    positive: ClassVar[tuple[str, ...]] = ("C_m_pF",)
    # What other models call a parameter, for hints in messages.
    synonyms: ClassVar[Mapping[str, str]] = {}
    # What each field of a model's own is; units are in the names.
    comments: ClassVar[Mapping[str, str]] = {}

    kernel: str = "exp"
    coupling: str = "cuba"
    solver: str = "exact"
    substeps: int = 1
    tau_syn_ex_ms: float = 0.5
    tau_syn_in_ms: float = 0.5
    tau_rise_ex_ms: float = 0.2
    tau_rise_in_ms: float = 0.2
    E_ex_mV: float = 0.0
    E_in_mV: float = -85.0
    t_ref_ms: float = 2.0

    def __post_init__(self) -> None:
        checks.one_of("neuron", "kernel", self.kernel, KERNELS)
        checks.one_of("neuron", "coupling", self.coupling, COUPLINGS)
        checks.one_of("neuron", "solver", self.solver, SOLVERS)
        checks.integer("neuron", "substeps", self.substeps, 1, MAX_SUBSTEPS)
        if self.solver == "exact" and self.substeps != 1:
            raise reject("neuron.substeps", self.substeps, "exact integration needs no parts")
        for field in fields(self):
            value = getattr(self, field.name)
            if checks.annotation(field) != "float":
                continue
            if field.name.startswith("tau_") or field.name in self.positive:
                checks.positive("neuron", field.name, value)
            else:
                checks.real("neuron", field.name, value)
            if not self.means(field.name) and value != field.default:
                key, chosen = _ONLY_WITH[field.name]
                rule = f"has no meaning with {key} = {getattr(self, key)!r}"
                raise reject(f"neuron.{field.name}", value, f"{rule}; only with {listed(chosen)}")
        checks.non_negative("neuron", "t_ref_ms", self.t_ref_ms)

    def means(self, field: str) -> bool:
        """Return whether a parameter has a meaning with this kernel and coupling."""
        if field not in _ONLY_WITH:
            return True
        key, chosen = _ONLY_WITH[field]
        return getattr(self, key) in chosen

    @property
    def weight_unit(self) -> str:
        """Unit of synaptic weights, pA, nS, mV, or 1 for a part of the way to the reversal."""
        return _WEIGHT_UNITS[self.coupling, self.kernel == "delta"]

    def _below(self, low: str, high: str) -> None:
        """Require one potential below another."""
        if getattr(self, low) >= getattr(self, high):
            raise reject(f"neuron.{low}", getattr(self, low), f"must be < {high}")


def unit(name: str) -> str:
    """Return the unit of a parameter, from the end of its name."""
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def weight_suffix(unit: str) -> str:
    """Return the ending that names of fields and columns have by the unit of weights."""
    return "" if unit == "1" else f"_{unit}"


def weight_key(unit: str) -> str:
    """Return the key of weights in a description."""
    return f"weight{weight_suffix(unit)}"


def grid_key(unit: str) -> str:
    """Return the key of the weight grid in a description."""
    return f"weight_grid{weight_suffix(unit)}"


def with_unit(value: float, unit: str) -> str:
    """Return a weight as messages show it, with its unit if it has one."""
    return f"{value:g}" if unit == "1" else f"{value:g} {unit}"


def listed(words: tuple[str, ...]) -> str:
    """Join words for a message."""
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True, kw_only=True)
class LifNeuron(Neuron):
    """Parameters, with the defaults of Potjans & Diesmann (2014); as it stands `iaf_psc_exp`."""

    model: ClassVar[str] = "lif"
    comments: ClassVar[Mapping[str, str]] = {
        "C_m_pF": "membrane capacitance",
        "tau_m_ms": "membrane time constant",
        "E_L_mV": "resting potential",
        "V_th_mV": "threshold",
        "V_reset_mV": "potential after a spike",
    }

    C_m_pF: float = 250.0
    tau_m_ms: float = 10.0
    E_L_mV: float = -65.0
    V_th_mV: float = -50.0
    V_reset_mV: float = -65.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._below("V_reset_mV", "V_th_mV")
