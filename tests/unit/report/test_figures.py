"""The data that figures draw, read back from the figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from csnn.drawing import EXCITATORY, INHIBITORY
from csnn.report.figures import distributions, ks_overview, raster, rates
from csnn.validation.baseline import RESOLUTION, Baseline
from csnn.validation.criteria import Cell, Verdict
from csnn.validation.poisson_control import poisson_spikes
from csnn.validation.statistics import STATISTICS, Window, compute_statistics

OWN = [("E", 80), ("I", 20)]
SECOND = Window(first_step=501, n_steps=10000)


def dots(figure):
    """Return time and row of the dots of each population, in order of its name's tick."""
    [axes] = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    lines = [line for line in axes.get_lines() if line.get_marker() == "."]
    return {
        name: list(zip(*line.get_data(), strict=True))
        for name, line in zip(names, lines, strict=True)
    }


def drawn_raster(step, source, populations, window):
    return raster(np.array(step, np.uint32), np.array(source, np.uint32), populations, window)


# Raster


def test_raster_of_many_populations_is_higher():
    window = Window(first_step=1, n_steps=9)
    many = [(f"P{i}", 50) for i in range(60)]
    inches = [
        drawn_raster([9], [0], populations, window).get_size_inches()[1]
        for populations in (OWN, many, [("E", 100000), ("X", 1)])
    ]
    assert inches[0] == pytest.approx(4.8)
    assert inches[1] == pytest.approx(0.12 * 60)
    assert inches[2] == pytest.approx(24.0)


@pytest.mark.parametrize("dt_ms", [0.1, 0.25])
def test_raster_shows_each_spike_at_its_time_before_the_end(dt_ms):
    window = Window(first_step=501, n_steps=10000, dt_ms=dt_ms)
    last, span = 10500, round(400 / dt_ms)
    # Outside: the step before those shown. One spike in the first and one in the last of them.
    step = [last - span, last - span + 1, last - 100, last]
    figure = drawn_raster(step, [3, 4, 5, 90], OWN, window)
    assert dots(figure) == {
        "E": [(-(span - 1) * dt_ms, 4), (-100 * dt_ms, 5)],
        "I": [(0.0, 90)],
    }
    assert figure.axes[0].get_xlim() == (-400.0, 0.0)


def test_raster_ends_with_the_run_and_not_with_its_last_spike():
    figure = drawn_raster([1], [0], OWN, Window(first_step=1, n_steps=10000))
    assert dots(figure) == {"E": [], "I": []}
    figure = drawn_raster([7000], [0], OWN, Window(first_step=1, n_steps=10000))
    assert dots(figure) == {"E": [(-300.0, 0)], "I": []}
    assert figure.axes[0].get_xlim() == (-400.0, 0.0)


@pytest.mark.parametrize("n_steps", [1, 2000, 3999, 4000])
def test_raster_is_not_wider_than_the_run(n_steps):
    window = Window(first_step=501, n_steps=n_steps)
    figure = drawn_raster([500, 501, 500 + n_steps, 501 + n_steps], [0, 1, 2, 3], OWN, window)
    assert figure.axes[0].get_xlim() == (-n_steps * 0.1, 0.0)
    assert dots(figure)["E"] == [(-(n_steps - 1) * 0.1, 1), (0.0, 2)]


def test_raster_shows_the_first_neurons_of_each_population():
    # 5 % of 40,000 neurons; the second population has too few for that, the third fewer still.
    sizes = {"E": 39000, "I": 960, "X": 40}
    shown = {"E": 1950, "I": 50, "X": 40}
    source = np.arange(40000)
    figure = drawn_raster(
        np.full(40000, 10), source, sizes.items(), Window(first_step=1, n_steps=9)
    )
    assert dots(figure) == {"E": [], "I": [], "X": []}
    figure = drawn_raster(np.full(40000, 9), source, sizes.items(), Window(first_step=1, n_steps=9))
    rows = {name: [row for _, row in places] for name, places in dots(figure).items()}
    assert rows == {
        "E": list(range(1950)),
        "I": list(range(1950, 2000)),
        "X": list(range(2000, 2040)),
    }
    # A neuron that is not shown leaves no dot; neuron 39,000 is the first of I.
    figure = drawn_raster(
        [9, 9, 9, 9], [1950, 38999, 39000, 39960], sizes.items(), Window(first_step=1, n_steps=9)
    )
    assert dots(figure) == {"E": [], "I": [(0.0, 1950)], "X": [(0.0, 2000)]}
    axes = figure.axes[0]
    assert axes.get_ylim() == (sum(shown.values()), 0)
    assert list(axes.get_yticks()) == [975, 1975, 2020]
    colours = [to_hex(line.get_color()).upper() for line in axes.get_lines()[::2]]
    assert colours == [EXCITATORY, INHIBITORY, EXCITATORY]


@pytest.mark.parametrize(
    ("populations", "words"),
    [
        (OWN, "all neurons"),
        ([("E", 10000), ("I", 10000)], "10 % of each population"),
        ([("E", 1000)] * 40, "5 % of each population"),
        ([("E", 39000), ("I", 1000)], "5 % of each population"),
        ([("E", 39040), ("I", 960)], "5 % of each population, but at least 50 neurons"),
        ([("E", 39990), ("I", 10)], "5 % of each population, but at least 50 neurons or all"),
    ],
)
def test_raster_says_which_neurons_it_shows(populations, words):
    label = drawn_raster([], [], populations, SECOND).axes[0].get_xlabel()
    assert label == f"time relative to the end of the run (ms); {words}"


# Statistics


