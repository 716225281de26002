"""The performance model takes as many cycles for every step as the machine in hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from machine_images import CARD, LOUD, MESH, eight_nodes, full_card

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import Mesh
from csnn.host.machine import Machine as Host
from csnn.image.store import Image
from csnn.perf.model import simulate
from csnn.perf.parameters import Clocks, Machine, Wires
from csnn.perf.rows import read_rows
from csnn.perf.topology import mesh_topology
from csnn.perf.workload import Workload, make_workload
from csnn.verify import record_traffic
from rtl.mesh.machine_simulation import MachineSimulation, Physics
from rtl.mesh.simulated_transport import SimulatedTransport

I64 = npt.NDArray[np.int64]
# Steps of the comparison agree within so much, by the issue of the performance model.
TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Measured:
    """When each node began each step, fs, shape (steps, nodes), and the work of these steps."""

    begins_fs: I64
    workload: Workload
    machine: Machine
    mesh: Mesh


def measure(
    image: Image, mesh: Mesh, physics: Physics, *, warmup_ms: float, steps: int
) -> Measured:
    """Run the machine in one go: the host does not ask for anything meanwhile."""
    traffic = record_traffic(image, warmup_ms=warmup_ms, steps=steps, threads=2)
    config = NodeConfig.for_nodes(image.nodes)
    master = MasterConfig(nodes=1 << max(1, (image.n_nodes - 1).bit_length()))
    simulation = MachineSimulation(mesh, config, master, physics)
    host = Host(mesh, SimulatedTransport(simulation))
    host.upload(image, config, master, traffic.state, preload=True)
    simulation.watch(True)
    host.start(traffic.state.step + steps)
    begins: list[list[int]] = [[] for _ in mesh.nodes]
    while len(begins[0]) < steps:
        before = len(begins[0])
        simulation.run(200_000)
        for times, site in zip(begins, mesh.nodes, strict=True):
            times += simulation.snapshots(site).time_fs.tolist()
        assert len(begins[0]) > before, "the machine stands still"
    simulation.run(20_000)
    for times, site in zip(begins, mesh.nodes, strict=True):
        times += simulation.snapshots(site).time_fs.tolist()
    numbers = np.repeat(
        np.arange(steps, dtype=np.uint32), [len(sources) for sources in traffic.spikes]
    )
    sources = np.concatenate(traffic.spikes)
    return Measured(
        begins_fs=np.array(begins, np.int64).T[:steps],
        workload=make_workload(image, numbers, sources, 0, steps, read_rows(image)),
        machine=Machine(
            node=config,
            master=master,
            wires=Wires(latency_ns=physics.latency_ns, jitter_ns=physics.jitter_ns),
            clocks=Clocks(ppm=physics.ppm, seed=physics.seed),
        ),
        mesh=mesh,
    )


def modelled(measured: Measured, machine: Machine) -> I64:
    """Return the beginnings of the steps by the model, which starts when the hardware did."""
    timing = simulate(
        machine,
        mesh_topology(measured.mesh),
        measured.workload,
        first_sync_ns=float(measured.begins_fs[0].min()) * 1e-6 - 2000.0,
    )
    return timing.begins_fs


def aligned(measured: Measured) -> I64:
    """Return the same with the first sync message in the cycle in which the hardware sent it."""
    work, topology = measured.workload, mesh_topology(measured.mesh)
    start_ns, cycle_ns = float(measured.begins_fs[0].min()) * 1e-6, 1e3 / 150.0
    two = replace(work, steps=2, first=work.first[: 2 * work.nodes + 1])
    for cycles in range(400):
        first_sync_ns = start_ns - cycles * cycle_ns
        timing = simulate(measured.machine, topology, two, first_sync_ns=first_sync_ns)
        if (timing.begins_fs[0] == measured.begins_fs[0]).all():
            timing = simulate(measured.machine, topology, work, first_sync_ns=first_sync_ns)
            return timing.begins_fs
    raise AssertionError("no cycle of the first sync message gives the first beginnings")


def deviations(measured: Measured, begins_fs: I64) -> npt.NDArray[np.float64]:
    """Return by how much the time of each step at each node differs, relative to the hardware."""
    steps = np.diff(measured.begins_fs, axis=0).astype(np.float64)
    return np.asarray(np.diff(begins_fs, axis=0) / steps - 1)


@pytest.fixture(scope="module", params=["3x3x1, burst", "3x3x3"])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A machine of 8 nodes in a burst of up to 31 spikes in a step, and one of 26 nodes."""
    path = tmp_path_factory.mktemp("perf") / "image"
    physics = Physics(seed=7)
    if request.param == "3x3x3":
        return measure(full_card(path), CARD, physics, warmup_ms=500.0, steps=1000)
    return measure(eight_nodes(path, LOUD[0]), MESH, physics, warmup_ms=LOUD[1], steps=150)


@pytest.mark.slow
def test_every_step_takes_as_long_as_in_hardware(measured: Measured) -> None:
    assert len(measured.workload.source) > 300
    begins_fs = modelled(measured, measured.machine)
    found = deviations(measured, begins_fs)
    print(f"largest deviation {np.abs(found).max():.3%}, of all steps {found.mean():.4%}")
    means = [np.diff(begins, axis=0).mean() * 1e-6 for begins in (measured.begins_fs, begins_fs)]
    print(f"mean step {means[0]:.2f} ns, modelled {means[1]:.2f} ns, {len(found)} steps")
    assert found.shape == (measured.workload.steps - 1, measured.workload.nodes)
    assert np.abs(found).max() < TOLERANCE
    assert abs(found.mean()) < 0.002


@pytest.mark.slow
def test_every_beginning_is_that_of_the_hardware(measured: Measured) -> None:
    """Not within a tolerance: to the edge of the clock, given the cycle of the first message."""
    assert (aligned(measured) == measured.begins_fs).all()


@pytest.mark.slow
def test_other_phases_of_the_clocks_hardly_matter(measured: Measured) -> None:
    machine = replace(measured.machine, clocks=Clocks(seed=1234))
    found = deviations(measured, modelled(measured, machine))
    assert np.abs(found).max() < 2 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["latency", "spikes"])
def test_what_is_wrong_is_found(measured: Measured, fault: str) -> None:
    """Links of 50 ns more, or spikes a step late, are not within the tolerance."""
    machine, given = measured.machine, measured
    if fault == "latency":
        machine = replace(machine, wires=replace(machine.wires, latency_ns=850.0))
    else:
        work = measured.workload
        nodes = work.nodes
        first = np.concatenate([np.zeros(nodes, np.int64), work.first[:-nodes]])
        kept = int(first[-1])
        late = replace(work, first=first, source=work.source[:kept], local=work.local[:kept])
        given = replace(measured, workload=late)
    found = deviations(measured, modelled(given, machine))
    assert np.abs(found).max() > TOLERANCE
