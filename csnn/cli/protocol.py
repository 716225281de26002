"""The options and the command `csnn validate --protocol`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnn.cli.console import INTERRUPTED, MISMATCH, OK, answer, say, warn
from csnn.errors import reject

if TYPE_CHECKING:
    from csnn.protocol.reference import Reference
    from csnn.protocol.settings import Settings

PROTOCOLS, VARIANTS = ("pd14",), ("senk2026", "paper")
# Attributes of the options below, which mean nothing without --protocol.
_OWN = (
    "seeds",
    "time_ms",
    "warmup_ms",
    "variant",
    "scale",
    "nest",
    "threads",
    "keep_images",
    "out",
)


def add_protocol_options(parser: Any) -> None:
    """Add what `csnn validate --protocol` takes."""
    group = parser.add_argument_group(
        "protocol", "generate, simulate and judge several seeds of the full-scale microcircuit"
    )
    group.add_argument("--protocol", choices=PROTOCOLS, help="the benchmark of that network")
    group.add_argument("--seeds", metavar="LIST", help="a number of seeds, or which ones, such as "
                       "1,2,3 or 4-6 (default 10)")  # fmt: skip
    group.add_argument("--time-ms", type=float, metavar="MS",
                       help="model time of each seed (default 900000)")  # fmt: skip
    group.add_argument("--warmup-ms", type=float, metavar="MS", help="model time before it that "
                       "is discarded (default 500; paper: 1000)")  # fmt: skip
    group.add_argument("--variant", choices=VARIANTS, help="senk2026 (default): correlations of "
                       "250 neurons; paper: of all pairs (needs --nest)")  # fmt: skip
    group.add_argument("--scale", type=float, metavar="X", help="must be 1")
    group.add_argument("--nest", nargs="+", metavar="PATH", help="NEST recordings (.npz) or "
                       "folders of them (default: the baseline of the package)")  # fmt: skip
    group.add_argument("--threads", type=int, metavar="N", help="threads (default 2)")
    group.add_argument("--keep-images", action="store_true",
                       help="keep the images of finished seeds")  # fmt: skip
    group.add_argument("--out", metavar="DIR",
                       help="output directory; the same command continues in it")  # fmt: skip


def check_usage(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a usage error unless there is a run to judge or a protocol, and what it needs."""
    if options.protocol is None:
        if options.run is None:
            parser.error("the following arguments are required: DIR or --protocol")
        given = [name for name in _OWN if getattr(options, name) not in (None, False)]
        if given:
            parser.error(f"--{given[0].replace('_', '-')} needs --protocol")
    elif options.run is not None:
        parser.error("DIR and --protocol exclude each other")
    elif options.out is None:
        parser.error("--protocol needs --out")


def run(options: argparse.Namespace) -> int:
    """Run the protocol; print the table of distances and the verdict."""
    from csnn.protocol.command import run_protocol
    from csnn.protocol.seeds import Unfinished
    from csnn.protocol.settings import Settings, parse_seeds
    from csnn.protocol.table import lines
    from csnn.simulator.session import require_simulator
    from csnn.spec.description import Description
    from csnn.spec.pd14 import pd14
    from netgen.build import generate

    if options.scale not in (None, 1.0):
        raise reject("--scale", options.scale, "must be 1: NEST is compared with at full scale")
    given = {
        name: getattr(options, name)
        for name in ("time_ms", "warmup_ms", "variant", "threads")
        if getattr(options, name) is not None
    }
    settings = Settings(seeds=parse_seeds(options.seeds), **given)
    require_simulator("fast")
    try:
        outcome = run_protocol(
            settings,
            options.out,
            Description(network=pd14()),
            lambda cache: _reference(options, settings, cache),
            generate,
            keep_images=options.keep_images,
            command=options.command_line,
            tell=lambda line: None if options.quiet else say(line),
            warn=warn,
        )
    except Unfinished:
        say("csnn: interrupted; the same command continues")
        return INTERRUPTED
    report = str(outcome.report)
    said = [*lines(outcome.verdict, outcome.content["course"]), report]
    answer(options, {**outcome.content, "report": report}, said)
    return OK if outcome.verdict.passed else MISMATCH


def _reference(options: argparse.Namespace, settings: Settings, cache: Path) -> Reference:
    from csnn.protocol.nest import find_recordings, read_recordings
    from csnn.protocol.reference import recorded_reference, shipped_reference

    if options.nest is None:
        return shipped_reference(settings)
    paths = find_recordings([Path(path) for path in options.nest])
    return recorded_reference(read_recordings(paths), settings, cache=cache)
