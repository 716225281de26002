"""What is claimed of components holds in every state that can be reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib.wiring import Component
from broadcast_properties import BroadcastHarness
from codec_properties import DecoderHarness, EncoderHarness
from control_properties import ControlHarness
from exponential_properties import ExponentialHarness
from fifo_properties import FifoHarness
from link_properties import LinkHarness
from master_properties import MasterControlHarness
from prover import VIOLATED, Prover
from spike_sum_properties import SpikeSumHarness

from csnn.packets import Kind

HARNESSES: dict[str, Callable[[], Component]] = {
    "fifo": FifoHarness,
    "decoder": DecoderHarness,
    "encoder": EncoderHarness,
    "spike_sum": SpikeSumHarness,
    "control": ControlHarness,
    "master_decoder": lambda: DecoderHarness(Kind.AER, Kind.BARRIER),
    "broadcast": BroadcastHarness,
    "master_control": MasterControlHarness,
    "link": LinkHarness,
    "exponential": ExponentialHarness,
}
FAULTS = [
    # A packet that comes while one leaves is not counted; a full buffer accepts; a packet that
    # waits is replaced; the reading pointer stays.
    ("fifo", r"(level \+ \S+ ;)", r"level;"),
    ("fifo", r"~ level\[3\]", "1'h1"),
    ("fifo", r"assign free = .*;", "assign free = 1'h1;"),
    ("fifo", r"consume \+ read__en", "consume"),
    # A sync is dropped; a packet is accepted while one waits; a bit is lost; a wrong read.
    ("decoder", r"== 3'h4", "== 3'h7"),
    ("decoder", r"~ event__valid", "1'h1"),
    ("decoder", r"= input__payload\[95:32\]", "= input__payload[95:32] & 64'd7"),
    ("decoder", r"assign event__payload\[0\] = .*;", "assign event__payload[0] = 1'h0;"),
    # A barrier is accepted beside a spike; the answer goes to the master; a packet is replaced.
    ("encoder", r"assign barrier__ready = .*;", "assign barrier__ready = free;"),
    ("encoder", r"= 8'h06", "= 8'h03"),
    ("encoder", r"~ output__valid", "1'h1"),
    # A spike is not counted; a bit of the hash; busy too short.
    ("spike_sum", r"count \+ 1'h1", "count"),
    ("spike_sum", r"sum \+ h_1", "sum + (h_1 & 32'd4294967294)"),
    ("spike_sum", r"\| valids;", "valids[0];"),
    # A sync overtakes a spike in the router; in the sum; a wrong sum is agreed to; a barrier
    # before the spikes; a spike of another step is handled; a sync is not consumed.
    ("control", r"~ router_busy", "1'h1"),
    ("control", r"~ told_0\[58\]", "1'h1"),
    ("control", r"error_count \| error_sum", "error_count"),
    ("control", r"computing \| sending", "computing"),
    ("control", r"== step;", "!= step;"),
    ("control", r"may_sync & event__payload\[0\]", "1'h0"),
    # Spikes go to the router while the slot is being moved.
    ("control", r"computing & \\\$\d+ ;", "computing;"),
    # A failed node goes on; no spike reaches the router; the barrier message tells another sum.
    ("control", r"~ failed", "1'h1"),
    ("control", r"assign source__valid = .*;", "assign source__valid = 1'h0;"),
    (
        "control",
        r"assign barrier__payload\[63:32\] = .*;",
        "assign barrier__payload[63:32] = 32'd0;",
    ),
    # A barrier is lost; the sync message is accepted beside a spike; a packet is replaced.
    ("master_decoder", r"== 2'h3", "== 3'h7"),
    ("broadcast", r"assign sync__ready = .*;", "assign sync__ready = free;"),
    ("broadcast", r"~ output__valid", "1'h1"),
    # The last barrier but one is enough; a node counts twice; one that is not active counts; who
    # arrived is not marked, or stays so; the nodes are counted wrongly; a barrier is not added up.
    ("master_control", r"missing == 1'h1", "missing == 2'h2"),
    ("master_control", r"assign arrives = .*;", "assign arrives = valid & ~unknown;"),
    ("master_control", r"assign unknown = .*;", "assign unknown = 1'h0;"),
    ("master_control", r"arrived_word \^ \S+ ;", "arrived_word;"),
    ("master_control", r"~ colour", "colour"),
    ("master_control", r"active_count \+", "active_count |"),
    ("master_control", r"count \+ barrier\[9:0\]", "count"),
    # A spike after the last barrier is broadcast, or one of another step, or after an error; the
    # sum has not settled.
    ("master_control", r"~ complete", "1'h1"),
    ("master_control", r"== step;", "!= step;"),
    ("master_control", r"~ failed", "1'h1"),
    ("master_control", r"~ busy", "1'h1"),
    # Wrong sums are agreed to; the machine does not stop; the sync message tells another count.
    ("master_control", r"assign same_sum = .*;", "assign same_sum = 1'h1;"),
    ("master_control", r"step != stop_step", "1'h1"),
    (
        "master_control",
        r"assign sync__payload\[25:0\] = .*;",
        "assign sync__payload[25:0] = 26'd0;",
    ),
    # Any count is believed; one packet too many is under way; credits have no end; a unicast goes
    # as a broadcast; frames tell what is no longer true.
    ("link.sender", r"\[1:0\] <= \S+ \[1:0\]", "[1:0] != 2'h0"),
    ("link.sender", r"!= 2'h2", "!= 2'h3"),
    ("link.sender", r"assign (wants_\w+) = (\w+__valid) & .*;", r"assign \1 = \2;"),
    ("link.sender", r"~ read__data\[1\]", "read__data[1]"),
    ("link.sender", r"begun <= .*;", "begun <= 1'h1;"),
    # A packet of another number is taken; every packet is; a place is told to be free that is
    # not; a frame without a packet is taken for one.
    ("link.receiver", r"== counts\[1:0\]", "!= 2'h3"),
    ("link.receiver", r"assign is_next = .*;", "assign is_next = frame_valid;"),
    ("link.receiver", r"counts\[3:2\] \+ 1'h1", "counts[3:2] + 2'h2"),
    ("link.receiver", r"== 1'h1", "!= 2'h2"),
    # A large argument is taken for one that fits.
    ("exponential", r"> 8'h85", "> 8'h86"),
]


@pytest.mark.parametrize("name", HARNESSES)
def test_proof(name: str, tmp_path: Path) -> None:
    prover = Prover(HARNESSES[name](), tmp_path)
    assert len(prover.covers) >= 2
    for cover in prover.covers:
        assert prover.reach(cover) is not None, cover
    assert prover.prove(by_equivalence=name == "spike_sum") is None


@pytest.mark.parametrize(("name", "pattern", "replacement"), FAULTS)
def test_a_planted_fault_is_found(
    name: str, pattern: str, replacement: str, tmp_path: Path
) -> None:
    harness, _, part = name.partition(".")
    prover = Prover(HARNESSES[harness](), tmp_path, (pattern, replacement), part)
    assert prover.reach(VIOLATED) is not None
