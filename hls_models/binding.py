"""Binding of operations to operators such that few multiplexer inputs are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An operation that is to be bound.

    Attributes
    ----------
    node : int
    unit_class : str
        Class of its operator.
    phase : int
        Cycle modulo II; operations of the same phase take different operators.
    operands : tuple of (int, int)
        Node of each operand and the register that it waits in, 0 if it comes from its operator.
    is_commutative : bool
        Whether the two operands may change places.
    """

    node: int
    unit_class: str
    phase: int
    operands: tuple[tuple[int, int], ...]
    is_commutative: bool


def bind(
    placements: Sequence[Placement], instances: Mapping[str, int]
) -> dict[int, tuple[int, bool]]:
    """Return by node the operator of its class and whether its operands change places.

    The operations of one phase are bound together, at the least number of new inputs (an assignment
    problem); that is done for one phase after the other, and over again, since each depends on the
    others.

    Parameters
    ----------
    placements : sequence of Placement
        At most as many of a class and phase as there are operators of that class.
    instances : mapping of str to int
        Operators of each class.
    """
    from scipy.optimize import linear_sum_assignment

    groups: dict[tuple[str, int], list[Placement]] = {}
    for placement in placements:
        groups.setdefault((placement.unit_class, placement.phase), []).append(placement)
    bound: dict[int, tuple[int, bool]] = {}
    classes = {placement.node: placement.unit_class for placement in placements}
    if len(groups) == len(instances):
        # Nothing is shared.
        for group in groups.values():
            bound |= {placement.node: (i, False) for i, placement in enumerate(group)}
        return bound

    def wire(operand: tuple[int, int]) -> Hashable:
        node, copy = operand
        # Results of one operator are on one wire, whosever they are.
        return (classes[node], bound[node][0], -1) if copy == 0 and node in bound else operand

    def inputs(unit_class: str) -> list[list[Counter[Hashable]]]:
        found: list[list[Counter[Hashable]]] = [
            [Counter(), Counter()] for _ in range(instances[unit_class])
        ]
        for placement in placements:
            if placement.unit_class == unit_class and placement.node in bound:
                index, is_swapped = bound[placement.node]
                for port, operand in enumerate(ordered(placement, is_swapped)):
                    found[index][port][wire(operand)] += 1
        return found

    def ordered(placement: Placement, is_swapped: bool) -> tuple[tuple[int, int], ...]:
        return placement.operands[::-1] if is_swapped else placement.operands

    best: tuple[int, dict[int, tuple[int, bool]]] | None = None
    for _ in range(_ROUNDS):
        for (unit_class, _phase), group in groups.items():
            for placement in group:
                bound.pop(placement.node, None)
            present = inputs(unit_class)
            costs = np.zeros((len(group), instances[unit_class]))
            swaps = np.zeros(costs.shape, dtype=bool)
            for row, placement in enumerate(group):
                orders = [[wire(operand) for operand in placement.operands]]
                if placement.is_commutative:
                    orders.append(orders[0][::-1])
                for index, ports in enumerate(present):
                    new = [
                        sum(1 for port, source in enumerate(order) if source not in ports[port])
                        for order in orders
                    ]
                    swaps[row, index] = new[-1] < new[0]
                    costs[row, index] = min(new)
            rows, columns = linear_sum_assignment(costs)
            for row, index in zip(rows.tolist(), columns.tolist(), strict=True):
                bound[group[row].node] = index, bool(swaps[row, index])
        total = sum(len(port) for name in instances for ports in inputs(name) for port in ports)
        if best is None or total < best[0]:
            best = total, dict(bound)
    assert best is not None
    return best[1]
