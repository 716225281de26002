"""Nodes of whole networks replay 200 ms of their traffic bit-exactly, from a warmed state."""

from __future__ import annotations

from pathlib import Path

import networks
import pytest

from csnn.edges import write as write_edges
from csnn.hardware.config import MICROCIRCUIT, NodeConfig
from csnn.image.store import Image
from csnn.spec.brunel import brunel
from csnn.spec.description import Description
from csnn.spec.machine import Machine
from csnn.spec.network import EdgeList, Network
from csnn.spec.pd14 import pd14
from csnn.verify import Traffic, record_traffic, verify_node
from netgen.build import generate
from netgen.export import export_edges
from rtl.node_simulation import NodeSimulation

pytestmark = pytest.mark.slow
STEPS, WARMUP_MS = 2000, 500.0


def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
    return NodeSimulation(config, waveforms=waveforms)


def check(image: Image, node: int, traffic: Traffic, *, synapses: int) -> None:
    """Replay the traffic; it must have brought the node spikes and synapses."""
    result = verify_node(image, node, traffic, make)
    assert result.mismatch is None, str(result.mismatch)
    assert result.steps == STEPS
    assert result.spikes > 0
    assert result.synapses > synapses


@pytest.fixture(scope="module")
def microcircuit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Image, Traffic]:
    description = Description(network=pd14(), machine=Machine())
    image = generate(description, 1, tmp_path_factory.mktemp("pd14") / "image")
    return image, record_traffic(image, warmup_ms=WARMUP_MS, steps=STEPS, threads=2)


@pytest.mark.parametrize("population", range(8))
def test_full_scale_microcircuit(microcircuit: tuple[Image, Traffic], population: int) -> None:
    """The last node of each population: the one that is not full."""
    image, traffic = microcircuit
    assert sum(map(len, traffic.spikes)) > 20 * STEPS
    node = max(node.node for node in image.nodes if node.population == population)
    check(image, node, traffic, synapses=100_000)


def test_one_hardware_serves_all_nodes(microcircuit: tuple[Image, Traffic]) -> None:
    assert [MICROCIRCUIT.misfit(node) for node in microcircuit[0].nodes] == [None] * 305


def test_fixed_in_degrees(tmp_path: Path) -> None:
    image = generate(Description(network=brunel(), machine=Machine()), 1, tmp_path / "image")
    traffic = record_traffic(image, warmup_ms=WARMUP_MS, steps=STEPS, threads=2)
    for node in (0, image.n_nodes - 1):
        check(image, node, traffic, synapses=1_000_000)


def test_stored_rows(tmp_path: Path) -> None:
    """The microcircuit at a tenth of its size, every synapse in the memories of the nodes."""
    network = pd14(n_scale=0.1, k_scale=0.1)
    procedural = networks.image(network, tmp_path / "procedural", neurons_per_node=256)
    path = tmp_path / "edges.npz"
    write_edges(path, export_edges(procedural))
    stored = Network(
        name="stored",
        populations=network.populations,
        projections=(),
        edges=EdgeList(path=str(path), representation="stored"),
        dt_ms=network.dt_ms,
    )
    image = networks.image(stored, tmp_path / "stored", neurons_per_node=256)
    traffic = record_traffic(image, warmup_ms=WARMUP_MS, steps=STEPS, threads=2)
    for node in (0, image.n_nodes - 1):
        check(image, node, traffic, synapses=10_000)
