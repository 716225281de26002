"""The parts of a report about the image, the tables in it, and what the run cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from csnn.report.markup import definitions, disclosure, escape, flat, number, section, table

# Sizes Heittmann et al. (2022) give for the same network.
PAPER_IMAGE_BYTES = 348e6
PAPER_EXPLICIT_BYTES = 2.5e9
IMAGE_LABELS = {
    "nodes": "compute nodes",
    "largest_sum_units": "largest sum of weights at a neuron (grid units, below 16,777,216)",
}
# Properties in the unit of weights.
WEIGHT_LABELS = {
    "weight_grid": "weight grid",
    "edge_fit: largest_weight_error": "edge list: largest error of a weight",
    "edge_fit: weight: listed_mean": "edge list: mean of the weights",
    "edge_fit: weight: listed_sd": "edge list: SD of the weights",
}
STAGES = {
    "generate_s": "generate the image",
    "load_s": "load and compile",
    "warmup_s": "simulate the warm-up",
    "simulate_s": "simulate",
    "validate_s": "validate",
    "report_s": "report",
}


def fidelity(rows: Sequence[Mapping[str, Any]] | None, weight_unit: str) -> str:
    """Return how closely the tables realise the distributions; equal projections share a row."""
    shown_unit = "" if weight_unit == "1" else weight_unit
    if not rows:
        return ""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        tables = {key: value for key, value in row.items() if key != "projection"}
        groups.setdefault(json.dumps(tables, sort_keys=True), []).append(row)
    names = [
        group[0]["projection"]
        if len(group) == 1
        else f"{group[0]['projection']} and {len(group) - 1} more"
        for group in groups.values()
    ]
    blocks = (
        f"<p class='quiet'>{len(rows)} projections use {len(groups)} different pairs of tables. "
        "Errors of mean and variance are relative; KS is the largest difference of the "
        "distribution functions. Delays are compared with the distribution rounded to steps, and "
        "the last column shows what that rounding does to their variance.</p>"
    )
    head = ("projection", "target (mean ± SD)", "mean error", "variance error", "KS", "entries")
    for kind, unit in (("weight", shown_unit), ("delay", "ms")):
        body = []
        for name, group in zip(names, groups.values(), strict=True):
            f = group[0][kind]
            line = [
                name,
                f"{f['target_mean']:.4g} ± {f['target_sd']:.3g} {unit}",
                *(f"{f[key]:.2g}" for key in ("mean_error", "variance_error", "ks_distance")),
                number(f["n_outcomes"]),
            ]
            if kind == "delay":
                line.append(f"{group[0]['delay_unrounded']['variance_error']:.2g}")
            body.append(line)
        blocks += f"<h3>{kind.capitalize()}s</h3>"
        blocks += table((*head, "rounding") if kind == "delay" else head, body)
    members = "".join(
        f"<p>{escape(', '.join(str(row['projection']) for row in group))}</p>"
        for group in groups.values()
        if len(group) > 1
    )
    return section("Table fidelity", blocks + disclosure("Projections with equal tables", members))


def image_sizes(image: Mapping[str, Any] | None, weight_unit: str) -> str:
    """Return the size of the image beside others, and its properties."""
    if not image:
        return ""
    size, explicit = image.get("bytes"), image.get("explicit_bytes")
    rows = [("this image", _megabytes(size), "1")] if size else []
    if size and explicit:
        rows.append(
            ("every synapse stored (46 bits)", _megabytes(explicit), _times(explicit, size))
        )
    if size and image.get("full_scale_pd14"):
        rows += [
            (label, _megabytes(paper), _times(paper, size))
            for label, paper in (
                ("image of Heittmann et al. (2022)", PAPER_IMAGE_BYTES),
                ("explicit network, same paper", PAPER_EXPLICIT_BYTES),
            )
        ]
    known = {"bytes", "explicit_bytes", "full_scale_pd14"}
    shown_unit = "part of the way to the reversal potential" if weight_unit == "1" else weight_unit
    labels = IMAGE_LABELS | {key: f"{label} ({shown_unit})" for key, label in WEIGHT_LABELS.items()}
    rest = flat({key: value for key, value in image.items() if key not in known})
    facts = {labels.get(key, key): value for key, value in rest.items() if value is not None}
    sizes = table(("", "size", "ratio"), rows) if rows else ""
    return section("Machine image", sizes + definitions(facts))


def _megabytes(size: float) -> str:
    return f"{number(size / 1e6)} MB"


def _times(size: float, own: float) -> str:
    return f"{size / own:.1f}"


def cost(result: Mapping[str, Any]) -> str:
    """Return wall time by stage, and memory."""
    timings = result.get("timings") or {}
    blocks = ""
    if timings:
        rows = [(STAGES.get(stage, stage), f"{value:.2f} s") for stage, value in timings.items()]
        blocks += table(("stage", "wall time"), rows)
    facts = {}
    if result.get("events_per_s"):
        million = f"{number(result['events_per_s'] / 1e6)} million"
        facts["synaptic events per second of wall time"] = million
    if result.get("peak_mb") is not None:
        facts["peak memory"] = f"{number(result['peak_mb'])} MB"
    return section("Time and memory", blocks + definitions(facts))
