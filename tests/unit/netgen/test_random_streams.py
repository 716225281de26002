"""What is random in an image is drawn apart: by purpose, projection, node and seed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import networks
import numpy as np
import pytest
from scipy import stats

from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.rows import Sampler
from csnn.spec.distributions import Constant
from csnn.spec.network import (
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    Network,
    PairwiseBernoulli,
    Rule,
)
from netgen.prepared import PreparedNetwork

LEVEL = 1e-5
N_NODES = 3
SIZE = N_NODES * networks.E_SIZE
# Rules with random lengths: about ten synapses of each source in each node.
RULES: dict[str, Rule] = {
    "fixed_total_number": FixedTotalNumber(count=5000),
    "fixed_indegree": FixedIndegree(indegree=33),
    "fixed_outdegree": FixedOutdegree(outdegree=27),
    "pairwise_bernoulli": PairwiseBernoulli(p=0.15),
}


def equal_projections(rule: Rule) -> Network:
    """Return one population in equal nodes with two projections that differ in nothing."""
    projection = networks.projection("E", "E", rule, weight=Constant(value=50.0))
    return networks.network(
        projection, projection, populations=(networks.population("E", SIZE, poisson=None),)
    )


def build(network: Network, out: Path, seed: int) -> Image:
    image = networks.image(
        network, out, seed=seed, neurons_per_node=networks.E_SIZE, random_delay_buffer=True
    )
    assert [node.n_neurons for node in image.nodes] == [networks.E_SIZE] * N_NODES
    return image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    """Two images of one network that differ in their seed."""
    # Equal in-degrees and weights: equal sums, so that buffers differ by their draws only.
    network = equal_projections(RULES["fixed_indegree"])
    folder = tmp_path_factory.mktemp("streams")
    return [build(network, folder / f"image{seed}", seed) for seed in (1, 2)]


def require_independent(parts: Iterable[np.ndarray]) -> None:
    """Require that no two of these arrays are correlated entry by entry."""
    for first, second in combinations(parts, 2):
        assert stats.pearsonr(first.ravel(), second.ravel()).pvalue > LEVEL


def nodes(images: list[Image]) -> list[NodeImage]:
    return [node for image in images for node in image.nodes]


def test_correlation_is_seen() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.poisson(9.0, (2, SIZE))
    require_independent([one, other])
    with pytest.raises(AssertionError):
        require_independent([one, one + other])


def test_initial_states_differ_between_nodes_and_seeds(images: list[Image]) -> None:
    states = [node.state.view(np.float32) for node in nodes(images)]
    for variable in range(3):
        words = np.concatenate([state[variable] for state in states])
        assert len(np.unique(words)) == len(words)
        require_independent(state[variable] for state in states)
    require_independent(np.concatenate([state[k] for state in states]) for k in range(3))


def test_external_generators_differ_between_lanes_nodes_and_seeds(images: list[Image]) -> None:
    states = np.concatenate([node.ext_states for node in nodes(images)])
    assert states.shape == (2 * N_NODES * 8, 4)
    assert len(np.unique(states, axis=0)) == len(states)
    assert len(np.unique(states)) == states.size


def test_delay_buffers_differ_between_nodes_and_seeds(images: list[Image]) -> None:
    assert all(image.manifest["largest_sum_units"] > 0 for image in images)
    buffers = [node.delay_buffer[:, 0] for node in nodes(images)]
    assert all(buffer.std() > 0 for buffer in buffers)
    require_independent(buffers)
    # Nor are slots of one node.
    require_independent(buffers[0][:8])


@pytest.mark.parametrize("rule", RULES)
def test_lengths_of_equal_projections_are_independent(tmp_path: Path, rule: str) -> None:
    lengths: dict[tuple[int, int, int], np.ndarray] = {}
    for seed in (1, 2):
        for node in build(equal_projections(RULES[rule]), tmp_path / f"image{seed}", seed).nodes:
            assert len(node.blocks) == 2
            for block in range(2):
                source, _, length = node.rows(block)
                dense = np.zeros(SIZE, dtype=np.int64)
                dense[source] = length
                lengths[seed, node.node, block] = dense
    for (one, first), (other, second) in combinations(lengths.items(), 2):
        # What is left of an out-degree in one node goes to the others.
        shared = one[0] == other[0] and one[2] == other[2]
        if not (rule == "fixed_outdegree" and shared):
            require_independent([first, second])


@pytest.mark.parametrize("rule", RULES)
def test_rows_have_seeds_of_their_own(tmp_path: Path, rule: str) -> None:
    images = [build(equal_projections(RULES[rule]), tmp_path / f"i{seed}", seed) for seed in (1, 2)]
    blocks = [(node, block) for node in nodes(images) for block in range(2)]
    assert len(blocks) == 4 * N_NODES
    if rule == "fixed_indegree":
        # Rows start from positions; the key of the permutation tells blocks apart.
        assert all(node.blocks["sampler"][block] == Sampler.STUBS for node, block in blocks)
        keys = {int(node.blocks["stub_key"][block]) for node, block in blocks}
        assert len(keys) == len(blocks)
        return
    seeds = [node.rows(block)[1] for node, block in blocks]
    assert [len(seed) for seed in seeds] == [SIZE] * len(blocks)
    assert len(np.unique(np.concatenate(seeds))) == len(blocks) * SIZE
    require_independent(seeds)


def test_every_purpose_draws_from_a_sequence_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, ...]] = []
    sequence = PreparedNetwork.sequence

    def noted(network: PreparedNetwork, purpose: int, index: int) -> np.random.SeedSequence:
        found = sequence(network, purpose, index)
        drawn.append(tuple(found.generate_state(4).tolist()))
        return found

    monkeypatch.setattr(PreparedNetwork, "sequence", noted)
    for seed in (1, 2):
        build(equal_projections(RULES["fixed_total_number"]), tmp_path / f"image{seed}", seed)
    # Two projections, the EXT streams, and rows, initial state and delay buffer of every node.
    assert len(drawn) == 2 * (2 + 1 + 3 * N_NODES)
    assert len(set(drawn)) == len(drawn)
