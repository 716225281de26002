"""A node in cocotb answers the traffic of its network as the definition does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from replay import Script, build, equal, replay, script

from csnn.hardware.config import NodeConfig
from csnn.packets import Kind
from csnn.verify import record_traffic

STEPS = 60
# A word of the node's memories is offered and taken in this cycle.
LOADING_CYCLE = 20


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Script, Path]:
    """Return a script and the simulation of the node that it is for."""
    folder = tmp_path_factory.mktemp("image") / "image"
    image = networks.image(networks.changing_inputs(), folder, ext_lanes=2, delay_slots=16)
    config = replace(NodeConfig.for_nodes(image.nodes), neurons=32, event_fifo=32)
    traffic = record_traffic(image, warmup_ms=5, steps=STEPS, threads=1)
    return script(image, 0, config, traffic, np.random.default_rng(1)), build(config)


def test_bit_exact(played: tuple[Script, Path], tmp_path: Path) -> None:
    expected, simulation = played
    kinds = expected.answers[:, 0] >> 24
    assert (kinds == Kind.AER).sum() > 20
    assert (kinds == Kind.BARRIER).sum() == STEPS
    found = replay(tmp_path, simulation, expected)
    np.testing.assert_array_equal(found["answers"], expected.answers)
    np.testing.assert_array_equal(found["records"], expected.records)
    assert len(expected.records) > 20
    assert equal(found, expected)
    assert not equal(found, replace(expected, records=expected.records[:-1]))


def test_a_wrong_bit_is_seen(played: tuple[Script, Path], tmp_path: Path) -> None:
    expected, simulation = played
    found = replay(tmp_path, simulation, expected, fault_cycle=LOADING_CYCLE)
    assert not equal(found, expected)
