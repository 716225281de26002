"""Topologies of the performance model: the trees are those of the routers."""

from __future__ import annotations

import pytest

from csnn.errors import InvalidInputError
from csnn.hardware.mesh import Mesh, RouterConfig
from csnn.perf.topology import (
    Topology,
    make_topology,
    mesh_topology,
    populate,
    ring_topology,
    smallest_mesh,
    tree_topology,
)

MESHES = [
    Mesh(shape=(3, 3, 1), n_nodes=8),
    Mesh(shape=(3, 3, 3), n_nodes=20),
    Mesh(shape=(12, 1, 1), n_nodes=9, router=RouterConfig(express=(4, 0, 0))),
]


def broadcast_hops(topology: Topology) -> list[int]:
    """Count the links that a broadcast takes to every place; -1: it does not come there."""
    hops = [-1] * topology.places
    reached = [(topology.master, 0)]
    while reached:
        place, count = reached.pop()
        assert hops[place] < 0, "a broadcast comes twice"
        hops[place] = count
        reached += [(other, count + 1) for other in topology.down[place]]
    return hops


@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: str(mesh.shape))
def test_trees_of_a_mesh_are_its_routes(mesh: Mesh) -> None:
    topology = mesh_topology(mesh)
    places = {site: number for number, site in enumerate(mesh.sites)}
    hops = broadcast_hops(topology)
    for site in mesh.sites:
        number = places[site]
        assert topology.hops(number) == mesh.hops(site, mesh.master)
        assert hops[number] == mesh.hops(mesh.master, site)
    assert [mesh.sites[place] for place in topology.nodes] == list(mesh.nodes)
    for place, sources in enumerate(topology.inputs):
        assert all(topology.up[other] == place for other in sources)


@pytest.mark.parametrize(
    ("topology", "diameter", "degree"),
    [
        (ring_topology(8), 4, 2),
        (ring_topology(9), 5, 2),
        (tree_topology(12, 3), 2, 4),
        (make_topology("direct", 30), 1, 30),
        (make_topology("chip", 5), 1, 5),
    ],
)
def test_other_topologies(topology: Topology, diameter: int, degree: int) -> None:
    assert topology.diameter == diameter
    assert topology.degree == degree
    assert sorted(topology.nodes) == list(range(1, topology.places))
    assert broadcast_hops(topology) == [topology.hops(p) for p in range(topology.places)]
    # The nearest come first, as in a mesh.
    hops = [topology.hops(place) for place in topology.nodes]
    assert hops == sorted(hops)


def test_smallest_mesh_has_room() -> None:
    for n in (1, 8, 26, 305, 500):
        x, y, z = smallest_mesh(n)
        assert x * y * z > n
    assert smallest_mesh(8) == (3, 3, 1)
    assert smallest_mesh(26) == (3, 3, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_topology("star", 3), "topology.kind = 'star': must be one of mesh, tree"),
        (lambda: make_topology("mesh", 3), "topology.mesh = None"),
        (lambda: tree_topology(3, 0), "topology.arity = 0: must be an integer from 1"),
        (lambda: ring_topology(0), "topology.n_nodes = 0: must be an integer from 1"),
    ],
)
def test_what_cannot_be_is_refused(call: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("board", "per_device", "n_nodes"),
    [(mesh_topology(MESHES[0]), 3, 27), (ring_topology(4), 7, 30), (tree_topology(1, 1), 40, 60)],
)
def test_devices_with_several_nodes(board: Topology, per_device: int, n_nodes: int) -> None:
    topology = populate(board, per_device, n_nodes, 2)
    hops = broadcast_hops(topology)
    assert len(topology.nodes) == n_nodes
    hosts = (board.master, *board.nodes)
    for number, place in enumerate(topology.nodes):
        host = hosts[number // per_device]
        assert topology.devices[place] == board.devices[host]
        # A tree of 2: 2 nodes one link from the host, 4 nodes two links.
        index, depth = number % per_device, 1
        while index >= 2**depth:
            index, depth = index - 2**depth, depth + 1
        assert hops[place] == topology.hops(place) == board.hops(host) + depth
        assert place in topology.inputs[topology.up[place]]
    with pytest.raises(InvalidInputError, match=r"topology\.n_nodes = \d+: must be at most"):
        populate(board, per_device, per_device * len(hosts) + 1, 2)


def test_places_have_devices_of_their_own_unless_they_are_one_chip() -> None:
    assert tree_topology(6, 2).devices == tuple(range(7))
    assert make_topology("chip", 6).devices == (0,) * 7
