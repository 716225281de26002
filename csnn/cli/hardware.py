"""The commands about hardware in RTL: verify, emit, synth."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnn.cli.console import MISMATCH, OK, answer, wrap
from csnn.cli.hls import add_emit_hls
from csnn.cli.options import add_command, add_group, add_seed_and_threads
from csnn.errors import InvalidInputError, reject
from csnn.hardware.devices import DEVICES
from csnn.spec import checks
from csnn.spec.machine import Run

if TYPE_CHECKING:
    from csnn.hardware.config import NodeConfig
    from csnn.hardware.master_config import MasterConfig


def add_verify(commands: Any) -> None:
    """Add `csnn verify rtl` and `csnn verify machine`."""
    kinds = add_group(
        commands, "verify", "compare hardware with the definition, bit by bit",
        "csnn verify rtl out/image --node 0 --steps 2000",
    )  # fmt: skip
    rtl = add_command(
        kinds, "rtl", _verify_rtl, "replay a network's traffic in the RTL of a node",
        """
  csnn verify rtl out/image --node 0 --steps 2000 --out out/verify
  csnn verify rtl --replay out/verify""",
    )  # fmt: skip
    rtl.add_argument("image", nargs="?", metavar="IMAGE", help="image directory")
    rtl.add_argument("--node", type=int, metavar="K", help="number of the node (default 0)")
    rtl.add_argument("--steps", type=int, metavar="N", help="steps to compare (default 2000)")
    rtl.add_argument("--warmup-ms", type=float, metavar="MS",
                     help="model time simulated before (default 500)")  # fmt: skip
    rtl.add_argument("--device", choices=tuple(DEVICES),
                     help="what the node is built for (default xc7z045)")  # fmt: skip
    add_seed_and_threads(rtl)
    rtl.add_argument("--out", metavar="DIR", help="where a mismatch is laid down, with a "
                     "waveform (default: csnn-mismatch)")  # fmt: skip
    rtl.add_argument("--replay", metavar="DIR",
                     help="repeat a mismatch laid down (IMAGE: if it was moved)")  # fmt: skip
    machine = add_command(
        kinds, "machine", _verify_machine,
        "run a network on the whole machine in RTL: nodes, routers, links, master node",
        """
  csnn verify machine out/small --mesh 3,3,1 --steps 500""",
    )  # fmt: skip
    machine.add_argument("image", metavar="IMAGE", help="image directory")
    machine.add_argument("--mesh", required=True, metavar="X,Y,Z",
                         help="places: at least one more than the nodes of the image")  # fmt: skip
    machine.add_argument("--steps", type=int, default=100, metavar="N",
                         help="steps to compare (default 100)")  # fmt: skip
    machine.add_argument("--warmup-ms", type=float, default=500.0, metavar="MS",
                         help="model time simulated before (default 500)")  # fmt: skip
    machine.add_argument("--express", default="0,0,0", metavar="X,Y,Z",
                         help="places that express links along the axes pass, less than the "
                         "mesh has (default 0,0,0: none)")  # fmt: skip
    machine.add_argument("--link-latency-ns", type=float, default=800.0, metavar="NS",
                         help="from serialiser to serialiser (default 800)")  # fmt: skip
    machine.add_argument("--jitter-ns", type=float, default=0.0, metavar="NS",
                         help="by up to so much every frame is late (default 0)")  # fmt: skip
    machine.add_argument("--ppm", type=float, default=100.0, metavar="X",
                         help="clocks differ by up to so many ppm (default 100)")  # fmt: skip
    machine.add_argument("--upload", action="store_true",
                         help="through the host's port and the mesh (slow)")  # fmt: skip
    add_seed_and_threads(machine)


def _verify_rtl(options: argparse.Namespace) -> int:
    from csnn.image.store import open_image
    from csnn.verify import open_replay, record_traffic, summary, verify_node
    from rtl.node_simulation import NodeSimulation

    given = [
        name
        for name in ("node", "steps", "warmup_ms", "seed", "threads", "device", "out")
        if getattr(options, name) is not None
    ]
    if options.replay is not None:
        if given:
            raise reject("--replay", options.replay, f"excludes {given[0]}")
        out = Path(options.replay)
        image, node, seed, traffic, target = open_replay(out, options.image)
    else:
        if options.image is None:
            raise InvalidInputError("verify rtl: needs IMAGE or --replay DIR")
        image = open_image(options.image)
        node = 0 if options.node is None else options.node
        steps = 2000 if options.steps is None else options.steps
        seed = 1 if options.seed is None else options.seed
        warmup_ms = 500.0 if options.warmup_ms is None else options.warmup_ms
        target = DEVICES[options.device or "xc7z045"]
        out = Path("csnn-mismatch" if options.out is None else options.out)
        checks.integer("verify", "node", node, 0, image.n_nodes - 1)
        checks.integer("verify", "steps", steps, 1, 10**7)
        checks.integer("verify", "seed", seed, 0, 2**63 - 1)
        checks.non_negative("verify", "warmup_ms", warmup_ms)
        run = Run() if options.threads is None else Run(threads=options.threads)
        traffic = record_traffic(image, warmup_ms=warmup_ms, steps=steps, threads=run.threads)

    def make_device(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        return NodeSimulation(config, waveforms=waveforms)

    result = verify_node(image, node, traffic, make_device, seed=seed, out=out, target=target)
    content = {
        "bit_exact": result.mismatch is None,
        "node": node,
        "device": target.name,
        "steps": result.steps,
        "spikes": result.spikes,
        "synapses": result.synapses,
        "mean_cycles": float(result.answered.mean()) if len(result.answered) else None,
        "largest_cycles": int(result.answered.max()) if len(result.answered) else None,
        "digests": result.digests,
        "mismatch": None if result.mismatch is None else dataclasses.asdict(result.mismatch),
        "out": None if result.mismatch is None or result.not_laid_down else str(out),
        "not_laid_down": result.not_laid_down,
    }
    lines = [f"node {node} of {image.path}, for {target.name}", *summary(result, image.dt_ms)]
    if result.not_laid_down:
        lines.append(f"not laid down as a whole: {result.not_laid_down}")
    elif result.mismatch is not None:
        again = f"csnn verify rtl --replay {shlex.quote(str(out))}"
        lines.append(f"laid down with a waveform in {out}; again: {again}")
    answer(options, content, lines)
    return OK if result.mismatch is None else MISMATCH


def _verify_machine(options: argparse.Namespace) -> int:
    from csnn.hardware.mesh import Mesh, RouterConfig
    from csnn.image.store import open_image
    from csnn.verify import record_traffic
    from csnn.verify_machine import summary, verify_machine
    from rtl.mesh.machine_simulation import MachineSimulation, Physics
    from rtl.mesh.simulated_transport import SimulatedTransport

    image = open_image(options.image)
    checks.integer("verify", "steps", options.steps, 1, 10**7)
    checks.non_negative("verify", "warmup_ms", options.warmup_ms)
    seed = 1 if options.seed is None else options.seed
    checks.integer("verify", "seed", seed, 0, 2**63 - 1)
    run = Run() if options.threads is None else Run(threads=options.threads)
    mesh = Mesh(
        shape=checks.three_numbers("--mesh", options.mesh),
        n_nodes=image.n_nodes,
        router=RouterConfig(express=checks.three_numbers("--express", options.express)),
    )
    mesh.check_express()
    physics = Physics(
        ppm=options.ppm,
        latency_ns=options.link_latency_ns,
        jitter_ns=options.jitter_ns,
        seed=seed,
    )
    physics.check_links(mesh.router.link)
    state = record_traffic(image, warmup_ms=options.warmup_ms, steps=1, threads=run.threads).state

    def make_machine(node: NodeConfig, master: MasterConfig) -> SimulatedTransport:
        return SimulatedTransport(
            MachineSimulation(mesh, node, master, physics, threads=run.threads)
        )

    found = verify_machine(
        image, state, mesh, options.steps, make_machine, preload=not options.upload
    )
    content = {
        "bit_exact": found.is_exact,
        "mesh": list(mesh.shape),
        "nodes": image.n_nodes,
        "physics": dataclasses.asdict(physics),
        "steps": found.steps,
        "spikes": found.spikes,
        "synapses": found.synapses,
        "mean_step_ns": float(found.step_ns.mean()) if len(found.step_ns) else None,
        "largest_step_ns": float(found.step_ns.max()) if len(found.step_ns) else None,
        "build_s": found.build_s,
        "upload_s": found.upload_s,
        "simulate_s": found.simulate_s,
        "mismatch": None if found.mismatch is None else dataclasses.asdict(found.mismatch),
        "stopped": found.stopped,
    }
    lines = [str(image.path), *summary(found, mesh, image.dt_ms, physics.app_mhz)]
    answer(options, content, wrap(lines))
    return OK if found.is_exact else MISMATCH


def add_emit(commands: Any) -> None:
    """Add `csnn emit rtl` and `csnn emit hls`."""
    kinds = add_group(
        commands, "emit", "write hardware descriptions",
        "csnn emit rtl out/image --node 0 --out out/rtl",
    )  # fmt: skip
    rtl = add_command(
        kinds, "rtl", _emit_rtl, "write a node as Verilog, with all that a board needs",
        """
  csnn emit rtl out/image --node 0 --device xc7z045 --out out/rtl""",
    )  # fmt: skip
    rtl.add_argument("image", metavar="IMAGE", help="image directory")
    rtl.add_argument("--node", type=int, default=0, metavar="K",
                     help="node whose memory contents are written (default 0)")  # fmt: skip
    rtl.add_argument("--device", default="xc7z045", choices=tuple(DEVICES),
                     help="what it must fit (default xc7z045)")  # fmt: skip
    rtl.add_argument("--out", required=True, metavar="DIR", help="output directory")
    add_emit_hls(kinds)


def _emit_rtl(options: argparse.Namespace) -> int:
    from csnn.image.store import open_image
    from rtl.emit import emit

    image = open_image(options.image)
    checks.integer("emit", "node", options.node, 0, image.n_nodes - 1)
    manifest = emit(image, options.node, DEVICES[options.device], Path(options.out))
    blocks = manifest["memory_blocks"]
    lines = [
        f"{options.out}: Verilog of the nodes of {image.path}, memory contents of node "
        f"{options.node}",
        f"memory: {blocks['needed']} of {blocks['device']} blocks of {options.device}",
    ]
    answer(options, manifest, lines)
    return OK


def add_synth(commands: Any) -> None:
    """Add `csnn synth`."""
    synth = add_command(
        commands, "synth", _synth, "resources and clock of a node's hardware, by open tools",
        """
  csnn synth --target xc7 --component node
  csnn synth --target ecp5 --component "neuron pipeline" --seeds 4""",
    )  # fmt: skip
    synth.add_argument("--target", required=True, choices=("xc7", "xcup", "ecp5"),
                       help="family of devices")  # fmt: skip
    synth.add_argument("--component", action="append", metavar="NAME", dest="components",
                       help="only this one; may be repeated (default: all, the node last; takes "
                       "about 15 minutes)")  # fmt: skip
    synth.add_argument("--seeds", type=int, default=2, metavar="N",
                       help="placements on an ECP5 (default 2)")  # fmt: skip


def _synth(options: argparse.Namespace) -> int:
    from rtl.synthesis import components
    from rtl.synthesis_report import TARGETS, synthesise_components

    checks.integer("synth", "seeds", options.seeds, 1, 100)
    known = tuple(components(TARGETS[options.target].config))
    chosen = options.components or []
    for name in chosen:
        if name not in known:
            raise reject("--component", name, f"must be one of {', '.join(known)}")
    report = synthesise_components(options.target, chosen, options.seeds)
    answer(options, report.to_dict(), tuple(report.lines()))
    return OK
