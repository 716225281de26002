"""Recordings made by the package's own command are taken by the protocol."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import require_nest

from csnn.oracle.nest import run_network
from csnn.protocol.nest import find_recordings, read_recordings
from csnn.spec.pd14 import pd14
from csnn.validation.record_nest import main

SCALE, TIME_MS, WARMUP_MS = 0.02, 2000.0, 107.0


def test_a_recording_is_what_nest_did(tmp_path: Path, capsys) -> None:
    require_nest()
    common = ["--time-ms", str(TIME_MS), "--warmup-ms", str(WARMUP_MS), "--threads", "1",
              "--scale", str(SCALE)]  # fmt: skip
    for seed in (7, 8, 9):
        assert main([str(tmp_path / f"{seed}.npz"), "--seed", str(seed), *common]) == 0
    assert "spikes of" in capsys.readouterr().out
    recordings = read_recordings(find_recordings([tmp_path]), scale=SCALE)
    assert [r.timing["seed"] for r in recordings] == [7, 8, 9]
    assert {(r.first_step, r.last_step) for r in recordings} == {(1071, 21_070)}
    wanted = run_network(
        pd14(n_scale=SCALE, k_scale=SCALE), time_ms=TIME_MS, warmup_ms=WARMUP_MS, seed=8, threads=1
    )
    step, sender = recordings[1].spikes()
    assert np.array_equal(step, wanted.step)
    assert np.array_equal(sender, wanted.source)
    assert int(step.min()) > 1070


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "0"], "seed = 0"),
        (["--seed", "1", "--time-ms", "1000"], "--time-ms = 1000.0: must be 2000 or more"),
        (["--seed", "1", "--time-ms", "nan"], "--time-ms = nan"),
        (["--seed", "1", "--time-ms", "2000.05"], "time_ms = 2000.05"),
        (["--seed", "1", "--time-ms", "1e15"], "below 2^32 steps"),
        (["--seed", "1", "--scale", "-1"], "n_scale = -1.0"),
        (["--seed", "1", "--warmup-ms", "inf"], "warmup_ms = inf"),
    ],
    ids=["seed", "short", "no number", "no multiple", "long", "scale", "warm-up"],
)
def test_what_is_refused_leaves_nothing(tmp_path: Path, capsys, arguments, words) -> None:
    assert main([str(tmp_path / "out.npz"), *arguments]) == 3
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_told_before_nest_runs(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path / "missing" / "out.npz"), "--seed", "1"]) == 3
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_recording_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    require_nest()
    program = [sys.executable, "-m", "csnn.validation.record_nest", str(tmp_path / "out.npz")]
    with subprocess.Popen(
        [*program, "--seed", "1", "--scale", "0.05", "--time-ms", "1000000"],
        stderr=subprocess.PIPE, text=True,
        # A job in the background ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        try:
            ends = time.monotonic() + 60
            while not list(tmp_path.iterdir()) and time.monotonic() < ends:
                time.sleep(0.05)
            assert [path.name[:5] for path in tmp_path.iterdir()] == [".tmp-"]
            process.send_signal(sent)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    # CPython ends by SIGINT, which a shell calls 130, if the interrupt arrived within an `exec`.
    assert process.returncode in (130, -signal.SIGINT)
    assert said.splitlines()[-1] == "interrupted; nothing is kept"
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_a_recording_that_is_being_written_is_left_aside(tmp_path: Path) -> None:
    for name in ("a", "b", "c", ".tmp-0123abcd-d"):
        (tmp_path / f"{name}.npz").write_bytes(b"")
    assert [path.name for path in find_recordings([tmp_path])] == ["a.npz", "b.npz", "c.npz"]
