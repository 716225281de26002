"""Export: the edges of an image, in order, whole and in part, with and without numba."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import networks
import numpy as np
import pytest

from csnn import edges as edge_files
from csnn import rows
from csnn.edges import Edges
from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.rows import weight_units
from netgen import export, unrolling
from netgen.export import MAX_EDGES, export_edges, iter_edges

E_SIZE, SIZE = networks.E_SIZE, networks.E_SIZE + networks.I_SIZE


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All samplers: independent, distinct, stubs and stored; several nodes per population."""
    network = networks.network(
        networks.projection("E", "E", networks.RULES["fixed_total_number"], autapses=False),
        networks.projection("E", "E", networks.RULES["one_to_one"]),
        networks.projection("E", "I", networks.RULES["fixed_indegree"]),
        networks.projection("I", "E", networks.RULES["pairwise_bernoulli"]),
    )
    return networks.image(network, tmp_path_factory.mktemp("export") / "image")


def brute_force(image: Image) -> list[tuple[int, int, float, float]]:
    """Unroll row by row with the definition; return the edges sorted by the documented order."""
    found = []
    for node in image.nodes:
        own = []
        for index in range(len(node.blocks)):
            block = node.block(index)
            for source, seed, length in zip(*node.rows(index), strict=True):
                one = rows.unroll(block, np.array([source]), np.array([seed]), np.array([length]))
                own += [
                    (int(source), int(n), int(d), int(c))
                    for n, d, c in zip(one.neuron, one.delay, one.code, strict=True)
                ]
        grid = 2.0**node.grid_exponent
        for source, neuron, delay, code in sorted(own):
            weight = int(weight_units(np.array([code]))[0]) * grid
            found.append((source, node.first_neuron + neuron, weight, round(0.1 * (delay + 1), 6)))
    return found


def as_tuples(edges: Edges) -> list[tuple[int, int, float, float]]:
    columns = (edges.source, edges.target, edges.weight, edges.delay_ms)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_export_is_what_the_rows_unroll_to(image: Image) -> None:
    edges = export_edges(image)
    assert as_tuples(edges) == brute_force(image)
    assert len(edges) == image.manifest["synapses"]
    assert set(image.manifest["synapses_by_sampler"]) == {
        "independent",
        "distinct",
        "stubs",
        "stored",
    }
    assert (edges.weight[edges.source >= E_SIZE] < 0).all()
    assert (edges.weight[edges.source < E_SIZE] > 0).all()


