"""Report of fitted tables: its numbers by hand, and what a fit keeps and loses."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

from csnn.edges import Edges
from csnn.errors import InvalidInputError
from csnn.image.store import Image
from netgen.edge_rows import LocalEdges
from netgen.export import export_edges
from netgen.fit_report import FitReport, NodeFit, check_moments


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def node_fit(**changes: Any) -> NodeFit:
    """Four edges of two sources onto three neurons; tables of weights 1 and 3, delays 1 and 2."""
    settings: dict[str, Any] = {
        "n_sources": 2,
        "n_neurons": 3,
        "first_neuron": 2,
        "grid": 0.5,
        # Pairs 0->0 twice, 0->1, 1->2.
        "listed": LocalEdges(
            ints(0, 0, 0, 1), ints(0, 0, 1, 2), np.array([1.0, 3.0, 1.0, 3.0]), ints(1, 1, 1, 2)
        ),
        # Pairs 0->0, 0->2 twice, 1->2.
        "drawn": LocalEdges(
            ints(0, 0, 0, 1), ints(0, 2, 2, 2), np.array([1.0, 1.0, 3.0, 3.0]), ints(1, 2, 1, 1)
        ),
        "weight": (np.array([1.0, 3.0]), np.array([0.5, 0.5])),
        "delay": (ints(1, 2), np.array([0.5, 0.5])),
    }
    return NodeFit(**{**settings, **changes})


def report_of(*fits: tuple[str, str, int, NodeFit], n_ex: int = 3, n_in: int = 2) -> dict[str, Any]:
    report = FitReport([("E", n_ex), ("I", n_in)])
    for fit in fits:
        report.add(*fit)
    return report.to_dict()


def test_numbers_of_one_sub_network() -> None:
    report = report_of(("I", "E", 0, node_fit()))
    assert report["representation"] == "fitted"
    (pair,) = report["pairs"]
    assert (pair.pop("source"), pair.pop("target")) == ("I", "E")
    assert pair["edges"] == 4
    assert pair["weight"] == {
        "listed_mean": 2.0,
        "listed_sd": 1.0,
        "mean_error": 0.0,
        "variance_error": 0.0,
        "worst_node_mean_error": 0.0,
        "worst_node_variance_error": 0.0,
        "ks_distance": 0.0,
    }
    # Listed 3/4 of the delays are 1, in the table 1/2; means 1.25 and 1.5.
    assert pair["delay"] == {
        "mean_error": pytest.approx(0.25 / 1.25),
        "ks_distance": pytest.approx(0.25),
    }
    assert pair["out_degree_difference"] == 0
    # In-degrees 2, 1, 1 become 1, 0, 3.
    assert pair["in_degree"] == {
        "listed_mean": pytest.approx(4 / 3),
        "drawn_mean": pytest.approx(4 / 3),
        "listed_sd": pytest.approx(np.std([2, 1, 1])),
        "drawn_sd": pytest.approx(np.std([1, 0, 3])),
        "ks_distance": pytest.approx(1 / 3),
    }
    assert pair["multapse_share"] == {"listed": 0.25, "drawn": 0.25}
    # One of the two edges 0->0, and 1->2, which got another delay.
    assert pair["recovered_pair_share"] == 0.5
    assert pair["recovered_share"] == 0.25
    # Listed weights 1, 3, 1, 3 with delays 1, 1, 1, 2; drawn 1, 1, 3, 3 with 1, 2, 1, 1.
    assert pair["weight_delay_correlation"] == {
        "listed": pytest.approx(np.corrcoef([1, 3, 1, 3], [1, 1, 1, 2])[0, 1]),
        "drawn": pytest.approx(np.corrcoef([1, 1, 3, 3], [1, 2, 1, 1])[0, 1]),
    }
    assert pair["sources_of_both_signs"] == {"listed": 0, "drawn": 0}
    assert pair["autapse_share"] == {"listed": 0.0, "drawn": 0.0}
    # Overall there are two more neurons without edges.
    overall = report["overall"]
    assert overall["in_degree"]["listed_mean"] == pytest.approx(4 / 5)
    assert overall["in_degree"]["ks_distance"] == pytest.approx(1 / 5)
    assert {k: v for k, v in overall.items() if k != "in_degree"} == {
        k: v for k, v in pair.items() if k != "in_degree"
    }


def test_numbers_of_several_sub_networks() -> None:
    # The same node gets edges from E, too: table weights 2 for listed weights 1 and 3.
    other = node_fit(
        drawn=LocalEdges(ints(0, 0, 1, 1), ints(0, 1, 2, 2), np.full(4, 2.0), ints(1, 1, 1, 2)),
        weight=(np.array([2.0]), np.array([1.0])),
    )
    fits = [("I", "E", 0, node_fit()), ("E", "E", 0, other), ("E", "I", 1, node_fit())]
    report = report_of(*fits, n_in=3)
    assert [(pair["source"], pair["target"]) for pair in report["pairs"]] == [
        ("E", "E"),
        ("I", "E"),
        ("E", "I"),
    ]
    first = report["pairs"][0]
    assert first["weight"]["variance_error"] == 1.0
    assert first["weight"]["ks_distance"] == 0.5
    assert first["out_degree_difference"] == 1
    assert first["multapse_share"] == {"listed": 0.25, "drawn": 0.25}
    assert first["recovered_pair_share"] == 0.75
    assert first["recovered_share"] == 0.0
    assert first["weight_delay_correlation"]["drawn"] == 0.0  # weights do not vary
    overall = report["overall"]
    assert overall["edges"] == 12
    assert overall["weight"]["mean_error"] == pytest.approx(0.0)
    assert overall["weight"]["variance_error"] == pytest.approx(1 / 3)
    assert overall["weight"]["worst_node_variance_error"] == 1.0
    assert overall["out_degree_difference"] == 1
    assert overall["recovered_pair_share"] == pytest.approx((2 + 3 + 2) / 12)
    assert overall["recovered_share"] == pytest.approx(2 / 12)
    # In-degrees of a neuron add up over its sources: listed 4, 2, 2 and 2, 1, 1 (in node 1).
    assert overall["in_degree"]["listed_mean"] == pytest.approx(12 / 6)


def test_autapses_are_those_of_the_node_s_own_neurons() -> None:
    # Neurons 0 and 1 of the node are sources 1 and 2.
    own = node_fit(
        n_sources=3,
        first_neuron=1,
        listed=LocalEdges(ints(1, 2, 0), ints(0, 0, 0), np.ones(3), ints(1, 1, 1)),
        drawn=LocalEdges(ints(1, 2, 0), ints(0, 1, 1), np.ones(3), ints(1, 1, 1)),
    )
    (pair,) = report_of(("E", "E", 0, own))["pairs"]
    assert pair["autapse_share"] == {"listed": pytest.approx(1 / 3), "drawn": pytest.approx(2 / 3)}


def test_sources_of_both_signs_are_found_across_nodes() -> None:
    def fit(listed: list[float], drawn: list[float]) -> NodeFit:
        def edges(weights: list[float]) -> LocalEdges:
            return LocalEdges(ints(0, 1, 9), ints(0, 1, 2), np.array(weights), ints(1, 1, 1))

        return node_fit(n_sources=10, listed=edges(listed), drawn=edges(drawn))

    fits = [
        ("E", "E", 0, fit([1.0, 1.0, -1.0], [1.0, 1.0, 1.0])),
        ("E", "E", 1, fit([1.0, -1.0, -1.0], [1.0, 1.0, -1.0])),
        ("E", "I", 2, fit([1.0, -1.0, 0.0], [-1.0, -1.0, 0.0])),
        ("I", "I", 2, fit([-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0])),
    ]
    report = report_of(*fits, n_ex=6, n_in=3)
    assert [pair["sources_of_both_signs"] for pair in report["pairs"]] == [
        {"listed": 1, "drawn": 1},
        {"listed": 0, "drawn": 0},
        {"listed": 0, "drawn": 0},
    ]
    assert report["overall"]["sources_of_both_signs"] == {"listed": 1, "drawn": 3}


def test_the_order_of_nodes_does_not_matter() -> None:
    fits = [("E", "E", k, node_fit()) for k in range(2)] + [("E", "I", 2, node_fit())]
    assert report_of(*fits, n_ex=6, n_in=3) == report_of(*fits[::-1], n_ex=6, n_in=3)


def test_constant_weights_have_no_variance_to_lose() -> None:
    # Three times 0.1 has a mean that is not quite 0.1: rounding noise is no spread.
    listed = LocalEdges(ints(0, 0, 1), ints(0, 1, 2), np.array([0.1] * 3), ints(1, 1, 1))
    fit = node_fit(listed=listed, weight=(np.array([0.1]), np.array([1.0])))
    (pair,) = report_of(("I", "E", 0, fit))["pairs"]
    assert pair["weight"]["mean_error"] < 1e-15
    assert pair["weight"]["variance_error"] < 1e-15


@pytest.mark.parametrize("place", ["pair", "overall"])
@pytest.mark.parametrize("error", ["mean_error", "variance_error"])
@pytest.mark.parametrize(
    ("unit", "key", "grid"), [("pA", "weight_pA", "0.5 pA"), ("1", "weight", "0.5")]
)
def test_moments_that_are_not_kept_are_refused(
    place: str, error: str, unit: str, key: str, grid: str
) -> None:
    report = report_of(("I", "E", 0, node_fit()))
    check_moments(report, "list.csv", 0.5, unit)
    wrong = copy.deepcopy(report)
    entry = wrong["pairs"][0] if place == "pair" else wrong["overall"]
    entry["weight"][error] = 0.9e-3
    check_moments(wrong, "list.csv", 0.5, unit)
    entry["weight"][error] = 1.1e-3
    name = "I->E" if place == "pair" else "all edges"
    rule = rf"^list.csv: {name}: {key} = 2 \+- 1: .*grid of {grid} change .*0.0011.*\"stored\"$"
    with pytest.raises(InvalidInputError, match=rule) as caught:
        check_moments(wrong, "list.csv", 0.5, unit)
    assert "\n" not in str(caught.value)


def listed_edges() -> Edges:
    """Return 4,000 edges with few multapses and uneven in-degrees."""
    edges = networks.random_edges(4000, 3)
    target = (edges.target * edges.target // 83 + edges.source).astype(np.uint32) % 83
    return Edges(
        source=edges.source,
        target=target.astype(np.uint32),
        weight=edges.weight,
        delay_ms=edges.delay_ms,
    )


def pairs_of(edges: Edges) -> np.ndarray:
    return edges.source.astype(np.int64) * 83 + edges.target


def test_a_fit_keeps_statistics_and_loses_identity(tmp_path: Path) -> None:
    before = listed_edges()
    network = networks.edge_network(tmp_path, "fitted", before)
    image = networks.image(network, tmp_path / "image")
    after = export_edges(image)
    report = image.manifest["edge_fit"]
    overall = report["overall"]
    assert overall["edges"] == len(before) == len(after) == image.manifest["synapses"]
    # What is kept: moments by the tables, delays, out-degrees in every node.
    for entry in (overall, *report["pairs"]):
        assert max(entry["weight"]["mean_error"], entry["weight"]["variance_error"]) <= 1e-3
        assert entry["weight"]["worst_node_variance_error"] <= 1e-3
        assert entry["weight"]["ks_distance"] < 0.05
        assert entry["delay"]["ks_distance"] < 1e-4
        assert entry["out_degree_difference"] == 0
        assert entry["in_degree"]["listed_mean"] == pytest.approx(entry["in_degree"]["drawn_mean"])
    for node in image.nodes:
        own = range(node.first_neuron, node.first_neuron + node.n_neurons)
        counts = [
            np.bincount(edges.source[np.isin(edges.target, own)], minlength=83)
            for edges in (before, after)
        ]
        assert np.array_equal(*counts)
    # What is drawn has those moments within the error of 4,000 samples.
    for kind in (-1.0, 1.0):
        listed = before.weight[before.weight * kind > 0]
        drawn = after.weight[after.weight * kind > 0]
        error = 4 * listed.std() / np.sqrt(len(listed))
        assert abs(listed.mean() - drawn.mean()) < error
    # The report against a count over the exported edges.
    pairs, numbers = np.unique(pairs_of(before), return_counts=True)
    drawn_pairs, drawn_numbers = np.unique(pairs_of(after), return_counts=True)
    _, here, there = np.intersect1d(pairs, drawn_pairs, return_indices=True)
    share = np.minimum(numbers[here], drawn_numbers[there]).sum() / len(before)
    assert overall["recovered_pair_share"] == pytest.approx(share)
    assert overall["recovered_share"] == pytest.approx(shared_edges(image, before, after))
    assert overall["multapse_share"] == {
        "listed": pytest.approx(1 - len(pairs) / len(before)),
        "drawn": pytest.approx(1 - len(drawn_pairs) / len(before)),
    }
    degrees = [np.bincount(edges.target, minlength=83) for edges in (before, after)]
    assert overall["in_degree"]["listed_sd"] == pytest.approx(degrees[0].std())
    assert overall["in_degree"]["drawn_sd"] == pytest.approx(degrees[1].std())
    # What is lost: most edges are others than before, and delays no longer go with weights.
    assert overall["recovered_share"] < overall["recovered_pair_share"] < 0.6
    for kind, edges in (("listed", before), ("drawn", after)):
        of = np.corrcoef(edges.weight, edges.delay_ms)[0, 1]
        assert overall["weight_delay_correlation"][kind] == pytest.approx(of, abs=1e-9)
        signs = [np.bincount(edges.source[s * edges.weight > 0], minlength=83) for s in (1, -1)]
        both = np.count_nonzero(signs[0] * signs[1])
        assert overall["sources_of_both_signs"][kind] == both
        assert overall["autapse_share"][kind] == np.mean(edges.source == edges.target)


def shared_edges(image: Image, before: Edges, after: Edges) -> float:
    """Return the share of edges in both lists, weights on the grid."""
    grid = image.manifest["weight_grid"]

    def rows(edges: Edges) -> Counter[tuple[int, int, int, int]]:
        units = np.rint(edges.weight / grid).astype(int).tolist()
        delay = np.rint(edges.delay_ms / image.dt_ms).astype(int).tolist()
        return Counter(zip(edges.source.tolist(), edges.target.tolist(), units, delay, strict=True))

    return (rows(before) & rows(after)).total() / len(before)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_fit_keeps_signs_and_makes_no_autapses_or_multapses(tmp_path: Path, sparse: bool) -> None:
    rng = np.random.default_rng(8)
    pairs = rng.permutation(83 * 83)[:3000]
    source, target = pairs // 83, pairs % 83
    keep = source != target
    source, target = source[keep].astype(np.uint32), target[keep].astype(np.uint32)
    # Every source excites even and inhibits odd neurons, with a delay of its own for either.
    even = target % 2 == 0
    before = Edges(
        source=source,
        target=target,
        weight=np.where(even, 20.0, -40.0),
        delay_ms=np.where(even, 1.5, 0.8),
    )
    network = networks.edge_network(tmp_path, "fitted", before)
    layout = "sparse" if sparse else "dense"
    image = networks.image(network, tmp_path / "image", row_layout=layout)
    after = export_edges(image)
    for sign in (1, -1):
        counts = [
            np.bincount(edges.source[edges.weight * sign > 0], minlength=83)
            for edges in (before, after)
        ]
        assert np.array_equal(*counts)
    for weight, delay in ((20.0, 1.5), (-40.0, 0.8)):
        assert np.unique(after.delay_ms[after.weight == weight]).tolist() == [delay]
    overall = image.manifest["edge_fit"]["overall"]
    assert overall["autapse_share"] == {"listed": 0.0, "drawn": 0.0}
    assert not np.any(after.source == after.target)
    # Distinct targets within a sign; the two signs of a source may meet in one target.
    signed = pairs_of(after) * 2 + (after.weight > 0)
    assert len(np.unique(signed)) == len(signed)
    assert overall["weight_delay_correlation"]["drawn"] == pytest.approx(1.0)
    shares = overall["recovered_share"], overall["recovered_pair_share"]
    assert 0.1 < shares[0] < shares[1] < 0.9
    assert shares[0] == pytest.approx(shared_edges(image, before, after))


def test_stored_edges_are_all_recovered(tmp_path: Path) -> None:
    before = listed_edges()
    network = networks.edge_network(tmp_path, "stored", before)
    image = networks.image(network, tmp_path / "image")
    assert np.array_equal(np.sort(pairs_of(before)), np.sort(pairs_of(export_edges(image))))
    assert image.manifest["edge_fit"]["representation"] == "stored"


def test_edges_are_told_from_projections_between_the_same_populations(tmp_path: Path) -> None:
    edges = networks.edge_network(tmp_path, "fitted", listed_edges())
    alone = networks.image(edges, tmp_path / "alone").manifest["edge_fit"]
    mixed = networks.network(
        networks.projection("E", "E", networks.RULES["fixed_total_number"]),
        networks.projection("I", "E", networks.RULES["fixed_indegree"]),
        edges=edges.edges,
    )
    image = networks.image(mixed, tmp_path / "mixed", row_layout="sparse")
    report = image.manifest["edge_fit"]
    assert image.manifest["synapses"] > 4000
    assert report["overall"]["edges"] == 4000
    for found, wanted in zip(report["pairs"], alone["pairs"], strict=True):
        assert found["edges"] == wanted["edges"]
        assert found["in_degree"]["listed_sd"] == wanted["in_degree"]["listed_sd"]
        assert found["in_degree"]["drawn_mean"] == wanted["in_degree"]["drawn_mean"]
        assert found["out_degree_difference"] == 0


def test_a_grid_too_coarse_for_the_fit_is_refused(tmp_path: Path) -> None:
    edges = networks.random_edges(300, 4)
    small = Edges(
        source=edges.source,
        target=edges.target,
        weight=np.full(300, 10.3),
        delay_ms=edges.delay_ms,
    )
    network = networks.edge_network(tmp_path, "fitted", small)
    networks.image(network, tmp_path / "fine")
    with pytest.raises(InvalidInputError, match=r"edges E->node 0.weight_pA .*grid of 2 pA") as e:
        networks.image(network, tmp_path / "coarse", weight_grid=2.0)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "coarse").exists()
