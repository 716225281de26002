"""The machine against live NEST runs of the microcircuit at a tenth of its size.

What is required, fixed before any result was seen:

- Rates: per population, the logarithm of the mean rate of several machine realisations and of the
  NEST realisations is compared by a two-sample t-test with pooled variance; a population strays if
  its probability is below 1 % divided by the number of populations.
- Distributions: one machine run, judged by `csnn.validation.criteria` as a full-scale run is, with
  the three NEST runs of this very test as the baseline.

A network whose inhibition is 5 % heavier must fail in both.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from csnn.oracle import nest
from csnn.simulator.fast import FastSimulator
from csnn.spec.description import Description
from csnn.spec.network import Network
from csnn.spec.pd14 import INHIBITION_FACTOR, pd14
from csnn.validation.baseline import Baseline, quantised_samples, sorted_ks_distance
from csnn.validation.criteria import Verdict, judge
from csnn.validation.statistics import STATISTICS, Statistics, Window, compute_statistics
from netgen.build import generate

pytestmark = pytest.mark.slow

SCALE = 0.1
WARMUP_STEPS = 5000
STEPS = 50_000
UNIT_STEPS = 10_000
NEST_SEEDS = (1, 2, 3)
MACHINE_SEEDS = (1, 2, 3, 4, 5, 6)
FALSE_ALARM = 0.01

Spikes = tuple[np.ndarray, np.ndarray]
Samples = dict[tuple[str, str], np.ndarray]


def microcircuit(inhibition: float = INHIBITION_FACTOR) -> Network:
    return pd14(n_scale=SCALE, k_scale=SCALE, inhibition=inhibition)


POPULATIONS = [(p.name, p.size) for p in microcircuit().populations]


@pytest.fixture(scope="module")
def nest_runs() -> list[Spikes]:
    if not nest.is_installed():
        reason = 'NEST is not installed: pip install "csnn[nest]"'
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(seed: int) -> Spikes:
        # One thread each: threads of one run would wait for each other at every step.
        found = nest.run_network(
            microcircuit(),
            time_ms=STEPS / 10.0,
            warmup_ms=WARMUP_STEPS / 10.0,
            seed=seed,
            threads=1,
        )
        return found.step, found.source

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, NEST_SEEDS))


def machine_runs(network: Network, folder: Path) -> list[Spikes]:
    runs = []
    for seed in MACHINE_SEEDS:
        image = generate(Description(network=network), seed, folder / f"seed{seed}")
        run = FastSimulator(image).run(WARMUP_STEPS + STEPS)
        kept = run.step > WARMUP_STEPS
        runs.append((run.step[kept], run.source[kept]))
    return runs


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> list[Spikes]:
    return machine_runs(microcircuit(), tmp_path_factory.mktemp("right"))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> list[Spikes]:
    heavier = microcircuit(1.05 * INHIBITION_FACTOR)
    return machine_runs(heavier, tmp_path_factory.mktemp("wrong"))


def mean_rates_hz(runs: list[Spikes]) -> np.ndarray:
    """Return the mean rate of each population in each run, shape (runs, populations)."""
    edges = np.cumsum([0] + [size for _, size in POPULATIONS])
    counts = [np.histogram(source, edges)[0] for _, source in runs]
    return np.array(counts) / np.diff(edges) / (STEPS * 1e-4)


def straying_populations(
    references: list[Spikes], candidates: list[Spikes]
) -> dict[str, tuple[float, float]]:
    """Return the populations whose rates differ: ratio of the mean rates, and probability."""
    log_a, log_b = np.log(mean_rates_hz(references)), np.log(mean_rates_hz(candidates))
    found = stats.ttest_ind(log_a, log_b, axis=0)
    ratio = np.exp(log_b.mean(axis=0) - log_a.mean(axis=0))
    return {
        name: (float(ratio[p]), float(found.pvalue[p]))
        for p, (name, _) in enumerate(POPULATIONS)
        if found.pvalue[p] < FALSE_ALARM / len(POPULATIONS)
    }


def statistics_of(spikes: Spikes, offset: int = 0, steps: int = STEPS) -> Statistics:
    window = Window(first_step=WARMUP_STEPS + 1 + offset, n_steps=steps)
    return compute_statistics(*spikes, POPULATIONS, window)


def distances(a: Samples, b: Samples) -> np.ndarray:
    """Return the KS distances of two sets of samples, shape (3, populations)."""
    return np.array(
        [
            [sorted_ks_distance(a[s, name], b[s, name]) for name, _ in POPULATIONS]
            for s in STATISTICS
        ]
    )


def independent_sizes(samples: list[Samples]) -> np.ndarray:
    """Return the mean number of independent values: m neurons make m (m - 1) / 2 pairs."""
    sizes = np.array(
        [[[one[s, name].size for name, _ in POPULATIONS] for s in STATISTICS] for one in samples],
        dtype=np.float64,
    )
    sizes[:, STATISTICS.index("CC")] = (
        1.0 + np.sqrt(1.0 + 8.0 * sizes[:, STATISTICS.index("CC")])
    ) / 2.0
    return sizes.mean(axis=0)


def live_baseline(runs: list[Spikes]) -> Baseline:
    """Return the baseline of NEST runs, as `csnn.validation.build_baseline` defines it."""
    whole = [quantised_samples(statistics_of(run)) for run in runs]
    n = len(whole)
    between = np.zeros((len(STATISTICS), len(POPULATIONS), n, n))
    for i, j in itertools.combinations(range(n), 2):
        between[:, :, i, j] = between[:, :, j, i] = distances(whole[i], whole[j])
    unit = {}
    for seed, run, samples in zip(NEST_SEEDS, runs, whole, strict=True):
        seconds = [
            quantised_samples(statistics_of(run, first, UNIT_STEPS))
            for first in range(0, STEPS, UNIT_STEPS)
        ]
        within = [distances(a, b) for a, b in itertools.combinations(seconds, 2)]
        shrink = np.sqrt(independent_sizes(seconds) / independent_sizes([samples]))
        unit[seed] = np.mean(within, axis=0) * shrink
    return Baseline(
        duration_ms=STEPS / 10.0,
        populations=tuple(POPULATIONS),
        window_seed=np.array(NEST_SEEDS, dtype=np.int64),
        samples={key: tuple(one[key] for one in whole) for key in whole[0]},
        distances=between,
        unit=unit,
        provenance={},
    )


@pytest.fixture(scope="module")
def baseline(nest_runs: list[Spikes]) -> Baseline:
    return live_baseline(nest_runs)


def describe(verdict: Verdict) -> str:
    return "; ".join(
        f"{cell.statistic} {cell.population} {cell.distance:.3f} of {cell.threshold:.3f} "
        f"(NEST {cell.nest_low:.3f} to {cell.nest_high:.3f})"
        for cell in verdict.cells
    )


def test_rates_are_those_of_nest(nest_runs: list[Spikes], right: list[Spikes]) -> None:
    theirs, ours = (mean_rates_hz(runs).mean(axis=0) for runs in (nest_runs, right))
    print("rates of NEST", theirs.round(3), "ratio", (ours / theirs).round(3))
    assert (mean_rates_hz(nest_runs) > 0.1).all()
    assert straying_populations(nest_runs, right) == {}


def test_distributions_lie_in_the_spread_of_nest(baseline: Baseline, right: list[Spikes]) -> None:
    verdict = judge(statistics_of(right[0]), baseline)
    print(describe(verdict))
    assert verdict.passed, describe(verdict)


def test_heavier_inhibition_fails_in_both(
    nest_runs: list[Spikes],
    baseline: Baseline,
    wrong: list[Spikes],
) -> None:
    straying = straying_populations(nest_runs, wrong)
    verdict = judge(statistics_of(wrong[0]), baseline)
    print(straying)
    print(describe(verdict))
    assert straying != {}
    assert not verdict.passed, describe(verdict)
