"""A described network in NEST, built from its rules (inside NEST's own process)."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from csnn.oracle._nest_explicit import connect_edges, spikes
from csnn.oracle.experiment import require_lif
from csnn.spec.distributions import Constant, Distribution, Lognormal, Uniform
from csnn.spec.network import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    Network,
    PairwiseBernoulli,
    Population,
    Projection,
)

_EXTERNAL_DELAY_MS = 1.5
_CHUNKS = 50


def _distribution(nest: Any, distribution: Distribution) -> Any:
    if isinstance(distribution, Constant):
        return distribution.value
    if isinstance(distribution, Uniform):
        return nest.random.uniform(distribution.low, distribution.high)
    if isinstance(distribution, Lognormal):
        return nest.random.lognormal(distribution.mu_log, distribution.sigma_log)
    normal = nest.random.normal(distribution.mu, distribution.sigma)
    if math.isinf(distribution.minimum) and math.isinf(distribution.maximum):
        return normal
    return nest.math.redraw(normal, distribution.minimum, distribution.maximum)


def _rule(projection: Projection) -> dict[str, Any]:
    rule = projection.rule
    specification: dict[str, Any]
    if isinstance(rule, FixedTotalNumber):
        specification = {"rule": "fixed_total_number", "N": rule.count}
    elif isinstance(rule, FixedIndegree):
        specification = {"rule": "fixed_indegree", "indegree": rule.indegree}
    elif isinstance(rule, FixedOutdegree):
        specification = {"rule": "fixed_outdegree", "outdegree": rule.outdegree}
    elif isinstance(rule, PairwiseBernoulli):
        specification = {"rule": "pairwise_bernoulli", "p": rule.p}
    elif isinstance(rule, AllToAll):
        specification = {"rule": "all_to_all"}
    else:
        # The autapse switch is meaningless here, and refused by the description where it matters.
        return {"rule": "one_to_one"}
    specification["allow_autapses"] = projection.allow_autapses
    specification["allow_multapses"] = projection.allow_multapses
    return specification


class _Timeline:
    """Parameters to set once a number of steps has been simulated."""

    def __init__(self) -> None:
        self.settings: dict[int, list[tuple[Any, dict[str, float]]]] = {}

    def add(self, after_steps: int, nodes: Any, parameters: dict[str, float]) -> None:
        self.settings.setdefault(max(after_steps, 0), []).append((nodes, parameters))

    def apply(self, after_steps: int) -> None:
        for nodes, parameters in self.settings.get(after_steps, ()):
            nodes.set(**parameters)


def _create(nest: Any, population: Population) -> Any:
    neuron = require_lif(f"population {population.name}.neuron", population.neuron)
    return nest.Create(
        "iaf_psc_exp",
        population.size,
        params={
            "C_m": neuron.C_m_pF,
            "tau_m": neuron.tau_m_ms,
            "tau_syn_ex": neuron.tau_syn_ex_ms,
            "tau_syn_in": neuron.tau_syn_in_ms,
            "t_ref": neuron.t_ref_ms,
            "E_L": neuron.E_L_mV,
            "V_reset": neuron.V_reset_mV,
            "V_th": neuron.V_th_mV,
            "V_m": _distribution(nest, population.V_init_mV),
            "I_e": population.dc.current_pA,
        },
    )


def _add_input(
    nest: Any, population: Population, nodes: Any, dt_ms: float, timeline: _Timeline
) -> None:
    def whole_steps(time_ms: float) -> int:
        # A change between two steps takes effect in the later one.
        return math.ceil(time_ms / dt_ms - 1e-6)

    for time_ms, current in population.dc.changes:
        timeline.add(whole_steps(time_ms), nodes, {"I_e": current})
    for initial in (population.I_ex_init_pA, population.I_in_init_pA):
        if isinstance(initial, Constant) and initial.value == 0.0:
            continue
        once = nest.Create("spike_generator", params={"spike_times": [dt_ms]})
        synapse = {"weight": _distribution(nest, initial), "delay": dt_ms}
        nest.Connect(once, nodes, "all_to_all", synapse)
    poisson = population.poisson
    if poisson is None:
        return
    generator = nest.Create("poisson_generator", params={"rate": poisson.rate_hz})
    delay_steps = 1 if poisson.changes else max(1, round(_EXTERNAL_DELAY_MS / dt_ms))
    synapse = {"weight": poisson.weight, "delay": delay_steps * dt_ms}
    nest.Connect(generator, nodes, "all_to_all", synapse)
    for time_ms, rate in poisson.changes:
        timeline.add(whole_steps(time_ms) - delay_steps, generator, {"rate": rate})


def _memory_mb(line: str) -> float:
    """Return resident memory in MB: of "VmRSS" now, of "VmHWM" at its peak.

    Where there is no /proc, the peak that `getrusage` knows, which counts the parent's at fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for text in status.read_text().splitlines():
            if text.startswith(f"{line}:"):
                return int(text.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def run(nest: Any, job: dict[str, Any], send: Callable[..., None]) -> dict[str, Any]:
    """Run the job; return the fields of a `NetworkRun`."""
    network: Network = job["network"]
    dt_ms = network.dt_ms
    nest.resolution = dt_ms
    nest.local_num_threads = job["threads"]
    nest.rng_seed = job["seed"]

    empty_mb = _memory_mb("VmRSS")
    begin = time.perf_counter()
    populations = {population.name: _create(nest, population) for population in network.populations}
    create_s = time.perf_counter() - begin

    begin = time.perf_counter()
    for number, projection in enumerate(network.projections):
        send("progress", "connect", number / len(network.projections))
        nest.Connect(
            populations[projection.source],
            populations[projection.target],
            _rule(projection),
            {
                "weight": _distribution(nest, projection.weight),
                "delay": _distribution(nest, projection.delay_ms),
            },
        )
    nodes = None
    for collection in populations.values():
        nodes = collection if nodes is None else nodes + collection
    if job["edges"] is not None:
        connect_edges(nest, nodes, job["edges"], dt_ms)
    n_synapses = int(nest.num_connections)
    timeline = _Timeline()
    for population in network.populations:
        _add_input(nest, population, populations[population.name], dt_ms, timeline)
    warmup, total = job["warmup_steps"], job["warmup_steps"] + job["time_steps"]
    recorder = nest.Create(
        "spike_recorder", params={"time_in_steps": True, "start": warmup * dt_ms}
    )
    nest.Connect(nodes, recorder)
    connect_s = time.perf_counter() - begin
    network_mb = _memory_mb("VmRSS") - empty_mb
    send("progress", "connect", 1.0)

    seconds = {"prepare": 0.0, "warmup": 0.0, "simulate": 0.0}

    def timed(stage: str, function: Callable[..., Any], *arguments: Any) -> None:
        start = time.perf_counter()
        function(*arguments)
        seconds[stage] += time.perf_counter() - start

    boundaries = sorted({0, warmup, total} | {s for s in timeline.settings if s < total})
    for start, stop in pairwise(boundaries):
        timeline.apply(start)
        timed("prepare", nest.Prepare)
        # Chunks of whole delay slices, so that cutting the run does not change the random draws.
        slice_steps = max(1, round(nest.min_delay / dt_ms))
        chunk = slice_steps * math.ceil(total / _CHUNKS / slice_steps)
        stage = "warmup" if stop <= warmup else "simulate"
        for done in range(start, stop, chunk):
            count = min(chunk, stop - done)
            timed(stage, nest.Run, count * dt_ms)
            send("progress", "simulate", (done + count) / total)
        timed("prepare", nest.Cleanup)

    first = populations[network.populations[0].name][0].global_id
    return {
        **spikes(recorder, first, 0),
        "n_synapses": n_synapses,
        "threads": job["threads"],
        "create_s": create_s,
        "connect_s": connect_s,
        "prepare_s": seconds["prepare"],
        "warmup_s": seconds["warmup"],
        "simulate_s": seconds["simulate"],
        "network_mb": network_mb,
        "peak_mb": _memory_mb("VmHWM"),
        "version": nest.__version__,
    }
