"""Peak memory is that of this process, in millions of bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from csnn import memory

PARENT = """
import subprocess, sys
held = b"x" * 400_000_000
child = "import csnn.memory; print(csnn.memory.peak_mb())"
subprocess.run([sys.executable, "-c", child], check=True)
import csnn.memory
print(csnn.memory.peak_mb())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_large_parent_is_not_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, check=True
    )
    child, parent = map(float, done.stdout.split())  # the parent prints last
    assert parent > 400
    assert child < 200


def test_peak_is_in_millions_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    monkeypatch.setattr(memory, "_STATUS", status)
    usage = SimpleNamespace(ru_maxrss=250_000)
    monkeypatch.setattr("csnn.memory.resource.getrusage", lambda who: usage)
    for platform, expected in (("linux", 256.0), ("darwin", 0.25)):
        monkeypatch.setattr("csnn.memory.sys", SimpleNamespace(platform=platform))
        assert memory.peak_mb() == expected
    status.write_text("Name:\tcsnn\nVmHWM:\t  500000 kB\nVmRSS:\t  250000 kB\n")
    assert memory.peak_mb() == 512.0
