"""Which nodes of an image each rank of an MPI job has, and what ranks do with their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError, reject
from csnn.image.node import NodeImage
from csnn.image.store import Image, header_of, open_image
from csnn.simulator.state import MachineState, start_of

if TYPE_CHECKING:
    from csnn.simulator.divided import Team

I64 = npt.NDArray[np.int64]


def own_nodes(rank: int, ranks: int, n_nodes: int) -> range:
    """Return the nodes of a rank: dealt out in turn, for the reason that `divide_nodes` gives."""
    return range(rank, n_nodes, ranks)


@dataclass(frozen=True)
class Division:
    """Which nodes, and which neurons, each rank has."""

    nodes: list[range]
    neurons: list[I64]

    def part(self, state: MachineState, rank: int) -> MachineState:
        """Return the part of a state that belongs to a rank."""
        nodes, neurons = list(self.nodes[rank]), self.neurons[rank]
        return MachineState(
            step=state.step,
            state=state.state[:, neurons],
            refractory=state.refractory[neurons],
            delay_buffer=state.delay_buffer[:, :, neurons],
            ext_states=state.ext_states[nodes],
            saturated=state.saturated[nodes],
        )

    def whole(self, parts: Sequence[MachineState]) -> MachineState:
        """Return the state of which all ranks have parts."""
        n_nodes, n_neurons = sum(map(len, self.nodes)), sum(map(len, self.neurons))
        first = parts[0]
        whole = MachineState(
            step=first.step,
            state=np.empty((len(first.state), n_neurons), dtype=np.uint32),
            refractory=np.empty(n_neurons, dtype=np.uint32),
            delay_buffer=np.empty((len(first.delay_buffer), 2, n_neurons), dtype=np.uint32),
            ext_states=np.empty((n_nodes, *first.ext_states.shape[1:]), dtype=np.uint32),
            saturated=np.empty(n_nodes, dtype=bool),
        )
        for own, neurons, part in zip(self.nodes, self.neurons, parts, strict=True):
            nodes = list(own)
            whole.state[:, neurons] = part.state
            whole.refractory[neurons] = part.refractory
            whole.delay_buffer[:, :, neurons] = part.delay_buffer
            whole.ext_states[nodes] = part.ext_states
            whole.saturated[nodes] = part.saturated
        return whole


def divide(image: Image, headers: Sequence[Sequence[dict[str, int]]]) -> Division:
    """Divide the nodes over ranks, of each of which the headers of its own are given.

    Raises
    ------
    InvalidInputError
        If they do not make up the machine.
    """
    ranks = len(headers)
    in_order = [headers[k % ranks][k // ranks] for k in range(image.n_nodes)]
    image.check_together(in_order)
    of_node = [
        np.arange(header["first_neuron"], header["first_neuron"] + header["n_neurons"])
        for header in in_order
    ]
    nodes = [own_nodes(rank, ranks, image.n_nodes) for rank in range(ranks)]
    return Division(nodes, [np.concatenate([of_node[k] for k in own]) for own in nodes])


def require_nodes(image: Image, team: Team) -> None:
    """Raise InvalidInputError if a rank would have no node."""
    if team.size > image.n_nodes:
        rule = f"must be at most {image.n_nodes}, the nodes of {image.path}"
        raise reject("number of ranks", team.size, rule)


def open_divided(path: str | Path, team: Team) -> Image:
    """Open an image, of which every rank compares the files of its own nodes with their digests.

    Raises
    ------
    InvalidInputError
        As `open_image` does, of any rank, or if a rank finds another image under this path.
    """
    image = open_image(path, nodes=())
    team.call(_check, str(path), image.digest)
    return image


def initial_state(image: Image, team: Team) -> MachineState:
    """Return the state that an image starts from, for which every rank reads its own nodes.

    Raises
    ------
    InvalidInputError
        If there are more ranks than nodes, or a rank cannot read what is its own.
    """
    require_nodes(image, team)
    parts = team.call(_begin, str(image.path), image.digest)
    division = divide(image, [headers for headers, _ in parts])
    return division.whole([state for _, state in parts])


def _own(team: Team, path: str, digest: str, *, verify: bool = False) -> Image:
    """Open the image of rank 0, looking at the files of this rank's nodes only."""
    image = open_image(path, verify=False, nodes=())
    if image.digest != digest:
        raise InvalidInputError(f"{path}: rank {team.rank} finds another image there than rank 0")
    return open_image(path, verify=verify, nodes=own_nodes(team.rank, team.size, image.n_nodes))


def read_own(team: Team, path: str, digest: str) -> list[NodeImage]:
    """Map the files of this rank's nodes."""
    image = _own(team, path, digest)
    return image.read(own_nodes(team.rank, team.size, image.n_nodes))


def _check(team: Team, path: str, digest: str) -> None:
    _own(team, path, digest, verify=True)


def _begin(team: Team, path: str, digest: str) -> tuple[list[dict[str, int]], MachineState]:
    """Return what others need to know of this rank's nodes, and the state they start from."""
    nodes = read_own(team, path, digest)
    return [header_of(node) for node in nodes], start_of(nodes)
