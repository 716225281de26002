"""Modulo scheduling of a neuron's step onto shared, pipelined operators.

A neuron enters every II cycles, and each does in cycle c of its own what the one before did II
cycles earlier. Two operations may so share an operator if their cycles differ modulo II. A graph
has no cycle (the next state goes back through a memory), so that the operators alone bound II:
every II is possible for which they are enough.

References
----------
Rau (1994) Iterative modulo scheduling, MICRO-27 (reservation modulo II); Li & Willis (1992) Eur. J.
Oper. Res. 56:370 (passes from the end and from the beginning in turn); Heittmann et al. (2022),
section "CsNNs Microarchitecture and Logic Design" (II, IL and the number of operators).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from csnn.errors import InvalidInputError
from csnn.neurons.graph import LEAVES, Graph, Kind, Node, Op
from csnn.neurons.operators import Operators
from hls_models.binding import Placement, bind

# The operator that does each operation that may share one. The others are cheaper than the
# multiplexers in front of a shared one would be.
CLASSES: dict[Op, str] = {
    Op.FADD: "fadd",
    Op.FSUB: "fadd",
    Op.FMUL: "fmul",
    Op.FEXP: "fexp",
    Op.FGE: "fge",
    Op.FLT: "flt",
    Op.ITOF: "itof",
}
BITS = {Kind.F32: 32, Kind.I32: 32, Kind.BOOL: 1}
MAX_II = 256
_ROUNDS = 12
_SWEEPS = 8


@dataclass(frozen=True)
class Multiplexer:
    """What stands before a port of an operator.

    Attributes
    ----------
    unit : (str, int)
        Class and instance of the operator.
    port : int
    width : int
    sources : tuple of (int, int)
        Distinct inputs: node and copy, see `Schedule.copy`; one alone is a wire.
    phases : tuple of (int, int)
        Cycle modulo II and which source it takes, in order of the cycles; in others any will do.
    """

    unit: tuple[str, int]
    port: int
    width: int
    sources: tuple[tuple[int, int], ...]
    phases: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When and where each operation of a step is done.

    A neuron's words stand at the inputs from its cycle 0 to its cycle II - 1. Values wait in
    registers that are loaded every II cycles, each from the one before: `copy` tells which register
    has a value at a time. An operation with an operator of its own keeps its result for II cycles,
    in the last register of that operator, if it is one of integers, bools or selection.

    Attributes
    ----------
    graph : Graph
    operators : Operators
    ii : int
        Cycles between two neurons.
    starts : tuple of int
        By node, the cycle in which it takes its operands; leaves are there at 0.
    instances : tuple of (str, int)
        Number of operators of each class.
    bindings : tuple of int or None
        By node, which operator of its class does it; None if it has one of its own kind.
    swapped : tuple of bool
        By node, whether its operands change places; only sums and products.
    """

    graph: Graph
    operators: Operators
    ii: int
    starts: tuple[int, ...]
    instances: tuple[tuple[str, int], ...]
    bindings: tuple[int | None, ...]
    swapped: tuple[bool, ...]

    @cached_property
    def _latencies(self) -> dict[Op, int]:
        return {**self.operators.latencies(), **dict.fromkeys(LEAVES, 0)}

    def ready(self, position: int) -> int:
        """Return the first cycle in which the result of a node is there."""
        return self.starts[position] + self._latencies[self.graph.nodes[position].op]

    @cached_property
    def latency(self) -> int:
        """IL: the cycle in which all results stand at the outputs."""
        return max(self.ready(position) for _, position in _results(self.graph))

    def cycles(self, neurons: int) -> int:
        """Return the cycles in which a pipeline advances its neurons: IL + neurons x II."""
        return self.latency + neurons * self.ii

    def is_held(self, position: int) -> bool:
        """Return whether a value stays for II cycles by itself."""
        return _is_held(self.graph.nodes[position], self._latencies)

    def load_phase(self, position: int) -> int:
        """Return the cycle modulo II at the end of which the registers of a value are loaded."""
        return (self.ready(position) - self.is_held(position)) % self.ii

    def copy(self, position: int, cycle: int) -> int:
        """Return which register has a value in a cycle; 0 is the operator itself."""
        age = cycle - self.ready(position)
        return _copy(self.graph.nodes[position], age, self.ii, self._latencies)

    @cached_property
    def uses(self) -> tuple[tuple[int, ...], ...]:
        """By node, the cycles in which its value is taken, also those at the end."""
        return _uses(self.graph, self.starts, self.latency)

    @cached_property
    def waiting(self) -> tuple[int, ...]:
        """By node, the registers of its value's width in which it waits."""
        return tuple(
            max((self.copy(position, cycle) for cycle in cycles), default=0)
            for position, cycles in enumerate(self.uses)
        )

    @property
    def waiting_bits(self) -> int:
        """Bits of all registers in which values wait."""
        nodes = self.graph.nodes
        return sum(n * BITS[node.kind] for n, node in zip(self.waiting, nodes, strict=True))

    def unit(self, position: int) -> tuple[str, int] | None:
        """Return class and instance of the operator that does a node, None if it is not shared."""
        index = self.bindings[position]
        return None if index is None else (CLASSES[self.graph.nodes[position].op], index)

    @cached_property
    def work(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """By operator, the nodes that it does."""
        found: dict[tuple[str, int], list[int]] = {}
        for position in range(len(self.graph.nodes)):
            unit = self.unit(position)
            if unit is not None:
                found.setdefault(unit, []).append(position)
        return {unit: tuple(positions) for unit, positions in found.items()}

    def ports(self, position: int) -> tuple[int, ...]:
        """Return the operands of a node in the order of its operator's ports."""
        operands = self.graph.nodes[position].operands
        return operands[::-1] if self.swapped[position] else operands

    @cached_property
    def multiplexers(self) -> tuple[Multiplexer, ...]:
        """What stands before every port of the shared operators."""
        found = []
        for unit, positions in self.work.items():
            operands = [self.ports(position) for position in positions]
            for port in range(len(operands[0])):
                sources: list[tuple[int, int]] = []
                wires: list[object] = []
                phases = {}
                for position, ordered in zip(positions, operands, strict=True):
                    start = self.starts[position]
                    source = ordered[port], self.copy(ordered[port], start)
                    wire = self._wire(*source)
                    if wire not in wires:
                        wires.append(wire)
                        sources.append(source)
                    phases[start % self.ii] = wires.index(wire)
                width = BITS[self.graph.nodes[operands[0][port]].kind]
                found.append(
                    Multiplexer(unit, port, width, tuple(sources), tuple(sorted(phases.items())))
                )
        return tuple(found)

    def _wire(self, position: int, copy: int) -> object:
        """Return what tells wires apart: all results of an operator leave it on the same one."""
        return (copy == 0 and self.unit(position)) or (position, copy)


def schedule(
    graph: Graph,
    operators: Operators | None = None,
    *,
    ii: int = 1,
    limits: Mapping[str, int] | None = None,
    shorten: bool = True,
) -> Schedule:
    """Schedule a step.

    Parameters
    ----------
    graph : Graph
    operators : Operators, optional
        Their latencies.
    ii : int
        Cycles between two neurons, 1 to `MAX_II`.
    limits : mapping of str to int, optional
        Number of operators per class of `CLASSES`. Without one, there are as few as possible,
        ceil(operations / II); more of them may make the latency smaller.
    shorten : bool
        Whether operations that need not be done at once are moved to where fewer registers wait.

    Returns
    -------
    Schedule
        The same for the same arguments.

    Raises
    ------
    InvalidInputError
        If II is out of range or the limits are too low for it; the reason tells which.
    """
    if isinstance(ii, bool) or not isinstance(ii, int) or not 1 <= ii <= MAX_II:
        raise InvalidInputError(f"ii = {ii!r}: must be an integer from 1 to {MAX_II}")
    operators = operators or Operators()
    instances = _instances(graph, ii, limits or {})
    starts = _best_starts(graph, operators.latencies(), ii, instances)
    placing = _Placing(graph, operators.latencies(), ii, instances, starts)
    if shorten:
        placing.shorten()
    starts = placing.starts
    latencies = {**operators.latencies(), **dict.fromkeys(LEAVES, 0)}
    placements = []
    for position, node in enumerate(graph.nodes):
        if node.op not in CLASSES:
            continue
        start = starts[position]
        ages = [
            start - starts[operand] - latencies[graph.nodes[operand].op]
            for operand in node.operands
        ]
        copies = [
            _copy(graph.nodes[operand], age, ii, latencies)
            for operand, age in zip(node.operands, ages, strict=True)
        ]
        placements.append(
            Placement(
                node=position,
                unit_class=CLASSES[node.op],
                phase=start % ii,
                operands=tuple(zip(node.operands, copies, strict=True)),
                is_commutative=node.op in (Op.FADD, Op.FMUL),
            )
        )
    bound = bind(placements, instances)
    nodes = range(len(graph.nodes))
    return Schedule(
        graph=graph,
        operators=operators,
        ii=ii,
        starts=tuple(starts),
        instances=tuple(instances.items()),
        bindings=tuple(bound[i][0] if i in bound else None for i in nodes),
        swapped=tuple(i in bound and bound[i][1] for i in nodes),
    )


def violations(schedule: Schedule) -> list[str]:
    """Return what is wrong with a schedule, one line each; none if it can be built.

    It is computed from the graph, not by the rules that made the schedule.
    """
    graph, ii = schedule.graph, schedule.ii
    latencies = schedule.operators.latencies()
    nodes = graph.nodes
    size = len(nodes)
    if not size == len(schedule.starts) == len(schedule.bindings) == len(schedule.swapped):
        return [f"the graph has {size} nodes, the schedule tells of another number"]
    found = []
    there: list[int] = []
    for position, node in enumerate(nodes):
        start = schedule.starts[position]
        there.append(start + (0 if node.op in LEAVES else latencies[node.op]))
        if node.op in LEAVES and start != 0:
            found.append(f"node {position} is a leaf and starts in cycle {start}")
        found += [
            f"node {position} starts in cycle {start}, node {operand} is ready in {there[operand]}"
            for operand in node.operands
            if there[operand] > start
        ]
        if schedule.swapped[position] and node.op not in (Op.FADD, Op.FMUL):
            found.append(f"node {position}: the operands of {node.op} cannot change places")
    end = max(there[position] for _, position in (*graph.next_state, *graph.outputs))
    if end != schedule.latency:
        found.append(f"the last result is ready in cycle {end}, not {schedule.latency}")
    numbers = dict(schedule.instances)
    taken: dict[tuple[str, int, int], int] = {}
    for position, node in enumerate(nodes):
        index = schedule.bindings[position]
        if (index is None) != (node.op not in CLASSES):
            found.append(f"node {position}: {node.op} is bound to {index}")
        elif index is not None:
            name = CLASSES[node.op]
            if not 0 <= index < numbers.get(name, 0):
                found.append(f"node {position}: there is no {name} {index}")
            slot = name, index, schedule.starts[position] % ii
            other = taken.setdefault(slot, position)
            if other != position:
                found.append(f"nodes {other} and {position} both take {name} {index} at {slot[2]}")
    return [*found, *_waiting_violations(schedule, there)]


def _waiting_violations(schedule: Schedule, there: Sequence[int]) -> Iterator[str]:
    """Yield where a register that is read has the value of another neuron, or does not exist."""
    ii, graph = schedule.ii, schedule.graph
    takers = [
        (operand, schedule.starts[position], f"node {position}")
        for position, node in enumerate(graph.nodes)
        for operand in node.operands
    ]
    takers += [
        (position, schedule.latency, f"result {name}")
        for name, position in (*graph.next_state, *graph.outputs)
    ]
    for operand, cycle, taker in takers:
        node = graph.nodes[operand]
        if node.op is Op.CONSTANT or cycle < there[operand]:
            continue
        copy = schedule.copy(operand, cycle)
        # What a value's own register holds, and what is then handed on every II cycles.
        stays = ii if schedule.is_held(operand) else 1
        first = there[operand] if copy == 0 else there[operand] + stays + (copy - 1) * ii
        last = there[operand] + stays - 1 if copy == 0 else first + ii - 1
        if not first <= cycle <= last:
            yield (
                f"{taker} takes copy {copy} of node {operand} in cycle {cycle}: it is there from "
                f"{first} to {last}"
            )
        if copy > schedule.waiting[operand]:
            have = schedule.waiting[operand]
            yield f"{taker} takes copy {copy} of node {operand}: there are {have}"


def _results(graph: Graph) -> tuple[tuple[str, int], ...]:
    return graph.next_state + graph.outputs


def _is_held(node: Node, latencies: Mapping[Op, int]) -> bool:
    return node.op in LEAVES or (node.op not in CLASSES and latencies[node.op] > 0)


def _copy(node: Node, age: int, ii: int, latencies: Mapping[Op, int]) -> int:
    if node.op is Op.CONSTANT:
        return 0
    return age // ii if _is_held(node, latencies) else -(-age // ii)


def _uses(graph: Graph, starts: Sequence[int], end: int) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = [[] for _ in graph.nodes]
    for position, node in enumerate(graph.nodes):
        for operand in node.operands:
            found[operand].append(starts[position])
    for _, position in _results(graph):
        found[position].append(end)
    return tuple(tuple(cycles) for cycles in found)


def _instances(graph: Graph, ii: int, limits: Mapping[str, int]) -> dict[str, int]:
    """Return the number of operators of each class; InvalidInputError if the limits are too low."""
    known = tuple(dict.fromkeys(CLASSES.values()))
    for name, limit in limits.items():
        if name not in known:
            raise InvalidInputError(f"limits: {name!r} is none of {', '.join(known)}")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise InvalidInputError(f"limits: {name} = {limit!r}: must be an integer of at least 0")
    counts = Counter(CLASSES[node.op] for node in graph.nodes if node.op in CLASSES)
    instances = {}
    for name in known:
        if not counts[name]:
            continue
        least = -(-counts[name] // ii)
        number = limits.get(name, least)
        if number < least:
            raise InvalidInputError(
                f"II = {ii}: {counts[name]} operations of {name} take at least {least} operators, "
                f"the limit is {number}"
            )
        instances[name] = min(number, counts[name])
    return instances


def _best_starts(
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
        starts[position] + _latency(graph.nodes[position], latencies)
        for _, position in _results(graph)
    )


def _latency(node: Node, latencies: Mapping[Op, int]) -> int:
    return 0 if node.op in LEAVES else latencies[node.op]


def _asap(graph: Graph, latencies: Mapping[Op, int]) -> list[int]:
    depths = graph.depths(latencies)
    return [
        depth - _latency(node, latencies) for depth, node in zip(depths, graph.nodes, strict=True)
    ]


def _alap(graph: Graph, latencies: Mapping[Op, int], end: int) -> list[int]:
    """Return the latest starts for results in cycle `end`, without regard to operators."""
    last = [end] * len(graph.nodes)
    for position in reversed(range(len(graph.nodes))):
        last[position] -= _latency(graph.nodes[position], latencies)
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
            starts[operand] + _latency(graph.nodes[operand], latencies) for operand in node.operands
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
        start + _latency(node, latencies) for start, node in zip(starts, graph.nodes, strict=True)
    ]
    last = [end] * len(graph.nodes)
    late = [end] * len(graph.nodes)
    order = sorted(range(len(late)), key=lambda position: (finishes[position], position))
    for position in reversed(order):
        node = graph.nodes[position]
        start = last[position] - _latency(node, latencies)
        if node.op not in LEAVES:
            while not taken.is_free(node, start):
                start -= 1
            taken.take(node, start)
        late[position] = start
        for operand in node.operands:
            last[operand] = min(last[operand], start)
    return late


class _Placing:
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
        self._is_result = {position for _, position in _results(graph)}
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
            bits += BITS[node.kind] * _copy(node, age, self._ii, self._latencies)
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
