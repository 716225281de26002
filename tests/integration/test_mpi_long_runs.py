"""Jobs of several ranks that are killed or get a signal, and go on with any number of ranks."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mpi_jobs
import pytest
from commands import RUN_FILES, names, succeed

from csnn import journal_files, output

RECORD = ("--record", "104,0,50")
SETTINGS = ("--warmup-ms", "5", *RECORD)
# No job ends by itself.
ENDLESS = ("--time-ms", "1000000")
FILES = ("spikes.npz", "traces.npz", "checkpoint.npz")


def start(ranks: int, *arguments: str | Path) -> subprocess.Popen[str]:
    return mpi_jobs.start(ranks, "-m", "csnn.cli", *arguments)


def recorded(out: Path) -> list[int]:
    """Return the last steps of the segments that a run has recorded."""
    return journal_files.steps(out / "progress", "segment")


def wait_for(job: subprocess.Popen[str], out: Path, entries: int) -> None:
    """Wait until a job has made entries in the journal of its run."""
    until = time.monotonic() + mpi_jobs.LIMIT_S
    while len(recorded(out)) < entries:
        if job.poll() is not None or time.monotonic() > until:
            err = mpi_jobs.kill(job)
            pytest.fail(f"{job.returncode}, {recorded(out)}: {err}")
        time.sleep(0.005)


def same_bits(out: Path, image: Path, time_ms: str) -> None:
    """Require of a finished run the files of one process that was never stopped."""
    whole = out.with_name(f"{out.name}-whole")
    succeed("simulate", image, *SETTINGS, "--time-ms", time_ms, "--checkpoint", "--out", whole)
    for name in FILES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    for key in ("spikes", "events", "mean_rates_hz", "last_step", "complete"):
        assert output.read_result(out)[key] == output.read_result(whole)[key], key
    assert "progress" not in names(out)


def test_a_killed_job_goes_on_with_any_number_of_ranks(image: Path, tmp_path: Path) -> None:
    out, chance = tmp_path / "run", random.Random("kills of jobs")
    # Before the first period is over.
    every = ("--checkpoint-every", "1000000")
    job = start(2, "simulate", image, *SETTINGS, *ENDLESS, *every, "--mpi", "--out", out)
    wait_for(job, out, 1)
    # A segment is there before its checkpoint is.
    time.sleep(0.5)
    assert "Traceback" not in mpi_jobs.kill(job)
    assert recorded(out) == [0]
    shutil.copytree(out, tmp_path / "short")
    code, _, err = mpi_jobs.csnn(
        1, "simulate", image, "--resume", "--time-ms", "15", "--mpi", "--out", tmp_path / "short"
    )
    assert code == 0, err
    same_bits(tmp_path / "short", image, "15")
    # Later ones.
    resume = ("simulate", image, "--resume", "--mpi", "--out", out)
    for ranks, every in ((4, ("--checkpoint-every", "20")), (1, ())):
        before = len(recorded(out))
        job = start(ranks, *resume, *every)
        wait_for(job, out, before + chance.randint(1, 4))
        time.sleep(chance.uniform(0.0, 0.1))
        assert "Traceback" not in mpi_jobs.kill(job)
        assert len(recorded(out)) > before
    end_ms = f"{recorded(out)[-1] / 10 + 12.3:g}"
    code, _, err = mpi_jobs.csnn(2, *resume, "--time-ms", end_ms)
    assert code == 0, err
    same_bits(out, image, end_ms)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "simulate"])
def test_jobs_killed_at_random_moments(
    command: str, network: Path, image: Path, tmp_path: Path
) -> None:
    out, chance = tmp_path / "run", random.Random(f"kills of jobs of {command}")
    what = network if command == "run" else image
    every = ("--checkpoint-every", "50")
    wanted = (command, what, *SETTINGS, *every, "--mpi", "--out", out)
    # Of the whole life of a process that makes a few entries.
    began = time.monotonic()
    job = start(2, *wanted, *ENDLESS)
    wait_for(job, out, 4)
    most_s = time.monotonic() - began
    mpi_jobs.kill(job)
    advances = 0
    for _ in range(24):
        before = len(recorded(out))
        job = start(chance.choice((1, 2, 4)), *wanted, *ENDLESS, "--resume")
        time.sleep(chance.uniform(0.0, 1.5) * most_s)
        assert job.poll() is None, job.communicate()
        assert "Traceback" not in mpi_jobs.kill(job)
        advances += len(recorded(out)) > before
    assert advances > 2
    end_ms = f"{recorded(out)[-1] / 10 + 12.3:g}"
    code, _, err = mpi_jobs.csnn(3, *wanted, "--time-ms", end_ms, "--resume")
    assert code == 0, err
    same_bits(out, image, end_ms)


def test_after_sigterm_a_job_goes_on_as_the_message_tells(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    every = ("--checkpoint-every", "50")
    job = start(2, "simulate", image, *SETTINGS, *ENDLESS, *every, "--mpi", "--out", out)
    wait_for(job, out, 2)
    for rank in mpi_jobs.ranks_of(job):
        os.kill(rank, signal.SIGTERM)
    code, _, err = mpi_jobs.finish(job)
    assert code == 130, err
    (said,) = mpi_jobs.voice(err)
    assert names(out) == RUN_FILES | {"traces.npz", "checkpoint.npz"}
    stopped = output.read_result(out)["last_step"]
    message, _, told = said.partition("; continue with ")
    assert message == f"csnn: interrupted after step {stopped}"
    command = shlex.split(told)
    assert command[:4] == ["mpiexec", "-n", "2", "csnn"]
    # Checkpoints are made as before.
    job = start(2, *command[4:])
    wait_for(job, out, 3)
    mpi_jobs.kill(job)
    assert recorded(out)[0] == stopped
    assert all(step % 500 == 0 for step in recorded(out)[1:])
    end_ms = f"{recorded(out)[-1] / 10 + 12.3:g}"
    code, _, err = mpi_jobs.csnn(2, *command[4:], "--time-ms", end_ms)
    assert code == 0, err
    same_bits(out, image, end_ms)
