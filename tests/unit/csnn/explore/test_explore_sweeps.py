"""What is compared, value by value."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from csnn.explore.command import PUBLISHED
from csnn.explore.design import Design
from csnn.explore.sweeps import (
    LANES,
    LARGE_NODES,
    LEAST_GROUP,
    LINKED,
    MOST_NODES,
    PARTS,
    PIPELINES,
    SMALL_NODES,
    boards,
    ideals,
    variations,
)


def changes(base: Design, other: Design) -> dict[str, object]:
    """Return in what another design differs."""
    before, after = asdict(base), asdict(other)
    return {name: value for name, value in after.items() if value != before[name]}


def test_costs_that_a_mesh_has_less() -> None:
    base = Design()
    found = {name: changes(base, one) for name, one in ideals(base, 305, 77_169).items()}
    assert found == {
        "as it is": {},
        "links without latency": {"link_latency_ns": 0.0},
        "links of half the latency": {"link_latency_ns": 400.0},
        "links ten times as fast": {"link_gbps": 40.0},
        "routers and links at twice the clock": {"comm_mhz": 200.0},
        "nodes at twice the clock": {"app_mhz": 300.0},
        "32 pipelines": {"pipelines": 32},
        "4 lanes": {"lanes": 4},
        "balanced nodes, up to twice as large": {"neurons": 254, "partition": "balanced"},
    }


def test_variations_of_clocks_and_links() -> None:
    base = Design()
    clocks = {
        "clocks x 0.6": {"app_mhz": 90.0, "comm_mhz": 60.0},
        "clocks x 0.8": {"app_mhz": 120.0, "comm_mhz": 80.0},
        "clocks x 1.2": {"app_mhz": 180.0, "comm_mhz": 120.0},
    }
    links = {
        "100 ns": {"link_latency_ns": 100.0},
        "200 ns": {"link_latency_ns": 200.0},
        "400 ns": {"link_latency_ns": 400.0},
        "1600 ns": {"link_latency_ns": 1600.0},
        "rate x 0.25": {"link_gbps": 1.0},
    }
    for devices, expected in ((1, clocks), (2, clocks | links)):
        found = {name: changes(base, one) for name, one in variations(base, devices).items()}
        assert found == {name: pytest.approx(values) for name, values in expected.items()}


def test_topologies_of_one_node_per_device() -> None:
    found = [(one.board, one.arity) for one in boards(Design())]
    assert found == [
        ("mesh", 6), ("cube", 6), ("express", 6), ("ring", 6),
        *(("tree", arity) for arity in (2, 3, 4, 6, 8, 10, 12, 15, 18)), ("direct", 6),
    ]  # fmt: skip


def test_values_that_are_searched() -> None:
    assert SMALL_NODES == (64, 128, 256, 512, 1024)
    assert LARGE_NODES == (256, 512, 1024, 1536, 2048)
    assert (PIPELINES, LANES, PARTS) == ((1, 2, 4, 8, 16, 32), (1, 2, 4), (2, 4))
    assert (LEAST_GROUP, MOST_NODES) == (16, 1000)
    assert LINKED == (("mesh", 6), ("tree", 4), ("tree", 15))


def test_machines_that_were_built() -> None:
    assert PUBLISHED == {"CsNN, 305 XC7Z045": (305, 0.246), "neuroAIx, 35 FPGAs": (35, 0.05)}
