"""Mesh: routes are right and shortest, the broadcast tree reaches all, nodes stand near."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import pytest

from csnn.errors import InvalidInputError
from csnn.hardware.mesh import Direction, LinkConfig, Mesh, RouterConfig, Site

MESHES = [
    ((4, 3, 2), (0, 0, 0)),
    ((7, 3, 2), (3, 2, 0)),
    ((1, 9, 1), (0, 4, 0)),
    ((6, 1, 5), (2, 0, 3)),
    ((5, 5, 1), (3, 3, 0)),
    ((1, 1, 2), (0, 0, 0)),
]
LARGE = Mesh(shape=(12, 12, 3), n_nodes=431, router=RouterConfig(express=(3, 3, 0)))


def mesh(shape: Site, express: Site, n_nodes: int = 1) -> Mesh:
    return Mesh(shape=shape, n_nodes=n_nodes, router=RouterConfig(express=express))


def distances(place: Mesh, source: Site) -> dict[Site, int]:
    """Return the fewest links to every place, by breadth-first search over all links there are."""
    found, waiting = {source: 0}, deque([source])
    while waiting:
        here = waiting.popleft()
        for direction, exists in zip(place.router.directions, place.links(here), strict=True):
            there = direction.from_site(here)
            if exists and there not in found:
                found[there] = found[here] + 1
                waiting.append(there)
    return found


def fewest(distance: int, span: int) -> int:
    """Return the fewest links on an axis that never overshoot, by trying all."""
    span = span or 1
    return min(distance - n * (span - 1) for n in range(distance // span + 1))


@pytest.mark.parametrize(("shape", "express"), MESHES)
def test_routes_end_at_their_target_and_are_shortest(shape: Site, express: Site) -> None:
    place = mesh(shape, express)
    for source in place.sites:
        nearest = distances(place, source)
        assert set(nearest) == set(place.sites)
        for target in place.sites:
            here, axes = source, []
            for direction in place.router.route(source, target):
                assert place.links(here)[place.router.directions.index(direction)]
                here = direction.from_site(here)
                axes.append(direction.axis)
            assert here == target
            assert axes == sorted(axes)
            apart = [abs(a - b) for a, b in zip(source, target, strict=True)]
            assert len(axes) == sum(map(fewest, apart, express)) == place.hops(source, target)
            if not any(express):
                assert len(axes) == nearest[target]
    assert place.router.unicast((0, 0, 0), (0, 0, 0)) is None


@pytest.mark.parametrize(("shape", "express"), MESHES)
def test_broadcast_is_the_union_of_the_routes(shape: Site, express: Site) -> None:
    place = mesh(shape, express)
    router = place.router
    for sender in place.sites:
        routes = set()
        for target in place.sites:
            here, last = sender, None
            for last in router.route(sender, target):
                routes.add((here, last))
                here = last.from_site(here)
            assert router.arrival(sender, target) == last
        tree, reached, waiting = set(), Counter([sender]), [sender]
        while waiting:
            here = waiting.pop()
            for direction in router.branches(sender, here):
                there = direction.from_site(here)
                if place.contains(there):
                    tree.add((here, direction))
                    reached[there] += 1
                    waiting.append(there)
        assert tree == routes
        assert reached == Counter(place.sites)


def test_branches_of_a_large_mesh_reach_every_place_once() -> None:
    reached, waiting = Counter([LARGE.master]), [LARGE.master]
    while waiting:
        here = waiting.pop()
        for direction in LARGE.router.branches(LARGE.master, here):
            if LARGE.contains(there := direction.from_site(here)):
                reached[there] += 1
                waiting.append(there)
    assert reached == Counter(LARGE.sites)


def test_directions_and_their_names() -> None:
    names = [direction.name for direction in RouterConfig(express=(0, 3, 0)).directions]
    assert names == [
        "x_plus",
        "x_minus",
        "y_plus",
        "y_minus",
        "y_plus_3",
        "y_minus_3",
        "z_plus",
        "z_minus",
    ]
    direction = Direction(1, -3)
    assert direction.opposite == Direction(1, 3)
    assert direction.from_site((4, 5, 6)) == (4, 2, 6)
    assert direction.span == 3


def test_sites_and_links() -> None:
    place = mesh((3, 2, 1), (2, 0, 0))
    assert place.sites == ((0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 0), (2, 1, 0))
    links = dict(zip(place.router.directions, place.links((0, 1, 0)), strict=True))
    assert [d.name for d, exists in links.items() if exists] == ["x_plus", "x_plus_2", "y_minus"]
    assert not place.contains((3, 0, 0))
    assert not place.contains((0, -1, 0))


@pytest.mark.parametrize(("shape", "express"), MESHES)
def test_nodes_stand_as_near_as_they_can(shape: Site, express: Site) -> None:
    x, y, z = shape
    for n_nodes in range(1, x * y * z):
        place = mesh(shape, express, n_nodes)
        assert len(set(place.nodes)) == n_nodes
        assert place.master not in place.nodes
        relays = set(place.sites) - {*place.nodes, place.master}
        hops = [place.hops(place.master, site) for site in place.nodes]
        assert hops == sorted(hops)
        assert all(place.hops(place.master, relay) >= hops[-1] for relay in relays)


@pytest.mark.parametrize(
    ("shape", "master"),
    [((1, 1, 2), (0, 0, 0)), ((3, 4, 5), (1, 1, 2)), ((5, 4, 3), (2, 1, 1))],
)
def test_master_stands_at_the_centre(shape: Site, master: Site) -> None:
    place = mesh(shape, (0, 0, 0))
    assert place.master == master
    farthest = {site: max(place.hops(site, other) for other in place.sites) for site in place.sites}
    assert farthest[master] == min(farthest.values())
    assert LARGE.master == (5, 5, 1)


INTEGER = "must be an integer from {} to {}"
POWER = "must be a power of two from 2 to 64"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_cycles": 0}, f"link.frame_cycles = 0: {INTEGER.format(1, 256)}"),
        ({"timeout": 15}, f"link.timeout = 15: {INTEGER.format(16, 65536)}"),
        ({"retry_limit": 256}, f"link.retry_limit = 256: {INTEGER.format(1, 255)}"),
        ({"keepalive": 1}, f"link.keepalive = 1: {INTEGER.format(2, 65536)}"),
        ({"silence_limit": 3}, f"link.silence_limit = 3: {INTEGER.format(4, 1 << 20)}"),
        ({"window": 128}, f"link.window = 128: {INTEGER.format(2, 64)}"),
        ({"window": 12}, f"link.window = 12: {POWER}"),
        ({"buffer": 1}, f"link.buffer = 1: {INTEGER.format(2, 64)}"),
        ({"buffer": 33}, f"link.buffer = 33: {POWER}"),
        ({"buffer": True}, f"link.buffer = True: {INTEGER.format(2, 64)}"),
        (
            {"keepalive": 100, "silence_limit": 200},
            "link.silence_limit = 200: must be more than twice link.keepalive = 100",
        ),
        (
            {"frame_cycles": 100, "silence_limit": 200, "keepalive": 50},
            "link.silence_limit = 200: must be more than twice link.frame_cycles = 100",
        ),
        (
            {"keepalive": 512},
            "link.keepalive = 512: must be less than link.timeout = 512",
        ),
        (
            {"frame_cycles": 5, "timeout": 16, "keepalive": 8},
            "link.timeout = 16: must be at least 17, the round trip of a packet over wires of no "
            "length",
        ),
    ],
)
def test_bad_links_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        LinkConfig(**values)
    assert str(error.value) == message


def test_links_at_the_limits_are_accepted() -> None:
    LinkConfig(frame_cycles=256, timeout=268, keepalive=267, silence_limit=535)
    LinkConfig(frame_cycles=1, timeout=16, keepalive=15, silence_limit=31)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"express": (0, 0)}, "router.express = (0, 0): must have one number for each of X, Y, Z"),
        ({"express": 3}, "router.express = 3: must have one number for each of X, Y, Z"),
        ({"express": (0, 129, 0)}, f"router.express = 129: {INTEGER.format(0, 128)}"),
        ({"express": (0, 1, 0)}, "router.express = (0, 1, 0): express links pass 2 places or more"),
        ({"branch_buffer": 1}, f"router.branch_buffer = 1: {INTEGER.format(2, 1024)}"),
        ({"branch_buffer": 24}, "router.branch_buffer = 24: must be a power of two"),
    ],
)
def test_bad_routers_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        RouterConfig(**values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("shape", "n_nodes", "message"),
    [
        ((2, 2), 1, "mesh.shape = (2, 2): must have one number for each of X, Y, Z"),
        ([2, 2, 2], 1, "mesh.shape = [2, 2, 2]: must have one number for each of X, Y, Z"),
        ((0, 2, 2), 1, f"mesh.shape = 0: {INTEGER.format(1, 256)}"),
        ((1, 257, 1), 1, f"mesh.shape = 257: {INTEGER.format(1, 256)}"),
        ((2, 2, 2), 0, f"mesh.n_nodes = 0: {INTEGER.format(1, 65535)}"),
        (
            (2, 2, 2),
            8,
            "mesh.shape = 2,2,2: has 8 places; 8 compute nodes and the master node need more",
        ),
        ((256, 256, 2), 8, "mesh.shape = 256,256,2: has 131072 places; must be 65536 at most"),
    ],
)
def test_bad_meshes_are_refused(shape: Any, n_nodes: int, message: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        Mesh(shape=shape, n_nodes=n_nodes)
    assert str(error.value) == message


def test_as_many_places_as_numbers_of_nodes_are_accepted() -> None:
    assert Mesh(shape=(256, 256, 1), n_nodes=65535).master == (127, 127, 0)


@pytest.mark.parametrize(
    ("express", "wrong"),
    [
        ((0, 0, 0), None),
        ((2, 0, 0), None),
        ((2, 3, 0), None),
        ((3, 0, 0), "3 places along X"),
        ((2, 4, 0), "4 places along Y"),
        ((0, 0, 2), "1 places along Z"),
    ],
)
def test_express_links_that_lead_nowhere_are_refused(express: Site, wrong: str | None) -> None:
    place = mesh((3, 4, 1), express)
    lengths = [[d.span for d in place.router.directions if d.axis == axis] for axis in range(3)]
    used = {
        (direction.axis, direction.span)
        for site in place.sites
        for direction, exists in zip(place.router.directions, place.links(site), strict=True)
        if exists and direction.span > 1
    }
    if wrong is None:
        assert used == {(axis, max(spans)) for axis, spans in enumerate(lengths) if max(spans) > 1}
        place.check_express()
    else:
        assert len(used) < sum(1 for span in express if span)
        with pytest.raises(InvalidInputError) as error:
            place.check_express()
        assert str(error.value) == (
            f"router.express = {express}: must be 0 or less than the {wrong}"
        )
