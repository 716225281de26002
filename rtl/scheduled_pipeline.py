"""Pipeline of a neuron model whose operations share operators, built from a schedule."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.neurons.graph import LEAVES, Op
from hls_models.checks import violations
from hls_models.schedule import Multiplexer, Schedule
from rtl.fp.adder import Adder, AdderConfig
from rtl.neuron_pipeline import graph_ports, integer_result, operator_unit

_PORTS = ("a", "b")


class ScheduledPipeline(wiring.Component):
    """One step of a neuron every II cycles; no schedule that breaks a rule can be elaborated.

    With II = 1, and operations as early as they can be, its Verilog is that of `NeuronPipeline`,
    which stays a component of its own: a node is so made, and kept in the cache, without regard to
    how schedules are made.

    Ports
    -----
    in_<input>, state_<state> : in
        The neuron that enters; 32 bits each. They stay for II cycles.
    constant_<constant> : in
        Must not change while neurons are under way; 32 bits each.
    next_<state>, out_<output> : out
        The neuron that leaves, in one cycle of II; 32 bits, outputs of type bool 1 bit.
    start : 1 bit, in
        In the next cycle a neuron enters, whatever the cycle would be. What is under way is lost.
        Not there with II = 1, as is `takes`.
    takes : 1 bit, out
        First of the cycles of a neuron that enters.

    Latency
        `schedule.latency` cycles for every port, from the first cycle of the neuron.
    Throughput
        One neuron every `schedule.ii` cycles.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.neurons.evaluate`; Heittmann et al. (2022), section "CsNNs Microarchitecture and Logic
        Design", II > 1.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        control = {"start": In(1), "takes": Out(1)} if schedule.ii > 1 else {}
        super().__init__({**graph_ports(schedule.graph), **control})

    def elaborate(self, platform: object) -> Module:
        """Build the operators, what waits between them, and what chooses their operands."""
        schedule, graph = self.schedule, self.schedule.graph
        broken = violations(schedule)
        if broken:
            raise ValueError(f"the schedule cannot be built: {broken[0]}")
        m = Module()
        phases = _Phases(m, schedule.ii)
        if schedule.ii > 1:
            m.d.comb += [phases.start.eq(self.start), self.takes.eq(phases.at(0))]
        values = _Waiting(m, schedule, phases)
        units = _Units(m, schedule, values, phases)
        for position, node in enumerate(graph.nodes):
            if node.op in LEAVES:
                prefix = {Op.INPUT: "in", Op.STATE: "state", Op.CONSTANT: "constant"}[node.op]
                values.add(position, getattr(self, f"{prefix}_{node.name}"))
                continue
            operands = [values.at(i, schedule.starts[position]) for i in node.operands]
            if schedule.unit(position) is None:
                values.add(position, self._own(m, position, operands, phases))
            else:
                values.add(position, units.result(position))
        for name, position in graph.next_state:
            m.d.comb += getattr(self, f"next_{name}").eq(values.at(position, schedule.latency))
        for name, position in graph.outputs:
            m.d.comb += getattr(self, f"out_{name}").eq(values.at(position, schedule.latency))
        return m

    def _own(self, m: Module, position: int, operands: list[Value], phases: _Phases) -> Value:
        """Return the result of an operation that shares nothing."""
        schedule = self.schedule
        op = schedule.graph.nodes[position].op
        latency = schedule.ready(position) - schedule.starts[position]
        result = integer_result(op, operands)
        width = len(operands[-1]) if op is not Op.IZERO else 1
        for stage in range(latency + 1):
            signal = Signal(width, name=f"{op}_{position}_{stage}", reset_less=True)
            if stage == 0:
                m.d.comb += signal.eq(result)
            elif stage < latency:
                m.d.sync += signal.eq(result)
            else:
                phases.load(schedule.load_phase(position), signal, result)
            result = signal
        return result


class _Phases:
    """The cycle modulo II, and what depends on it."""

    def __init__(self, m: Module, ii: int) -> None:
        self._m, self._ii = m, ii
        self._at: dict[int, Signal] = {}
        if ii > 1:
            self.start = Signal()
            self._phase = Signal(range(ii), name="phase")
            self._following = Signal(range(ii), name="following")
            is_last = self.start | (self._phase == ii - 1)
            m.d.comb += self._following.eq(Mux(is_last, 0, self._phase + 1))
            m.d.sync += self._phase.eq(self._following)

    def at(self, phase: int) -> Signal:
        """Return whether it is the cycle `phase`; a register, for it reaches many others."""
        if phase not in self._at:
            is_now = Signal(name=f"at_{phase}", init=phase == 0)
            self._m.d.sync += is_now.eq(self._following == phase)
            self._at[phase] = is_now
        return self._at[phase]

    def load(self, phase: int, register: Signal, value: Value) -> None:
        """Load a register at the end of the cycle `phase`."""
        if self._ii == 1:
            self._m.d.sync += register.eq(value)
        else:
            with self._m.If(self.at(phase)):
                self._m.d.sync += register.eq(value)

    def choice(self, numbers: Mapping[int, int], name: str) -> Signal:
        """Return the number that belongs to the present cycle; any one where none is given.

        It is a register, so that nothing but the multiplexer is added to the path of the operands.
        """
        table = [numbers.get(phase, numbers[min(numbers)]) for phase in range(self._ii)]
        chosen = Signal(range(max(table) + 1), name=name, init=table[0])
        self._m.d.sync += chosen.eq(Array(table)[self._following])
        return chosen


class _Waiting:
    """The values of a pipeline and the registers in which they wait."""

    def __init__(self, m: Module, schedule: Schedule, phases: _Phases) -> None:
        self._m, self._schedule, self._phases = m, schedule, phases
        self._copies: dict[int, list[Value]] = {}

    def add(self, position: int, value: Value) -> None:
        self._copies[position] = [value]

    def at(self, position: int, cycle: int) -> Value:
        """Return a value where it is in a cycle."""
        return self.copy(position, self._schedule.copy(position, cycle))

    def copy(self, position: int, number: int) -> Value:
        """Return the register in which a value has been moved on `number` times."""
        copies = self._copies[position]
        while len(copies) <= number:
            copy = Signal(len(copies[-1]), name=f"wait_{position}_{len(copies)}", reset_less=True)
            self._phases.load(self._schedule.load_phase(position), copy, copies[-1])
            copies.append(copy)
        return copies[number]


class _Units:
    """The operators of a pipeline."""

    def __init__(self, m: Module, schedule: Schedule, values: _Waiting, phases: _Phases) -> None:
        self._m, self._schedule, self._values, self._phases = m, schedule, values, phases
        self._units: dict[tuple[str, int], wiring.Component] = {}

    def result(self, position: int) -> Value:
        """Return where the result of an operation leaves its operator; in the graph's order."""
        unit = self._schedule.unit(position)
        if unit not in self._units:
            self._units[unit] = self._m.submodules[self._name(unit)] = self._built(unit)
        if position == self._schedule.work[unit][-1]:
            # All operands that it ever takes are there.
            for multiplexer in self._schedule.multiplexers:
                if multiplexer.unit == unit:
                    self._connect(multiplexer)
        result: Value = self._units[unit].result
        return result

    def _connect(self, multiplexer: Multiplexer) -> None:
        """Connect a port of an operator to what it takes in turn."""
        schedule, values, phases = self._schedule, self._values, self._phases
        unit, port = multiplexer.unit, _PORTS[multiplexer.port]
        sources = [values.copy(*source) for source in multiplexer.sources]
        value = sources[0]
        name = f"{self._name(unit)}_{port}"
        if len(sources) > 1:
            chosen = phases.choice(dict(multiplexer.phases), f"{name}_select")
            value = Signal(multiplexer.width, name=name)
            self._m.d.comb += value.eq(_select(chosen, sources))
        if port == "b" and self._is_mixed(unit):
            # a - b is a + -b, bit for bit: an adder does not look at the sign of a NaN.
            subtracts = {
                schedule.starts[i] % schedule.ii: int(schedule.graph.nodes[i].op is Op.FSUB)
                for i in schedule.work[unit]
            }
            value = Cat(value[:31], value[31] ^ phases.choice(subtracts, f"{name}_negate"))
        self._m.d.comb += getattr(self._units[unit], port).eq(value)

    def _operations(self, unit: tuple[str, int]) -> set[Op]:
        return {self._schedule.graph.nodes[i].op for i in self._schedule.work[unit]}

    def _is_mixed(self, unit: tuple[str, int]) -> bool:
        return len(self._operations(unit)) > 1

    def _built(self, unit: tuple[str, int]) -> wiring.Component:
        first = self._schedule.graph.nodes[self._schedule.work[unit][0]].op
        latency = self._schedule.operators.latencies()[first]
        if self._is_mixed(unit):
            return Adder(AdderConfig(latency=latency))
        return operator_unit(first, latency, self._schedule.operators)

    def _name(self, unit: tuple[str, int]) -> str:
        if self._schedule.ii == 1:
            (position,) = self._schedule.work[unit]
            return f"{self._schedule.graph.nodes[position].op}_{position}"
        return f"{unit[0]}_{unit[1]}"


def _select(number: Value, sources: list[Value]) -> Value:
    """Return one of several values: a tree of multiplexers, four to one in a LUT of six inputs."""
    if len(sources) == 1:
        return sources[0]
    half = 1 << (len(sources) - 1).bit_length() - 1
    low, high = _select(number, sources[:half]), _select(number, sources[half:])
    return Mux(number[half.bit_length() - 1], high, low)
