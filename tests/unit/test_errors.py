"""Messages of errors show both ends of a long value."""

from __future__ import annotations

from csnn.errors import reject


def test_long_value_keeps_both_ends() -> None:
    path = "/" + "folder/" * 40 + "edges.txt"
    message = str(reject("edge list", path, "must exist"))
    assert message.startswith("edge list = '/folder/")
    assert message.endswith("folder/edges.txt': must exist")
    assert "..." in message
    assert len(message) < 110


def test_short_value_is_whole() -> None:
    assert str(reject("k", "x" * 78, "must be less")) == f"k = '{'x' * 78}': must be less"
