"""Starting a test's program on several ranks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import require_modules

TESTS = Path(__file__).parent
LIMIT_S = 240


def mpiexec() -> str:
    """Return the launcher beside this interpreter, or of the system; skip the test without one."""
    require_modules("mpi", "mpi4py")
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=places)
    if found is None:
        reason = "needs mpiexec: pip install mpich"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def environment() -> dict[str, str]:
    """Return the environment of a job: this project, one thread in libraries, any Open MPI."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }


def start(ranks: int, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start Python with these arguments on several ranks."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, *(str(a) for a in arguments)]
    return subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(job: subprocess.Popen[str], limit_s: float = LIMIT_S) -> tuple[int, str, str]:
    """Return exit code and output of a job; fail the test if it does not end in time."""
    try:
        out, err = job.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        job.kill()
        out, err = job.communicate()
        pytest.fail(f"still running after {limit_s} s; stderr: {err[-2000:]}")
    return job.returncode, out, err


def job(ranks: int, *arguments: str | Path) -> tuple[int, str, str]:
    """Run Python with these arguments on several ranks; return exit code, stdout and stderr."""
    return finish(start(ranks, *arguments))


def voice(err: str) -> list[str]:
    """Return what the program itself says; Open MPI's launcher adds remarks of its own."""
    assert "Traceback" not in err, err
    return [line for line in err.splitlines() if line.startswith("csnn:")]


def program(ranks: int, what: str, *places: Path) -> tuple[int, str, str]:
    """Run a program of mpi_program.py."""
    return job(ranks, TESTS / "mpi_program.py", what, *places)


def csnn(ranks: int, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command on several ranks."""
    return job(ranks, "-m", "csnn.cli", *arguments)
