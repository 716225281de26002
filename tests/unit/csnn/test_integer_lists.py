"""Lists of integers as options give them."""

from __future__ import annotations

import pytest

from csnn.errors import InvalidInputError
from csnn.integer_lists import parse_integers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0", (0,)), ("7, 3-5 ,1-1", (7, 3, 4, 5, 1)), ("999999999999999999", (10**18 - 1,))],
)
def test_lists(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_integers("--x", text) == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((text, "must be a list of n") for text in ("", ",", "a", "-1", "1,,2", "1.0", "1_0")),
        ("9" * 19, "must be a list of numbers"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "must be a list of numbers"),
        ("6-4", "must ascend"),
        ("1-12", "at most 10 numbers"),
        ("1,0", "must be numbers of at least 1"),
        ("0-3", "must be numbers of at least 1"),
    ],
)  # fmt: skip
def test_what_is_no_list(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"--x = .*{words}"):
        parse_integers("--x", text, least=1, longest=10)
