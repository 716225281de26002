"""Figures of a survey: cycles of all models, fronts of some, and what is lost of the speed."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from csnn.drawing import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, new_axes
from csnn.spec.neuron import SOLVERS
from hls_models.dse import Limits
from hls_models.survey import CLAIMED_LOSS, Entry, Speeds

_COLOURS = (BLUE, GREEN, VERMILION, PURPLE, ORANGE, SKY, "#000000")
# Fronts of more models cannot be told apart.
_MANY = 12
_MARKERS = {"cuba": "o", "coba": "^"}
_DASHES = {"cuba": "-", "coba": "--"}
_LINES = {"paper": "--", "model": "-"}


_GROUPED = FuncFormatter(lambda value, _: f"{value:,.0f}")


def _logarithmic(axes: Axes) -> None:
    """Make the axis of cycles logarithmic, with room for the legend; there may be no marks."""
    low, high = axes.dataLim.intervaly
    if 0 < low <= high < float("inf"):
        axes.set_yscale("log")
        axes.set_ylim(0.8 * low, 2.5 * high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(_GROUPED)
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#e3e3de", lw=0.6)
    axes.set_axisbelow(True)


def _colours(entries: Sequence[Entry]) -> dict[str, str]:
    neurons = list(dict.fromkeys(entry.combination.neuron for entry in entries))
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(neurons)}


def _title(axes: Axes, text: str, entries: Sequence[Entry]) -> None:
    made = ", ".join(dict.fromkeys(entry.library for entry in entries))
    axes.set_title(f"{text}, operators {made}", fontsize=10, loc="left")


def draw_cycles(entries: Sequence[Entry], neurons: int) -> Figure:
    """Draw the cycles of a step of `neurons` neurons, by solver; one mark a model."""
    figure, axes = new_axes(8.4, 4.6)
    colours = _colours(entries)
    names = list(colours)
    for entry in entries:
        if not entry.best:
            continue
        c = entry.combination
        place = SOLVERS.index(c.solver) + 0.7 * ((names.index(c.neuron) + 0.5) / len(names) - 0.5)
        axes.scatter(
            place, entry.cycles(neurons), s=18, alpha=0.8, linewidths=0,
            color=colours[c.neuron], marker=_MARKERS[c.coupling],
        )  # fmt: skip
    for name, colour in colours.items():
        axes.scatter([], [], s=18, color=colour, label=name)
    for coupling, marker in _MARKERS.items():
        axes.scatter([], [], s=18, color=GREY, marker=marker, label=coupling)
    _logarithmic(axes)
    axes.set_xticks(range(len(SOLVERS)), SOLVERS)
    axes.set_ylabel(f"T_{neurons} (cycles)")
    axes.set_xlabel("solver")
    _title(axes, "Fastest design of every model within the limits", entries)
    axes.legend(fontsize=8, frameon=False, ncols=len(colours) + len(_MARKERS), loc="upper left")
    return figure


def draw_fronts(entries: Sequence[Entry], neurons: int, limits: Limits) -> Figure:
    """Draw cycles against look-up tables: the fronts of a few models.

    Of more than `_MANY` those with exponential kernels and the fourth-order Runge-Kutta method.
    """
    figure, axes = new_axes(8.4, 4.6)
    fitting = [entry for entry in entries if entry.best]
    chosen = [e for e in fitting if (e.combination.kernel, e.combination.solver) == ("exp", "rk4")]
    shown = chosen if len(fitting) > _MANY else fitting
    by_neuron = _colours(shown)
    for i, entry in enumerate(shown):
        # Of many there is one of each neuron and coupling.
        c = entry.combination
        colour = by_neuron[c.neuron] if len(fitting) > _MANY else _COLOURS[i % len(_COLOURS)]
        front = sorted(dict(entry.fronts)[neurons], key=lambda design: design.total.luts)
        least: list[tuple[float, int]] = []
        for design in front:
            if not least or design.cycles(neurons) < least[-1][1]:
                least.append((design.total.luts, design.cycles(neurons)))
        axes.plot(
            [luts for luts, _ in least], [cycles for _, cycles in least], drawstyle="steps-post",
            marker=_MARKERS[c.coupling], ms=3, lw=1, ls=_DASHES[c.coupling], color=colour,
            label=c.name,
        )  # fmt: skip
    axes.axvline(limits.luts, color=INK, lw=1, ls=":")
    axes.text(
        limits.luts, 0.98, "M_LUT ", va="top", ha="right", fontsize=8,
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    _logarithmic(axes)
    axes.set_xlabel("look-up tables of all blocks (estimate)")
    axes.xaxis.set_major_formatter(_GROUPED)
    axes.set_ylabel(f"T_{neurons} (cycles)")
    _title(axes, "Designs of which none is better in both", entries)
    if shown:
        axes.legend(fontsize=8, frameon=False, ncols=2)
    return figure


def draw_losses(speeds: Sequence[Speeds]) -> Figure:
    """Draw how much of the speed all models lose, the least first."""
    figure, axes = new_axes(8.4, 4.2)
    libraries = list(dict.fromkeys(library for account in speeds for _, library in account.of))
    for colour, name in zip(_COLOURS, libraries, strict=False):
        for account in speeds:
            losses = sorted(100 * found.loss for found in account.by(name).values())
            axes.plot(
                range(1, len(losses) + 1), losses, color=colour, lw=1.5,
                ls=_LINES[account.account], label=f"operators {name}, by the {account.account}",
            )  # fmt: skip
    axes.axhline(100 * CLAIMED_LOSS, color=INK, lw=1, ls=":")
    axes.text(1, 100 * CLAIMED_LOSS, "7 %, Heittmann et al. (2022)", va="bottom", fontsize=8)
    axes.set_xlabel("models, the fastest of each line first")
    axes.set_ylabel("speed lost against LIF (%)")
    axes.set_title("Speed that is lost, projected", fontsize=10, loc="left")
    axes.legend(fontsize=8, frameon=False)
    return figure
