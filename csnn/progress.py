"""Progress on stderr: a bar on a terminal, one line per long stage elsewhere.

Standard output carries data only; a stage shorter than about two seconds shows nothing.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

DELAY_S = 2.0
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence all progress of this process (`--quiet`), or allow it again."""
    global _quiet
    _quiet = quiet


class _Bar(tqdm):  # type: ignore[type-arg]
    # The monitor is a background thread for bars that are updated rarely; ours are not.
    monitor_interval = 0


class Progress:
    """Progress of one stage; a context manager made by `progress`."""

    def __init__(self, total: int | None, label: str, unit: str) -> None:
        self._label = label
        self._unit = unit
        self._done = 0
        self._start = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._silent = _quiet or sys.stderr is None
        self._bar = (
            _Bar(
                total=total,
                desc=label,
                unit=f" {unit}" if unit else "it",
                unit_scale=unit == "B" or (total or 0) >= 10_000,
                delay=DELAY_S,
                dynamic_ncols=True,
                file=sys.stderr,
            )
            if self._terminal and not self._silent
            else None
        )

    def __enter__(self) -> Self:
        return self

    def update(self, amount: int = 1) -> None:
        """Count `amount` more units as done."""
        self._done += amount
        if self._bar is not None:
            self._bar.update(amount)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        elapsed = time.monotonic() - self._start
        if self._bar is not None:
            self._bar.close()
        elif kind is None and not self._silent and elapsed > DELAY_S:
            amount = f" ({self._done:,} {self._unit})" if self._done and self._unit else ""
            print(f"{self._label}: {elapsed:.1f} s{amount}", file=sys.stderr, flush=True)


def progress(total: int | None, label: str, unit: str = "") -> Progress:
    """Start a stage.

    Parameters
    ----------
    total : int or None
        Number of units of the stage, None if unknown.
    label : str
        Name of the stage, shown before the bar.
    unit : str
        Plural name of the unit ("steps", "nodes").

    Returns
    -------
    Progress
        To be used as `with progress(1000, "simulate", "steps") as bar: bar.update(10)`.
    """
    return Progress(total, label, unit)
