"""A node is loaded by its AXI4-Lite window and records its spikes by its AXI4 master."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
import simulator
from in_axi import FAULT_VARIABLE, GIVEN_VARIABLE, Given

from csnn.cache import cache_folder
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import node_words
from csnn.hardware.recorder import RECORD
from csnn.image.node import NodeImage
from csnn.neurons.registry import MODELS
from csnn.packets import Kind, encode, packet_words, spike_sum
from csnn.simulator.plain import Node as ReferenceNode
from csnn.simulator.state import MachineState, initial_state, with_state
from csnn.spec.machine import SUM_LIMIT_UNITS
from csnn.verify import record_traffic
from rtl.axi import recorder_ports, window_ports
from rtl.node import Node
from rtl.verilog import cached_verilog

STREAMS = ("input", "output")
PORTS = (
    "rst",
    *(f"{name}__{part}" for name in STREAMS for part in ("valid", "ready", "payload")),
    *recorder_ports(),
    *window_ports(),
)
_MINUS_INFINITY = 0xFF800000
SCENARIOS = 6


def played(
    node: NodeImage, config: NodeConfig, state: MachineState, spikes: list[np.ndarray]
) -> Given:
    """Return what a node is sent if the machine broadcasts `spikes`, and what it records."""
    start = with_state(node, state)
    reference = ReferenceNode(node, MODELS[node.model], state, SUM_LIMIT_UNITS)
    step, before = state.step, np.empty(0, np.uint32)
    steps, own = [], []
    for sources in spikes:
        sync = {"count": len(before), "step": step & 63, "sum": spike_sum(before, step)}
        step += 1
        packets = np.zeros((1 + len(sources), 3), dtype=np.uint32)
        packets[0] = packet_words(encode(Kind.SYNC, **sync))
        packets[1:, 0], packets[1:, 1], packets[1:, 2] = Kind.SPIKE << 24, sources, step
        steps.append(packets)
        own += [(step, source) for source in reference.compute(step).tolist()]
        reference.receive(sources, step)
        before = sources
    words = list(node_words(config, start))
    return Given(words, state.step, steps, np.array(own, dtype=RECORD))


def always_spiking(node: NodeImage) -> NodeImage:
    """Return a node whose neurons spike in every step."""
    model = MODELS[node.model]
    constants = node.constants.copy()
    constants[model.float_constants.index("theta")] = _MINUS_INFINITY
    constants[len(model.float_constants) :] = 0
    return replace(node, constants=constants)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the simulation of a node and the file with what it is given."""
    folder = tmp_path_factory.mktemp("axi")
    image = networks.image(
        networks.changing_inputs(), folder / "image", ext_lanes=2, delay_slots=16
    )
    config = replace(NodeConfig.for_nodes(image.nodes), neurons=32, event_fifo=32)
    traffic = record_traffic(image, warmup_ms=5, steps=60, threads=1)
    nobody = [np.empty(0, np.uint32)] * 30
    content = {
        "network": played(image.nodes[0], config, traffic.state, list(traffic.spikes)),
        "all spike": played(always_spiking(image.nodes[0]), config, initial_state(image), nobody),
    }
    assert len(content["network"].records) > 20
    assert len(content["all spike"].records) == 30 * image.nodes[0].n_neurons
    (folder / "given.pickle").write_bytes(pickle.dumps(content))
    verilog = cached_verilog(lambda: Node(config), f"node {config!r}", cache_folder())
    return simulator.build(verilog, PORTS), folder / "given.pickle"


def test_axi(simulation: tuple[Path, Path], tmp_path: Path) -> None:
    built, given = simulation
    tests, failed = simulator.run(
        built, "in_axi", tmp_path, environment={GIVEN_VARIABLE: str(given)}
    )
    assert (tests, failed) == (SCENARIOS, 0), (tmp_path / "simulation.log").read_text()


def test_a_wrong_record_is_seen(simulation: tuple[Path, Path], tmp_path: Path) -> None:
    built, given = simulation
    environment = {
        GIVEN_VARIABLE: str(given),
        FAULT_VARIABLE: "1",
        "COCOTB_TEST_FILTER": "loads_by_both_ways_and_records",
    }
    tests, failed = simulator.run(built, "in_axi", tmp_path, environment=environment)
    assert (tests, failed) == (1, 1)
