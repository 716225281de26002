"""How fast something is: bench, the simulator; perf, a machine; explore, machines to be."""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from csnn.cli.console import OK, answer, warn, wrap
from csnn.cli.options import (
    add_command,
    add_machine_options,
    add_scale_options,
    add_seed_and_threads,
    add_time_options,
)
from csnn.cli.settings import blamed, check_run, read_description, read_run
from csnn.explore.arguments import add_explore_options
from csnn.perf.arguments import add_perf_options
from csnn.spec import checks


def add_bench(commands: Any) -> None:
    """Add `csnn bench`."""
    bench = add_command(
        commands, "bench", _bench, "measure generation, speed and memory, beside NEST's",
        """
  csnn bench --json""",
    )  # fmt: skip
    bench.add_argument("network", nargs="?", default="pd14", metavar="NETWORK",
                       help="built-in network or TOML file (default pd14)")  # fmt: skip
    add_scale_options(bench)
    add_machine_options(bench)
    add_time_options(bench)
    add_seed_and_threads(bench)
    bench.add_argument("--nest-time-ms", type=float, default=100.0, metavar="MS",
                       help="model time for NEST (default 100; full scale takes minutes and "
                       "15 GB)")  # fmt: skip
    bench.add_argument("--no-nest", action="store_true", help="leave NEST out")


def _bench(options: argparse.Namespace) -> int:
    from csnn.bench import bench
    from csnn.simulator.session import require_simulator
    from netgen.build import generate

    description = read_description(options)
    run = read_run(options, description.run)
    if not options.no_nest:
        checks.positive("bench", "nest_time_ms", options.nest_time_ms)
    warn(description.network.notes)
    with blamed(options):
        check_run(run, description.network)
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
    answer(options, figures, lines)
    return OK


def add_perf(commands: Any) -> None:
    """Add `csnn perf`."""
    perf = add_command(
        commands, "perf", _perf, "model how fast a machine runs an image",
        """
  csnn perf out/image --run out/run --mesh 12,12,3 --out out/perf
  csnn perf out/image --topology tree --arity 6 --link-latency-ns 200""",
    )  # fmt: skip
    add_perf_options(perf)


def _perf(options: argparse.Namespace) -> int:
    from csnn.perf.command import run_perf

    content, lines = run_perf(options)
    answer(options, content, wrap(lines))
    return OK


def add_explore(commands: Any) -> None:
    """Add `csnn explore`."""
    explore = add_command(
        commands, "explore", _explore, "search for machines: devices, nodes, links; their speed",
        """
  csnn explore out/image --run out/run --out out/explore
  csnn explore out/image --device xcvu37p --most-devices 4""",
    )  # fmt: skip
    add_explore_options(explore)


def _explore(options: argparse.Namespace) -> int:
    from csnn.explore.command import run_explore

    content, lines = run_explore(options)
    answer(options, content, lines)
    return OK
