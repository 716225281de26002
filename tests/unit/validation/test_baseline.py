"""The shipped baseline, its format, and the builder."""

from __future__ import annotations

import contextlib
import json
import re
from itertools import product

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.files import sha256
from csnn.spec.pd14 import POPULATIONS, SIZES
from csnn.validation import build_baseline
from csnn.validation.baseline import (
    DURATIONS_MS,
    RESOLUTION,
    SCHEMA,
    Baseline,
    choose_duration,
    cut_window,
    has_baseline,
    load_baseline,
    pack,
    quantise,
    sorted_ks_distance,
    unpack,
)
from csnn.validation.poisson_control import poisson_spikes
from csnn.validation.statistics import STATISTICS, Window, ks_distance

PD14 = [(name, int(size)) for name, size in zip(POPULATIONS, SIZES, strict=True)]


@pytest.mark.parametrize("duration", DURATIONS_MS)
def test_shipped_baseline_is_complete(duration):
    baseline = load_baseline(duration)
    windows = 10000 // duration
    assert baseline.duration_ms == duration
    assert baseline.seeds == (123450, 123451, 123452)
    assert list(baseline.populations) == PD14
    assert baseline.distances.shape == (3, 8, 3 * windows, 3 * windows)
    for name, size in PD14:
        for sample in baseline.samples["FR", name]:
            assert sample.size == size
        for statistic in STATISTICS:
            assert len(baseline.samples[statistic, name]) == 3 * windows
            assert all(np.all(np.diff(s) >= 0) for s in baseline.samples[statistic, name])
    origin = baseline.provenance
    assert [r["nest"] for r in origin["realisations"]] == ["3.10.0"] * 3
    assert all(len(r["sha256"]) == 64 for r in origin["realisations"])


def test_shipped_rates_are_those_of_the_model():
    means = [float(load_baseline(10000).pooled("FR", name).mean()) for name in POPULATIONS]
    published = [0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829]
    np.testing.assert_allclose(means, published, rtol=0.02)


def test_shipped_distances_are_those_of_the_shipped_samples():
    baseline = load_baseline(10000)
    for s, statistic in enumerate(STATISTICS):
        for p, name in enumerate(POPULATIONS):
            samples = baseline.samples[statistic, name]
            for i, j in ((0, 1), (2, 0)):
                expected = ks_distance(samples[i], samples[j])
                assert baseline.distances[s, p, i, j] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_quantised_distance_is_within_a_thousandth_of_the_exact_one(statistic):
    rng = np.random.default_rng(5)
    if statistic == "FR":
        a, b = (rng.poisson(rng.gamma(2.0, 2.0, 20000)) / 10.0 for _ in range(2))
    elif statistic == "CV":
        # Ratios of small integers: many neurons share a value, as over one second.
        a, b = (np.abs(x - y) / (x + y) for x, y in rng.integers(1, 4000, (2, 2, 20000)))
    else:
        a, b = (-np.sqrt(np.multiply(*rng.integers(1, 9, (2, 30000)))) / 499 for _ in range(2))
    distance = sorted_ks_distance(quantise(a, statistic), quantise(b, statistic))
    assert abs(distance - ks_distance(a, b)) < 1e-3


@pytest.mark.parametrize("statistic", STATISTICS)
def test_samples_are_rounded_to_the_nearest_multiple(statistic):
    # Quotients of multiples are often just below the integer: 0.29 / 0.01 = 28.999999999999996.
    count = np.arange(-5000, 5000)
    unit = RESOLUTION[statistic]
    for sample in (count * unit, count / round(1 / unit)):
        np.testing.assert_array_equal(quantise(sample, statistic), count)
        assert (np.floor(sample / unit) < count).any()
    for part in (-0.49, -0.1, 0.1, 0.49):
        np.testing.assert_array_equal(quantise((count + part) * unit, statistic), count)
    assert quantise(np.array([0.3, 0.1, 0.2]), statistic).tolist() == [
        round(value / unit) for value in (0.1, 0.2, 0.3)
    ]
    assert quantise(count * unit, statistic).dtype == np.int32


