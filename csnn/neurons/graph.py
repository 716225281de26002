"""Neuron models as immutable graphs of typed operations, traced from ordinary expressions.

A model's step is written once with `Trace` operands; `Trace.build` removes dead code and returns a
`Graph`, from which every evaluation is derived. Common subexpressions are shared while tracing.

Semantics: f32 operations are those of `csnn.binary32`, `FEXP` that of `csnn.exponential`; i32
addition wraps modulo 2**32; `IDEC` is x - 1 for x > 0 and 0 otherwise; `SELECT` copies the chosen
word unchanged, NaNs and subnormals too.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


class Kind(enum.StrEnum):
    """Types of values."""

    F32 = "f32"
    I32 = "i32"
    BOOL = "bool"


class Op(enum.StrEnum):
    """Operations; the first three are leaves."""

    INPUT = "input"
    STATE = "state"
    CONSTANT = "constant"
    FADD = "fadd"
    FSUB = "fsub"
    FMUL = "fmul"
    FEXP = "fexp"
    FGE = "fge"
    FLT = "flt"
    ITOF = "itof"
    IADD = "iadd"
    IZERO = "izero"
    IDEC = "idec"
    AND = "and"
    NOT = "not"
    SELECT = "select"


LEAVES = (Op.INPUT, Op.STATE, Op.CONSTANT)
_COMMUTATIVE = (Op.FADD, Op.FMUL, Op.IADD, Op.AND)
_F, _I, _B = Kind.F32, Kind.I32, Kind.BOOL
_SIGNATURES: dict[Op, tuple[tuple[Kind, ...], Kind]] = {
    Op.FADD: ((_F, _F), _F),
    Op.FSUB: ((_F, _F), _F),
    Op.FMUL: ((_F, _F), _F),
    Op.FEXP: ((_F,), _F),
    Op.FGE: ((_F, _F), _B),
    Op.FLT: ((_F, _F), _B),
    Op.ITOF: ((_I,), _F),
    Op.IADD: ((_I, _I), _I),
    Op.IZERO: ((_I,), _B),
    Op.IDEC: ((_I,), _I),
    Op.AND: ((_B, _B), _B),
    Op.NOT: ((_B,), _B),
}


def result_kind(op: Op, kinds: tuple[Kind, ...]) -> Kind:
    """Return the type of `op` applied to operands of `kinds`; TypeError if they do not fit."""
    if op is Op.SELECT:
        if len(kinds) == 3 and kinds[0] is Kind.BOOL and kinds[1] is kinds[2]:
            return kinds[1]
    elif op in _SIGNATURES and _SIGNATURES[op][0] == kinds:
        return _SIGNATURES[op][1]
    raise TypeError(f"{op} does not take ({', '.join(kinds)})")


@dataclass(frozen=True)
class Node:
    """One operation: its operands are positions of earlier nodes; leaves have a name instead."""

    op: Op
    kind: Kind
    operands: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One step of a neuron.

    Attributes
    ----------
    nodes : tuple of Node
        In topological order; inputs and states are all present, other nodes only if used.
    next_state, outputs : tuple of (name, position)
        Where each state's next value and each output is found.
    """

    nodes: tuple[Node, ...]
    next_state: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        for position, node in enumerate(self.nodes):
            if any(not 0 <= operand < position for operand in node.operands):
                raise ValueError(f"node {position} uses a later node")
            if node.op in LEAVES:
                if not node.name.isidentifier() or node.operands:
                    raise ValueError(f"node {position}: a leaf has a name and no operands")
            elif result_kind(node.op, self._operand_kinds(node)) is not node.kind:
                raise TypeError(f"node {position}: {node.op} is not {node.kind}")
        names = [node.name for node in self.nodes if node.op in LEAVES]
        if len(set(names)) != len(names):
            raise ValueError(f"names of leaves must differ: {names}")
        if [name for name, _ in self.next_state] != list(self.states):
            raise ValueError(f"next_state must name the states {list(self.states)} in order")
        for name, position in self.next_state:
            if self.nodes[position].kind is not self.states[name]:
                raise TypeError(f"next {name} must be {self.states[name]}")

    def _operand_kinds(self, node: Node) -> tuple[Kind, ...]:
        return tuple(self.nodes[operand].kind for operand in node.operands)

    def leaves(self, op: Op) -> dict[str, Kind]:
        """Return names and types of the leaves of one sort, in order."""
        return {node.name: node.kind for node in self.nodes if node.op is op}

    @cached_property
    def inputs(self) -> dict[str, Kind]:
        """Names and types of the inputs, in order of declaration."""
        return self.leaves(Op.INPUT)

    @cached_property
    def states(self) -> dict[str, Kind]:
        """Names and types of the state variables, in order of declaration."""
        return self.leaves(Op.STATE)

    @cached_property
    def constants(self) -> dict[str, Kind]:
        """Names and types of the constants in use, in order of declaration."""
        return self.leaves(Op.CONSTANT)

    def operator_counts(self) -> dict[Op, int]:
        """Return how many of each operator one step uses; leaves are not operators."""
        counts = Counter(node.op for node in self.nodes)
        return {op: counts[op] for op in Op if op not in LEAVES and counts[op]}

    def depths(self, latencies: Mapping[Op, int]) -> tuple[int, ...]:
        """Return the cycle at which each node's result is ready; leaves are ready at 0.

        A node starts when its last operand is ready. An operand of smaller depth waits in
        `start - depth` registers: that is the balancing delay of a pipeline.
        """
        ready: list[int] = []
        for node in self.nodes:
            start = max((ready[operand] for operand in node.operands), default=0)
            ready.append(start + (0 if node.op in LEAVES else latencies[node.op]))
        return tuple(ready)

    def latency(self, latencies: Mapping[Op, int]) -> int:
        """Return the length in cycles of the critical path from the leaves to any result."""
        ready = self.depths(latencies)
        return max(ready[position] for _, position in self.next_state + self.outputs)

    def dump(self) -> str:
        """Return the graph as text, one node a line."""
        lines = []
        for position, node in enumerate(self.nodes):
            shown = [node.name] if node.op in LEAVES else [f"%{i}" for i in node.operands]
            lines.append(f"%{position} = {node.op} {' '.join(shown)} : {node.kind}")
        lines += [f"next {name} = %{position}" for name, position in self.next_state]
        lines += [f"output {name} = %{position}" for name, position in self.outputs]
        return "\n".join(lines)

    def digest(self) -> str:
        """Return the SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.dump().encode()).hexdigest()


class Value:
    """An operand while tracing: `+ - *` and `>= < > <=` on f32, `+` on i32, `& ~` on bool."""

    def __init__(self, trace: Trace, position: int, kind: Kind) -> None:
        self.trace, self.position, self.kind = trace, position, kind

    def __add__(self, other: Value) -> Value:
        return self.trace.apply(Op.IADD if self.kind is Kind.I32 else Op.FADD, self, other)

    def __sub__(self, other: Value) -> Value:
        return self.trace.apply(Op.FSUB, self, other)

    def __mul__(self, other: Value) -> Value:
        return self.trace.apply(Op.FMUL, self, other)

    # Python turns `a > b` and `a <= b` into these two with the operands swapped.
    def __ge__(self, other: Value) -> Value:
        return self.trace.apply(Op.FGE, self, other)

    def __lt__(self, other: Value) -> Value:
        return self.trace.apply(Op.FLT, self, other)

    def __and__(self, other: Value) -> Value:
        return self.trace.apply(Op.AND, self, other)

    def __invert__(self) -> Value:
        return self.trace.apply(Op.NOT, self)

    def __eq__(self, other: object) -> bool:
        raise TypeError("traced values have no ==; use is_zero, >= or <")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("a traced value has no truth value; use select")


class Trace:
    """Records operations; equal operations on equal operands become one node."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._known: dict[tuple[Op, tuple[int, ...], str], int] = {}

    def _record(self, node: Node) -> Value:
        # Commutative operations give the same word in either order, as every NaN is the same.
        operands = tuple(sorted(node.operands)) if node.op in _COMMUTATIVE else node.operands
        position = self._known.setdefault((node.op, operands, node.name), len(self._nodes))
        if position == len(self._nodes):
            self._nodes.append(node)
        elif node.op in LEAVES:
            raise ValueError(f"{node.op} {node.name} is declared twice")
        return Value(self, position, node.kind)

    def input(self, name: str, kind: Kind) -> Value:
        """Declare an input of the step."""
        return self._record(Node(Op.INPUT, kind, name=name))

    def state(self, name: str, kind: Kind = Kind.F32) -> Value:
        """Declare a state variable and return its old value."""
        return self._record(Node(Op.STATE, kind, name=name))

    def constant(self, name: str, kind: Kind = Kind.F32) -> Value:
        """Declare a parameter that all neurons of a population share."""
        return self._record(Node(Op.CONSTANT, kind, name=name))

    def apply(self, op: Op, *operands: Value) -> Value:
        """Record an operation; TypeError if the operands do not fit it."""
        for operand in operands:
            if not isinstance(operand, Value) or operand.trace is not self:
                raise TypeError(f"{op} takes values of this trace, not {operand!r}")
        kind = result_kind(op, tuple(operand.kind for operand in operands))
        return self._record(Node(op, kind, tuple(operand.position for operand in operands)))

    def build(self, *, next_state: Mapping[str, Value], outputs: Mapping[str, Value]) -> Graph:
        """Return the graph of all results, without the operations that none of them needs."""
        roots = [value.position for value in (*next_state.values(), *outputs.values())]
        live, pending = set[int](), roots
        while pending:
            position = pending.pop()
            if position not in live:
                live.add(position)
                pending.extend(self._nodes[position].operands)
        interface = (Op.INPUT, Op.STATE)
        kept = [i for i, node in enumerate(self._nodes) if i in live or node.op in interface]
        moved = {old: new for new, old in enumerate(kept)}
        nodes = tuple(
            Node(node.op, node.kind, tuple(moved[i] for i in node.operands), node.name)
            for node in (self._nodes[old] for old in kept)
        )
        states = [node.name for node in nodes if node.op is Op.STATE]
        if set(states) != set(next_state):
            raise ValueError(f"next_state must name the states {states}")
        return Graph(
            nodes=nodes,
            next_state=tuple((name, moved[next_state[name].position]) for name in states),
            outputs=tuple((name, moved[value.position]) for name, value in outputs.items()),
        )


def select(condition: Value, if_true: Value, if_false: Value) -> Value:
    """Return `if_true` where `condition` holds, else `if_false`; both of one type."""
    return condition.trace.apply(Op.SELECT, condition, if_true, if_false)


def to_f32(x: Value) -> Value:
    """Convert an i32 value to f32, rounding to nearest even."""
    return x.trace.apply(Op.ITOF, x)


def exponential(x: Value) -> Value:
    """Return the exponential of an f32 value."""
    return x.trace.apply(Op.FEXP, x)


def is_zero(x: Value) -> Value:
    """Return whether an i32 value is zero."""
    return x.trace.apply(Op.IZERO, x)


def decrement(x: Value) -> Value:
    """Return an i32 value less one, but at least zero."""
    return x.trace.apply(Op.IDEC, x)