def own_statistics():
    """Return statistics of two populations of different rates."""
    rate = np.repeat([8.0, 30.0], [80, 20])
    step, source = poisson_spikes(rate, SECOND, np.random.default_rng(1))
    return compute_statistics(step, source, OWN, SECOND)


def own_baseline():
    """Return two windows of one seed and one of another, different in every sample."""
    rng = np.random.default_rng(2)
    middle = {"FR": 15.0, "CV": 0.8, "CC": 0.01}
    samples = {
        (statistic, name): tuple(
            np.sort(rng.normal(middle[statistic], 0.1 * middle[statistic], size + w) / unit).astype(
                np.int32
            )
            for w in range(3)
        )
        for statistic, unit in RESOLUTION.items()
        for name, size in OWN
    }
    return Baseline(
        duration_ms=1000.0,
        populations=tuple(OWN),
        window_seed=np.array([5, 5, 9]),
        samples=samples,
        distances=np.zeros((3, 2, 3, 3)),
        unit={5: np.ones((3, 2)), 9: np.ones((3, 2))},
        provenance={},
    )


def test_rates_are_the_means_of_the_run_and_of_each_realisation():
    statistics, baseline = own_statistics(), own_baseline()
    for figure in (rates(statistics, None), rates(statistics, baseline)):
        [axes] = figure.axes
        # A second: as many spikes as its rate has.
        assert [bar.get_width() for bar in axes.patches] == pytest.approx(
            [p.n_spikes / p.size for p in statistics.populations], rel=1e-12
        )
        assert [label.get_text() for label in axes.get_yticklabels()] == ["E", "I"]
        centres = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
        assert centres == pytest.approx([0, 1])
        assert list(axes.get_yticks()) == [0, 1]
        assert axes.get_xlim()[1] > max(bar.get_width() for bar in axes.patches)
    marks = [list(line.get_xdata()) for line in axes.get_lines()]
    expected = [
        [
            np.mean([0.01 * baseline.samples["FR", name][i].mean() for i in windows])
            for name, _ in OWN
        ]
        for windows in ([0, 1], [2])
    ]
    np.testing.assert_allclose(marks, expected)


def densities(axes):
    """Return (values, edges, baseline) of each stairs in an axes, in order of drawing."""
    return [patch.get_data() for patch in axes.patches]


def histogram(sample, edges):
    return np.histogram(sample, edges)[0] / sample.size


@pytest.mark.parametrize("against", [False, True])
def test_each_distribution_stands_in_its_row_and_column(against):
    statistics = own_statistics()
    baseline = own_baseline() if against else None
    grid = np.reshape(distributions(statistics, baseline).axes, (2, 3))
    assert [axes.get_title() for axes in grid[0]] == list(STATISTICS)
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["E", "I"]
    assert [axes.get_xlabel() for axes in grid[1]] == [
        "firing rate (spikes/s)",
        "CV of inter-spike intervals",
        "correlation coefficient",
    ]
    for row, population in zip(grid, statistics.populations, strict=True):
        for axes, statistic in zip(row, STATISTICS, strict=True):
            *nest, (values, edges, _) = densities(axes)
            sample = population.sample(statistic)
            np.testing.assert_array_equal(values, histogram(sample, edges))
            assert values.sum() > 0.9
            assert axes.get_xlim() == (edges[0], edges[-1])
            if baseline is None:
                assert nest == []
                continue
            windows = [
                w * RESOLUTION[statistic] for w in baseline.samples[statistic, population.name]
            ]
            own = [
                histogram(np.concatenate(windows[:2]), edges),
                histogram(windows[2], edges),
            ]
            (high, _, low), (mean, _, _) = nest
            np.testing.assert_array_equal(low, np.min(own, axis=0))
            np.testing.assert_array_equal(high, np.max(own, axis=0))
            np.testing.assert_array_equal(mean, np.mean(own, axis=0))


def test_bins_of_rates_are_centred_on_multiples_of_one_spike():
    statistics = own_statistics()
    for window, quantum in ((SECOND, 1.0), (replace(SECOND, n_steps=5000), 2.0)):
        figure = distributions(replace(statistics, window=window), None)
        _, edges, _ = densities(figure.axes[0])[0]
        assert edges[0] == -quantum / 2
        np.testing.assert_allclose(np.diff(edges) % quantum, 0)


def own_verdict():
    """Return a verdict of cells whose numbers are all different; every second one fails."""
    cells = tuple(
        Cell(
            population=name,
            statistic=statistic,
            distance=0.101 + 0.01 * i,
            nest_low=0.012 + 0.001 * i,
            nest_mean=0.023 + 0.001 * i,
            nest_high=0.034 + 0.001 * i,
            threshold=0.085 + 0.001 * i,
            passed=i % 2 == 0,
        )
        for i, (statistic, name) in enumerate((s, name) for s in STATISTICS for name, _ in OWN)
    )
    return Verdict(
        cells=cells,
        pooled=(),
        passed=False,
        judged_ms=1000.0,
        candidate_ms=1000.0,
        seeds=(5, 9),
        family_false_alarm=0.01,
        note="",
    )


def test_distances_stand_beside_nests_range_and_their_threshold():
    verdict = own_verdict()
    axes = ks_overview(verdict).axes
    assert [a.get_title() for a in axes] == list(STATISTICS)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["E", "I"]
    for a in axes:
        drawn = [(line.get_marker(), *map(list, line.get_data())) for line in a.get_lines()]
        expected = []
        for row, (name, _) in enumerate(OWN):
            cell = verdict.cell(a.get_title(), name)
            expected += [
                ("None", [cell.nest_low, cell.nest_high], [row, row]),
                ("|", [cell.threshold], [row]),
                ("o" if cell.passed else "X", [cell.distance], [row]),
            ]
        assert drawn == expected
