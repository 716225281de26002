"""Where what can be made again is kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return where it is kept: CSNN_CACHE, or csnn in the user's or temporary cache."""
    given = os.environ.get("CSNN_CACHE")
    if given:
        return Path(given)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home directory
        home = Path(tempfile.gettempdir())
    return home / "csnn"
