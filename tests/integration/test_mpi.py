"""Any number of ranks and threads: the same spikes, traces, state words and events."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import mpi_jobs
import mpi_program
import networks
import numpy as np
import pytest

from csnn.image.store import Image, node_file, open_image
from csnn.simulator.plain import PlainSimulator
from csnn.simulator.recording import Recording
from csnn.simulator.state import MachineState
from csnn.spec.distributions import Uniform
from csnn.spec.network import Network
from csnn.spec.pd14 import pd14


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small lively images: every sampler, stored rows, two layouts, PD14."""
    folder = tmp_path_factory.mktemp("mpi") / "images"
    folder.mkdir()
    mpi_jobs.mpiexec()
    for name, rule, multapses in (
        ("independent", "fixed_total_number", True),
        ("distinct", "pairwise_bernoulli", False),
        ("stored", "one_to_one", True),
        ("stubs", "fixed_indegree", True),
    ):
        network = networks.rule_network(rule, True, multapses)
        networks.image(network, folder / name, row_layout="sparse" if multapses else "dense")
    edges = networks.edge_network(folder.parent, "stored")
    networks.image(edges, folder / "edges", random_delay_buffer=True, delay_slots=16)
    networks.image(lively_pd14(), folder / "pd14", neurons_per_node=60)
    return folder


def lively_pd14() -> Network:
    """Return a small PD14 of which a part spikes at once: 9 ms are too short for its own rate."""
    network = pd14(n_scale=0.005, k_scale=0.02)
    start = Uniform(low=-66.0, high=-49.0)
    populations = tuple(replace(p, V_init_mV=start) for p in network.populations)
    return replace(network, populations=populations)


Outcome = tuple[Recording, MachineState]


@pytest.fixture(scope="module")
def wanted(images: Path) -> dict[str, Outcome]:
    """Return what the plain simulator makes of each image."""
    return {path.name: run_plain(open_image(path)) for path in images.iterdir()}


def run_plain(image: Image) -> Outcome:
    simulator = PlainSimulator(image, record=mpi_program.recorded(image.n_neurons))
    return simulator.run(mpi_program.STEPS), simulator.state()


def read(path: Path) -> Outcome:
    with np.load(path) as data:
        recording = Recording(data["step"], data["source"], data["traces"], int(data["events"]))
        words: dict[str, Any] = {
            field.name: data[field.name] for field in fields(MachineState) if field.name != "step"
        }
        return recording, MachineState(step=int(data["n"]), **words)


def difference(a: Outcome, b: Outcome) -> str | None:
    found = a[0].first_difference(b[0]) or a[1].first_difference(b[1])
    if found is None and a[0].events != b[0].events:
        return f"events: {a[0].events} and {b[0].events}"
    return found


def test_images_are_lively_and_have_all_kinds_of_rows(
    images: Path, wanted: dict[str, Outcome]
) -> None:
    samplers = set()
    for name, (recording, _) in wanted.items():
        image = open_image(images / name)
        assert image.n_nodes >= 4
        assert len(recording.step) > 30, name
        assert recording.events > 100, name
        samplers |= set(image.manifest["synapses_by_sampler"])
    assert samplers == {"independent", "distinct", "stored", "stubs"}


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_any_number_of_ranks_gives_the_plain_machines_bits(
    images: Path, wanted: dict[str, Outcome], tmp_path: Path, ranks: int
) -> None:
    code, _, err = mpi_jobs.program(ranks, "equal", images, tmp_path)
    assert (code, err) == (0, "")
    assert len(list(tmp_path.iterdir())) == 2 * len(wanted)
    for name, outcome in wanted.items():
        for threads in (1, 2):
            found = read(tmp_path / f"{name}-{threads}.npz")
            assert difference(outcome, found) is None, (name, threads)


def test_planted_faults_of_the_exchange_are_caught(
    images: Path, wanted: dict[str, Outcome], tmp_path: Path
) -> None:
    code, _, err = mpi_jobs.program(2, "faults", images / "independent", tmp_path)
    assert (code, err) == (0, "")
    for fault in mpi_program.FAULTS:
        found = read(tmp_path / f"{fault}.npz")
        assert difference(wanted["independent"], found) is not None, fault


@pytest.mark.parametrize("where", ["step", "state"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_stops_all_ranks_after_one_step(
    images: Path, wanted: dict[str, Outcome], tmp_path: Path, number: str, where: str
) -> None:
    what = f"{number} in a {where}"
    code, _, err = mpi_jobs.program(2, what, images / "independent", tmp_path)
    assert (code, err) == (0, "")
    assert difference(wanted["independent"], read(tmp_path / "whole.npz")) is None


def test_a_rank_reads_its_own_nodes_only(images: Path, tmp_path: Path) -> None:
    code, _, err = mpi_jobs.program(3, "reading", images / "pd14", tmp_path)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("blow", ["killed", pytest.param("exit", marks=pytest.mark.slow)])
def test_a_rank_that_dies_ends_the_job(images: Path, tmp_path: Path, blow: str) -> None:
    code, _, _ = mpi_jobs.program(2, blow, images / "independent", tmp_path)
    assert code != 0
    assert {path.name for path in tmp_path.iterdir()} == {"started"}


def test_an_error_of_one_rank_ends_the_job_and_is_said_once(images: Path, tmp_path: Path) -> None:
    code, _, err = mpi_jobs.program(3, "error", images / "independent", tmp_path)
    assert code == 3
    assert mpi_jobs.voice(err) == ["csnn: rank 2 of 3: no words left"]
    assert {path.name for path in tmp_path.iterdir()} == {"started"}


def test_a_file_that_only_another_rank_reads_is_checked(images: Path, tmp_path: Path) -> None:
    shutil.copytree(images / "independent", tmp_path / "image")
    path = tmp_path / "image" / node_file(1)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, _, err = mpi_jobs.program(2, "altered", tmp_path / "image", tmp_path)
    assert code == 3
    assert mpi_jobs.voice(err) == [f"csnn: {path}: altered: its SHA-256 is not the manifest's"]


def test_more_ranks_than_nodes_are_refused(images: Path, tmp_path: Path) -> None:
    image = images / "independent"
    code, _, err = mpi_jobs.program(5, "altered", image, tmp_path)
    assert code == 3
    rule = f"must be at most 4, the nodes of {image}"
    assert mpi_jobs.voice(err) == [f"csnn: number of ranks = 5: {rule}"]
