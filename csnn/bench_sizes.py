"""Cost of a network against its size and the number of threads: `csnn bench` for each, and a table.

    python -m csnn.bench_sizes --out sizes.json --figure sizes.svg

Every measurement is a process of its own, so that none profits from another's memory or compiled
code; the first one of all, which compiles, is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from csnn.drawing import BLUE, GREY, VERMILION, new_figure, write_svg
from csnn.errors import CsnnError, InvalidInputError, ToolFailedError
from csnn.files import atomic_file
from csnn.spec import checks

# Neurons against those of one microcircuit. Parts of one keep its in-degrees; several are columns.
SIZES = ("0.1", "0.2", "0.5", "1", "2", "3", "4")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one network costs with one number of threads.

    Attributes
    ----------
    size : str
        Neurons against those of one microcircuit.
    threads : int
    neurons, synapses : int
    generate_s, load_s : float
        Wall time to generate and to load the image.
    rtf : float
        Wall seconds per model second.
    events_per_s : float
        Synaptic events per second of wall time.
    image_mb, peak_mb : float
        Node files and resident memory, 10^6 bytes.
    """

    size: str
    threads: int
    neurons: int
    synapses: int
    generate_s: float
    load_s: float
    rtf: float
    events_per_s: float
    image_mb: float
    peak_mb: float

    @property
    def ns_per_synapse(self) -> float:
        """Wall time per synapse and model second, in ns."""
        return 1e9 * self.rtf / self.synapses

    @property
    def ns_per_event(self) -> float:
        """Wall time per synaptic event, in ns."""
        return 1e9 / self.events_per_s

    @property
    def bytes_per_synapse(self) -> float:
        """Resident memory per synapse."""
        return 1e6 * self.peak_mb / self.synapses


def arguments_of(size: str) -> list[str]:
    """Return the network of a size as arguments of `csnn bench`.

    Raises
    ------
    InvalidInputError
        If it is neither a part of a microcircuit nor a whole number of them.
    """
    try:
        number = float(size)
    except ValueError:
        number = 0.0
    if 0 < number <= 1:
        return ["pd14", "--n-scale", size]
    if number.is_integer() and 2 <= number <= 256:
        return ["columns", "--columns", str(int(number))]
    raise InvalidInputError(f"size {size}: must be from 0 to 1, or a whole number up to 256")


def measure(size: str, threads: int, *, time_ms: float, warmup_ms: float) -> Cost:
    """Run `csnn bench` in a process of its own.

    Raises
    ------
    ToolFailedError
        If it fails.
    """
    command = [
        sys.executable, "-m", "csnn.cli", "bench", *arguments_of(size), "--no-nest", "--json",
        "--quiet", "--threads", str(threads),
        "--time-ms", f"{time_ms:g}", "--warmup-ms", f"{warmup_ms:g}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailedError(f"csnn bench of size {size} failed: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    fields = Cost.__dataclass_fields__
    return Cost(size=size, **{name: found[name] for name in fields if name != "size"})


def table(costs: Sequence[Cost]) -> list[str]:
    """Return the costs as a Markdown table."""
    head = (
        "size", "threads", "neurons", "synapses", "generate s", "load s", "wall s per model s",
        "ns per synapse and model s", "ns per event", "bytes per synapse", "peak MB", "image MB",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for c in costs:
        cells = (
            c.size, str(c.threads), f"{c.neurons:,}", f"{c.synapses:,}", f"{c.generate_s:.1f}",
            f"{c.load_s:.1f}", f"{c.rtf:.2f}", f"{c.ns_per_synapse:.2f}", f"{c.ns_per_event:.2f}",
            f"{c.bytes_per_synapse:.2f}", f"{c.peak_mb:,.0f}", f"{c.image_mb:,.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(costs: Sequence[Cost]) -> Figure:
    """Draw time per model second, time per event and memory per synapse against synapses."""
    panels: tuple[tuple[str, str, Callable[[Cost], float]], ...] = (
        ("wall seconds per model second", "log", lambda c: c.rtf),
        ("ns per synaptic event", "linear", lambda c: c.ns_per_event),
        ("bytes of memory per synapse", "linear", lambda c: c.bytes_per_synapse),
    )
    figure = new_figure(10, 3.2)
    threads = sorted({c.threads for c in costs})
    colours = dict(zip(threads, (BLUE, VERMILION, GREY), strict=False))
    for axes, (title, scale, value) in zip(figure.subplots(1, 3), panels, strict=True):
        for count in threads:
            part = [c for c in costs if c.threads == count]
            axes.plot(
                [c.synapses for c in part], [value(c) for c in part], marker="o", ms=4, lw=1.2,
                color=colours.get(count, GREY), label=f"{count} thread{'s' * (count > 1)}",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale(scale)
        if scale == "linear":
            axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("synapses", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, lw=0.3, color=GREY, alpha=0.4, which="both")
        axes.tick_params(labelsize=8, which="both")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write what was measured and the figure."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.bench_sizes", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="X",
                        help=f"against one microcircuit (default {' '.join(SIZES)})")  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--time-ms", type=float, default=1000.0, metavar="MS")
    parser.add_argument("--warmup-ms", type=float, default=500.0, metavar="MS")
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="rounds over all of them; the fastest is kept")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--figure", type=Path, metavar="FILE.svg")
    given = parser.parse_args(arguments)
    checks.integer("bench_sizes", "repeat", given.repeat, 1, 1000)
    points = [(size, threads) for size in given.sizes for threads in given.threads]
    for size, _ in points:
        arguments_of(size)
    measure(given.sizes[0], given.threads[0], time_ms=1.0, warmup_ms=0.0)
    best: dict[tuple[str, int], Cost] = {}
    # Rounds, not repetitions in a row: a slow minute of the machine then meets different points.
    for _ in range(given.repeat):
        for point in points:
            cost = measure(*point, time_ms=given.time_ms, warmup_ms=given.warmup_ms)
            print(f"{point[0]} x, {point[1]} threads: {cost.rtf:.2f}", file=sys.stderr, flush=True)
            if point not in best or cost.rtf < best[point].rtf:
                best[point] = cost
    costs = [best[point] for point in points]
    print("\n".join(table(costs)))
    if given.out:
        content = {
            "time_ms": given.time_ms,
            "warmup_ms": given.warmup_ms,
            "repeat": given.repeat,
            "processors": os.cpu_count(),
            "costs": [vars(cost) for cost in costs],
        }
        with atomic_file(given.out) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if given.figure:
        with rc_context({"svg.hashsalt": "sizes"}), atomic_file(given.figure) as path:
            write_svg(draw(costs), path)


if __name__ == "__main__":
    try:
        main()
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
