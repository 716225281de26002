"""`csnn perf`: what is asked for, done, and told."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from csnn.errors import reject
from csnn.files import require_apart
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import LinkConfig, Mesh, RouterConfig
from csnn.image.store import Image, open_image
from csnn.perf import figures
from csnn.perf.arguments import BETWEEN_DEVICES
from csnn.perf.experiments import sweep_echo
from csnn.perf.folder import write_folder
from csnn.perf.model import Timing, simulate
from csnn.perf.parameters import Clocks, Machine, Wires, longest_latency_ns, on_chip_wires
from csnn.perf.spikes import read_workload
from csnn.perf.statistics import PARTS, Summary, nodes_reached, summarise
from csnn.perf.topology import Topology, make_topology, smallest_mesh
from csnn.perf.workload import Workload, silent_workload
from csnn.progress import progress
from csnn.spec import checks

SCHEMA, VERSION = "csnn-perf", 1
_SILENT_STEPS = 50


def run_perf(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Model a machine with the spikes of a run; return the figures, and lines for people.

    Raises
    ------
    InvalidInputError
        If an option, the image or the run breaks a rule.
    """
    image = open_image(options.image)
    topology, mesh = _topology(options, image)
    machine = _machine(options, image)
    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_apart(out, SCHEMA, image=image.path, run=options.run)
    workload = read_workload(options, image)
    with progress(None, "model the machine"):
        silent = simulate(machine, topology, silent_workload(workload.sizes, _SILENT_STEPS))
        timing = simulate(machine, topology, workload)
    summary = summarise(timing, workload, hops=topology.diameter, dt_ms=image.dt_ms)
    reached = nodes_reached(workload.lengths, workload.source)
    content = {
        "network": image.manifest["network"],
        "topology": topology.kind,
        "mesh": list(mesh.shape) if mesh else None,
        "places": topology.places,
        "links_of_a_place": topology.degree,
        **summary.to_dict(),
        "silent_mean": float(silent.cycles().mean()),
        "nodes_reached_by_a_spike": float(reached.mean()) if len(reached) else None,
        "machine": _described(machine, on_chip=topology.kind == "chip"),
    }
    if out is not None:
        with progress(None, "draw the figures"):
            _write(out, image, content, machine, mesh, workload, silent, timing, summary)
    return {**content, "out": options.out}, _lines(content, summary, image, out)


def step_by_ode(options: argparse.Namespace) -> Callable[[Sequence[int]], list[float]]:
    """Read what a machine is modelled with; return the function that models it.

    Parameters
    ----------
    options : argparse.Namespace
        As of `run_perf`.

    Returns
    -------
    callable
        From the cycles by which the ODE unit is longer than the node's to mean times of a step in
        us. It fails no more over the options: that takes a moment, the model some minutes.

    Raises
    ------
    InvalidInputError
        If an option, the image or the run breaks a rule.
    """
    image = open_image(options.image)
    topology, _ = _topology(options, image)
    machine = _machine(options, image)
    workload = read_workload(options, image)

    def times(extra_cycles: Sequence[int]) -> list[float]:
        found = []
        with progress(len(extra_cycles), "model the machine", "lengths") as bar:
            for extra in extra_cycles:
                timing = simulate(replace(machine, ode_extra_cycles=extra), topology, workload)
                found.append(float(timing.cycles().mean()) / machine.clocks.app_mhz)
                bar.update(1)
        return found

    return times


def _topology(options: argparse.Namespace, image: Image) -> tuple[Topology, Mesh | None]:
    n, kind = image.n_nodes, options.topology
    for wanted, names in (("mesh", ("mesh", "express")), ("tree", ("arity",))):
        for name in names if kind != wanted else ():
            if (value := getattr(options, name)) is not None:
                raise reject(f"--{name}", value, f"excludes --topology {kind}")
    if kind != "mesh":
        arity = 6 if options.arity is None else options.arity
        return make_topology(kind, n, arity=arity), None
    shape, express = smallest_mesh(n), (0, 0, 0)
    if options.mesh is not None:
        shape = checks.three_numbers("--mesh", options.mesh)
    if options.express is not None:
        express = checks.three_numbers("--express", options.express)
    router = RouterConfig(express=express, link=_link(options), branch_buffer=options.branch_buffer)
    mesh = Mesh(shape=shape, n_nodes=n, router=router)
    mesh.check_express()
    return make_topology("mesh", n, mesh=mesh), mesh


def _link(options: argparse.Namespace) -> LinkConfig:
    given = {} if options.frame_cycles is None else {"frame_cycles": options.frame_cycles}
    return LinkConfig(window=options.window, buffer=options.buffer, **given)