def test_numba_makes_no_difference(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = export_edges(image)
    assert unrolling.compiled_rows() is not None
    monkeypatch.setattr(unrolling, "compiled_rows", lambda: None)
    assert export_edges(image) == compiled


def test_order_is_node_source_target_delay_weight(image: Image) -> None:
    for number, edges in enumerate(iter_edges(image)):
        node = image.nodes[number]
        assert (edges.target >= node.first_neuron).all()
        assert (edges.target < node.first_neuron + node.n_neurons).all()
        keys = (np.abs(edges.weight), edges.weight < 0, edges.delay_ms, edges.target)
        assert np.array_equal(np.lexsort((*keys, edges.source)), np.arange(len(edges)))


def test_nodes_add_up_to_the_whole(image: Image) -> None:
    parts = list(iter_edges(image))
    assert len(parts) == image.n_nodes
    whole = export_edges(image)
    for field in edge_files.COLUMNS:
        joined = np.concatenate([getattr(part, field) for part in parts])
        assert np.array_equal(joined, getattr(whole, field))
    assert export_edges(image, nodes=[1]) == parts[1]
    assert export_edges(image, nodes=(3, 0, 3)) == export_edges(image, nodes=[0, 3])


@pytest.mark.parametrize(
    ("targets", "sources"),
    [
        ("E", None),
        (None, "I"),
        ("I", "E"),
        (range(20, 30), None),
        ("20:30", ["E", "70:75"]),
        ((range(1), range(SIZE - 1, SIZE)), range(3, 60, 7)),
        (["E", "I"], ["E", "I"]),
    ],
)
def test_parts_are_what_a_filter_keeps(image: Image, targets: object, sources: object) -> None:
    numbers = {"E": range(E_SIZE), "I": range(E_SIZE, SIZE), "20:30": range(20, 30)}
    numbers["70:75"] = range(70, 75)

    def chosen(selection: object) -> set[int]:
        if selection is None:
            return set(range(SIZE))
        items = [selection] if isinstance(selection, str | range) else list(selection)
        return {n for item in items for n in (numbers[item] if isinstance(item, str) else item)}

    wanted = [
        edge
        for edge in as_tuples(export_edges(image))
        if edge[0] in chosen(sources) and edge[1] in chosen(targets)
    ]
    assert wanted
    assert as_tuples(export_edges(image, targets=targets, sources=sources)) == wanted


def test_a_part_may_be_empty(image: Image) -> None:
    empty = export_edges(image, nodes=[0], targets="I")
    assert len(empty) == 0
    assert empty.source.dtype == np.uint32
    assert empty.weight.dtype == np.float64
    assert list(iter_edges(image, nodes=[0], targets="I")) == []
    assert len(export_edges(image, nodes=[])) == 0


@pytest.mark.parametrize("field", ["targets", "sources"])
@pytest.mark.parametrize(
    "selection", ["X", "", "5:5", "9:3", "0:84", "-1:3", range(-1, 2), range(80, 84), ["E", "F"]]
)
def test_unknown_neurons_are_refused(image: Image, field: str, selection: object) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{field} = .*must be a population \(E, I\)"):
        export_edges(image, **{field: selection})


@pytest.mark.parametrize("node", [-1, 4])
def test_unknown_nodes_are_refused(image: Image, node: int) -> None:
    with pytest.raises(InvalidInputError, match=rf"^nodes = {node}: .* below 4$"):
        next(iter_edges(image, nodes=[node]))


def test_too_many_edges_are_refused_before_they_are_made(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = image.manifest["synapses"]
    assert len(export_edges(image, limit=total)) == total
    monkeypatch.setattr(export, "unroll", lambda *_: pytest.fail("unrolled"))
    with pytest.raises(InvalidInputError, match=rf"^export of {total:,} edges .* select a part"):
        export_edges(image, limit=total - 1)
    with pytest.raises(InvalidInputError, match="select a part"):
        export_edges(image, targets="E", limit=10)
    assert MAX_EDGES == 50_000_000


def test_too_many_edges_of_parts_of_nodes_are_refused(image: Image) -> None:
    few = len(export_edges(image, targets="0:30"))
    assert len(export_edges(image, targets="0:30", limit=few)) == few
    with pytest.raises(InvalidInputError, match="select a part"):
        export_edges(image, targets="0:30", limit=few - 1)


def test_memory_of_the_iterator_is_that_of_a_node(image: Image) -> None:
    for _ in iter_edges(image):
        pass
    largest = max(len(edges) for edges in iter_edges(image))
    tracemalloc.start()
    for edges in iter_edges(image):
        del edges
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * largest + 200_000


def test_delays_read_as_a_user_writes_them() -> None:
    assert export.delays_ms(0.1, 64).tolist() == [round(0.1 * k, 1) for k in range(1, 65)]
    assert export.delays_ms(0.05, 3).tolist() == [0.05, 0.1, 0.15]


def test_stored_edge_list_comes_back_exactly(tmp_path: Path) -> None:
    edges = networks.random_edges(2000, 7)
    network = networks.edge_network(tmp_path, "stored", edges)
    for row_layout in ("dense", "sparse"):
        image = networks.image(network, tmp_path / "image", row_layout=row_layout)
        exported = export_edges(image)
        # The weights lie on the grid, so nothing is rounded; the order is the export's.
        assert sorted(as_tuples(exported)) == sorted(as_tuples(edges))
        assert image.manifest["edge_fit"]["largest_weight_error"] == 0.0
        path = tmp_path / "again.npz"
        edge_files.write(path, exported)
        assert edge_files.read(path, SIZE) == exported


def test_stored_weights_are_rounded_to_the_grid_and_to_nothing_else(tmp_path: Path) -> None:
    edges = networks.random_edges(1000, 8)
    rng = np.random.default_rng(9)
    weight = edges.weight * rng.uniform(0.5, 1.5, len(edges))
    listed = Edges(source=edges.source, target=edges.target, weight=weight, delay_ms=edges.delay_ms)
    network = networks.edge_network(tmp_path, "stored", listed)
    image = networks.image(network, tmp_path / "image")
    grid = image.manifest["weight_grid"]
    rounded = Edges(
        source=edges.source,
        target=edges.target,
        weight=np.rint(weight / grid) * grid,
        delay_ms=edges.delay_ms,
    )
    assert sorted(as_tuples(export_edges(image))) == sorted(as_tuples(rounded))
    fit = image.manifest["edge_fit"]
    assert 0 < fit["largest_weight_error"] <= grid / 2
    assert max(fit["mean_error"], fit["variance_error"]) < 1e-4
