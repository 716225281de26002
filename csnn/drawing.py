"""How all figures look: colours, one pair of axes, PNG and SVG without traces of the time."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito's colours: told apart with any colour vision, and in grey by lightness.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
EXCITATORY, INHIBITORY = BLUE, VERMILION
INK, GREY, BAND = "#222222", "#8a8a8a", "#c9c9c9"
DPI = 120


def population_colour(name: str) -> str:
    """Return the colour of a population: names that end in I or i are inhibitory."""
    return INHIBITORY if name.endswith(("I", "i")) else EXCITATORY


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches, which needs no display."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of `width` x `height` inches and its only axes, open above and right."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def tidy(axes: Axes) -> None:
    """Open axes above and to the right, in the colours and sizes of all figures of reports."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9, color=GREY)
    axes.xaxis.label.set_fontsize(10)
    axes.yaxis.label.set_fontsize(10)


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def write_svg(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, without the date.

    Marks inside are random unless matplotlib's ``svg.hashsalt`` is set.
    """
    figure.savefig(path, format="svg", metadata={"Date": None})
