"""Tests on the synapses that the rows of an image unroll to.

Only rows with independent targets are tested: the other samplers constrain their targets, and
have unit tests of their own. Independence is tested within strata of equal tables and equal node
size, since both change the margins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import rows_compiled
from csnn.audit.tally import (
    PAIRS,
    SIZES,
    TRIPLES,
    VARIABLES,
    count_pairs,
    count_triples,
    new_tables,
    new_triple_tables,
    pair_name,
    repeated_targets,
    triple_name,
)
from csnn.audit.verdict import Check, Fact, Verdict, deviate, goodness, independence, pearson
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.progress import progress
from csnn.rows import TARGET_BITS, Block, Sampler, Synapses
from csnn.spec.network import FixedTotalNumber, Network

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Unroll = Callable[[Block, Any, Any, Any], Synapses]

_FRACTION = 1 << 16


def target_pmf(n: int) -> F64:
    """Return the exact probability of each of `n` targets under multiply-and-shift."""
    edges = -(-(np.arange(n + 1) << TARGET_BITS) // n)
    return np.diff(edges) / (1 << TARGET_BITS)


def table_pmf(table: npt.NDArray[np.void]) -> tuple[I64, F64]:
    """Return outcomes and exact probabilities of a weight or delay table."""
    accept = (table["H"] >> np.uint32(16)).astype(np.int64)
    outcomes = np.concatenate([table["own"], table["alias"]]).astype(np.int64)
    ways = np.concatenate([accept, _FRACTION - accept])
    values, place = np.unique(outcomes[ways > 0], return_inverse=True)
    return values, np.bincount(place, ways[ways > 0]) / (len(table) * _FRACTION)


class _Pair:
    """What is counted for one pair of populations."""

    def __init__(self, n_targets: int, n_sources: int) -> None:
        self.in_degree = np.zeros(n_targets, dtype=np.int64)
        self.out_degree = np.zeros(n_sources, dtype=np.int64)
        self.outcomes: dict[tuple[str, bytes], tuple[I64, F64]] = {}


class RowAudit:
    """Collects counts node by node and turns them into tests.

    Parameters
    ----------
    image : Image
    network : Network
        What the image was made from.
    unroll : callable
        Unrolls rows as `csnn.rows_compiled.unroll` does, in the order of rows, then draws.
    """

    def __init__(
        self, image: Image, network: Network, unroll: Unroll = rows_compiled.unroll
    ) -> None:
        self.network = network
        self.unroll = unroll
        self.names = [name for name, _ in image.populations]
        self.sizes = [size for _, size in image.populations]
        self.first = np.concatenate([[0], np.cumsum(self.sizes)])
        self.pairs: dict[tuple[int, int], _Pair] = {}
        self.strata: dict[tuple[int, bytes, bytes], list[I64]] = {}
        self.triples: dict[tuple[int, bytes, bytes], list[I64]] = {}
        self.targets: dict[int, list[tuple[I64, F64]]] = {}
        self.shares: dict[int, list[tuple[int, F64]]] = {}
        self.neighbours: dict[str, dict[Any, list[I64]]] = {"source": {}, "node": {}}
        self.previous: dict[Any, tuple[int, I64, npt.NDArray[np.uint8]]] = {}
        self.repeats = self.expected_repeats = self.repeats_variance = 0.0
        self.tested = self.total = 0

    def add(self, node: NodeImage) -> None:
        """Count the synapses of one node."""
        self.targets.setdefault(node.population, [])
        self.shares.setdefault(node.population, []).append(
            (node.first_neuron, target_pmf(node.n_neurons))
        )
        counts = np.zeros(node.n_neurons, dtype=np.int64)
        for index in range(len(node.blocks)):
            counts += self._block(node, index)
        self.targets[node.population].append((counts, target_pmf(node.n_neurons)))

    def _block(self, node: NodeImage, index: int) -> I64:
        block = node.block(index)
        source, seed, length = node.rows(index)
        source_population = int(np.searchsorted(self.first, source[0], side="right")) - 1
        key = (node.population, source_population)
        pair = self.pairs.setdefault(key, _Pair(self.sizes[key[0]], self.sizes[key[1]]))
        pair.out_degree[source - self.first[source_population]] += length
        n = int(length.sum(dtype=np.int64))
        self.total += n
        if block.sampler is not Sampler.INDEPENDENT or (block.skip_self and key[0] == key[1]):
            return np.zeros(node.n_neurons, dtype=np.int64)
        self.tested += n
        synapses = self.unroll(block, source, seed, length)
        entry = node.blocks[index]
        weights = node.weight_tables[entry["selector"]]
        delays = node.delay_tables[entry["selector"]]
        tables = (weights.tobytes(), delays.tobytes())
        values = np.empty((3, n), dtype=np.uint8)
        values[0] = synapses.neuron
        values[1] = self._outcomes(pair, "D", delays, synapses.delay)
        values[2] = self._outcomes(pair, "J", weights, synapses.code)
        stratum = self.strata.setdefault((node.n_neurons, *tables), new_tables())
        count_pairs(synapses.row, values, stratum)
        third = self.triples.setdefault((node.n_neurons, *tables), new_triple_tables())
        count_triples(synapses.row, values, node.n_neurons, third)
        counts = np.bincount(synapses.neuron, minlength=node.n_neurons)
        start = node.first_neuron - self.first[node.population]
        pair.in_degree[start : start + node.n_neurons] += counts
        self._count_repeats(node.n_neurons, synapses, length)
        self._compare_neighbours(node, (*key, int(source[0]), *tables), source, synapses, values)
        return counts

    def _outcomes(
        self, pair: _Pair, name: str, table: npt.NDArray[np.void], drawn: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.uint8]:
        outcomes, probabilities = table_pmf(table)
        places = np.zeros(1 << 16, dtype=np.uint8)
        places[outcomes] = np.arange(len(outcomes))
        place = places[drawn]
        known = (name, table.tobytes())
        if known not in pair.outcomes:
            pair.outcomes[known] = (np.zeros(len(outcomes), dtype=np.int64), probabilities)
        pair.outcomes[known][0][:] += np.bincount(place, minlength=len(outcomes))
        return place

    def _count_repeats(
        self, n: int, synapses: Synapses, length: npt.NDArray[np.integer[Any]]
    ) -> None:
        pairs = float((length.astype(np.int64) * (length.astype(np.int64) - 1)).sum() / 2)
        same = float((target_pmf(n) ** 2).sum())
        self.repeats += repeated_targets(synapses.row, synapses.neuron)
        self.expected_repeats += pairs * same
        self.repeats_variance += pairs * same * (1.0 - same)

    def _compare_neighbours(
        self,
        node: NodeImage,
        key: tuple[Any, ...],
        source: npt.NDArray[np.uint32],
        synapses: Synapses,
        values: npt.NDArray[np.uint8],
    ) -> None:
        # First draws: of sources s and s + 1 in a node, of one source in nodes k and k + 1.
        first = np.flatnonzero(np.diff(synapses.row, prepend=-1))
        drawn, sources = values[:, first], source[synapses.row[first]].astype(np.int64)
        adjacent = np.flatnonzero(np.diff(sources) == 1)
        tables = key[-2:]
        self._count("source", (node.n_neurons, *tables), drawn[:, adjacent], drawn[:, adjacent + 1])
        if key in self.previous:
            n, before, earlier = self.previous[key]
            _, here, there = np.intersect1d(
                sources, before, assume_unique=True, return_indices=True
            )
            stratum = (n, node.n_neurons, *tables)
            self._count("node", stratum, earlier[:, there], drawn[:, here])
        self.previous[key] = node.n_neurons, sources, drawn

    def _count(
        self,
        kind: str,
        stratum: tuple[Any, ...],
        one: npt.NDArray[np.uint8],
        other: npt.NDArray[np.uint8],
    ) -> None:
        empty = [np.zeros((size, size), dtype=np.int64) for size in SIZES]
        counts = self.neighbours[kind].setdefault(stratum, empty)
        for size, table, a, b in zip(SIZES, counts, one, other, strict=True):
            flat = np.bincount(a.astype(np.int64) * size + b, minlength=size * size)
            table += flat.reshape(size, size)

    def finish(self, verdict: Verdict) -> None:
        """Add all tests and facts to `verdict`."""
        checks: list[Check | None] = []
        for population, parts in self.targets.items():
            checks.append(goodness("N marginal", f"into {self.names[population]}", parts))
        labels = {key: f"{self.names[key[1]]}->{self.names[key[0]]}" for key in self.pairs}
        for key, pair in self.pairs.items():
            for (name, _), part in pair.outcomes.items():
                checks.append(goodness(f"{name} marginal", labels[key], [part]))
        for index, which in enumerate(PAIRS):
            tables = [stratum[index] for stratum in self.strata.values()]
            group = "independence within a draw" if which[2] == 0 else "draws of one row"
            checks.append(independence(group, pair_name(which), tables))
        for index, triple in enumerate(TRIPLES):
            tables = [stratum[index] for stratum in self.triples.values()]
            checks.append(independence("three fields of two draws", triple_name(triple), tables))
        for kind, strata in self.neighbours.items():
            for index, variable in enumerate(VARIABLES):
                tables = [tables[index] for tables in strata.values()]
                name = f"{variable}, neighbouring {kind}s"
                checks.append(independence("first draws of neighbours", name, tables))
        if self.repeats_variance > 0:
            sd = float(np.sqrt(self.repeats_variance))
            checks.append(
                deviate(
                    "repeated targets in a row",
                    "all rows",
                    self.repeats,
                    self.expected_repeats,
                    sd,
                    self.tested,
                )
            )
        checks += self._degrees(labels, verdict)
        verdict.checks += [check for check in checks if check is not None]
        verdict.facts.append(
            Fact(
                name="synapses tested",
                holds=self.tested > 0 or self.total == 0,
                detail=f"{self.tested:,} of {self.total:,} (those with independent targets)",
            )
        )

    def _degrees(self, labels: dict[tuple[int, int], str], verdict: Verdict) -> list[Check | None]:
        checks: list[Check | None] = []
        wrong = []
        prescribed = 0
        for projection in self.network.projections:
            key = (self.names.index(projection.target), self.names.index(projection.source))
            alone = (
                sum(
                    (p.source, p.target) == (projection.source, projection.target)
                    for p in self.network.projections
                )
                == 1
            )
            if not isinstance(projection.rule, FixedTotalNumber) or not alone or self.network.edges:
                continue
            prescribed += 1
            count = projection.rule.count
            pair = self.pairs.get(key)
            have = int(pair.out_degree.sum()) if pair is not None else 0
            if have != count:
                wrong.append(f"{projection.label} has {have} of {count}")
            free = projection.allow_autapses or key[0] != key[1]
            if pair is None or not free or not projection.allow_multapses:
                continue
            size = self.sizes[key[0]]
            share = np.concatenate(
                [
                    len(pmf) / size * pmf
                    for _, pmf in sorted(self.shares[key[0]], key=lambda s: s[0])
                ]
            )
            uniform = np.full(len(pair.out_degree), 1.0 / len(pair.out_degree))
            # A cell per neuron, however few synapses it expects: the dispersion is the point.
            checks.append(pearson("in-degree", labels[key], [(pair.in_degree, share)]))
            checks.append(pearson("out-degree", labels[key], [(pair.out_degree, uniform)]))
        verdict.facts.append(
            Fact(
                name="synapses per projection are the prescribed totals",
                holds=not wrong,
                detail="; ".join(wrong) or f"{prescribed} projections of fixed total number",
            )
        )
        return checks


def audit_rows(
    image: Image,
    network: Network,
    verdict: Verdict,
    unroll: Unroll = rows_compiled.unroll,
) -> None:
    """Add the tests on all rows of an image to `verdict`."""
    audit = RowAudit(image, network, unroll)
    with progress(image.n_nodes, "audit rows", "nodes") as bar:
        for node in image.nodes:
            audit.add(node)
            bar.update()
    audit.finish(verdict)
