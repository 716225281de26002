"""How the error of every solver falls with the step, in float64 and in the machine's binary32.

A stretch without spikes begins with spikes that have just arrived. The reference is
`csnn.oracle`: textbook equations, scipy's DOP853 with tolerances of 1e-12.

    python -m csnn.validation.convergence --out docs/images/solver-convergence.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from csnn.binary32 import round_to_binary32
from csnn.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    write_svg,
)
from csnn.errors import CsnnError
from csnn.files import atomic_file
from csnn.neurons.composed import base_constants
from csnn.neurons.composition import Step
from csnn.neurons.evaluate import evaluate
from csnn.neurons.registry import DESCRIPTIONS, MODELS, Combination, rest_mV
from csnn.neurons.solvers import ORDERS
from csnn.oracle.single import integrate
from csnn.oracle.textbook import Equations
from csnn.spec.neuron import SOLVERS, Neuron

F64 = npt.NDArray[np.float64]
# State variables of the neurons themselves.
OWN = ("V", "w", "u", "th_1", "th_2", "th_V", "x")
# Numbers of steps that the order of a solver is looked for in, by its order.
REFINEMENTS = {
    1: (64, 128),
    2: (64, 128),
    3: (16, 32, 64, 128),
    4: (16, 32, 64, 128),
    5: (2, 4, 8, 16, 32, 64, 128),
    6: (2, 4, 8, 16, 32, 64, 128),
}
# Where a stretch is compared: at one time alone an error may happen to be small.
CHECKPOINTS = 2
# Errors below are of rounding, and of the reference itself.
ROUNDED = 4e-12
# Initial state, direct current in pA, duration in ms.
_BEGINNINGS: dict[str, tuple[dict[str, float], float, float]] = {
    "lif": ({"V": -62.0}, 200.0, 4.0),
    "mat2": ({"V": -66.0, "th_1": 5.0, "th_2": 3.0}, 200.0, 4.0),
    "amat2": ({"V": -66.0, "th_1": 5.0, "th_2": 3.0, "th_V": 1.0, "x": 0.5}, 200.0, 4.0),
    "izhikevich": ({"V": -62.0, "u": -12.0}, 6.0, 2.0),
    "adex": ({"V": -52.0, "w": 20.0}, 300.0, 4.0),
}
_UPSTROKE: tuple[dict[str, float], float, float] = ({"V": -45.6, "w": 20.0}, 400.0, 0.8)
DRAWN = (4, 8, 16, 32, 64, 128, 256)
PRECISIONS = ("float64", "binary32")
_LEAST = 1e-15
_COLOURS = (
    INK, VERMILION, ORANGE, PURPLE, GREY,
    "#a6cee3", SKY, BLUE, GREEN, "#004d40",
)  # fmt: skip
_MARKERS = {"ex": "x", "eu": "o", "rk": "s", "ps": "."}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A neuron on its way from one state to another, without a spike.

    Attributes
    ----------
    neuron : Neuron
        Its solver and substeps have no meaning.
    initial : mapping of str to float
        State variables of the neuron itself; V in mV.
    ex, inh : float
        Weights that have arrived at the beginning.
    dc_pA : float
    duration_ms : float
    grid : float
        Unit of weights.
    """

    neuron: Neuron
    initial: Mapping[str, float]
    ex: float = 0.0
    inh: float = 0.0
    dc_pA: float = 0.0
    duration_ms: float = 4.0
    grid: float = 2.0**-10
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        equations = Equations(self.neuron)
        object.__setattr__(self, "names", tuple(n for n in OWN if n in equations.index))

    def exact(self) -> F64:
        """Return the reference.

        Returns
        -------
        ndarray of float64, shape (CHECKPOINTS, len(names))
            State variables of the neuron at the end of each part of the stretch.

        Raises
        ------
        ArithmeticError
            If V reaches its peak.
        """
        equations = Equations(self.neuron)
        state = equations.arrive(equations.start(self.initial), self.ex, self.inh)
        part_ms = self.duration_ms / CHECKPOINTS
        rows = []
        for _ in range(CHECKPOINTS):
            elapsed_ms, state = integrate(
                lambda y: equations.changes(y, self.dc_pA),
                state,
                part_ms,
                peak_mV=equations.peak_mV,
            )
            if elapsed_ms < part_ms:
                raise ArithmeticError("V reaches its peak")
            rows.append([state[equations.index[name]] for name in self.names])
        return np.array(rows)

    def with_solver(self, solver: str) -> Neuron:
        """Return the neuron with a solver."""
        return replace(self.neuron, solver=solver, substeps=1)


