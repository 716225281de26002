"""From end to end over a bad channel packets arrive completely, in order and once, or it is said.

The packets count, so that nothing but the streams themselves is needed to compare them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from bench import Arrays, transfers
from lossy_link import SIDES, LossyLink

from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import LinkConfig
from rtl.mesh.link_end import LinkEnd
from rtl.verilate import Verilated

CONFIG = LinkConfig(window=16, buffer=16, timeout=200, keepalive=64, silence_limit=1024)
OTHER = dict(zip(SIDES, reversed(SIDES), strict=True))
STREAMS = ("unicast", "broadcast")
CYCLES = 10_000
# Cycles from a transmitted frame to a received one with delay 0: its place, the output.
CHANNEL = 2

# The receiver does not look at the number; any frame is sound; nothing is sent again; more places
# are told to be free than are. That old counts are believed is for the proof to find: it does harm
# only if the window is full at the same time.
FAULTS = (
    (r"frame\[106:100\] == counts\[6:0\]", "1'h1"),
    (r"! difference", "1'h1"),
    (r"waited == \S+", "1'h0"),
    (r"counts\[13:7\] \+ 1'h1", "counts[13:7] + 2'h2"),
)


def planted(verilog: str) -> str:
    """Return the text with all faults; the input `fault` says which is in force, 0 none."""
    for number, (pattern, wrong) in enumerate(FAULTS, 1):
        verilog, places = re.subn(
            rf"= ({pattern}) *;", rf"= (top.fault == {number} ? {wrong} : \1 );", verilog
        )
        assert places, pattern
    ports = re.compile(r"module top\((.*?)\);", re.DOTALL)
    return ports.sub(r"module top(\1, fault);\n  input [15:0] fault;", verilog)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How bad a channel is: probabilities, and cycles of delay, more of it for the second copy."""

    loss: float = 0.0
    double: float = 0.0
    corrupt: float = 0.0
    delay: int = 8
    jitter: int = 0
    later: int = 0
    cut: int | None = None


