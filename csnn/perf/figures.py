"""Figures of the performance of a machine, after the paper's Figures 6 and 8C: ours, of the model.

Reference: Heittmann et al. (2022), Figures 6A to 6E and 8C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csnn.drawing import (
    BLUE,
    EXCITATORY,
    GREEN,
    GREY,
    INHIBITORY,
    INK,
    PURPLE,
    SKY,
    VERMILION,
    new_axes,
)
from csnn.perf.experiments import Echo
from csnn.perf.model import Timing
from csnn.perf.statistics import PARTS, Summary, nodes_reached, step_parts
from csnn.perf.workload import Workload

I64 = npt.NDArray[np.int64]
OURS = "our machine, performance model"
_COLOURS = dict(zip(PARTS, (BLUE, VERMILION, GREEN, SKY, PURPLE), strict=True))


def _figure(width: float = 5.6, height: float = 3.6) -> tuple[Figure, Axes]:
    return new_axes(width, height)


def _label(axes: Axes, after: str, x: str, y: str) -> None:
    axes.set_title(f"after Figure {after}: {OURS}" if after else OURS, fontsize=9, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _whole_numbers() -> MaxNLocator:
    return MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True)


def _totals(axes: Axes, values: npt.NDArray[np.float64]) -> None:
    """Write the length of each bar behind it."""
    for row, value in enumerate(values):
        axes.annotate(f"{value:,.0f}", (value, row), xytext=(4, 0), textcoords="offset points",
                      fontsize=8, va="center", color=INK)  # fmt: skip
    axes.margins(x=0.1)


def _counts(values: I64, after: str, x: str, y: str, *, log: bool = False) -> Figure:
    """Draw how often each number occurs."""
    figure, axes = _figure()
    share = np.bincount(values.ravel()) / values.size
    axes.bar(np.arange(len(share)), share, width=1.0, color=EXCITATORY)
    if log:
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(_whole_numbers())
    _label(axes, after, x, y)
    return figure


def spikes_per_step(workload: Workload) -> Figure:
    """Draw the distribution of the spikes in a step (6A)."""
    totals = workload.counts.sum(axis=1)
    return _counts(totals, "6A", "spikes in a step", "share of steps")


def spikes_per_node(workload: Workload) -> Figure:
    """Draw the distribution of the spikes of a node in a step (6B)."""
    label = "share of steps and nodes"
    return _counts(workload.counts, "6B", "spikes of a node in a step", label, log=True)


def echo_latency(echoes: Sequence[Echo]) -> Figure:
    """Draw the round trip of barrier and sync message against the number of nodes (6C)."""
    figure, axes = _figure()
    nodes = [echo.nodes for echo in echoes]
    axes.plot(nodes, [echo.mean_us for echo in echoes], marker="o", color=EXCITATORY, label="mean")
    # Rings, which are seen also where the longest is hardly longer than the mean.
    axes.plot(nodes, [echo.most_us for echo in echoes], ls="", marker="o", markersize=11,
              fillstyle="none", color=INHIBITORY, label="longest")  # fmt: skip
    hops = 0
    for echo in echoes:
        if echo.hops != hops:
            hops = echo.hops
            axes.annotate(
                f"{hops}", (echo.nodes, echo.mean_us), xytext=(0, -15), color=INK,
                textcoords="offset points", fontsize=8, ha="center",
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    _label(
        axes,
        "6C",
        "nodes (below the line: hops to the farthest)",
        "round trip (µs)",
    )
    return figure


def step_cycles(timing: Timing) -> Figure:
    """Draw the distribution of cycles per step (6D)."""
    figure, axes = _figure()
    cycles = timing.cycles()
    weights = np.full(len(cycles), 1 / len(cycles))
    axes.hist(cycles, bins=80, weights=weights, color=EXCITATORY)
    # Of the steps far above the mean there are few.
    axes.set_yscale("log")
    axes.axvline(float(cycles.mean()), color=INHIBITORY, label=f"mean {cycles.mean():,.0f}")
    axes.axvline(float(cycles.max()), color=GREY, ls=":", label=f"longest {cycles.max():,.0f}")
    axes.legend(frameon=False, fontsize=8)
    _label(axes, "6D", f"cycles in a step ({timing.app_mhz:g} MHz)", "share of steps")
    return figure


def unroll_cycles(workload: Workload) -> Figure:
    """Draw the distribution of the cycles in which a node unrolls rows in a step (6E)."""
    figure, axes = _figure()
    cycles = workload.unroll_cycles()
    longest = cycles.max(axis=1)
    # The same bins, lest shares of one mean other widths than those of the other.
    bins = np.linspace(0, max(1, cycles.max()), 81).tolist()
    for values, colour, name in (
        (cycles.ravel(), EXCITATORY, "all nodes (share of nodes and steps)"),
        (longest, INHIBITORY, "busiest node (share of steps)"),
    ):
        weights = np.full(values.size, 1 / values.size)
        axes.hist(values, bins=bins, weights=weights, histtype="step", color=colour, label=name)
    axes.legend(frameon=False, fontsize=8)
    _label(axes, "6E", "cycles to unroll the rows of a step", "share")
    return figure


def breakdown(silent: Timing, timing: Timing) -> Figure:
    """Draw the parts of a step: synchronisation only, average, longest (8C)."""
    figure, axes = _figure(6.4, 3.6)
    cycles = timing.cycles()
    parts, quiet = step_parts(timing), step_parts(silent)
    bars: Mapping[str, Mapping[str, float]] = {
        "no spikes": {name: float(values.mean()) for name, values in quiet.items()},
        "average": {name: float(values.mean()) for name, values in parts.items()},
        "longest": {name: float(values[cycles.argmax()]) for name, values in parts.items()},
    }
    start = np.zeros(len(bars))
    for name, meaning in PARTS.items():
        widths = np.array([bar[name] for bar in bars.values()])
        axes.barh(list(bars), widths, left=start, color=_COLOURS[name], label=meaning)
        start += widths
    _totals(axes, start)
    axes.invert_yaxis()
    figure.legend(frameon=False, fontsize=7, loc="outside lower center", ncols=3)
    _label(axes, "8C", f"cycles in a step ({timing.app_mhz:g} MHz)", "")
    return figure


def fixed_clock(summary: Summary) -> Figure:
    """Draw a machine with barriers beside one that gives every step the longest one's time."""
    figure, axes = _figure(5.6, 2.4)
    cycles = np.array([summary.mean, summary.most])
    axes.barh(["barrier", "fixed clock"], cycles, color=[EXCITATORY, GREY])
    _totals(axes, cycles)
    axes.invert_yaxis()
    ratio, mhz = summary.most / summary.mean, summary.mean / summary.mean_us
    _label(axes, "", f"cycles in a step ({mhz:g} MHz); with barriers {ratio:.2f} times faster", "")
    return figure


def locality(workload: Workload) -> Figure:
    """Draw in how many nodes a spike has at least one target."""
    figure, axes = _figure()
    reached, nodes = nodes_reached(workload.lengths, workload.source), workload.nodes
    label = f"nodes with a target of the spike, of {nodes}"
    if len(reached):
        # Every bin holds as many whole numbers as any other.
        width = 1 + nodes // 100
        bins = (np.arange(0, nodes + width + 1, width) - 0.5).tolist()
        weights = np.full(len(reached), 1 / len(reached))
        axes.hist(reached, bins=bins, weights=weights, color=EXCITATORY)
        axes.axvline(float(reached.mean()), color=INHIBITORY)
        label += f" (line: mean {reached.mean():.0f})"
    axes.set_xlim(-0.5, nodes + 0.5)
    axes.xaxis.set_major_locator(_whole_numbers())
    _label(axes, "", label, "share of spikes")
    return figure
