"""The event loop: latencies, conservation, limits of queues, back-pressure, compiled or not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from perf_machines import NODE, machine, random_workload

from csnn.errors import InvalidInputError
from csnn.hardware import latency, mesh_latency
from csnn.hardware.config import NodeConfig
from csnn.hardware.mesh import LinkConfig, Mesh, RouterConfig
from csnn.perf.model import Timing, simulate
from csnn.perf.parameters import Clocks, Machine, Wires
from csnn.perf.statistics import step_parts
from csnn.perf.topology import (
    Topology,
    make_topology,
    mesh_topology,
    populate,
    ring_topology,
    tree_topology,
)
from csnn.perf.workload import silent_workload

SMALL = mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=8))


def on_a_line(hops: int) -> Topology:
    """Return a master node and one node so many hops away."""
    mesh = Mesh(shape=(2 * hops + 1, 1, 1), n_nodes=2 * hops)
    topology = mesh_topology(mesh)
    return replace(topology, nodes=(topology.nodes[-1],))


def round_trip_ns(clocks: Clocks, latency_ns: float, topology: Topology, step_cycles: int) -> float:
    """Return the step of a single node on a line, stage by stage, on average over phases."""
    app, comm = 1e3 / clocks.app_mhz, 1e3 / clocks.comm_mhz
    hops = topology.hops(topology.nodes[0])
    # An edge is half a cycle away on average; then the packet is in the synchroniser.
    into_comm = app + (0.5 + mesh_latency.CROSSING_SINK - 1) * comm
    into_app = comm + (0.5 + mesh_latency.CROSSING_SINK - 1) * app
    link = mesh_latency.LINK_SEND + mesh_latency.LINK_RECEIVE - 1 + 0.5
    down = hops * (link + mesh_latency.BROADCAST_ROUTER) * comm + hops * latency_ns
    up = hops * (link + mesh_latency.UNICAST_ROUTER) * comm + hops * latency_ns
    master = (mesh_latency.MASTER_SYNC) * app
    node = (latency.FIFO + latency.PACKET_DECODER + step_cycles + latency.PACKET_ENCODER) * app
    # The first router of each way, and the arbiters between unit and router.
    ends = (
        mesh_latency.BROADCAST_ROUTER
        + mesh_latency.UNICAST_ROUTER
        + 2 * mesh_latency.STREAM_ARBITER
    ) * comm
    return 2 * into_comm + 2 * into_app + down + up + master + node + ends


@pytest.mark.parametrize("hops", [1, 3])
def test_round_trip_is_the_sum_of_its_latencies(hops: int) -> None:
    topology, work = on_a_line(hops), silent_workload(np.array([64]), 60)
    found, expected = [], []
    for seed in range(40):
        made = Machine(node=NODE, clocks=Clocks(seed=seed))
        found.append(simulate(made, topology, work).cycles()[1:].mean() / 0.15)
        expected.append(round_trip_ns(made.clocks, 800.0, topology, latency.step_cycles(NODE, 64)))
    # Phases are random: a cycle of either clock is 7 and 10 ns.
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=8.0)
    assert np.mean(found) != pytest.approx(np.mean(expected) + 20.0, abs=8.0)


def test_every_cycle_of_a_latency_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    work = silent_workload(np.full(8, 64), 30)
    before = simulate(machine(), SMALL, work).cycles()[1:].mean()
    monkeypatch.setattr("csnn.hardware.latency.SYNC_TO_START", 9)
    after = simulate(machine(), SMALL, work).cycles()[1:].mean()
    assert after - before == pytest.approx(6.0, abs=1.6)


def test_nothing_is_lost() -> None:
    work = random_workload(8, 40, 1.5, rows=2)
    timing = simulate(machine(), SMALL, work)
    assert (timing.handled == len(work.source)).all()
    assert timing.synapses.tolist() == work.unroll_cycles().sum(axis=0).tolist()
    assert (np.diff(timing.begins_fs, axis=0) > 0).all()
    parts = step_parts(timing)
    assert np.allclose(sum(parts.values()), timing.cycles())
    assert all((values >= 0).all() for values in parts.values())


def test_a_node_begins_no_step_before_it_has_unrolled_the_last() -> None:
    work = random_workload(8, 40, 3.0, longest=60)
    timing = simulate(machine(), SMALL, work)
    steps_ns = np.diff(timing.begins_fs, axis=0) * 1e-6
    assert (steps_ns >= work.unroll_cycles()[:-1] / 0.15 * 0.999).all()


def test_a_longer_link_costs_what_it_is_longer() -> None:
    work = silent_workload(np.full(8, 64), 40)
    times = [
        simulate(machine(wires=Wires(latency_ns=ns)), SMALL, work).cycles()[1:].mean()
        for ns in (800.0, 1000.0)
    ]
    # Two hops there, two back.
    assert times[1] - times[0] == pytest.approx(4 * 200 * 0.15, abs=2.0)


def tight(**link: int) -> Machine:
    """Return a machine with very small buffers."""
    node = NodeConfig(rows=64, event_fifo=4)
    config = LinkConfig(**{"window": 2, "buffer": 2, **link})  # type: ignore[arg-type]
    return replace(machine(wires=Wires(config=config), branch_buffer=2), node=node)


@pytest.mark.parametrize("topology", [SMALL, ring_topology(8), make_topology("direct", 8)])
def test_small_buffers_hold_up_but_lose_nothing(topology: Topology) -> None:
    work = random_workload(8, 12, 6.0, longest=40)
    free, held = simulate(machine(), topology, work), simulate(tight(), topology, work)
    for timing in (free, held):
        assert (timing.handled == len(work.source)).all()
        assert timing.synapses.sum() == work.unroll_cycles().sum()
    assert held.largest["link"] <= 2
    assert held.largest["branch"] <= 2
    assert held.largest["node"] <= 4
    assert held.cycles().mean() > free.cycles().mean()
    assert free.largest["node"] > 4


def test_each_limit_binds() -> None:
    """Less of anything makes a machine under load slower, and more of it changes nothing."""
    work = random_workload(8, 10, 20.0)
    usual = simulate(machine(), SMALL, work).cycles().mean()
    variants = {
        "window": machine(wires=Wires(config=LinkConfig(window=4))),
        "buffer": machine(wires=Wires(config=LinkConfig(buffer=4))),
        "frame_cycles": machine(wires=Wires(config=LinkConfig(frame_cycles=16))),
    }
    for name, made in variants.items():
        assert simulate(made, SMALL, work).cycles().mean() > 1.02 * usual, name


def test_machines_that_the_hardware_is_not() -> None:
    work = random_workload(8, 30, 3.0, longest=60)
    eager, waits, serial = (
        simulate(replace(machine(), eager=a, pipelined=b), SMALL, work).cycles().mean()
        for a, b in ((True, True), (False, True), (False, False))
    )
    assert eager < waits < serial


def test_jitter_makes_steps_longer() -> None:
    work = silent_workload(np.full(8, 64), 60)
    usual, late = (
        simulate(machine(wires=Wires(jitter_ns=ns)), SMALL, work).cycles() for ns in (0.0, 200.0)
    )
    # The last of eight, twice, on two links each way.
    assert 0.15 * 200 < late.mean() - usual.mean() < 0.15 * 4 * 200
    assert late.std() > usual.std()


_DIGEST = """
import sys; sys.path.insert(0, {folder!r})
from perf_machines import machine, random_workload
from csnn.hardware.mesh import Mesh
from csnn.perf.engine.loop import run
from csnn.perf.model import simulate
from csnn.perf.topology import mesh_topology
timing = simulate(
    machine(), mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=8)), random_workload(8, 6, 1.0, rows=2)
)
print(type(run).__name__)
print(timing.begins_fs.tolist(), timing.sync_fs.tolist(), timing.events, timing.largest)
"""


def _told(text: str) -> list[str]:
    return text.strip().splitlines()


def test_compiled_loop_is_the_plain_one() -> None:
    source = _DIGEST.format(folder=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, plain = _told(done.stdout)
    assert kind == "function"

    def compiled(seed: int) -> str:
        timing = simulate(machine(), SMALL, random_workload(8, 6, 1.0, rows=2, seed=seed))
        told = (timing.begins_fs.tolist(), timing.sync_fs.tolist(), timing.events, timing.largest)
        return " ".join(map(str, told))

    assert compiled(1) == plain
    # Other spikes give other times: the comparison sees something.
    assert compiled(2) != plain


def test_a_run_can_be_repeated() -> None:
    work = random_workload(8, 20, 1.0)

    def again(seed: int) -> Timing:
        return simulate(replace(machine(), clocks=Clocks(seed=seed)), SMALL, work)

    assert np.array_equal(again(5).begins_fs, again(5).begins_fs)
    assert not np.array_equal(again(5).begins_fs, again(6).begins_fs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: simulate(machine(), ring_topology(7), random_workload(8, 2, 0.1)),
            "topology.nodes = 7: must be 8",
        ),
        (
            lambda: simulate(
                replace(machine(), node=NodeConfig(neurons=32)), SMALL, random_workload(8, 2, 0.1)
            ),
            "node.neurons = 32",
        ),
        (lambda: machine(wires=Wires(latency_ns=9000.0)), "link.timeout = 512: must be longer"),
        (lambda: Wires(latency_ns=-1.0), "link.latency_ns = -1.0: must be a number from 0"),
        (lambda: Wires(send_cycles=0), "link.send_cycles = 0"),
        (lambda: Clocks(app_mhz=0.0), "clocks.app_mhz = 0.0"),
        (lambda: Clocks(ppm=-1.0), "clocks.ppm = -1.0"),
        (lambda: machine(branch_buffer=1), "machine.branch_buffer = 1"),
        (lambda: machine(eager=2), "machine.eager = 2"),
    ],
)
def test_what_cannot_be_is_refused(call: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()  # type: ignore[operator]


def test_express_links_shorten_the_way() -> None:
    work = silent_workload(np.full(10, 64), 20)
    plain, express = (
        simulate(
            machine(),
            mesh_topology(
                Mesh(shape=(11, 1, 1), n_nodes=10, router=RouterConfig(express=(e, 0, 0)))
            ),
            work,
        ).cycles()[1:]
        for e in (0, 3)
    )
    # The farthest is three links away instead of five.
    assert plain.mean() - express.mean() == pytest.approx(4 * 910 * 0.15, abs=15.0)


def test_links_inside_a_device_are_short() -> None:
    """Two devices of four nodes: only those beside the master node are answered at once."""
    topology = populate(tree_topology(1, 1), 4, 8, 4)
    work = silent_workload(np.full(8, 64), 20)
    made = machine(wires=Wires(latency_ns=800.0))
    timing = simulate(made, topology, work)
    first, second = (timing.begins_fs[5:, part].mean() for part in (slice(0, 4), slice(4, 8)))
    assert 700e6 < second - first < 1100e6
    assert set(timing.critical_node[5:].tolist()) <= {4, 5, 6, 7}
    other = replace(made, inside=replace(made.inside, latency_ns=500.0))
    slower = simulate(other, topology, work)
    assert slower.cycles()[5:].mean() - timing.cycles()[5:].mean() == pytest.approx(150.0, abs=3.0)


def test_rows_from_outside_come_later_but_overlap() -> None:
    work = random_workload(8, 40, 1.5)
    near = simulate(machine(), SMALL, work)
    far = simulate(machine(fetch_cycles=30), SMALL, work)
    late = (far.cycles() - near.cycles())[1:]
    assert 0 < late.max() < 45
    assert (far.synapses == near.synapses).all()
