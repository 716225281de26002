"""The verdict of the protocol on NEST's own realisations and on changed ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from csnn.protocol.distances import Distances, measure
from csnn.protocol.distribution import Distribution
from csnn.protocol.reference import Reference, shipped_reference
from csnn.protocol.settings import Settings
from csnn.protocol.table import lines
from csnn.protocol.verdict import allowed_failures, judge, nest_alarms
from csnn.validation.criteria import centres, pooled_thresholds, thresholds


@pytest.fixture(scope="module", params=[1000.0, 10_000.0], ids=["1s", "10s"])
def reference(request):
    return shipped_reference(Settings(seeds=(1,), time_ms=request.param))


@pytest.fixture(scope="module")
def ten():
    return shipped_reference(Settings(seeds=(1,), time_ms=10_000.0))


def scaled(samples, factor, statistic="FR"):
    """Return samples with all values of a statistic times a factor."""
    return {
        key: Distribution(values=np.rint(d.values * factor).astype(np.int32), counts=d.counts)
        if key[0] == statistic
        else d
        for key, d in samples.items()
    }


def judged(candidates, reference):
    distances = measure(candidates, reference)
    return judge(distances, reference, tuple(range(1, len(candidates) + 1)))


def test_false_alarms_on_nest_itself(reference):
    # What `criteria` tests cell by cell, as the protocol counts it.
    assert nest_alarms(reference).sum() <= (1 if reference.duration_ms < 10_000 else 0)


def test_a_realisation_far_from_the_others_raises_an_alarm():
    seconds = shipped_reference(Settings(seeds=(1,), time_ms=1000.0))
    assert not nest_alarms(seconds)[17]
    moved = seconds.baseline.distances.copy()
    moved[0, 2, 17] *= 8
    moved[0, 2, :, 17] *= 8
    assert nest_alarms(replace(seconds, baseline=replace(seconds.baseline, distances=moved)))[17]


@pytest.mark.parametrize("out", [0, 1, 2])
def test_each_realisation_passes_as_a_candidate(ten, out):
    # It is among the windows that it is compared with, at distance 0, so scale that away.
    distances = measure([ten.windows[out]], ten)
    nearer = replace(distances, to_nest=distances.to_nest * 1.5)
    verdict = judge(nearer, ten, (1,))
    assert verdict.passed, verdict.reasons
    assert verdict.smallest_p == 0.25


@pytest.mark.parametrize("statistic", ["FR", "CV", "CC"])
def test_a_changed_statistic_fails_and_is_named(ten, statistic):
    candidates = [scaled(w, 1.3, statistic) for w in ten.windows[:2]]
    verdict = judged(candidates, ten)
    assert not verdict.passed
    assert f"{statistic} of all" in verdict.failures
    assert all(name.startswith(statistic) for name in verdict.failures)
    assert "mean distances beyond their thresholds" in verdict.reasons[0]
    assert all(f"{statistic} of all" in failed for failed in verdict.seed_failures)


def test_ratio_is_of_the_windows_that_range_and_p_are_of(reference):
    candidates = [scaled(w, 1.1) for w in reference.windows[:2]]
    distances = measure(candidates, reference)
    verdict = judge(distances, reference, (1, 2))
    first = reference.first_windows
    upper = np.triu_indices(len(first), 1)
    for cell in verdict.cells:
        s = ["FR", "CV", "CC"].index(cell.statistic)
        p = [name for name, _ in reference.baseline.populations].index(cell.population)
        own = distances.nest[s, p][np.ix_(first, first)][upper].mean()
        assert cell.ratio == pytest.approx(distances.to_nest[s, p][:, first].mean() / own)
        assert cell.to_nest.mean == pytest.approx(distances.to_nest[s, p].mean())


def synthetic(reference, seeds, to_nest=1.0, among=1.0, rng=None):
    """Return distances as multiples of those that NEST realisations have on average."""
    centre = centres(reference.baseline)[:, :, np.newaxis, np.newaxis]
    n, w = len(seeds), len(reference.windows)
    noise = 1.0 if rng is None else rng.uniform(0.8, 1.2, (*centre.shape[:2], n, w))
    apart = np.broadcast_to(centre * among, (*centre.shape[:2], n, n)).copy()
    apart[:, :, range(n), range(n)] = 0.0
    return Distances(
        to_nest=np.broadcast_to(centre * to_nest * noise, (*centre.shape[:2], n, w)).copy(),
        among=apart,
        nest=reference.baseline.distances,
    )


def test_the_mean_over_seeds_is_what_thresholds_judge(ten):
    seeds = (1, 2, 3)
    distances = synthetic(ten, seeds, rng=np.random.default_rng(1))
    limit = thresholds(ten.baseline)
    # One seed beyond, the mean within: allowed once in three.
    distances.to_nest[0, 3, 1] = 1.2 * limit[0, 3]
    verdict = judge(distances, ten, seeds)
    assert verdict.passed, verdict.reasons
    assert verdict.seed_failures == ((), ("FR of L4I",), ())
    distances.to_nest[0, 3, 2] = 1.2 * limit[0, 3]
    verdict = judge(distances, ten, seeds)
    assert verdict.reasons == ("2 of 3 seeds fail alone, at most 1 may",)
    distances.to_nest[0, 3] = 1.01 * limit[0, 3]
    assert judge(distances, ten, seeds).failures == ("FR of L4I",)


def test_the_pooled_test_is_of_the_mean_distance(ten):
    limit = pooled_thresholds(ten.baseline)
    for factor, passes in ((0.999, True), (1.001, False)):
        distances = synthetic(ten, (1, 2))
        distances.to_nest[1] *= limit[1] * factor
        verdict = judge(distances, ten, (1, 2))
        assert ("CV of all" not in verdict.failures) == passes
        assert verdict.pooled[1].ratio == pytest.approx(limit[1] * factor)


def test_many_seeds_told_from_nest_fail_though_each_is_within_its_thresholds(ten):
    seeds = tuple(range(1, 11))
    distances = synthetic(ten, seeds, to_nest=1.18, among=0.5)
    verdict = judge(distances, ten, seeds)
    assert verdict.failures == ()
    assert verdict.seed_failures == ((),) * 10
    assert verdict.smallest_p == pytest.approx(1 / 286)
    assert verdict.family_p <= 0.01
    assert "told from NEST" in verdict.reasons[0]
    few = judge(synthetic(ten, seeds[:3], to_nest=1.18, among=0.5), ten, seeds[:3])
    assert few.passed
    assert any("cannot reject" in note for note in few.notes)


def test_allowed_failures_by_the_binomial_distribution():
    for n in range(1, 30):
        allowed = allowed_failures(n)
        assert stats.binom.sf(allowed, n, 0.03) <= 0.01 < stats.binom.sf(allowed - 1, n, 0.03)
    assert [allowed_failures(n) for n in (1, 2, 5, 10)] == [1, 1, 1, 2]


def test_ratios_and_ranges_by_hand(ten):
    verdict = judged(ten.windows[:2], ten)
    cell = verdict.cells[4]
    nest = ten.baseline.distances[0, 4]
    pairs = [nest[0, 1], nest[0, 2], nest[1, 2]]
    assert (cell.statistic, cell.population) == ("FR", "L5E")
    own = [(pairs[0] + pairs[1]) / 2, (pairs[0] + pairs[2]) / 2, (pairs[1] + pairs[2]) / 2]
    assert (cell.nest.low, cell.nest.high) == pytest.approx((min(own), max(own)))
    assert cell.nest.mean == pytest.approx(np.mean(pairs))
    means = [(pairs[0] + pairs[1]) / 3, (pairs[0] + pairs[2]) / 3]
    assert cell.to_nest.mean == pytest.approx(np.mean(means), rel=1e-5)
    assert cell.among.mean == pytest.approx(pairs[0], rel=1e-5)
    assert cell.ratio == pytest.approx(np.mean(means) / np.mean(pairs), rel=1e-5)


def test_the_table_fits_80_columns_and_marks_failures(ten):
    good = lines(judged(ten.windows[:1], ten))
    bad = lines(judged([scaled(w, 3.0) for w in ten.windows[:2]], ten))
    for text in (good, bad):
        assert max(map(len, text)) <= 79
        assert sum(line.startswith(("FR ", "CV ", "CC ")) for line in text) == 27
        assert not any("nan" in line for line in text)
    assert not any("!" in line for line in good)
    assert sum("!" in line for line in bad) >= 9
    assert bad[-1] != "passed"
    assert any(line.startswith("failed: mean distances") for line in bad)


def test_a_reference_of_1_s_uses_one_window_of_each_realisation():
    one = shipped_reference(Settings(seeds=(1,), time_ms=1500.0))
    assert isinstance(one, Reference)
    assert one.first_windows == [0, 10, 20]
    assert "the first 1000 ms of 1500 ms are judged" in one.note
    assert judged(one.windows[:1], one).ways == 4
