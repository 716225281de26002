"""Neurons of the machine against NEST and against textbook equations, under the same input.

Each case is one neuron with explicit spikes of several weights on both sides and a direct current
that changes, compared after every step. Printed is the largest difference in any lane:

    python -m csnn.validation.neuron_accuracy
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import CsnnError
from csnn.neurons.registry import DESCRIPTIONS, Combination
from csnn.oracle import nest
from csnn.oracle.nest_models import COMBINATIONS, nest_model
from csnn.oracle.single import Stimulus, Trace, simulate
from csnn.spec.neuron import Neuron
from csnn.validation import single_neuron

F64 = npt.NDArray[np.float64]
Lanes = list[tuple[Neuron, Stimulus]]
DT_MS = 0.1
STEPS = 300
# Units of weights by coupling and whether the kernel is `delta`: pA, nS, mV, 1.
_GRIDS = {
    ("cuba", False): 2.0**-4,
    ("coba", False): 2.0**-10,
    ("cuba", True): 2.0**-10,
    ("coba", True): 2.0**-14,
}
# Weights that make a neuron fire a few times, by neuron; currents in pA, conductances in nS, jumps
# in mV and in parts of the way.
_WEIGHTS = {
    "lif": (60.0, 1.0, 0.6, 0.01),
    "mat2": (60.0, 1.0, 0.6, 0.01),
    "amat2": (40.0, 0.7, 0.4, 0.007),
    "izhikevich": (1.5, 0.025, 0.6, 0.004),
    "adex": (40.0, 0.7, 0.4, 0.007),
}
# Direct current in pA at first and after the change.
_CURRENTS = {"izhikevich": (5.0, 9.0), "adex": (600.0, 900.0)}
_OTHER_CURRENTS = (200.0, 320.0)
# In so many steps before a spike V may be on its way to infinity.
UPSTROKE_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """A neuron with its synapses and a solver.

    Attributes
    ----------
    neuron, kernel, coupling, solver : str
    substeps : int
    t_ref_ms : float, optional
        Where it is not the neuron's default.
    """

    neuron: str
    kernel: str
    coupling: str
    solver: str
    substeps: int = 1
    t_ref_ms: float | None = None
    parameters: Neuron = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: dict[str, Any] = {
            "kernel": self.kernel,
            "coupling": self.coupling,
            "solver": self.solver,
            "substeps": self.substeps,
        }
        if self.kernel != "delta":
            given |= {"tau_syn_ex_ms": 2.0, "tau_syn_in_ms": 3.0}
        if self.kernel == "beta":
            given |= {"tau_rise_ex_ms": 0.5, "tau_rise_in_ms": 0.7}
        if self.neuron == "amat2":
            given["beta_per_ms"] = 0.3
        if self.t_ref_ms is not None:
            given["t_ref_ms"] = self.t_ref_ms
        object.__setattr__(self, "parameters", DESCRIPTIONS[self.neuron].parameters(**given))

    @property
    def name(self) -> str:
        """Name of the model."""
        return Combination.of(self.parameters).name

    @property
    def grid(self) -> float:
        """Unit of its weights."""
        return _GRIDS[self.coupling, self.kernel == "delta"]

    def lanes(self, seeds: Sequence[int] = (1, 2), steps: int = STEPS) -> Lanes:
        """Return the neuron with a stimulus for each seed."""
        kind = 2 * (self.kernel == "delta") + (self.coupling == "coba")
        weight = _WEIGHTS[self.neuron][kind]
        before, after = _CURRENTS.get(self.neuron, _OTHER_CURRENTS)
        initial = {"V": getattr(self.parameters, "E_L_mV", -69.0) + 4.0}
        if self.neuron == "izhikevich":
            initial["u"] = -13.0
        if self.neuron == "adex":
            initial["w"] = 20.0
        found: Lanes = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            # Several weights, several spikes in a step, inhibition in bursts.
            ex = weight * rng.uniform(0.3, 1.7, steps) * rng.poisson(0.8, steps)
            inh = 4 * weight * rng.uniform(0.3, 1.7, steps) * (rng.random(steps) < 0.05)
            dc_pA = np.where(np.arange(steps) < steps // 2, before, after)
            stimulus = Stimulus(
                dt_ms=DT_MS,
                ex=np.rint(ex / self.grid) * self.grid,
                inh=np.rint(inh / self.grid) * self.grid,
                dc_pA=dc_pA,
                initial=initial,
            )
            found.append((self.parameters, stimulus))
        return found

    def machine(self, lanes: Lanes) -> list[Trace]:
        """Return what the machine does in binary32."""
        return single_neuron.run(lanes, grid=self.grid)


def nest_cases() -> Iterator[Case]:
    """Yield a case for each of NEST's models; `aeif` with and without refractory time."""
    for neuron, kernel, coupling in COMBINATIONS:
        solver = "exact" if coupling == "cuba" else "rk4"
        if neuron == "izhikevich":
            # NEST's own.
            solver = "euler"
        if neuron != "adex":
            yield Case(neuron=neuron, kernel=kernel, coupling=coupling, solver=solver)
            continue
        for t_ref_ms in (2.0, 0.0):
            yield Case(
                neuron=neuron, kernel=kernel, coupling=coupling, solver="rk4", substeps=4,
                t_ref_ms=t_ref_ms,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How two traces differ.

    Attributes
    ----------
    spikes : tuple of int
        Number of spikes of both.
    same_spikes : bool
        Whether they are at the same steps.
    shift_steps : int
        Largest distance of two spikes of equal number; -1 if their numbers differ.
    largest : dict of str to float
        Largest difference of each state variable that both have, over all steps.
    before : dict of str to float
        The same until UPSTROKE_STEPS before the first spike of either.
    """

    spikes: tuple[int, int]
    same_spikes: bool
    shift_steps: int
    largest: dict[str, float]
    before: dict[str, float]


def compare(a: Trace, b: Trace) -> Difference:
    """Compare two traces of one stimulus."""
    names = [name for name in a.states if name in b.states]
    apart = {name: np.abs(a.states[name] - b.states[name]) for name in names}
    first = min([*a.spikes[:1], *b.spikes[:1], len(a.states["V"]) + 1 + UPSTROKE_STEPS])
    calm = slice(max(int(first) - 1 - UPSTROKE_STEPS, 0))
    shift = -1
    if len(a.spikes) == len(b.spikes):
        shift = int(np.abs(a.spikes.astype(np.int64) - b.spikes).max(initial=0))
    return Difference(
        spikes=(len(a.spikes), len(b.spikes)),
        same_spikes=np.array_equal(a.spikes, b.spikes),
        shift_steps=shift,
        largest={name: float(values.max()) for name, values in apart.items()},
        before={name: float(values[calm].max(initial=0.0)) for name, values in apart.items()},
    )


def worst(pairs: Sequence[tuple[Trace, Trace]]) -> Difference:
    """Return the largest differences over several pairs of traces."""
    found = [compare(a, b) for a, b in pairs]
    return Difference(
        spikes=(sum(f.spikes[0] for f in found), sum(f.spikes[1] for f in found)),
        same_spikes=all(f.same_spikes for f in found),
        shift_steps=-1 if any(f.shift_steps < 0 for f in found) else max(
            f.shift_steps for f in found
        ),
        largest={n: max(f.largest[n] for f in found) for n in found[0].largest},
        before={n: max(f.before[n] for f in found) for n in found[0].before},
    )  # fmt: skip


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cells(difference: Difference) -> list[str]:
    """Return the cells of a comparison: spikes, shift, V before spikes and in all, the others."""
    others = [f"{name} {value:.0e}" for name, value in difference.largest.items() if name != "V"]
    return [
        str(difference.spikes[1]) if len(set(difference.spikes)) == 1 else str(difference.spikes),
        str(difference.shift_steps),
        f"{difference.before['V']:.0e}",
        f"{difference.largest['V']:.0e}",
        ", ".join(others),
    ]


def main() -> None:
    """Print the table of NEST's models."""
    head = ["NEST", "ours", "t_ref", "spikes", "shift", "V before spikes", "V", "others"]
    print(row(head))
    print(row(["---"] * len(head)))
    cases = list(nest_cases())
    lanes = [case.lanes() for case in cases]
    flat = nest.run_neurons([lane for some in lanes for lane in some], tolerance=1e-9)
    theirs = iter(flat)
    for case, some in zip(cases, lanes, strict=True):
        references = [next(theirs) for _ in some]
        parameters = case.parameters
        label = [nest_model(parameters).name, case.name, f"{parameters.t_ref_ms:g}"]
        pairs = list(zip(case.machine(some), references, strict=True))
        print(row([*label, *cells(worst(pairs))]), flush=True)
        is_delta = case.kernel == "delta"
        if case.neuron == "izhikevich" or (case.neuron == "adex" and is_delta):
            continue
        exact = [simulate(*lane, resets_in_step=True) for lane in some]
        pairs = list(zip(exact, references, strict=True))
        print(row(["", "textbook equations", "", *cells(worst(pairs))]), flush=True)


if __name__ == "__main__":
    try:
        main()
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
