"""Runner of the real NEST 3.10, the optional extra `csnn[nest]`.

NEST runs in a process of its own: its banner, messages and OpenMP threads stay away from ours, a
crash or an out-of-memory kill becomes a `ToolFailedError`, every run starts from a fresh kernel,
the memory goes back to the system, and the peak that is measured is NEST's alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.oracle._nest_process import Progress, is_installed, run_job
from csnn.oracle.experiment import U32, Edges, Experiment, Recording
from csnn.oracle.nest_models import nest_model
from csnn.oracle.single import Stimulus, Trace
from csnn.spec import checks
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    Projection,
)
from csnn.spec.neuron import Neuron

__all__ = [
    "NetworkRun",
    "Progress",
    "expected_synapses",
    "is_installed",
    "local_threads",
    "run_explicit",
    "run_network",
    "run_neurons",
    "run_single_neuron",
]

# A NEST thread numbers the connections of one synapse model with 27 bits.
_CONNECTIONS_PER_THREAD = 2**27 - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkRun:
    """Spikes and costs of one NEST run of a network.

    Parameters
    ----------
    step, source : ndarray of uint32, shape (n_spikes,)
        Spikes after the warm-up in the order of (step, source); steps count from its start.
    n_synapses : int
        Synapses among the neurons, external input excluded.
    threads : int
        Local threads used.
    create_s, connect_s, prepare_s, warmup_s, simulate_s : float
        Wall time of the stages; `prepare_s` is the sorting of connections before the first step.
    network_mb : float
        Memory that creating and connecting the network took, in MB (10^6 bytes).
    peak_mb : float
        Peak resident memory of the NEST process in MB (10^6 bytes).
    version : str
        NEST's version.
    """

    step: U32
    source: U32
    n_synapses: int
    threads: int
    create_s: float
    connect_s: float
    prepare_s: float
    warmup_s: float
    simulate_s: float
    network_mb: float
    peak_mb: float
    version: str


def expected_synapses(network: Network, projection: Projection) -> float:
    """Return the (expected) number of synapses that the rule makes."""
    source = network.population(projection.source).size
    target = network.population(projection.target).size
    rule = projection.rule
    if isinstance(rule, FixedTotalNumber):
        return rule.count
    if isinstance(rule, FixedIndegree):
        return rule.indegree * target
    if isinstance(rule, FixedOutdegree):
        return rule.outdegree * source
    if isinstance(rule, OneToOne):
        return source
    return source * target * (1.0 if isinstance(rule, AllToAll) else rule.p)


def local_threads(network: Network, threads: int) -> int:
    """Return the smallest multiple of `threads` whose threads can hold the network's synapses."""
    total = sum(expected_synapses(network, projection) for projection in network.projections)
    # 2 % for the spread over threads, and the connections of generators and recorders.
    needed = (1.02 * total + 3 * network.size) / _CONNECTIONS_PER_THREAD
    return threads * max(1, math.ceil(needed / threads))


