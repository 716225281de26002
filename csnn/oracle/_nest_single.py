"""Single neurons of many models under explicit input (inside NEST's own process)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.oracle._nest_explicit import LEAD_STEPS
from csnn.oracle.nest_models import NestModel
from csnn.oracle.single import Stimulus


def _drive(nest: Any, node: Any, model: NestModel, stimulus: Stimulus) -> None:
    """Give a neuron one generator for each side, with a weight per spike."""
    dt_ms = stimulus.dt_ms
    for side, sign in (("ex", 1.0), ("inh", -1.0)):
        weights = np.asarray(getattr(stimulus, side))
        hit = np.flatnonzero(weights)
        if not len(hit):
            continue
        # Step t is NEST's step t + LEAD_STEPS; a spike arrives one step after its emission.
        times = np.round((hit + 1 + LEAD_STEPS - 1) * dt_ms, 9)
        port = model.ports.get(side)
        generator = nest.Create(
            "spike_generator", params={"spike_times": times, "spike_weights": weights[hit]}
        )
        synapse = {"weight": sign if port is None else 1.0, "delay": dt_ms}
        if port is not None:
            synapse["receptor_type"] = port
        nest.Connect(generator, node, syn_spec=synapse)


def _accuracy(model: NestModel, job: dict[str, Any]) -> dict[str, float]:
    """Return the tolerance of the adaptive solver, of the models that have a parameter for it."""
    return {"gsl_error_tol": job["tolerance"]} if model.name.startswith("aeif") else {}


def run(nest: Any, job: dict[str, Any], send: Callable[..., None]) -> dict[str, Any]:
    """Run the job; return spikes and recorded variables of each neuron."""
    lanes: list[tuple[NestModel, Stimulus]] = job["lanes"]
    dt_ms, steps = lanes[0][1].dt_ms, lanes[0][1].steps
    nest.resolution = dt_ms
    stop_ms = (LEAD_STEPS + steps) * dt_ms
    nodes, recorders, meters = [], [], []
    for model, stimulus in lanes:
        node = nest.Create(model.name, params={**model.parameters, **_accuracy(model, job)})
        _drive(nest, node, model, stimulus)
        recorder = nest.Create("spike_recorder", params={"time_in_steps": True, "stop": stop_ms})
        nest.Connect(node, recorder)
        meter = nest.Create(
            "multimeter",
            params={
                "interval": dt_ms,
                "time_in_steps": True,
                "record_from": list(model.recorded.values()),
                "start": LEAD_STEPS * dt_ms,
                "stop": stop_ms,
            },
        )
        nest.Connect(meter, node)
        nodes.append(node)
        recorders.append(recorder)
        meters.append(meter)
    nest.Simulate(LEAD_STEPS * dt_ms)
    for node, (model, stimulus) in zip(nodes, lanes, strict=True):
        start = {model.settable[name]: value for name, value in stimulus.initial.items()}
        node.set(**model.thresholds, **start)
    direct = np.stack([stimulus.dc_pA for _, stimulus in lanes], axis=1)
    changes = np.flatnonzero((direct[1:] != direct[:-1]).any(axis=1)) + 1
    for begin, end in zip([0, *changes], [*changes, steps], strict=True):
        for node, current in zip(nodes, direct[begin], strict=True):
            node.set(I_e=float(current))
        nest.Simulate(float(end - begin) * dt_ms)
        send("progress", "simulate", float(end) / steps)
    # The multimeter collects its data one delay slice late.
    nest.Simulate(nest.min_delay)
    found = []
    for (model, _), recorder, meter in zip(lanes, recorders, meters, strict=True):
        times: npt.NDArray[Any] = np.asarray(recorder.events["times"], dtype=np.int64)
        events = meter.events
        states = {name: np.array(events[theirs]) for name, theirs in model.recorded.items()}
        found.append((np.sort(times - LEAD_STEPS).astype(np.uint32), states))
    return {"found": found}
