"""What the candidates of a protocol are judged by: recordings, whole, cut, or refused."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from protocols import SCALE, TIME_MS, network, record, run, settings
from scipy import stats

from csnn.errors import InvalidInputError
from csnn.protocol.nest import find_recordings, read_recordings
from csnn.protocol.reference import recorded_reference


def rates_apart(out: Path, first: int, last: int) -> np.ndarray:
    """Return KS distances of firing rates between seeds in steps, shape (8, pairs)."""
    ends = np.cumsum([0, *(p.size for p in network().network.populations)])
    counts = []
    for place in sorted(out.glob("seed_*/run/spikes.npz")):
        with np.load(place) as data:
            inside = (data["step"] >= first) & (data["step"] <= last)
            counts.append(np.bincount(data["source"][inside], minlength=ends[-1]))
    return np.array(
        [
            [
                stats.ks_2samp(a[begin:end], b[begin:end]).statistic
                for a, b in itertools.combinations(counts, 2)
            ]
            for begin, end in itertools.pairwise(ends)
        ]
    )


def test_a_shorter_recording_cuts_the_candidates(recordings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run(recordings, out, settings(1, 2, 3, time_ms=2500.0))
    assert outcome.verdict.judged_ms == TIME_MS
    assert "the first 2000 ms of 2500 ms are judged" in outcome.verdict.notes[0]
    whole = outcome.content["whole"]
    assert whole["duration_ms"] == 2500.0
    lowest, highest = whole["candidate_candidate"]["FR"]
    apart = rates_apart(out, 5001, 30_000)
    assert lowest == pytest.approx(apart.min(axis=1))
    assert highest == pytest.approx(apart.max(axis=1))
    upper = np.triu_indices(3, 1)
    among = np.array(outcome.content["distances"]["candidate_candidate"][0])[:, *upper]
    judged = rates_apart(out, 5001, 25_000)
    assert np.allclose(among, judged)
    assert not np.allclose(judged, apart)
    assert "Candidates among themselves over 2.5 s" in outcome.report.read_text()


def test_other_recordings_may_judge_another_part(recordings, tmp_path: Path) -> None:
    longer = [tmp_path / f"nest_{seed}.npz" for seed in (21, 22, 23)]
    for path, seed in zip(longer, (21, 22, 23), strict=True):
        record(path, seed, tmp_path, time_ms=2200.0)
    out = tmp_path / "out"
    for chosen, judged_ms in ((longer, 2200.0), (recordings, 2000.0)):
        outcome = run(chosen, out, settings(1, 2, time_ms=2500.0))
        assert outcome.verdict.judged_ms == judged_ms
        among = np.array(outcome.content["distances"]["candidate_candidate"][0])[:, 0, 1]
        assert np.allclose(among, rates_apart(out, 5001, 5000 + round(10 * judged_ms))[:, 0])


def test_a_long_recording_has_thirty_windows_at_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    populations = [("A", 40), ("B", 40)]
    timing = json.dumps({"warmup_ms": 500.0, "T_ms": 12_000.0})
    steps = np.arange(5001, 125_001, dtype=np.uint32)
    paths = []
    for seed in range(3):
        # Neurons of 8 Hz, in pairs that share all spikes.
        step = np.concatenate([np.sort(rng.choice(steps, 100, replace=False)) for _ in range(40)])
        step[[0, -1]] = steps[[0, -1]]
        sender = np.arange(80, dtype=np.uint32).repeat(100)
        paths.append(tmp_path / f"{seed}.npz")
        np.savez(paths[-1], step=np.tile(step, 2), sender=sender, timing=np.array(timing))
    chosen = settings(1, time_ms=1000.0)
    nest = recorded_reference(read_recordings(paths), chosen, populations=populations)
    assert np.bincount(nest.baseline.window_seed).tolist() == [10, 10, 10]
    assert nest.duration_ms == 1000.0
    assert len(nest.windows) == 30


def test_a_longer_recording_is_cut_into_windows(recordings, tmp_path: Path) -> None:
    outcome = run(recordings, tmp_path / "out", settings(1, time_ms=1000.0))
    assert outcome.verdict.judged_ms == 1000.0
    assert outcome.verdict.nest_windows == 6
    assert outcome.content["reference"]["windows"] == [0, 0, 1, 1, 2, 2]
    assert outcome.content["reference"]["note"] == ""


def test_the_paper_s_variant_correlates_all_pairs(recordings, tmp_path: Path) -> None:
    chosen = settings(1, variant="paper", warmup_ms=500.0)
    outcome = run(recordings, tmp_path / "out", chosen)
    with np.load(tmp_path / "out" / "seed_1" / "samples.npz") as data:
        pairs = {n: int(data[f"0/CC/{n}/counts"].sum()) for n in ("L4E", "L6I")}
    size = round(21915 * SCALE)
    assert pairs["L4E"] > 250 * 249 / 2
    assert pairs["L4E"] <= size * (size - 1) // 2
    assert outcome.content["settings"]["all_pairs"]


REFUSED = {
    "twice": "same sha256",
    "seed": "same seed",
    "scale": "timing.scale = 1.0",
    "background": "timing.bg = 'dc'",
    "time": "timing.T_ms = 3000.0",
    "neuron": "x.npz: sender = 77169: must be a neuron",
    "doubled": "x.npz: step = 12345: neuron 1500 spikes twice in it",
    "late": "begins after 700 ms",
    "short": "two windows",
    "empty": "not empty",
    "no steps": "cannot be read",
    "silence": "FR of L4E does not vary",
    "timing": "JSON object",
}


def without_l4e(path: Path, folder: Path) -> Path:
    """Return a copy of a recording without the spikes of L4E."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    first = np.cumsum([0, *(p.size for p in network().network.populations)])
    kept = (arrays["sender"] < first[2]) | (arrays["sender"] >= first[3])
    arrays |= {name: arrays[name][kept] for name in ("step", "sender")}
    np.savez(folder / path.name, **arrays)
    return folder / path.name