def run_network(
    network: Network,
    *,
    time_ms: float,
    warmup_ms: float = 0.0,
    seed: int,
    threads: int = 2,
    edges: Edges | None = None,
    progress: Progress | None = None,
) -> NetworkRun:
    """Build a network in NEST from its rules and simulate it.

    Connectivity, initial state and Poisson input are NEST's own random draws; they depend on the
    seed and on the number of threads used. Poisson spikes reach their targets after 1.5 ms, or
    after one step where their rate changes during the run. Initial currents arrive at step 2,
    since NEST's model has no parameter for them.

    Parameters
    ----------
    network : Network
        Any network but `fixed_total_number` without multapses, which NEST has not.
    time_ms, warmup_ms : float
        Recorded time, and discarded time before it.
    seed : int
        NEST's `rng_seed`, from 1 to 2^32 - 1.
    threads : int
        Local threads; multiplied if they cannot address all synapses (PD14 needs 3).
    edges : Edges, optional
        The synapses of `network.edges`, in addition to the projections.
    progress : callable, optional
        Called with (stage, fraction in [0, 1]).

    Returns
    -------
    NetworkRun

    Raises
    ------
    InvalidInputError
        If an argument is out of range, or NEST lacks a rule.
    ToolMissingError, ToolFailedError
        If NEST is not installed, or fails.
    """
    checks.positive("nest", "time_ms", time_ms)
    checks.non_negative("nest", "warmup_ms", warmup_ms)
    checks.integer("nest", "seed", seed, 1, 2**32 - 1)
    checks.integer("nest", "threads", threads, 1, 256)
    for projection in network.projections:
        if isinstance(projection.rule, FixedTotalNumber) and not projection.allow_multapses:
            raise reject(
                f"projection {projection.label}.allow_multapses",
                False,
                "NEST has no fixed_total_number without multapses",
            )
    if network.edges is not None and edges is None:
        raise reject("nest.edges", None, f"must hold the synapses of {network.edges.path}")
    if (
        edges is not None
        and edges.size
        and max(edges.source.max(), edges.target.max()) >= (network.size)
    ):
        raise reject("nest.edges", "array", f"neuron numbers must be < {network.size}")
    job = {
        "task": "network",
        "network": network,
        "time_steps": max(1, round(time_ms / network.dt_ms)),
        "warmup_steps": round(warmup_ms / network.dt_ms),
        "seed": seed,
        "threads": local_threads(network, threads),
        "edges": edges,
    }
    return NetworkRun(**run_job(job, progress))


def run_explicit(
    experiment: Experiment, *, threads: int = 1, progress: Progress | None = None
) -> Recording:
    """Run the experiment in NEST; the counterpart of `csnn.oracle.exact.simulate`.

    NEST's generators cannot emit at time 0, and `iaf_psc_exp` has no parameter for its currents.
    So NEST starts two steps early with every neuron at rest: the initial currents arrive as spikes
    exactly where step 0 ends, where the initial V, threshold and direct current are set. NEST's
    step k is step k - 2 of the result.

    Parameters
    ----------
    experiment : Experiment
        Neurons, explicit synapses, initial state and input.
    threads : int
        Local threads; the result does not depend on them.
    progress : callable, optional
        Called with (stage, fraction in [0, 1]).

    Returns
    -------
    Recording

    Raises
    ------
    ToolMissingError, ToolFailedError
        If NEST is not installed, or fails.
    """
    checks.integer("nest", "threads", threads, 1, 256)
    neuron, step, weight = _external_events(experiment)
    job = {
        "task": "explicit",
        "neurons": experiment.neurons,
        "steps": experiment.steps,
        "dt_ms": experiment.dt_ms,
        "edges": experiment.edges,
        "V_init_mV": experiment.initial_V_mV(),
        "dc": experiment.dc_steps(),
        "events": (neuron, step, weight),
        "record": np.array(experiment.record, dtype=np.int64),
        "threads": threads,
    }
    return Recording(**run_job(job, progress))


