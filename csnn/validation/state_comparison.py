"""Traces of the machine and of the oracle, compared with the rounding bound.

Everything here is about chosen neurons in the steps before the spike trains part, and about the
step in which they do; afterwards the two networks receive different input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.store import Image
from csnn.neurons.evaluate import evaluate
from csnn.neurons.registry import MODELS
from csnn.oracle import exact
from csnn.oracle.experiment import Recording as Reference
from csnn.simulator.recording import Recording
from csnn.validation.explicit import direct_current, network_of, per_neuron
from csnn.validation.rounding import RunningBound, spike_comparison

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

# NEST and the exact reference, both float64, agree to these (tests/integration/test_oracle_nest).
FLOAT64_MV = 1e-9
FLOAT64_PA = 1e-8
# Steps shown before and after a divergence.
AROUND = 3


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A recorded state that rounding does not explain; V in mV, currents in pA."""

    step: int
    neuron: int
    signal: str
    machine: float
    reference: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A neuron that spikes in one simulation only, in the first step in which there is one.

    Attributes
    ----------
    step, neuron : int
    machine_spikes : bool
        Whether the machine is the one that spikes.
    theta_mV, machine_mV, reference_mV : float
        Threshold, and the membrane potentials before a reset.
    bound_mV : float
        Bound on the difference of the two potentials.
    explained : bool
        Whether the potentials lie on the two sides of the threshold as the spikes say, no further
        apart than the bound.
    first_step : int
        Step that the traces begin with.
    machine_trace_mV, reference_trace_mV : tuple of float
        Potentials after the steps around the divergence.
    """

    step: int
    neuron: int
    machine_spikes: bool
    theta_mV: float
    machine_mV: float
    reference_mV: float
    bound_mV: float
    explained: bool
    first_step: int
    machine_trace_mV: tuple[float, ...]
    reference_trace_mV: tuple[float, ...]


class StateComparison:
    """The traces of both simulations, and the rounding bound along the machine's input.

    Parameters
    ----------
    image : Image
    record : ndarray of int64
        The traced neurons.
    machine, reference : Recording
        Runs from the first step on, of the same length.
    """

    def __init__(self, image: Image, record: I64, machine: Recording, reference: Reference) -> None:
        self.image, self.record, self.reference = image, record, reference
        self.model = MODELS[image.nodes[0].model]
        network = network_of(image)
        sizes = [population.size for population in network.populations]
        population_of = np.repeat(np.arange(len(sizes)), sizes)[record]
        self.neurons = [network.populations[k].neuron for k in population_of]
        self.E_L = np.array([neuron.E_L_mV for neuron in self.neurons])
        self.dt_ms = image.dt_ms
        self.grid_pA = per_neuron(image, lambda node: 2.0**node.grid_exponent)[record]
        self.current, changes = direct_current(network)
        self.changes = dict(changes)
        n_words = len(self.model.float_states)
        initial = np.concatenate([node.state for node in image.nodes], axis=1)[:, record]
        # Row t holds the words after step t.
        self.words = np.concatenate([initial[None], machine.traces[:, :n_words]]).view(np.float32)
        self.inputs = machine.traces[:, n_words:].view(np.int32)
        self.margin_error: dict[int, F64] = {}

    def _constants(self, dc_pA: F64) -> dict[str, F64]:
        """Return the constants of the recorded neurons before rounding, by name."""
        kinds: dict[tuple[Any, ...], dict[str, float | int]] = {}
        rows = []
        for neuron, grid, current in zip(
            self.neurons, self.grid_pA.tolist(), dc_pA[self.record].tolist(), strict=True
        ):
            key = (neuron, grid, current)
            if key not in kinds:
                kinds[key] = dict(
                    self.model.rule(neuron, dt_ms=self.dt_ms, weight_grid=grid, dc_pA=current)
                )
            rows.append(kinds[key])
        return {
            name: np.array([row[name] for row in rows], dtype=np.float64)
            for name in self.model.graph.constants
        }

    def states(self, steps: int) -> tuple[Excess | None, float, float]:
        """Compare all recorded states of the first `steps` steps.

        Returns
        -------
        excess : Excess or None
            First state beyond its bound.
        largest_mV, largest_share : float
            Largest difference of potentials, and of any state relative to its bound.
        """
        if not len(self.record):
            return None, 0.0, 0.0
        running = RunningBound(
            self.model,
            constants=self._constants(self.current),
            state={
                **dict(zip(self.model.float_states, self.words[0], strict=True)),
                "refractory": np.zeros(len(self.record), dtype=np.int32),
            },
        )
        traces = (self.reference.V_mV, self.reference.I_ex_pA, self.reference.I_in_pA)
        largest_mV = largest_share = 0.0
        found: Excess | None = None
        for step in range(1, min(steps + 1, len(self.inputs)) + 1):
            changed = (
                {"C_dc": self._constants(self.changes[step])["C_dc"]}
                if step in self.changes
                else None
            )
            inputs = self.inputs[step - 1]
            decision = running.advance({"ss_ex": inputs[0], "ss_in": inputs[1]}, changed)
            self.margin_error[step] = decision.error
            if step > steps:
                break
            for name, trace in zip(self.model.float_states, traces, strict=True):
                machine = self._physical(name, self.words[step])
                distance = np.abs(machine - trace[step - 1])
                scale = 1.0 if name == "V" else self.grid_pA
                slack = FLOAT64_MV if name == "V" else FLOAT64_PA
                bound = running.error[name] * scale + slack
                if name == "V":
                    largest_mV = max(largest_mV, float(distance.max()))
                largest_share = max(largest_share, float((distance / bound).max()))
                if found is None and (distance > bound).any():
                    k = int((distance > bound).argmax())
                    found = Excess(
                        step=step,
                        neuron=int(self.record[k]),
                        signal=name,
                        machine=float(machine[k]),
                        reference=float(trace[step - 1, k]),
                        bound=float(bound[k]),
                    )
        return found, largest_mV, largest_share

    def _physical(self, name: str, words: npt.NDArray[np.float32]) -> F64:
        value: F64 = words[self.model.float_states.index(name)].astype(np.float64)
        if name == "V":
            shifted: F64 = value + self.E_L
            return shifted
        return value * (self.grid_pA if name == "I_ex" else -self.grid_pA)

    def divergence(self, step: int, neuron: int, is_machine: bool, last: int) -> Divergence:
        """Examine a neuron that spikes in one simulation only at `step`."""
        k = int(np.flatnonzero(self.record == neuron)[0])
        E_L, lif = float(self.E_L[k]), self.neurons[k]
        theta = lif.V_th_mV
        dc = self.current[neuron]
        for changed, current in sorted(self.changes.items()):
            dc = current[neuron] if changed <= step else dc
        # The one that does not spike was recorded; a spike resets V, so it is computed again.
        machine_mV = float(self.words[step, 0, k]) + E_L
        reference_mV = float(self.reference.V_mV[step - 1, k])
        if is_machine:
            machine_mV = float(self._driven(step, k, neuron)) + E_L
        else:
            before = self._reference_state(step - 1, k)
            row = exact.propagator(lif, self.dt_ms)[2]
            reference_mV = float(row @ np.append(before, dc)) + E_L
        bound = float(self.margin_error[step][k]) + FLOAT64_MV
        sides = (machine_mV >= theta, reference_mV >= theta) == (is_machine, not is_machine)
        first = max(step - AROUND, 1)
        return Divergence(
            step=step,
            neuron=neuron,
            machine_spikes=is_machine,
            theta_mV=theta,
            machine_mV=machine_mV,
            reference_mV=reference_mV,
            bound_mV=bound,
            explained=bool(sides and abs(machine_mV - reference_mV) <= bound),
            first_step=first,
            machine_trace_mV=tuple(
                (self.words[first : last + 1, 0, k].astype(np.float64) + E_L).tolist()
            ),
            reference_trace_mV=tuple(self.reference.V_mV[first - 1 : last, k].tolist()),
        )

    def _driven(self, step: int, k: int, neuron: int) -> np.float32:
        """Return the potential that the machine compared with the threshold at `step`."""
        node = next(n for n in self.image.nodes if neuron < n.first_neuron + n.n_neurons)
        names = self.model.float_constants
        constants: dict[str, Any] = dict(
            zip(names, node.constants[: len(names)].view(np.float32), strict=True)
        )
        constants |= dict(
            zip(self.model.int_constants, node.constants[len(names) :].view(np.int32), strict=True)
        )
        at = np.searchsorted(node.schedule["first_step"], step, side="right") - 1
        constants["C_dc"] = node.schedule["dc"][at]
        graph = self.model.graph
        left, _ = spike_comparison(graph)
        _, outputs = evaluate(
            replace(graph, outputs=(("potential", left),)),
            state={
                **dict(zip(self.model.float_states, self.words[step - 1, :, k], strict=True)),
                "refractory": np.int32(0),
            },
            inputs={"ss_ex": np.int32(0), "ss_in": np.int32(0)},
            constants=constants,
        )
        return np.float32(outputs["potential"])

    def _reference_state(self, step: int, k: int) -> F64:
        """Return (I_ex, I_in, V - E_L) of the reference after `step`."""
        if step == 0:
            I_ex, I_in, V = (self._physical(n, self.words[0])[k] for n in ("I_ex", "I_in", "V"))
        else:
            reference = self.reference
            I_ex, I_in = reference.I_ex_pA[step - 1, k], reference.I_in_pA[step - 1, k]
            V = reference.V_mV[step - 1, k]
        return np.array([I_ex, I_in, V - self.E_L[k]])
