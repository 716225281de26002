"""Estimates of resources: sums of parts that are known, and what Yosys finds."""

from __future__ import annotations

import pytest

from csnn.neurons.composition import Step
from csnn.neurons.graph import Graph, Kind, Trace, decrement, is_zero, select
from csnn.neurons.lif import LIF
from csnn.neurons.models.adex import Adex
from csnn.neurons.models.izhikevich import Izhikevich
from csnn.neurons.models.mat2 import Mat2
from csnn.neurons.operators import Operators
from csnn.neurons.registry import MODELS
from csnn.neurons.synapses import Synapses
from hls_models.cost import cost, multiplexer_luts
from hls_models.library import LIBRARIES, OURS, VENDOR, Cost, Library
from hls_models.operations import CLASSES
from hls_models.schedule import schedule
from rtl.operator_sizes import units
from rtl.scheduled_pipeline import ScheduledPipeline
from rtl.synthesis import synthesise

COBA = Synapses(kernel="exp", coupling="coba")
GRAPHS = {
    "lif": LIF.graph,
    "mat2": Step(Mat2(), Synapses(kernel="exp", coupling="cuba"), "exact").graph,
    "izhikevich_rk2": Step(Izhikevich(), COBA, "rk2").graph,
    "adex_euler": Step(Adex(), COBA, "euler").graph,
    "adex_ps2": MODELS["adex_delta_cuba_ps2"].graph,
    "amat2_beta": MODELS["amat2_beta_cuba_exact"].graph,
}


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=list(LIBRARIES))
def test_libraries_are_complete(library: Library) -> None:
    assert set(library.sizes) == set(CLASSES.values())
    assert library.source


def test_costs_add_and_multiply() -> None:
    one, two = Cost(1, 2, 3, 0.5), Cost(10, 20, 30, 1.0)
    assert one + two == Cost(11, 22, 33, 1.5)
    assert one * 4 == Cost(4, 8, 12, 2.0)


@pytest.mark.parametrize(("inputs", "tables"), [(2, 1), (3, 1), (4, 1), (5, 2), (8, 3), (16, 5)])
def test_multiplexers_of_four_inputs_take_one_table_a_bit(inputs: int, tables: int) -> None:
    assert multiplexer_luts(inputs, 32) == 32 * tables


def waiting() -> Graph:
    """Return a graph in which one word waits as long as a product takes."""
    trace = Trace()
    x, y = trace.state("x"), trace.state("y")
    return trace.build(next_state={"x": x, "y": x * y}, outputs={})


@pytest.mark.parametrize(
    ("latency", "luts", "registers"), [(1, 0, 32), (2, 0, 64), (3, 32, 0), (16, 32, 0)]
)
def test_long_waits_take_shift_registers(latency: int, luts: int, registers: int) -> None:
    planned = schedule(waiting(), Operators(fmul=latency))
    assert cost(planned).waiting == Cost(luts, registers)


def test_parts_of_a_small_pipeline() -> None:
    """Two products on one multiplier: b is on both sides, a and c take turns."""
    trace = Trace()
    a, b, c = (trace.state(name) for name in "abc")
    graph = trace.build(next_state={"a": a * b, "b": b * c, "c": c}, outputs={})
    planned = schedule(graph, Operators(fmul=5), ii=2)
    parts = cost(planned)
    assert parts.operators == OURS.sizes["fmul"]
    assert parts.multiplexers == Cost(luts=32)
    # The counter and the choice, one bit each, and the cycles in which registers are loaded.
    loads = {planned.load_phase(i) for i in range(len(graph.nodes)) if planned.waiting[i]} | {0}
    control = 2 + len(loads)
    assert parts.control == Cost(luts=control, registers=control)
    # The first product waits for the second one; c, which stays for two cycles by itself, waits
    # for cycle 6: in three registers.
    assert planned.latency == 6
    assert parts.waiting == Cost(luts=32, registers=32)
    assert parts.total == Cost(138 + 64 + control, 146 + 32 + control, 2)


