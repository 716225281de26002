"""The command line: data on stdout, progress and messages on stderr.

Exit codes: 0 success, 1 mismatch or failed criterion, 2 usage, 3 invalid input, 4 tool missing,
5 tool failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import math
import os
import re
import shlex
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnn.arguments import make_parser, one_line
from csnn.errors import CsnnError, InvalidInputError, located, reject
from csnn.progress import set_quiet
from csnn.spec import checks
from csnn.spec.builtin import BUILTINS, build, nearest
from csnn.spec.description import Description
from csnn.spec.machine import Run
from csnn.spec.network import Network
from csnn.spec.toml import dumps, load

if TYPE_CHECKING:
    from csnn.hardware.config import NodeConfig
    from csnn.hardware.master_config import MasterConfig
    from csnn.run import Validation
    from csnn.validation.statistics import Statistics

OK, MISMATCH, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = make_parser(_COMMANDS).parse_args(arguments)
    options.command_line = _command_line(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files that are not UTF-8 are printed as the bytes they are.
        sys.stdout.reconfigure(errors="surrogateescape")
    set_quiet(options.quiet)
    try:
        _check_names(options)
        code: int = options.command(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except CsnnError as error:
        _message(f"csnn: {one_line(str(error))}")
        return error.exit_code
    except KeyboardInterrupt:
        _message("csnn: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say to it.
        _give_up_stdout()
        return OK
    except MemoryError:
        _message("csnn: out of memory")
        return InvalidInputError.exit_code
    except UnicodeError as error:
        _message(f"csnn: {one_line(str(error))}")
        return InvalidInputError.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _message(f"csnn: {one_line(f'{where}{error.strerror or error}')}")
        _give_up_stdout()
        return InvalidInputError.exit_code


def _check_names(options: argparse.Namespace) -> None:
    """Refuse empty names of files, which would mean the current folder."""
    for name, shown in (
        ("network", "NETWORK"),
        ("image", "IMAGE"),
        ("run", "DIR"),
        ("out", "--out"),
    ):
        if getattr(options, name, None) == "":
            raise reject(shown, "", "must not be empty")


def _command_line(arguments: Sequence[str]) -> str:
    """Return the command as it could be typed again."""
    # Names of files that are not UTF-8 must not keep a report from being written.
    return shlex.join(["csnn", *arguments]).encode("utf-8", "backslashreplace").decode()


def _give_up_stdout() -> None:
    """Send what is left in the buffer nowhere if it cannot be written, lest exit complain of it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def _emit(options: argparse.Namespace, content: dict[str, Any], lines: Sequence[str]) -> None:
    """Print `content` as JSON, or `lines` for people."""
    if options.json:
        print(json.dumps(content, indent=1, allow_nan=False))
    else:
        for line in lines:
            print(line)


# Arguments to descriptions


def _integers(field: str, text: str | None) -> tuple[int, ...] | None:
    """Parse a list such as 0,3-5."""
    if text is None:
        return None
    numbers: list[int] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*", item)
        if match is None:
            raise reject(field, text, "must be a list of numbers and ranges, such as 0,3-5")
        low, high = int(match[1]), int(match[2] or match[1])
        if not low <= high < low + 10**6:
            raise reject(field, text, "a range must ascend and hold at most 1,000,000 numbers")
        numbers.extend(range(low, high + 1))
    return tuple(numbers)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _description(options: argparse.Namespace) -> Description:
    """Build the description from NETWORK and the options of network and machine.

    Its run is the file's own: an image does not depend on how it is to be run.
    """
    scaling = _given(options, "scale", "n_scale", "k_scale")
    name = options.network
    if name in BUILTINS:
        description = Description(network=build(name, scaling))
    else:
        path = Path(name)
        if not path.exists():
            hint = nearest(name, tuple(BUILTINS))
            raise InvalidInputError(f"{name}: no such file or built-in network; {hint}")
        if scaling:
            raise reject(f"--{next(iter(scaling)).replace('_', '-')}", next(iter(scaling.values())),
                         "scales built-in networks only; set it in the file")  # fmt: skip
        description = load(path)
    machine = _given(options, "partition", "n_nodes", "row_layout")
    if not machine:
        return description
    return dataclasses.replace(
        description, machine=dataclasses.replace(description.machine, **machine)
    )


