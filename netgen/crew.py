"""The nodes of an image made by many: by the threads of a process, by the processes of a crew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from csnn.image.node_file import write_node
from csnn.image.store import node_file
from csnn.progress import progress
from csnn.spec.description import Description
from netgen.edge_list import read_edges
from netgen.fit_report import FitParts
from netgen.node_builder import NodeStatistics, build_node
from netgen.partition import NodePlan
from netgen.prepared import PreparedNetwork


class Crew(Protocol):
    """The processes that make an image together, as `csnn.mpi.team.Team` has them."""

    rank: int
    size: int

    def call(
        self, function: Callable[..., Any], *arguments: Any, here: Callable[[], Any] | None = None
    ) -> list[Any]:
        """Run `function(crew, *arguments)` in every process, `here` in this one; return results."""


@dataclass
class Made:
    """What is remembered of nodes whose files are written.

    Attributes
    ----------
    statistics : dict of int to NodeStatistics
        By number of the node.
    fit : dict
        Parts of a `FitReport`, none unless edges were fitted.
    """

    statistics: dict[int, NodeStatistics]
    fit: FitParts


def make_nodes(
    network: PreparedNetwork, plans: Sequence[NodePlan], directory: Path, threads: int
) -> Made:
    """Make nodes, `threads` at the same time, and write their files."""
    statistics: dict[int, NodeStatistics] = {}
    fit = network.fit_report()
    stop = threading.Event()

    def task(plan: NodePlan) -> None:
        if not stop.is_set():
            node, statistics[plan.index] = build_node(network, plan, fit)
            write_node(directory / node_file(plan.index), node)
            bar.update()

    with (
        progress(len(plans), "generate", "nodes") as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        try:
            for _ in pool.map(task, plans):
                pass
        except BaseException:
            stop.set()
            raise
    return Made(statistics, fit.parts() if fit is not None else {})


def make_all_nodes(
    network: PreparedNetwork, directory: Path, threads: int, crew: Crew | None
) -> Made:
    """Make all nodes: here, or each process of a crew its share of them."""
    if crew is None:
        return make_nodes(network, network.plans, directory, threads)
    own = network.plans[:: crew.size]
    parts: list[Made] = crew.call(
        _make_share, network.description, network.seed, network.exponent, threads, str(directory),
        here=lambda: make_nodes(network, own, directory, threads),
    )  # fmt: skip
    made = Made({}, {})
    for part in parts:
        made.statistics.update(part.statistics)
        made.fit.update(part.fit)
    return made


def _make_share(
    crew: Crew, description: Description, seed: int, exponent: int, threads: int, directory: str
) -> Made:
    """Make this process's share of the nodes; what couples nodes is drawn alike everywhere."""
    edges, description = read_edges(description)
    network = PreparedNetwork(description, edges, seed, exponent)
    return make_nodes(network, network.plans[crew.rank :: crew.size], Path(directory), threads)
