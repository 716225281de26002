"""The verdict: NEST passes, negative controls fail."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from csnn.errors import InvalidInputError
from csnn.validation.baseline import RESOLUTION, load_baseline, quantise
from csnn.validation.criteria import (
    centres,
    judge,
    judge_spikes,
    leave_one_out,
    mean_distance,
    nest_pairs,
    per_test_quantile,
    pooled_spreads,
    pooled_thresholds,
    quantile,
    spreads,
    thresholds,
)
from csnn.validation.poisson_control import poisson_spikes
from csnn.validation.statistics import STATISTICS, PopulationStatistics, Statistics, Window


def window_statistics(baseline, i):
    """Return window `i` of a baseline as if it were a candidate."""
    sample = {key: windows[i] * RESOLUTION[key[0]] for key, windows in baseline.samples.items()}
    return Statistics(
        window=Window(first_step=5001, n_steps=round(baseline.duration_ms * 10)),
        populations=tuple(
            PopulationStatistics(
                name=name,
                size=size,
                n_spikes=0,
                rate=sample["FR", name],
                cv=sample["CV", name],
                cc=sample["CC", name],
            )
            for name, size in baseline.populations
        ),
    )


def changed(statistics, name, **samples):
    return replace(
        statistics,
        populations=tuple(
            replace(p, **samples) if p.name == name else p for p in statistics.populations
        ),
    )


@pytest.fixture(scope="module")
def ten():
    return load_baseline(10000)


@pytest.fixture(scope="module")
def one():
    return load_baseline(1000)


def test_every_nest_realisation_passes_against_the_others(ten):
    ratios = leave_one_out(ten)
    assert np.all(ratios <= quantile(ten) * spreads(ten)[:, np.newaxis])
    assert np.all(ratios.mean(axis=2) <= quantile(ten) * pooled_spreads(ten))


def test_nearly_every_nest_second_passes_against_the_other_realisations(one):
    ratios = leave_one_out(one)
    alarms = np.any(ratios > quantile(one) * spreads(one)[:, np.newaxis], axis=(1, 2))
    assert alarms.sum() <= 1
    assert np.all(ratios.mean(axis=2) <= quantile(one) * pooled_spreads(one))


def test_three_single_seconds_as_references_seldom_reject_another_second(one):
    # As few references as at 10 s, but many independent draws of them and of candidates.
    rng = np.random.default_rng(5)
    cells, pooled = [], []
    for _ in range(200):
        refs = np.array([rng.choice(np.flatnonzero(one.window_seed == s)) for s in one.seeds])
        few = replace(
            one,
            window_seed=one.window_seed[refs],
            samples={},
            distances=one.distances[:, :, refs[:, None], refs],
        )
        limit, pooled_limit, centre = thresholds(few), pooled_thresholds(few), centres(few)
        for i in rng.choice(np.setdiff1d(np.arange(30), refs), 6, replace=False):
            others = refs[one.window_seed[refs] != one.window_seed[i]]
            distance = one.distances[:, :, i][:, :, others].mean(axis=2)
            cells.append(np.any(distance > limit))
            pooled.append(np.any(stats.gmean(distance / centre, axis=1) > pooled_limit))
    assert np.mean(pooled) < 0.015
    assert np.mean(np.logical_or(cells, pooled)) < 0.04


def scaled_rates(rate, duration_ms, factor, rng):
    """Return rates as if every neuron fired `factor` times as often."""
    count = np.rint(rate * duration_ms / 1000).astype(int)
    count = rng.binomial(count, factor) if factor < 1 else count + rng.poisson(count * (factor - 1))
    return count * 1000 / duration_ms


@pytest.mark.parametrize(("factor", "least"), [(0.9, 18), (1.1, 14), (0.85, 22), (1.15, 22)])
def test_how_often_shifted_rates_are_seen(ten, factor, least):
    limit = thresholds(ten)[0]
    rng = np.random.default_rng(7)
    seen = 0
    for i, seed in enumerate(ten.seeds):
        others = ten.without(seed)
        for p, (name, _) in enumerate(ten.populations):
            rate = scaled_rates(ten.samples["FR", name][i] * 0.01, 10000, factor, rng)
            score = mean_distance(quantise(rate, "FR"), others.samples["FR", name])
            seen += int(score > limit[p])
    assert seen >= least


def test_leave_one_out_by_hand(ten):
    others = ten.without(123451)
    score = (ten.distances[:, :, 1, 0] + ten.distances[:, :, 1, 2]) / 2
    np.testing.assert_allclose(leave_one_out(ten)[1], np.log(score / centres(others)))
    np.testing.assert_allclose(nest_pairs(others)[:, :, 0], ten.distances[:, :, 0, 2])


def test_spread_of_a_scaled_baseline_is_the_same(ten):
    # Ratios carry the rule: doubling every distance doubles the thresholds and nothing else.
    doubled = replace(ten, distances=2 * ten.distances)
    np.testing.assert_allclose(spreads(doubled), spreads(ten))
    np.testing.assert_allclose(thresholds(doubled), 2 * thresholds(ten))


def test_family_false_alarm(ten):
    # P(Z > 3.37271...) = 1 - 0.99 ** (1 / 27)
    assert per_test_quantile(27) == pytest.approx(3.3727, abs=1e-4)
    assert quantile(ten) == per_test_quantile(27)


def test_pooled_ratio_is_that_of_geometric_means(ten):
    # The units of the populations cancel: they only share a statistic's cells among themselves.
    verdict = judge(window_statistics(ten, 0), ten)
    for s, test in enumerate(verdict.pooled):
        distance = [c.distance for c in verdict.cells if c.statistic == test.statistic]
        nest = nest_pairs(ten)[s].mean(axis=1)
        assert test.ratio == pytest.approx(stats.gmean(distance) / stats.gmean(nest))
        assert test.nest_low < 1 < test.nest_high < test.threshold


def test_pooled_spread_is_not_believed_below_that_of_independent_populations(ten, one):
    for baseline in (ten, one):
        own = np.sqrt(np.mean(leave_one_out(baseline).mean(axis=2) ** 2, axis=0))
        independent = spreads(baseline) / np.sqrt(8)
        np.testing.assert_allclose(pooled_spreads(baseline), np.maximum(own, independent))
    # Three means at 10 s happen to be closer than that in CV and CC.
    own = np.sqrt(np.mean(leave_one_out(ten).mean(axis=2) ** 2, axis=0))
    assert (pooled_spreads(ten) > own).tolist() == [False, True, True]


@pytest.mark.parametrize(("factor", "passes"), [(0.97, True), (1.03, False)])
def test_small_errors_everywhere_fail_the_pooled_test_alone(ten, factor, passes):
    # Every CC distance at the same multiple of its centre, well within the cell's threshold.
    n = 20000
    distance = factor * np.exp(quantile(ten) * pooled_spreads(ten)[2]) * centres(ten)[2]
    assert np.all(distance < 0.5 * thresholds(ten)[2])
    candidate = window_statistics(ten, 0)
    reference = np.arange(n, dtype=np.int32)
    for (name, _), d in zip(ten.populations, distance, strict=True):
        moved = np.where(reference < n - round(d * n), reference, 2 * n)
        candidate = changed(candidate, name, cc=moved * RESOLUTION["CC"])
    references = {("CC", name): (reference,) * 3 for name, _ in ten.populations}
    verdict = judge(candidate, replace(ten, samples=ten.samples | references))
    assert verdict.failed == ()
    assert verdict.passed is passes
    assert verdict.failures == (() if passes else ("CC of all",))


def test_a_realisation_passes_and_its_verdict_is_plain_data(ten):
    verdict = judge(window_statistics(ten, 0), ten)
    assert verdict.passed
    assert verdict.failed == ()
    assert len(verdict.cells) == 24
    plain = json.loads(json.dumps(verdict.to_dict()))
    assert plain["passed"] is True
    assert plain["cells"][0]["statistic"] == "FR"
    assert [test["statistic"] for test in plain["pooled"]] == ["FR", "CV", "CC"]
    cell = verdict.cell("CC", "L6I")
    assert cell.nest_low <= cell.nest_mean <= cell.nest_high < cell.threshold


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_shifted_rates_of_one_population_fail_its_rate_alone(ten, factor):
    for i in range(3):
        statistics = window_statistics(ten, i)
        rate = scaled_rates(statistics.populations[2].rate, 10000, factor, np.random.default_rng(i))
        verdict = judge(changed(statistics, "L4E", rate=rate), ten)
        assert [(c.statistic, c.population) for c in verdict.failed] == [("FR", "L4E")]
        assert not verdict.passed


def test_lines_mark_what_failed(ten):
    statistics = window_statistics(ten, 0)
    lines = judge(statistics, ten).lines()
    assert lines[-1] == "passed"
    assert not any("!" in line for line in lines)
    silent = changed(statistics, "L5I", cc=np.empty(0))
    lines = judge(silent, ten).lines()
    assert lines[-1] == "failed: CC of L5I"
    assert [line.split()[0] for line in lines if "!" in line] == ["L5I"]
    assert [line.split()[0] for line in lines[2:10]] == [name for name, _ in ten.populations]
    assert lines[7].split()[-2:] == ["1.0000", f"/{thresholds(ten)[2, 5]:.4f}!"]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_empty_sample_fails(ten, statistic):
    field = {"FR": "rate", "CV": "cv", "CC": "cc"}[statistic]
    silent = changed(window_statistics(ten, 0), "L5I", **{field: np.empty(0)})
    verdict = judge(silent, ten)
    assert [(c.statistic, c.population, c.distance) for c in verdict.failed] == [
        (statistic, "L5I", 1.0)
    ]


def test_longer_runs_are_cut_and_say_so(ten):
    step = source = np.empty(0, dtype=np.uint32)
    window = Window(first_step=5001, n_steps=25000)
    statistics, baseline, verdict = judge_spikes(step, source, ten.populations, window)
    assert statistics.duration_ms == baseline.duration_ms == verdict.judged_ms == 1000
    assert verdict.candidate_ms == 2500
    assert "first 1000 ms of 2500 ms" in verdict.note
    assert "CC over 1000 ms shows gross errors of synchrony only" in verdict.note
    assert not verdict.passed


def test_only_runs_too_short_for_correlations_are_told_so(ten, one):
    weak = "CC over 1000 ms shows gross errors of synchrony only; judge 10000 ms for more"
    cut = "The first 10000 ms of 25000 ms were judged, against NEST windows of the same length"
    assert judge(window_statistics(one, 0), one).note == weak
    assert judge(window_statistics(ten, 0), ten).note == ""
    assert judge(window_statistics(ten, 0), ten, candidate_ms=25000.0).note == cut


def test_what_cannot_be_judged_is_refused(ten, one):
    statistics = window_statistics(ten, 0)
    with pytest.raises(InvalidInputError, match="duration_ms"):
        judge(statistics, one)
    with pytest.raises(InvalidInputError, match="populations"):
        judge(replace(statistics, populations=statistics.populations[:-1]), ten)
    with pytest.raises(InvalidInputError, match="three or more"):
        judge(statistics, ten.without(123450))
    with pytest.raises(InvalidInputError, match="no verdict is possible"):
        judge_spikes(
            np.empty(0, int), np.empty(0, int), ten.populations, Window(first_step=1, n_steps=5000)
        )
    with pytest.raises(InvalidInputError, match="must be one of"):
        ten.without(1)


def test_poisson_control_has_the_given_rates():
    rate = np.array([0.0, 5.0, 50.0])
    window = Window(first_step=11, n_steps=1_000_000)
    step, source = poisson_spikes(rate, window, np.random.default_rng(1))
    assert step.min() >= 11
    assert step.max() < 1_000_011
    found = np.bincount(source, minlength=3) / 100.0
    np.testing.assert_allclose(found, rate, atol=2.5, rtol=0)
    assert found[0] == 0
