"""The machine against live NEST runs of the microcircuit at a tenth of its size.

What is required:

- Rates: per population, the logarithm of the mean rate of several machine realisations and of the
  NEST realisations is compared by a two-sample t-test with pooled variance; a population strays if
  its probability is below 1 % divided by the number of populations.
- Distributions of FR, CV and CC: of all ways to split the runs into groups of these sizes, that
  into machine and NEST must not be the one that separates them best. By chance it is once in 84.

A network whose inhibition is 5 % heavier must fail in both.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from commands import require_nest
from scipy import stats

from csnn.oracle import nest
from csnn.simulator.fast import FastSimulator
from csnn.spec.description import Description
from csnn.spec.network import Network
from csnn.spec.pd14 import INHIBITION_FACTOR, pd14
from csnn.validation.baseline import quantised_samples, sorted_ks_distance
from csnn.validation.statistics import STATISTICS, Statistics, Window, compute_statistics
from netgen.build import generate

pytestmark = pytest.mark.slow

SCALE = 0.1
WARMUP_STEPS = 5000
STEPS = 50_000
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
    require_nest()

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


def statistics_of(spikes: Spikes) -> Statistics:
    window = Window(first_step=WARMUP_STEPS + 1, n_steps=STEPS)
    return compute_statistics(*spikes, POPULATIONS, window)


def distances(a: Samples, b: Samples) -> np.ndarray:
    """Return the KS distances of two sets of samples, shape (3, populations)."""
    return np.array(
        [
            [sorted_ks_distance(a[s, name], b[s, name]) for name, _ in POPULATIONS]
            for s in STATISTICS
        ]
    )


def rank_of_split(references: list[Spikes], candidates: list[Spikes]) -> int:
    """Return how many splits of the runs separate them as well as this one; 1 is the best.

    A split is as good as the mean KS distance across it is large, relative to that of all pairs, on
    average over statistics and populations.
    """
    samples = [quantised_samples(statistics_of(run)) for run in (*references, *candidates)]
    n = len(samples)
    pairwise = np.zeros((n, n, len(STATISTICS), len(POPULATIONS)))
    for i, j in itertools.combinations(range(n), 2):
        pairwise[i, j] = pairwise[j, i] = distances(samples[i], samples[j])
    pairwise /= pairwise.mean(axis=(0, 1))
    across = [
        pairwise[np.ix_(part, np.setdiff1d(np.arange(n), part))].mean()
        for part in itertools.combinations(range(n), len(references))
    ]
    # The first combination is the true split.
    return int(np.count_nonzero(np.array(across) >= across[0] - 1e-12))


def test_rates_are_those_of_nest(nest_runs: list[Spikes], right: list[Spikes]) -> None:
    theirs, ours = (mean_rates_hz(runs).mean(axis=0) for runs in (nest_runs, right))
    print("rates of NEST", theirs.round(3), "ratio", (ours / theirs).round(3))
    assert (mean_rates_hz(nest_runs) > 0.1).all()
    assert straying_populations(nest_runs, right) == {}


def test_distributions_do_not_tell_machine_from_nest(
    nest_runs: list[Spikes], right: list[Spikes]
) -> None:
    rank = rank_of_split(nest_runs, right)
    print("rank of the split:", rank)
    assert rank > 1


def test_heavier_inhibition_fails_in_both(nest_runs: list[Spikes], wrong: list[Spikes]) -> None:
    straying, rank = straying_populations(nest_runs, wrong), rank_of_split(nest_runs, wrong)
    print(straying, "rank of the split:", rank)
    assert straying != {}
    assert rank == 1