def own() -> Graph:
    """Return a graph of the operations that share nothing, each of them once but the selection."""
    trace = Trace()
    n, more = trace.state("n", Kind.I32), trace.input("more", Kind.I32)
    x, y = trace.state("x"), trace.state("y")
    rests = is_zero(n)
    total = select(rests, n + more, decrement(n))
    return trace.build(next_state={"n": total, "x": select(~rests, x, y), "y": y}, outputs={})


def test_operations_that_share_nothing() -> None:
    """An adder and a selection of 32 bits take a table a bit, the decrement eight more to stop."""
    parts = cost(schedule(own()))
    assert parts.own == Cost(32 + 7 + 40 + 32 + 32, 32 + 1 + 32 + 32 + 32)
    assert parts.operators == Cost()
    # x and y wait for the test of n, y once more for the end.
    assert parts.waiting == Cost(registers=3 * 32)


def test_operations_that_share_nothing_are_as_yosys_builds_them() -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'csnn[synth]'")
    planned = schedule(own())
    found = synthesise(ScheduledPipeline(planned), "xc7")
    estimate = cost(planned).total
    assert estimate.registers == found.registers
    assert estimate.luts == pytest.approx(found.luts, rel=0.1)


def test_sizes_of_the_vendor_are_the_published_ones() -> None:
    """As the reports that `VENDOR.source` names give them: tables, registers, multipliers."""
    assert VENDOR.sizes["fadd"] == Cost(390, 205, 2)
    assert VENDOR.sizes["fmul"] == Cost(321, 143, 3)
    assert VENDOR.sizes["fexp"] == Cost(905, 324, 7)
    assert VENDOR.sizes["itof"] == Cost(554, 340)
    assert VENDOR.sizes["fge"] == VENDOR.sizes["flt"] == OURS.sizes["fge"]
    # Vivado HLS counts the cycle in which a core of n stages begins: its latency is n - 1.
    latencies = VENDOR.operators
    assert (latencies.fadd, latencies.fmul, latencies.fexp, latencies.itof) == (4, 3, 7, 5)


@pytest.mark.parametrize("name", GRAPHS)
def test_sharing_saves(name: str) -> None:
    totals = [cost(schedule(GRAPHS[name], ii=ii)).total for ii in (1, 4, 16)]
    assert totals[0].luts > 1.4 * totals[1].luts > 1.4 * totals[2].luts
    assert totals[0].dsps > totals[1].dsps > totals[2].dsps


def test_multipliers_of_the_vendor() -> None:
    planned = schedule(LIF.graph, VENDOR.operators)
    assert cost(planned, VENDOR).total.dsps == 5 * 2 + 5 * 3


@pytest.mark.parametrize(
    "name", ["fge", *(pytest.param(n, marks=pytest.mark.slow) for n in ("fmul", "fadd", "fexp"))]
)
def test_sizes_of_operators_are_those_of_synthesis(name: str) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'csnn[synth]'")
    found = synthesise(units(Operators())[name](), "xc7")
    size = OURS.sizes[name]
    assert (found.dsps, found.blocks, found.registers) == (size.dsps, size.blocks, size.registers)
    assert found.luts == pytest.approx(size.luts, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ii"),
    [
        ("lif", 1),
        ("lif", 2),
        ("lif", 4),
        ("lif", 8),
        ("mat2", 4),
        ("adex_euler", 8),
        ("izhikevich_rk2", 8),
        ("adex_ps2", 1),
        ("adex_ps2", 8),
        ("amat2_beta", 3),
    ],
)
def test_estimates_are_those_of_synthesis(name: str, ii: int) -> None:
    pytest.importorskip("pyosys", reason="Yosys is not installed: pip install 'csnn[synth]'")
    planned = schedule(GRAPHS[name], ii=ii)
    found = synthesise(ScheduledPipeline(planned), "xc7")
    estimate = cost(planned).total
    assert estimate.dsps == found.dsps
    assert estimate.blocks == found.blocks
    assert estimate.luts == pytest.approx(found.luts, rel=0.2)
    assert estimate.registers == pytest.approx(found.registers, rel=0.15)
