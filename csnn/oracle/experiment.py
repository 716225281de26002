"""What both references are given, and what they return: plain arrays, checked once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec import checks
from csnn.spec.neuron import LifNeuron, Neuron

F64 = npt.NDArray[np.float64]
U32 = npt.NDArray[np.uint32]
ExternalInput = npt.ArrayLike | Callable[[int], npt.ArrayLike] | None


def require_lif(field: str, neuron: Neuron) -> LifNeuron:
    """Return a neuron that the oracle knows: LIF with exponential currents."""
    if not isinstance(neuron, LifNeuron) or (neuron.kernel, neuron.coupling) != ("exp", "cuba"):
        found = f"{neuron.model} with {neuron.kernel} kernels, {neuron.coupling}"
        raise reject(field, found, "the oracle knows only LIF with exponential currents")
    return neuron


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """Explicit synapses; equal lengths, one entry per synapse, multapses and autapses allowed.

    Parameters
    ----------
    source, target : ndarray of uint32, shape (n_synapses,)
        Global neuron numbers from 0.
    weight_pA : ndarray of float64, shape (n_synapses,)
        Jump of the target's excitatory (>= 0) or inhibitory (< 0) current.
    delay_steps : ndarray of int, shape (n_synapses,)
        At least 1: a spike of step t enters the current of its target at step t + delay.
    """

    source: npt.NDArray[Any]
    target: npt.NDArray[Any]
    weight_pA: npt.NDArray[Any]
    delay_steps: npt.NDArray[Any]

    def __post_init__(self) -> None:
        length = np.shape(self.source)
        for field in fields(self):
            values = np.asarray(getattr(self, field.name))
            if values.ndim != 1 or values.shape != length:
                raise reject(
                    f"edges.{field.name}", values.shape, f"must have the shape of source, {length}"
                )
            kinds = "iuf" if field.name == "weight_pA" else "iu"
            if values.dtype.kind not in kinds:
                raise reject(f"edges.{field.name}", values.dtype.name, "has the wrong type")
        if not np.isfinite(self.weight_pA).all():
            raise reject("edges.weight_pA", "array", "must be finite")
        if length[0] and np.min(self.delay_steps) < 1:
            raise reject("edges.delay_steps", int(np.min(self.delay_steps)), "must be >= 1")

    @staticmethod
    def none() -> Edges:
        """Return no synapses."""
        ids = np.zeros(0, dtype=np.uint32)
        return Edges(source=ids, target=ids, weight_pA=np.zeros(0), delay_steps=ids)

    @property
    def size(self) -> int:
        """Number of synapses."""
        return len(self.source)


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """Neurons, synapses, initial state and input of one deterministic simulation.

    Step numbers start at 1; a spike of step t has NEST time t dt. In each step V is updated from
    the old currents, then the currents decay and take the step's input, then V is compared with
    the threshold.

    Parameters
    ----------
    neurons : tuple of (LifNeuron, int)
        Runs of neurons with equal parameters, in the order of their global numbers; n in all.
    steps : int
        Number of steps to simulate.
    edges : Edges
        Synapses among the neurons.
    dt_ms : float
        Length of a step.
    V_init_mV : array_like, broadcast to (n,), optional
        Membrane potential before step 1 (not relative to E_L). Default: E_L of each neuron.
    I_ex_init_pA, I_in_init_pA : array_like, broadcast to (n,)
        Currents before step 1, >= 0 and <= 0.
    external_ex_pA, external_in_pA : array_like, shape (steps, n), or callable, optional
        Summed weight, >= 0 and <= 0, of the external spikes that enter the current of each neuron
        at the end of each step; row t - 1 belongs to step t. A callable is called once per step
        with t = 1, 2, ... in order, and returns shape (n,). To give one stochastic callable to
        both references, make it a function of t alone.
    dc_pA : array_like, broadcast to (n,)
        Direct current.
    dc_changes : tuple of (int, array_like)
        (step, current): from the update of this step on, `current` replaces `dc_pA`.
    record : tuple of int
        Neurons whose V and currents are recorded after every step.

    Raises
    ------
    InvalidInputError
        If a value breaks one of these rules.
    """

    neurons: tuple[tuple[LifNeuron, int], ...]
    steps: int
    edges: Edges
    dt_ms: float = 0.1
    V_init_mV: npt.ArrayLike | None = None
    I_ex_init_pA: npt.ArrayLike = 0.0
    I_in_init_pA: npt.ArrayLike = 0.0
    external_ex_pA: ExternalInput = None
    external_in_pA: ExternalInput = None
    dc_pA: npt.ArrayLike = 0.0
    dc_changes: tuple[tuple[int, npt.ArrayLike], ...] = ()
    record: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checks.integer("experiment", "steps", self.steps, 1, 2**31 - 1)
        checks.positive("experiment", "dt_ms", self.dt_ms)
        for neuron, count in self.neurons:
            require_lif("experiment.neurons", neuron)
            checks.integer("experiment", "neurons", count, 1, 2**31 - 1)
            ratio = neuron.t_ref_ms / self.dt_ms
            if not math.isclose(ratio, round(ratio), abs_tol=1e-6):
                raise reject("neuron.t_ref_ms", neuron.t_ref_ms, "must be a multiple of dt_ms")
        if not self.neurons:
            raise reject("experiment.neurons", (), "must hold at least one neuron")
        for field in ("source", "target"):
            ids = getattr(self.edges, field)
            if len(ids) and not 0 <= ids.min() <= ids.max() < self.size:
                raise reject(f"edges.{field}", int(ids.max()), f"must be < {self.size} neurons")
        for number in self.record:
            checks.integer("experiment", "record", number, 0, self.size - 1)
        self.initial_V_mV()
        self._require_sign("I_ex_init_pA", self.per_neuron("I_ex_init_pA"), 1)
        self._require_sign("I_in_init_pA", self.per_neuron("I_in_init_pA"), -1)
        for field, sign in (("external_ex_pA", 1), ("external_in_pA", -1)):
            value = getattr(self, field)
            if value is None or callable(value):
                continue
            shape = np.shape(value)
            if shape != (self.steps, self.size):
                raise reject(f"experiment.{field}", shape, f"shape must be {self.steps, self.size}")
            self._require_sign(field, np.asarray(value), sign)
        last = 1
        for step, current in self.dc_changes:
            if step <= last:
                raise reject("experiment.dc_changes", step, "steps must be > 1 and increase")
            last = step
            self._broadcast("dc_changes", current)
        self.per_neuron("dc_pA")

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(count for _, count in self.neurons)

    def _broadcast(self, field: str, value: npt.ArrayLike) -> F64:
        try:
            array = np.broadcast_to(np.asarray(value, dtype=np.float64), (self.size,)).copy()
        except (TypeError, ValueError) as error:
            shape = np.shape(value)
            raise reject(
                f"experiment.{field}", shape, f"must be numbers of shape ({self.size},)"
            ) from error
        if not np.isfinite(array).all():
            raise reject(f"experiment.{field}", "array", "must be finite")
        return array

    @staticmethod
    def _require_sign(field: str, values: npt.NDArray[Any], sign: int) -> None:
        good = values >= 0 if sign > 0 else values <= 0
        if not (good & np.isfinite(values)).all():
            rule = "must be finite and " + (">= 0" if sign > 0 else "<= 0")
            raise reject(f"experiment.{field}", "array", rule)

    def per_neuron(self, field: str) -> F64:
        """Return the field as an array of shape (n,)."""
        return self._broadcast(field, getattr(self, field))

    def parameter(self, name: str) -> F64:
        """Return the neuron parameter `name` of every neuron, shape (n,)."""
        values = [getattr(neuron, name) for neuron, _ in self.neurons]
        return np.repeat(np.array(values, dtype=np.float64), [count for _, count in self.neurons])

    def initial_V_mV(self) -> F64:
        """Return the membrane potentials before step 1, shape (n,)."""
        if self.V_init_mV is None:
            return self.parameter("E_L_mV")
        return self.per_neuron("V_init_mV")

    def dc_steps(self) -> list[tuple[int, F64]]:
        """Return (first step, current of shape (n,)) for each stretch of constant current."""
        changes = [(step, self._broadcast("dc_changes", value)) for step, value in self.dc_changes]
        return [(1, self.per_neuron("dc_pA")), *changes]

    def external(self, step: int) -> tuple[F64 | None, F64 | None]:
        """Return the excitatory and inhibitory input of `step`, shape (n,) each or None."""
        rows: list[F64 | None] = []
        for field, sign in (("external_ex_pA", 1), ("external_in_pA", -1)):
            source: Any = getattr(self, field)
            if source is None:
                rows.append(None)
            elif callable(source):
                row = np.asarray(source(step), dtype=np.float64)
                if row.shape != (self.size,):
                    raise reject(f"experiment.{field}", row.shape, f"must return ({self.size},)")
                self._require_sign(field, row, sign)
                rows.append(row)
            else:
                rows.append(np.asarray(source[step - 1], dtype=np.float64))
        return rows[0], rows[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Spikes in the order of (step, source), and traces of the recorded neurons.

    Parameters
    ----------
    step, source : ndarray of uint32, shape (n_spikes,)
        Step (from 1) and global neuron number of each spike.
    V_mV, I_ex_pA, I_in_pA : ndarray of float64, shape (steps, n_recorded)
        State after each step, row t - 1 for step t. I_in is <= 0, V is not relative to E_L.
    """

    step: U32
    source: U32
    V_mV: F64
    I_ex_pA: F64
    I_in_pA: F64
