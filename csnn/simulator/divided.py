"""The fast simulator with its nodes divided over the ranks of an MPI job."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from csnn.image.node import NodeImage
from csnn.image.store import Image, header_of
from csnn.neurons.registry import MODELS
from csnn.simulator.division import divide, read_own, require_nodes
from csnn.simulator.exchange import Channel, Exchange
from csnn.simulator.fast import CompiledNodes
from csnn.simulator.recording import Recording, check_recorded
from csnn.simulator.state import MachineState, start_of

I64 = npt.NDArray[np.int64]

_numbers = itertools.count()
_KEPT = "simulator"


class Team(Channel, Protocol):
    """The ranks, as `csnn.mpi.team.Team` has them."""

    kept: dict[str, Any]

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        own: Sequence[Any] | None = None,
        here: Callable[[], Any] | None = None,
        together: bool = False,
    ) -> list[Any]:
        """Let every rank run a function; return what it returned on each."""


@dataclass
class _Part:
    """What a rank keeps: its nodes, from their files to compiled code."""

    number: int
    nodes: list[NodeImage]
    exchange: Exchange | None = None
    compiled: CompiledNodes | None = None


class DividedSimulator:
    """Runs an image on all ranks of a team; bit-identical to the fast simulator.

    Rank 0 makes it and calls it; other ranks do their part of each call. A rank reads the files of
    its own nodes only. A team has one such simulator at a time: the next one takes its memory.

    Parameters
    ----------
    image : Image
        As `open_divided` returns it; other ranks find it under the same path.
    team : Team
    threads : int
        Worker threads of each rank; the result depends neither on them nor on the ranks.
    state : MachineState, optional
        Where to start; the image's initial state if absent.
    record : array_like of int
        Global numbers of the neurons to trace.
    places : int, optional
        Spikes that a message has room for; only tests change it.

    Raises
    ------
    InvalidInputError
        If there are more ranks than nodes, or a rank cannot read what is its own.
    """

    def __init__(
        self,
        image: Image,
        team: Team,
        *,
        threads: int = 2,
        state: MachineState | None = None,
        record: npt.ArrayLike = (),
        places: int | None = None,
    ) -> None:
        require_nodes(image, team)
        self.image = image
        self.record = check_recorded(record, image.n_neurons)
        self.step = 0 if state is None else state.step
        self._team = team
        self._number = next(_numbers)
        self._model = MODELS[image.manifest["model"]]
        headers = team.call(_read, self._number, str(image.path), image.digest)
        self._division = divide(image, headers)
        neurons = [len(own) for own in self._division.neurons]
        parts = [
            None if state is None else self._division.part(state, rank) for rank in range(team.size)
        ]
        team.call(_start, self._number, threads, self.record, neurons, places, own=parts)

    def run(self, steps: int) -> Recording:
        """Simulate `steps` steps and return what happened in them."""
        parts = self._team.call(_run, self._number, steps, together=True)
        self.step += steps
        step = np.concatenate([recording.step for recording, _ in parts])
        source = np.concatenate([recording.source for recording, _ in parts])
        order = np.lexsort((source, step))
        words = len(self._model.float_states) + 2
        traces = np.zeros((steps, words, len(self.record)), dtype=np.uint32)
        for recording, columns in parts:
            traces[:, :, columns] = recording.traces
        events = sum(recording.events for recording, _ in parts)
        return Recording(step[order], source[order], traces, events)

    def state(self) -> MachineState:
        """Return every state word after the last step."""
        return self._division.whole(self._team.call(_state, self._number))

    def exchange_marks(self) -> list[list[tuple[float, float]]]:
        """Return of each rank when its exchanges since the last such call began and ended.

        In seconds of the rank's own clock; the first call returns nothing yet.
        """
        return self._team.call(_marks, self._number)

    def longer_exchanges(self) -> list[int]:
        """Return of each rank how often a message was too short for all spikes of a step."""
        return self._team.call(_longer, self._number)


def _read(team: Team, number: int, path: str, digest: str) -> list[dict[str, int]]:
    """Keep this rank's nodes; return what others need to know of them."""
    team.kept.pop(_KEPT, None)
    nodes = read_own(team, path, digest)
    team.kept[_KEPT] = _Part(number, nodes)
    return [header_of(node) for node in nodes]


def _kept(team: Team, number: int) -> _Part:
    part = team.kept.get(_KEPT)
    if not isinstance(part, _Part) or part.number != number:
        raise RuntimeError("the team has made another simulator since")
    return part


def _start(
    team: Team,
    number: int,
    threads: int,
    record: I64,
    neurons: Sequence[int],
    places: int | None,
    state: MachineState | None,
) -> None:
    """Make ready what runs this rank's nodes, and compile it."""
    part = _kept(team, number)
    start = start_of(part.nodes) if state is None else state
    part.exchange = Exchange(team, neurons, places=places)
    part.compiled = CompiledNodes(
        part.nodes, start, threads=threads, record=record, exchange=part.exchange
    )
    part.compiled.run(0)


def _run(team: Team, number: int, steps: int) -> tuple[Recording, I64]:
    compiled = _kept(team, number).compiled
    if compiled is None:
        raise RuntimeError("not started")
    return compiled.run(steps), compiled.columns


def _state(team: Team, number: int) -> MachineState:
    compiled = _kept(team, number).compiled
    if compiled is None:
        raise RuntimeError("not started")
    return compiled.state()


def _exchange(team: Team, number: int) -> Exchange:
    exchange = _kept(team, number).exchange
    if exchange is None:
        raise RuntimeError("not started")
    return exchange


def _marks(team: Team, number: int) -> list[tuple[float, float]]:
    exchange = _exchange(team, number)
    marks, exchange.marks = exchange.marks or [], []
    return marks


def _longer(team: Team, number: int) -> int:
    return _exchange(team, number).longer
