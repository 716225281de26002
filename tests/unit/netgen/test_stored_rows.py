"""Stored rows that a rule needs: weights and delays follow their distributions, and nothing else.

Rows of tables get theirs from the alias tables, which have tests of their own; the words of stored
rows are drawn by the generator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import networks
import numpy as np
import pytest
from scipy import stats

from csnn.image.store import Image
from csnn.rows import Sampler, Synapses, unroll, weight_units
from csnn.spec.distributions import Normal
from csnn.spec.network import FixedIndegree, OneToOne, Projection
from netgen.discretise import Pmf, delay_pmf, weight_pmf

WEIGHT = Normal(mu=90.0, sigma=20.0, minimum=0.0)
DELAY = Normal(mu=1.5, sigma=0.75, minimum=0.05)
LEVEL = 1e-4
# Rules whose rows are stored, with the size of a population that gets thousands of synapses.
CASES = {
    "one_to_one": (4000, OneToOne(), True, True),
    "without multapses": (200, FixedIndegree(indegree=40), True, False),
    "without autapses": (200, FixedIndegree(indegree=40), False, True),
    "without both": (200, FixedIndegree(indegree=40), False, False),
}


@dataclass(frozen=True)
class Stored:
    """Synapses of all stored rows, in the order of their words: arrays with an entry for each."""

    node: np.ndarray
    order: np.ndarray
    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    weight: np.ndarray

    def others(self) -> dict[str, np.ndarray]:
        """Return what neither weight nor delay may depend on."""
        return {"order": self.order, "source": self.source, "target": self.target}


def stored(image: Image) -> Stored:
    parts = []
    for node in image.nodes:
        assert [entry["sampler"] for entry in node.blocks] == [Sampler.STORED]
        source, seed, length = node.rows(0)
        found: Synapses = unroll(node.block(0), source, seed, length)
        n = len(found.row)
        assert n == len(node.synapses)
        parts.append(
            (
                np.full(n, node.node),
                np.arange(n),
                source[found.row].astype(np.int64),
                found.neuron.astype(np.int64),
                found.delay.astype(np.int64) + 1,
                weight_units(found.code),
            )
        )
    return Stored(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Projection, Image]:
    size, rule, autapses, multapses = CASES[request.param]
    projection = networks.projection(
        "E", "E", rule, weight=WEIGHT, delay=DELAY, autapses=autapses, multapses=multapses
    )
    network = networks.network(projection, populations=(networks.population("E", size),))
    folder: Path = tmp_path_factory.mktemp("stored")
    return projection, networks.image(network, folder / "image", neurons_per_node=128)


def fit_p_value(drawn: np.ndarray, pmf: Pmf) -> float:
    """Chi-square of draws against a distribution, among outcomes expected ten times or more."""
    values, probabilities = pmf
    assert np.isin(drawn, values).all()
    expected = probabilities * len(drawn)
    common = expected >= 10
    assert common.sum() > 20
    seen = np.bincount(np.searchsorted(values, drawn), minlength=len(values))[common]
    law = expected[common] / expected[common].sum()
    return float(stats.chisquare(seen, law * seen.sum()).pvalue)


def independence_p_value(drawn: np.ndarray, other: np.ndarray) -> float:
    return float(stats.spearmanr(drawn, other).pvalue)


def test_weights_and_delays_follow_their_distributions(case: tuple[Projection, Image]) -> None:
    projection, image = case
    found = stored(image)
    assert len(found.weight) >= 4000
    weights = weight_pmf(projection.weight, image.manifest["weight_grid"])
    delays = delay_pmf(projection.delay_ms, image.dt_ms)
    assert fit_p_value(found.weight, weights) > LEVEL
    assert fit_p_value(found.delay, delays) > LEVEL
    # Values of the tables that are drawn without their probabilities must be seen.
    rng = np.random.default_rng(1)
    for values, probabilities in (weights, delays):
        uniform = rng.choice(values, len(found.weight))
        assert fit_p_value(uniform, (values, probabilities)) < 1e-12


def test_weights_and_delays_are_independent(case: tuple[Projection, Image]) -> None:
    found = stored(case[1])
    for drawn in (found.weight, found.delay):
        for other in found.others().values():
            assert independence_p_value(drawn, other) > LEVEL
        assert independence_p_value(drawn[1:], drawn[:-1]) > LEVEL
    assert independence_p_value(found.weight, found.delay) > LEVEL
    # Weights that rise with the number of the target must be seen.
    by_target = np.lexsort((found.target, found.node))
    weight = np.empty_like(found.weight)
    weight[by_target] = found.weight[np.lexsort((found.weight, found.node))]
    wrong = replace(found, weight=weight)
    assert independence_p_value(wrong.weight, wrong.target) < 1e-12


def test_nodes_draw_words_of_their_own(case: tuple[Projection, Image]) -> None:
    found = stored(case[1])
    parts = [found.weight[found.node == node] for node in range(case[1].n_nodes)]
    n = min(len(part) for part in parts)
    assert len(parts) > 1
    for first, second in pairwise(parts):
        assert independence_p_value(first[:n], second[:n]) > LEVEL
