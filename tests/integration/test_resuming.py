"""Runs that are resumed, interrupted, or both, from the command line."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import REPORT_FILES, RUN_FILES, Outcome, csnn, names, spikes, succeed, tree

from csnn.simulator import session

# Resuming


def test_a_resumed_run_equals_one_run(image: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    traced = ("--record", "0,99", "--warmup-ms", "10")
    succeed("simulate", image, *traced, "--time-ms", "50", "--out", one)
    succeed("simulate", image, *traced, "--time-ms", "23.4", "--checkpoint", "--out", two)
    # Warm-up and recorded neurons are those of the first part.
    succeed("simulate", image, "--resume", "--time-ms", "30", "--simulator", "plain", "--out", two)
    assert (one / "spikes.npz").read_bytes() != (two / "spikes.npz").read_bytes()
    succeed("simulate", image, "--resume", "--time-ms", "50", "--threads", "2", "--out", two)
    for name in ("spikes.npz", "traces.npz"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    result = json.loads((two / "result.json").read_text())
    whole = json.loads((one / "result.json").read_text())
    for key in ("spikes", "events", "mean_rates_hz", "last_step", "complete", "time_ms"):
        assert result[key] == whole[key]
    # Nothing is left to do: the same again, and what it cost.
    succeed("simulate", image, "--resume", "--out", two)
    assert (one / "spikes.npz").read_bytes() == (two / "spikes.npz").read_bytes()
    again = json.loads((two / "result.json").read_text())
    for key in ("events", "rtf", "events_per_s"):
        assert again[key] == pytest.approx(result[key], rel=1e-2)
    for key in ("warmup_s", "simulate_s"):
        assert again["timings"][key] == result["timings"][key]
    # Of the warm-up, too short for a millisecond, see the next test.
    assert result["timings"]["simulate_s"] > 0


def test_costs_of_a_resumed_run_are_those_of_all_parts(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = iter([(20.0, 4.0, 0.5), (30.0, 8.0, 0.25)])
    simulate = session.simulate

    def timed(*arguments: Any, **options: Any) -> Any:
        done = simulate(*arguments, **options)
        load_s, simulate_s, warmup_s = next(parts)
        return dataclasses.replace(done, load_s=load_s, simulate_s=simulate_s, warmup_s=warmup_s)

    monkeypatch.setattr("csnn.run.simulate", timed)
    out = tmp_path / "run"
    first = ("--warmup-ms", "10", "--time-ms", "20", "--checkpoint")
    one = succeed("simulate", image, *first, "--out", out, "--json").json
    assert one["rtf"] == pytest.approx(4.0 / 0.02)
    assert one["events_per_s"] == pytest.approx(one["events"] / 4.0)
    two = succeed("simulate", image, "--resume", "--time-ms", "60", "--out", out, "--json").json
    assert two["timings"] == {"load_s": 50.0, "warmup_s": 0.75, "simulate_s": 12.0}
    assert two["rtf"] == pytest.approx(12.0 / 0.06)
    assert two["events"] > one["events"] > 0
    assert two["events_per_s"] == pytest.approx(two["events"] / 12.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--warmup-ms", "5"), ("run.warmup_ms = 5.0", "must be 10.0")),
        (("--record", "1"), ("run.record = [1]", "must be [0]")),
        (("--time-ms", "5"), ("run.time_ms = 5.0", "ends before step 300")),
    ],
)
def test_resuming_differently_is_refused(
    image: Path, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    first = ("--warmup-ms", "10", "--time-ms", "20", "--record", "0", "--checkpoint")
    succeed("simulate", image, *first, "--out", out)
    before = tree(out)
    outcome = csnn("simulate", image, "--resume", *options, "--out", out)
    assert outcome.code == 3
    assert all(word in outcome.err for word in words)
    assert tree(out) == before


# Interruption


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt, which a background job of a script is started to ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that has Ctrl-C pressed after some steps."""
    before = session._next_chunk

    def after(steps: int) -> None:
        done = 0

        def look(n: int, spent_s: float) -> int:
            nonlocal done
            done += n
            if done >= steps:
                signal.raise_signal(signal.SIGINT)
            return min(before(n, spent_s), 16)

        monkeypatch.setattr(session, "_next_chunk", look)

    yield after
    monkeypatch.setattr(session, "_next_chunk", before)


