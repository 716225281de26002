"""`csnn generate`, `run` and `simulate` with --mpi: the same files, one voice, no hang."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mpi_jobs
import networks
import numpy as np
import pytest
from commands import csnn, network_file, refused, succeed, tree

from csnn.image.store import node_file, open_image
from csnn.mpi import team
from csnn.simulator.state import load_checkpoint
from csnn.spec.description import Description
from csnn.spec.distributions import Constant
from csnn.spec.machine import Machine
from csnn.spec.network import FixedIndegree
from csnn.spec.toml import dumps


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, its image, and a run of 30 ms by one process."""
    mpi_jobs.mpiexec()
    folder = tmp_path_factory.mktemp("single")
    network_file(
        folder, ("time_ms = 60.0", "time_ms = 30.0"), ("warmup_ms = 20.0", "warmup_ms = 0.0")
    )
    succeed("run", folder / "small.toml", "--checkpoint", "--record", "104,0,50", "--out",
            folder / "run")  # fmt: skip
    return folder


def same_arrays(a: Path, b: Path) -> None:
    with np.load(a) as first, np.load(b) as second:
        assert set(first.files) == set(second.files)
        for name in first.files:
            assert np.array_equal(first[name], second[name]), name


def same_run(folder: Path, wanted: Path) -> None:
    """Require equal spikes, traces, state words and counts."""
    for name in ("spikes.npz", "traces.npz", "checkpoint.npz"):
        same_arrays(folder / name, wanted / name)
    results = [json.loads((path / "result.json").read_text()) for path in (folder, wanted)]
    for key in ("events", "spikes", "last_step", "mean_rates_hz", "image_digest", "complete"):
        assert results[0][key] == results[1][key], key


