"""Lists of integers as options give them."""

from __future__ import annotations

import re

from csnn.errors import reject

_ITEM = re.compile(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*")


def parse_integers(
    field: str,
    text: str,
    *,
    least: int = 0,
    longest: int = 10**6,
    rule: str = "must be a list of numbers and ranges, such as 0,3-5",
) -> tuple[int, ...]:
    """Parse a list such as 0,3-5.

    Parameters
    ----------
    field : str
        The option, as messages name it.
    text : str
    least : int
        The least number that may be in it.
    longest : int
        How many numbers a range may hold.
    rule : str
        What messages say that the text must be.

    Returns
    -------
    tuple of int
        In the order of the text, below 10^18.

    Raises
    ------
    InvalidInputError
        If it is no such list.
    """
    numbers: list[int] = []
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise reject(field, text, rule)
        low, high = int(match[1]), int(match[2] or match[1])
        if not low <= high < low + longest:
            raise reject(field, text, f"a range must ascend and hold at most {longest:,} numbers")
        if low < least:
            raise reject(field, text, f"must be numbers of at least {least}")
        numbers.extend(range(low, high + 1))
    return tuple(numbers)
