"""Exact integration in float64 over explicitly stored synapses.

The update of one step is the matrix exponential of the neuron's linear system, in mV, pA and ms.
Nothing here is shared with the simulator, the neuron graph or the table generator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from csnn.oracle.experiment import F64, Edges, Experiment, Recording
from csnn.spec.network import LifNeuron


def propagator(neuron: LifNeuron, dt_ms: float) -> F64:
    """Return the matrix that advances (I_ex, I_in, V - E_L, dc) by one step.

    Parameters
    ----------
    neuron : LifNeuron
        Parameters; tau_m equal to a tau_syn is no special case.
    dt_ms : float
        Step length.

    Returns
    -------
    ndarray of float64, shape (4, 4)
        Units pA, pA, mV, pA. The last component is constant.

    References
    ----------
    Rotter & Diesmann (1999) Biol. Cybern. 81:381.
    """
    per_pF = 1.0 / neuron.C_m_pF
    system = np.array(
        [
            [-1.0 / neuron.tau_syn_ex_ms, 0.0, 0.0, 0.0],
            [0.0, -1.0 / neuron.tau_syn_in_ms, 0.0, 0.0],
            [per_pF, per_pF, -1.0 / neuron.tau_m_ms, per_pF],
            [0.0, 0.0, 0.0, 0.0],
        ]
    )
    return np.asarray(expm(system * dt_ms), dtype=np.float64)


class _Synapses:
    """Synapses sorted by source, and the input they have yet to deliver."""

    def __init__(self, edges: Edges, n: int) -> None:
        order = np.argsort(edges.source, kind="stable")
        source = np.asarray(edges.source)[order].astype(np.int64)
        self.first = np.searchsorted(source, np.arange(n + 1))
        self.weight = np.asarray(edges.weight_pA, dtype=np.float64)[order]
        self.delay = np.asarray(edges.delay_steps)[order].astype(np.int64)
        inhibitory = self.weight < 0.0
        self.column = np.asarray(edges.target)[order].astype(np.int64) + n * inhibitory
        # One slot more than the longest delay: the current slot is never written to.
        self.slots = int(self.delay.max(initial=0)) + 1
        self.pending = np.zeros((self.slots, 2 * n))
        self.n = n

    def take(self, step: int) -> tuple[F64, F64]:
        """Return and clear the excitatory and inhibitory input of `step`."""
        slot = self.pending[step % self.slots]
        due = slot.copy()
        slot[:] = 0.0
        return due[: self.n], due[self.n :]

    def deliver(self, step: int, fired: npt.NDArray[np.intp]) -> None:
        """Add the synapses of the neurons that `fired` at `step` to the slots of their delays."""
        flat = self.pending.reshape(-1)
        for source in fired:
            row = slice(self.first[source], self.first[source + 1])
            slot = (step + self.delay[row]) % self.slots
            np.add.at(flat, slot * (2 * self.n) + self.column[row], self.weight[row])


def simulate(experiment: Experiment) -> Recording:
    """Integrate the experiment exactly.

    Parameters
    ----------
    experiment : Experiment
        Neurons, explicit synapses, initial state and input.

    Returns
    -------
    Recording
        Spikes, and traces of the neurons in `experiment.record`.

    Raises
    ------
    InvalidInputError
        If a callable of the experiment returns an array of the wrong shape or sign.

    References
    ----------
    Rotter & Diesmann (1999) Biol. Cybern. 81:381; update order of NEST's `iaf_psc_exp`.
    """
    n = experiment.size
    counts = [count for _, count in experiment.neurons]
    matrices = [propagator(neuron, experiment.dt_ms) for neuron, _ in experiment.neurons]
    P = np.repeat(np.array(matrices), counts, axis=0)
    ex_ex, in_in = P[:, 0, 0].copy(), P[:, 1, 1].copy()
    V_ex, V_in, V_V, V_dc = (P[:, 2, k].copy() for k in range(4))

    E_L = experiment.parameter("E_L_mV")
    theta = experiment.parameter("V_th_mV") - E_L
    V_reset = experiment.parameter("V_reset_mV") - E_L
    t_ref = np.rint(experiment.parameter("t_ref_ms") / experiment.dt_ms).astype(np.int64)

    V = experiment.initial_V_mV() - E_L
    I_ex = experiment.per_neuron("I_ex_init_pA")
    I_in = experiment.per_neuron("I_in_init_pA")
    remaining = np.zeros(n, dtype=np.int64)
    synapses = _Synapses(experiment.edges, n)
    currents = dict(experiment.dc_steps())
    from_dc = np.zeros(n)

    recorded = np.array(experiment.record, dtype=np.intp)
    traces = np.empty((3, experiment.steps, len(recorded)))
    fired_at: list[tuple[int, npt.NDArray[np.intp]]] = []
    for step in range(1, experiment.steps + 1):
        if step in currents:
            from_dc = V_dc * currents[step]
        free = remaining == 0
        V = np.where(free, V_V * V + V_ex * I_ex + V_in * I_in + from_dc, V)
        remaining -= ~free

        due_ex, due_in = synapses.take(step)
        external_ex, external_in = experiment.external(step)
        I_ex = ex_ex * I_ex + due_ex
        I_in = in_in * I_in + due_in
        if external_ex is not None:
            I_ex += external_ex
        if external_in is not None:
            I_in += external_in

        fired = np.flatnonzero(theta <= V)
        if len(fired):
            V[fired] = V_reset[fired]
            remaining[fired] = t_ref[fired]
            synapses.deliver(step, fired)
            fired_at.append((step, fired))
        if len(recorded):
            for trace, state in zip(traces, (V, I_ex, I_in), strict=True):
                trace[step - 1] = state[recorded]

    steps = [np.full(len(fired), step, dtype=np.uint32) for step, fired in fired_at]
    sources = [fired.astype(np.uint32) for _, fired in fired_at]
    empty = np.zeros(0, dtype=np.uint32)
    return Recording(
        step=np.concatenate([empty, *steps]),
        source=np.concatenate([empty, *sources]),
        V_mV=traces[0] + E_L[recorded],
        I_ex_pA=traces[1],
        I_in_pA=traces[2],
    )
