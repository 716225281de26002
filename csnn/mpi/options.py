"""What the programs of this package share: errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from csnn.errors import CsnnError


def program(body: Callable[[], int]) -> int:
    """Run a program; return its exit code, with errors in one line on stderr."""
    try:
        return body()
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        return error.exit_code
