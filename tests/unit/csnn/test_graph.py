"""Graphs of neuron models: tracing, sharing, types, latency, evaluation of every operation."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import (
    Graph,
    Kind,
    Node,
    Op,
    Trace,
    Value,
    decrement,
    exponential,
    is_zero,
    select,
    to_f32,
)
from csnn.neurons.operators import Operators

LATENCIES = Operators().latencies()


def small_graph() -> Graph:
    trace = Trace()
    n = trace.input("n", Kind.I32)
    x = trace.state("x")
    a, unused = trace.constant("a"), trace.constant("unused")
    _ = unused * x
    grown = a * x + to_f32(n)
    return trace.build(
        next_state={"x": select(grown >= a, a * x, grown)}, outputs={"above": grown >= a}
    )


def test_common_subexpressions_are_shared_and_dead_code_removed() -> None:
    graph = small_graph()
    assert graph.operator_counts() == {
        Op.FADD: 1,
        Op.FMUL: 1,
        Op.FGE: 1,
        Op.ITOF: 1,
        Op.SELECT: 1,
    }
    assert graph.constants == {"a": Kind.F32}
    assert (graph.inputs, graph.states) == ({"n": Kind.I32}, {"x": Kind.F32})


def test_sharing_sees_commutative_operands_but_not_differences() -> None:
    trace = Trace()
    x, y = trace.state("x"), trace.state("y")
    assert (x + y).position == (y + x).position
    assert (x * y).position == (y * x).position
    assert (x - y).position != (y - x).position
    assert (x < y).position == (y > x).position
    assert (x >= y).position == (y <= x).position


def test_unused_inputs_and_states_stay_in_the_interface() -> None:
    trace = Trace()
    trace.input("n", Kind.I32)
    x = trace.state("x")
    graph = trace.build(next_state={"x": x}, outputs={})
    assert list(graph.inputs) == ["n"]
    assert graph.latency(LATENCIES) == 0


def test_text_is_deterministic_and_readable() -> None:
    text = small_graph().dump()
    assert text == small_graph().dump()
    assert text.splitlines() == [
        "%0 = input n : i32",
        "%1 = state x : f32",
        "%2 = constant a : f32",
        "%3 = fmul %2 %1 : f32",
        "%4 = itof %0 : f32",
        "%5 = fadd %3 %4 : f32",
        "%6 = fge %5 %2 : bool",
        "%7 = select %6 %3 %5 : f32",
        "next x = %7",
        "output above = %6",
    ]
    assert small_graph().digest() == small_graph().digest()


def test_latency_is_the_critical_path() -> None:
    graph = small_graph()
    assert graph.depths(LATENCIES) == (0, 0, 0, 5, 3, 12, 13, 14)
    assert graph.latency(LATENCIES) == 14
    slow_conversion = Operators(itof=9).latencies()
    assert graph.latency(slow_conversion) == 18


def test_operator_latencies_are_checked_and_complete() -> None:
    with pytest.raises(InvalidInputError, match=r"operators\.fadd = -1"):
        Operators(fadd=-1)
    leaves = {Op.INPUT, Op.STATE, Op.CONSTANT}
    assert set(LATENCIES) == set(Op) - leaves


def test_types_are_enforced() -> None:
    trace, other = Trace(), Trace()
    x, n = trace.state("x"), trace.state("n", Kind.I32)
    ill_typed = [
        lambda: x + n,
        lambda: n - n,
        lambda: n * n,
        lambda: n >= n,
        lambda: x & x,
        lambda: ~x,
        lambda: select(x, x, x),
        lambda: select(x >= x, x, n),
        lambda: to_f32(x),
        lambda: exponential(n),
        lambda: is_zero(x),
        lambda: decrement(x),
        lambda: x + 1.0,  # type: ignore[operator]
        lambda: x + other.state("x"),
        lambda: x == x,
        lambda: bool(x >= x),
    ]
    for expression in ill_typed:
        with pytest.raises(TypeError):
            expression()


def test_malformed_graphs_are_refused() -> None:
    trace = Trace()
    x, n = trace.state("x"), trace.state("n", Kind.I32)
    with pytest.raises(ValueError, match="declared twice"):
        trace.state("x")
    with pytest.raises(ValueError, match="next_state must name the states"):
        trace.build(next_state={"x": x}, outputs={})
    with pytest.raises(TypeError, match="next x must be f32"):
        trace.build(next_state={"x": n, "n": n}, outputs={})
    state = Node(Op.STATE, Kind.F32, name="x")
    for nodes, error in (
        ((state, Node(Op.FADD, Kind.F32, (0, 1))), ValueError),
        ((state, Node(Op.FADD, Kind.I32, (0, 0))), TypeError),
        ((state, Node(Op.INPUT, Kind.I32, name="x")), ValueError),
        ((Node(Op.STATE, Kind.F32),), ValueError),
    ):
        with pytest.raises(error):
            Graph(nodes=nodes, next_state=(("x", 0),), outputs=())


def evaluate_one(build: Any, **inputs: Any) -> np.ndarray:
    """Evaluate one expression of inputs, given as arrays."""
    kinds = {"float32": Kind.F32, "int32": Kind.I32, "bool": Kind.BOOL}
    trace = Trace()
    values: list[Value] = [trace.input(k, kinds[v.dtype.name]) for k, v in inputs.items()]
    graph = trace.build(next_state={}, outputs={"result": build(*values)})
    return evaluate(graph, state={}, inputs=inputs, constants={})[1]["result"]


def test_integer_and_logic_operations() -> None:
    x = np.array([-(2**31), -1, 0, 1, 2, 2**31 - 1], dtype=np.int32)
    with np.errstate(all="raise"):
        assert evaluate_one(decrement, x=x).tolist() == [0, 0, 0, 0, 1, 2**31 - 2]
        assert evaluate_one(is_zero, x=x).tolist() == [False, False, True, False, False, False]
        doubled = evaluate_one(lambda a: a + a, x=x)
    assert doubled.tolist() == [0, -2, 0, 2, 4, -2]
    assert doubled.dtype == np.int32
    p, q = np.array([False, False, True, True]), np.array([False, True, False, True])
    assert evaluate_one(lambda a, b: a & ~b, p=p, q=q).tolist() == [False, False, True, False]


def test_exponential_is_that_of_its_module() -> None:
    words = np.array([0x3F800000, 0x80000123, 0xFF800000, 0x7F800001, 0x42B17218], np.uint32)
    found = evaluate_one(exponential, x=words.view(np.float32)).view(np.uint32)
    assert found.tolist() == [0x402DF854, 0x3F800000, 0, 0x7FC00000, 0x7F800000]


def test_select_copies_words_unchanged() -> None:
    words = np.array([0x7F800001, 0xFFC12345, 0x00000001, 0x80000000], dtype=np.uint32)
    x = words.view(np.float32)
    true, zero = np.ones(4, dtype=np.bool_), np.zeros(4, dtype=np.float32)
    assert evaluate_one(select, c=true, x=x, y=zero).view(np.uint32).tolist() == words.tolist()
    assert evaluate_one(select, c=~true, x=zero, y=x).view(np.uint32).tolist() == words.tolist()


def test_evaluation_checks_types_and_broadcasts_constants() -> None:
    graph = small_graph()
    n, x = np.arange(3, dtype=np.int32), np.ones(3, dtype=np.float32)
    state, outputs = evaluate(
        graph, state={"x": x}, inputs={"n": n}, constants={"a": np.float32(2)}
    )
    assert state["x"].tolist() == [2.0, 2.0, 2.0]
    assert outputs["above"].tolist() == [True, True, True]
    with pytest.raises(TypeError, match="state x must be f32, not float64"):
        evaluate(graph, state={"x": np.ones(3)}, inputs={"n": n}, constants={"a": np.float32(2)})


def test_results_do_not_alias_the_operands() -> None:
    trace = Trace()
    graph = trace.build(next_state={"x": trace.state("x")}, outputs={})
    x = np.ones(2, dtype=np.float32)
    state, _ = evaluate(graph, state={"x": x}, inputs={}, constants={})
    state["x"][0] = 5.0
    assert x.tolist() == [1.0, 1.0]


def test_graphs_need_neither_numba_nor_the_simulator() -> None:
    code = (
        "import sys, csnn.neurons.registry, csnn.neurons.evaluate, csnn.neurons.operators;"
        "bad = {'numba', 'llvmlite', 'csnn.simulator'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
