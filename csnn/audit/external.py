"""Tests on the external spikes that the EXT lanes of an image draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from csnn import prng
from csnn.audit.verdict import Check, Verdict, goodness, independence
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.progress import progress
from csnn.spec.machine import EXT_OUTCOMES
from csnn.spec.network import Network

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
Draw = Callable[[U32], U32]

LAGS = (1, 2, 3, 4)
_CHUNK_DRAWS = 2**22


def spikes_of(word: U32, table: npt.NDArray[np.void]) -> U8:
    """Look external spikes up in an EXT table."""
    accept, own, alias = table["H"] >> np.uint32(5), table["own"].copy(), table["alias"].copy()
    entry = word & np.uint32(31)
    spikes: U8 = np.where(word >> np.uint32(5) < accept[entry], own[entry], alias[entry])
    return spikes


class ExternalAudit:
    """Draws for the nodes of one population, which share a table, and counts.

    Parameters
    ----------
    nodes : list of NodeImage
    rate : float
        Expected spikes per neuron and step.
    draw : callable
        Advances states, shape (..., 4), in place and returns outputs, as `prng.ext_draw`.
    """

    def __init__(self, nodes: list[NodeImage], rate: float, draw: Draw = prng.ext_draw) -> None:
        self.table = nodes[0].ext_tables[nodes[0].schedule["ext_table"][0]]
        self.rate = rate
        self.draw = draw
        self.triples = np.zeros((EXT_OUTCOMES**2, EXT_OUTCOMES), dtype=np.int64)
        self.sizes = np.array([node.n_neurons for node in nodes])
        self.lanes = nodes[0].ext_lanes
        self.states: U32 = np.stack([node.ext_states for node in nodes])
        # Lanes of a node advance as often as its fullest one.
        self.turns = -(-self.sizes // self.lanes)
        self.marginal = np.zeros(EXT_OUTCOMES, dtype=np.int64)
        self.tables: dict[str, I64] = {}

    def run(self, steps: int) -> None:
        """Draw `steps` steps of all nodes."""
        # Nodes whose lanes have equally many turns go together.
        for count in np.unique(self.turns):
            members = np.flatnonzero(self.turns == count)
            per_step = len(members) * self.lanes * int(count)
            chunk = max(8, min(steps, _CHUNK_DRAWS // per_step))
            states = np.ascontiguousarray(self.states[members])
            for begin in range(0, steps, chunk):
                number = min(chunk, steps - begin)
                words = np.empty((number * int(count), len(members), self.lanes), dtype=np.uint32)
                for word in words:
                    word[:] = self.draw(states)
                drawn = spikes_of(words, self.table)
                self._count(drawn, int(count), self.sizes[members])

    def _count(self, drawn: U8, turns: int, sizes: npt.NDArray[np.integer[Any]]) -> None:
        neuron = np.arange(turns)[:, None] * self.lanes + np.arange(self.lanes)
        by_step = drawn.reshape(-1, turns, *drawn.shape[1:])
        for k, size in enumerate(sizes):
            used = by_step[:, :, k, :][:, neuron < size]
            self.marginal += np.bincount(used.ravel(), minlength=EXT_OUTCOMES)
        for lag in (*LAGS, turns):
            name = f"{lag} later" if lag in LAGS else "same neuron, next step"
            self._add("one lane", name, drawn[:-lag], drawn[lag:])
        # The recurrence makes a word from those 4 and 1 before.
        joint = drawn[:-4].astype(np.uint16) * np.uint16(EXT_OUTCOMES) + drawn[3:-1]
        joint = joint * np.uint16(EXT_OUTCOMES) + drawn[4:]
        counts = np.bincount(joint.ravel(), minlength=EXT_OUTCOMES**3)
        self.triples += counts.reshape(self.triples.shape)
        if self.lanes > 1:
            self._add("lanes", "neighbouring lanes", drawn[..., :-1], drawn[..., 1:])
            self._add("lanes", "first and last lane", drawn[..., 0], drawn[..., -1])
        if drawn.shape[1] > 1:
            self._add("lanes", "neighbouring nodes", drawn[:, :-1], drawn[:, 1:])

    def _add(self, group: str, name: str, one: U8, other: U8) -> None:
        joint = one.astype(np.uint16) * np.uint16(EXT_OUTCOMES) + other
        counts = np.bincount(joint.ravel(), minlength=EXT_OUTCOMES**2)
        table = self.tables.setdefault(
            f"{group}|{name}", np.zeros((EXT_OUTCOMES, EXT_OUTCOMES), dtype=np.int64)
        )
        table += counts.reshape(EXT_OUTCOMES, EXT_OUTCOMES)

    def checks(self, population: str) -> list[Check | None]:
        """Return the tests."""
        outcomes = np.arange(EXT_OUTCOMES)
        poisson = stats.poisson.pmf(outcomes, self.rate)
        poisson[-1] = stats.poisson.sf(EXT_OUTCOMES - 2, self.rate)
        found = [goodness("EXT marginal", population, [(self.marginal, poisson)])]
        for name, table in self.tables.items():
            group, what = name.split("|")
            found.append(independence(f"EXT {group}", f"{population}, {what}", [table]))
        group = "EXT three draws of a lane"
        found.append(independence(group, f"{population}, (4, 1) before", [self.triples]))
        return found


def audit_external(
    image: Image,
    network: Network,
    verdict: Verdict,
    *,
    steps: int,
    draw: Draw = prng.ext_draw,
) -> None:
    """Add the tests on external input, `steps` steps of its first epoch, to `verdict`."""
    populations: dict[int, list[NodeImage]] = {}
    for node in image.nodes:
        if node.schedule["ext_table"][0] != layout.NO_EXT_TABLE:
            populations.setdefault(node.population, []).append(node)
    with progress(len(populations), "audit EXT", "populations") as bar:
        for index, nodes in populations.items():
            population = network.populations[index]
            if population.poisson is None:
                continue
            rate = population.poisson.rate_hz * network.dt_ms * 1e-3
            audit = ExternalAudit(nodes, rate, draw)
            audit.run(steps)
            verdict.checks += [c for c in audit.checks(population.name) if c is not None]
            bar.update()
