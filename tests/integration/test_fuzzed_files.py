"""Mutated files of every kind: they work, or are refused with an error of csnn; nothing else.

Files that vouch for themselves are mutated behind their digests, which are then made right, so that
the digests do not shield what reads the rest. A case is known by its number: its damage is drawn
from a generator of that seed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import math
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutated_files as mutated
import numpy as np
import pytest
from commands import SMALL, csnn, network_file, succeed

from csnn import journal, journal_files, output
from csnn.errors import CsnnError, InvalidInputError
from csnn.image.store import Image, open_image
from csnn.sealed import write_sealed
from csnn.simulator.fast import FastSimulator
from csnn.simulator.state import MachineState, load_checkpoint
from csnn.spec.description import Description
from csnn.spec.machine import Run
from csnn.spec.pd14 import pd14
from csnn.spec.toml import dumps, load, loads

# Longer than the slowest case, compilation included, and than what no signal can end.
HANGS_S, STUCK_S = 120, 600
STEPS = 25
SETTINGS = ("--warmup-ms", "1", "--time-ms", "5", "--record", "0,99")


class HangingError(BaseException):
    """A case took too long; no handler in the product catches it."""


@contextlib.contextmanager
def watched(case: object) -> Iterator[None]:
    """Let a case succeed or be refused in one line; all else, hanging included, fails."""

    def hang(number: int, frame: object) -> None:
        raise HangingError

    before = signal.signal(signal.SIGALRM, hang)
    try:
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        signal.setitimer(signal.ITIMER_REAL, HANGS_S)
        yield
    except CsnnError as error:
        if "\n" in str(error):
            raise AssertionError(f"case {case}: {error}") from error
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, AssertionError)):
            raise
        raise AssertionError(f"case {case}: {type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def cases(quick: int, slow: int) -> pytest.MarkDecorator:
    """Parametrize a test by the first number of its cases and how many there are."""
    return pytest.mark.parametrize(
        ("first", "count"),
        [
            pytest.param(0, quick, id="quick"),
            pytest.param(quick, slow, id="slow", marks=pytest.mark.slow),
        ],
    )


def run_on(image: Image, state: MachineState | None = None) -> None:
    """Run compiled code on what a reader let through."""
    FastSimulator(image, threads=1, state=state, record=[0]).run(STEPS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image and an unfinished run of it; only read."""
    folder = tmp_path_factory.mktemp("files")
    succeed("generate", network_file(folder), "--out", folder / "image")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "write_run", _full)
        every = ("--checkpoint-every", "2")
        csnn("simulate", folder / "image", *SETTINGS, *every, "--out", folder / "run")
        patch.undo()
        patch.setattr(journal.Journal, "append", _killed_at(40, journal.Journal.append))
        csnn("simulate", folder / "image", *SETTINGS, *every, "--out", folder / "stopped")
    for name, last in (("run", 60), ("stopped", 40)):
        assert journal_files.steps(folder / name / "progress", "segment")[-1] == last
    return folder


def _killed_at(step: int, append: Callable[..., None]) -> Callable[..., None]:
    """Return `Journal.append` that appends nothing after `step`."""

    def appended(self: journal.Journal, recording: Any, state: MachineState, costs: Any) -> None:
        if state.step > step:
            raise InvalidInputError("stopped")
        append(self, recording, state, costs)

    return appended


def _full(*arguments: object) -> None:
    raise InvalidInputError("no space")


TEXTS = {
    "small": SMALL,
    "pd14": dumps(Description(network=pd14(n_scale=0.01, k_scale=0.01))),
    "edges": SMALL[: SMALL.index("[[projection]]")]
    + '[edges]\npath = "list.csv"\nrepresentation = "stored"\n',
}


