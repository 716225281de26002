"""Who wants what another process builds waits for it, and for no dead one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from csnn.errors import ToolFailedError
from rtl.verilator_build import cached_file

NAME = "thing.so"
# Seconds that a builder waits for a second one, and in which everything is over.
OVERLAP_S, LIMIT_S = 1.0, 20.0
# Longer than a test waits for what is to come at once.
TOOL_S = 5.0
# Builds once it is told to, and notes that it does; goes on when another one builds too, or none
# has come. With `unlocked` the lock is left out: a planted fault.
BUILDER = f"""
import fcntl, os, sys, time
from pathlib import Path
from rtl.verilator_build import cached_file
folder, unlocked = Path(sys.argv[1]), sys.argv[2] == "unlocked"
if unlocked:
    fcntl.flock = lambda *arguments: None

def build(temporary, built):
    with (folder / "builds").open("a") as builds:
        builds.write(f"{{os.getpid()}}\\n")
    end = time.monotonic() + {OVERLAP_S}
    while time.monotonic() < end and len((folder / "builds").read_text().split()) < 2:
        time.sleep(0.01)
    built.write_text("whole")

print("ready", flush=True)
sys.stdin.readline()
print(cached_file("{NAME}", build).read_text())
"""
# Builds by a tool that takes long and lives on when the builder is killed.
STUCK = f"""
import os, sys
from rtl.verilator_build import cached_file, run_tool

def build(temporary, built):
    built.write_text("half")
    print("builds", flush=True)
    run_tool([sys.executable, "-c", "import time; time.sleep({TOOL_S})"], dict(os.environ))

cached_file("{NAME}", build)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CSNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a Python process; return when it has said something."""
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@pytest.fixture
def holder(cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that builds."""
    with start(STUCK) as process:
        yield process
        process.kill()


def whole(temporary: Path, built: Path) -> None:
    built.write_text("whole")


def builds(folder: Path, lock: str) -> int:
    """Let two processes want the same at the same time; return how often it was built."""
    processes = [start(BUILDER, str(folder), lock) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0
        assert out == "whole\n"
    return len((folder / "builds").read_text().split())


def test_two_processes_build_once(cache: Path, tmp_path: Path) -> None:
    assert builds(tmp_path, "locked") == 1
    assert (cache / NAME).read_text() == "whole"


def test_without_the_lock_they_build_twice(cache: Path, tmp_path: Path) -> None:
    assert builds(tmp_path, "unlocked") == 2


def test_a_dead_builder_is_not_waited_for(cache: Path, holder: subprocess.Popen[str]) -> None:
    found: list[str] = []

    def want() -> None:
        found.append(cached_file(NAME, whole).read_text())

    waiter = threading.Thread(target=want, daemon=True)
    waiter.start()
    time.sleep(0.3)
    # It waits while the other one lives, and does not take what is half done.
    assert waiter.is_alive()
    assert not (cache / NAME).exists()
    holder.kill()
    waiter.join(TOOL_S / 2)
    assert found == ["whole"]


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(temporary: Path, built: Path) -> None:
        built.write_text("half")
        raise ToolFailedError("compiler: error")

    with pytest.raises(ToolFailedError):
        cached_file(NAME, fail)
    assert [path.name for path in cache.iterdir()] == [f"{NAME}.lock"]

    assert cached_file(NAME, whole).read_text() == "whole"
    # What is there is not built again.
    assert cached_file(NAME, fail).read_text() == "whole"
