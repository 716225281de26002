"""Modulo scheduling of a neuron's step onto shared, pipelined operators.

A neuron enters every II cycles, and each does in cycle c of its own what the one before did II
cycles earlier. Two operations may so share an operator if their cycles differ modulo II. A graph
has no cycle (the next state goes back through a memory), so that the operators alone bound II:
every II is possible for which they are enough.

References
----------
Heittmann et al. (2022), section "CsNNs Microarchitecture and Logic Design" (II, IL, number
of operators); `hls_models.placement` for the method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from csnn.errors import InvalidInputError
from csnn.neurons.graph import LEAVES, Graph, Op
from csnn.neurons.operators import Operators
from hls_models.binding import Placement, bind
from hls_models.operations import BITS, CLASSES, copy_of, is_held, results, uses_of
from hls_models.placement import Placing, best_starts

MAX_II = 256


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
        return max(self.ready(position) for _, position in results(self.graph))

    def cycles(self, neurons: int) -> int:
        """Return the cycles in which a pipeline advances its neurons: IL + neurons x II."""
        return self.latency + neurons * self.ii

    def is_held(self, position: int) -> bool:
        """Return whether a value stays for II cycles by itself."""
        return is_held(self.graph.nodes[position], self._latencies)

    def load_phase(self, position: int) -> int:
        """Return the cycle modulo II at the end of which the registers of a value are loaded."""
        return (self.ready(position) - self.is_held(position)) % self.ii

    def copy(self, position: int, cycle: int) -> int:
        """Return which register has a value in a cycle; 0 is the operator itself."""
        age = cycle - self.ready(position)
        return copy_of(self.graph.nodes[position], age, self.ii, self._latencies)

    @cached_property
    def uses(self) -> tuple[tuple[int, ...], ...]:
        """By node, the cycles in which its value is taken, also those at the end."""
        return uses_of(self.graph, self.starts, self.latency)

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
    starts = best_starts(graph, operators.latencies(), ii, instances)
    placing = Placing(graph, operators.latencies(), ii, instances, starts)
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
            copy_of(graph.nodes[operand], age, ii, latencies)
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
