"""What is told of the computer that a protocol ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except (OSError, UnicodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
