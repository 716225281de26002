"""Who is linked with whom, and the trees that packets follow to and from the master node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from csnn.errors import reject
from csnn.hardware.mesh import Mesh
from csnn.spec import checks

KINDS = ("mesh", "tree", "ring", "direct", "chip")


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Places, and for each the ways that packets take.

    Attributes
    ----------
    kind : str
    master : int
        Place of the master node.
    nodes : tuple of int
        Places of the compute nodes, by number.
    up : tuple of int
        By place: the next place on the way to the master node; -1 at itself.
    inputs : tuple of tuple of int
        By place: where unicast packets come from, in the order of the arbiter's inputs.
    down : tuple of tuple of int
        By place: where broadcast packets go on to, in the order of the outputs.
    devices : tuple of int
        By place: the device it lies in; each has one of its own unless given.
    """

    kind: str
    master: int
    nodes: tuple[int, ...]
    up: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    down: tuple[tuple[int, ...], ...]
    devices: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.devices:
            object.__setattr__(self, "devices", tuple(range(len(self.up))))

    @property
    def places(self) -> int:
        """Number of places."""
        return len(self.up)

    def hops(self, place: int) -> int:
        """Return the links from a place to the master node."""
        count = 0
        while self.up[place] >= 0:
            place, count = self.up[place], count + 1
        return count

    @property
    def diameter(self) -> int:
        """Links from the farthest node to the master node."""
        return max(self.hops(place) for place in self.nodes)

    @property
    def degree(self) -> int:
        """Links of the place that has most."""
        linked: list[set[int]] = [set() for _ in self.up]
        for place, (parent, children) in enumerate(zip(self.up, self.down, strict=True)):
            for other in (*children, *((parent,) if parent >= 0 else ())):
                linked[place].add(other)
                linked[other].add(place)
        return max(len(others) for others in linked)


def mesh_topology(mesh: Mesh) -> Topology:
    """Return the topology of a mesh, with its routes."""
    router, sites = mesh.router, mesh.sites
    places = {site: number for number, site in enumerate(sites)}
    up = []
    for site in sites:
        direction = router.unicast(site, mesh.master)
        up.append(-1 if direction is None else places[direction.from_site(site)])
    inputs, down = [], []
    for number, site in enumerate(sites):
        neighbours = [direction.from_site(site) for direction in router.directions]
        inside = [places[other] for other in neighbours if mesh.contains(other)]
        inputs.append(tuple(other for other in inside if up[other] == number))
        branches = [way.from_site(site) for way in router.branches(mesh.master, site)]
        down.append(tuple(places[other] for other in branches if mesh.contains(other)))
    return Topology(
        kind="mesh",
        master=places[mesh.master],
        nodes=tuple(places[site] for site in mesh.nodes),
        up=tuple(up),
        inputs=tuple(inputs),
        down=tuple(down),
    )


def tree_topology(n_nodes: int, arity: int, kind: str = "tree") -> Topology:
    """Return a tree with the master node as its root, filled level by level, each level evenly."""
    checks.integer("topology", "n_nodes", n_nodes, 1, 2**16 - 1)
    checks.integer("topology", "arity", arity, 1, 2**16)
    return _from_parents(kind, _tree_parents(n_nodes, arity))


def ring_topology(n_nodes: int) -> Topology:
    """Return a ring in which packets take the shorter way round."""
    checks.integer("topology", "n_nodes", n_nodes, 1, 2**16 - 1)
    size = n_nodes + 1
    up = [-1]
    for place in range(1, size):
        up.append(place - 1 if place <= size // 2 else (place + 1) % size)
    return _from_parents("ring", up)


def make_topology(kind: str, n_nodes: int, *, mesh: Mesh | None = None, arity: int = 6) -> Topology:
    """Return a topology by its name.

    Parameters
    ----------
    kind : str
        `mesh`; `tree` of an arity; `ring`; `direct`: all places are linked with each other, so
        that every packet takes one hop; `chip`: the same, inside one device.
    n_nodes : int
    mesh : Mesh, optional
        Only for `mesh`.
    arity : int
        Only for `tree`.
    """
    checks.one_of("topology", "kind", kind, KINDS)
    if kind == "mesh":
        if mesh is None:
            raise reject("topology.mesh", None, "a mesh must be given")
        return mesh_topology(mesh)
    if kind == "ring":
        return ring_topology(n_nodes)
    topology = tree_topology(n_nodes, arity if kind == "tree" else n_nodes, kind)
    return replace(topology, devices=(0,) * topology.places) if kind == "chip" else topology


def populate(board: Topology, per_device: int, n_nodes: int, arity: int) -> Topology:
    """Return a machine of devices with several nodes each; the first ones beside the master node.

    Parameters
    ----------
    board : Topology
        Of devices. Each place hands packets on to a tree of nodes inside its device.
    per_device : int
        Nodes of a device at most; those of a device have consecutive numbers.
    n_nodes : int
    arity : int
        Of the trees.

    Raises
    ------
    InvalidInputError
        If there are more nodes than the devices hold.
    """
    checks.integer("topology", "per_device", per_device, 1, 2**16)
    checks.integer("topology", "arity", arity, 1, 2**16)
    hosts = (board.master, *board.nodes)
    if n_nodes > per_device * len(hosts):
        rule = f"must be at most {per_device * len(hosts)} on {len(hosts)} devices"
        raise reject("topology.n_nodes", n_nodes, rule)
    up, devices = list(board.up), list(board.devices)
    inputs, down = [list(places) for places in board.inputs], [list(p) for p in board.down]
    nodes: list[int] = []
    for number in range(n_nodes):
        host, index = hosts[number // per_device], number % per_device
        if index == 0:
            inner = _tree_parents(min(per_device, n_nodes - number), arity)
            first = len(up)
        above = inner[index + 1]
        parent = first + above - 1 if above else host
        place = len(up)
        up.append(parent)
        devices.append(board.devices[host])
        inputs[parent].append(place)
        down[parent].append(place)
        inputs.append([])
        down.append([])
        nodes.append(place)
    return Topology(
        kind=board.kind,
        master=board.master,
        nodes=tuple(nodes),
        up=tuple(up),
        inputs=tuple(map(tuple, inputs)),
        down=tuple(map(tuple, down)),
        devices=tuple(devices),
    )


def smallest_mesh(n_nodes: int) -> tuple[int, int, int]:
    """Return the smallest square of cards of 3 x 3 x 3 places with room, or a layer of one card."""
    if n_nodes < 9:
        return 3, 3, 1
    side = 3
    while 3 * side * side <= n_nodes:
        side += 3
    return side, side, 3


def _tree_parents(n: int, arity: int) -> list[int]:
    """Return the parent of each place of a tree with n places below the root, which is place 0."""
    up, level = [-1], [0]
    while len(up) <= n:
        size = min(arity * len(level), n + 1 - len(up))
        up += [level[index % len(level)] for index in range(size)]
        level = list(range(len(up) - size, len(up)))
    return up


def _from_parents(kind: str, up: list[int]) -> Topology:
    children: list[list[int]] = [[] for _ in up]
    for place, parent in enumerate(up):
        if parent >= 0:
            children[parent].append(place)
    hops = [0] * len(up)
    for place in range(len(up)):
        at = place
        while up[at] >= 0:
            at, hops[place] = up[at], hops[place] + 1
    nodes = sorted(range(1, len(up)), key=lambda place: hops[place])
    below = tuple(map(tuple, children))
    return Topology(kind=kind, master=0, nodes=tuple(nodes), up=tuple(up), inputs=below, down=below)
