"""Progress: silent for short stages, a line or a bar for long ones, nothing when quiet."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from csnn import progress as module
from csnn.progress import progress, set_quiet


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    set_quiet(False)
    yield
    set_quiet(False)


def _run(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, delay_s: float) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "DELAY_S", delay_s)
    with progress(1000, "simulate", "steps") as bar:
        for _ in range(10):
            bar.update(100)
    return stream.getvalue()


def test_long_stage_leaves_one_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _run(io.StringIO(), monkeypatch, delay_s=-1.0)
    assert text.startswith("simulate: ")
    assert text.endswith("(1,000 steps)\n")
    assert text.count("\n") == 1


def test_short_stage_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(io.StringIO(), monkeypatch, delay_s=1e6) == ""
    assert _run(Terminal(), monkeypatch, delay_s=1e6) == ""


def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _run(Terminal(), monkeypatch, delay_s=0.0)
    assert "simulate: 100%" in text
    assert "1000/1000" in text


def test_quiet_silences_both(monkeypatch: pytest.MonkeyPatch) -> None:
    set_quiet(True)
    assert _run(io.StringIO(), monkeypatch, delay_s=-1.0) == ""
    assert _run(Terminal(), monkeypatch, delay_s=0.0) == ""


def test_nothing_is_written_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(io.StringIO(), monkeypatch, delay_s=-1.0)
    _run(Terminal(), monkeypatch, delay_s=0.0)
    assert capsys.readouterr().out == ""


def test_failed_stage_leaves_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "DELAY_S", -1.0)
    with pytest.raises(KeyboardInterrupt), progress(None, "simulate"):
        raise KeyboardInterrupt
    assert stream.getvalue() == ""


def test_process_without_stderr_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with progress(10, "simulate") as bar:
        bar.update()
