"""What the model says of the paper's machine: one parameter fitted, the rest predicted.

    python -m csnn.perf.paper IMAGE RUN [STEPS]

IMAGE is full-scale PD14, RUN a run of it. The latency of a link is fitted so that the echo of 305
nodes takes what was published; nothing else is fitted. What the paper does not tell about the
machine (when rows are unrolled, and whether their look-up overlaps) is not fitted but listed.

Reference: Heittmann et al. (2022), Figures 6 and 8C, "Performance".
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from csnn import output
from csnn.hardware.config import NodeConfig
from csnn.image.store import open_image
from csnn.neurons.operators import Operators
from csnn.perf.experiments import fit_latency, inc_3000, measure_echo, measure_hop, with_latency
from csnn.perf.model import simulate
from csnn.perf.neuroaix import MEASURED_NS, NeuroAix, neuroaix_step_ns
from csnn.perf.parameters import Machine
from csnn.perf.rows import read_rows
from csnn.perf.topology import Topology, mesh_topology
from csnn.perf.workload import Workload, make_workload
from csnn.simulator.session import whole_steps

ROUND_TRIP_US, HOP_US = 18.0, 1.0
MEAN_CYCLES, WORST_OVER_MEAN = 3695.0, 1.75
# Whether spikes are unrolled as they come; whether a row is looked up while another is unrolled.
VARIANTS = {
    "as our hardware": (True, True),
    "unrolled after the sync message": (False, True),
    "unrolled one by one, as they come": (True, False),
    "unrolled one by one, after the sync message": (False, False),
}


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Cycles per step, beside what was published; `mean_error` is relative."""

    variant: str
    latency_ns: float
    mean: float
    mean_error: float
    worst_over_mean: float


def predict(machine: Machine, topology: Topology, workload: Workload, variant: str) -> Prediction:
    """Return what the model says of one variant, with the latency of links fitted to the echo."""
    eager, pipelined = VARIANTS[variant]
    made = replace(machine, eager=eager, pipelined=pipelined)
    latency_ns = fit_latency(made, topology, ROUND_TRIP_US)
    cycles = simulate(with_latency(made, latency_ns), topology, workload).cycles()
    mean = float(cycles.mean())
    return Prediction(
        variant=variant,
        latency_ns=latency_ns,
        mean=mean,
        mean_error=mean / MEAN_CYCLES - 1,
        worst_over_mean=float(cycles.max()) / mean,
    )


def changes(machine: Machine) -> Iterator[tuple[str, Machine]]:
    """Yield machines with one unknown changed; the latency of links is fitted anew for each."""
    link = machine.wires.config
    slow = replace(link, frame_cycles=2 * link.frame_cycles)
    yield "links half as fast", replace(machine, wires=replace(machine.wires, config=slow))
    yield (
        "routers 10 cycles slower per hop",
        replace(machine, wires=replace(machine.wires, send_cycles=machine.wires.send_cycles + 10)),
    )
    operators = Operators(fadd=14, fmul=10)
    yield (
        "operators of twice the latency",
        replace(machine, node=replace(machine.node, operators=operators)),
    )
    clocks = replace(machine.clocks, seed=machine.clocks.seed + 1)
    yield "other phases of the clocks", replace(machine, clocks=clocks)


def compare(image_path: Path, run: Path, steps: int | None) -> dict[str, Any]:
    """Return fits, predictions and sensitivities; see the module."""
    image = open_image(image_path)
    result = output.read_result(run)
    first = whole_steps("run", "warmup_ms", result["warmup_ms"], image.dt_ms) + 1
    there = result["last_step"] - first + 1
    steps = there if steps is None else min(steps, there)
    step, source = output.read_spikes(run)
    rows = read_rows(image)
    workload = make_workload(image, step, source, first, steps, rows)
    machine = Machine(node=NodeConfig.for_nodes(image.nodes))
    topology = mesh_topology(inc_3000(image.n_nodes))
    latency_ns = fit_latency(machine, topology, ROUND_TRIP_US)
    fitted = with_latency(machine, latency_ns)
    echo = measure_echo(fitted, topology)
    predictions = [predict(machine, topology, workload, variant) for variant in VARIANTS]
    few = make_workload(image, step, source, first, min(steps, 1000), rows)
    sensitivity = {}
    for variant in (*VARIANTS,)[::3]:
        base = predict(machine, topology, few, variant).mean
        sensitivity[variant] = {
            name: predict(changed, topology, few, variant).mean / base - 1
            for name, changed in changes(machine)
        }
        more = fit_latency(machine, topology, 1.05 * ROUND_TRIP_US)
        eager, pipelined = VARIANTS[variant]
        made = replace(with_latency(machine, more), eager=eager, pipelined=pipelined)
        cycles = simulate(made, topology, few).cycles()
        sensitivity[variant]["echo 5 % longer"] = float(cycles.mean()) / base - 1
    out_degree = workload.lengths.sum(axis=(0, 2), dtype=np.int64).astype(np.float64)
    ends = workload.first[:: workload.nodes]
    other = [
        neuroaix_step_ns(NeuroAix(), workload.source[a:b], image.n_neurons, out_degree)[0]
        for a, b in itertools.pairwise(ends)
    ]
    return {
        "steps": steps,
        "fitted": {"link_latency_ns": latency_ns, "echo_us": echo.most_us, "hops": echo.hops},
        "hop_us": {"model": 1e-3 * measure_hop(fitted), "published": HOP_US},
        "predictions": [vars(prediction) for prediction in predictions],
        "sensitivity": sensitivity,
        "neuroaix_ns": {
            "model": float(np.mean(other)),
            "published": MEASURED_NS,
            "error": float(np.mean(other)) / MEASURED_NS - 1,
        },
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    found = compare(Path(given[0]), Path(given[1]), int(given[2]) if len(given) > 2 else None)
    print(json.dumps(found, indent=1))
