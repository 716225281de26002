"""What the programs of this package share: lists of numbers, and errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from csnn.errors import CsnnError, reject


def positive_integers(field: str, text: str) -> list[int]:
    """Parse a list such as 1,2,4; InvalidInputError if an item is no positive integer."""
    items = [item.strip() for item in text.split(",")]
    if not all(item.isascii() and item.isdecimal() and len(item) < 10 for item in items):
        raise reject(field, text, "must be a list of numbers, such as 1,2,4")
    numbers = [int(item) for item in items]
    if min(numbers) < 1:
        raise reject(field, text, "must be numbers of at least 1")
    return numbers


def program(body: Callable[[], int]) -> int:
    """Run a program; return its exit code, with errors in one line on stderr."""
    try:
        return body()
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        return error.exit_code
