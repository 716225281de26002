"""Between two clocks that know nothing of each other every packet arrives once and in order.

A cycle of the simulation is a tick, a nanosecond, and the clocks are columns of it. What becomes of
a flip-flop whose input changes at its very edge, a simulation does not show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from bench import Arrays, assert_held, transfers
from packet_streams import integers
from two_clocks import SIDES, TwoClocks

from rtl.mesh.crossing import DEPTH
from rtl.verilate import Verilated

U64 = npt.NDArray[np.uint64]
TICKS = 40_000
# Cycles of the slower clock that a reset must last.
RESET_CYCLES = 3
RESETS = (9_000, 16_000, 20_000, 27_000)
RATES = ((1.0, 1.0), (0.9, 0.2), (0.2, 0.9), (0.5, 0.5), (1.0, 0.03))
# Ticks per cycle of source and sink.
CLOCKS = {
    "communication to application": (10.0, 20 / 3),
    "application to communication": (20 / 3, 10.0),
    "almost equal": (10.0, 10.003),
    "much faster": (4.0, 37.1),
    "much slower": (37.1, 4.0),
}
# A full buffer takes packets; an empty one offers them; one leaves untaken; a reset of the source
# is not heard of.
FAULTS = (
    (r"w_full = (\S+ +& \S+) ;", "1'h0"),
    (r"r_empty = (\S+) ;", "1'h0"),
    (r"= (r_rdy & r_en);", "r_rdy"),
    (r"if \((async_ff_rst)\)", "1'h0"),
)


def planted(verilog: str) -> str:
    """Return the text with all faults; the input `fault` says which is in force, 0 none."""
    for number, (pattern, wrong) in enumerate(FAULTS, 1):

        def change(found: re.Match[str], number: int = number, wrong: str = wrong) -> str:
            return found[0].replace(found[1], f"(top.fault == {number} ? {wrong} : {found[1]} )")

        verilog, places = re.subn(pattern, change, verilog)
        assert places, pattern
    # The simulation has a clock and a reset of its own.
    ports = re.compile(r"module top\((.*?)\);\n", re.DOTALL)
    return ports.sub(
        r"module top(\1, clk, rst, fault);\n  input clk, rst;\n  input [15:0] fault;\n", verilog
    )


@dataclass(frozen=True)
class Run:
    """Packets accepted and given, each with the tick before the edge of its clock."""

    sent: list[tuple[int, int]]
    found: list[tuple[int, int]]


def clock(rng: np.random.Generator, ticks: int, period: float) -> U64:
    """Return a clock of any phase, low in the first tick."""
    edges = np.arange(rng.uniform(1, 1 + period), ticks, period).astype(np.intp)
    column = np.zeros(ticks, np.uint64)
    for tick in range(int(period) // 2):
        column[np.minimum(edges + tick, ticks - 1)] = 1
    return column


def edges(column: U64, before: int, after: int) -> npt.NDArray[np.intp]:
    """Return the ticks in which a column changes in this way."""
    return np.flatnonzero((column[:-1] == before) & (column[1:] == after)) + 1


def settled(column: U64, values: npt.NDArray[np.bool_]) -> U64:
    """Return values as they are at the falls of a clock, so that its edges find them settled."""
    starts = np.append(0, edges(column, 1, 0))
    return np.repeat(values[starts], np.diff(np.append(starts, len(column)))).astype(np.uint64)


def run(
    bench: Verilated, periods: tuple[float, float], *, offers: float, takes: float, seed: int = 1,
    fault: int = 0, resets: tuple[int, ...] = (), reset_cycles: int = RESET_CYCLES,
) -> list[Run]:  # fmt: skip
    """Send until nine tenths of the time are over; return what happened after each reset.

    The first one is at the beginning. A reset lasts so many cycles of the slower clock; the sides
    begin it one after the other, and leave it so before anything is offered.
    """
    rng = np.random.default_rng(seed)
    inputs: Arrays = {"fault": np.full(TICKS, fault, np.uint64)}
    starts = (0, *resets)
    length, late = (int(cycles * max(periods)) for cycles in (reset_cycles, 2))
    begins = [start + length + 2 * late for start in starts]
    sends = np.arange(TICKS) < 9 * TICKS // 10
    for start, begin in zip(starts, begins, strict=True):
        sends[start:begin] = False
    for side, period in zip(SIDES, periods, strict=True):
        held = np.zeros(TICKS, bool)
        for start in starts:
            begin = start + int(rng.uniform(0, late))
            held[begin : begin + length] = True
        inputs[f"{side}_clk"] = column = clock(rng, TICKS, period)
        inputs[f"{side}_rst"] = settled(column, held)
    drained = np.arange(TICKS) > 9 * TICKS // 10 + 200
    for side, name, values in (
        ("source", "offers", (rng.random(TICKS) < offers) & sends),
        ("sink", "takes", (rng.random(TICKS) < takes) | drained),
    ):
        inputs[name] = settled(inputs[f"{side}_clk"], values)
    found = {**inputs, **bench.run(inputs)}
    moved = {}
    for side in SIDES:
        # An edge takes what was there in the tick before it.
        at = edges(found[f"{side}_clk"], 0, 1) - 1
        seen = {
            f"{side}__{part}": found[f"{side}_{name}"][at]
            for part, name in (("valid", "valid"), ("ready", "ready"), ("payload", "packet"))
        } | {"rst": found["source_rst"][at] | found["sink_rst"][at]}
        assert_held(seen, side)
        cycles, packets = transfers(seen, side)
        moved[side] = list(zip(at[cycles].tolist(), integers(packets), strict=True))
    return [
        Run(*([(t, packet) for t, packet in moved[side] if begin <= t < end] for side in SIDES))
        for begin, end in zip(begins, (*resets, TICKS), strict=True)
    ]


def check(runs: list[Run]) -> None:
    """Demand that what was sent has come, or, before a reset, the beginning of it."""
    for number, seen in enumerate(runs):
        sent, found = ([packet for _, packet in side] for side in (seen.sent, seen.found))
        assert len(sent) > 5
        assert found == sent[: len(found)]
        assert number < len(runs) - 1 or len(found) == len(sent)


def goes_wrong(bench: Verilated, periods: tuple[float, float], **conditions: int) -> bool:
    try:
        check(run(bench, periods, offers=1.0, takes=0.4, resets=RESETS, **conditions))
    except AssertionError:
        return True
    return False


@pytest.fixture(scope="module")
def bench() -> Verilated:
    return Verilated(TwoClocks(), change=planted, added=("fault",))


each_pair = pytest.mark.parametrize("periods", CLOCKS.values(), ids=CLOCKS)


@each_pair
def test_packets_arrive_in_order_and_once(bench: Verilated, periods: tuple[float, float]) -> None:
    for seed, (offers, takes) in enumerate(RATES):
        check(run(bench, periods, offers=offers, takes=takes, seed=seed))


@each_pair
def test_a_reset_forgets_what_is_inside(bench: Verilated, periods: tuple[float, float]) -> None:
    for seed, (offers, takes) in enumerate(RATES):
        runs = run(bench, periods, offers=offers, takes=takes, seed=seed, resets=RESETS)
        check(runs)
        inside = [len(seen.sent) - len(seen.found) for seen in runs[:-1]]
        assert takes > offers or max(inside) > 0


def test_a_reset_of_one_cycle_is_too_short(bench: Verilated) -> None:
    assert any(goes_wrong(bench, periods, reset_cycles=1) for periods in CLOCKS.values())


@each_pair
def test_a_packet_per_cycle_of_the_slower_clock(
    bench: Verilated, periods: tuple[float, float]
) -> None:
    (seen,) = run(bench, periods, offers=1.0, takes=1.0)
    times = np.array([t for t, _ in seen.found])
    assert np.diff(times)[2 * DEPTH :].mean() == pytest.approx(max(periods), rel=0.01)


def test_packets_wait_in_the_buffer(bench: Verilated) -> None:
    (seen,) = run(bench, CLOCKS["almost equal"], offers=1.0, takes=0.0)
    before = [t for t, _ in seen.sent if t < seen.found[0][0]]
    assert len(before) == DEPTH + 1


@pytest.mark.parametrize("fault", range(1, len(FAULTS) + 1))
def test_a_planted_fault_is_found(bench: Verilated, fault: int) -> None:
    wrong = [goes_wrong(bench, periods, fault=fault) for periods in CLOCKS.values()]
    # Of a source that is much slower the buffer is empty, whatever happens.
    assert wrong[:-1] == [True] * (len(CLOCKS) - 1)