def _start(stretch: Stretch, neuron: Neuron, step: Step) -> dict[str, float]:
    """Return the state variables of a step at the beginning, V relative to its rest."""
    V = stretch.initial["V"] - rest_mV(neuron)
    values = dict.fromkeys(step.states, 0.0)
    values |= step.neuron.initial(neuron, V)
    values |= {**stretch.initial, "V": V}
    for side, weight in (("ex", stretch.ex), ("in", stretch.inh)):
        if side in step.synapses.arrivals:
            values[step.synapses.arrivals[side]] += weight / stretch.grid
    return values


def float64(stretch: Stretch, solver: str, steps: int) -> F64:
    """Return what `Stretch.exact` does, by a solver in float64.

    Parameters
    ----------
    stretch : Stretch
    solver : str
        One of `csnn.spec.neuron.SOLVERS`.
    steps : int
        Number of steps, a multiple of CHECKPOINTS.
    """
    neuron = stretch.with_solver(solver)
    step = Combination.of(neuron).step
    h_ms = stretch.duration_ms / steps
    base = base_constants(step, neuron, dt_ms=h_ms, weight_grid=stretch.grid, dc_pA=stretch.dc_pA)
    advance = step.advance(base)
    values = _start(stretch, neuron, step)
    rows = []
    for number in range(1, steps + 1):
        values = advance(values)
        if number % (steps // CHECKPOINTS) == 0:
            rows.append(_own(stretch, values))
    return np.array(rows)


def binary32(stretch: Stretch, solver: str, steps: Sequence[int]) -> list[F64]:
    """Return the same by the machine's arithmetic, for several numbers of steps.

    Raises
    ------
    ArithmeticError
        If the neuron spikes.
    """
    neuron = stretch.with_solver(solver)
    combination = Combination.of(neuron)
    model = MODELS[combination.name]
    lengths = [stretch.duration_ms / count for count in steps]
    start = _start(stretch, neuron, combination.step)
    state: dict[str, npt.NDArray[Any]] = {
        name: round_to_binary32(np.full(len(steps), start[name])) for name in model.float_states
    }
    state |= {name: np.zeros(len(steps), dtype=np.int32) for name in model.int_states}
    constant_rows = [
        model.constants(neuron, dt_ms=h_ms, weight_grid=stretch.grid, dc_pA=stretch.dc_pA)
        for h_ms in lengths
    ]
    constants = {n: np.array([row[n] for row in constant_rows]) for n in constant_rows[0]}
    inputs = dict.fromkeys(model.graph.inputs, np.int32(0))
    found: list[list[list[float]]] = [[] for _ in steps]
    for number in range(1, max(steps) + 1):
        state, outputs = evaluate(model.graph, state=state, inputs=inputs, constants=constants)
        for lane, count in enumerate(steps):
            if number <= count and outputs["spike"][lane]:
                raise ArithmeticError(f"a spike in step {number} of {count}")
            if number <= count and number % (count // CHECKPOINTS) == 0:
                values = {name: float(x[lane]) for name, x in state.items()}
                found[lane].append(_own(stretch, values))
    return [np.array(rows) for rows in found]


def _own(stretch: Stretch, values: Mapping[str, float]) -> list[float]:
    rest = rest_mV(stretch.neuron)
    return [float(values[n]) + (rest if n == "V" else 0.0) for n in stretch.names]


def distance(values: F64, reference: F64) -> float:
    """Return the largest difference of any variable, relative to it where it is above 1."""
    return float((np.abs(values - reference) / np.maximum(1.0, np.abs(reference))).max())


def order(stretch: Stretch, solver: str) -> float:
    """Return the order with which a solver's error falls, in float64.

    It is that of the finest halving of the step whose errors rounding does not touch.
    """
    reference = stretch.exact()
    found: list[float] = []
    for count in REFINEMENTS[ORDERS[solver]]:
        found.append(distance(float64(stretch, solver, count), reference))
        if found[-1] < ROUNDED:
            found.pop()
            break
    return float(np.log2(found[-2] / found[-1]))


def stretch_of(neuron: str, kernel: str, coupling: str, *, rises: bool = False) -> Stretch:
    """Return a stretch of any neuron with any synapses.

    Parameters
    ----------
    neuron, kernel, coupling : str
    rises : bool
        For `adex` only: whether V is beyond the onset of a spike, where the exponential rules.
    """
    parameters: dict[str, Any] = {"kernel": kernel, "coupling": coupling, "solver": "rk4"}
    if kernel != "delta":
        parameters |= {"tau_syn_ex_ms": 2.0, "tau_syn_in_ms": 3.0}
    if kernel == "beta":
        parameters |= {"tau_rise_ex_ms": 1.0, "tau_rise_in_ms": 1.5}
    if neuron == "amat2":
        parameters["beta_per_ms"] = 0.3
    ex, inh = (400.0, 200.0) if coupling == "cuba" else (8.0, 4.0)
    if neuron == "izhikevich":
        # Its currents are in mV/ms, and it has no capacitance.
        ex, inh = ex / 50, inh / 50
    if kernel == "delta":
        ex = inh = 0.0
    initial, dc_pA, duration_ms = _UPSTROKE if rises else _BEGINNINGS[neuron]
    return Stretch(
        neuron=DESCRIPTIONS[neuron].parameters(**parameters),
        initial=initial,
        ex=ex,
        inh=inh,
        dc_pA=dc_pA,
        duration_ms=duration_ms,
    )


def draw(panels: Mapping[str, Stretch], solvers: Sequence[str]) -> Figure:
    """Draw error against step, a column for each stretch, float64 above binary32."""
    figure = new_figure(3.6 * len(panels), 7.2)
    grid = figure.subplots(2, len(panels), sharey=True, squeeze=False)
    colours = dict(zip(solvers, _COLOURS, strict=False))
    for column, (title, stretch) in enumerate(panels.items()):
        reference = stretch.exact()
        able = [s for s in solvers if Combination.of(stretch.with_solver(s)).refusal() is None]
        for row, (precision, axes) in enumerate(zip(PRECISIONS, grid[:, column], strict=True)):
            for solver in able:
                if precision == "float64":
                    ends = [float64(stretch, solver, count) for count in DRAWN]
                else:
                    ends = binary32(stretch, solver, DRAWN)
                error = [max(distance(end, reference), _LEAST) for end in ends]
                label = solver
                if solver != "exact" and row == 1:
                    label = f"{solver}: {order(stretch, solver):.2f}"
                axes.loglog(
                    [stretch.duration_ms / count for count in DRAWN], error, lw=1.1, ms=3,
                    marker=_MARKERS[solver[:2]], color=colours[solver],
                    label=label if row == 1 else None,
                )  # fmt: skip
            axes.set_title(f"{title}\n{precision}", fontsize=9, color=INK)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
            axes.grid(visible=True, lw=0.3, color=GREY, alpha=0.4)
            if row == 1:
                axes.axhline(2.0**-24, color=INK, lw=0.8, ls=":")
                axes.annotate(
                    "half a unit in the last place", (axes.get_xlim()[1], 2.0**-24), fontsize=7,
                    xytext=(0, -9), textcoords="offset points", ha="right", color=INK,
                )  # fmt: skip
                axes.legend(
                    frameon=False, fontsize=7, ncols=2, title="order measured in float64",
                    title_fontsize=7, loc="lower right",
                )  # fmt: skip
        grid[1, column].set_xlabel("step (ms)", fontsize=9)
    for axes in grid[:, 0]:
        axes.set_ylabel("error of the largest variable (relative)", fontsize=9)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.validation.convergence", description="Draw error against step."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.svg")
    given = parser.parse_args(arguments)
    panels = {
        "AMAT2, exponential currents": stretch_of("amat2", "exp", "cuba"),
        "Izhikevich, alpha conductances": stretch_of("izhikevich", "alpha", "coba"),
        "AdEx in its upstroke, exponential conductances": stretch_of(
            "adex", "exp", "coba", rises=True
        ),
    }
    with rc_context({"svg.hashsalt": "convergence"}), atomic_file(given.out) as path:
        write_svg(draw(panels, SOLVERS), path)


if __name__ == "__main__":
    try:
        main()
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
