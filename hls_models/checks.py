"""Checks of a schedule: computed from the graph, not by the rules that made the schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from csnn.neurons.graph import LEAVES, Op
from hls_models.operations import CLASSES
from hls_models.schedule import Schedule


def violations(schedule: Schedule) -> list[str]:
    """Return what is wrong with a schedule, one line each; none if it can be built."""
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