def test_an_interrupted_run_is_usable_and_can_be_continued(
    network: Path, finished: Path, tmp_path: Path, press: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a run"
    press(500)
    outcome = csnn("run", network, "--out", out)
    monkeypatch.undo()
    assert outcome.code == 130
    assert names(out) == RUN_FILES | REPORT_FILES | {"checkpoint.npz"}
    result = json.loads((out / "result.json").read_text())
    assert not result["complete"]
    assert 500 <= result["last_step"] < 600
    step, source = spikes(out)
    whole_step, whole_source = spikes(finished)
    kept = whole_step <= result["last_step"]
    assert step.tolist() == whole_step[kept].tolist()
    assert source.tolist() == whole_source[kept].tolist()
    succeed("validate", out)
    # The message says how to go on; do just that.
    told = re.search(r"continue with csnn (.*)\n", outcome.err)
    assert told is not None
    succeed(*shlex.split(told[1]))
    assert (out / "spikes.npz").read_bytes() == (finished / "spikes.npz").read_bytes()
    assert names(out) == RUN_FILES | {"checkpoint.npz"}


def test_a_run_interrupted_in_the_warmup_can_be_continued(
    network: Path, finished: Path, tmp_path: Path, press: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    press(100)
    outcome = csnn("run", network, "--json", "--out", out)
    monkeypatch.undo()
    assert outcome.code == 130
    assert outcome.json["report"] is None
    assert names(out) == RUN_FILES | {"checkpoint.npz"}
    assert len(spikes(out)[0]) == 0
    refused = csnn("validate", out)
    assert refused.code == 3
    assert "nothing was simulated after the warm-up" in refused.err
    succeed("simulate", out / "image", "--resume", "--out", out)
    assert (out / "spikes.npz").read_bytes() == (finished / "spikes.npz").read_bytes()


def test_an_interrupted_bench_prints_no_figures(
    network: Path, press: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(100)
    outcome = csnn("bench", network, "--no-nest")
    assert outcome == Outcome(130, "", "csnn: interrupted\n")


def test_a_second_interrupt_ends_at_once_and_keeps_what_was_there(
    image: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(n: int, spent_s: float) -> int:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return n

    succeed("simulate", image, "--out", tmp_path / "run")
    before = tree(tmp_path)
    monkeypatch.setattr(session, "_next_chunk", look)
    for out in ("run", "new"):
        outcome = csnn("simulate", image, "--time-ms", "90", "--out", tmp_path / out)
        assert outcome == Outcome(130, "", "csnn: interrupted\n")
    assert tree(tmp_path) == before


def test_ctrl_c_in_a_process_of_its_own(image: Path, tmp_path: Path) -> None:
    # Prints a line at every look at the keyboard, so that the key is pressed in the middle.
    program = """
import sys
import tomllib
from csnn import cli
from csnn.simulator import session
before = session._next_chunk
def look(n, spent_s):
    print("look", file=sys.stderr, flush=True)
    return before(n, spent_s)
session._next_chunk = look
sys.exit(cli.main(sys.argv[1:]))
"""
    out = tmp_path / "run"
    arguments = ["simulate", image, "--time-ms", "10000000", "--warmup-ms", "0", "--out", out]
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell would ignore the key.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(12)]
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate()
    assert process.returncode == 130, (lines, rest)
    assert "Traceback" not in rest
    last = json.loads((out / "result.json").read_text())["last_step"]
    assert last > 12
    whole = tmp_path / "whole"
    more = f"{(last + 100) / 10:.1f}"
    succeed("simulate", image, "--resume", "--time-ms", more, "--out", out)
    succeed("simulate", image, "--warmup-ms", "0", "--time-ms", more, "--out", whole)
    assert (out / "spikes.npz").read_bytes() == (whole / "spikes.npz").read_bytes()
