"""A full card, and full-scale PD14 on 305 nodes, are the definition, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import succeed
from machine_images import full_card


@pytest.mark.slow
def test_card_of_26_nodes_is_bit_exact(tmp_path: Path) -> None:
    """100 ms of a column on 3 x 3 x 3."""
    image = full_card(tmp_path / "image")
    found = succeed(
        "verify", "machine", image.path, "--mesh", "3,3,3", "--steps", 1000, "--warmup-ms", 500,
        "--jitter-ns", 100, "--json",
    ).json  # fmt: skip
    print(found)
    assert found["bit_exact"]
    assert (found["nodes"], found["steps"]) == (26, 1000)
    assert found["spikes"] > 1000
    assert found["synapses"] > 100 * found["spikes"]


@pytest.mark.slow
def test_full_scale_on_305_nodes_is_bit_exact(tmp_path: Path) -> None:
    """All 77,169 neurons, 100 steps from a warmed state; some 15 minutes and 1 GB."""
    succeed("generate", "pd14", "--seed", "1", "--out", tmp_path / "image")
    found = succeed(
        "verify", "machine", tmp_path / "image", "--mesh", "12,12,3", "--steps", 100,
        "--warmup-ms", 500, "--jitter-ns", 100, "--json",
    ).json  # fmt: skip
    print(found)
    assert found["bit_exact"]
    assert (found["nodes"], found["steps"]) == (305, 100)
    assert found["spikes"] > 1000
    assert found["synapses"] > 1000 * found["spikes"]