def test_rounding_by_hand():
    rates = [0.0, 0.0049, 0.0051, 0.1, 0.29, 0.3, 0.57, 0.58, 1.15]
    assert quantise(np.array(rates), "FR").tolist() == [0, 0, 1, 10, 29, 30, 57, 58, 115]
    # Halves that binary fractions have go to the even neighbour.
    assert quantise(np.array([0.125, 0.375]), "FR").tolist() == [12, 38]
    assert quantise(np.array([-1.9e-6, -1.1e-6, -4e-7, 6e-7]), "CC").tolist() == [-2, -1, 0, 1]


def test_sorted_distance_equals_the_general_one():
    rng = np.random.default_rng(6)
    for n, m in ((1, 3), (50, 4), (400, 300)):
        a, b = np.sort(rng.integers(0, 20, n)), np.sort(rng.integers(2, 25, m))
        assert sorted_ks_distance(a, b) == pytest.approx(ks_distance(a, b), abs=1e-15)
    assert sorted_ks_distance(a, a) == 0.0
    assert sorted_ks_distance(a, a[:0]) == 1.0


def small_baseline():
    """Return two populations in three windows of two seeds, with samples of every kind."""
    rng = np.random.default_rng(8)
    int32 = np.iinfo(np.int32)
    kinds = [
        [],
        [0],
        [int32.min, int32.max],
        [int32.min] * 3 + [-1, 0, 1] + [int32.max] * 2,
        np.sort(rng.integers(-500_000, 500_000, 300)),
        np.sort(rng.integers(0, 20, 300)),
    ]
    sizes = (("A", 4), ("a name", 77169))
    samples = {
        (statistic, name): tuple(np.array(kinds[(i + w) % 6], np.int32) for w in range(3))
        for i, (statistic, (name, _)) in enumerate(product(STATISTICS, sizes))
    }
    distances = rng.random((3, 2, 3, 3)).astype(np.float32).astype(np.float64)
    return Baseline(
        duration_ms=10000.0,
        populations=sizes,
        window_seed=np.array([2**62, 5, 5]),
        samples=samples,
        distances=distances,
        unit={5: rng.random((3, 2)), 2**62: rng.random((3, 2))},
        provenance={"schema": SCHEMA, "duration_ms": 10000, "populations": ["A", "a name"]},
    )


