"""The commands about the speed of machines: perf."""

from __future__ import annotations

import argparse
from typing import Any

from csnn.cli.console import OK, emit, wrap
from csnn.cli.options import add_command
from csnn.perf.arguments import add_perf_options


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
    emit(options, content, wrap(lines))
    return OK
