"""The figures of a protocol: distributions of candidates and NEST, distances of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csnn.drawing import (
    BAND,
    EXCITATORY,
    GREY,
    INHIBITORY,
    INK,
    new_figure,
    population_colour,
    tidy,
)
from csnn.protocol.distances import Distances
from csnn.protocol.distribution import Distribution
from csnn.protocol.reference import Reference
from csnn.protocol.samples import Samples
from csnn.protocol.verdict import ProtocolVerdict
from csnn.report.panels import (
    SHOWN,
    bin_edges,
    density_panels,
    distance_panels,
    draw_densities,
    draw_nothing,
)
from csnn.validation.baseline import RESOLUTION
from csnn.validation.statistics import F64, STATISTICS


def distributions(candidates: Sequence[Samples], reference: Reference) -> Figure:
    """Draw the densities of every candidate (lines) over the range of NEST's windows (band)."""
    names = [name for name, _ in reference.baseline.populations]

    def draw(axes: Axes, row: int, statistic: str) -> None:
        key = (statistic, names[row])
        _densities(
            axes,
            [candidate[key] for candidate in candidates],
            [window[key] for window in reference.windows],
            statistic,
            reference.duration_ms,
            population_colour(names[row]),
        )

    return density_panels(names, draw)


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
        draw_nothing(axes)
        return
    bounds = [[quantile(d, q) * unit for q in SHOWN[statistic]] for d in shown]
    low, high = np.min([b[0] for b in bounds]), np.max([b[1] for b in bounds])
    edges = bin_edges(float(low), float(high), statistic, duration_ms)
    bands = [_density(d, edges, unit) for d in nest]
    own = [_density(d, edges, unit) for d in candidates]
    draw_densities(axes, edges, bands, own, colour=colour, linewidth=0.9, alpha=0.8)


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

    def draw(axes: Axes, row: int, statistic: str) -> None:
        s = STATISTICS.index(statistic)
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

    return distance_panels(names, 1.3 + 0.36 * len(names), draw)


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
