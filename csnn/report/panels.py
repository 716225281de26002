"""The axes of figures of the three statistics: panels, scales, bins, and the range of NEST."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from csnn.drawing import BAND, GREY, INK, new_figure, population_colour, tidy
from csnn.validation.statistics import F64, STATISTICS

# Few pairs correlate strongly; with all of them the bulk would be two bins wide. Pairs of rare
# spikers are nearly all negative: zero and as much on its other side still belong to the view.
SHOWN = {"FR": (0.002, 0.998), "CV": (0.002, 0.998), "CC": (0.005, 0.975)}
_LABELS = {
    "FR": "firing rate (spikes/s)",
    "CV": "CV of inter-spike intervals",
    "CC": "correlation coefficient",
}


def density_panels(names: Sequence[str], draw: Callable[[Axes, int, str], None]) -> Figure:
    """Draw a panel for each population, a row each, and statistic.

    Parameters
    ----------
    names : sequence of str
        Of the populations.
    draw : callable
        Fills axes with a statistic of the population of a number.
    """
    figure = new_figure(9.0, 0.7 + 1.25 * len(names))
    grid = np.asarray(figure.subplots(len(names), 3, squeeze=False))
    for row, name in enumerate(names):
        for column, statistic in enumerate(STATISTICS):
            axes: Axes = grid[row, column]
            draw(axes, row, statistic)
            tidy(axes)
            axes.set_yticks([])
            # Small correlations have long labels, which must not run into each other.
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.spines["left"].set_visible(False)
            if column == 0:
                axes.set_ylabel(
                    name,
                    rotation=0,
                    ha="right",
                    va="center",
                    fontsize=11,
                    color=population_colour(name),
                    fontweight="bold",
                )
            if row == 0:
                axes.set_title(statistic, fontsize=11, fontweight="bold", color=INK)
            if row == len(names) - 1:
                axes.set_xlabel(_LABELS[statistic])
    return figure


def distance_panels(
    names: Sequence[str], height: float, draw: Callable[[Axes, int, str], None]
) -> Figure:
    """Draw a panel of KS distances for each statistic, with a line for each population.

    Parameters
    ----------
    names : sequence of str
        Of the populations, from top to bottom.
    height : float
        Of the figure, inches.
    draw : callable
        Fills the line of a number with a statistic.
    """
    figure = new_figure(9.0, height)
    grid = np.asarray(figure.subplots(1, 3, sharey=True, squeeze=False))[0]
    for axes, statistic in zip(grid, STATISTICS, strict=True):
        for row in range(len(names)):
            draw(axes, row, statistic)
        axes.set_title(statistic, fontsize=11, fontweight="bold", color=INK)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("KS distance")
        tidy(axes)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].invert_yaxis()
    return figure


def bin_edges(low: float, high: float, statistic: str, duration_ms: float) -> F64:
    """Return the bins of a density between two quantiles, see `SHOWN`, of all its samples."""
    if statistic == "CC":
        high = max(high, -low)
    if statistic == "FR":
        # Rates are multiples of one spike per window; other bins would beat with them.
        quantum = 1000.0 / duration_ms
        width = quantum * max(1, round(high / quantum / 40))
        count = int(np.ceil((high + quantum) / width))
        return np.asarray((np.arange(count + 1) * width) - quantum / 2, np.float64)
    if statistic == "CV":
        low = min(low, 0.2)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.asarray(np.linspace(low, high, 73 if statistic == "CC" else 49), np.float64)


def draw_densities(
    axes: Axes,
    edges: F64,
    nest: Sequence[F64],
    candidates: Sequence[F64],
    *,
    colour: str,
    linewidth: float,
    alpha: float | None = None,
) -> None:
    """Draw the densities of candidates over the range (band) and mean (grey line) of NEST's.

    Each density has shape (bins,), `edges` (bins + 1,).
    """
    if nest:
        low, high = np.min(nest, axis=0), np.max(nest, axis=0)
        axes.stairs(high, edges, baseline=low, fill=True, color=BAND)
        axes.stairs(np.mean(nest, axis=0), edges, color=GREY, linewidth=1.0)
    for density in candidates:
        axes.stairs(density, edges, color=colour, linewidth=linewidth, alpha=alpha)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)


def draw_nothing(axes: Axes) -> None:
    """Say that there is no sample to draw."""
    axes.text(0.5, 0.5, "too few spikes", ha="center", transform=axes.transAxes, color=GREY)
