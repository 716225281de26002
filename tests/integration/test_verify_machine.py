"""A whole machine in simulated hardware is the definition, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import succeed

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import Mesh, Site
from csnn.image.store import Image, open_image
from csnn.simulator.state import MachineState
from csnn.verify import record_traffic
from csnn.verify_machine import MachineReplay, verify_machine
from rtl.mesh.machine_simulation import FaultKind, MachineSimulation, Physics, Snapshots
from rtl.mesh.simulated_transport import SimulatedTransport

STEPS = 150
WRONG_STEP, WRONG_NODE, WRONG_NEURON = 1007, 2, 31


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A column of which every population fits a node: 8 nodes."""
    path: Path = tmp_path_factory.mktemp("machine") / "image"
    succeed("generate", "pd14", "--scale", "0.0116", "--seed", "1", "--out", path)
    return open_image(path)


@pytest.fixture(scope="module")
def state(image: Image) -> MachineState:
    return record_traffic(image, warmup_ms=100.0, steps=1, threads=2).state


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
    forge: bool = False, flip: bool = False,
) -> MachineReplay:  # fmt: skip
    mesh = Mesh(shape=(3, 3, 1), n_nodes=image.n_nodes)

    def make(node: NodeConfig, master: MasterConfig) -> Machine:
        physics = Physics(jitter_ns=200.0, seed=7)
        return Machine(MachineSimulation(mesh, node, master, physics), forge=forge, flip=flip)

    return verify_machine(image, state, mesh, steps, make, preload=preload, step_timeout=100_000)


@pytest.mark.slow
@pytest.mark.parametrize("preload", [True, False], ids=["preloaded", "uploaded"])
def test_every_word_of_every_node(image: Image, state: MachineState, preload: bool) -> None:
    found = verify(image, state, preload=preload)
    assert found.is_exact, found.mismatch or found.stopped
    assert found.steps == STEPS
    assert found.spikes > 0


@pytest.mark.slow
def test_a_wrong_bit_is_found(image: Image, state: MachineState) -> None:
    found = verify(image, state, steps=WRONG_STEP - state.step + 2, flip=True)
    mismatch = found.mismatch
    assert mismatch is not None
    assert (mismatch.step, mismatch.node, mismatch.signal) == (WRONG_STEP, WRONG_NODE, "V")
    assert mismatch.neuron == image.nodes[WRONG_NODE].first_neuron + WRONG_NEURON
    assert mismatch.expected ^ mismatch.found == 1 << 5


@pytest.mark.slow
def test_an_altered_source_stops_the_machine(image: Image, state: MachineState) -> None:
    found = verify(image, state, forge=True)
    assert found.stopped is not None
    assert "error sum" in found.stopped
    assert "no barrier message" in found.stopped
