"""What is said on stdout and stderr, and the exit codes."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

OK, MISMATCH, INTERRUPTED = 0, 1, 130


def one_line(text: str) -> str:
    """Return `text` in one line of printable characters."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def say(text: str) -> None:
    """Print a line on stderr, if anybody still listens there."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def warn(notes: Sequence[str]) -> None:
    """Print warnings on stderr."""
    for note in notes:
        say(f"csnn: warning: {note}")


def answer(options: argparse.Namespace, content: dict[str, Any], lines: Sequence[str]) -> None:
    """Print `content` as JSON, or `lines` for people."""
    if options.json:
        print(json.dumps(content, indent=1, allow_nan=False))
    else:
        for line in lines:
            print(line)


def wrap(lines: Sequence[str]) -> list[str]:
    """Fold long lines; what a no-break space joins, such as a name and its value, stays so."""
    rows = [row for line in lines for row in textwrap.wrap(line, 79, subsequent_indent="  ")]
    return [row.replace("\xa0", " ") for row in rows]


def format_size(n_bytes: int) -> str:
    """Return a number of bytes for people."""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"


def format_number(value: float | None) -> str:
    """Return a number for people; a dash if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"
