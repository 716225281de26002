"""What is told of the computer that a protocol ran on, and of what was run."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import csnn
from csnn.image.store import tool_versions

_GIT_S = 30


def describe_computer() -> dict[str, Any]:
    """Return processor, number of processors, memory in GiB and operating system."""
    memory = None
    if "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": None if memory is None else round(memory, 1),
        "system": platform.platform(),
    }


def describe_software() -> dict[str, str]:
    """Return versions of csnn and of what computes; of a git checkout also its commit."""
    found = {**tool_versions(), "numba": version("numba")}
    commit = checkout_commit(Path(csnn.__file__).resolve().parents[1])
    return found if commit is None else {**found, "commit": commit}


def checkout_commit(folder: Path) -> str | None:
    """Return the commit of the git checkout at `folder`, None if it is none.

    Of changed files, those that git does not track left aside, it says so: "0123abcd... (changed)".
    """
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return None
    return f"{commit} (changed)" if changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers; None if it cannot be asked."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_GIT_S, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except (OSError, UnicodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
