"""Operations of a graph as a scheduler sees them: their operators, and how their values wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from csnn.neurons.graph import LEAVES, Graph, Kind, Node, Op

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


def results(graph: Graph) -> tuple[tuple[str, int], ...]:
    """Return names and positions of all results."""
    return graph.next_state + graph.outputs


def is_held(node: Node, latencies: Mapping[Op, int]) -> bool:
    """Return whether a value stays for II cycles where it was made."""
    return node.op in LEAVES or (node.op not in CLASSES and latencies[node.op] > 0)


def copy_of(node: Node, age: int, ii: int, latencies: Mapping[Op, int]) -> int:
    """Return which register has a value `age` cycles after it was ready; 0 is its operator."""
    if node.op is Op.CONSTANT:
        return 0
    return age // ii if is_held(node, latencies) else -(-age // ii)


def uses_of(graph: Graph, starts: Sequence[int], end: int) -> tuple[tuple[int, ...], ...]:
    """Return by node the cycles in which its value is taken, that of the results being `end`."""
    found: list[list[int]] = [[] for _ in graph.nodes]
    for position, node in enumerate(graph.nodes):
        for operand in node.operands:
            found[operand].append(starts[position])
    for _, position in results(graph):
        found[position].append(end)
    return tuple(tuple(cycles) for cycles in found)


def latency_of(node: Node, latencies: Mapping[Op, int]) -> int:
    """Return the cycles from a node's operands to its value."""
    return 0 if node.op in LEAVES else latencies[node.op]
