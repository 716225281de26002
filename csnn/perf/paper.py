"""What the model says of the paper's machine: one parameter fitted, the rest predicted.

    python -m csnn.perf.paper IMAGE RUN [STEPS]

IMAGE is full-scale PD14, RUN a run of it. The latency of a link is fitted so that the echo of 305
nodes takes what was published; nothing else is fitted. What the paper does not tell about the
machine (when rows are unrolled, and whether their look-up overlaps) is not fitted but listed.
neuroAIx, another machine, has a model of its own (`csnn.perf.neuroaix`) and the same spikes.

Reference: Heittmann et al. (2022), Figures 6 and 8C, "Performance".
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import CsnnError, reject
from csnn.hardware.config import NodeConfig
from csnn.image.store import open_image
from csnn.perf.experiments import fit_latency, inc_3000, measure_echo, measure_hop, with_latency
from csnn.perf.model import simulate
from csnn.perf.neuroaix import MEASURED_NS, NeuroAix, mean_step_ns, neuroaix_step_ns, sensitivities
from csnn.perf.parameters import Machine
from csnn.perf.rows import read_rows
from csnn.perf.spikes import run_spikes
from csnn.perf.topology import Topology, mesh_topology
from csnn.perf.workload import Workload, make_workload
from csnn.progress import progress

F64 = npt.NDArray[np.float64]
ROUND_TRIP_US, HOP_US = 18.0, 1.0
MEAN_CYCLES, WORST_OVER_MEAN = 3695.0, 1.75
# Whether spikes are unrolled as they come; whether a row is looked up while another is unrolled.
VARIANTS = {
    "as our hardware": (True, True),
    "unrolled after the sync message": (False, True),
    "unrolled one by one, as they come": (True, False),
    "unrolled one by one, after the sync message": (False, False),
}
# Of the sensitivities, for which as many machines again are modelled.
_FEW_STEPS = 500
_LONGER_ECHO = 1.05


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Cycles per step, beside what was published; `mean_error` is relative."""

    variant: str
    mean: float
    mean_error: float
    worst_over_mean: float


def deviation(found: float, reference: float) -> float:
    """Return by how much `found` is off, relative to the reference."""
    return found / reference - 1


def fitted(machine: Machine, topology: Topology, round_trip_us: float = ROUND_TRIP_US) -> Machine:
    """Return the machine with links whose latency is fitted to the echo.

    No rows are unrolled in an echo, so that the latency is that of all variants.
    """
    return with_latency(machine, fit_latency(machine, topology, round_trip_us))


def variant_cycles(machine: Machine, topology: Topology, workload: Workload, variant: str) -> F64:
    """Return the cycles of each step of one variant of a machine."""
    eager, pipelined = VARIANTS[variant]
    made = replace(machine, eager=eager, pipelined=pipelined)
    return simulate(made, topology, workload).cycles()


def judge(variant: str, cycles: F64) -> Prediction:
    """Return what the cycles of a variant's steps say, beside what was published."""
    mean = float(cycles.mean())
    return Prediction(
        variant=variant,
        mean=mean,
        mean_error=deviation(mean, MEAN_CYCLES),
        worst_over_mean=float(cycles.max()) / mean,
    )


def changes(machine: Machine) -> Iterator[tuple[str, Machine]]:
    """Yield machines with one unknown changed; the latency of links is fitted anew for each."""
    wires, operators, clocks = machine.wires, machine.node.operators, machine.clocks
    slow = replace(wires.config, frame_cycles=2 * wires.config.frame_cycles)
    yield "links half as fast", replace(machine, wires=replace(wires, config=slow))
    yield (
        "routers 10 cycles slower per hop",
        replace(machine, wires=replace(wires, send_cycles=wires.send_cycles + 10)),
    )
    later = replace(operators, fadd=2 * operators.fadd, fmul=2 * operators.fmul)
    yield (
        "operators of twice the latency",
        replace(machine, node=replace(machine.node, operators=later)),
    )
    yield (
        "other phases of the clocks",
        replace(machine, clocks=replace(clocks, seed=clocks.seed + 1)),
    )


