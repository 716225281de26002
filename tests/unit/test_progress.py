"""Progress: silent for short stages, a line or a bar for long ones, nothing when quiet."""

from __future__ import annotations

import io
import os
import re
import select
import sys
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

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


def screen(text: str, columns: int) -> list[str]:
    """Return what a terminal shows of `text`, which holds no escape sequences."""
    rows, column = [""], 0
    for character in text:
        if character == "\r":
            column = 0
        elif character == "\n":
            rows.append("")
            column = 0
        else:
            if column == columns:
                rows.append("")
                column = 0
            rows[-1] = rows[-1][:column].ljust(column) + character + rows[-1][column + 1 :]
            column += 1
    return [row.rstrip() for row in rows]


@pytest.mark.parametrize("columns", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize(
    ("total", "label", "unit"),
    [
        (1000, "simulate", "steps"),
        (10**7, "warm-up", "steps"),
        (100, "NEST connect", "%"),
        (None, "validate", ""),
    ],
)
def test_terminal_gets_a_bar_that_leaves_one_line(
    total: int | None, label: str, unit: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "DELAY_S", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    with progress(total, label, unit) as bar:
        # Ctrl-C prints two characters behind the bar; they must not begin a line.
        assert len(screen(stream.getvalue() + "^C", columns)) == 1
        for _ in range(10 if total else 0):
            bar.update((total or 0) // 10)
            bar._bar.refresh()  # type: ignore[union-attr]
            shown = screen(stream.getvalue(), columns)
            assert len(shown) == 1
            assert shown[0].startswith(f"{label}:"[: columns - 3])
            assert len(screen(stream.getvalue() + "^C", columns)) == 1
    if total:
        assert "100%" in stream.getvalue() or columns == 20
    else:
        assert stream.getvalue().startswith("\rvalidate ...")
    last, empty = screen(stream.getvalue(), max(columns, 80))
    amount = f" ({total:,} {unit})" if total and unit else ""
    assert re.fullmatch(rf"{label}: \d+\.\d s{re.escape(amount)}", last)
    assert empty == ""


def test_a_wide_terminal_shows_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "DELAY_S", 0.0)
    monkeypatch.setenv("COLUMNS", "80")
    with progress(2000, "simulate", "steps") as bar:
        bar.update(2000)
        bar._bar.refresh()  # type: ignore[union-attr]
        shown = screen(stream.getvalue(), 80)
        assert re.fullmatch(r"simulate: 100% \|#+\| 2000/2000 steps, 00:00 left", shown[0])


@contextmanager
def stderr_on_a_terminal(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Put standard error on a terminal of (rows, columns); yield what reads from it."""
    controller, terminal = os.openpty()
    try:
        termios.tcsetwinsize(terminal, size)
        with open(terminal, "w", closefd=False) as stream:
            monkeypatch.setattr("sys.stderr", stream)
            monkeypatch.delenv("COLUMNS", raising=False)
            yield controller
    finally:
        os.close(controller)
        os.close(terminal)


@pytest.mark.parametrize(
    ("size", "variable", "columns"),
    [((40, 50), None, 50), ((40, 50), "70", 70), ((0, 0), None, 80), ((40, 50), "wide", 50)],
)
def test_width_is_the_terminals(
    size: tuple[int, int],
    variable: str | None,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stderr_on_a_terminal(size, monkeypatch):
        if variable is not None:
            monkeypatch.setenv("COLUMNS", variable)
        assert module._columns() == columns


@pytest.mark.parametrize("size", [(0, 0), (1, 80), (24, 80)])
def test_a_terminal_of_any_height_shows_the_bar(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELAY_S", 0.0)
    with stderr_on_a_terminal(size, monkeypatch) as controller:
        with progress(1000, "simulate", "steps") as bar:
            bar.update(500)
            assert bar._bar is not None
            bar._bar.refresh()
        sys.stderr.flush()
        shown = ""
        # A terminal passes on what was written in its own time.
        while not shown.endswith("(500 steps)\r\n"):
            assert select.select([controller], [], [], 20)[0], shown
            shown += os.read(controller, 2**16).decode()
    assert re.search(r"simulate:  50% \|.+\| 500/1000 steps", shown)


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
    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(KeyboardInterrupt), progress(None, "simulate"):
        raise KeyboardInterrupt
    assert screen(sys.stderr.getvalue(), 80) == [""]  # type: ignore[attr-defined]


def test_units_done_by_threads_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "DELAY_S", -1.0)
    with progress(80_000, "generate", "nodes") as bar, ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(lambda: [bar.update() for _ in range(20_000)])
    assert stream.getvalue().endswith("(80,000 nodes)\n")


def test_process_without_stderr_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with progress(10, "simulate") as bar:
        bar.update()
