"""Mesh of nodes: coordinates, links, routes and who stands where.

Everything that must agree on a route takes it from here: routers, performance model, documentation.

Unicast goes in the order of the dimensions, X first, along the longest link that does not
overshoot. The routes from the master node to all others form a tree, since what is left of a route
does not depend on how it began: broadcasts go along it.

Reference: Heittmann et al. (2022), "The INC-3000 Communication System", Figure 5.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from csnn.errors import InvalidInputError, reject
from csnn.hardware.mesh_latency import link_round_trip
from csnn.spec import checks

AXES = ("x", "y", "z")
COORDINATE_BITS = 8
MAX_EXTENT = 1 << COORDINATE_BITS
# Numbers of nodes have 16 bits; there would be only more relays.
MAX_PLACES = 1 << 16
Site = tuple[int, int, int]


@dataclass(frozen=True)
class Direction:
    """Where a link leads: along an axis, by so many places, forward or back.

    Attributes
    ----------
    axis : int
        0 to 2: X, Y, Z.
    stride : int
        Places, with the sign of the direction.
    """

    axis: int
    stride: int

    @property
    def name(self) -> str:
        """Name of the ports, such as x_plus, or x_plus_3 of an express link."""
        way = "plus" if self.stride > 0 else "minus"
        return f"{AXES[self.axis]}_{way}" + (f"_{abs(self.stride)}" if self.span > 1 else "")

    @property
    def span(self) -> int:
        """Places passed."""
        return abs(self.stride)

    @property
    def opposite(self) -> Direction:
        """The direction back."""
        return Direction(self.axis, -self.stride)

    def from_site(self, site: Site) -> Site:
        """Return the place that the link leads to, in the mesh or not."""
        x, y, z = (place + self.stride * (axis == self.axis) for axis, place in enumerate(site))
        return x, y, z


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """Parameters of a link between two routers, in cycles of the communication clock.

    Attributes
    ----------
    frame_cycles : int
        A frame begins in every so many cycles at most: the rate of the link.
    window : int
        Frames that may be under way without having been acknowledged; a power of two.
    buffer : int
        Packets of a channel that the receiver has room for; a power of two.
    timeout : int
        Cycles without an acknowledgement after which all frames under way are sent again; above
        `mesh_latency.link_round_trip`, of which the wires' part is not known here.
    retry_limit : int
        Times that this may happen in a row before the link fails.
    keepalive : int
        A frame is sent after so many cycles without one.
    silence_limit : int
        Cycles without a sound frame after which a link fails that had received one.
    """

    frame_cycles: int = 4
    window: int = 64
    buffer: int = 64
    timeout: int = 512
    retry_limit: int = 8
    keepalive: int = 128
    silence_limit: int = 8192

    def __post_init__(self) -> None:
        for name, low, high in (
            ("frame_cycles", 1, 256),
            ("timeout", 16, 1 << 16),
            ("retry_limit", 1, 255),
            ("keepalive", 2, 1 << 16),
            ("silence_limit", 4, 1 << 20),
        ):
            checks.integer("link", name, getattr(self, name), low, high)
        for name in ("window", "buffer"):
            value = getattr(self, name)
            checks.integer("link", name, value, 2, 64)
            if value & (value - 1):
                raise reject(f"link.{name}", value, "must be a power of two from 2 to 64")
        round_trip = link_round_trip(self.frame_cycles)
        if self.timeout < round_trip:
            rule = (
                f"must be at least {round_trip}, the round trip of a packet over wires of no length"
            )
            raise reject("link.timeout", self.timeout, rule)
        if self.keepalive >= self.timeout:
            # A lost acknowledgement is not told again before.
            rule = f"must be less than link.timeout = {self.timeout}"
            raise reject("link.keepalive", self.keepalive, rule)
        for name in ("keepalive", "frame_cycles"):
            # Of two frames one may be lost.
            if self.silence_limit <= 2 * getattr(self, name):
                rule = f"must be more than twice link.{name} = {getattr(self, name)}"
                raise reject("link.silence_limit", self.silence_limit, rule)


@dataclass(frozen=True, kw_only=True)
class RouterConfig:
    """What is fixed when a router is synthesised.

    Attributes
    ----------
    express : tuple of 3 int
        Places that the express links along X, Y and Z pass; 0: there are none.
    link : LinkConfig
    branch_buffer : int
        Broadcast packets that wait at an output; a power of two.
    """

    express: tuple[int, int, int] = (0, 0, 0)
    link: LinkConfig = LinkConfig()
    branch_buffer: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.express, tuple) or len(self.express) != len(AXES):
            raise reject("router.express", self.express, "must have one number for each of X, Y, Z")
        for span in self.express:
            checks.integer("router", "express", span, 0, MAX_EXTENT // 2)
            if span == 1:
                raise reject("router.express", self.express, "express links pass 2 places or more")
        checks.integer("router", "branch_buffer", self.branch_buffer, 2, 1024)
        if self.branch_buffer & (self.branch_buffer - 1):
            raise reject("router.branch_buffer", self.branch_buffer, "must be a power of two")

    def spans(self, axis: int) -> tuple[int, ...]:
        """Return the lengths of the links along an axis, longest first."""
        return (self.express[axis], 1) if self.express[axis] else (1,)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Links of a router, in the order of its ports."""
        return tuple(
            Direction(axis, sign * span)
            for axis in range(len(AXES))
            for span in reversed(self.spans(axis))
            for sign in (1, -1)
        )

    def unicast(self, here: Site, target: Site) -> Direction | None:
        """Return the link that a unicast packet takes; None if it has arrived."""
        for axis, (place, goal) in enumerate(zip(here, target, strict=True)):
            distance = goal - place
            for span in self.spans(axis):
                if abs(distance) >= span:
                    return Direction(axis, span if distance > 0 else -span)
        return None

    def arrival(self, sender: Site, here: Site) -> Direction | None:
        """Return the link that a packet of `sender` takes last; None at the sender itself."""
        for axis in reversed(range(len(AXES))):
            distance = here[axis] - sender[axis]
            if distance:
                longest = self.spans(axis)[0]
                span = 1 if abs(distance) % longest else longest
                return Direction(axis, span if distance > 0 else -span)
        return None

    def branches(self, sender: Site, here: Site) -> tuple[Direction, ...]:
        """Return the links on which a broadcast of `sender` goes on, whether they exist or not."""
        return tuple(
            direction
            for direction in self.directions
            if self.arrival(sender, direction.from_site(here)) == direction
        )

    def route(self, source: Site, target: Site) -> Iterator[Direction]:
        """Yield the links from `source` to `target`."""
        here = source
        while (direction := self.unicast(here, target)) is not None:
            yield direction
            here = direction.from_site(here)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Routers in a cuboid, with compute nodes, the master node and relays.

    Every place has a router. The compute nodes stand as near to the master node as they can, in
    the order of their numbers; what is left are relays. The host is at (0, 0, 0).

    Attributes
    ----------
    shape : tuple of 3 int
        Places along X, Y and Z.
    n_nodes : int
        Compute nodes.
    router : RouterConfig
    """

    shape: tuple[int, int, int]
    n_nodes: int
    router: RouterConfig = RouterConfig()

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple) or len(self.shape) != len(AXES):
            raise reject("mesh.shape", self.shape, "must have one number for each of X, Y, Z")
        for extent in self.shape:
            checks.integer("mesh", "shape", extent, 1, MAX_EXTENT)
        checks.integer("mesh", "n_nodes", self.n_nodes, 1, 2**16 - 1)
        x, y, z = self.shape
        if x * y * z > MAX_PLACES:
            raise InvalidInputError(
                f"mesh.shape = {x},{y},{z}: has {x * y * z} places; must be {MAX_PLACES} at most"
            )
        if x * y * z < self.n_nodes + 1:
            raise InvalidInputError(
                f"mesh.shape = {x},{y},{z}: has {x * y * z} places; {self.n_nodes} compute nodes "
                "and the master node need more"
            )

    def check_express(self) -> None:
        """Refuse express links that lead nowhere: routers would have ports for nothing."""
        express = self.router.express
        for name, span, extent in zip(AXES, express, self.shape, strict=True):
            if span >= extent and span:
                rule = f"must be 0 or less than the {extent} places along {name.upper()}"
                raise reject("router.express", express, rule)

    @property
    def master(self) -> Site:
        """Place of the master node, the centre, from which no node is far."""
        x, y, z = ((extent - 1) // 2 for extent in self.shape)
        return x, y, z

    @property
    def sites(self) -> tuple[Site, ...]:
        """All places, X fastest."""
        return tuple(
            (x, y, z) for z, y, x in itertools.product(*(range(n) for n in reversed(self.shape)))
        )

    @property
    def nodes(self) -> tuple[Site, ...]:
        """Places of the compute nodes by number, those of the fewest hops first."""
        others = [site for site in self.sites if site != self.master]
        others.sort(key=lambda site: self.hops(self.master, site))
        return tuple(others[: self.n_nodes])

    def hops(self, source: Site, target: Site) -> int:
        """Return the number of links from `source` to `target`."""
        return sum(1 for _ in self.router.route(source, target))

    def contains(self, site: Site) -> bool:
        """Whether there is such a place."""
        return all(0 <= place < extent for place, extent in zip(site, self.shape, strict=True))

    def links(self, site: Site) -> tuple[bool, ...]:
        """Return for every direction of the router whether there is a link."""
        return tuple(
            self.contains(direction.from_site(site)) for direction in self.router.directions
        )
