"""The figures of `csnn perf` show what they say, and their texts can be read."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from perf_machines import machine, random_workload

from csnn.hardware.mesh import Mesh
from csnn.perf import figures
from csnn.perf.experiments import sweep_echo
from csnn.perf.model import simulate
from csnn.perf.statistics import summarise
from csnn.perf.topology import mesh_topology
from csnn.perf.workload import silent_workload

MESH = Mesh(shape=(3, 3, 1), n_nodes=8)
WORK = random_workload(8, 200, 0.4)


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    topology = mesh_topology(MESH)
    timing = simulate(machine(), topology, WORK)
    silent = simulate(machine(), topology, silent_workload(WORK.sizes, 20))
    summary = summarise(timing, WORK, hops=topology.diameter, dt_ms=0.1)
    return {
        "6a": figures.spikes_per_step(WORK),
        "6b": figures.spikes_per_node(WORK),
        "6c": figures.echo_latency(sweep_echo(machine(), MESH, [1, 2, 4, 7, 8])),
        "6d": figures.step_cycles(timing),
        "6e": figures.unroll_cycles(WORK),
        "8c": figures.breakdown(silent, timing),
        "fixed clock": figures.fixed_clock(summary),
        "locality": figures.locality(WORK),
        "nothing": figures.locality(silent_workload(WORK.sizes, 20)),
    }


def unreadable(figure: Figure) -> list[str]:
    """Return whether something is cut off, and the texts other than ticks that cover others."""
    figure.canvas.draw()
    (left, low), (right, high) = figure.get_tightbbox().get_points()
    width, height = figure.get_size_inches()
    found = ["cut off"] if min(left, low) < -0.01 or right > width or high > height else []
    ticks = {
        text
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for text in (tick.label1, tick.label2)
    }
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in ticks
    ]
    return found + [
        f"{name} and {other}"
        for (name, box), (other, second) in combinations(boxes, 2)
        if box.x0 < second.x1 and second.x0 < box.x1 and box.y0 < second.y1 and second.y0 < box.y1
    ]


def test_every_text_can_be_read(drawn: dict[str, Figure]) -> None:
    assert {name: unreadable(figure) for name, figure in drawn.items()} == {
        name: [] for name in drawn
    }


def test_texts_that_cannot_be_read_are_found() -> None:
    figure = figures.locality(WORK)
    [axes] = figure.axes
    axes.text(0.5, 0.5, "one", transform=axes.transAxes)
    axes.text(0.5, 0.5, "two", transform=axes.transAxes)
    figure.text(0.99, 0.5, "beyond the edge")
    assert unreadable(figure) == ["cut off", "one and two"]


def test_shares_of_the_two_distributions_are_of_equal_bins(drawn: dict[str, Figure]) -> None:
    [axes] = drawn["6e"].axes
    edges = [np.unique(patch.get_xy()[:, 0]) for patch in axes.patches]
    assert len(edges) == 2
    np.testing.assert_array_equal(*edges)


def test_shares_add_up_to_one(drawn: dict[str, Figure]) -> None:
    for name in ("6a", "6b", "6d", "locality"):
        [axes] = drawn[name].axes
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(1.0), name


def test_clocks_are_told(drawn: dict[str, Figure]) -> None:
    for name in ("6d", "8c", "fixed clock"):
        assert "(150 MHz)" in drawn[name].axes[0].get_xlabel(), name
