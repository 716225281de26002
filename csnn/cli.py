"""The command line: data on stdout, progress and messages on stderr.

Exit codes: 0 success, 1 mismatch or failed criterion, 2 usage, 3 invalid input, 4 tool missing,
5 tool failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import csnn
from csnn.errors import CsnnError, InvalidInputError, reject
from csnn.progress import set_quiet
from csnn.spec.builtin import BUILTINS, build, nearest
from csnn.spec.description import Description
from csnn.spec.toml import dumps, load

OK, MISMATCH, INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    set_quiet(options.quiet)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
        return code
    except CsnnError as error:
        _message(f"csnn: {' '.join(str(error).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        _message("csnn: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except MemoryError:
        _message("csnn: out of memory")
        return InvalidInputError.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _message(f"csnn: {where}{error.strerror or error}")
        return InvalidInputError.exit_code


def _message(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _emit(options: argparse.Namespace, content: dict[str, Any], lines: Sequence[str]) -> None:
    """Print `content` as JSON, or `lines` for people."""
    if options.json:
        print(json.dumps(content, indent=1, allow_nan=False))
    else:
        for line in lines:
            print(line)


# Parsers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csnn",
        description="Compile spiking networks into seed tables, simulate the machine bit-exactly, "
        "compare with NEST.",
        epilog="example: csnn run pd14 --scale 0.1 --out out/small",
    )
    parser.add_argument("--version", action="version", version=f"csnn {csnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = _command(
        commands, "run", _run,
        "generate, simulate, validate and report in one go",
        "csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 --threads 2 --out out",
    )  # fmt: skip
    _network_options(run)
    _machine_options(run)
    _time_options(run)
    _simulation_options(run)
    run.add_argument("--out", required=True, metavar="DIR", help="output directory")

    generate = _command(
        commands, "generate", _generate, "compile a network into an image",
        "csnn generate pd14 --seed 1 --out out/image",
    )  # fmt: skip
    _network_options(generate)
    _machine_options(generate)
    _seed_and_threads(generate)
    generate.add_argument("--out", required=True, metavar="DIR", help="image directory")

    simulate = _command(
        commands, "simulate", _simulate, "simulate an image",
        "csnn simulate out/image --time-ms 1000 --warmup-ms 500 --record 0,77168 --out out/run",
    )  # fmt: skip
    simulate.add_argument("image", metavar="IMAGE", help="image directory")
    _time_options(simulate)
    _seed_and_threads(simulate, seed=False)
    _simulation_options(simulate)
    simulate.add_argument("--resume", action="store_true",
                          help="continue the run in DIR from its checkpoint")  # fmt: skip
    simulate.add_argument("--out", required=True, metavar="DIR", help="output directory")

    validate = _command(
        commands, "validate", _validate, "judge the spikes of a run against NEST",
        "csnn validate out/run --json",
    )  # fmt: skip
    validate.add_argument("run", metavar="DIR", help="output directory of a run")

    report = _command(
        commands, "report", _report, "write the HTML report of a run", "csnn report out/run"
    )
    report.add_argument("run", metavar="DIR", help="output directory of a run")

    bench = _command(
        commands, "bench", _bench, "measure generation, speed and memory, beside NEST's",
        "csnn bench --json",
    )  # fmt: skip
    bench.add_argument("network", nargs="?", default="pd14", metavar="NETWORK",
                       help="built-in network or TOML file (default pd14)")  # fmt: skip
    _scale_options(bench)
    _machine_options(bench)
    _time_options(bench)
    _seed_and_threads(bench)
    bench.add_argument("--nest-time-ms", type=float, default=100.0, metavar="MS",
                       help="model time for NEST (default 100; full scale takes minutes and "
                       "15 GB)")  # fmt: skip
    bench.add_argument("--no-nest", action="store_true", help="leave NEST out")

    show = _command(
        commands, "show", _show, "print a network as TOML, to be copied and edited",
        "csnn show pd14 --scale 0.1 > small.toml",
    )  # fmt: skip
    show.add_argument("network", nargs="?", metavar="NETWORK",
                      help="built-in network or TOML file; without it, the built-in ones")  # fmt: skip
    _scale_options(show)

    export = commands.add_parser("export", help="write parts of an image in other formats")
    kinds = export.add_subparsers(title="what", metavar="WHAT", required=True)
    edges = _command(
        kinds, "edges", _export_edges, "unroll an image or a part of it into an edge list",
        "csnn export edges out/image --targets L5I --out l5i.npz",
    )  # fmt: skip
    edges.add_argument("image", metavar="IMAGE", help="image directory")
    edges.add_argument("--nodes", metavar="LIST", help="node numbers, such as 0,3-5")
    edges.add_argument("--targets", metavar="LIST",
                       help="populations or neurons, such as L5I or 0:100")  # fmt: skip
    edges.add_argument("--sources", metavar="LIST", help="likewise")
    edges.add_argument("--out", required=True, metavar="FILE", help=".npz, .csv or .csv.gz")
    return parser


def _command(commands: Any, name: str, action: Any, text: str, example: str) -> Any:
    parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example: {example}"
    )
    parser.set_defaults(command=action)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser


def _scale_options(parser: Any) -> None:
    group = parser.add_argument_group("scaling (pd14)")
    group.add_argument("--scale", type=float, metavar="X", help="neurons and in-degrees")
    group.add_argument("--n-scale", type=float, metavar="X", help="neurons only")
    group.add_argument("--k-scale", type=float, metavar="X", help="in-degrees only")


def _network_options(parser: Any) -> None:
    parser.add_argument("network", metavar="NETWORK", help=f"{', '.join(BUILTINS)}, or a TOML file")
    _scale_options(parser)


def _machine_options(parser: Any) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("--partition", choices=("equal", "load"), help="how nodes are filled")
    group.add_argument(
        "--nodes", dest="n_nodes", type=int, metavar="N", help="nodes to balance over"
    )
    group.add_argument("--row-layout", choices=("auto", "dense", "sparse"), help="of seed tables")


def _time_options(parser: Any) -> None:
    parser.add_argument("--time-ms", type=float, metavar="MS", help="model time (default 1000)")
    parser.add_argument("--warmup-ms", type=float, metavar="MS",
                        help="model time before it that is not recorded (default 500)")  # fmt: skip


def _seed_and_threads(parser: Any, *, seed: bool = True) -> None:
    if seed:
        parser.add_argument(
            "--seed", type=int, metavar="N", help="of everything random (default 1)"
        )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default 2)")


def _simulation_options(parser: Any) -> None:
    if parser.prog.endswith(" run"):
        _seed_and_threads(parser)
    parser.add_argument("--simulator", choices=("fast", "plain"), default="fast",
                        help="compiled, or the plain definition (slow)")  # fmt: skip
    parser.add_argument("--record", metavar="LIST",
                        help="neurons whose V, currents and input are kept, such as 0,5,10-12")  # fmt: skip
    parser.add_argument("--checkpoint", action="store_true", help="save the final state")


# Arguments to descriptions


def _integers(field: str, text: str | None) -> tuple[int, ...] | None:
    """Parse a list such as 0,3-5."""
    if text is None:
        return None
    numbers: list[int] = []
    for item in text.split(","):
        first, dash, last = item.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise reject(field, text, "must be a list of numbers and ranges, such as 0,3-5")
        low, high = int(first), int(last or first)
        if not low <= high < low + 10**6:
            raise reject(field, text, "a range must ascend and hold at most 1,000,000 numbers")
        numbers.extend(range(low, high + 1))
    return tuple(numbers)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _description(options: argparse.Namespace) -> Description:
    """Build the description from NETWORK and the options that override it."""
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
    run = _given(options, "time_ms", "warmup_ms", "seed", "threads")
    record = _integers("--record", getattr(options, "record", None))
    if record is not None:
        run["record"] = record
    return dataclasses.replace(
        description,
        machine=dataclasses.replace(description.machine, **machine)
        if machine
        else description.machine,
        run=dataclasses.replace(description.run, **run) if run else description.run,
    )


def _warn(description: Description) -> None:
    for note in description.network.notes:
        _message(f"csnn: warning: {note}")


# Commands


def _run(options: argparse.Namespace) -> int:
    from csnn import output
    from csnn.run import report_run, run_simulation, validate_run
    from csnn.simulator.session import whole_steps
    from netgen.build import generate

    description = _description(options)
    for field in ("time_ms", "warmup_ms"):
        whole_steps("run", field, getattr(description.run, field), description.network.dt_ms)
    for neuron in description.run.record:
        if neuron >= description.network.size:
            rule = f"must be a neuron number below {description.network.size}"
            raise reject("run.record", neuron, rule)
    _warn(description)
    directory = output.prepare(options.out)
    image = generate(
        description,
        description.run.seed,
        directory / output.IMAGE_DIRECTORY,
        threads=description.run.threads,
    )
    result = run_simulation(
        image,
        description.run,
        directory,
        kind=options.simulator,
        checkpoint=options.checkpoint,
        timings={"generate_s": image.manifest["generate_s"]},
    )
    if not result["complete"] and result["last_step"] * result["dt_ms"] <= result["warmup_ms"]:
        _message("csnn: interrupted in the warm-up; nothing to report")
        return INTERRUPTED
    validation = validate_run(directory)
    path = report_run(directory, validation)
    result = output.read_result(directory)
    if not options.quiet and not options.json:
        for line in _result_lines(result):
            _message(line)
    if not result["complete"]:
        _message(f"csnn: interrupted: {directory} holds the run up to step {result['last_step']}")
    _emit(options, {**result, "report": str(path)}, [str(path)])
    if not result["complete"]:
        return INTERRUPTED
    return MISMATCH if validation.verdict and not validation.verdict.passed else OK


def _result_lines(result: dict[str, Any]) -> list[str]:
    rates = "  ".join(f"{name} {rate:.2f}" for name, rate in result["mean_rates_hz"].items())
    verdict = result.get("verdict")
    lines = [
        f"{result['network']}: {result['neurons']:,} neurons, {result['synapses']:,} synapses on "
        f"{result['nodes']} nodes, image {result['image']['bytes'] / 1e6:.1f} MB",
        f"rates in spikes/s: {rates}",
        f"wall time per model second {_number(result['rtf'])}, peak memory "
        f"{result['peak_mb']:.0f} MB",
    ]
    if verdict:
        failed = [
            f"{c['statistic']} {c['population']}" for c in verdict["cells"] if not c["passed"]
        ]
        lines.append(
            "compared with NEST: passed" if verdict["passed"]
            else f"compared with NEST: failed in {', '.join(failed) or 'the pooled tests'}"
        )  # fmt: skip
    if result.get("verdict_note"):
        lines.append(result["verdict_note"])
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _generate(options: argparse.Namespace) -> int:
    from netgen.build import generate

    description = _description(options)
    _warn(description)
    image = generate(
        description, description.run.seed, options.out, threads=description.run.threads
    )
    manifest = image.manifest
    explicit = manifest["explicit_bytes"] / max(image.node_bytes, 1)
    _emit(
        options,
        {"image": str(image.path), **manifest},
        [
            f"{image.path}: {image.n_neurons:,} neurons, {manifest['synapses']:,} synapses, "
            f"{image.n_nodes} nodes",
            f"{image.node_bytes / 1e6:.1f} MB in {manifest['generate_s']:.1f} s, "
            f"{explicit:.1f} times smaller than the synapses in explicit form",
        ],
    )
    return OK


def _simulate(options: argparse.Namespace) -> int:
    from csnn import output
    from csnn.image.store import NETWORK_FILE, open_image
    from csnn.run import run_simulation
    from csnn.simulator.recording import check_recorded

    image = open_image(options.image)
    settings = load(image.path / NETWORK_FILE).run
    given = _given(options, "time_ms", "warmup_ms", "threads")
    record = _integers("--record", options.record)
    if record is not None:
        given["record"] = record
    run = dataclasses.replace(settings, **given, seed=image.manifest["seed"])
    check_recorded(run.record, image.n_neurons)
    directory = output.prepare(options.out)
    result = run_simulation(
        image,
        run,
        directory,
        kind=options.simulator,
        resume=options.resume,
        checkpoint=options.checkpoint,
    )
    output.link_image(directory, image)
    if not result["complete"]:
        _message(
            f"csnn: interrupted after step {result['last_step']}; continue with "
            f"csnn simulate {options.image} --resume --out {options.out}"
        )
    lines = [str(directory / output.SPIKES)]
    if not options.quiet and not options.json:
        for line in _result_lines(result):
            _message(line)
    _emit(options, {**result, "spikes_file": lines[0]}, lines)
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
    _emit(options, content, _verdict_lines(validation))
    return MISMATCH if verdict and not verdict.passed else OK


def _verdict_lines(validation: Any) -> list[str]:
    verdict, lines = validation.verdict, []
    if verdict is None:
        lines.append(f"{'population':<12}{'spikes/s':>10}{'CV':>8}{'CC':>9}")
        for p in validation.statistics.populations:
            means = [
                p.sample(s).mean() if len(p.sample(s)) else math.nan for s in ("FR", "CV", "CC")
            ]
            lines.append(f"{p.name:<12}{means[0]:>10.3f}{means[1]:>8.3f}{means[2]:>9.4f}")
    else:
        lines.append("KS distance to NEST / threshold")
        lines.append(f"{'population':<12}{'FR':>18}{'CV':>18}{'CC':>18}")
        names = list(dict.fromkeys(cell.population for cell in verdict.cells))
        for name in names:
            cells = [verdict.cell(s, name) for s in ("FR", "CV", "CC")]
            row = "".join(
                f"{c.distance:>9.4f} /{c.threshold:.4f}{' ' if c.passed else '!'}" for c in cells
            )
            lines.append(f"{name:<12}{row}")
        lines.append("passed" if verdict.passed else "failed (cells marked !)")
    if validation.note:
        lines.append(validation.note)
    return lines


def _report(options: argparse.Namespace) -> int:
    from csnn.run import report_run

    path = report_run(Path(options.run))
    _emit(options, {"report": str(path)}, [str(path)])
    return OK


def _bench(options: argparse.Namespace) -> int:
    from csnn.bench import bench
    from netgen.build import generate

    description = _description(options)
    nest = None if options.no_nest else options.nest_time_ms
    with tempfile.TemporaryDirectory(prefix="csnn-bench-") as folder:
        figures = bench(
            description,
            description.run,
            lambda d, seed, path, threads: generate(d, seed, path, threads=threads),
            Path(folder) / "image",
            nest_time_ms=nest,
        )
    if not figures["complete"]:
        return INTERRUPTED
    rows = [
        ("generation, s", "generate_s", 1),
        ("image, MB", "image_mb", 1),
        ("wall s per model s", "rtf", 2),
        ("peak memory, MB", "peak_mb", 0),
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
    if other is None and nest is not None:
        lines.append("NEST is not installed: pip install 'csnn[nest]' adds its figures")
    _emit(options, figures, lines)
    return OK


def _show(options: argparse.Namespace) -> int:
    if options.network is None:
        content = {name: builtin.summary for name, builtin in BUILTINS.items()}
        _emit(options, content, [f"{name:<10}{text}" for name, text in content.items()])
        return OK
    description = _description(options)
    text = dumps(description)
    _emit(
        options,
        {**dataclasses.asdict(description), "toml": text}
        if _is_finite(description)
        else {"toml": text},
        [text.rstrip("\n")],
    )
    return OK


def _is_finite(description: Description) -> bool:
    """Return whether the description can be written as strict JSON."""
    try:
        json.dumps(dataclasses.asdict(description), allow_nan=False)
    except ValueError:
        return False
    return True


def _export_edges(options: argparse.Namespace) -> int:
    from csnn import edges as edge_files
    from csnn.image.store import open_image
    from netgen.export import export_edges

    image = open_image(options.image)
    edges = export_edges(
        image,
        nodes=_integers("--nodes", options.nodes),
        targets=options.targets.split(",") if options.targets else None,
        sources=options.sources.split(",") if options.sources else None,
    )
    edge_files.write(options.out, edges)
    content = {"edges": len(edges), "file": options.out}
    _emit(options, content, [f"{options.out}: {len(edges):,} edges"])
    return OK


if __name__ == "__main__":
    sys.exit(main())
