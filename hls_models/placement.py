"""Start cycles of operations on a given number of operators, modulo II.

References
----------
Rau (1994) Iterative modulo scheduling, MICRO-27 (reservation modulo II); Li & Willis (1992) Eur. J.
Oper. Res. 56:370 (passes from the end and from the beginning in turn).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from csnn.neurons.graph import LEAVES, Graph, Node, Op
from hls_models.operations import BITS, CLASSES, copy_of, latency_of, results

_ROUNDS = 12
_SWEEPS = 8


def best_starts(
    graph: Graph, latencies: Mapping[Op, int], ii: int, instances: Mapping[str, int]
) -> list[int]:
    """Return the starts of the schedule of the least latency found."""
    limit = graph.latency(latencies)
    if all(
        number == sum(CLASSES.get(node.op) == name for node in graph.nodes)
        for name, number in instances.items()
    ):
        return _asap(graph, latencies)
    best: list[int] | None = None
    shortest = 0
    for urgency in (_alap(graph, latencies, limit), _asap(graph, latencies)):
        starts = _forwards(graph, latencies, ii, instances, urgency)
        for _ in range(_ROUNDS):
            end = _end(graph, latencies, starts)
            if best is None or end < shortest:
                best, shortest = starts, end
            if shortest == limit:
                break
            late = _backwards(graph, latencies, ii, instances, starts, end)
            starts = _forwards(graph, latencies, ii, instances, late)
    assert best is not None
    return best


def _end(graph: Graph, latencies: Mapping[Op, int], starts: Sequence[int]) -> int:
    return max(
        starts[position] + latency_of(graph.nodes[position], latencies)
        for _, position in results(graph)
    )


def _asap(graph: Graph, latencies: Mapping[Op, int]) -> list[int]:
    depths = graph.depths(latencies)
    return [
        depth - latency_of(node, latencies) for depth, node in zip(depths, graph.nodes, strict=True)
    ]


def _alap(graph: Graph, latencies: Mapping[Op, int], end: int) -> list[int]:
    """Return the latest starts for results in cycle `end`, without regard to operators."""
    last = [end] * len(graph.nodes)
    for position in reversed(range(len(graph.nodes))):
        last[position] -= latency_of(graph.nodes[position], latencies)
        for operand in graph.nodes[position].operands:
            last[operand] = min(last[operand], last[position])
    return last


class _Reservations:
    """How many operators of each class are taken in each cycle modulo II."""

    def __init__(self, ii: int, instances: Mapping[str, int]) -> None:
        self._ii, self._instances = ii, instances
        self._taken: Counter[tuple[str, int]] = Counter()

    def is_free(self, node: Node, cycle: int) -> bool:
        name = CLASSES.get(node.op)
        return name is None or self._taken[name, cycle % self._ii] < self._instances[name]

    def take(self, node: Node, cycle: int, number: int = 1) -> None:
        if node.op in CLASSES:
            self._taken[CLASSES[node.op], cycle % self._ii] += number


def _forwards(
    graph: Graph,
    latencies: Mapping[Op, int],
    ii: int,
    instances: Mapping[str, int],
    urgency: Sequence[int],
) -> list[int]:
    """Return starts as early as possible, the most urgent first.

    `urgency` must not put a node before its operands; on a tie the order of the graph decides.
    """
    taken = _Reservations(ii, instances)
    starts = [0] * len(graph.nodes)
    for position in sorted(range(len(starts)), key=lambda position: (urgency[position], position)):
        node = graph.nodes[position]
        if node.op in LEAVES:
            continue
        start = max(
            starts[operand] + latency_of(graph.nodes[operand], latencies)
            for operand in node.operands
        )
        # There is a free one within II cycles: all operations fit in.
        while not taken.is_free(node, start):
            start += 1
        taken.take(node, start)
        starts[position] = start
    return starts


def _backwards(
    graph: Graph,
    latencies: Mapping[Op, int],
    ii: int,
    instances: Mapping[str, int],
    starts: Sequence[int],
    end: int,
) -> list[int]:
    """Return starts as late as possible, the last first; they may be negative."""
    taken = _Reservations(ii, instances)
    finishes = [
        start + latency_of(node, latencies) for start, node in zip(starts, graph.nodes, strict=True)
    ]
    last = [end] * len(graph.nodes)
    late = [end] * len(graph.nodes)
    order = sorted(range(len(late)), key=lambda position: (finishes[position], position))
    for position in reversed(order):
        node = graph.nodes[position]
        start = last[position] - latency_of(node, latencies)
        if node.op not in LEAVES:
            while not taken.is_free(node, start):
                start -= 1
            taken.take(node, start)
        late[position] = start
        for operand in node.operands:
            last[operand] = min(last[operand], start)
    return late


class Placing:
    """Starts that are moved one at a time, within what operands, takers and operators allow."""

    def __init__(
        self,
        graph: Graph,
        latencies: Mapping[Op, int],
        ii: int,
        instances: Mapping[str, int],
        starts: Sequence[int],
    ) -> None:
        self.starts = list(starts)
        self._graph, self._ii = graph, ii
        self._latencies = {**latencies, **dict.fromkeys(LEAVES, 0)}
        self._end = _end(graph, latencies, starts)
        self._taken = _Reservations(ii, instances)
        self._takers: list[list[int]] = [[] for _ in starts]
        self._is_result = {position for _, position in results(graph)}
        for position, node in enumerate(graph.nodes):
            self._taken.take(node, starts[position])
            for operand in set(node.operands):
                self._takers[operand].append(position)

    def shorten(self) -> None:
        """Move what need not be done at once to where the fewest bits wait, until none gains."""
        order = [i for i, node in enumerate(self._graph.nodes) if node.op not in LEAVES]
        for sweep in range(_SWEEPS):
            moved = [self._move(i) for i in (order if sweep % 2 else reversed(order))]
            if not any(moved):
                break

    def _ready(self, position: int) -> int:
        return self.starts[position] + self._latencies[self._graph.nodes[position].op]

    def _last_use(self, position: int) -> int:
        if position in self._is_result:
            return self._end
        return max((self.starts[taker] for taker in self._takers[position]), default=0)

    def _cost(self, position: int) -> tuple[int, int]:
        """Return bits that wait for a node and its operands, and how long values live."""
        bits = age_bits = 0
        for value in {position, *self._graph.nodes[position].operands}:
            node = self._graph.nodes[value]
            if node.op is Op.CONSTANT:
                continue
            age = self._last_use(value) - self._ready(value)
            bits += BITS[node.kind] * copy_of(node, age, self._ii, self._latencies)
            age_bits += BITS[node.kind] * age
        return bits, age_bits

    def _move(self, position: int) -> bool:
        node = self._graph.nodes[position]
        present = self.starts[position]
        first = max(self._ready(operand) for operand in node.operands)
        ends = [self.starts[taker] for taker in self._takers[position]]
        last = min([*ends, self._end]) - self._latencies[node.op]
        best, least = present, self._cost(position)
        self._taken.take(node, present, -1)
        for start in range(first, last + 1):
            if self._taken.is_free(node, start):
                self.starts[position] = start
                cost = self._cost(position)
                if cost < least:
                    best, least = start, cost
        self.starts[position] = best
        self._taken.take(node, best)
        return best != present
