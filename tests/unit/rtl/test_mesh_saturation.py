"""A mesh of routers at full load: all packets arrive, in order, in bounded time."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from router_mesh import HOST, RouterMesh

from csnn.hardware.mesh import Mesh, RouterConfig, Site
from csnn.packets import PACKET_BITS, Kind
from rtl.verilate import Verilated, to_words

# Spikes of each node, requests to each node, answers of each.
SPIKES, REQUESTS = 120, 30
# A buffer as small as can be: pressure is everywhere at once.
ROUTER = RouterConfig(branch_buffer=2)
MESHES = [
    Mesh(shape=(3, 3, 1), n_nodes=8, router=ROUTER),
    Mesh(shape=(2, 2, 2), n_nodes=7, router=ROUTER),
    Mesh(shape=(4, 1, 1), n_nodes=3, router=RouterConfig(express=(2, 0, 0), branch_buffer=2)),
]


def packet(kind: Kind, target: Site, node: int, number: int) -> int:
    x, y, z = target
    return number << 64 | node << 32 | kind << 24 | z << 16 | y << 8 | x


def words(packets: Iterable[int]) -> np.ndarray:
    return to_words(packets, PACKET_BITS)


@cache
def simulation(component: RouterMesh) -> Verilated:
    return Verilated(component)


def run(
    component: RouterMesh, rng: np.random.Generator, takes: dict[str, float], cycles: int
) -> dict[str, list[int]]:
    """Offer everything from the first cycle on; return what left each output, in order.

    Parameters
    ----------
    takes : dict of str to float
        For outputs whose names begin so, in which part of the cycles they take something.
    """
    mesh, router = component.mesh, simulation(component)
    inputs = {}
    for name in router.inputs:
        shape = (cycles, 2) if name.endswith("payload") else (cycles,)
        inputs[name] = np.ones(shape, dtype=np.uint64)
        for start, rate in takes.items():
            if name.startswith(start) and name.endswith("ready"):
                inputs[name] = (rng.random(cycles) < rate).astype(np.uint64)
    inputs["rst"] = (np.arange(cycles) == 0).astype(np.uint64)
    streams = {
        "host_in": words(
            packet(Kind.MONITOR, mesh.sites[k], k, number)
            for number in range(REQUESTS)
            for k in component.nodes
        )
    }
    for k in component.nodes:
        sent = [packet(Kind.AER, mesh.master, k, number) for number in range(SPIKES)]
        places = np.sort(rng.integers(0, SPIKES + 1, REQUESTS)).tolist()
        for number, place in enumerate(places):
            sent.insert(place + number, packet(Kind.MONITOR, HOST, k, number))
        streams[f"send_{k}"] = words(sent)
    # The reset ends before anything is offered.
    for name in streams:
        inputs[f"{name}__valid"][0] = 0
    found = router.run(inputs, streams)
    assert not found["misrouted"].any()
    left = {}
    for name in router.outputs:
        if name.endswith("__valid"):
            port = name.removesuffix("__valid")
            moved = (found[name] & inputs[f"{port}__ready"]) == 1
            payloads = found[f"{port}__payload"][moved]
            left[port] = [int(high) << 64 | int(low) for low, high in payloads.tolist()]
    return left


def check(component: RouterMesh, left: dict[str, list[int]]) -> None:
    """Demand that everything arrived, at all places in one order, which is that of each source."""
    mesh, nodes = component.mesh, component.nodes
    spikes = left[f"spike_{nodes[0]}"]
    expected = {
        packet(Kind.SPIKE, mesh.master, k, number) for k in nodes for number in range(SPIKES)
    }
    assert len(spikes) == len(expected)
    assert set(spikes) == expected
    in_order(spikes, SPIKES, nodes)
    for k in nodes:
        assert left[f"spike_{k}"] == spikes
        requests = [packet(Kind.MONITOR, mesh.sites[k], k, number) for number in range(REQUESTS)]
        assert left[f"take_{k}"] == requests
    answers = left["host_out"]
    assert len(answers) == len(nodes) * REQUESTS
    assert {p & 0xFFFFFFFF for p in answers} == {packet(Kind.MONITOR, HOST, 0, 0)}
    in_order(answers, REQUESTS, nodes)


def in_order(packets: list[int], count: int, nodes: list[int]) -> None:
    for k in nodes:
        assert [p >> 64 for p in packets if p >> 32 & 0xFFFFFFFF == k] == list(range(count))


@pytest.mark.parametrize("mesh", MESHES, ids=["3x3x1", "2x2x2", "4x1x1 express"])
def test_everything_arrives_in_bounded_time(mesh: Mesh) -> None:
    component = RouterMesh(mesh)
    total = SPIKES * len(component.nodes)
    for seed, rate in enumerate((1.0, 0.5, 0.2)):
        # All nodes must have room at once for the slowest, whose stalls the others' queues hide in
        # part: not more than twice its own time. Two channels do not hinder each other.
        cycles = int(2 * total / rate) + 200
        takes = {"spike": rate, "take": rate, "host_out": rate}
        check(component, run(component, np.random.default_rng(seed), takes, cycles))


def test_a_lost_and_an_overtaking_packet_are_noticed() -> None:
    component = RouterMesh(MESHES[1])
    left = run(component, np.random.default_rng(1), {"spike": 0.9}, 4000)
    check(component, left)
    first, second = left["host_out"], left[f"spike_{component.nodes[1]}"]
    for wrong in (
        {"host_out": first[1:]},
        {"host_out": [*first[1:], first[0]]},
        {f"spike_{component.nodes[1]}": [*second[:5], second[6], second[5], *second[7:]]},
    ):
        with pytest.raises(AssertionError):
            check(component, {**left, **wrong})
