"""Rows of an edge list: stored words, fitted tables, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.edges import Edges
from csnn.errors import InvalidInputError
from csnn.rows import Sampler, weight_units
from csnn.spec.network import EdgeList, Network, Population
from netgen.edge_rows import EdgeRows
from netgen.partition import NodePlan

NETWORK = Network(
    name="test",
    populations=(
        Population(name="E", size=4, expected_rate_hz=3.0),
        Population(name="I", size=2, expected_rate_hz=10.0),
    ),
    edges=EdgeList(path="list.csv", representation="stored"),
)
NODE = NodePlan(index=0, population="E", first_neuron=0, size=4)
# Source, target, weight, delay; edges 2 and 3 are a multapse, edge 5 an autapse.
ROWS = [
    (5, 1, -4.0, 0.3),
    (0, 3, 2.0, 0.1),
    (0, 1, 1.0, 1.6),
    (0, 1, 2.5, 0.2),
    (2, 5, 0.5, 0.1),
    (3, 3, 1.5, 0.7),
]


def edges(rows: list[tuple[int, int, float, float]]) -> Edges:
    source, target, weight, delay = zip(*rows, strict=True)
    return Edges(
        source=np.array(source, dtype=np.uint32),
        target=np.array(target, dtype=np.uint32),
        weight=np.array(weight, dtype=np.float64),
        delay_ms=np.array(delay, dtype=np.float64),
    )


def edge_rows(rows: list[tuple[int, int, float, float]] = ROWS, slots: int = 16) -> EdgeRows:
    return EdgeRows(edges(rows), NETWORK, slots)


def test_stored_rows_hold_every_edge() -> None:
    rows, words = edge_rows().stored(NODE, 0.5)
    assert rows.sampler is Sampler.STORED
    assert not rows.skip_self
    assert rows.length.tolist() == [3, 0, 0, 1, 0, 1]
    decoded = [
        (int(w & 0xFF), int(w >> 8 & 63) + 1, int(weight_units(np.array([w >> 14]))[0]) * 0.5)
        for w in words.tolist()
    ]
    # In order of source, then target; the two edges 0->1 keep the order of the list.
    assert decoded == [(1, 16, 1.0), (1, 2, 2.5), (3, 1, 2.0), (3, 7, 1.5), (1, 3, -4.0)]
    other = NodePlan(index=1, population="I", first_neuron=4, size=2)
    rows, words = edge_rows().stored(other, 0.5)
    assert rows.length.tolist() == [0, 0, 1, 0, 0, 0]
    assert words.tolist() == [1 | 0 << 8 | 1 << 14]


def test_totals() -> None:
    listed = edge_rows()
    assert listed.largest() == 4.0
    # Neuron 1 of E: 3.5 excitatory and 4 inhibitory; neuron 3: 3.5.
    assert listed.sums() == {"E": 4.0, "I": 0.5}
    # Three sources of E fire at 3 Hz, source 5 of I at 10 Hz.
    assert listed.events_hz().tolist() == [0.0, 2 * 3.0 + 10.0, 0.0, 2 * 3.0, 0.0, 3.0]
    total, driven = listed.strength(NODE)
    assert total.tolist() == [7.0, 4.0]
    assert driven.tolist() == [21.0, 40.0]


def test_rounding_is_measured() -> None:
    assert edge_rows().rounding(0.5) == {
        "largest_weight_error": 0.0,
        "largest_relative_error": 0.0,
        "mean_error": 0.0,
        "variance_error": 0.0,
    }
    rounding = edge_rows([(0, 1, 10.3, 0.1), (1, 1, 10.3, 0.1), (2, 1, 9.0, 0.1)]).rounding(1.0)
    assert rounding["largest_weight_error"] == pytest.approx(0.3)
    assert rounding["largest_relative_error"] == pytest.approx(0.3 / 10.3)
    assert rounding["mean_error"] == pytest.approx(0.2 / (29.6 / 3))
    assert rounding["variance_error"] == pytest.approx(1 - (1.0 / 1.3) ** 2)


@pytest.mark.parametrize("delay", [0.05, 0.15, 1.7, 100.0])
def test_delays_off_the_steps_or_out_of_range_are_refused(delay: float) -> None:
    rule = rf"^list.csv: row 2: delay_ms = {delay}: must be a multiple of dt_ms = 0.1 from 0.1 to"
    with pytest.raises(InvalidInputError, match=rule):
        edge_rows([ROWS[0], (0, 1, 1.0, delay)])


@pytest.mark.parametrize(
    ("weight", "grid"), [(0.2, 0.5), (-0.2, 0.5), (40000.0, 1.0), (-32767.6, 1.0)]
)
def test_weights_that_leave_the_grid_are_refused(weight: float, grid: float) -> None:
    listed = edge_rows([ROWS[1], (0, 1, weight, 0.1)])
    with pytest.raises(InvalidInputError, match=rf"^list.csv: weight_pA = {weight}: must round to"):
        listed.stored(NODE, grid)


def test_weights_of_zero_may_be_stored() -> None:
    rows, words = edge_rows([(0, 1, 0.0, 0.1)]).stored(NODE, 1.0)
    assert (rows.length.sum(), words.tolist()) == (1, [1])


def test_fitted_tables_are_those_of_their_sub_network() -> None:
    fits = list(edge_rows().fitted(NODE, 0.5))
    assert [(fit.population, fit.source_first) for fit in fits] == [("E", 0), ("I", 4)]
    fit = fits[0]
    assert fit.rows.sampler is Sampler.INDEPENDENT
    assert fit.rows.length.tolist() == [3, 0, 0, 1]
    assert fit.weight[0].tolist() == [2, 3, 4, 5]
    assert fit.weight[1].tolist() == pytest.approx([0.25] * 4, abs=1e-6)
    assert fit.delay[0].tolist() == [1, 2, 7, 16]
    assert fit.delay[1].tolist() == pytest.approx([0.25] * 4, abs=1e-6)
    assert fit.listed.source.tolist() == [0, 0, 0, 3]
    assert fit.listed.neuron.tolist() == [1, 1, 3, 3]
    assert fit.listed.weight.tolist() == [1.0, 2.5, 2.0, 1.5]
    assert fit.listed.delay.tolist() == [16, 2, 1, 7]
    inhibitory = fits[1]
    assert inhibitory.rows.length.tolist() == [0, 1]
    assert inhibitory.weight[0].tolist() == [-8]


@pytest.mark.parametrize(
    ("rows", "sampler", "skip_self"),
    [
        ([(0, 1, 1.0, 0.1), (0, 1, 1.0, 0.1), (2, 2, 1.0, 0.1)], Sampler.INDEPENDENT, False),
        ([(0, 1, 1.0, 0.1), (0, 1, 1.0, 0.1), (2, 3, 1.0, 0.1)], Sampler.INDEPENDENT, True),
        ([(0, 1, 1.0, 0.1), (0, 2, 1.0, 0.1), (2, 2, 1.0, 0.1)], Sampler.DISTINCT, False),
        # Neurons 0 of I and of E are different ones.
        ([(4, 0, 1.0, 0.1), (5, 1, 1.0, 0.1), (4, 1, 1.0, 0.1)], Sampler.DISTINCT, True),
    ],
)
def test_fitted_rows_draw_no_multapse_or_autapse_where_there_is_none(
    rows: list[tuple[int, int, float, float]], sampler: Sampler, skip_self: bool
) -> None:
    (fit,) = edge_rows(rows).fitted(NODE, 1.0)
    assert (fit.rows.sampler, fit.rows.skip_self) == (sampler, skip_self)


def test_signs_are_fitted_apart() -> None:
    listed = edge_rows([(0, 1, 2.0, 0.1), (0, 2, -3.0, 0.2), (1, 2, -5.0, 0.1), (2, 3, 0.0, 0.3)])
    excitatory, inhibitory = listed.fitted(NODE, 1.0)
    assert excitatory.rows.length.tolist() == [1, 0, 1, 0]
    assert excitatory.weight[0].tolist() == [0, 2]
    assert excitatory.delay[0].tolist() == [1, 3]
    assert inhibitory.rows.length.tolist() == [1, 1, 0, 0]
    assert inhibitory.weight[0].tolist() == [-5, -3]
    assert inhibitory.delay[0].tolist() == [1, 2]
    assert inhibitory.listed.source.tolist() == [0, 1]
    assert inhibitory.listed.neuron.tolist() == [2, 2]


def test_fits_that_do_not_keep_the_moments_are_refused() -> None:
    listed = edge_rows([(0, 1, 1.0, 0.1), (1, 2, 1.0, 0.1)])
    rule = r"^list.csv: edges E->node 0.weight_pA = 1.0: .* mean and variance to 0.001 on the grid"
    with pytest.raises(InvalidInputError, match=rule):
        list(listed.fitted(NODE, 0.75))
