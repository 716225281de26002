"""Explicit synapses and explicit input in NEST (inside its own process)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.oracle.experiment import Edges

# NEST starts early by this many steps: a generator emits at step 1, its spike arrives at step 2.
LEAD_STEPS = 2
# Holds every neuron below threshold during the lead.
_HIGH_MV = 1e6


def connect_edges(nest: Any, nodes: Any, edges: Edges, dt_ms: float) -> None:
    """Make each synapse of `edges` among `nodes`, which must have consecutive node IDs."""
    if not edges.size:
        return
    first = nodes[0].global_id
    nest.Connect(
        np.asarray(edges.source).astype(np.int64) + first,
        np.asarray(edges.target).astype(np.int64) + first,
        "one_to_one",
        {
            "synapse_model": "static_synapse",
            "weight": np.asarray(edges.weight_pA, dtype=np.float64),
            "delay": np.asarray(edges.delay_steps) * dt_ms,
        },
    )


def spikes(recorder: Any, first: int, lead: int) -> dict[str, npt.NDArray[np.uint32]]:
    """Return step and source of the recorded spikes in the order of (step, source)."""
    events = recorder.events
    step = np.asarray(events["times"], dtype=np.int64) - lead
    source = np.asarray(events["senders"], dtype=np.int64) - first
    order = np.lexsort((source, step))
    return {
        "step": step[order].astype(np.uint32),
        "source": source[order].astype(np.uint32),
    }


def _create_input(nest: Any, nodes: Any, job: dict[str, Any]) -> None:
    """Give each neuron with input a generator of its own, with one weight per spike."""
    neuron, step, weight = job["events"]
    dt_ms = job["dt_ms"]
    driven, start = np.unique(neuron, return_index=True)
    if not len(driven):
        return
    generators = nest.Create("spike_generator", len(driven))
    # The current takes the spike one step after it was emitted.
    times = np.round((step + (LEAD_STEPS - 1)) * dt_ms, 9)
    stop = np.append(start[1:], len(neuron))
    generators.set(
        [
            {"spike_times": times[a:b], "spike_weights": weight[a:b]}
            for a, b in zip(start, stop, strict=True)
        ]
    )
    first = nodes[0].global_id
    nest.Connect(
        np.array(generators.tolist(), dtype=np.int64),
        driven + first,
        "one_to_one",
        {
            "synapse_model": "static_synapse",
            "weight": np.ones(len(driven)),
            "delay": np.full(len(driven), dt_ms),
        },
    )


def run(nest: Any, job: dict[str, Any], send: Callable[..., None]) -> dict[str, Any]:
    """Run the job; return the fields of a `Recording`."""
    dt_ms, steps = job["dt_ms"], job["steps"]
    nest.resolution = dt_ms
    nest.local_num_threads = job["threads"]
    runs = []
    for neuron, count in job["neurons"]:
        parameters = {
            "C_m": neuron.C_m_pF,
            "tau_m": neuron.tau_m_ms,
            "tau_syn_ex": neuron.tau_syn_ex_ms,
            "tau_syn_in": neuron.tau_syn_in_ms,
            "t_ref": neuron.t_ref_ms,
            "E_L": neuron.E_L_mV,
            "V_m": neuron.E_L_mV,
            "V_reset": neuron.V_reset_mV,
            "V_th": _HIGH_MV,
            "I_e": 0.0,
        }
        runs.append(nest.Create("iaf_psc_exp", count, params=parameters))
    nodes = runs[0]
    for more in runs[1:]:
        nodes = nodes + more
    first = nodes[0].global_id
    connect_edges(nest, nodes, job["edges"], dt_ms)
    _create_input(nest, nodes, job)
    stop_ms = (LEAD_STEPS + steps) * dt_ms
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True, "stop": stop_ms})
    nest.Connect(nodes, recorder)
    recorded = np.unique(job["record"])
    multimeter = None
    if len(recorded):
        multimeter = nest.Create(
            "multimeter",
            params={
                "interval": dt_ms,
                "time_in_steps": True,
                "record_from": ["V_m", "I_syn_ex", "I_syn_in"],
                "start": LEAD_STEPS * dt_ms,
                "stop": stop_ms,
            },
        )
        nest.Connect(multimeter, nodes[recorded.tolist()])

    nest.Simulate(LEAD_STEPS * dt_ms)
    for (neuron, _), collection in zip(job["neurons"], runs, strict=True):
        collection.set(V_th=neuron.V_th_mV)
    nodes.set([{"V_m": V} for V in job["V_init_mV"]])

    ends = [step - 1 for step, _ in job["dc"][1:] if step <= steps] + [steps]
    begin = 0
    for (_, current), end in zip(job["dc"], ends, strict=False):
        nodes.set([{"I_e": dc} for dc in current])
        nest.Simulate((end - begin) * dt_ms)
        begin = end
        send("progress", "simulate", end / steps)

    # The multimeter collects its data one delay slice late.
    nest.Simulate(nest.min_delay)

    traces = np.empty((3, steps, len(job["record"])))
    if multimeter is not None:
        events = multimeter.events
        order = np.lexsort((events["times"], events["senders"]))
        column = np.searchsorted(recorded, job["record"])
        for trace, name in zip(traces, ("V_m", "I_syn_ex", "I_syn_in"), strict=True):
            trace[:] = events[name][order].reshape(len(recorded), steps).T[:, column]
    return {
        **spikes(recorder, first, LEAD_STEPS),
        "V_mV": traces[0],
        "I_ex_pA": traces[1],
        "I_in_pA": traces[2],
    }