@cases(150, 4000)
def test_descriptions(first: int, count: int, tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    (tmp_path / "list.csv").write_text("source,target,weight_pA,delay_ms\n0,1,90.0,1.5\n")
    read = 0
    for case in range(first, first + count):
        rng = np.random.default_rng([1, case])
        text = TEXTS[str(rng.choice(sorted(TEXTS)))]
        if rng.random() < 0.3:
            path.write_bytes(mutated.mutate_bytes(text.encode(), rng))
        else:
            path.write_text(mutated.mutate_toml(text, rng), encoding="utf-8")
        with watched(case):
            description = load(path)
            loads(dumps(description))
            read += 1
            if description.network.size < 400 and case % 8 == 0:
                outcome = csnn("generate", path, "--out", tmp_path / "image")
                assert outcome.code in (0, 3), outcome
    assert 0 < read < count


def mutate_image(image: Path, rng: np.random.Generator) -> None:
    """Damage a file of an image; mostly its digests are made right again."""
    name = str(rng.choice(["manifest.json", "network.toml", *["node"] * 4]))
    if name == "node":
        name = str(rng.choice(sorted(path.name for path in image.glob("node_*.bin"))))
    path, vouch = image / name, rng.random() < 0.8
    if name == "manifest.json":
        if vouch:
            content = mutated.mutate_json(json.loads(path.read_text()), rng)
            path.write_text(mutated.vouched(content))
        else:
            path.write_bytes(mutated.mutate_bytes(path.read_bytes(), rng))
        return
    change: Callable[[bytes, np.random.Generator], bytes] = mutated.mutate_bytes
    if name == "network.toml":
        if rng.random() < 0.7:
            change = lambda content, rng: mutated.mutate_toml(content.decode(), rng).encode()  # noqa: E731
    elif rng.random() < 0.7:
        change = mutated.mutate_words
    path.write_bytes(change(path.read_bytes(), rng))
    if vouch:
        mutated.vouch_for(image, name)


@cases(150, 4000)
def test_images(first: int, count: int, files: Path, tmp_path: Path) -> None:
    ran = 0
    for case in range(first, first + count):
        rng = np.random.default_rng([2, case])
        image = tmp_path / "image"
        shutil.rmtree(image, ignore_errors=True)
        shutil.copytree(files / "image", image)
        mutate_image(image, rng)
        with watched(case):
            run_on(open_image(image))
            ran += 1
            if case % 8 == 0:
                short = ("--warmup-ms", "0.1", "--time-ms", "1", "--record", "0")
                outcome = csnn("simulate", image, *short, "--out", tmp_path / "run")
                assert outcome.code in (0, 3), (case, outcome)
                assert "Traceback" not in outcome.err, (case, outcome)
    assert 0 < ran < count


@cases(150, 2000)
def test_checkpoints(first: int, count: int, files: Path, tmp_path: Path) -> None:
    image = open_image(files / "image")
    original = files / "run" / "progress" / "checkpoint-0000000060.npz"
    header, arrays = sealed(original)
    path = tmp_path / "checkpoint.npz"
    ran = 0
    for case in range(first, first + count):
        rng = np.random.default_rng([3, case])
        mutate_sealed(original, path, header, arrays, rng)
        with watched(case):
            run_on(image, load_checkpoint(path, image))
            ran += 1
    assert 0 < ran < count


def sealed(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and arrays of a sealed file."""
    with np.load(path) as data:
        arrays = dict(data)
    header = json.loads(str(arrays.pop("header")))
    del header["arrays"], header["digest"]
    return header, arrays


def mutate_sealed(
    original: Path,
    path: Path,
    header: dict[str, Any],
    arrays: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    """Damage the bytes of a sealed file, or its arrays or header behind their digests."""
    chance = rng.random()
    if chance < 0.3:
        path.write_bytes(mutated.mutate_bytes(original.read_bytes(), rng))
        return
    if chance < 0.6:
        header = mutated.mutate_json(header, rng)
    else:
        arrays = mutated.mutate_arrays(arrays, rng)
    try:
        write_sealed(path, header, arrays)
    except (ValueError, TypeError):
        # A number that no JSON holds, or an array that has no digest.
        path.write_bytes(b"")


@cases(100, 1500)
def test_journals(first: int, count: int, files: Path, tmp_path: Path) -> None:
    image = open_image(files / "image")
    run = tmp_path / "run"
    with np.load(files / "run" / "progress" / "segment-0000000060.npz") as data:
        assert len(data["step"]) > 0
    names = sorted(path.name for path in (files / "run" / "progress").iterdir())
    used = 0
    for case in range(first, first + count):
        rng = np.random.default_rng([4, case])
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(files / "run", run)
        path = run / "progress" / str(rng.choice(names))
        mutate_sealed(path, path, *sealed(path), rng)
        settings = Run(warmup_ms=1.0, time_ms=5.0, record=(0, 99))
        with watched(case):
            journal.last_settings(run, image)
            book, state = journal.recover(run, image, settings, 20, lambda notes: None)
            used += state is not None and state.step == 60
            if state is not None:
                recording, costs = book.whole()
                assert journal_files.summed([costs]) == costs
                assert len(recording.traces) == max(0, state.step - 10)
        if case % 8 == 0:
            with watched(case):
                outcome = csnn("simulate", image.path, "--resume", "--out", run)
                assert outcome.code in (0, 3), (case, outcome)
                assert "Traceback" not in outcome.err, (case, outcome)
    assert 0 < used < count


SEGMENT_FIELDS = [
    (field, value)
    for value in mutated.JSON_VALUES
    if not isinstance(value, float) or math.isfinite(value)
    for field in ("period_steps", "threads", "time_ms", "warmup_ms", "record", "costs")
]


@cases(50, 1500)
def test_journals_of_runs_that_go_on(first: int, count: int, files: Path, tmp_path: Path) -> None:
    """The settings of the journal are those of the rest of the run."""
    image, run = files / "image", tmp_path / "run"
    names = sorted(path.name for path in (files / "stopped" / "progress").iterdir())
    finished = 0
    for case in range(first, first + count):
        rng = np.random.default_rng([5, case])
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(files / "stopped", run)
        field, value = SEGMENT_FIELDS[case % len(SEGMENT_FIELDS)]
        # What all segments state alike is not found out by comparing them.
        for path in (run / "progress").glob("segment-*"):
            header, arrays = sealed(path)
            write_sealed(path, {**header, field: value}, arrays)
        if rng.random() < 0.3:
            path = run / "progress" / str(rng.choice(names))
            mutate_sealed(path, path, *sealed(path), rng)
        whole = SETTINGS if rng.random() < 0.5 else ()
        with watched(case):
            outcome = csnn("simulate", image, *whole, "--resume", "--out", run)
            assert outcome.code in (0, 3), (case, outcome)
            assert "Traceback" not in outcome.err, (case, outcome)
            finished += outcome.code == 0
    assert 0 < finished < count


def test_a_planted_crash_and_a_planted_hang_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="case 7: KeyError"), watched(7):
        raise KeyError("n_nodes")
    with pytest.raises(AssertionError, match="two lines"), watched("two lines"):
        raise InvalidInputError("a\nb")
    monkeypatch.setattr(sys.modules[__name__], "HANGS_S", 0.2)
    with pytest.raises(AssertionError, match="case 8: HangingError"), watched(8):
        time.sleep(STUCK_S)
    with watched(9):
        raise InvalidInputError("refused")
