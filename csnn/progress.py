"""Progress on stderr: on a terminal a bar that goes when its stage ends; then a line everywhere.

Standard output carries data only; a stage shorter than about two seconds leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

DELAY_S = 2.0
_WIDE = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {unit}, {remaining} left"
_NARROW = "{desc}: {percentage:3.0f}% {bar} {remaining} left"
_UNKNOWN = "{desc} ..."
_NARROW_COLUMNS = 60
# Room for the ^C that a terminal prints behind the bar, lest it begin a line of its own.
_MARGIN = 3
# More than there are bars at a time.
_ROWS = 20
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence all progress of this process (`--quiet`), or allow it again; warnings stay."""
    global _quiet
    _quiet = quiet


class _Bar(tqdm):  # type: ignore[type-arg]
    # The monitor is a background thread for bars that are updated rarely; ours are not.
    monitor_interval = 0

    @property
    def format_dict(self) -> dict[str, Any]:
        """What a refresh shows, in the width that the terminal has now."""
        columns = _columns()
        content = dict(super().format_dict)
        layout = _WIDE if columns >= _NARROW_COLUMNS and self.unit != "%" else _NARROW
        content["bar_format"] = _UNKNOWN if self.total is None else layout
        content["ncols"] = max(1, columns - _MARGIN)
        return content


def _columns() -> int:
    """Return the width of the terminal behind standard error; the variable COLUMNS goes first."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given[:9]):
        return int(given[:9])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # A terminal that was never told its size says 0.
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


class Progress:
    """Progress of one stage; a context manager made by `progress`."""

    def __init__(self, total: int | None, label: str, unit: str) -> None:
        self._label = label
        self._unit = unit
        self._done = 0
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._silent = _quiet or sys.stderr is None
        self._bar = (
            _Bar(
                total=total,
                desc=label,
                unit=unit,
                unit_scale=(total or 0) >= 10_000,
                # Without units to count there is one look only, the first.
                delay=0.0 if total is None else DELAY_S,
                miniters=1,
                leave=False,
                # Not the terminal's: in the 0 rows of one that was never told, tqdm shows nothing.
                nrows=_ROWS,
                file=sys.stderr,
            )
            if not self._silent and sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def update(self, amount: int = 1) -> None:
        """Count `amount` more units as done."""
        with self._lock:
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
        if kind is None and not self._silent and elapsed > DELAY_S:
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