def _run_of(options: argparse.Namespace, settings: Run) -> Run:
    """Return `settings` with what the options say otherwise."""
    run = _given(options, "time_ms", "warmup_ms", "seed", "threads")
    record = _integers("--record", getattr(options, "record", None))
    if record is not None:
        run["record"] = record
    return dataclasses.replace(settings, **run)


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        _message(f"csnn: warning: {note}")


@contextmanager
def _blamed(options: argparse.Namespace) -> Iterator[None]:
    """Name the description file in errors about what it describes."""
    try:
        yield
    except InvalidInputError as error:
        field = re.match(
            r"(?:population|projection) \w|(?:network|machine|run|edges)\.(\w+)", str(error)
        )
        on_command_line = field is not None and getattr(options, field[1] or "", None) is not None
        if field is None or on_command_line or options.network in BUILTINS:
            raise
        raise located(options.network, error) from None


def _check_run(run: Run, network: Network) -> None:
    """Refuse times and recorded neurons that do not fit the network, before anything is made."""
    from csnn.simulator.recording import check_recorded
    from csnn.simulator.session import run_steps

    run_steps(run.time_ms, run.warmup_ms, network.dt_ms)
    check_recorded(run.record, network.size)


# Commands


def _run(options: argparse.Namespace) -> int:
    from csnn import output
    from csnn.run import report_run, run_simulation
    from csnn.simulator.session import require_simulator
    from netgen.build import generate

    description = _description(options)
    run = _run_of(options, description.run)
    with _blamed(options):
        _check_run(run, description.network)
    require_simulator(options.simulator)
    with output.prepared(options.out) as directory, output.own_image(directory) as path:
        with _blamed(options):
            image = generate(description, run.seed, path, threads=run.threads)
        _warn(image.manifest["notes"])
        result = run_simulation(
            image,
            run,
            directory,
            kind=options.simulator,
            checkpoint=options.checkpoint,
            timings={"generate_s": image.manifest["generate_s"]},
            command=options.command_line,
        )
    if result["last_step"] * result["dt_ms"] > result["warmup_ms"]:
        report = str(report_run(directory))
        result = output.read_result(directory)
    else:
        report = None
    _conclude(options, result, path)
    _emit(options, {**result, "report": report}, [report] if report else [])
    if not result["complete"]:
        return INTERRUPTED
    verdict = result["verdict"]
    return MISMATCH if verdict and not verdict["passed"] else OK


def _conclude(options: argparse.Namespace, result: dict[str, Any], image: Any) -> None:
    """Say on stderr how a run went."""
    if not options.quiet and not options.json:
        for line in _result_lines(result):
            _message(line)
    if not result["complete"]:
        _message(
            f"csnn: interrupted after step {result['last_step']}; continue with "
            f"csnn simulate {shlex.quote(str(image))} --resume --out {shlex.quote(options.out)}"
        )


def _result_lines(result: dict[str, Any]) -> list[str]:
    rates = "  ".join(f"{name}\xa0{rate:.2f}" for name, rate in result["mean_rates_hz"].items())
    verdict = result.get("verdict")
    lines = [
        f"{result['network']}: {result['neurons']:,} neurons, {result['synapses']:,} synapses on "
        f"{result['nodes']} nodes, image {_size(result['image']['bytes'])}",
        f"rates in spikes/s: {rates}",
        f"wall time per model second {_number(result['rtf'])}, peak memory "
        f"{result['peak_mb']:.0f} MB",
    ]
    if verdict:
        failed = [
            f"{c['statistic']} of {c.get('population', 'all')}".replace(" ", "\xa0")
            for c in (*verdict["cells"], *verdict["pooled"])
            if not c["passed"]
        ]
        lines.append(
            "compared with NEST: passed"
            if verdict["passed"]
            else f"compared with NEST: failed in {', '.join(failed)}"
        )
    if result.get("verdict_note"):
        lines.append(result["verdict_note"])
    return _wrapped(lines)


