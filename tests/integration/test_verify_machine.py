"""A whole machine in simulated hardware is the definition, bit by bit."""

from __future__ import annotations

import pytest
from commands import csnn, refused, succeed
from machine_images import LOUD, MESH, eight_nodes

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import Site
from csnn.image.store import Image
from csnn.simulator.state import MachineState
from csnn.verify import record_traffic
from csnn.verify_machine import MachineReplay, verify_machine
from rtl.mesh.machine_simulation import FaultKind, MachineSimulation, Physics, Snapshots
from rtl.mesh.simulated_transport import SimulatedTransport

STEPS = 150
PHYSICS = Physics(jitter_ns=200.0, spread_ns=300.0, seed=7)
WRONG_STEP, WRONG_NODE, WRONG_NEURON = 9647, 2, 31


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A column of which every population fits a node: 8 nodes."""
    return eight_nodes(tmp_path_factory.mktemp("machine") / "image", LOUD[0])


@pytest.fixture(scope="module")
def state(image: Image) -> MachineState:
    return record_traffic(image, warmup_ms=LOUD[1], steps=1, threads=2).state


class Machine(SimulatedTransport):
    """A machine with something wrong: `forge` in what the master node sends, `flip` in a memory."""

    def __init__(self, simulation: MachineSimulation, *, forge: bool, flip: bool) -> None:
        super().__init__(simulation)
        self._flip = flip
        if forge:
            master = simulation.mesh.master
            for direction in simulation.mesh.router.branches(master, master):
                if (master, direction) in simulation.wires:
                    simulation.add_fault(master, direction, FaultKind.FORGE, after=0, argument=3)

    def snapshots(self, site: Site) -> Snapshots:
        found = super().snapshots(site)
        if self._flip and site == self.simulation.mesh.nodes[WRONG_NODE]:
            found.words["V"][found.step == WRONG_STEP, WRONG_NEURON] ^= 1 << 5
        return found


def verify(
    image: Image, state: MachineState, *, steps: int = STEPS, preload: bool = True,
    physics: Physics = PHYSICS, forge: bool = False, flip: bool = False,
) -> MachineReplay:  # fmt: skip
    def make(node: NodeConfig, master: MasterConfig) -> Machine:
        return Machine(MachineSimulation(MESH, node, master, physics), forge=forge, flip=flip)

    return verify_machine(image, state, MESH, steps, make, preload=preload, step_timeout=60_000)


def test_machine_of_eight_nodes_is_bit_exact(image: Image) -> None:
    """At least 500 spikes and two turns of the circular buffer, by the command."""
    found = succeed(
        "verify", "machine", image.path, "--mesh", "3,3,1", "--steps", STEPS, "--warmup-ms",
        LOUD[1], "--jitter-ns", 150, "--json",
    ).json  # fmt: skip
    assert found["bit_exact"]
    assert found["steps"] == STEPS >= 2 * image.nodes[0].delay_slots
    assert found["spikes"] >= 500
    assert found["synapses"] > 100 * found["spikes"]


def test_a_wrong_bit_is_found(image: Image, state: MachineState) -> None:
    found = verify(image, state, steps=WRONG_STEP - state.step + 2, flip=True)
    mismatch = found.mismatch
    assert mismatch is not None
    assert (mismatch.step, mismatch.node, mismatch.signal) == (WRONG_STEP, WRONG_NODE, "V")
    assert mismatch.neuron == image.nodes[WRONG_NODE].first_neuron + WRONG_NEURON
    assert mismatch.expected ^ mismatch.found == 1 << 5


def test_an_altered_source_stops_the_machine(image: Image, state: MachineState) -> None:
    found = verify(image, state, forge=True)
    assert found.stopped is not None
    assert "error sum" in found.stopped
    assert "no barrier message" in found.stopped


@pytest.mark.slow
def test_machine_that_the_host_loaded_is_bit_exact(image: Image, state: MachineState) -> None:
    found = verify(image, state, preload=False)
    assert found.is_exact, found.mismatch or found.stopped
    assert found.steps == STEPS
    assert found.spikes >= 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mesh", "3,3"), "--mesh = '3,3': must be three whole numbers, such as 12,12,3"),
        (("--mesh", "9" * 5000 + ",1,1"), "must be three whole numbers"),
        (("--mesh", "2,2,2"), "mesh.shape = 2,2,2: has 8 places; 8 compute nodes"),
        (("--mesh", "3,3,0"), "mesh.shape = 0: must be"),
        (("--mesh", "3,3,1", "--express", "1,0,0"), "express links pass 2 places or more"),
        (("--mesh", "3,3,1", "--express", "9,9,9"), "router.express = (9, 9, 9): must be 0 or"),
        (("--mesh", "200,200,200"), "mesh.shape = 200,200,200: has 8000000 places; must be"),
        (("--mesh", "3,3,1", "--steps", "0"), "verify.steps = 0: must be"),
        (("--mesh", "3,3,1", "--jitter-ns", "nan"), "physics.jitter_ns = nan: must be"),
        (("--mesh", "3,3,1", "--jitter-ns", "3000"), "physics.jitter_ns = 3000.0: must be"),
        (("--mesh", "3,3,1", "--link-latency-ns", "1"), "physics.latency_ns = 1.0: must be"),
        (("--mesh", "3,3,1", "--link-latency-ns", "9000"), "physics.latency_ns = 9000.0: must"),
        (("--mesh", "3,3,1", "--ppm", "-1"), "physics.ppm = -1.0: must be"),
    ],
)
def test_what_cannot_be_is_refused(image: Image, arguments: tuple[str, ...], message: str) -> None:
    refused(csnn("verify", "machine", image.path, *arguments), message)
