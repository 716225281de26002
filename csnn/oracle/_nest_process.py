"""The parent's side of the process that hosts NEST."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any

from csnn.errors import ToolFailedError, ToolMissingError

Progress = Callable[[str, float], None]

_MISSING = 'NEST is not installed: pip install "csnn[nest]"'


def is_installed() -> bool:
    """Return whether a Python package called `nest` can be found."""
    return importlib.util.find_spec("nest") is not None


def run_job(job: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
    """Run one job in a NEST process and return the fields of its result.

    Parameters
    ----------
    job : dict
        "task" ("network" or "explicit") and what that task reads.
    progress : callable, optional
        Called with (stage, fraction in [0, 1]).

    Returns
    -------
    dict

    Raises
    ------
    ToolMissingError, ToolFailedError
        If NEST is not installed, fails, or dies.
    """
    if not is_installed():
        raise ToolMissingError(_MISSING)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["PYNEST_QUIET"] = "1"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "csnn.oracle._nest_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
        try:
            return _converse(process, job, progress)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise ToolFailedError(
                f"NEST ended with exit code {process.wait()}: {_last_line(log)}"
            ) from error
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _converse(
    process: subprocess.Popen[bytes], job: dict[str, Any], progress: Progress | None
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(job, process.stdin)
    process.stdin.close()
    while True:
        kind, *content = pickle.load(process.stdout)
        if kind == "result":
            return dict(content[0])
        if kind == "progress" and progress is not None:
            progress(*content)
        if kind == "missing":
            raise ToolMissingError(f"{_MISSING} ({content[0]})")
        if kind == "failed":
            raise ToolFailedError(f"NEST failed: {content[0]}")


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no message"
