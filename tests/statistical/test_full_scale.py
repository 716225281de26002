"""The full-scale microcircuit passes against NEST, and wrong networks do not.

Each network is generated and simulated for 10 s of model time: minutes, on two cores.
"""

from __future__ import annotations

import functools

import pytest
from full_scale import CASES, PD14, run_case, window

from csnn import output
from csnn.validation.criteria import judge_spikes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def verdict_of(tmp_path_factory):
    """Return a function that judges a case over a duration, simulating it once."""

    @functools.cache
    def spikes(name):
        directory = tmp_path_factory.mktemp("case")
        run_case(CASES[name], directory)
        return output.read_spikes(directory)

    return lambda name, time_ms: judge_spikes(*spikes(name), PD14, window(time_ms))[2]


@pytest.mark.parametrize("name", ["seed 1", "seed 2", "seed 3"])
def test_ten_seconds_agree_with_nest(verdict_of, name):
    assert verdict_of(name, 10000).failures == ()


def test_one_second_agrees_with_nest(verdict_of):
    assert verdict_of("seed 1", 1000).failures == ()


@pytest.mark.parametrize("name", ["inhibition", "background"])
@pytest.mark.parametrize("time_ms", [1000, 10000])
def test_a_wrong_network_fails(verdict_of, name, time_ms):
    # 5 % heavier inhibition moves every rate a little: at 10 s no single population shows it.
    verdict = verdict_of(name, time_ms)
    assert not verdict.passed
    assert "FR of all" in verdict.failures
