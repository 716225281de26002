"""From router to router packets of a channel stay in order, and who does not take is heard."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from bench import Arrays, assert_held, transfers
from compact_crc import compact_crc
from link_models import CHANNELS
from lossy_link import SIDES
from router_pair import PLACES, RouterPair
from router_surroundings import CONFIG, LINK

from csnn.packets import Kind
from rtl.verilate import Verilated

OTHER = dict(zip(SIDES, reversed(SIDES), strict=True))
KINDS = {"unicast": Kind.AER, "broadcast": Kind.SPIKE}
CYCLES = 8_000
SENDS = CYCLES // 3
# Places for packets between two units that no parameter tells, at most.
REGISTERS = 10
# Who sends on which channel: in the mesh one place broadcasts.
FLOWS = (("left", "unicast"), ("right", "unicast"), ("left", "broadcast"))
# An output forgets what it offers; an input what waits in it; unicast packets wait with broadcasts
# for which there is no room.
FAULTS = (
    (r"free = (\\\S+ +\| output__ready);", "1'h1"),
    (r"x_\w+_in__ready = (~ \S+) ;", "1'h1"),
    (r"= (unicast__valid & \S+) ;", "unicast__valid & (wants_broadcast | ~broadcast__valid)"),
)


@dataclass(frozen=True, kw_only=True)
class Wires:
    """How slow and how bad they are: cycles, the largest of cycles besides, a probability."""

    delay: int = 6
    jitter: int = 0
    loss: float = 0.0


WIRES = {
    "steady": Wires(),
    "of any delay": Wires(delay=4, jitter=8),
    "slow": Wires(delay=12),
    "bad": Wires(jitter=4, loss=0.05),
}


def planted(verilog: str) -> str:
    """Return the text with all faults; the input `fault` says which is in force, 0 none."""
    for number, (pattern, wrong) in enumerate(FAULTS, 1):

        def change(found: re.Match[str], number: int = number, wrong: str = wrong) -> str:
            return found[0].replace(found[1], f"(top.fault == {number} ? {wrong} : {found[1]} )")

        verilog, places = re.subn(pattern, change, verilog)
        assert places, pattern
    ports = re.compile(r"module top\((.*?)\);", re.DOTALL)
    return ports.sub(r"module top(\1, fault);\n  input [15:0] fault;", compact_crc(verilog))


@pytest.fixture(scope="module")
def pair() -> Verilated:
    return Verilated(RouterPair(CONFIG), change=planted, added=("fault",))


def run(
    pair: Verilated, wires: Wires, *, offers: float, takes: dict[str, float] | float,
    flows: tuple[tuple[str, str], ...] = FLOWS, seed: int = 1, fault: int = 0,
) -> Arrays:  # fmt: skip
    """Send for a third of the time; return everything that happened.

    `takes`, of each output perhaps, holds for as long; then everything is taken.
    """
    rng, cycles = np.random.default_rng(seed), np.arange(CYCLES)
    inputs: Arrays = {
        "rst": (cycles == 0).astype(np.uint64),
        "fault": np.full(CYCLES, fault, np.uint64),
    }
    streams = {}
    for side in SIDES:
        for name in CHANNELS:
            port = f"{side}_{name}"
            x, y, z = PLACES[OTHER[side] if name == "unicast" else side]
            words = np.zeros((CYCLES, 2), np.uint64)
            # Side and channel are known by these, packets by their numbers.
            words[:, 0] = SIDES.index(side) << 32 | KINDS[name] << 24 | z << 16 | y << 8 | x
            words[:, 1] = cycles
            streams[f"{port}_in"] = words
            offered = (rng.random(CYCLES) < offers) & (cycles < SENDS) & (cycles > 0)
            offered &= (side, name) in flows
            inputs |= {f"{port}_in__valid": offered, f"{port}_in__payload": 0 * words}
            rate = takes[f"{port}_out"] if isinstance(takes, dict) else takes
            inputs[f"{port}_out__ready"] = (rng.random(CYCLES) < rate) | (cycles > SENDS)
        inputs[f"{side}_keeps"] = rng.random(CYCLES) >= wires.loss
        inputs[f"{side}_delay"] = wires.delay + rng.integers(0, wires.jitter + 1, CYCLES)
    return {**inputs, **pair.run(inputs, streams)}


def check(found: Arrays) -> None:
    """Demand that all that was sent has come, on its channel and in order, and nothing else."""
    for side in SIDES:
        for name in CHANNELS:
            came = transfers(found, f"{side}_{name}_in")[1]
            left = transfers(found, f"{OTHER[side]}_{name}_out")[1]
            assert np.array_equal(left, came), (side, name)
            assert_held(found, f"{side}_{name}_out")


@pytest.mark.parametrize("wires", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize(("offers", "takes"), [(1.0, 1.0), (0.05, 0.5), (1.0, 0.1)])
def test_order_is_kept_and_nothing_lost(
    pair: Verilated, wires: Wires, offers: float, takes: float
) -> None:
    for seed in range(2):
        found = run(pair, wires, offers=offers, takes=takes, seed=seed)
        check(found)
        for side, name in FLOWS:
            assert len(transfers(found, f"{side}_{name}_in")[0]) > 30


def test_two_senders_of_broadcasts_would_stand(pair: Verilated) -> None:
    """Each waits at its router for the other, as docs/deadlock.md says."""
    flows = tuple((side, "broadcast") for side in SIDES)
    found = run(pair, WIRES["bad"], offers=1.0, takes=1.0, flows=flows)
    for side, name in flows:
        came = transfers(found, f"{side}_{name}_in")[1]
        left = transfers(found, f"{OTHER[side]}_{name}_out")[1]
        assert len(left) < len(came)
        assert np.array_equal(left, came[: len(left)])


def back_pressure(pair: Verilated, slow: str, fault: int = 0) -> None:
    """Demand that the sender to an output that takes nothing stands, and the others go on."""
    outputs = {f"{OTHER[side]}_{name}_out": f"{side}_{name}_in" for side, name in FLOWS}
    takes = {f"{side}_{name}_out": 1.0 for side in SIDES for name in CHANNELS} | {slow: 0.0}
    found = run(pair, WIRES["steady"], offers=1.0, takes=takes, fault=fault)
    check(found)
    for output, source in outputs.items():
        sent = np.count_nonzero(transfers(found, source)[0] < SENDS)
        if output == slow:
            # What is beyond the link, and before it, and the registers on the way.
            assert LINK.buffer < sent < LINK.buffer + CONFIG.branch_buffer + REGISTERS
        else:
            assert sent > SENDS // (3 * LINK.frame_cycles)


@pytest.mark.parametrize("slow", [f"{OTHER[side]}_{name}_out" for side, name in FLOWS])
def test_back_pressure_passes_through_and_stays_on_its_channel(pair: Verilated, slow: str) -> None:
    back_pressure(pair, slow)


@pytest.mark.parametrize("fault", range(1, len(FAULTS) + 1))
def test_a_planted_fault_is_found(pair: Verilated, fault: int) -> None:
    with pytest.raises(AssertionError):
        back_pressure(pair, "right_unicast_out" if fault < 3 else "right_broadcast_out", fault)