def run_single_neuron(
    neuron: LifNeuron,
    external_ex_pA: npt.ArrayLike,
    external_in_pA: npt.ArrayLike,
    *,
    dt_ms: float = 0.1,
    V_init_mV: float | None = None,
    I_ex_init_pA: float = 0.0,
    I_in_init_pA: float = 0.0,
    dc_pA: float = 0.0,
) -> Recording:
    """Drive one neuron in NEST and record it after every step.

    Parameters
    ----------
    neuron : LifNeuron
        Parameters.
    external_ex_pA, external_in_pA : array_like, shape (steps,)
        Summed weight, >= 0 and <= 0, that enters the current at the end of each step.
    dt_ms : float
        Step length.
    V_init_mV, I_ex_init_pA, I_in_init_pA : float
        State before step 1; V defaults to E_L.
    dc_pA : float
        Direct current.

    Returns
    -------
    Recording
        Traces of shape (steps, 1).

    Raises
    ------
    InvalidInputError
        If an argument breaks a rule of `Experiment`.
    ToolMissingError, ToolFailedError
        If NEST is not installed, or fails.
    """
    excitation = np.asarray(external_ex_pA, dtype=np.float64).reshape(-1, 1)
    inhibition = np.asarray(external_in_pA, dtype=np.float64).reshape(-1, 1)
    return run_explicit(
        Experiment(
            neurons=((neuron, 1),),
            steps=len(excitation),
            edges=Edges.none(),
            dt_ms=dt_ms,
            V_init_mV=V_init_mV,
            I_ex_init_pA=I_ex_init_pA,
            I_in_init_pA=I_in_init_pA,
            external_ex_pA=excitation,
            external_in_pA=inhibition,
            dc_pA=dc_pA,
            record=(0,),
        )
    )


def run_neurons(
    lanes: Sequence[tuple[Neuron, Stimulus]], *, tolerance: float = 1e-6
) -> list[Trace]:
    """Run single neurons of any models in NEST, each under its own input.

    The counterpart of `csnn.oracle.single.simulate`. NEST starts early by two steps, as in
    `run_explicit`; the initial state is set after them.

    Parameters
    ----------
    lanes : sequence of (Neuron, Stimulus)
        Of one step and number of steps.
    tolerance : float
        `gsl_error_tol` of the `aeif` models; other models with adaptive steps have none, and take
        an absolute error of 1e-3 in each.

    Returns
    -------
    list of Trace
        State variables that NEST records; what acts of the synapses is a magnitude on both sides.

    Raises
    ------
    InvalidInputError
        If NEST has no model of a neuron, or steps differ.
    ToolMissingError, ToolFailedError
        If NEST is not installed, or fails.
    """
    checks.positive("nest", "tolerance", tolerance)
    kinds = {(stimulus.dt_ms, stimulus.steps) for _, stimulus in lanes}
    if len(kinds) != 1:
        raise reject("lanes", sorted(kinds), "must have the same steps")
    described = [(nest_model(neuron), stimulus) for neuron, stimulus in lanes]
    for model, stimulus in described:
        if not set(stimulus.initial) <= set(model.settable):
            rule = f"NEST can set {', '.join(model.settable)}"
            raise reject("stimulus.initial", sorted(stimulus.initial), rule)
    found = run_job({"task": "single", "lanes": described, "tolerance": tolerance}, None)
    traces = []
    for spikes, states in found["found"]:
        # NEST's inhibitory currents of some models are negative.
        for name in {"ex", "inh"} & set(states):
            states[name] = np.abs(states[name])
        traces.append(Trace(spikes=spikes, states=states))
    return traces


def _external_events(
    experiment: Experiment,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return neuron, step and weight of all input, sorted by (neuron, step); step 0 is initial."""
    parts = []

    def add(step: int, row: npt.NDArray[np.float64] | None) -> None:
        if row is not None:
            hit = np.flatnonzero(row)
            parts.append((hit, np.full(len(hit), step), row[hit]))

    add(0, experiment.per_neuron("I_ex_init_pA"))
    add(0, experiment.per_neuron("I_in_init_pA"))
    called = False
    for source in (experiment.external_ex_pA, experiment.external_in_pA):
        if callable(source):
            called = True
        elif source is not None:
            step, hit = np.nonzero(np.asarray(source))
            parts.append((hit, step + 1, np.asarray(source, dtype=np.float64)[step, hit]))
    for t in range(1, experiment.steps + 1) if called else ():
        for source, row in zip(
            (experiment.external_ex_pA, experiment.external_in_pA),
            experiment.external(t),
            strict=True,
        ):
            if callable(source):
                add(t, row)
    neuron, when, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((when, neuron))
    return neuron[order].astype(np.int64), when[order].astype(np.int64), weight[order]
