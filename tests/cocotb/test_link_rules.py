"""Links that `LinkConfig` refuses fail in hardware, or send everything twice; others do not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from bench import Arrays, transfers
from compact_crc import compact_crc
from lossy_link import SIDES, LossyLink

from csnn.errors import InvalidInputError
from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import LinkConfig
from csnn.hardware.mesh_latency import link_round_trip
from rtl.verilate import Verilated

STREAMS = ("unicast", "broadcast")
# Of a channel with delay 0: its place, the output.
CHANNEL = 2
PACKETS = 30
BASE = {"frame_cycles": 4, "timeout": 40, "retry_limit": 1, "keepalive": 20, "silence_limit": 400}


def unchecked(**values: int) -> LinkConfig:
    """Return a configuration that may not be made."""
    config = LinkConfig()
    for name, value in values.items():
        object.__setattr__(config, name, value)
    return config


@cache
def built(config: LinkConfig) -> Verilated:
    return Verilated(LossyLink(config), change=compact_crc)


def run(
    config: LinkConfig, *, cycles: int = 3000, delay: int = 0, lost: int | None = None,
    both: bool = False,
) -> Arrays:  # fmt: skip
    """Send some packets from the left, one by one; lose the right's frame of a cycle.

    With `both`, the right sends packets at the same time, a little later or earlier.
    """
    ones = np.ones(cycles, np.uint64)
    inputs: Arrays = {"rst": (np.arange(cycles) == 0).astype(np.uint64)}
    for side in SIDES:
        for name in STREAMS:
            inputs[f"{side}_{name}_in__valid"] = 0 * ones
            inputs[f"{side}_{name}_in__payload"] = np.zeros((cycles, 2), np.uint64)
            # They stay in the buffer, so that each is answered once.
            inputs[f"{side}_{name}_out__ready"] = 0 * ones
        inputs |= {f"{side}_keeps": ones.copy(), f"{side}_doubles": 0 * ones}
        inputs |= {f"{side}_delay": delay * ones, f"{side}_delay_again": 0 * ones}
        inputs[f"{side}_flips"] = np.zeros((cycles, -(-FRAME_BITS // 64)), np.uint64)
    rng = np.random.default_rng(1)
    places = 500 + np.cumsum(2 * config.timeout + rng.integers(0, 40, PACKETS))
    places = places[places < cycles]
    inputs["left_unicast_in__valid"][places] = 1
    if lost is not None:
        inputs["right_keeps"][lost] = 0
    streams = {"left_unicast_in": np.zeros((PACKETS, 2), np.uint64)}
    if both:
        # At any phase of the other end's slots.
        inputs["right_unicast_in__valid"][places + rng.integers(0, 12, len(places))] = 1
        streams["right_unicast_in"] = streams["left_unicast_in"]
    found = built(config).run(inputs, streams)
    return {**inputs, **found}


def failed(found: Arrays) -> bool:
    return any(found[f"{side}_failed"].any() for side in SIDES)


def test_frames_rarer_than_the_silence_allowed_fail_at_once() -> None:
    values = {**BASE, "frame_cycles": 256, "timeout": 600, "keepalive": 8}
    values["retry_limit"] = 8
    refused = {**values, "silence_limit": 250}
    with pytest.raises(InvalidInputError, match=r"twice link\.frame_cycles"):
        LinkConfig(**refused)
    assert failed(run(unchecked(**refused), cycles=20_000))
    assert not failed(run(LinkConfig(**{**values, "silence_limit": 513}), cycles=20_000))


def test_an_acknowledgement_that_is_repeated_too_late_fails_the_link() -> None:
    refused = {**BASE, "keepalive": 150}
    with pytest.raises(InvalidInputError, match=r"link\.keepalive = 150: must be less"):
        LinkConfig(**refused)
    for config, fails in ((unchecked(**refused), True), (LinkConfig(**BASE), False)):
        good = run(config)
        assert not failed(good)
        came = int(transfers(good, "left_unicast_in")[0][0])
        # The frames of the other end while the first packet is answered, one of them lost.
        outcomes = [failed(run(config, lost=came + late)) for late in range(24)]
        assert any(outcomes) == fails


def test_nothing_is_sent_twice_from_the_round_trip_on() -> None:
    trip = link_round_trip(LinkConfig(**BASE).frame_cycles, CHANNEL)
    # An acknowledgement may have to wait for a slot, or not.
    for timeout, resends in ((trip, False), (trip - BASE["frame_cycles"], True)):
        config = LinkConfig(**{**BASE, "timeout": timeout, "keepalive": 7})
        found = run(config, both=True)
        for side in SIDES:
            assert found[f"{side}_count_sent"].sum() == PACKETS
            assert found[f"{side}_count_resent"].any() == resends


def test_a_timeout_below_every_round_trip_sends_all_packets_twice() -> None:
    refused = {**BASE, "timeout": 15, "keepalive": 7, "retry_limit": 8}
    with pytest.raises(InvalidInputError, match=r"link\.timeout"):
        LinkConfig(**refused)
    found = run(unchecked(**refused), delay=4)
    assert found["left_count_sent"].sum() == PACKETS
    assert found["left_count_resent"].sum() >= PACKETS
