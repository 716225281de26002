"""Windows of runs that are longer than the recordings they are judged by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from protocols import SCALE, TIME_MS, less_one_spike, network, never, run, settings

from csnn import output
from csnn.errors import InvalidInputError
from csnn.protocol import course
from csnn.protocol.nest import read_recordings
from csnn.protocol.reference import recorded_reference
from csnn.protocol.table import course_lines

LONG_MS = 3.2 * TIME_MS


@pytest.fixture(scope="module")
def long_run(recordings, tmp_path_factory) -> Path:
    """Return a protocol of one seed that is longer than three windows of its recordings."""
    out = tmp_path_factory.mktemp("long") / "out"
    run(recordings, out, settings(1, time_ms=LONG_MS))
    return out


def followed(
    recordings, seed: Path, digest: str = "0" * 64, **changes
) -> tuple[np.ndarray, dict] | None:
    """Return distances and summary of the windows of a seed's folder."""
    chosen = settings(1, **{"time_ms": LONG_MS, **changes})
    populations = [(p.name, p.size) for p in network().network.populations]
    found = read_recordings(recordings, scale=SCALE)
    nest = recorded_reference(found, settings(1), populations=populations)
    result = course.follow(1, seed, digest, chosen, populations, nest)
    if result is None:
        return None
    told = course.summary([result], nest)
    assert told is not None
    return result.distances, told


def copied(seed: Path, to: Path, change=lambda step, source: (step, source)) -> Path:
    """Write the spikes of a seed into another folder, with a change of them."""
    step, source = change(*output.read_spikes(seed / "run"))
    (to / "run").mkdir(parents=True)
    np.savez(to / "run/spikes.npz", step=step, source=source)
    return to


def later(steps: int):
    """Return the change that makes a later step the first one."""

    def change(step, source):
        return step[step > steps] - np.uint32(steps), source[step > steps]

    return change


def test_later_windows_are_compared_with_nest(recordings, long_run: Path, tmp_path: Path) -> None:
    content = json.loads((long_run / "protocol.json").read_text())
    distances, _ = followed(recordings, copied(long_run / "seed_1", tmp_path / "same"))
    assert distances.shape == (3, 3, 8)
    to_nest = np.array(content["distances"]["candidate_nest"]).mean(axis=3)[:, :, 0]
    assert np.array_equal(distances[0], to_nest)
    for i in (1, 2):
        folder = copied(long_run / "seed_1", tmp_path / str(i), later(20_000 * i))
        moved, _ = followed(recordings, folder)
        assert np.array_equal(moved[0], distances[i])
        assert not np.array_equal(distances[i], to_nest)
    (seed,) = content["course"]["seeds"]
    assert content["course"]["window_ms"] == TIME_MS
    assert len(seed["failures"]) == 3
    assert seed["failures"][0] == content["verdict"]["seed_failures"][0]
    assert seed["silent"] == 0
    pooled = [cell["to_nest"]["mean"] for cell in content["verdict"]["pooled"]]
    assert [seed["ratio"][s][0] for s in ("FR", "CV", "CC")] == pytest.approx(pooled)
    assert content["verdict"]["passed"]
    page = (long_run / "report.html").read_text()
    assert "window by window" in page
    assert "Of the 3 windows of that length in the runs, 0 fail alone" in page
    assert (long_run / "figures/course.png").exists()


def thinned(step, source):
    """Take a third of the spikes of the last window away."""
    lost = (step > 45_000) & (source % 3 == 0)
    return step[~lost], source[~lost]


def ended(step, source):
    """Take all spikes after the first window away."""
    return step[step <= 25_000], source[step <= 25_000]


def without_one(step, source):
    """Take the spikes of the busiest neuron in the second half of the run away."""
    lost = (step > 37_000) & (source == np.bincount(source).argmax())
    return step[~lost], source[~lost]


def test_a_run_that_changes_later_is_seen(recordings, long_run: Path, tmp_path: Path) -> None:
    _, told = followed(recordings, copied(long_run / "seed_1", tmp_path / "copy", thinned))
    first, second, third = told["seeds"][0]["failures"]
    assert not first
    assert not second
    assert {"FR of L4E", "FR of all"} <= set(third)
    assert "in windows of 2 s: 1 of 3 fail alone" in " ".join(course_lines(told))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (
            ended,
            ["2 of 3 windows", "2 windows of long runs fail in 7 tests", "neurons fall silent"],
        ),
        (without_one, ["1 neurons fall silent"]),
        (thinned, ["1 windows of long runs fail in 7 tests"]),
    ],
    ids=["ended", "one neuron", "thinned"],
)
def test_a_protocol_whose_run_breaks_down_later_fails(
    recordings, long_run: Path, tmp_path: Path, change, wanted
) -> None:
    _, told = followed(recordings, copied(long_run / "seed_1", tmp_path / "copy", change))
    reasons = course.reasons(told)
    assert len(reasons) == len(wanted)
    for reason, words in zip(reasons, wanted, strict=True):
        assert words in reason
    _, whole = followed(recordings, copied(long_run / "seed_1", tmp_path / "whole"))
    assert course.reasons(whole) == ()


def test_a_failure_of_windows_fails_the_protocol(
    recordings, long_run: Path, tmp_path: Path, monkeypatch
) -> None:
    out = Path(shutil.copytree(long_run, tmp_path / "out", symlinks=True))
    monkeypatch.setattr(course, "reasons", lambda told: ("3 neurons fall silent",))
    outcome = run(recordings, out, settings(1, time_ms=LONG_MS), make=never)
    assert not outcome.verdict.passed
    assert "3 neurons fall silent" in outcome.verdict.reasons
    assert "Differs from NEST" in outcome.report.read_text()


def test_what_was_found_of_windows_is_kept(recordings, long_run: Path, tmp_path: Path) -> None:
    copy = copied(long_run / "seed_1", tmp_path / "copy")
    wanted, _ = followed(recordings, copy)
    shutil.rmtree(copy / "run")
    assert np.array_equal(followed(recordings, copy)[0], wanted)
    missing = r"spikes\.npz"
    with pytest.raises(InvalidInputError, match=missing):
        followed(recordings, copy, digest="1" * 64)
    other = [recordings[0], recordings[1], less_one_spike(recordings[2], tmp_path)]
    with pytest.raises(InvalidInputError, match=missing):
        followed(other, copy)
    (copy / course.FILE).write_bytes(b"damaged")
    with pytest.raises(InvalidInputError, match=missing):
        followed(recordings, copy)


def test_all_pairs_of_windows_are_left_out(recordings, long_run: Path, tmp_path: Path) -> None:
    copy = copied(long_run / "seed_1", tmp_path / "copy")
    assert followed(recordings, copy, variant="paper", warmup_ms=500.0) is None
