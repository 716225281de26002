"""What the manifest of an image tells of its network, its nodes and how well they stand for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from csnn.image.store import NETWORK_FILE
from csnn.spec.neuron import with_unit
from netgen.crew import Made
from netgen.discretise import rounded_delays
from netgen.fidelity import compare_distribution, compare_pmf
from netgen.fit_report import check_moments
from netgen.partition import node_loads_hz
from netgen.prepared import PreparedNetwork

# Bits of an explicit synapse in the paper's account: 32 for J, 6 for D, 8 for N.
EXPLICIT_SYNAPSE_BITS = 46
# Relative error of a stored weight that is worth a warning.
_WEIGHT_TOLERANCE = 1e-3


def describe(network: PreparedNetwork, made: Made, directory: Path) -> dict[str, Any]:
    """Return the content of the manifest, but for how long generation took.

    Parameters
    ----------
    network : PreparedNetwork
    made : Made
        All nodes.
    directory : Path
        Holds the node files and the description.

    Raises
    ------
    InvalidInputError
        If fitted tables do not keep mean and variance of the edge list's weights.
    """
    description = network.network
    statistics = [made.statistics[plan.index] for plan in network.plans]
    synapses = _add_up(s.synapses for s in statistics)
    total = sum(synapses.values())
    node_bytes = sum(path.stat().st_size for path in directory.glob("node_*.bin"))
    text = (directory / NETWORK_FILE).read_bytes()
    edges = network.edges
    loads = node_loads_hz(
        description, network.plans, edge_events_hz=edges.events_hz() if edges else None
    )
    edge_fit = _edge_fit(network, made)
    return {
        "network": description.name,
        "network_sha256": hashlib.sha256(text).hexdigest(),
        "notes": [*description.notes, *_notes(network, edge_fit)],
        "seed": network.seed,
        "dt_ms": description.dt_ms,
        "model": network.model.name,
        "weight_grid": network.grid,
        "weight_unit": network.unit,
        "n_nodes": len(network.plans),
        "populations": [
            {
                "name": p.name,
                "size": p.size,
                "first_neuron": description.first_ids[p.name],
                "nodes": len(network.nodes_of[p.name]),
                "expected_rate_hz": p.expected_rate_hz,
            }
            for p in description.populations
        ],
        "synapses": total,
        "synapses_by_projection": synapses,
        "synapses_by_sampler": _add_up(s.samplers for s in statistics),
        "largest_sum_units": max((s.largest_sum for s in statistics), default=0),
        "node_bytes": node_bytes,
        "explicit_bytes": total * EXPLICIT_SYNAPSE_BITS // 8,
        "expected_load_hz": {
            "mean": float(loads.mean()),
            "max": float(loads.max()),
        },
        "fidelity": _fidelity(network),
        **({"edge_fit": edge_fit} if edge_fit else {}),
    }


def _notes(network: PreparedNetwork, edge_fit: dict[str, Any]) -> list[str]:
    """Return what the user should know of the image, beside the network's own notes."""
    notes = []
    error = edge_fit.get("largest_relative_error", 0.0)
    if error > _WEIGHT_TOLERANCE:
        notes.append(
            f"rounding to the grid of {with_unit(network.grid, network.unit)} changes weights of "
            f"the edge list by up to {error:.2g} of their value"
        )
    machine = network.machine
    if machine.partition == "load" and machine.n_nodes is None and network.edges is None:
        notes.append(
            'partition = "load" has no node to spare without n_nodes: sizes are those of "equal"'
        )
    return notes


def _edge_fit(network: PreparedNetwork, made: Made) -> dict[str, Any]:
    edges = network.edges
    if edges is None:
        return {}
    fit = network.fit_report()
    if fit is None:
        rounding = edges.rounding(network.grid)
        return {"representation": "stored", "edges": len(edges.source), **rounding}
    fit.include(made.fit)
    report = fit.to_dict()
    check_moments(report, edges.path, network.grid, network.unit)
    return report


def _fidelity(network: PreparedNetwork) -> list[dict[str, Any]]:
    rows = []
    dt_ms = network.network.dt_ms
    for projection, tables in zip(network.network.projections, network.tables, strict=True):
        weight = compare_distribution(*tables.weight, projection.weight, network.grid)
        # Delays are rounded to steps by definition; `delay_unrounded` counts that as an error.
        steps = rounded_delays(projection.delay_ms, dt_ms, network.machine.delay_slots)
        delay = compare_pmf(*tables.delay, *steps, dt_ms)
        unrounded = compare_distribution(*tables.delay, projection.delay_ms, dt_ms)
        rows.append(
            {
                "projection": projection.label,
                "weight": weight.to_dict(),
                "delay": delay.to_dict(),
                "delay_unrounded": unrounded.to_dict(),
            }
        )
    return rows


def _add_up(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return total
