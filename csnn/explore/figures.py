"""Figures of a search: all points with their front, what limits a mesh, other topologies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from csnn.drawing import BLUE, EXCITATORY, GREEN, GREY, INHIBITORY, INK, PURPLE, VERMILION, new_axes
from csnn.explore.chips import CHIPS
from csnn.explore.evaluate import Point

_COLOURS = dict(zip(CHIPS, (BLUE, GREEN, VERMILION, PURPLE), strict=True))
_MARKERS = dict(zip(CHIPS, "os^D", strict=True))
# Above this ratio bars need a logarithmic axis.
_WIDE = 8
PROJECTED = "projections: performance model; resources from synthesis"


def draw_front(
    looked_at: Sequence[Point],
    points: Sequence[Point],
    best: Sequence[Point],
    published: Mapping[str, tuple[int, float]],
) -> Figure:
    """Draw real-time factor against devices, with the points that no other beats.

    Parameters
    ----------
    looked_at, points : sequence of Point
        After short runs, drawn faintly, and after full ones.
    best : sequence of Point
    published : mapping of str to (int, float)
        Devices and factors of machines that were built.
    """
    figure, axes = new_axes(7.2, 4.6)
    for name, colour in _COLOURS.items():
        for kind, size, alpha in ((looked_at, 6, 0.25), (points, 16, 0.8)):
            chosen = [point for point in kind if point.design.chip == name]
            axes.scatter(
                [point.room.devices for point in chosen],
                [point.real_time_factor for point in chosen],
                s=size, alpha=alpha, color=colour, marker=_MARKERS[name], linewidths=0,
                label=name if kind is points and chosen else None,
            )  # fmt: skip
    axes.plot(
        [point.room.devices for point in best],
        [point.real_time_factor for point in best],
        color=INK, lw=1, drawstyle="steps-post", label="no other is better in both",
    )  # fmt: skip
    told = ""
    for point in best:
        limit = point.short_limit
        axes.annotate(
            "" if limit == told else limit, (point.room.devices, point.real_time_factor),
            xytext=(3, -9), textcoords="offset points", fontsize=7, color=INK,
        )  # fmt: skip
        told = limit
    for name, (devices, factor) in published.items():
        axes.plot(devices, factor, marker="*", ms=10, ls="", color=GREY)
        axes.annotate(
            name, (devices, factor), xytext=(6, 4), textcoords="offset points", fontsize=7,
            color=GREY,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    )
    axes.tick_params(which="minor", labelsize=7)
    axes.set_xlabel("devices")
    axes.set_ylabel("real-time factor")
    axes.set_title(PROJECTED, fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_bars(rows: Mapping[str, Point], title: str) -> Figure:
    """Draw real-time factors beside each other, the first one as the measure."""
    figure, axes = new_axes(6.8, 0.75 + 0.34 * len(rows))
    factors = [point.real_time_factor for point in rows.values()]
    fits = [point.room.fits for point in rows.values()]
    colours = [EXCITATORY if fit else GREY for fit in fits]
    axes.barh(list(rows), factors, color=colours)
    for number, (factor, fit) in enumerate(zip(factors, fits, strict=True)):
        note = f"  {factor:.3f}" + ("" if fit else " (does not fit)")
        axes.text(factor, number, note, va="center", fontsize=7, color=INK)
    axes.axvline(factors[0], color=INHIBITORY, lw=0.8, ls=":")
    axes.invert_yaxis()
    if max(factors) > _WIDE * min(factors):
        axes.set_xscale("log")
        axes.set_xlim(0.5 * min(factors), 3 * max(factors))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.margins(x=0.22)
    axes.set_xlabel("real-time factor")
    axes.set_title(f"{title}\n{PROJECTED}", fontsize=9, color=INK)
    return figure
