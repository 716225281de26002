"""What waits for what in a mesh: the channel dependency graph, and what nodes and master add.

A vertex is a buffer, an edge says that a packet in the first may wait for room in the second.
Without a cycle some packet can always move (Dally & Seitz, "Deadlock-Free Message Routing in
Multiprocessor Interconnection Networks", 1987).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from csnn.hardware.mesh import Direction, Mesh, Site

Vertex = tuple[object, ...]
Graph = dict[Vertex, set[Vertex]]
UNICAST, BROADCAST = "unicast", "broadcast"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A mesh and what is assumed of it.

    Attributes
    ----------
    mesh : Mesh
    shares_buffers : bool
        Packets of both channels wait in one buffer per link and one per place for the node.
    shares_router : bool
        What is more, they go through one router: all pass the stage from which copies are made.
    nodes_wait : frozenset of str
        Channels from which a node takes nothing while what it sends waits.
    senders : tuple of Site
        Who broadcasts; by default the master.
    """

    mesh: Mesh
    shares_buffers: bool = False
    shares_router: bool = False
    nodes_wait: frozenset[str] = frozenset()
    senders: tuple[Site, ...] | None = None

    def link(self, channel: str, site: Site, direction: Direction) -> Vertex:
        """Return the buffers of a link: the output register, those of the link, the input's."""
        shared = self.shares_buffers or self.shares_router
        return ("link", "" if shared else channel, site, direction)

    def arrival(self, channel: str, site: Site) -> Vertex:
        """Return where packets wait for the node."""
        return ("arrival", "" if self.shares_buffers or self.shares_router else channel, site)


def graph(machine: Machine) -> Graph:
    """Return the graph of all unicast routes, of the broadcast tree, of nodes and master."""
    edges: Graph = defaultdict(set)
    _unicast(machine, edges)
    mesh = machine.mesh
    for sender in machine.senders or (mesh.master,):
        _broadcast(machine, sender, edges)
        # An AER or BARRIER packet leaves its buffer when its SPIKE or SYNC finds room.
        edges[machine.arrival(UNICAST, sender)].add(("injection", BROADCAST, sender))
    for channel in machine.nodes_wait:
        for node in mesh.sites:
            if node != mesh.master:
                edges[machine.arrival(channel, node)].add(("injection", UNICAST, node))
    return edges


def _through(machine: Machine, edges: Graph, before: Vertex, site: Site, after: Vertex) -> None:
    """Add what a packet waits for in a router whose stage all packets share."""
    stage = ("stage", site)
    edges[before].add(stage)
    edges[stage].add(after)


def _unicast(machine: Machine, edges: Graph) -> None:
    """Add the routes between all places: of nodes, master and host to each other, and more."""
    mesh = machine.mesh
    for target in mesh.sites:
        for here in mesh.sites:
            direction = mesh.router.unicast(here, target)
            if direction is None:
                continue
            leaves = machine.link(UNICAST, here, direction)
            there = direction.from_site(here)
            onward = mesh.router.unicast(there, target)
            after = (
                machine.arrival(UNICAST, there)
                if onward is None
                else machine.link(UNICAST, there, onward)
            )
            injection = ("injection", UNICAST, here)
            if machine.shares_router:
                _through(machine, edges, injection, here, leaves)
                _through(machine, edges, leaves, there, after)
            else:
                edges[injection].add(leaves)
                edges[leaves].add(after)


def _broadcast(machine: Machine, sender: Site, edges: Graph) -> None:
    """Add a tree: each router takes in packets, holds one, and waits for all its branches."""
    mesh = machine.mesh
    waiting: list[tuple[Vertex, Site]] = [(("injection", BROADCAST, sender), sender)]
    while waiting:
        before, here = waiting.pop()
        stage = ("stage", here)
        edges[before].add(stage)
        if here != sender:
            edges[stage].add(machine.arrival(BROADCAST, here))
        for direction in mesh.router.branches(sender, here):
            there = direction.from_site(here)
            if mesh.contains(there):
                link = machine.link(BROADCAST, here, direction)
                edges[stage].add(link)
                waiting.append((link, there))


def cycle(edges: Graph) -> list[Vertex] | None:
    """Return vertices that wait for each other in a circle; None if there are none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found: list[Vertex] = error.args[1]
        return found
    return None


def turns(edges: Graph) -> set[tuple[Direction, Direction]]:
    """Return the pairs of links, input and output, that unicast routes use in a row."""
    return {
        (before[3].opposite, after[3])
        for before, found in edges.items()
        for after in found
        if before[:2] == after[:2] == ("link", UNICAST)
    }


def turn_graph(mesh: Mesh, allowed: Iterable[tuple[Direction, Direction]]) -> Graph:
    """Return the graph of all links in which packets turn in every allowed way."""
    permitted = set(allowed)
    edges: Graph = defaultdict(set)
    for here in mesh.sites:
        for came, leaves in permitted:
            before, after = came.from_site(here), leaves.from_site(here)
            if mesh.contains(before) and mesh.contains(after):
                edges["link", UNICAST, before, came.opposite].add(("link", UNICAST, here, leaves))
    return edges
