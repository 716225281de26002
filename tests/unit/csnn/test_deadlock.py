"""Nothing in the machine can wait for itself: the graph of what waits for what has no cycle."""

from __future__ import annotations

import itertools

import pytest
from channel_graph import BROADCAST, UNICAST, Machine, cycle, graph, turn_graph, turns

from csnn.hardware.mesh import Direction, Mesh, RouterConfig, Site
from rtl.mesh.unicast_router import may_leave

NEAREST = (0, 0, 0)
EXPRESS_X = (3, 0, 0)
SMALL = [s for s in itertools.product((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3)) if s != (1, 1, 1)]
FULL = (12, 12, 3)


class YBeforeX(RouterConfig):
    """Routes to every other column go along Y before X: a planted fault."""

    def unicast(self, here: Site, target: Site) -> Direction | None:
        if target[0] % 2 and here[1] != target[1]:
            return Direction(1, 1 if target[1] > here[1] else -1)
        return super().unicast(here, target)


class Overshooting(RouterConfig):
    """Takes the fewest links along X, past the target and back if need be, express links first."""

    def nearest_first(self, target: Site) -> bool:
        """Whether the nearest link comes before the express links."""
        return False

    def unicast(self, here: Site, target: Site) -> Direction | None:
        distance, span = target[0] - here[0], self.express[0]
        if not distance:
            return super().unicast(here, target)
        rest = (distance + span // 2) % span - span // 2
        if rest and (self.nearest_first(target) or rest == distance):
            return Direction(0, 1 if rest > 0 else -1)
        return Direction(0, span if distance > rest else -span)


class InAnyOrder(Overshooting):
    """To every other row it takes the nearest link first: a planted fault."""

    def nearest_first(self, target: Site) -> bool:
        return bool(target[1] % 2)


class MixedWithin(RouterConfig):
    """Takes express and nearest links along X in two orders, but never past the target."""

    def unicast(self, here: Site, target: Site) -> Direction | None:
        distance = target[0] - here[0]
        if target[1] % 2 and distance % self.express[0]:
            return Direction(0, 1 if distance > 0 else -1)
        return super().unicast(here, target)


def mesh(shape: Site, router: RouterConfig) -> Mesh:
    return Mesh(shape=shape, n_nodes=1, router=router)


@pytest.mark.parametrize("express", [NEAREST, (2, 2, 2), (3, 0, 2), (3, 3, 0)])
def test_no_cycle_in_any_small_mesh(express: Site) -> None:
    for shape in SMALL:
        place = mesh(shape, RouterConfig(express=express))
        edges = graph(Machine(mesh=place))
        links = 2 * sum(sum(place.links(site)) for site in place.sites)
        assert sum(v[0] == "link" for v in edges) <= links
        assert {v for v in edges if v[:2] == ("link", UNICAST)} == {
            ("link", UNICAST, site, direction)
            for site in place.sites
            for direction, exists in zip(place.router.directions, place.links(site), strict=True)
            if exists
        }
        assert cycle(edges) is None, shape


@pytest.mark.parametrize("express", [NEAREST, (3, 3, 0), (4, 3, 2)])
def test_no_cycle_in_the_full_machine(express: Site) -> None:
    place = mesh(FULL, RouterConfig(express=express))
    edges = graph(Machine(mesh=place))
    assert cycle(edges) is None
    # What hardware connects is what routes use, and has no cycle whatever the packets are.
    pairs = itertools.product(place.router.directions, repeat=2)
    allowed = {pair for pair in pairs if may_leave(*pair)}
    # In three places along Z there is not room for all turns of express links that pass two.
    assert turns(edges) <= allowed
    assert express[2] or turns(edges) == allowed
    assert cycle(turn_graph(place, allowed)) is None


@pytest.mark.parametrize(
    ("router", "shape", "is_sound"),
    [
        (RouterConfig(), (3, 3, 1), True),
        (YBeforeX(), (3, 3, 1), False),
        (MixedWithin(express=EXPRESS_X), (8, 2, 1), True),
        (Overshooting(express=EXPRESS_X), (8, 2, 1), True),
        (InAnyOrder(express=EXPRESS_X), (8, 2, 1), False),
    ],
)
def test_another_order_of_links_gives_a_cycle(
    router: RouterConfig, shape: Site, is_sound: bool
) -> None:
    assert (cycle(graph(Machine(mesh=mesh(shape, router)))) is None) == is_sound


@pytest.mark.parametrize("shape", [(3, 3, 1), (2, 2, 2), (5, 4, 3)])
@pytest.mark.parametrize("express", [NEAREST, (3, 3, 0)])
def test_one_network_for_both_channels_has_a_cycle(shape: Site, express: Site) -> None:
    place = mesh(shape, RouterConfig(express=express))
    found = cycle(graph(Machine(mesh=place, shares_router=True)))
    assert found
    assert any(vertex[0] == "stage" for vertex in found)
    # It is the stage of the copies that makes it: no route from the master leads back to it, so
    # one buffer for both channels would do as long as nodes always take what comes.
    assert cycle(graph(Machine(mesh=place, shares_buffers=True))) is None


@pytest.mark.parametrize("shape", [(3, 3, 1), (2, 2, 2)])
def test_what_is_assumed_is_needed(shape: Site) -> None:
    place = mesh(shape, RouterConfig())
    # A node that takes no spikes while its own wait: they wait for the master, and it for the node.
    found = cycle(graph(Machine(mesh=place, nodes_wait=frozenset({BROADCAST}))))
    assert found
    assert {("injection", BROADCAST, place.master)} < set(found)
    # Two that broadcast: what goes one way and what goes the other meet in the stage.
    corner = tuple(extent - 1 for extent in shape)
    assert cycle(graph(Machine(mesh=place, senders=(place.master, corner))))