def _machine(options: argparse.Namespace, image: Image) -> Machine:
    on_chip = options.topology == "chip"
    if on_chip:
        for name in BETWEEN_DEVICES:
            if (value := getattr(options, name)) is not None:
                raise reject(f"--{name.replace('_', '-')}", value, "excludes --topology chip")
    inside = on_chip_wires(_link(options))
    clocks = Clocks(
        app_mhz=options.app_mhz,
        comm_mhz=options.app_mhz if on_chip else _or(options.comm_mhz, Clocks.comm_mhz),
        ppm=options.ppm,
        seed=options.seed,
    )
    wires = inside
    if not on_chip:
        wires = Wires(
            latency_ns=_or(options.link_latency_ns, Wires.latency_ns),
            jitter_ns=_or(options.link_jitter_ns, Wires.jitter_ns),
            config=_link(options),
        )
        _check_links(options, wires, clocks.comm_mhz)
    machine = Machine(
        node=NodeConfig.for_nodes(image.nodes),
        master=MasterConfig(nodes=1 << max(1, (image.n_nodes - 1).bit_length())),
        wires=wires,
        inside=inside,
        clocks=clocks,
        branch_buffer=options.branch_buffer,
    )
    # One clock: nothing has to cross.
    return replace(machine, crossing_sink=1) if on_chip else machine


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _check_links(options: argparse.Namespace, wires: Wires, comm_mhz: float) -> None:
    """Refuse the option by which frames are sent again before they can be acknowledged."""
    longest = longest_latency_ns(wires, comm_mhz)
    taken = wires.latency_ns + wires.jitter_ns
    if taken <= longest:
        return

    def is_short(frame_cycles: int) -> bool:
        config = replace(wires.config, frame_cycles=frame_cycles)
        return taken <= longest_latency_ns(replace(wires, config=config), comm_mhz)

    limits = {
        "link_latency_ns": longest - wires.jitter_ns,
        "link_jitter_ns": longest - wires.latency_ns,
        "comm_mhz": comm_mhz * longest / taken,
        "frame_cycles": next(filter(is_short, range(wires.config.frame_cycles, 0, -1)), 0),
    }
    given = {name: limit for name, limit in limits.items() if getattr(options, name) is not None}
    name = next((name for name, limit in given.items() if limit >= 1), next(iter(given)))
    most = f"at most {math.floor(given[name])}" if given[name] >= 1 else "less, and others too"
    rule = f"must be {most}, or frames are sent again before they can be acknowledged"
    raise reject(f"--{name.replace('_', '-')}", getattr(options, name), rule)


def _described(machine: Machine, *, on_chip: bool) -> dict[str, Any]:
    wires = machine.inside if on_chip else machine.wires
    clocks = machine.clocks
    return {
        "app_mhz": clocks.app_mhz,
        "comm_mhz": clocks.comm_mhz,
        "ppm": clocks.ppm,
        "seed": clocks.seed,
        "pipelines": machine.node.pipelines,
        "link_latency_ns": wires.latency_ns,
        "link_jitter_ns": wires.jitter_ns,
        "frame_cycles": wires.config.frame_cycles,
        "window": wires.config.window,
        "buffer": wires.config.buffer,
        "branch_buffer": machine.branch_buffer,
        "node_fifo": machine.node.event_fifo,
        "master_fifo": machine.master.fifo,
    }


def _lines(content: dict[str, Any], summary: Summary, image: Image, out: Path | None) -> list[str]:
    shape = "x".join(map(str, content["mesh"])) if content["mesh"] else content["topology"]
    mhz = content["machine"]["app_mhz"]
    return [
        f"{image.path} on {shape}: {summary.nodes} nodes, hops to the farthest: {summary.hops}",
        f"{summary.steps:,} steps of {summary.spikes_per_step:.1f} spikes: "
        f"{summary.mean_us:.3f} us per step, real-time factor {summary.real_time_factor:.4f}",
        f"cycles per step at {mhz:g} MHz: mean {summary.mean:,.1f}, longest {summary.most:,.0f} "
        f"({summary.most / summary.mean:.2f} times)",
        f"  without spikes {content['silent_mean']:,.1f}",
        f"{'cycles of a step':<36}{'mean':>8}{'longest':>9}",
        *(
            f"  {meaning:<34}{summary.parts[name]:>8,.0f}{summary.worst_parts[name]:>9,.0f}"
            for name, meaning in PARTS.items()
        ),
        f"limit: {summary.limit}",
        *([f"{out}: figures"] if out else []),
    ]


def _write(
    out: Path,
    image: Image,
    content: dict[str, Any],
    machine: Machine,
    mesh: Mesh | None,
    workload: Workload,
    silent: Timing,
    timing: Timing,
    summary: Summary,
) -> None:
    """Write figures, the cycles of all steps, and what was found."""
    drawn = {
        "6a_spikes_per_step": figures.spikes_per_step(workload),
        "6b_spikes_per_node": figures.spikes_per_node(workload),
        "6d_step_cycles": figures.step_cycles(timing),
        "6e_unroll_cycles": figures.unroll_cycles(workload),
        "8c_breakdown": figures.breakdown(silent, timing),
        "fixed_clock": figures.fixed_clock(summary),
        "locality": figures.locality(workload),
    }
    if mesh is not None:
        most = len(mesh.sites) - 1
        sizes = sorted({1, *np.linspace(2, most, min(most, 12)).astype(int).tolist(), mesh.n_nodes})
        drawn["6c_echo"] = figures.echo_latency(sweep_echo(machine, mesh, sizes))
    write_folder(
        out, image, SCHEMA, VERSION, figures=drawn, content={"perf": content},
        arrays={"steps": {"cycles": timing.cycles()}},
    )  # fmt: skip
