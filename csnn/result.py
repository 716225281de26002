"""The content of result.json: what was simulated, what it cost, what the image is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from csnn.errors import InvalidInputError
from csnn.image.store import NETWORK_FILE, Image
from csnn.memory import peak_mb
from csnn.neurons.final_state import warnings_of
from csnn.report.neurons import describe
from csnn.simulator.session import Session, mean_rates_hz, whole_steps
from csnn.spec.machine import Run
from csnn.spec.network import Population
from csnn.spec.pd14 import synapse_counts
from csnn.spec.toml import load
from csnn.validation.baseline import has_baseline


def is_full_scale_pd14(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is of the network that published sizes of images are about."""
    populations = [(p["name"], p["size"]) for p in manifest["populations"]]
    return (
        manifest["network"] == "pd14"
        and has_baseline(populations)
        and manifest["synapses"] == int(synapse_counts().sum())
    )


def content_of(
    image: Image, run: Run, kind: str, session: Session, costs: dict[str, float]
) -> dict[str, Any]:
    """Return the content of result.json; recording and costs are those of all parts of a run."""
    manifest, populations = image.manifest, populations_of(image)
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    recorded_s = max(0, session.last_step - warmup) * image.dt_ms * 1e-3
    source, events = session.recording.source, session.recording.events
    simulate_s = costs["simulate_s"]
    full_scale = is_full_scale_pd14(manifest)
    return {
        "network": manifest["network"],
        "neurons": image.n_neurons,
        "synapses": manifest["synapses"],
        "nodes": image.n_nodes,
        "dt_ms": image.dt_ms,
        "neuron_model": neuron_model(image, populations),
        "time_ms": run.time_ms,
        "warmup_ms": run.warmup_ms,
        "seed": run.seed,
        "threads": run.threads,
        "simulator": kind,
        "record": list(run.record),
        "complete": session.complete,
        "last_step": session.last_step,
        "spikes": len(source),
        "mean_rates_hz": mean_rates_hz(source, image.populations, recorded_s),
        "events": events,
        "events_per_s": events / simulate_s if simulate_s else 0.0,
        "rtf": simulate_s / recorded_s if recorded_s else None,
        "timings": {
            stage: round(costs[stage], 3)
            for stage in ("generate_s", "load_s", "warmup_s", "simulate_s")
            if stage in costs
        },
        "peak_mb": max(costs["peak_mb"], round(peak_mb(), 1)),
        "notes": manifest.get("notes", []),
        "warnings": warnings_of(
            populations,
            session.state.state.view(np.float32),
            dt_ms=image.dt_ms,
            weight_grid=float(manifest["weight_grid"]),
            step=session.last_step,
        ),
        "image_digest": image.digest,
        "image": {
            "bytes": image.node_bytes,
            "explicit_bytes": manifest.get("explicit_bytes"),
            "full_scale_pd14": full_scale,
            "nodes": image.n_nodes,
            "weight_grid": manifest["weight_grid"],
            "largest_sum_units": manifest.get("largest_sum_units"),
            "synapses_by_sampler": manifest.get("synapses_by_sampler"),
            **({"edge_fit": _overall(manifest["edge_fit"])} if "edge_fit" in manifest else {}),
        },
        "fidelity": manifest.get("fidelity", []),
        "weight_unit": manifest["weight_unit"],
        "manifest": {
            "image": image.digest,
            "network": manifest.get("network_sha256"),
            "seed": manifest["seed"],
            "processors": os.cpu_count(),
            **manifest.get("tools", {}),
        },
    }


def _overall(edge_fit: dict[str, Any]) -> dict[str, Any]:
    """Return the report on an edge list without its part per pair of populations."""
    rest = {key: value for key, value in edge_fit.items() if key not in ("pairs", "overall")}
    return {**rest, **edge_fit.get("overall", {})}


def populations_of(image: Image) -> tuple[Population, ...]:
    """Return the populations of an image as its network describes them."""
    path = image.path / NETWORK_FILE
    populations = load(path).network.populations
    if [(p.name, p.size) for p in populations] != image.populations:
        raise InvalidInputError(f"{path}: populations: must be those of the manifest")
    return populations


def neuron_model(image: Image, populations: Sequence[Population]) -> dict[str, Any]:
    """Return what a result says of the neurons."""
    neurons = [(p.name, p.neuron) for p in populations]
    return describe(image.manifest["model"], neurons, image.dt_ms)