def run(
    bench: Verilated, faults: Faults, *, offers: float, takes: float, cycles: int = CYCLES,
    seed: int = 1, fault: int = 0,
) -> Arrays:  # fmt: skip
    """Send for a third of the time; return everything but the cycle of reset at the beginning."""
    rng = np.random.default_rng(seed)
    inputs: Arrays = {
        "rst": (np.arange(cycles) == 0).astype(np.uint64),
        "fault": np.full(cycles, fault, np.uint64),
    }
    streams = {}
    sends = np.arange(cycles) < cycles // 3
    for side in SIDES:
        for number, name in enumerate(STREAMS):
            port = f"{side}_{name}_in"
            words = np.zeros((cycles, 2), np.uint64)
            words[:, 0] = np.arange(cycles)
            # The other words tell side and channel: packets that go astray are seen.
            words[:, 1] = SIDES.index(side) * 2 + number
            streams[port] = words
            inputs[f"{port}__valid"] = (sends & (rng.random(cycles) < offers)).astype(np.uint64)
            inputs[f"{port}__payload"] = np.zeros((cycles, 2), np.uint64)
            # Those that wait are taken when all has been sent.
            ready = (rng.random(cycles) < takes) | (np.arange(cycles) > cycles // 3)
            inputs[f"{side}_{name}_out__ready"] = ready.astype(np.uint64)
        keeps = rng.random(cycles) >= faults.loss
        doubles = rng.random(cycles) < faults.double
        if faults.cut is not None:
            keeps[faults.cut :] = doubles[faults.cut :] = False
        flips = np.zeros((cycles, -(-FRAME_BITS // 64)), np.uint64)
        for t in np.flatnonzero(rng.random(cycles) < faults.corrupt):
            for place in rng.integers(0, FRAME_BITS, int(rng.integers(1, 4))).tolist():
                flips[t, place // 64] |= np.uint64(1 << place % 64)
        inputs |= {
            f"{side}_keeps": keeps.astype(np.uint64),
            f"{side}_doubles": doubles.astype(np.uint64),
            f"{side}_flips": flips,
        }
        for name in ("delay", "delay_again"):
            late = rng.integers(0, faults.jitter + 1, cycles)
            late += faults.later * (name == "delay_again")
            inputs[f"{side}_{name}"] = (faults.delay + late).astype(np.uint64)
    found = {**inputs, **bench.run(inputs, streams)}
    return {name: column[1:] for name, column in found.items()}


def check(found: Arrays, *, complete: bool = True) -> int:
    """Demand that what left is what came, or the beginning of it; return how much left."""
    total = 0
    for side in SIDES:
        for name in STREAMS:
            came = transfers(found, f"{side}_{name}_in")[1]
            left = transfers(found, f"{OTHER[side]}_{name}_out")[1]
            assert np.array_equal(left, came[: len(left)]), (side, name)
            assert not complete or len(left) == len(came), (side, name)
            total += len(left)
    return total


@pytest.fixture(scope="module")
def bench() -> Verilated:
    return Verilated(LossyLink(CONFIG), change=planted, added=("fault",))


CHANNELS = {
    "good": Faults(),
    "loses": Faults(loss=0.05),
    "doubles": Faults(double=0.5),
    "corrupts": Faults(corrupt=0.05),
    "reorders": Faults(jitter=6),
    "all": Faults(loss=0.03, double=0.1, corrupt=0.03, jitter=4),
    "late": Faults(loss=0.02, double=0.3, delay=10, jitter=20),
    "repeats old frames": Faults(loss=0.02, double=0.5, delay=10, later=50),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(("offers", "takes"), [(1.0, 1.0), (0.1, 0.5), (1.0, 0.05)])
def test_packets_arrive_in_order_and_once(
    bench: Verilated, name: str, offers: float, takes: float
) -> None:
    faults = CHANNELS[name]
    found = run(bench, faults, offers=offers, takes=takes)
    total = check(found)
    assert total > 50
    for side in SIDES:
        assert not found[f"{side}_failed"].any()
        assert not found[f"{side}_overflow"].any()
        assert bool(found[f"{side}_count_bad"].any()) == (faults.corrupt > 0)
        came = sum(len(transfers(found, f"{side}_{stream}_in")[0]) for stream in STREAMS)
        assert found[f"{side}_count_sent"].sum() == came
    if name not in ("good", "doubles"):
        assert any(found[f"{side}_count_resent"].any() for side in SIDES)


def test_rate_and_latency_of_a_good_link(bench: Verilated) -> None:
    found = run(bench, CHANNELS["good"], offers=1.0, takes=1.0)
    check(found)
    for side in SIDES:
        cycles = np.concatenate([transfers(found, f"{side}_{name}_in")[0] for name in STREAMS])
        assert np.array_equal(np.diff(np.sort(cycles)), np.full(len(cycles) - 1, 4))
        came = transfers(found, f"{side}_unicast_in")[0]
        left = transfers(found, f"{OTHER[side]}_unicast_out")[0]
        latency = LinkEnd.SEND_LATENCY + CHANNEL + CHANNELS["good"].delay + LinkEnd.RECEIVE_LATENCY
        assert set((left - came).tolist()) == {latency}


@pytest.mark.parametrize("cut", [0, 700, 2500])
def test_a_cut_link_fails_at_both_ends(bench: Verilated, cut: int) -> None:
    found = run(bench, Faults(loss=0.05, cut=cut), offers=0.5, takes=0.5, cycles=8000)
    check(found, complete=False)
    for side in SIDES:
        failed = found[f"{side}_failed"]
        assert failed[-1]
        first = int(np.argmax(failed))
        assert failed[first:].all()
        lost = 0
        for name in STREAMS:
            cycles = transfers(found, f"{side}_{name}_in")[0]
            # All is taken and dropped that can never arrive.
            assert found[f"{side}_{name}_in__ready"][first:].all()
            lost += int((cycles < first).sum())
            lost -= len(transfers(found, f"{OTHER[side]}_{name}_out")[0])
        assert 0 <= lost <= CONFIG.window


@pytest.mark.parametrize("fault", range(1, len(FAULTS) + 1))
def test_a_planted_fault_is_found(bench: Verilated, fault: int) -> None:
    def finds(faults: Faults) -> bool:
        found = run(bench, faults, offers=1.0, takes=0.05, fault=fault)
        try:
            check(found)
        except AssertionError:
            return True
        states = ("failed", "overflow")
        return any(found[f"{side}_{state}"].any() for side in SIDES for state in states)

    assert any(finds(faults) for faults in CHANNELS.values())