def changed_machines(machine: Machine, topology: Topology) -> Iterator[tuple[str, Machine]]:
    """Yield all machines of the sensitivities, fitted: those of `changes`, and another echo."""
    for name, changed in changes(machine):
        yield name, fitted(changed, topology)
    yield "echo 5 % longer", fitted(machine, topology, _LONGER_ECHO * ROUND_TRIP_US)


def compare(image_path: Path, run: Path, steps: int | None = None) -> dict[str, Any]:
    """Return fits, predictions and sensitivities; see the module.

    Parameters
    ----------
    image_path, run : Path
        Image, and run of it.
    steps : int, optional
        The first ones of the run; else all.

    Raises
    ------
    InvalidInputError
        If image or run cannot be read or do not fit each other, if the run does not have so many
        steps, or if no latency of links gives the published echo on so many nodes.
    """
    image = open_image(image_path)
    step, source, first, there = run_spikes(run, image)
    steps = there if steps is None else steps
    if not 2 <= steps <= there:
        raise reject("STEPS", steps, f"must be from 2 to {there}, the steps of {run}")
    topology = mesh_topology(inc_3000(image.n_nodes))
    plain = Machine(node=NodeConfig.for_nodes(image.nodes))
    with progress(None, "fit the links"):
        machine = fitted(plain, topology)
        changed = dict(changed_machines(plain, topology))
    with progress(None, "read the rows"):
        rows = read_rows(image)
    workload = make_workload(image, step, source, first, steps, rows)
    few = make_workload(image, step, source, first, min(steps, _FEW_STEPS), rows)
    predictions, sensitivity = [], {}
    for variant in VARIANTS:
        with progress(None, f"model the machine, {variant}"):
            cycles = variant_cycles(machine, topology, workload, variant)
            # What follows does not change a step: these are those of the fewer steps as well.
            base = float(cycles[: few.steps - 1].mean())
            predictions.append(vars(judge(variant, cycles)))
            sensitivity[variant] = {
                name: deviation(float(variant_cycles(m, topology, few, variant).mean()), base)
                for name, m in changed.items()
            }
    echo = measure_echo(machine, topology)
    return {
        "steps": steps,
        "fitted": {
            "link_latency_ns": machine.wires.latency_ns,
            "echo_us": echo.most_us,
            "nodes": echo.nodes,
            "hops": echo.hops,
        },
        "hop_us": {"model": 1e-3 * measure_hop(machine), "published": HOP_US},
        "published": {"mean": MEAN_CYCLES, "worst_over_mean": WORST_OVER_MEAN},
        "predictions": predictions,
        "sensitivity": {"steps": few.steps, **sensitivity},
        "neuroaix": compare_neuroaix(workload),
    }


def compare_neuroaix(workload: Workload) -> dict[str, Any]:
    """Return what the model of neuroAIx says of the same spikes, and how it depends on what."""
    out_degree = workload.lengths.sum(axis=(0, 2), dtype=np.int64).astype(np.float64)
    ends = workload.first[:: workload.nodes]
    spikes = [workload.source[a:b] for a, b in itertools.pairwise(ends)]
    cluster = NeuroAix()
    n_neurons = int(workload.sizes.sum())
    with progress(None, "model neuroAIx"):
        mean = mean_step_ns(cluster, spikes, n_neurons, out_degree)
        silent, _ = neuroaix_step_ns(cluster, spikes[0][:0], n_neurons, out_degree)
        return {
            "model_ns": mean,
            "silent_ns": silent,
            "published_ns": MEASURED_NS,
            "error": deviation(mean, MEASURED_NS),
            "sensitivity": sensitivities(cluster, spikes, n_neurons, out_degree),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.perf.paper",
        description="Compare the performance model with what was published, as JSON.",
        epilog="example: python -m csnn.perf.paper out/image out/run 3000",
    )
    parser.add_argument("image", metavar="IMAGE", help="image directory of full-scale PD14")
    parser.add_argument("run", metavar="RUN", help="directory of a run of it")
    parser.add_argument(
        "steps", metavar="STEPS", type=int, nargs="?", help="the first ones only (default: all)"
    )
    options = parser.parse_args(arguments)
    try:
        found = compare(Path(options.image), Path(options.run), options.steps)
    except CsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
