"""Workloads of the performance model: spikes in order, rows as the nodes find them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import RULES, network, projection
from networks import image as image_of

from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.perf.rows import ABSENT_ROW, EMPTY_ROW, KIND_BITS, KIND_MASK, NO_ROW, ROW, read_rows
from csnn.perf.statistics import nodes_reached
from csnn.perf.workload import make_workload


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    path: Path = tmp_path_factory.mktemp("workload") / "image"
    # A source of E has two rows in the nodes of E.
    made = network(
        projection("E", "E", RULES["pairwise_bernoulli"]),
        projection("E", "E", RULES["fixed_total_number"]),
        projection("I", "E", RULES["fixed_total_number"]),
        projection("E", "I", RULES["pairwise_bernoulli"]),
    )
    return image_of(made, path)


def found_synapses(image: Image, source: int) -> list[int]:
    """Return the synapses of a source in each node, as the router's look-up finds them."""
    spike = np.array([source], dtype=np.uint32)
    return [
        sum(int(node.find_rows(k, spike)[2].sum()) for k in range(len(node.blocks)))
        for node in image.nodes
    ]


def test_lengths_are_those_of_the_rows_that_a_spike_finds(image: Image) -> None:
    lengths = read_rows(image) >> KIND_BITS
    assert lengths.sum() == sum(int(node.length.sum()) for node in image.nodes)
    for source in range(image.n_neurons):
        assert lengths[:, source].sum(axis=0).tolist() == found_synapses(image, source)
    other = lengths.copy()
    other[0, 3, 0] += 1
    assert other[:, 3].sum(axis=0).tolist() != found_synapses(image, 3)


def test_kinds_are_those_that_the_look_up_meets(image: Image) -> None:
    rows = read_rows(image)
    seen = set()
    for number, node in enumerate(image.nodes):
        for source in range(image.n_neurons):
            spike = np.array([source], dtype=np.uint32)
            expected = []
            for k, block in enumerate(node.blocks):
                if 0 <= source - int(block["source_first"]) < int(block["source_count"]):
                    length = node.find_rows(k, spike)[2]
                    kind = ROW if length.sum() else EMPTY_ROW
                    expected.append(kind if len(length) else ABSENT_ROW)
            found = (rows[:, source, number] & KIND_MASK).tolist()
            assert [kind for kind in found if kind != NO_ROW] == expected
            seen |= set(found)
    assert {NO_ROW, ROW} < seen


def test_spikes_stand_by_step_node_and_neuron(image: Image) -> None:
    rng = np.random.default_rng(5)
    step = np.sort(rng.integers(3, 20, 200)).astype(np.uint32)
    source = rng.integers(0, image.n_neurons, 200).astype(np.uint32)
    work = make_workload(image, step, source, 5, 10, read_rows(image))
    assert work.counts.sum() == ((step >= 5) & (step < 15)).sum()
    for at in range(10):
        for number, node in enumerate(image.nodes):
            cell = at * work.nodes + number
            part = slice(work.first[cell], work.first[cell + 1])
            mine = np.isin(source, node.source_ids) & (step == at + 5)
            assert sorted(work.source[part]) == sorted(source[mine])
            assert (np.diff(work.local[part]) >= 0).all()
            assert node.source_ids[work.local[part]].tolist() == work.source[part].tolist()


def test_unrolling_counts_the_rows_of_all_spikes(image: Image) -> None:
    step, source = np.array([1, 1, 2], np.uint32), np.array([0, 7, 9], np.uint32)
    work = make_workload(image, step, source, 1, 2, read_rows(image))
    expected = [
        np.add(found_synapses(image, 0), found_synapses(image, 7)),
        found_synapses(image, 9),
    ]
    assert work.unroll_cycles().tolist() == [list(row) for row in expected]


def test_nodes_reached_have_a_target(image: Image) -> None:
    lengths = read_rows(image) >> KIND_BITS
    reached = nodes_reached(lengths, np.arange(image.n_neurons))
    expected = [sum(n > 0 for n in found_synapses(image, s)) for s in range(image.n_neurons)]
    assert reached.tolist() == expected


def test_a_source_that_is_no_neuron_is_refused(image: Image) -> None:
    step, source = np.array([1], np.uint32), np.array([image.n_neurons + 5], np.uint32)
    with pytest.raises(
        InvalidInputError, match=f"source = {image.n_neurons + 5}: must be a neuron"
    ):
        make_workload(image, step, source, 1, 1, read_rows(image))


def test_a_workload_is_frozen(image: Image) -> None:
    work = make_workload(
        image, np.zeros(0, np.uint32), np.zeros(0, np.uint32), 1, 2, read_rows(image)
    )
    assert replace(work, steps=2).counts.sum() == 0
