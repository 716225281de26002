"""The figures of a report, drawn by matplotlib's object interface (no global state, no display)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from csnn.drawing import BAND, EXCITATORY, INHIBITORY, INK, new_figure, population_colour, tidy
from csnn.report.panels import (
    SHOWN,
    bin_edges,
    density_panels,
    distance_panels,
    draw_densities,
    draw_nothing,
)
from csnn.validation.baseline import RESOLUTION, Baseline
from csnn.validation.criteria import Verdict
from csnn.validation.statistics import PopulationStatistics, Statistics, Window

RASTER_MS = 400.0
RASTER_NEURONS = 2000
# A population of few neurons still needs a strip that its name fits.
RASTER_STRIP = 50
RASTER_MAX_INCHES = 24.0


def raster(
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Sequence[tuple[str, int]],
    window: Window,
    *,
    span_ms: float = RASTER_MS,
) -> Figure:
    """Draw the spikes of the end of a run, the same share of each population but the smallest.

    Parameters
    ----------
    step, source : ndarray of integers, shape (spikes,)
        Step and global neuron number of each spike.
    populations : sequence of (name, size)
        In order; drawn from top to bottom.
    window : Window
        The whole run after its warm-up; spikes outside it are not drawn.
    span_ms : float
        Model time shown; all of the run if it is shorter.

    Returns
    -------
    Figure
    """
    share = min(1.0, RASTER_NEURONS / max(1, sum(size for _, size in populations)))
    strips = [min(size, max(round(share * size), RASTER_STRIP)) for _, size in populations]
    # The thinnest strip should be as high as its name.
    height = min(max(4.8, 0.12 * sum(strips) / min(strips)), RASTER_MAX_INCHES)
    figure = new_figure(9.0, height)
    axes = figure.subplots()
    # From the run's own end: the last spike may be long before it.
    last = window.first_step + window.n_steps - 1
    span = min(round(span_ms / window.dt_ms), window.n_steps)
    before = last - step.astype(np.int64)
    recent = (before >= 0) & (before < span)
    time = -before[recent] * window.dt_ms
    neuron = source[recent].astype(np.int64)
    first, row = 0, 0
    ticks = []
    for (name, size), shown in zip(populations, strips, strict=True):
        mine = (neuron >= first) & (neuron < first + shown)
        axes.plot(
            time[mine],
            row + neuron[mine] - first,
            linestyle="none",
            marker=".",
            markersize=3.0,
            markeredgewidth=0,
            color=population_colour(name),
        )
        ticks.append((row + shown / 2, name))
        first, row = first + size, row + shown
        axes.axhline(row, color=BAND, linewidth=0.5)
    axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(row, 0)
    axes.set_xlim(-span * window.dt_ms, 0)
    axes.set_xlabel(f"time relative to the end of the run (ms); {_shown(share, populations)}")
    tidy(axes)
    return figure


def _shown(share: float, populations: Sequence[tuple[str, int]]) -> str:
    """Return in words which neurons a raster shows."""
    if share == 1.0:
        return "all neurons"
    text = f"{100 * share:.3g} % of each population"
    if any(round(share * size) < min(size, RASTER_STRIP) for _, size in populations):
        text += f", but at least {RASTER_STRIP} neurons"
        if any(size < RASTER_STRIP for _, size in populations):
            text += " or all"
    return text


def rates(statistics: Statistics, baseline: Baseline | None) -> Figure:
    """Draw the mean rate of each population, with each NEST realisation's where given."""
    names = [p.name for p in statistics.populations]
    figure = new_figure(9.0, 0.9 + 0.32 * len(names))
    axes = figure.subplots()
    place = np.arange(len(names))
    means = [float(p.rate.mean()) for p in statistics.populations]
    axes.barh(place, means, height=0.62, color=[population_colour(n) for n in names], label="_bars")
    if baseline is not None:
        for seed in baseline.seeds:
            own = np.flatnonzero(baseline.window_seed == seed)
            nest = [
                np.mean([baseline.samples["FR", n][i].mean() for i in own]) * RESOLUTION["FR"]
                for n in names
            ]
            axes.plot(
                nest,
                place,
                linestyle="none",
                marker="|",
                markersize=17,
                markeredgewidth=1.4,
                color=INK,
                label="NEST, one mark per realisation" if seed == baseline.seeds[0] else None,
            )
        # Beside the bars: one could be longest anywhere.
        axes.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    axes.set_yticks(place, names)
    axes.invert_yaxis()
    axes.set_xlim(0, axes.get_xlim()[1] if any(means) else 1.0)
    axes.set_xlabel("mean firing rate (spikes/s)")
    tidy(axes)
    axes.tick_params(axis="y", length=0)
    return figure


def distributions(statistics: Statistics, baseline: Baseline | None) -> Figure:
    """Draw the FR, CV and CC densities of each population, a row each, against NEST's.

    References
    ----------
    Heittmann et al. (2022) Front. Neurosci. 15:728460, Figure 9.
    """
    populations = statistics.populations

    def draw(axes: Axes, row: int, statistic: str) -> None:
        _density(axes, populations[row], statistic, statistics.duration_ms, baseline)

    return density_panels([population.name for population in populations], draw)


def _density(
    axes: Axes,
    population: PopulationStatistics,
    statistic: str,
    duration_ms: float,
    baseline: Baseline | None,
) -> None:
    candidate = population.sample(statistic)
    nest = []
    if baseline is not None:
        windows = baseline.samples[statistic, population.name]
        nest = [
            np.concatenate([windows[i] for i in np.flatnonzero(baseline.window_seed == seed)])
            * RESOLUTION[statistic]
            for seed in baseline.seeds
        ]
    everything = np.concatenate([candidate, *nest])
    if everything.size == 0:
        draw_nothing(axes)
        return
    low, high = np.quantile(everything, SHOWN[statistic])
    edges = bin_edges(float(low), float(high), statistic, duration_ms)
    own, *others = (np.histogram(n, edges)[0] / max(n.size, 1) for n in (candidate, *nest))
    colour = population_colour(population.name)
    draw_densities(axes, edges, others, [own], colour=colour, linewidth=1.4)


def ks_overview(verdict: Verdict) -> Figure:
    """Draw each cell's KS distance with the NEST-NEST range and its threshold."""
    names = list(dict.fromkeys(cell.population for cell in verdict.cells))

    def draw(axes: Axes, row: int, statistic: str) -> None:
        cell = verdict.cell(statistic, names[row])
        axes.plot(
            [cell.nest_low, cell.nest_high],
            [row, row],
            color=BAND,
            linewidth=7,
            solid_capstyle="butt",
        )
        axes.plot(cell.threshold, row, marker="|", markersize=13, color=INK, markeredgewidth=2)
        axes.plot(
            cell.distance,
            row,
            marker="o" if cell.passed else "X",
            markersize=7 if cell.passed else 9,
            color=EXCITATORY if cell.passed else INHIBITORY,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )

    return distance_panels(names, 1.1 + 0.3 * len(names), draw)
