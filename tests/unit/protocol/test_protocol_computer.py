"""What a protocol tells of the software: the commit of a checkout, and nobody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from csnn.protocol.computer import checkout_commit, describe_software


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def require_git() -> None:
    if shutil.which("git") is None:
        if os.environ.get("CI"):
            pytest.fail("git is not installed")
        pytest.skip("git is not installed")


def test_the_commit_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_git()
    package = tmp_path / "lib" / "package"
    package.mkdir(parents=True)
    assert checkout_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    # There is no commit yet.
    assert checkout_commit(tmp_path) is None
    (package / "file.py").write_text("1")
    git(tmp_path, "add", "lib")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert len(commit) == 40
    assert checkout_commit(tmp_path) == commit
    # What is installed inside another's checkout is not of its commit.
    assert checkout_commit(package.parent) is None
    (tmp_path / "notes.txt").write_text("untracked")
    assert checkout_commit(tmp_path) == commit
    (package / "file.py").write_text("2")
    assert checkout_commit(tmp_path) == f"{commit} (changed)"
    monkeypatch.setenv("PATH", str(package))
    assert checkout_commit(tmp_path) is None


def test_a_damaged_checkout_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert checkout_commit(tmp_path) is None


def test_versions_are_those_of_what_computes() -> None:
    import numba
    import numpy

    found = describe_software()
    assert (found["numba"], found["numpy"]) == (numba.__version__, numpy.__version__)
    assert set(found) - {"commit"} == {"csnn", "python", "numpy", "scipy", "numba"}
