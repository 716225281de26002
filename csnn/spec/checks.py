"""Checks that every description applies to its fields."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import Field
from typing import Any

from csnn.errors import reject

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_THREE_NUMBERS = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")
_ARTICLES = {int: "an integer", str: "a string"}


def annotation(field: Field[Any]) -> str:
    """Return the type of a dataclass field as it is written.

    Files that postpone annotations (`from __future__ import annotations`) have them as text, others
    as types.
    """
    return field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")


def real(
    owner: str,
    field: str,
    value: Any,
    rule: str = "must be a finite number",
    accept: Callable[[float], bool] = lambda number: True,
) -> None:
    """Require a finite real number for which `accept` holds."""
    try:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        valid = is_number and math.isfinite(value) and accept(float(value))
    except OverflowError:  # an integer beyond the range of float64
        valid = False
    if not valid:
        raise reject(f"{owner}.{field}", value, rule)


def positive(owner: str, field: str, value: Any) -> None:
    """Require a finite number above zero."""
    real(owner, field, value, "must be a finite number > 0", lambda number: number > 0)


def non_negative(owner: str, field: str, value: Any) -> None:
    """Require a finite number of at least zero."""
    real(owner, field, value, "must be a finite number >= 0", lambda number: number >= 0)


def integer(owner: str, field: str, value: Any, low: int, high: int) -> None:
    """Require an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise reject(f"{owner}.{field}", value, f"must be an integer from {low} to {high}")


def boolean(owner: str, field: str, value: Any) -> None:
    """Require true or false."""
    if not isinstance(value, bool):
        raise reject(f"{owner}.{field}", value, "must be true or false")


def one_of(owner: str, field: str, value: Any, choices: tuple[str, ...]) -> None:
    """Require one of the listed words."""
    if value not in choices:
        raise reject(f"{owner}.{field}", value, f"must be one of {', '.join(choices)}")


def items(owner: str, field: str, value: Any, kind: type | tuple[type, ...]) -> None:
    """Require a tuple whose items are instances of `kind`."""
    if not isinstance(value, tuple):
        raise reject(f"{owner}.{field}", value, "must be a tuple (an array in TOML)")
    for item in value:
        instance(owner, field, item, kind)


def name(owner: str, field: str, value: Any) -> None:
    """Require an identifier: a letter or underscore, then letters, digits, underscores."""
    if not isinstance(value, str) or not _NAME.match(value):
        rule = "must be a name of letters, digits and underscores, at most 100"
        raise reject(f"{owner}.{field}", value, rule)


def instance(owner: str, field: str, value: Any, kind: type | tuple[type, ...]) -> None:
    """Require an instance of `kind` (a description given as a table of the wrong shape)."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(_ARTICLES.get(k, f"a {k.__name__}") for k in kinds)
        raise reject(f"{owner}.{field}", value, f"must be {wanted}")


def three_numbers(field: str, text: str) -> tuple[int, int, int]:
    """Return X, Y and Z of a text such as 12,12,3."""
    match = _THREE_NUMBERS.fullmatch(text)
    if match is None:
        raise reject(field, text, "must be three whole numbers, such as 12,12,3")
    return int(match[1]), int(match[2]), int(match[3])
