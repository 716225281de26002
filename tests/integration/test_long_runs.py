"""Runs that are killed, or meet damage, full disks and signals, end in the bits of one run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    RUN_FILES,
    csnn,
    files_up_to,
    names,
    network_file,
    refused,
    succeed,
    tree,
    unchanged,
)

from csnn import journal, journal_files, output
from csnn.directory_lock import locked
from csnn.errors import InvalidInputError
from csnn.image.store import content_digest, open_image
from csnn.simulator import session

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("--warmup-ms", "5", "--time-ms", "25", "--record", "0,99")
EVERY = ("--checkpoint-every", "6")
ENDS = [0, 60, 120, 180, 240, 300]
FILES = ("spikes.npz", "traces.npz", "checkpoint.npz")


@pytest.fixture(scope="module")
def whole(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that was never stopped, and has no journal."""
    out = tmp_path_factory.mktemp("whole") / "run"
    succeed("simulate", image, *SETTINGS, "--checkpoint", "--out", out)
    return out


@pytest.fixture(scope="module")
def unfinished(image: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that was stopped before its files took their names."""
    out = tmp_path_factory.mktemp("unfinished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "write_run", _full)
        outcome = csnn("simulate", image, *SETTINGS, *EVERY, "--out", out)
    refused(outcome, "No space left", "recorded up to step 300", "--resume")
    assert names(out) == {"manifest.json", "progress"}
    assert journal_files.steps(out / "progress", "segment") == ENDS
    assert journal_files.steps(out / "progress", "checkpoint") == ENDS[-2:]
    return out


def _full(*arguments: object) -> None:
    raise InvalidInputError("spikes.npz: No space left on device")


@pytest.fixture
def run(unfinished: Path, tmp_path: Path) -> Path:
    """Return a copy of the unfinished run, to be damaged and resumed."""
    shutil.copytree(unfinished, tmp_path / "run")
    return tmp_path / "run"


def differences(one: Path, two: Path) -> list[str]:
    """Return the names of the files of bits that differ between two runs."""
    return [name for name in FILES if (one / name).read_bytes() != (two / name).read_bytes()]


def resume(image: Path, run: Path, whole: Path) -> str:
    """Resume a run, which must end in the bits of `whole`; return what was said on stderr."""
    outcome = succeed("simulate", image, *SETTINGS, *EVERY, "--quiet", "--resume", "--out", run)
    assert differences(run, whole) == []
    assert names(run) == RUN_FILES | {"traces.npz", "checkpoint.npz"}
    for key in ("spikes", "events", "mean_rates_hz", "last_step", "complete"):
        assert output.read_result(run)[key] == output.read_result(whole)[key]
    return outcome.err


# Without accidents


def test_a_journal_changes_no_bit_and_is_gone_at_the_end(
    image: Path, whole: Path, tmp_path: Path
) -> None:
    for every in ("0.9", "7", "30", "1000"):
        out = tmp_path / every
        succeed("simulate", image, *SETTINGS, "--checkpoint-every", every, "--out", out)
        assert differences(out, whole) == []
        assert names(out) == RUN_FILES | {"traces.npz", "checkpoint.npz"}


def test_an_unfinished_run_is_resumed_with_what_is_not_given_as_it_was(
    image: Path, run: Path, whole: Path
) -> None:
    succeed("simulate", image, "--resume", "--out", run)
    assert differences(run, whole) == []
    # And a finished one is resumed with a journal.
    more = ("--time-ms", "40", "--resume", "--checkpoint-every", "4", "--out", run)
    succeed("simulate", image, *more)
    longer = run.parent / "longer"
    succeed("simulate", image, *SETTINGS, "--time-ms", "40", "--checkpoint", "--out", longer)
    assert differences(run, longer) == []


def test_costs_are_those_of_all_parts(image: Path, run: Path) -> None:
    parts = [
        journal_files.read_segment(run / "progress", end, open_image(image)).costs for end in ENDS
    ]
    assert all(part["simulate_s"] > 0 for part in parts[2:])
    result = succeed("simulate", image, "--resume", "--json", "--out", run).json
    for stage in ("warmup_s", "simulate_s"):
        total = sum(part[stage] for part in parts)
        assert result["timings"][stage] == pytest.approx(total, abs=0.002)
    # The second process had to load, and nothing else.
    assert result["timings"]["load_s"] > sum(part["load_s"] for part in parts)
    assert result["peak_mb"] >= max(part["peak_mb"] for part in parts)


def test_a_new_run_does_not_destroy_an_unfinished_one(image: Path, run: Path) -> None:
    network = network_file(run.parent)
    for every in ((), EVERY):
        for command in (("simulate", image), ("run", network)):
            with unchanged(run):
                outcome = csnn(*command, *every, "--out", run)
                refused(outcome, f"{run}/progress: holds an unfinished run", "--resume")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--warmup-ms", "6"), ("run.warmup_ms = 6.0", "must be 5.0", "resumes")),
        (("--record", "1"), ("run.record = [1]", "must be [0, 99]", "resumes")),
        (("--time-ms", "5"), ("run.time_ms = 5.0", "ends before step 300")),
        (("--checkpoint-every", "0.25"), ("--checkpoint-every = 0.25", "multiple of dt_ms")),
        (("--checkpoint-every", "0"), ("--checkpoint-every = 0.0", "> 0")),
        (("--checkpoint-every", "nan"), ("--checkpoint-every = nan", "> 0")),
        (("--checkpoint-every", "inf"), ("--checkpoint-every = inf", "below 2^32")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_resuming_differently_is_refused(
    image: Path, run: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    with unchanged(run):
        refused(csnn("simulate", image, *options, "--resume", "--out", run), *words)


def test_a_journal_of_another_image_is_refused(image: Path, run: Path, whole: Path) -> None:
    other = run.parent / "other"
    succeed("generate", network_file(run.parent), "--seed", "8", "--out", other)
    with unchanged(run):
        outcome = csnn("simulate", other, *SETTINGS, *EVERY, "--resume", "--out", run)
        refused(outcome, "progress: is of a run of another image")
    resume(image, run, whole)


def test_a_run_is_resumed_by_the_command_that_began_it(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    # Before anything was made.
    outcome = succeed("run", network, *SETTINGS, *EVERY, "--resume", "--out", tmp_path / "whole")
    assert "no checkpoint to resume from: the run starts from step 0" in outcome.err
    refused(csnn("run", network, *SETTINGS, "--resume", "--out", out), "nothing was simulated")
    assert not out.exists()
    with monkeypatch.context() as patch:
        patch.setattr(output, "write_run", _full)
        assert csnn("run", network, *SETTINGS, *EVERY, "--out", out).code == 3
    made = (out / "image" / "manifest.json").read_bytes()
    with unchanged(out):
        for other in (("--seed", "4"), ("--partition", "load")):
            outcome = csnn("run", network, *SETTINGS, *EVERY, *other, "--resume", "--out", out)
            refused(outcome, f"{out}/image: is of another network, machine or seed")
    # A damaged image is made anew, and is the same.
    os.truncate(out / "image" / "node_00001.bin", 100)
    outcome = succeed("run", network, *SETTINGS, *EVERY, "--resume", "--out", out)
    assert "node_00001.bin: truncated" in outcome.err
    assert "generated anew" in outcome.err
    digest = json.loads(made)["digest"]
    assert open_image(out / "image").digest == digest
    assert differences(out, tmp_path / "whole") == []
    assert (out / "report.html").exists()
    # Nothing is left to do: the image is kept.
    kept = (out / "image" / "manifest.json").read_bytes()
    succeed("run", network, *SETTINGS, *EVERY, "--resume", "--out", out)
    assert (out / "image" / "manifest.json").read_bytes() == kept
    assert differences(out, tmp_path / "whole") == []


# Kills and full disks at every file operation


def simulate_command(folder: Path) -> list[object]:
    image = folder / "image"
    succeed("generate", network_file(folder), "--out", image)
    return ["simulate", image, *SETTINGS, "--time-ms", "15", *EVERY, "--out", folder / "run"]


def campaign(
    folder: Path, how: str, stride: int, command: Sequence[object], fault: str = ""
) -> dict[str, Any]:
    """Stop a command at its file operations, see tests/file_operations.py."""
    program = [sys.executable, ROOT / "tests" / "file_operations.py", how, str(stride), folder]
    done = subprocess.run(
        [*program, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PLANTED_FAULT": fault},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("how", ["kill", "fail"])
def test_stopped_at_some_file_operations(how: str, tmp_path: Path) -> None:
    found = campaign(tmp_path, how, 11, simulate_command(tmp_path))
    assert found["stopped"] > 10
    assert found["wrong"] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "fail"])
def test_stopped_at_every_file_operation(how: str, tmp_path: Path) -> None:
    found = campaign(tmp_path, how, 1, simulate_command(tmp_path))
    assert found["stopped"] > 100
    assert found["wrong"] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "fail"])
def test_a_seed_of_the_protocol_stopped_at_every_file_operation(how: str, tmp_path: Path) -> None:
    found = campaign(tmp_path, how, 1, ["protocol"])
    assert found["stopped"] > 100
    assert found["wrong"] == []


def test_a_planted_loss_is_found(tmp_path: Path) -> None:
    found = campaign(tmp_path, "kill", 23, simulate_command(tmp_path), "forgetting")
    assert any("['spikes.npz', 'traces.npz'] differ" in wrong for wrong in found["wrong"])


def test_a_planted_loss_in_a_seed_is_found(tmp_path: Path) -> None:
    found = campaign(tmp_path, "kill", 41, ["protocol"], "forgetting")
    lost = "['seed_1/samples.npz', 'seed_1/run/spikes.npz'] differ"
    assert any(lost in wrong for wrong in found["wrong"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "simulate"])
def test_killed_at_random_moments(command: str, tmp_path: Path) -> None:
    network, image, out = network_file(tmp_path), tmp_path / "image", tmp_path / "out"
    settings = ("--warmup-ms", "50", "--time-ms", "3000", "--record", "0,99")
    what = network if command == "run" else image
    succeed("generate", network, "--out", image)
    began = time.monotonic()
    _process(command, what, *settings, "--checkpoint", "--out", tmp_path / "whole").communicate()
    most_s = time.monotonic() - began
    chance = random.Random(f"kills of {command}")
    kills = finished = 0
    while kills < 35 or not finished:
        arguments = [command, what, *settings, "--checkpoint-every", "50", "--out", out]
        resuming = ["--resume"] if out.exists() else []
        process = _process(*arguments, *resuming)
        try:
            _, told = process.communicate(timeout=chance.uniform(0.3, 1.0) * most_s)
        except subprocess.TimeoutExpired:
            process.kill()
            _, told = process.communicate()
        # It may have ended between the two.
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:
            assert process.returncode == 0, told
            assert differences(out, tmp_path / "whole") == []
            assert not (out / "progress").exists()
            finished += 1
            shutil.rmtree(out)
        assert "Traceback" not in told
    assert kills >= 35


def _process(*arguments: object) -> subprocess.Popen[str]:
    program = "import sys; from csnn.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


# Damage


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _flip_member(path: Path, name: str) -> None:
    """Flip a bit in the middle of an array; one of the archive's dates would change nothing."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    start = member.header_offset
    with path.open("rb") as file:
        file.seek(start + 26)
        lengths = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
    _flip(path, start + 30 + lengths + member.compress_size // 2)


def _reseal(path: Path, **changes: object) -> None:
    """Change the header of a sealed file, and give it a valid digest again."""
    with np.load(path) as data:
        members = dict(data)
    header = {**json.loads(str(members["header"])), **changes}
    header["digest"] = content_digest(header)
    members["header"] = np.array(json.dumps(header))
    np.savez(path, allow_pickle=False, **members)


def _swap(path: Path) -> None:
    other = path.with_name(path.name.replace("300", "240"))
    if "segment" in path.name:
        other = path.with_name(path.name.replace("300", "180"))
    shutil.copy(other, path)


# What is done to a file, what is said of it.
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: os.truncate(p, p.stat().st_size // 2), "cannot be read"),
    "empty": (lambda p: os.truncate(p, 0), "cannot be read"),
    "a bit of the header": (lambda p: _flip_member(p, "header"), "cannot be read"),
    "a bit of the data": (lambda p: _flip_member(p, "step"), "cannot be read"),
    "another version": (lambda p: _reseal(p, version=2), "version = 2: must be 1"),
    "another schema": (lambda p: _reseal(p, schema="x"), "schema must be"),
    "of another image": (lambda p: _reseal(p, image="0" * 64), "another"),
    "another's under its name": (_swap, "must be that of its name"),
    "a directory": (lambda p: (p.unlink(), p.mkdir()), "Is a directory"),
    "a pipe": (lambda p: (p.unlink(), os.mkfifo(p)), "is not a regular file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["checkpoint", "segment"])
def test_a_damaged_file_is_refused_and_the_one_before_is_used(
    kind: str, damage: str, image: Path, run: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run / "progress" / f"{kind}-0000000300.npz"
    spoil, words = DAMAGE[damage]
    spoil(path)
    started: list[int] = []
    parts = session.simulate_parts

    def noted(*arguments: Any, **options: Any) -> Any:
        started.append(options["start"].step)
        return parts(*arguments, **options)

    monkeypatch.setattr("csnn.run.simulate_parts", noted)
    told = resume(image, run, whole)
    assert started == [240]
    assert f"csnn: warning: {path}: " in told
    assert words in told
    assert told.count("\n") == (1 if kind == "checkpoint" else 2)


def test_a_journal_that_states_no_period_is_refused(image: Path, run: Path, whole: Path) -> None:
    for path in (run / "progress").glob("segment-*"):
        _reseal(path, period_steps=0)
    with unchanged(run):
        outcome = csnn("simulate", image, *SETTINGS, "--time-ms", "40", "--resume", "--out", run)
        assert outcome.code == 3
        assert "period_steps = 0: must be an integer >= 1; it is not used" in outcome.err
        assert "no checkpoint is of use; give the whole command again" in outcome.err
    resume(image, run, whole)


def test_a_journal_that_accepts_damage_is_found(
    image: Path, run: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run / "progress" / "checkpoint-0000000300.npz"
    with np.load(path) as data:
        members = dict(data)
    for name in ("state", "delay_buffer"):
        members[name][0, ..., 99] ^= np.uint32(1)
    np.savez(path, allow_pickle=False, **members)
    monkeypatch.setattr("csnn.sealed._is_intact", lambda header, arrays: True)
    with pytest.raises(AssertionError, match=r"'checkpoint\.npz'"):
        resume(image, run, whole)


def test_with_no_intact_checkpoint_a_run_starts_anew(image: Path, run: Path, whole: Path) -> None:
    for end in ENDS[-2:]:
        os.truncate(run / "progress" / f"checkpoint-{end:010d}.npz", 1000)
    # What is to be done is known from the whole command only.
    with unchanged(run):
        outcome = csnn("simulate", image, "--resume", "--quiet", "--out", run)
        assert outcome.code == 3
        assert "no checkpoint is of use; give the whole command again" in outcome.err
    told = resume(image, run, whole)
    assert told.count("cannot be read as a checkpoint") == 2
    assert "the run starts from step 0" in told


def test_a_damaged_recording_takes_its_checkpoints_with_it(
    image: Path, run: Path, whole: Path
) -> None:
    _flip_member(run / "progress" / "segment-0000000120.npz", "source")
    told = resume(image, run, whole)
    assert "segment-0000000120.npz: " in told
    assert told.count("the recording before it is not intact") == 2
    assert "the run starts from step 0" in told


def test_what_was_refused_stays_to_be_looked_at(
    image: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(run / "progress" / "checkpoint-0000000300.npz", 1000)
    monkeypatch.setattr(output, "write_run", _full)
    csnn("simulate", image, "--resume", "--out", run)
    assert "refused-checkpoint-0000000300.npz" in names(run / "progress")


# Disks that fill up


@pytest.mark.parametrize("size", [0, 2000, 8000, 15000])
def test_a_disk_that_fills_up_on_the_way(
    size: int, image: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("simulate", image, *SETTINGS, *EVERY, "--out", out)
    with files_up_to(size):
        outcome = csnn(*command)
    refused(outcome, str(out), "File too large")
    if size:
        resume(image, out, whole)
    else:
        assert not out.exists()


def test_a_full_file_system(image: Path, whole: Path, unfinished: Path, tmp_path: Path) -> None:
    # Room for three fifths of what a whole journal takes, in pages.
    pages = sum(-(-p.stat().st_size // 4096) for p in (unfinished / "progress").iterdir())
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(2.4 * pages)}k", "none", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system; other tests fail single operations")
    try:
        outcome = csnn("simulate", image, *SETTINGS, *EVERY, "--out", disk / "run")
        refused(outcome, str(disk), "No space left on device", "continue with", "--resume")
        step = journal_files.steps(disk / "run" / "progress", "checkpoint")[-1]
        assert 0 < step < 300
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        resume(image, disk / "run", whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Signals


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C interrupt, which a background job of a script is started to ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("every", [(), EVERY], ids=["plain", "journal"])
def test_a_signal_leaves_a_run_that_can_be_resumed(
    number: int,
    every: tuple[str, ...],
    image: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, looks = tmp_path / "run", 0

    def look(n: int, spent_s: float) -> int:
        nonlocal looks
        looks += 1
        if looks == 10:
            signal.raise_signal(number)
        return 16

    with monkeypatch.context() as patch:
        patch.setattr(session, "_next_chunk", look)
        outcome = csnn("simulate", image, *SETTINGS, *every, "--out", out)
    assert outcome.code == 130
    assert "csnn: interrupted after step 1" in outcome.err
    result = output.read_result(out)
    assert not result["complete"]
    assert not (out / "progress").exists()
    succeed("simulate", image, "--resume", *every, "--out", out)
    assert differences(out, whole) == []


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "interrupted"])
def test_a_run_that_had_checkpoints_keeps_their_period(
    complete: bool, image: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        if not complete:
            patch.setattr(session, "_next_chunk", lambda n, spent_s: _press(n))
        time_ms = ("--time-ms", "9") if complete else ()
        outcome = csnn("simulate", image, *SETTINGS, *time_ms, *EVERY, "--out", out)
    assert outcome.code == (0 if complete else 130)
    stopped = output.read_result(out)["last_step"]
    assert stopped == 140 if complete else stopped < 60
    resume = ("simulate", image, "--resume", "--time-ms", "25", "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr(output, "write_run", _full)
        refused(csnn(*resume), "No space left", "recorded up to step 300")
    ends = [stopped, *(end for end in ENDS if end > stopped)]
    assert journal_files.steps(out / "progress", "segment") == ends
    succeed(*resume)
    assert differences(out, whole) == []
    assert output.read_result(out)["checkpoint_every_steps"] == 60


def _press(n: int) -> int:
    signal.raise_signal(signal.SIGTERM)
    return n


def test_a_period_that_is_none_is_refused(image: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out, symlinks=True)
    result = output.read_result(out)
    assert result["checkpoint_every_steps"] is None
    for period in (0, -1, 0.5, "6", True):
        output.write_result(out, {**result, "checkpoint_every_steps": period}, open_image(image))
        outcome = csnn("simulate", image, "--resume", "--out", out)
        refused(outcome, f"checkpoint_every_steps = {period!r}: must be an integer >= 1 or null")
    # A result of an earlier version says nothing of it.
    del result["checkpoint_every_steps"]
    output.write_result(out, result, open_image(image))
    succeed("simulate", image, "--resume", "--out", out)
    assert differences(out, whole) == []


# Two at a time


def test_a_directory_is_written_by_one_process_at_a_time(
    image: Path, network: Path, run: Path
) -> None:
    with locked(run), unchanged(run):
        for command in (("simulate", image, "--resume"), ("run", network, *EVERY, "--resume")):
            refused(csnn(*command, "--out", run), f"{run}: another process is writing there")
    succeed("simulate", image, "--resume", "--out", run)
    with locked(run):
        refused(csnn("report", run), f"{run}: another process is writing there")


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from csnn.directory_lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(InvalidInputError, match="another process"), locked(tmp_path):
            pass
        process.kill()
    with locked(tmp_path):
        assert tree(tmp_path) == {}


def test_what_killed_processes_left_half_written_is_removed(
    image: Path, run: Path, whole: Path
) -> None:
    (run / ".tmp-0123abcd-spikes.npz").write_text("half")
    (run / "progress" / ".tmp-0123abcd-segment-0000000360.npz").write_text("half")
    (run / ".tmp-0123abcd-progress").mkdir()
    (run / "image.tmp-0123abcd").mkdir()
    (run / "notes.txt").write_text("kept")
    with pytest.raises(AssertionError, match=r"notes\.txt"):
        resume(image, run, whole)
    assert names(run) == RUN_FILES | {"traces.npz", "checkpoint.npz", "notes.txt"}
    # A process that was killed before it had written its first file.
    (run.parent / "new").mkdir()
    (run.parent / "new" / ".tmp-0123abcd-manifest.json").write_text("half")
    resume(image, run.parent / "new", whole)


def test_a_journal_folder_without_files_is_none(tmp_path: Path) -> None:
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "segment-12.npz").write_text("not a name")
    assert not journal.is_there(tmp_path)


def test_a_journal_that_is_a_link_is_refused_before_the_work(
    image: Path, network: Path, run: Path, unfinished: Path
) -> None:
    elsewhere = run / "progress"
    elsewhere.rename(run.parent / "elsewhere")
    elsewhere.symlink_to(run.parent / "elsewhere")
    words = f"{run}/progress: is a symbolic link, must be a folder"
    with unchanged(run.parent):
        for command in (("simulate", image, *SETTINGS), ("run", network, *EVERY)):
            for more in ((), ("--resume",)):
                refused(csnn(*command, *more, "--out", run), words)
    # Also one to a folder without a journal.
    shutil.rmtree(run.parent / "elsewhere")
    with unchanged(run.parent):
        refused(csnn("simulate", image, *SETTINGS, *EVERY, "--out", run), words)
