"""Starting a test's program on several ranks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
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


def processes(job: subprocess.Popen[str]) -> list[int]:
    """Return the launcher of a job and all that it has started, ranks last."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            # A name may hold blanks and brackets; the parent stands two words behind it.
            parent = int(_status(int(folder.name))[1] or 0)
            children.setdefault(parent, []).append(int(folder.name))
    found = [job.pid]
    for process in found:
        found += children.get(process, [])
    return found


def _status(process: int) -> list[str]:
    """Return state and parent of a process; a state of none if it has gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return ["", ""]


def ranks_of(job: subprocess.Popen[str]) -> list[int]:
    """Return the processes of a job that run Python: those that the launcher started."""
    return [
        process
        for process in processes(job)[1:]
        if Path(f"/proc/{process}/exe").resolve() == Path(sys.executable).resolve()
    ]


def kill(job: subprocess.Popen[str], limit_s: float = LIMIT_S) -> str:
    """Kill all processes of a job and wait until they have gone; return what was on stderr."""
    killed = processes(job)
    for process in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _, err = job.communicate()
    until = time.monotonic() + limit_s
    # Who is dead and not yet waited for holds nothing any more.
    while any(_status(process)[0] not in ("", "Z", "X") for process in killed):
        assert time.monotonic() < until, f"some of {killed} do not end"
        time.sleep(0.01)
    return err


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
