"""The commands that simulate and judge: run, simulate, validate, report."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnn.cli import protocol
from csnn.cli.console import (
    INTERRUPTED,
    MISMATCH,
    OK,
    answer,
    format_number,
    format_size,
    say,
    warn,
    wrap,
)
from csnn.cli.options import (
    add_command,
    add_machine_options,
    add_mpi_option,
    add_network_options,
    add_seed_and_threads,
    add_simulation_options,
    add_time_options,
)
from csnn.cli.settings import blamed, check_run, read_description, read_run
from csnn.errors import InvalidInputError
from csnn.spec.toml import load

if TYPE_CHECKING:
    from csnn.image.store import Image
    from csnn.run import Validation
    from csnn.spec.description import Description
    from csnn.spec.machine import Run
    from csnn.validation.statistics import Statistics


def add_run(commands: Any) -> None:
    """Add `csnn run`."""
    run = add_command(
        commands, "run", _run,
        "generate, simulate, validate and report in one go",
        """
  csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 \\
      --threads 2 --out out/pd14
  csnn run pd14 --time-ms 60000 --checkpoint-every 1000 --out out/long
  csnn run pd14 --time-ms 60000 --checkpoint-every 1000 --out out/long \\
      --resume""",
    )  # fmt: skip
    add_network_options(run)
    add_machine_options(run)
    add_time_options(run)
    add_seed_and_threads(run)
    add_simulation_options(run)
    add_mpi_option(run)
    run.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _run(options: argparse.Namespace) -> int:
    from csnn import journal, output
    from csnn.run import report_run, run_simulation
    from csnn.simulator.session import require_simulator

    description = read_description(options)
    run = read_run(options, description.run)
    with blamed(options):
        check_run(run, description.network)
    require_simulator(options.simulator, divided=options.mpi)
    every_ms = options.checkpoint_every
    if every_ms is not None:
        journal.period_steps(every_ms, description.network.dt_ms)
    with output.prepared(options.out) as directory:
        if not options.resume:
            journal.require_none(directory)
        # The journal first: one that is refused is so before an image is made.
        elif not journal.is_there(directory) and every_ms is None:
            output.read_result(directory)
        image = _own_image(options, description, run, directory)
        warn(image.manifest["notes"])
        result = run_simulation(
            image,
            run,
            directory,
            kind=options.simulator,
            resume=options.resume,
            checkpoint=options.checkpoint,
            checkpoint_every_ms=every_ms,
            timings={"generate_s": image.manifest["generate_s"]},
            command=options.command_line,
            warn=warn,
            team=options.team,
        )
        report = None
        if result["last_step"] * result["dt_ms"] > result["warmup_ms"]:
            report = str(report_run(directory))
            result = output.read_result(directory)
    _conclude(options, result, image.path)
    answer(options, {**result, "report": report}, [report] if report else [])
    if not result["complete"]:
        return INTERRUPTED
    verdict = result["verdict"]
    return MISMATCH if verdict and not verdict["passed"] else OK


def _own_image(
    options: argparse.Namespace, description: Description, run: Run, directory: Path
) -> Image:
    """Generate the image of a run, or take the one that the run to be resumed has made."""
    from csnn import output
    from csnn.image.origin import is_image_of
    from netgen.build import generate

    path = directory / output.IMAGE_DIRECTORY
    if options.resume and path.exists():
        try:
            image = _opened(options, path)
        except InvalidInputError as error:
            warn([f"{error}; the image is generated anew"])
        else:
            if is_image_of(image, description, run.seed):
                return image
            raise InvalidInputError(
                f"{path}: is of another network, machine or seed: what began a run resumes it"
            )
    with output.own_image(directory) as path, blamed(options):
        return generate(description, run.seed, path, threads=run.threads, crew=options.team)


def _opened(options: argparse.Namespace, path: str | Path) -> Image:
    """Open and check an image; ranks do so with the files of their own nodes each."""
    from csnn.image.store import open_image
    from csnn.simulator.division import open_divided

    return open_image(path) if options.team is None else open_divided(path, options.team)


def add_simulate(commands: Any) -> None:
    """Add `csnn simulate`."""
    simulate = add_command(
        commands, "simulate", _simulate, "simulate an image",
        """
  csnn simulate out/image --time-ms 1000 --warmup-ms 500 \\
      --record 0,77168 --checkpoint --out out/run
  csnn simulate out/image --time-ms 2000 --resume --out out/run""",
    )  # fmt: skip
    simulate.add_argument("image", metavar="IMAGE", help="image directory")
    add_time_options(simulate)
    add_seed_and_threads(simulate, seed=False)
    add_simulation_options(simulate)
    add_mpi_option(simulate)
    simulate.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _simulate(options: argparse.Namespace) -> int:
    from csnn import journal, output
    from csnn.image.store import NETWORK_FILE
    from csnn.run import run_simulation
    from csnn.simulator.recording import check_recorded
    from csnn.simulator.session import require_simulator, run_steps

    require_simulator(options.simulator, divided=options.mpi)
    image = _opened(options, options.image)
    settings = load(image.path / NETWORK_FILE).run
    every_ms = options.checkpoint_every
    if every_ms is not None:
        journal.period_steps(every_ms, image.dt_ms)
    out = Path(options.out)
    if options.resume:
        # What is not given stays as it was.
        earlier = journal.last_settings(out, image)
        begun = every_ms is not None or journal.is_there(out)
        if earlier is None and (not begun or (out / output.RESULT).exists()):
            earlier = output.read_result(out)
        if earlier is not None:
            kept = {name: earlier[name] for name in ("time_ms", "warmup_ms", "threads")}
            settings = dataclasses.replace(settings, **kept, record=tuple(earlier["record"]))
    run = dataclasses.replace(read_run(options, settings), seed=image.manifest["seed"])
    check_recorded(run.record, image.n_neurons)
    run_steps(run.time_ms, run.warmup_ms, image.dt_ms)
    with output.prepared(options.out) as directory:
        result = run_simulation(
            image,
            run,
            directory,
            kind=options.simulator,
            resume=options.resume,
            checkpoint=options.checkpoint,
            checkpoint_every_ms=every_ms,
            command=options.command_line,
            warn=warn,
            team=options.team,
        )
    _conclude(options, result, options.image)
    spikes = str(directory / output.SPIKES)
    answer(options, {**result, "spikes_file": spikes}, [spikes])
    return OK if result["complete"] else INTERRUPTED


def _conclude(options: argparse.Namespace, result: dict[str, Any], image: Any) -> None:
    """Say on stderr how a run went."""
    warn(result["warnings"])
    if not options.quiet and not options.json:
        for line in _result_lines(result):
            say(line)
    if not result["complete"]:
        command = ["csnn", "simulate", str(image), "--resume", "--out", options.out]
        if options.team is not None:
            command = ["mpiexec", "-n", str(options.team.size), *command, "--mpi"]
        say(
            f"csnn: interrupted after step {result['last_step']}; continue with "
            f"{shlex.join(command)}"
        )


def _result_lines(result: dict[str, Any]) -> list[str]:
    rates = "  ".join(f"{name}\xa0{rate:.2f}" for name, rate in result["mean_rates_hz"].items())
    verdict = result.get("verdict")
    lines = [
        f"{result['network']}: {result['neurons']:,} neurons, {result['synapses']:,} synapses on "
        f"{result['nodes']} nodes, image {format_size(result['image']['bytes'])}",
        f"rates in spikes/s: {rates}",
        f"wall time per model second {format_number(result['rtf'])}, peak memory "
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
    return wrap(lines)


def add_validate(commands: Any) -> None:
    """Add `csnn validate`."""
    validate = add_command(
        commands, "validate", _validate, "judge the spikes of a run, or a protocol, against NEST",
        """
  csnn validate out/run --json
  csnn validate --protocol pd14 --seeds 3 --time-ms 10000 --out out/bench""",
    )  # fmt: skip
    validate.add_argument("run", nargs="?", metavar="DIR", help="output directory of a run")
    protocol.add_protocol_options(validate)
    validate.set_defaults(parser=validate)


def _validate(options: argparse.Namespace) -> int:
    from csnn.run import validate_run

    protocol.check_usage(options.parser, options)
    if options.protocol is not None:
        return protocol.run(options)

    validation = validate_run(Path(options.run))
    verdict = validation.verdict
    content = {
        "verdict": verdict.to_dict() if verdict else None,
        "note": validation.note,
        "statistics": validation.statistics.to_dict(),
    }
    answer(options, content, _validation_lines(validation))
    return MISMATCH if verdict and not verdict.passed else OK


def _validation_lines(validation: Validation) -> list[str]:
    """Return the verdict, or means of the statistics where there is none."""
    if validation.verdict is not None:
        lines = [line.replace(" of ", "\xa0of\xa0") for line in validation.verdict.lines()]
        lines = wrap(lines)
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


def add_report(commands: Any) -> None:
    """Add `csnn report`."""
    report = add_command(
        commands, "report", _report, "write the HTML report of a run",
        """
  csnn report out/run""",
    )  # fmt: skip
    report.add_argument("run", metavar="DIR", help="output directory of a run")


def _report(options: argparse.Namespace) -> int:
    from csnn import output
    from csnn.directory_lock import locked
    from csnn.run import report_run

    output.check(Path(options.run))
    with locked(Path(options.run)):
        path = report_run(Path(options.run))
    answer(options, {"report": str(path)}, [str(path)])
    return OK