def test_pack_and_unpack_are_inverse():
    baseline = small_baseline()
    packed = pack(baseline)
    again = unpack(packed, baseline.provenance)
    assert pack(again) == packed
    for field in ("duration_ms", "populations", "seeds", "provenance"):
        assert getattr(again, field) == getattr(baseline, field)
    for field in ("window_seed", "distances"):
        mine, theirs = getattr(baseline, field), getattr(again, field)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert again.unit.keys() == baseline.unit.keys()
    for seed, unit in baseline.unit.items():
        np.testing.assert_array_equal(again.unit[seed], unit)
    assert again.samples.keys() == baseline.samples.keys()
    for key, windows in baseline.samples.items():
        for mine, theirs in zip(windows, again.samples[key], strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def test_durations():
    assert choose_duration(1000.0) == 1000
    assert choose_duration(9999.9) == 1000
    assert choose_duration(15 * 60e3) == 10000
    with pytest.raises(InvalidInputError, match="no verdict is possible"):
        choose_duration(999.9)
    window = Window(first_step=5001, n_steps=25000)
    assert cut_window(window) == Window(first_step=5001, n_steps=10000)
    assert cut_window(Window(first_step=1, n_steps=10000)).n_steps == 10000


def test_only_the_full_microcircuit_has_a_baseline():
    assert has_baseline(PD14)
    assert not has_baseline([("L23E", 2068), *PD14[1:]])
    assert not has_baseline(PD14[:-1])


def test_altered_or_foreign_files_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_baseline(1000, tmp_path)
    build_baseline.write_baseline(small_baseline(), tmp_path)
    assert load_baseline(10000, tmp_path).seeds == (5, 2**62)
    data = tmp_path / "nest_pd14_10000ms.npz"
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 1
    data.write_bytes(raw)
    with pytest.raises(InvalidInputError, match="altered"):
        load_baseline(10000, tmp_path)
    origin = tmp_path / "nest_pd14_10000ms.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"schema": 2}))
    with pytest.raises(InvalidInputError, match="schema"):
        load_baseline(10000, tmp_path)


def recording(seed):
    rng = np.random.default_rng(seed)
    step, sender = poisson_spikes(
        rng.gamma(2.0, 0.5, int(SIZES.sum())), Window(first_step=101, n_steps=20000), rng
    )
    timing = {"seed": seed, "T_ms": 2000.0, "nest": "3.10.0", "sim_s": 1.0}
    return build_baseline.Recording(
        name=f"r{seed}.npz", sha256="0" * 64, timing=timing, step=step, sender=sender
    )


def test_builder_orders_seeds_and_rejects_too_few():
    recordings = [recording(seed) for seed in (9, 7, 8)]
    [built] = build_baseline.build(recordings, 10.0, durations_ms=(1000,))
    assert built.window_seed.tolist() == [7, 7, 8, 8, 9, 9]
    assert [r["file"] for r in built.provenance["realisations"]] == ["r7.npz", "r8.npz", "r9.npz"]
    counts = np.bincount(recordings[1].sender, minlength=77169)
    total = sum(s.sum() for n in POPULATIONS for s in built.samples["FR", n][:2]) * 0.01
    assert round(total) == counts.sum()
    with pytest.raises(InvalidInputError, match="three or more"):
        build_baseline.build(recordings[:2], 10.0)


TIMING = {"seed": 5, "T_ms": 2000.0, "nest": "3.10.0"}


def recording_file(path, timing):
    np.savez(path, step=np.arange(1, 9), sender=np.arange(8), timing=np.array(timing))
    return path


def test_builder_command_reports_bad_files(tmp_path, capsys):
    whole = recording_file(tmp_path / "whole.npz", json.dumps(TIMING)).read_bytes()
    bad = tmp_path / "bad.npz"
    for damaged in (b"no archive", b"", *(whole[:k] for k in range(1, len(whole), 37))):
        bad.write_bytes(damaged)
        assert build_baseline.main([str(bad), "--out", str(tmp_path / "out")]) == 3
        assert "bad.npz: cannot be read" in capsys.readouterr().err
    for k in range(0, len(whole), 7):
        bad.write_bytes(whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1 :])
        with contextlib.suppress(InvalidInputError):
            build_baseline.read_recording(bad)


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        ("{", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("{}", "timing: seed = None: must be an integer >= 0"),
        (json.dumps({**TIMING, "T_ms": -1}), "timing: T_ms = -1: must be a number > 0"),
        (json.dumps({**TIMING, "nest": 3}), "timing: nest = 3: must be a string"),
    ],
)
def test_recordings_that_do_not_say_their_making_are_refused(tmp_path, timing, words):
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        build_baseline.read_recording(recording_file(tmp_path / "x.npz", timing))


def test_builder_names_what_is_wrong_in_a_recording():
    recordings = [recording(seed) for seed in (7, 8, 9)]
    recordings[1].sender[5] = 77169
    with pytest.raises(InvalidInputError, match=r"^sender = 77169: must be a neuron"):
        build_baseline.build(recordings, 10.0, durations_ms=(1000,))


def test_recordings_are_read(tmp_path):
    found = build_baseline.read_recording(
        recording_file(tmp_path / "x.npz", json.dumps({**TIMING, "more": [1]}))
    )
    assert found.timing == {**TIMING, "more": [1]}
    assert (found.name, found.sha256) == ("x.npz", sha256(tmp_path / "x.npz"))
    assert (found.step.tolist(), found.sender.tolist()) == (list(range(1, 9)), list(range(8)))
