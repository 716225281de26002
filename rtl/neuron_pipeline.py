"""Pipeline of a neuron model, generated from its graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.neurons.graph import LEAVES, Graph, Kind, Op
from csnn.neurons.operators import Operators
from rtl.fp.adder import Adder, AdderConfig
from rtl.fp.comparator import Comparator, ComparatorConfig
from rtl.fp.exponential import Exponential, ExponentialConfig
from rtl.fp.from_int import FromInt, FromIntConfig
from rtl.fp.multiplier import Multiplier, MultiplierConfig

UnitMaker = Callable[[Op, int, Operators], wiring.Component | None]
_WIDTHS = {Kind.F32: 32, Kind.I32: 32, Kind.BOOL: 1}


@dataclass(frozen=True, kw_only=True)
class NeuronPipelineConfig:
    """Parameters: the `graph` of one step, and the `operators` that it is built of."""

    graph: Graph
    operators: Operators = field(default_factory=Operators)

    @property
    def latency(self) -> int:
        """Cycles from a neuron's state to its next one."""
        return self.graph.latency(self.operators.latencies())


class NeuronPipeline(wiring.Component):
    """One step of a neuron per cycle.

    Ports
    -----
    in_<input>, state_<state> : in
        The neuron that enters; 32 bits each.
    constant_<constant> : in
        Must not change while neurons are under way; 32 bits each.
    next_<state>, out_<output> : out
        The neuron that leaves; 32 bits, outputs of type bool 1 bit.

    Latency
        `config.latency` cycles for every port: that of the critical path of the graph.
    Throughput
        One neuron per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.neurons.evaluate`; Heittmann et al. (2022), Figure 7.
    """

    def __init__(self, config: NeuronPipelineConfig, unit: UnitMaker | None = None) -> None:
        self.config = config
        # Simulations may take units that are elaborated once (`rtl.shared_units`).
        self._unit = unit or operator_unit
        super().__init__(graph_ports(config.graph))

    def elaborate(self, platform: object) -> Module:
        """Build one operator per node; operands and results wait in registers for the others."""
        m = Module()
        graph = self.config.graph
        latencies = self.config.operators.latencies()
        depths = graph.depths(latencies)
        values = _Delayed(m)
        for position, node in enumerate(graph.nodes):
            if node.op in LEAVES:
                prefix = {Op.INPUT: "in", Op.STATE: "state", Op.CONSTANT: "constant"}[node.op]
                is_static = node.op is Op.CONSTANT
                values.add(position, getattr(self, f"{prefix}_{node.name}"), 0, is_static)
                continue
            latency = latencies[node.op]
            start = depths[position] - latency
            operands = [values.at(operand, start) for operand in node.operands]
            result = self._operator(m, position, node.op, operands, latency)
            values.add(position, result, depths[position])
        end = self.config.latency
        for name, position in graph.next_state:
            m.d.comb += getattr(self, f"next_{name}").eq(values.at(position, end))
        for name, position in graph.outputs:
            m.d.comb += getattr(self, f"out_{name}").eq(values.at(position, end))
        return m

    def _operator(
        self, m: Module, position: int, op: Op, operands: list[Value], latency: int
    ) -> Value:
        """Return the result of an operation, `latency` cycles after its operands."""
        unit: Any = self._unit(op, latency, self.config.operators)
        if unit is not None:
            m.submodules[f"{op}_{position}"] = unit
            for port, operand in zip(("a", "b"), operands, strict=False):
                m.d.comb += getattr(unit, port).eq(operand)
            result: Value = unit.result
            return result
        result = integer_result(op, operands)
        width = len(operands[-1]) if op is not Op.IZERO else 1
        for stage in range(latency + 1):
            signal = Signal(width, name=f"{op}_{position}_{stage}", reset_less=True)
            domain = m.d.sync if stage else m.d.comb
            domain += signal.eq(result)
            result = signal
        return result


def graph_ports(graph: Graph) -> dict[str, wiring.Member]:
    """Return the ports of a pipeline for the leaves and results of a graph."""
    return {
        **{f"in_{name}": In(_WIDTHS[kind]) for name, kind in graph.inputs.items()},
        **{f"state_{name}": In(_WIDTHS[kind]) for name, kind in graph.states.items()},
        **{f"constant_{name}": In(_WIDTHS[kind]) for name, kind in graph.constants.items()},
        **{f"next_{name}": Out(_WIDTHS[kind]) for name, kind in graph.states.items()},
        **{
            f"out_{name}": Out(_WIDTHS[graph.nodes[position].kind])
            for name, position in graph.outputs
        },
    }


def operator_unit(op: Op, latency: int, operators: Operators) -> wiring.Component | None:
    """Return the binary32 unit of an operation, None if it has none."""
    if op in (Op.FADD, Op.FSUB):
        return Adder(AdderConfig(latency=latency, subtract=op is Op.FSUB))
    narrow = operators.narrow_multipliers
    if op is Op.FMUL:
        return Multiplier(MultiplierConfig(latency=latency, quarters=narrow))
    if op in (Op.FGE, Op.FLT):
        return Comparator(ComparatorConfig(latency=latency, less=op is Op.FLT))
    if op is Op.FEXP:
        return Exponential(ExponentialConfig(latency=latency, halves=narrow))
    return FromInt(FromIntConfig(latency=latency)) if op is Op.ITOF else None


def integer_result(op: Op, operands: list[Value]) -> Value:
    """Return the result of an operation on integers or bools."""
    first = operands[0]
    match op:
        case Op.IADD:
            return (first + operands[1])[:32]
        case Op.IZERO:
            return first == 0
        case Op.IDEC:
            # Negative numbers, whose bit 31 is set, become zero as zero does.
            return Mux((first == 0) | first[31], Const(0, 32), (first - 1)[:32])
        case Op.AND:
            return first & operands[1]
        case Op.NOT:
            return ~first
        case Op.SELECT:
            return Mux(first, operands[1], operands[2])
    raise ValueError(f"{op} is no operation on integers")


class _Delayed:
    """The values of a pipeline and their copies in later cycles."""

    def __init__(self, m: Module) -> None:
        self._m = m
        self._copies: dict[int, list[Value]] = {}
        self._made: dict[int, int] = {}
        self._static: set[int] = set()

    def add(self, position: int, value: Value, cycle: int, is_static: bool = False) -> None:
        self._copies[position], self._made[position] = [value], cycle
        if is_static:
            self._static.add(position)

    def at(self, position: int, cycle: int) -> Value:
        """Return a value as it is in a later cycle, when the neuron has moved on."""
        copies = self._copies[position]
        age = 0 if position in self._static else cycle - self._made[position]
        while len(copies) <= age:
            copy = Signal(len(copies[-1]), name=f"wait_{position}_{len(copies)}", reset_less=True)
            self._m.d.sync += copy.eq(copies[-1])
            copies.append(copy)
        return copies[age]