def _wrapped(lines: Sequence[str]) -> list[str]:
    """Fold long lines; what a no-break space joins, such as a name and its value, stays so."""
    rows = [row for line in lines for row in textwrap.wrap(line, 79, subsequent_indent="  ")]
    return [row.replace("\xa0", " ") for row in rows]


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _generate(options: argparse.Namespace) -> int:
    from csnn.report.machine import PAPER_EXPLICIT_BYTES
    from csnn.run import is_full_scale_pd14
    from netgen.build import generate

    description = _description(options)
    run = _run_of(options, description.run)
    with _blamed(options):
        image = generate(description, run.seed, options.out, threads=run.threads)
    manifest = image.manifest
    _warn(manifest["notes"])
    explicit = manifest["explicit_bytes"] / max(image.node_bytes, 1)
    ratio = f"{explicit:.1f} times smaller" if explicit >= 1 else "larger"
    lines = [
        f"{image.path}: {image.n_neurons:,} neurons, {manifest['synapses']:,} synapses, "
        f"{image.n_nodes} nodes",
        f"{_size(image.node_bytes)} in {manifest['generate_s']:.1f} s, "
        f"{ratio} than the synapses in explicit form",
    ]
    if is_full_scale_pd14(manifest):
        paper = PAPER_EXPLICIT_BYTES / image.node_bytes
        lines.append(
            f"{paper:.1f} times smaller than the explicit network of Heittmann et al. (2022)"
        )
    fit = manifest.get("edge_fit")
    if fit and fit["representation"] == "fitted":
        lines.append(
            f"edges fitted by tables: {fit['overall']['recovered_share']:.1%} of them recovered, "
            f"{fit['overall']['recovered_pair_share']:.1%} without regard to weight and delay; see "
            "edge_fit in the manifest"
        )
    _emit(options, {"image": str(image.path), **manifest}, lines)
    return OK


def _simulate(options: argparse.Namespace) -> int:
    from csnn import output
    from csnn.image.store import NETWORK_FILE, open_image
    from csnn.run import run_simulation
    from csnn.simulator.recording import check_recorded
    from csnn.simulator.session import require_simulator, run_steps

    image = open_image(options.image)
    settings = load(image.path / NETWORK_FILE).run
    if options.resume:
        # What is not given stays as it was.
        earlier = output.read_result(Path(options.out))
        kept = {name: earlier[name] for name in ("time_ms", "warmup_ms", "threads")}
        settings = dataclasses.replace(settings, **kept, record=tuple(earlier["record"]))
    run = dataclasses.replace(_run_of(options, settings), seed=image.manifest["seed"])
    check_recorded(run.record, image.n_neurons)
    run_steps(run.time_ms, run.warmup_ms, image.dt_ms)
    require_simulator(options.simulator)
    with output.prepared(options.out) as directory:
        result = run_simulation(
            image,
            run,
            directory,
            kind=options.simulator,
            resume=options.resume,
            checkpoint=options.checkpoint,
            command=options.command_line,
        )
    _conclude(options, result, options.image)
    spikes = str(directory / output.SPIKES)
    _emit(options, {**result, "spikes_file": spikes}, [spikes])
    return OK if result["complete"] else INTERRUPTED


def _validate(options: argparse.Namespace) -> int:
    from csnn.run import validate_run

    validation = validate_run(Path(options.run))
    verdict = validation.verdict
    content = {
        "verdict": verdict.to_dict() if verdict else None,
        "note": validation.note,
        "statistics": validation.statistics.to_dict(),
    }
    _emit(options, content, _validation_lines(validation))
    return MISMATCH if verdict and not verdict.passed else OK


def _validation_lines(validation: Validation) -> list[str]:
    """Return the verdict, or means of the statistics where there is none."""
    if validation.verdict is not None:
        lines = [line.replace(" of ", "\xa0of\xa0") for line in validation.verdict.lines()]
        lines = _wrapped(lines)
    else:
        lines = _mean_lines(validation.statistics)
    return lines + textwrap.wrap(validation.note, 79)


def _mean_lines(statistics: Statistics) -> list[str]:
    wide = max(11, *(len(p.name) for p in statistics.populations)) + 1
    lines = [f"{'population':<{wide}}{'spikes/s':>10}{'CV':>8}{'CC':>9}"]
    for p in statistics.populations:
        samples = [p.sample(statistic) for statistic in ("FR", "CV", "CC")]
        texts = [
            f"{sample.mean():.{digits}f}" if len(sample) else "-"
            for sample, digits in zip(samples, (3, 3, 4), strict=True)
        ]
        lines.append(f"{p.name:<{wide}}{texts[0]:>10}{texts[1]:>8}{texts[2]:>9}")
    return lines


def _report(options: argparse.Namespace) -> int:
    from csnn.run import report_run

    path = report_run(Path(options.run))
    _emit(options, {"report": str(path)}, [str(path)])
    return OK


