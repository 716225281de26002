"""Negative control: independent Poisson spikes at NEST's own rates, neuron by neuron."""

from __future__ import annotations

import pytest
from full_scale import PD14, poisson_control, window

from csnn.validation.criteria import judge_spikes


def judge_poisson(seconds, realisation):
    spikes = poisson_control(realisation, 1000.0 * seconds)
    return judge_spikes(*spikes, PD14, window(1000.0 * seconds))[2]


def failed_cells(verdict, statistic):
    return sum(cell.statistic == statistic for cell in verdict.failed)


def test_one_second_fails_by_irregularity():
    verdict = judge_poisson(1, 0)
    assert not verdict.passed
    assert failed_cells(verdict, "CV") == 8
    # Poisson counts of one second scatter more than the network's, so that FR fails as well; CC
    # sees nothing in so short a time.
    assert [test.statistic for test in verdict.failed_pooled] == ["FR", "CV"]
    assert failed_cells(verdict, "CC") == 0


@pytest.mark.parametrize("realisation", [0, 2])
def test_ten_seconds_fail_by_irregularity_and_correlation(realisation):
    verdict = judge_poisson(10, realisation)
    assert not verdict.passed
    assert failed_cells(verdict, "CV") == 8
    assert {"CV", "CC"} <= {test.statistic for test in verdict.failed_pooled}
    # Single cells of CC would not do: NEST realisations differ too much among themselves.
    assert failed_cells(verdict, "CC") <= 2