@pytest.mark.parametrize("change", REFUSED)
def test_recordings_that_are_refused(recordings, tmp_path: Path, change: str) -> None:
    with np.load(recordings[0]) as data:
        arrays = {name: data[name] for name in data.files}
    timing = json.loads(str(arrays["timing"])) | {"seed": 77}
    timing |= {
        "seed": {"seed": 12}, "scale": {"scale": 1.0}, "background": {"bg": "dc"},
        "time": {"T_ms": 3000.0}, "late": {"T_ms": 1800.0}, "short": {"T_ms": 1200.0},
    }.get(change, {})  # fmt: skip
    arrays["timing"] = np.array("[1]" if change == "timing" else json.dumps(timing))
    kept = np.ones(arrays["step"].size, bool)
    if change == "late":
        kept = arrays["step"] > 7000
    if change == "short":
        kept = arrays["step"] <= 17000
    if change == "empty":
        kept[:] = False
    arrays |= {name: arrays[name][kept] for name in ("step", "sender")}
    if change == "neuron":
        arrays["sender"][-1] = 77169
    if change == "doubled":
        arrays["step"][-2:], arrays["sender"][-2:] = 12345, 1500
    if change == "no steps":
        del arrays["step"]
    if change == "silence":
        recordings = [without_l4e(path, tmp_path) for path in recordings]
    path = tmp_path / "x.npz"
    if change == "twice":
        shutil.copy(recordings[1], path)
    else:
        np.savez(path, **arrays)
    if change == "silence":
        path = recordings[0]
    with pytest.raises(InvalidInputError, match=REFUSED[change]):
        run([path, *recordings[1:]], tmp_path / "out", settings(1))
    # What was computed of them is kept.
    assert (tmp_path / "out").exists() == (change == "silence")


def test_recordings_are_found_in_folders(recordings, tmp_path: Path) -> None:
    assert find_recordings([recordings[0].parent]) == sorted(recordings)
    assert find_recordings(recordings) == recordings
    for paths, words in (
        ([tmp_path], "holds no .npz"),
        (recordings[:2], "3 or more"),
        ([tmp_path / "none"], "No such file"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            find_recordings(paths)