def _bench(options: argparse.Namespace) -> int:
    from csnn.bench import bench
    from csnn.simulator.session import require_simulator
    from netgen.build import generate

    description = _description(options)
    run = _run_of(options, description.run)
    if not options.no_nest:
        checks.positive("bench", "nest_time_ms", options.nest_time_ms)
    _warn(description.network.notes)
    with _blamed(options):
        _check_run(run, description.network)
        require_simulator("fast")
        with tempfile.TemporaryDirectory(prefix="csnn-bench-") as folder:
            figures = bench(
                description,
                run,
                lambda d, seed, path, threads: generate(d, seed, path, threads=threads),
                Path(folder) / "image",
                nest_time_ms=None if options.no_nest else options.nest_time_ms,
            )
    rows = [
        ("generation, s", "generate_s", 1),
        ("image, MB" + (" *" if figures["nest"] else ""), "image_mb", 3),
        ("wall s per model s", "rtf", 2),
        ("peak memory, MB", "peak_mb", 1),
        ("synaptic events / s", "events_per_s", 0),
    ]
    other = figures["nest"]
    lines = [
        f"{figures['network']}: {figures['neurons']:,} neurons, {figures['synapses']:,} synapses, "
        f"{figures['threads']} threads",
        f"{'':<22}{'csnn':>16}" + (f"{'NEST ' + other['version']:>16}" if other else ""),
    ]
    for label, key, digits in rows:
        line = f"{label:<22}{figures[key]:>16,.{digits}f}"
        lines.append(line + (f"{other[key]:>16,.{digits}f}" if other else ""))
    if other:
        lines.append("* NEST has no image: memory that building the network took")
    if figures["nest_note"]:
        lines.extend(textwrap.wrap(figures["nest_note"], 79))
    _emit(options, figures, lines)
    return OK


def _show(options: argparse.Namespace) -> int:
    if options.network is None:
        content = {name: builtin.summary for name, builtin in BUILTINS.items()}
        _emit(options, content, [f"{name:<10}{text}" for name, text in content.items()])
        return OK
    text = dumps(_description(options))
    _emit(options, {**_finite(tomllib.loads(text)), "toml": text}, [text.rstrip("\n")])
    return OK


def _finite(value: Any) -> Any:
    """Replace infinite numbers, which JSON has not, by null: no bound."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _export_edges(options: argparse.Namespace) -> int:
    from csnn import edges as edge_files
    from csnn.image.store import open_image
    from netgen.export import export_edges

    edge_files.check_name(options.out)
    image = open_image(options.image)
    edges = export_edges(
        image,
        nodes=_integers("--nodes", options.nodes),
        targets=None if options.targets is None else options.targets.split(","),
        sources=None if options.sources is None else options.sources.split(","),
    )
    edge_files.write(options.out, edges)
    content = {"edges": len(edges), "file": options.out}
    _emit(options, content, [f"{options.out}: {len(edges):,} edges"])
    return OK


def _verify_rtl(options: argparse.Namespace) -> int:
    from csnn.hardware.devices import DEVICES
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
    _emit(options, content, lines)
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
    _emit(options, content, _wrapped(lines))
    return OK if found.is_exact else MISMATCH


def _emit_rtl(options: argparse.Namespace) -> int:
    from csnn.hardware.devices import DEVICES
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
    _emit(options, manifest, lines)
    return OK


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
    _emit(options, report.to_dict(), tuple(report.lines()))
    return OK


def _perf(options: argparse.Namespace) -> int:
    from csnn.perf.command import run_perf

    content, lines = run_perf(options)
    _emit(options, content, _wrapped(lines))
    return OK


def _explore(options: argparse.Namespace) -> int:
    from csnn.explore.command import run_explore

    content, lines = run_explore(options)
    _emit(options, content, lines)
    return OK


_COMMANDS = {
    "explore": _explore,
    "perf": _perf,
    "synth": _synth,
    "emit rtl": _emit_rtl,
    "verify rtl": _verify_rtl,
    "verify machine": _verify_machine,
    "run": _run,
    "generate": _generate,
    "simulate": _simulate,
    "validate": _validate,
    "report": _report,
    "bench": _bench,
    "show": _show,
    "edges": _export_edges,
}


if __name__ == "__main__":
    sys.exit(main())
