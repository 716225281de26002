"""Schedules keep every dependence and every operator; planted faults are found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.composition import Step
from csnn.neurons.graph import LEAVES, Graph, Op, Trace
from csnn.neurons.lif import LIF
from csnn.neurons.models.adex import Adex
from csnn.neurons.models.izhikevich import Izhikevich
from csnn.neurons.models.lif import Lif
from csnn.neurons.models.mat2 import Mat2
from csnn.neurons.operators import ECP5_OPERATORS, Operators
from csnn.neurons.synapses import Synapses
from hls_models.checks import violations
from hls_models.operations import BITS, CLASSES
from hls_models.schedule import MAX_II, Schedule, schedule

COBA = Synapses(kernel="exp", coupling="coba")
GRAPHS = {
    "lif": LIF.graph,
    "mat2_exp": Step(Mat2(), Synapses(kernel="exp", coupling="cuba"), "exact").graph,
    "izhikevich_rk2": Step(Izhikevich(), COBA, "rk2").graph,
    "adex_rk4": Step(Adex(), COBA, "rk4").graph,
    "lif_ps6": Step(Lif(), Synapses(kernel="beta", coupling="coba"), "ps6").graph,
}
INTERVALS = (1, 2, 3, 4, 8, 13, 32, 256)


def counts(graph: Graph) -> dict[str, int]:
    """Return the operations of each class."""
    found: dict[str, int] = {}
    for op, number in graph.operator_counts().items():
        if op in CLASSES:
            found[CLASSES[op]] = found.get(CLASSES[op], 0) + number
    return found


def held_words(planned: Schedule, neurons: int = 4) -> None:
    """Follow every word of several neurons from cycle to cycle through the registers.

    Asserts that whatever an operation takes is of its own neuron.
    """
    graph, ii = planned.graph, planned.ii
    latencies = {**planned.operators.latencies(), **dict.fromkeys(LEAVES, 0)}
    end = planned.latency + neurons * ii
    for position, node in enumerate(graph.nodes):
        if node.op is Op.CONSTANT:
            continue
        ready = planned.starts[position] + latencies[node.op]
        assert ready == planned.ready(position)
        holds = planned.is_held(position)
        # What stands in the operator and in each register, cycle by cycle.
        shown: list[list[int | None]] = []
        registers: list[int | None] = [None] * (planned.waiting[position] + 1)
        for cycle in range(end):
            neuron, age = divmod(cycle - ready, ii)
            is_there = 0 <= neuron < neurons and (holds or age == 0)
            registers[0] = neuron if is_there else None
            shown.append(list(registers))
            if cycle % ii == planned.load_phase(position):
                registers = [registers[0], *registers[:-1]]
        for neuron, use in product(range(neurons), planned.uses[position]):
            assert shown[use + neuron * ii][planned.copy(position, use)] == neuron


@pytest.mark.parametrize("ii", INTERVALS)
@pytest.mark.parametrize("name", GRAPHS)
def test_schedules_can_be_built_from_the_fewest_operators(name: str, ii: int) -> None:
    graph = GRAPHS[name]
    for operators in (Operators(), ECP5_OPERATORS):
        planned = schedule(graph, operators, ii=ii)
        assert violations(planned) == []
        assert dict(planned.instances) == {n: -(-c // ii) for n, c in counts(graph).items()}
        critical = graph.latency(operators.latencies())
        assert critical <= planned.latency <= 1.2 * critical + 6
        if ii == 1:
            assert planned.latency == critical
            assert all(len(m.sources) == 1 for m in planned.multiplexers)
    assert schedule(graph, operators, ii=ii) == planned
    assert planned.cycles(32) == planned.latency + 32 * ii


@pytest.mark.parametrize("name", ["lif", "mat2_exp", "izhikevich_rk2"])
@pytest.mark.parametrize("ii", [1, 2, 3, 8])
def test_every_operand_is_that_of_the_neuron(name: str, ii: int) -> None:
    held_words(schedule(GRAPHS[name], ii=ii))
    held_words(schedule(GRAPHS[name], ECP5_OPERATORS, ii=ii, shorten=False))


def test_waiting_registers_without_sharing_are_the_balancing_delays() -> None:
    graph = LIF.graph
    latencies = Operators().latencies()
    depths = graph.depths(latencies)
    longest = [0] * len(graph.nodes)
    for position, node in enumerate(graph.nodes):
        for operand in node.operands:
            age = depths[position] - latencies[node.op] - depths[operand]
            longest[operand] = max(longest[operand], age)
    for _, position in graph.next_state + graph.outputs:
        longest[position] = max(longest[position], graph.latency(latencies) - depths[position])
    planned = schedule(graph, shorten=False)
    bits = sum(
        age * BITS[node.kind]
        for age, node in zip(longest, graph.nodes, strict=True)
        if node.op is not Op.CONSTANT
    )
    assert planned.waiting_bits == bits


@pytest.mark.parametrize("name", GRAPHS)
def test_moving_operations_saves_registers_and_costs_no_cycle(name: str) -> None:
    for ii in (1, 4):
        moved, plain = (schedule(GRAPHS[name], ii=ii, shorten=s) for s in (True, False))
        assert moved.latency == plain.latency
        assert moved.waiting_bits <= plain.waiting_bits
    if name == "lif_ps6":
        assert moved.waiting_bits < 0.95 * plain.waiting_bits


def test_more_operators_than_needed_make_it_shorter() -> None:
    graph = GRAPHS["adex_rk4"]
    few = schedule(graph, ii=32)
    more = schedule(graph, ii=32, limits={"fadd": 6, "fmul": 1000})
    assert dict(more.instances)["fadd"] == 6
    assert dict(more.instances)["fmul"] == counts(graph)["fmul"]
    assert more.latency < few.latency
    assert violations(more) == []


@pytest.mark.parametrize(
    ("ii", "limits", "reason"),
    [
        (2, {"fadd": 2}, "II = 2: 5 operations of fadd take at least 3 operators, the limit is 2"),
        (1, {"itof": 1}, "2 operations of itof take at least 2"),
        (4, {"fmul": 0}, "5 operations of fmul take at least 2"),
        (4, {"adder": 1}, "'adder' is none of fadd, fmul"),
        (4, {"fmul": -1}, "fmul = -1"),
        (0, {}, "ii = 0"),
        (True, {}, "ii = True"),
        (MAX_II + 1, {}, f"ii = {MAX_II + 1}"),
    ],
)
def test_refusals_have_reasons(ii: int, limits: dict[str, int], reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        schedule(LIF.graph, ii=ii, limits=limits)
    assert reason in str(caught.value)


def chains(length: int) -> Graph:
    """Return a graph of two chains of sums and products side by side."""
    trace = Trace()
    x, y = trace.state("x"), trace.state("y")
    a, b = x, y
    for _ in range(length):
        a, b = (a + y) * x, b + x
    return trace.build(next_state={"x": a, "y": b}, outputs={})


def least_latency(graph: Graph, operators: Operators, ii: int) -> int:
    """Return the least latency of all schedules with the fewest operators, by trying them all."""
    latencies = {**operators.latencies(), **dict.fromkeys(LEAVES, 0)}
    numbers = {name: -(-count // ii) for name, count in counts(graph).items()}
    best = 1000

    def place(ready: list[int], taken: dict[tuple[str, int], int]) -> None:
        nonlocal best
        if max(ready, default=0) >= best:
            return
        if len(ready) == len(graph.nodes):
            best = max(ready)
            return
        node = graph.nodes[len(ready)]
        first = max((ready[i] for i in node.operands), default=0)
        name = CLASSES.get(node.op)
        for start in range(first, first + (ii if name else 1)):
            slot = str(name), start % ii
            if name is None or taken.get(slot, 0) < numbers[name]:
                after = {**taken, slot: taken.get(slot, 0) + 1} if name else taken
                place([*ready, start + latencies[node.op]], after)

    place([], {})
    return best


@pytest.mark.parametrize("fadd", [2, 3, 4])
@pytest.mark.parametrize("ii", [2, 3, 4, 5])
def test_latency_of_small_graphs_is_the_least_possible(ii: int, fadd: int) -> None:
    operators = Operators(fadd=fadd, fmul=3)
    for length in (1, 2):
        graph = chains(length)
        assert schedule(graph, operators, ii=ii).latency == least_latency(graph, operators, ii)


PLANNED = schedule(GRAPHS["izhikevich_rk2"], ii=4)


def moved(changes: dict[int, int]) -> Schedule:
    starts = [start + changes.get(i, 0) for i, start in enumerate(PLANNED.starts)]
    return replace(PLANNED, starts=tuple(starts))


def test_planted_faults_of_time_are_found() -> None:
    nodes = PLANNED.graph.nodes
    found = 0
    for position, node in enumerate(nodes):
        if node.op in LEAVES:
            assert any("is a leaf" in line for line in violations(moved({position: 1})))
            continue
        tight = any(PLANNED.ready(i) == PLANNED.starts[position] for i in node.operands)
        if tight:
            found += 1
            lines = violations(moved({position: -1}))
            assert any(line.startswith(f"node {position} starts in cycle") for line in lines)
    assert found > 40


def test_planted_faults_of_bindings_are_found() -> None:
    nodes = PLANNED.graph.nodes
    sums = [i for i, node in enumerate(nodes) if node.op in (Op.FADD, Op.FSUB)]
    first = sums[0]
    phase = PLANNED.starts[first] % PLANNED.ii
    other = next(i for i in sums[1:] if PLANNED.starts[i] % PLANNED.ii == phase)

    def bound(changes: dict[int, int | None]) -> list[str]:
        bindings = tuple(changes.get(i, b) for i, b in enumerate(PLANNED.bindings))
        return violations(replace(PLANNED, bindings=bindings))

    assert bound({}) == []
    same = bound({other: PLANNED.bindings[first]})
    assert same == [
        f"nodes {first} and {other} both take fadd {PLANNED.bindings[first]} at {phase}"
    ]
    assert any("there is no fadd 99" in line for line in bound({first: 99}))
    assert any("is bound to None" in line for line in bound({first: None}))
    select = next(i for i, node in enumerate(nodes) if node.op is Op.SELECT)
    assert any("select is bound to 0" in line for line in bound({select: 0}))
    swapped = list(PLANNED.swapped)
    difference = next(i for i in sums if nodes[i].op is Op.FSUB)
    swapped[difference] = True
    assert violations(replace(PLANNED, swapped=tuple(swapped))) == [
        f"node {difference}: the operands of fsub cannot change places"
    ]
    assert len(violations(replace(PLANNED, starts=PLANNED.starts[:-1]))) == 1


class Forgetful(Schedule):
    """A schedule that takes values one register too early, or has one register too few."""

    def copy(self, position: int, cycle: int) -> int:
        return max(super().copy(position, cycle) - 1, 0)


class Scant(Schedule):
    """A schedule that has one register too few for every value."""

    @property
    def waiting(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(max(n - 1, 0) for n in super().waiting)


@pytest.mark.parametrize("kind", [Forgetful, Scant])
def test_planted_faults_of_registers_are_found(kind: type[Schedule]) -> None:
    fields = {name: getattr(PLANNED, name) for name in PLANNED.__dataclass_fields__}
    lines = violations(kind(**fields))
    assert len(lines) > 20
    assert all("takes copy" in line for line in lines)
    if kind is Forgetful:
        # Every word that has been handed on, those of one cycle too late among them.
        graph, ready = PLANNED.graph, PLANNED.ready
        nodes, results = graph.nodes, (*graph.next_state, *graph.outputs)
        reads = [(i, PLANNED.starts[n]) for n, node in enumerate(nodes) for i in node.operands]
        reads += [(i, PLANNED.latency) for _, i in results]
        late = [
            cycle - ready(i) - (PLANNED.ii if PLANNED.is_held(i) else 1)
            for i, cycle in reads
            if nodes[i].op is not Op.CONSTANT
        ]
        assert late.count(0) > 0
        assert len(lines) == sum(cycles >= 0 for cycles in late)
    with pytest.raises((AssertionError, IndexError)):
        held_words(kind(**fields))


def test_binding_saves_multiplexer_inputs() -> None:
    """Far fewer than if operations were bound in order."""
    planned = schedule(GRAPHS["adex_rk4"], ii=4)
    inputs = sum(len(m.sources) - 1 for m in planned.multiplexers)
    order: dict[tuple[str, int], int] = {}
    bindings: list[int | None] = []
    for i, node in enumerate(planned.graph.nodes):
        if node.op in CLASSES:
            slot = CLASSES[node.op], planned.starts[i] % planned.ii
            order[slot] = order.get(slot, -1) + 1
            bindings.append(order[slot])
        else:
            bindings.append(None)
    plain = replace(
        planned, bindings=tuple(bindings), swapped=tuple(False for _ in planned.swapped)
    )
    assert violations(plain) == []
    assert inputs < 0.8 * sum(len(m.sources) - 1 for m in plain.multiplexers)
