"""Images and runs that several test modules read or damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import network_file, succeed
from protocols import record


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_file(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def image(network: Path) -> Path:
    succeed("generate", network, "--out", network.parent / "image")
    return network.parent / "image"


@pytest.fixture(scope="session")
def finished(network: Path) -> Path:
    """Return the directory of a complete run; tests only read it."""
    out = network.parent / "deep" / "run"
    outcome = succeed("run", network, "--out", out)
    assert outcome.out == f"{out}/report.html\n"
    assert "105 neurons" in outcome.err
    return out


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with small.toml, its image and a run with a checkpoint; only read."""
    folder = tmp_path_factory.mktemp("place")
    network_file(folder)
    succeed("generate", folder / "small.toml", "--out", folder / "image")
    succeed("simulate", folder / "image", "--checkpoint", "--out", folder / "run")
    # What is compiled for it is stored: no later test is the first to do so, on a full disk.
    succeed("export", "edges", folder / "image", "--out", folder / "edges.npz")
    (folder / "edges.npz").unlink()
    return folder


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    """Return a copy of `place` to be damaged; its run is of its own image."""
    shutil.copytree(place / "image", tmp_path / "image")
    shutil.copytree(place / "run", tmp_path / "run", symlinks=True)
    (tmp_path / "run" / "image").unlink()
    (tmp_path / "run" / "image").symlink_to(tmp_path / "image")
    shutil.copy(place / "small.toml", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return three recordings of `protocols.network`; tests only read them."""
    folder = tmp_path_factory.mktemp("nest")
    paths = [folder / f"nest_{seed}.npz" for seed in (11, 12, 13)]
    for path, seed in zip(paths, (11, 12, 13), strict=True):
        record(path, seed, folder)
    return paths
