"""The comparison with the paper: what was published, what is changed, the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Outcome, network_file, refused, succeed
from perf_machines import machine, random_workload

from csnn.hardware import latency, mesh_latency
from csnn.hardware.config import NodeConfig
from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.mesh import Mesh
from csnn.neurons.operators import Operators
from csnn.packets import PACKET_BITS
from csnn.perf import paper
from csnn.perf.experiments import inc_3000, measure_echo
from csnn.perf.paper import (
    VARIANTS,
    changed_machines,
    changes,
    deviation,
    fitted,
    judge,
    variant_cycles,
)
from csnn.perf.parameters import Machine
from csnn.perf.topology import Topology, mesh_topology

CHANGES = [
    "links half as fast",
    "routers 10 cycles slower per hop",
    "operators of twice the latency",
    "other phases of the clocks",
]
ECHO = "echo 5 % longer"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=8))


def patient() -> Machine:
    """A machine of which two hops can take 18 us: links of 4 us, which its senders wait for."""
    wires = machine().wires
    return replace(machine(), wires=replace(wires, config=replace(wires.config, timeout=4096)))


def test_published_figures() -> None:
    assert (paper.ROUND_TRIP_US, paper.HOP_US) == (18.0, 1.0)
    assert (paper.MEAN_CYCLES, paper.WORST_OVER_MEAN) == (3695.0, 1.75)
    # Cycles of 150 MHz; steps of 100 us, 4.06 times faster than real time.
    step_us = paper.MEAN_CYCLES / 150
    assert step_us == pytest.approx(24.63, abs=0.005)
    assert 100 / step_us == pytest.approx(4.06, abs=0.005)


def test_what_is_inferred_is_what_the_document_lists() -> None:
    made = Machine(node=NodeConfig(presence_words=1024))
    wires, link, clocks, node = made.wires, made.wires.config, made.clocks, made.node
    assert (clocks.app_mhz, clocks.comm_mhz, clocks.ppm) == (150.0, 100.0, 100.0)
    assert (PACKET_BITS, FRAME_BITS, link.frame_cycles) == (96, 160, 4)
    assert FRAME_BITS * clocks.comm_mhz / link.frame_cycles == 4000.0  # Mb/s
    assert (link.window, link.keepalive, link.timeout) == (64, 128, 512)
    buffers = (link.buffer, made.branch_buffer, node.event_fifo, made.master.fifo)
    assert buffers == (64, 16, 512, 512)
    assert (wires.send_cycles, mesh_latency.LINK_RECEIVE, wires.jitter_ns) == (3, 5, 0.0)
    assert (mesh_latency.UNICAST_ROUTER, mesh_latency.BROADCAST_ROUTER) == (2, 4)
    assert made.crossing_sink == 3
    assert (mesh_latency.MASTER_REBROADCAST, mesh_latency.MASTER_SYNC) == (4, 6)
    assert inc_3000().router.express == (0, 0, 0)
    assert node.operators == Operators(fadd=7, fmul=5)
    assert latency.SYNC_TO_START + latency.EXTERNAL == 8
    assert (latency.ode_latency(node), latency.row_lookup_latency(node)) == (25, 16)
    assert (latency.unroller_latency(node), latency.STORE) == (6, 6)


def test_deviations_are_relative_to_the_reference() -> None:
    assert deviation(110.0, 100.0) == pytest.approx(0.1)
    assert deviation(75.0, 100.0) == pytest.approx(-0.25)
    found = judge("made up", np.array([3000.0, 4390.0, 3695.0]))
    assert found.mean == 3695.0
    assert found.mean_error == pytest.approx(0.0, abs=1e-12)
    assert found.worst_over_mean == pytest.approx(4390 / 3695)
    assert judge("made up", np.array([7390.0])).mean_error == pytest.approx(1.0)
    assert judge("made up", np.array([3510.25])).mean_error == pytest.approx(-0.05)


def test_every_change_is_the_one_it_says() -> None:
    old = machine()
    new = dict(changes(old))
    assert list(new) == CHANGES
    slow, far, late, other = new.values()
    wires = old.wires
    assert wires.config.frame_cycles == 4
    assert slow == replace(old, wires=replace(wires, config=replace(wires.config, frame_cycles=8)))
    assert far == replace(old, wires=replace(wires, send_cycles=wires.send_cycles + 10))
    assert old.node.operators == Operators(fadd=7, fmul=5)
    assert late == replace(old, node=replace(old.node, operators=Operators(fadd=14, fmul=10)))
    assert other == replace(old, clocks=replace(old.clocks, seed=old.clocks.seed + 1))


def test_links_of_all_changed_machines_are_fitted(topology: Topology) -> None:
    found = dict(changed_machines(patient(), topology))
    assert list(found) == [*CHANGES, ECHO]
    echoes = {name: measure_echo(made, topology).most_us for name, made in found.items()}
    # Clocks of 100 MHz: an echo may jump by two of their edges.
    assert echoes == pytest.approx({**dict.fromkeys(CHANGES, 18.0), ECHO: 18.9}, abs=0.02)
    usual = fitted(patient(), topology)
    assert measure_echo(usual, topology).most_us == pytest.approx(18.0, abs=0.02)
    assert found["links half as fast"].wires.config.frame_cycles == 8
    # Ten cycles of 10 ns more in a router are as many less on its link.
    gone = usual.wires.latency_ns - found["routers 10 cycles slower per hop"].wires.latency_ns
    assert gone == pytest.approx(100.0, abs=10)


def test_variants_have_one_fit_and_their_order(topology: Topology) -> None:
    made = fitted(patient(), topology)
    for eager, pipelined in VARIANTS.values():
        variant = replace(made, eager=eager, pipelined=pipelined)
        assert measure_echo(variant, topology) == measure_echo(made, topology)
    work = random_workload(8, 12, 1.0)
    means = [variant_cycles(made, topology, work, variant).mean() for variant in VARIANTS]
    assert 18 * 150 < means[0] < means[1] < means[3]
    assert means[0] < means[2] < means[3]


def test_variants_are_what_they_say(topology: Topology) -> None:
    assert VARIANTS == {
        "as our hardware": (True, True),
        "unrolled after the sync message": (False, True),
        "unrolled one by one, as they come": (True, False),
        "unrolled one by one, after the sync message": (False, False),
    }
    assert (machine().eager, machine().pipelined) == VARIANTS["as our hardware"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_follows_does_not_change_a_step(topology: Topology, variant: str) -> None:
    """So that fewer steps need not be modelled again."""
    work = random_workload(8, 12, 1.0)
    fewer = replace(work, steps=7, first=work.first[: 7 * 8 + 1])
    all_cycles = variant_cycles(machine(), topology, work, variant)
    assert variant_cycles(machine(), topology, fewer, variant).tolist() == all_cycles[:6].tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network on nodes of two neurons, so many that an echo can take 18 us; and another."""
    path = tmp_path_factory.mktemp("paper")
    many = network_file(path, ("neurons_per_node = 40", "neurons_per_node = 2"))
    succeed("generate", many, "--out", path / "image")
    succeed("simulate", path / "image", "--out", path / "run")
    succeed("generate", network_file(path), "--out", path / "few")
    succeed("simulate", path / "few", "--out", path / "few_run")
    return path


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run the command in this process."""
    try:
        code = paper.main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        code = int(leaving.code or 0)
    told = capsys.readouterr()
    return Outcome(code, told.out, told.err)


def test_the_command_prints_the_comparison(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A mesh of few places, with as long a way to the farthest as need be.
    monkeypatch.setattr(paper, "inc_3000", lambda n: Mesh(shape=(9, 7, 1), n_nodes=n))
    # What is not changed has no effect: the fewer steps are the first ones, the fit is the same.
    monkeypatch.setattr(paper, "changes", lambda old: [*changes(old), ("nothing", old)])
    monkeypatch.setattr(paper, "_FEW_STEPS", 20)
    outcome = command(capsys, folder / "image", folder / "run", 30)
    assert outcome.code == 0, outcome
    found = outcome.json
    assert (found["steps"], found["sensitivity"]["steps"]) == (30, 20)
    assert found["fitted"]["echo_us"] == pytest.approx(18.0, abs=0.02)
    assert found["fitted"]["hops"] == 6
    assert found["hop_us"]["published"] == 1.0
    assert found["published"] == {"mean": 3695.0, "worst_over_mean": 1.75}
    assert [row["variant"] for row in found["predictions"]] == [*VARIANTS]
    for row in found["predictions"]:
        assert row["mean"] > 18 * 150
        assert row["mean_error"] == pytest.approx(row["mean"] / 3695 - 1)
    for variant in VARIANTS:
        rows = found["sensitivity"][variant]
        assert rows.pop("nothing") == 0.0
        assert list(rows) == [*CHANGES, ECHO]
        assert len({*rows.values(), 0.0}) == 6
        assert 0.03 < rows[ECHO] < 0.06
        assert rows["operators of twice the latency"] > 0
    other = found["neuroaix"]
    # 105 neurons: one to a core.
    assert other["silent_ns"] == pytest.approx(31 / 0.189393 + 2 * 969 + 163 + 880)
    assert other["published_ns"] == 4894.5
    assert other["error"] == pytest.approx(other["model_ns"] / 4894.5 - 1)
    assert other["sensitivity"]["transceiver_ns"] == pytest.approx(
        120 / other["model_ns"], rel=0.05
    )
    assert len(other["sensitivity"]) == 9


@pytest.mark.parametrize("steps", ["-5", "0", "1", "601"])
def test_bad_steps_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], steps: str
) -> None:
    outcome = command(capsys, folder / "image", folder / "run", steps)
    refused(outcome, f"STEPS = {steps}: must be from 2 to 600")


def test_bad_folders_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(command(capsys, folder / "image", folder / "none"), str(folder / "none"))
    refused(command(capsys, folder / "none", folder / "run"), str(folder / "none"))
    refused(command(capsys, folder / "run", folder / "run"), "schema must be 'csnn-image'")
    outcome = command(capsys, folder / "few", folder / "run")
    refused(outcome, str(folder / "run"), "is a run of another image")


def test_few_nodes_cannot_have_the_published_echo(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = command(capsys, folder / "few", folder / "few_run")
    refused(outcome, "round_trip_us = 18.0: cannot be reached", "of 4 nodes")


@pytest.mark.parametrize("arguments", [(), ("image",), ("image", "run", "abc")])
def test_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("usage: python -m csnn.perf.paper")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "--help")
    assert outcome.code == 0
    assert "IMAGE RUN [STEPS]" in outcome.out
    assert outcome.err == ""
