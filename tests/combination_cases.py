"""Every legal neuron model with parameters and input that keep its neurons firing.

`covering` chooses models of which every pair of neuron, kernel, coupling, solver and number of
parts that is legal appears in one.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import binary32
from csnn.neurons import compiled
from csnn.neurons.evaluate import evaluate
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import DESCRIPTIONS, MODELS, Combination, combinations
from csnn.spec.neuron import Neuron

DT_MS = 0.1
GRID = 2.0**-10
STEPS = 10_000
N_NEURONS = 16
# A direct current in pA just below or above what makes the neuron fire, and the excitatory weight
# by its unit; inhibition is half as strong.
DRIVES: dict[str, tuple[float, dict[str, float]]] = {
    "lif": (380.0, {"pA": 150.0, "nS": 3.0, "mV": 0.8, "1": 0.015}),
    "mat2": (400.0, {"pA": 150.0, "nS": 3.0, "mV": 0.8, "1": 0.015}),
    "amat2": (200.0, {"pA": 150.0, "nS": 3.0, "mV": 0.8, "1": 0.015}),
    "izhikevich": (5.0, {"pA": 4.0, "nS": 0.06, "mV": 1.0, "1": 0.015}),
    "adex": (600.0, {"pA": 200.0, "nS": 4.0, "mV": 0.8, "1": 0.015}),
}
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Case:
    """A model, its parameters and its constants."""

    combination: Combination

    @cached_property
    def model(self) -> NeuronModel:
        return MODELS[self.combination.name]

    @cached_property
    def neuron(self) -> Neuron:
        c = self.combination
        special: dict[str, Any] = {}
        if c.neuron == "amat2":
            special = {"beta_per_ms": 0.3, "alpha_2_mV": 0.5}
        if c.neuron in ("izhikevich", "adex"):
            special = {"t_ref_ms": 0.3}
        return DESCRIPTIONS[c.neuron].parameters(
            kernel=c.kernel, coupling=c.coupling, solver=c.solver, substeps=c.substeps, **special
        )

    @cached_property
    def constants(self) -> dict[str, np.float32 | np.int32]:
        dc_pA = DRIVES[self.combination.neuron][0]
        return self.model.constants(self.neuron, dt_ms=DT_MS, weight_grid=GRID, dc_pA=dc_pA)

    @property
    def weight_units(self) -> int:
        """Weight of an excitatory synapse on the grid."""
        return round(DRIVES[self.combination.neuron][1][self.neuron.weight_unit] / GRID)

    def inputs(self, steps: int, n: int, seed: int = 1) -> npt.NDArray[np.int32]:
        """Return Poisson input, shape (steps, 2, n): exc and inh, in grid units."""
        rng = np.random.default_rng(seed)
        weight = self.weight_units
        counts = rng.poisson([[[0.1], [0.05]]], (steps, 2, n))
        scale = np.array([weight, max(1, weight // 2)])[None, :, None]
        return (counts * scale).astype(np.int32)

    def initial(self, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Return the state of neurons at rest or a little above, and no refractory one."""
        state = np.zeros((len(self.model.float_states), n), dtype=np.float32)
        rest = -65.0 if self.combination.neuron == "izhikevich" else 0.0
        V = rest + np.linspace(0.0, 5.0, n)
        values = {"V": V, **self.model.initial(self.neuron, V_mV=V)}
        for row, name in zip(state, self.model.float_states, strict=True):
            if name in values:
                row[:] = binary32.round_to_binary32(values[name])
        return state, np.zeros(n, dtype=np.int32)

    def run(self, inputs: npt.NDArray[np.int32]) -> Run:
        """Run compiled neurons through spike-driven input, and keep every step's words."""
        steps, _, n = inputs.shape
        step = compiled.load(self.model).step
        floats, integers = self.model.pack(self.constants)
        state, refractory = self.initial(n)
        spiked = np.zeros(n, dtype=np.uint8)
        states = np.empty((steps + 1, *state.shape), dtype=np.float32)
        counters = np.empty((steps + 1, n), dtype=np.int32)
        spikes = np.empty((steps, n), dtype=bool)
        states[0], counters[0] = state, refractory
        for t in range(steps):
            step(state, refractory, inputs[t, 0], inputs[t, 1], floats, integers, spiked, n)
            states[t + 1], counters[t + 1], spikes[t] = state, refractory, spiked
        return Run(self, inputs, states, counters, spikes)

    def random_words(
        self, n: int, seed: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return states, refractory counters and inputs: any words, and usual ones in half."""
        rng = np.random.default_rng(seed)
        n_state = len(self.model.float_states)
        words = rng.integers(0, 2**32, (n_state, n), dtype=np.uint32)
        special = np.array(
            [0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000,
             0x7F800001, 0xFFC01234],
            dtype=np.uint32,
        )  # fmt: skip
        pick = rng.random((n_state, n)) < 0.1
        words[pick] = rng.choice(special, int(pick.sum()))
        state = words.view(np.float32)
        half = n // 2
        state[:, :half] = rng.normal(0.0, 30.0, (n_state, half)).astype(np.float32)
        refractory = rng.choice([0, 0, 0, 1, 2, 20, -5, -(2**31), 2**31 - 1], n).astype(np.int32)
        inputs = rng.choice([0, 1, 1405, 2**24 - 1, self.weight_units], (2, n)).astype(np.int32)
        return state, refractory, inputs


@dataclass(frozen=True)
class Run:
    """Every step's words of a run: what a step begins with, its input, what it leaves."""

    case: Case
    inputs: npt.NDArray[np.int32]
    states: npt.NDArray[np.float32]
    refractory: npt.NDArray[np.int32]
    spikes: npt.NDArray[np.bool_]

    def first_difference(self) -> str | None:
        """Evaluate every step from what it began with; describe the first word that differs.

        Equal steps from equal states are an equal run.
        """
        names = self.case.model.float_states
        before = dict(zip(names, np.moveaxis(self.states[:-1], 1, 0), strict=True))
        after, outputs = evaluate(
            self.case.model.graph,
            state={**before, "refractory": self.refractory[:-1]},
            inputs={"ss_ex": self.inputs[:, 0], "ss_in": self.inputs[:, 1]},
            constants=self.case.constants,
        )
        found = {
            **dict(zip(names, np.moveaxis(self.states[1:], 1, 0), strict=True)),
            "refractory": self.refractory[1:],
            "spike": self.spikes,
        }
        for name, theirs in {**after, **outputs}.items():
            a, b = _words(found[name]), _words(theirs)
            if not np.array_equal(a, b):
                step, neuron = np.argwhere(a != b)[0]
                return (
                    f"{self.case.combination.name}: step {step + 1}, neuron {neuron}, {name}: "
                    f"{a[step, neuron]:#x} and {b[step, neuron]:#x}"
                )
        return None


def _words(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if values.dtype == bool else np.ascontiguousarray(values).view(np.uint32)


def legal(substeps: tuple[int, ...] = (1,)) -> list[Combination]:
    """Return the legal combinations, each with every number of parts that it may have."""
    found = (replace(c, substeps=s) for c in combinations() for s in substeps)
    return [c for c in found if c.refusal() is None]


def covering(substeps: tuple[int, ...] = (1, 2)) -> list[Combination]:
    """Return legal combinations in which every legal pair of two choices appears.

    Greedy: the combination with most pairs that are still missing comes next, the same every time;
    more parts must bring more pairs, since a step of several parts is larger hardware.
    """
    names = [field.name for field in fields(Combination)]
    candidates = legal(substeps)

    def pairs(c: Combination) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
        chosen = [(name, getattr(c, name)) for name in names]
        return set(itertools.combinations(chosen, 2))

    of = {c: pairs(c) for c in candidates}
    missing = set().union(*of.values())
    found = []
    while missing:
        best = max(candidates, key=lambda c: len(of[c] & missing) / math.sqrt(c.substeps))
        found.append(best)
        missing -= of[best]
    return found