def test_run_on_three_ranks_writes_the_same_files(single: Path, tmp_path: Path) -> None:
    code, out, err = mpi_jobs.csnn(
        3, "run", single / "small.toml", "--checkpoint", "--record", "104,0,50", "--mpi",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert (code, out) == (0, f"{tmp_path}/run/report.html\n"), err
    assert err.count("105 neurons") == 1
    same_run(tmp_path / "run", single / "run")
    for name, content in tree(single / "run" / "image").items():
        if name != "manifest.json":
            assert (tmp_path / "run" / "image" / name).read_bytes() == content, name
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["manifest"]["ranks"] == 3


def test_a_run_is_resumed_by_another_number_of_ranks(single: Path, tmp_path: Path) -> None:
    options = ("--warmup-ms", "0", "--record", "104,0,50", "--checkpoint", "--mpi", "--out")
    image, out = single / "run" / "image", tmp_path / "run"
    code, _, err = mpi_jobs.csnn(2, "simulate", image, "--time-ms", "11.3", *options, out)
    assert code == 0, err
    code, _, err = mpi_jobs.csnn(
        4, "simulate", image, "--time-ms", "30", "--resume", "--mpi", "--out", out
    )
    assert code == 0, err
    same_run(out, single / "run")
    load_checkpoint(out / "checkpoint.npz", open_image(image))


def test_for_a_resumed_run_every_rank_reads_its_own_nodes_only(
    single: Path, tmp_path: Path
) -> None:
    shutil.copytree(single / "run", tmp_path / "run")
    code, _, err = mpi_jobs.program(2, "resuming", single / "small.toml", tmp_path / "run")
    assert code == 0, err
    same_run(tmp_path / "run", single / "run")
    # A file that rank 0 does not read is damaged: all are made anew.
    node = tmp_path / "run" / "image" / node_file(1)
    content = bytearray(node.read_bytes())
    content[-1] ^= 1
    node.write_bytes(content)
    code, _, err = mpi_jobs.csnn(
        2, "run", single / "small.toml", "--record", "104,0,50", "--resume", "--mpi", "--out",
        tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert f"{node}: altered: its SHA-256 is not the manifest's; the image is generated" in err
    same_run(tmp_path / "run", single / "run")


@pytest.mark.slow
def test_fitted_edge_lists_are_generated_alike(single: Path, tmp_path: Path) -> None:
    network = networks.edge_network(tmp_path, "fitted")
    path = tmp_path / "edges.toml"
    path.write_text(dumps(Description(network=network, machine=Machine(neurons_per_node=23))))
    succeed("generate", path, "--out", tmp_path / "one")
    code, _, err = mpi_jobs.csnn(3, "generate", path, "--mpi", "--out", tmp_path / "three")
    assert code == 0, err
    assert open_image(tmp_path / "three").digest == open_image(tmp_path / "one").digest
    assert "edge_fit" in open_image(tmp_path / "one").manifest


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--mpi", "--no-such"), 2, "csnn: unrecognized arguments: --no-such (see csnn --help)"),
        (("--mpi", "--record", "105"), 3, "csnn: run.record = 105: must be a neuron number"),
        ((), 2, "csnn: started 2 times over: with --mpi"),
    ],
    ids=["usage", "input", "copies"],
)
def test_errors_are_said_once(
    single: Path, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    found, out, err = mpi_jobs.csnn(
        2, "simulate", single / "run" / "image", *options, "--out", tmp_path / "run"
    )
    assert (found, out) == (code, ""), err
    (said,) = mpi_jobs.voice(err)
    assert said.startswith(message)
    assert not (tmp_path / "run").exists()


def test_generation_that_fails_on_another_rank_is_said_once_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    # Node 1, which rank 1 makes, has synapses whose sum is too large for the grid.
    populations = tuple(networks.population(name, 23, poisson=None) for name in "EI")
    many = networks.projection("E", "I", FixedIndegree(indegree=600), weight=Constant(value=3.6))
    network = networks.network(many, populations=populations)
    machine = Machine(neurons_per_node=23, weight_grid=2.0**-13)
    path = tmp_path / "fine.toml"
    path.write_text(dumps(Description(network=network, machine=machine)))
    code, out, err = mpi_jobs.csnn(2, "generate", path, "--mpi", "--out", tmp_path / "image")
    assert (code, out) == (3, "")
    (said,) = mpi_jobs.voice(err)
    assert "the excitatory synapses of neuron 23 (I) sum to" in said
    assert list(tmp_path.iterdir()) == [path]


def test_the_plain_simulator_is_not_divided(image: Path, tmp_path: Path) -> None:
    code, out, err = mpi_jobs.csnn(
        1, "simulate", image, "--simulator", "plain", "--mpi", "--out", tmp_path / "run"
    )
    assert (code, out) == (3, "")
    rule = "runs in one process only; --mpi needs fast"
    assert mpi_jobs.voice(err) == [f"csnn: --simulator = 'plain': {rule}"]


def test_without_mpi4py_the_command_names_the_extra(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    outcome = csnn("simulate", image, "--mpi", "--out", tmp_path / "run")
    refused(outcome, "--mpi needs mpi4py", "pip install 'csnn[mpi]'", code=4)
    # Other ranks keep silent.
    monkeypatch.setenv("PMI_RANK", "1")
    assert csnn("simulate", image, "--mpi", "--out", tmp_path / "run").err == ""


def library() -> str:
    """Return what mpi4py says of its MPI library."""
    ask = "from mpi4py import MPI; print(MPI.Get_library_version())"
    command = [sys.executable, "-c", ask]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_launcher_of_another_library_is_refused(image: Path, tmp_path: Path) -> None:
    mpi_jobs.mpiexec()
    other = "PMI" if "Open MPI" in library() else "OMPI_COMM_WORLD"
    said = []
    for rank in ("0", "1"):
        command = [sys.executable, "-m", "csnn.cli", "simulate", str(image), "--mpi"]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / "run")],
            env={**mpi_jobs.environment(), f"{other}_RANK": rank, f"{other}_SIZE": "2"},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (4, "")
        said += mpi_jobs.voice(done.stderr)
    (text,) = said
    words = f"csnn: --mpi: {other}_SIZE says 2 processes, but the MPI library of mpi4py sees one: "
    assert text.startswith(words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [1, 4])
def test_sizes_of_an_outer_job_are_no_offence(single: Path, tmp_path: Path, number: int) -> None:
    """A job within one of another library inherits that one's variables."""
    command = [mpi_jobs.mpiexec(), "-n", "2", sys.executable, "-m", "csnn.cli", "simulate"]
    other = "PMI" if "Open MPI" in library() else "OMPI_COMM_WORLD"
    done = subprocess.run(
        [*command, str(single / "run" / "image"), "--mpi", "--out", str(tmp_path / "run")],
        env={**mpi_jobs.environment(), f"{other}_SIZE": str(number)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["manifest"]["ranks"] == 2


@pytest.mark.parametrize("kind", ["PMI", "OMPI_COMM_WORLD"])
def test_rank_and_size_are_read_of_either_launcher(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name in ("PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert team.launched() == (0, 1)
    monkeypatch.setenv(f"{kind}_RANK", "3")
    monkeypatch.setenv(f"{kind}_SIZE", "4")
    assert team.launched() == (3, 4)
    # Only rank 0 says that --mpi is missing.
    assert (csnn("show").code, csnn("show").err) == (2, "")
