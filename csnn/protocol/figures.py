"""The figures of a protocol: distributions of candidates and NEST, distances of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csnn.drawing import BAND, EXCITATORY, GREY, INHIBITORY, INK, new_figure
from csnn.protocol.distances import Distances
from csnn.protocol.distribution import Distribution
from csnn.protocol.reference import Reference
from csnn.protocol.samples import Samples
from csnn.protocol.verdict import ProtocolVerdict
from csnn.report.figures import LABELS, SHOWN, bin_edges, population_colour, tidy
from csnn.validation.baseline import RESOLUTION
from csnn.validation.statistics import F64, STATISTICS


def distributions(candidates: Sequence[Samples], reference: Reference) -> Figure:
    """Draw the densities of every candidate (lines) over the range of NEST's windows (band)."""
    names = [name for name, _ in reference.baseline.populations]
    figure = new_figure(9.0, 0.7 + 1.25 * len(names))
    grid = np.asarray(figure.subplots(len(names), 3, squeeze=False))
    for row, name in enumerate(names):
        for column, statistic in enumerate(STATISTICS):
            axes: Axes = grid[row, column]
            _densities(
                axes,
                [c[statistic, name] for c in candidates],
                [w[statistic, name] for w in reference.windows],
                statistic,
                reference.duration_ms,
                population_colour(name),
            )
            tidy(axes)
            axes.set_yticks([])
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.spines["left"].set_visible(False)
            if column == 0:
                axes.set_ylabel(
                    name, rotation=0, ha="right", va="center", fontsize=11,
                    color=population_colour(name), fontweight="bold",
                )  # fmt: skip
            if row == 0:
                axes.set_title(statistic, fontsize=11, fontweight="bold", color=INK)
            if row == len(names) - 1:
                axes.set_xlabel(LABELS[statistic])
    return figure


def _densities(
    axes: Axes,
    candidates: Sequence[Distribution],
    nest: Sequence[Distribution],
    statistic: str,
    duration_ms: float,
    colour: str,
) -> None:
    unit = RESOLUTION[statistic]
    shown = [d for d in (*candidates, *nest) if d.size]
    if not shown:
        axes.text(0.5, 0.5, "too few spikes", ha="center", transform=axes.transAxes, color=GREY)
        return
    bounds = [[quantile(d, q) * unit for q in SHOWN[statistic]] for d in shown]
    low, high = np.min([b[0] for b in bounds]), np.max([b[1] for b in bounds])
    edges = bin_edges(float(low), float(high), statistic, duration_ms)
    bands = [_density(d, edges, unit) for d in nest]
    bottom, top = np.min(bands, axis=0), np.max(bands, axis=0)
    axes.stairs(top, edges, baseline=bottom, fill=True, color=BAND)
    axes.stairs(np.mean(bands, axis=0), edges, color=GREY, linewidth=1.0)
    for sample in candidates:
        axes.stairs(_density(sample, edges, unit), edges, color=colour, linewidth=0.9, alpha=0.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)


def quantile(sample: Distribution, share: float) -> int:
    """Return the smallest value that at least `share` of a sample, not empty, is at or below."""
    at = np.searchsorted(np.cumsum(sample.counts), share * sample.size)
    return int(sample.values[min(int(at), sample.values.size - 1)])


def _density(sample: Distribution, edges: F64, unit: float) -> F64:
    counts = np.histogram(sample.values * unit, edges, weights=sample.counts)[0]
    return np.asarray(counts / max(sample.size, 1), np.float64)


def distance_overview(verdict: ProtocolVerdict, distances: Distances) -> Figure:
    """Draw each candidate's distance to NEST and those of NEST to itself, with the threshold."""
    names = list(dict.fromkeys(cell.population for cell in verdict.cells))
    each = distances.to_nest.mean(axis=3)
    figure = new_figure(9.0, 1.3 + 0.36 * len(names))
    grid = np.asarray(figure.subplots(1, 3, sharey=True, squeeze=False))[0]
    for s, (axes, statistic) in enumerate(zip(grid, STATISTICS, strict=True)):
        for row in range(len(names)):
            cell = verdict.cells[s * len(names) + row]
            colour = EXCITATORY if cell.passed else INHIBITORY
            axes.plot([cell.nest.low, cell.nest.high], [row, row], color=BAND, linewidth=7,
                      solid_capstyle="butt")  # fmt: skip
            axes.plot(cell.nest.mean, row, marker="|", markersize=9, color=GREY, linestyle="none")
            axes.plot(cell.threshold, row, marker="|", markersize=13, color=INK, markeredgewidth=2,
                      linestyle="none")  # fmt: skip
            axes.plot(each[s, row], np.full(each.shape[2], row), linestyle="none", marker="o",
                      markersize=4.5, color=colour, alpha=0.6, markeredgewidth=0)  # fmt: skip
            axes.plot(cell.to_nest.mean, row, marker="D" if cell.passed else "X", markersize=6,
                      color=colour, markeredgecolor="white", linestyle="none")  # fmt: skip
            if cell.among is not None:
                axes.plot([cell.among.low, cell.among.high], [row + 0.28] * 2, color=colour,
                          linewidth=1.2)  # fmt: skip
        axes.set_title(statistic, fontsize=11, fontweight="bold", color=INK)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("KS distance")
        tidy(axes)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].invert_yaxis()
    return figure


def course(content: Mapping[str, Any]) -> Figure:
    """Draw the rows "all" of the windows of every run over its time; `course.summary` tells them.

    Grey band: NEST's own windows; black line: limit; crosses: windows that fail in any test.
    """
    figure = new_figure(9.0, 4.6)
    grid = np.asarray(figure.subplots(len(STATISTICS), 1, sharex=True, squeeze=False))[:, 0]
    width = content["window_ms"] / 1000
    end = width
    for axes, statistic in zip(grid, STATISTICS, strict=True):
        axes.axhspan(*content["nest"][statistic], color=BAND, linewidth=0)
        axes.axhline(content["limit"][statistic], color=INK, linewidth=1.2)
        for seed in content["seeds"]:
            ratio = np.array(seed["ratio"][statistic])
            middle = width * (np.arange(ratio.size) + 0.5)
            end = max(end, width * ratio.size)
            axes.plot(middle, ratio, color=EXCITATORY, linewidth=0.8, alpha=0.6)
            failed = np.array([bool(tests) for tests in seed["failures"]])
            for mask, mark, colour in ((~failed, "o", EXCITATORY), (failed, "X", INHIBITORY)):
                axes.plot(middle[mask], ratio[mask], mark, markersize=4, color=colour,
                          markeredgewidth=0)  # fmt: skip
        axes.set_ylabel(
            statistic, fontsize=11, fontweight="bold", color=INK, rotation=0, ha="right",
            va="center",
        )  # fmt: skip
        axes.set_ylim(bottom=0)
        tidy(axes)
    grid[-1].set_xlim(0, end)
    grid[-1].set_xlabel("model time after the warm-up (s)")
    return figure
