"""Files that a protocol reads: what is damaged or of wrong types is refused, or made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutated_files as mutated
import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.protocol import folder
from csnn.protocol.distribution import Distribution
from csnn.protocol.nest import read_recordings
from csnn.protocol.samples import RECIPE, SCHEMA, Samples, load_samples, save_samples
from csnn.protocol.settings import Settings
from csnn.sealed import write_sealed
from csnn.validation.statistics import STATISTICS

# NEST recordings

TIMING = {"seed": 5, "T_ms": 2000.0, "scale": 1.0, "bg": "poisson", "threads": 4, "sim_s": 1.5,
          "rtf": 0.75, "nest": "3.10.0", "connect_s": float("nan")}  # fmt: skip


def recording(path: Path, timing: str) -> Path:
    steps = np.arange(1, 20_001, dtype=np.uint32)
    np.savez(path, step=steps, sender=steps % 7, timing=np.array(timing))
    return path


def test_what_a_recording_says_is_read(tmp_path: Path) -> None:
    (found,) = read_recordings([recording(tmp_path / "x.npz", json.dumps(TIMING))])
    assert (found.first_step, found.last_step) == (1, 20_000)
    assert found.timing["seed"] == 5
    (found,) = read_recordings([recording(tmp_path / "x.npz", "{}")])
    assert found.timing == {}


ODD = ("null", "true", "NaN", "Infinity", "-1", "1e400", "1" + "0" * 400, "[1]", "{}")


@pytest.mark.parametrize("value", ODD, ids=[f"value{i}" for i in range(len(ODD))])
def test_a_recording_of_wrong_types_is_refused(value: str, tmp_path: Path) -> None:
    for field in TIMING:
        if field == "connect_s":
            continue  # nothing reads it
        text = json.dumps({**TIMING, field: "?"}).replace('"?"', value)
        with pytest.raises(InvalidInputError, match=rf"x\.npz: timing[.:] ?{field} = .*must be"):
            read_recordings([recording(tmp_path / "x.npz", text)])


def test_a_recording_whose_text_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "3", "[" * 100_000, '{"seed": ' + "1" * 5000 + "}"):
        with pytest.raises(InvalidInputError, match="timing: must be a JSON object"):
            read_recordings([recording(tmp_path / "x.npz", text)])


# The manifest of a protocol

FIXED = Settings(seeds=(1,), time_ms=2000.0).fixed()


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    with folder.claimed(tmp_path / "out", FIXED) as directory:
        (directory / "seed_1").mkdir()
    return directory


def claim(directory: Path, manifest: str) -> None:
    (directory / "manifest.json").write_text(manifest)
    with folder.claimed(directory, FIXED):
        pass


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a number that is none": (lambda m: m["settings"].update(time_ms=float("nan")), "digest"),
    "infinity": (lambda m: m["tools"].update(csnn=float("inf")), "digest"),
    "another setting": (lambda m: m["settings"].update(time_ms=5.0), "must be 5.0, as before"),
    "no number": (lambda m: m["settings"].update(time_ms="2000"), "time_ms = '2000': must be a"),
    "a list": (lambda m: m["settings"].update(warmup_ms=[]), r"warmup_ms = \[\]: must be a"),
    "a number for a truth": (lambda m: m["settings"].update(all_pairs=0), "all_pairs = 0: must be"),
    "no settings": (lambda m: m.update(settings=None), "altered or truncated; choose another"),
    "another version": (lambda m: m.update(version=[1]), r"version = \[1\]: must be 1"),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_manifest_of_wrong_types_is_refused(change: str, protocol: Path) -> None:
    manifest = json.loads((protocol / "manifest.json").read_text())
    claim(protocol, mutated.vouched(manifest))
    damage, words = WRONG[change]
    damage(manifest)
    with pytest.raises(InvalidInputError, match=words):
        claim(protocol, mutated.vouched(manifest))


def test_mutated_manifests_are_accepted_or_refused(protocol: Path) -> None:
    original = (protocol / "manifest.json").read_text()
    accepted = refused = 0
    for case in range(300):
        rng = np.random.default_rng(case)
        text = mutated.vouched(mutated.mutate_json(json.loads(original), rng))
        try:
            claim(protocol, text)
            accepted += 1
        except InvalidInputError:
            refused += 1
    assert accepted > 10
    assert refused > 10


# Samples

POPULATIONS = [("E", 40), ("I", 10)]
KEY = {"spikes_sha256": "0" * 64, "windows": [(1, 10, 0.1)], "populations": POPULATIONS}


@pytest.fixture
def samples() -> tuple[Samples, ...]:
    empty = Distribution(values=np.empty(0, np.int32), counts=np.empty(0, np.int64))
    some = Distribution(values=np.array([-3, 0, 5], np.int32), counts=np.array([2, 9, 1]))
    return tuple(
        {(s, name): sample for s in STATISTICS for name, sample in (("E", some), ("I", empty))}
        for _ in range(2)
    )


def load(path: Path, key: dict[str, Any] = KEY) -> tuple[Samples, ...] | None:
    return load_samples(path, key, POPULATIONS, 2)


def test_samples_are_read_back(samples: tuple[Samples, ...], tmp_path: Path) -> None:
    save_samples(tmp_path / "samples.npz", KEY, samples)
    found = load(tmp_path / "samples.npz")
    assert found is not None
    for mine, theirs in zip(found, samples, strict=True):
        assert list(mine) == list(theirs)
        for key in mine:
            assert mine[key].values.tolist() == theirs[key].values.tolist()
            assert mine[key].counts.tolist() == theirs[key].counts.tolist()
    assert load(tmp_path / "samples.npz", {**KEY, "spikes_sha256": "1" * 64}) is None
    assert load(tmp_path / "none.npz") is None


SPOILED: dict[str, Callable[[dict[str, Any]], object]] = {
    "two dimensions": lambda a: a.update({k: v[None] for k, v in a.items()}),
    "no dimension": lambda a: a.update({k: v.sum() for k, v in a.items()}),
    "another count": lambda a: a["0/FR/E/counts"].__iadd__(1),
    "no count": lambda a: a["0/FR/E/counts"].__imul__(0),
    "another value": lambda a: a["1/CC/E/values"].__iadd__(1),
    "another type": lambda a: a.update({"0/CV/E/counts": a["0/CV/E/counts"].astype(float)}),
    "another length": lambda a: a.update({"0/CV/E/counts": np.array([1, 1])}),
    "a value twice": lambda a: a.update(
        {"0/CV/E/counts": np.array([1, 1]), "0/CV/E/values": np.array([4, 4], np.int32)}
    ),
}
# Whose digests are right, and which are what a sample can be.
POSSIBLE = ("another count", "another value")


@pytest.mark.parametrize("vouched", [False, True], ids=["altered", "vouched for"])
@pytest.mark.parametrize("damage", SPOILED)
def test_samples_that_were_altered_are_not_used(
    damage: str, vouched: bool, samples: tuple[Samples, ...], tmp_path: Path
) -> None:
    path = tmp_path / "samples.npz"
    save_samples(path, KEY, samples)
    with np.load(path) as data:
        arrays = dict(data)
    header = arrays.pop("header")
    SPOILED[damage](arrays)
    if vouched:
        write_sealed(path, {"schema": SCHEMA, "version": RECIPE, "key": KEY}, arrays)
    else:
        np.savez(path, header=header, **arrays)
    assert (load(path) is None) == (not vouched or damage not in POSSIBLE)


def test_damaged_files_of_samples_are_not_used(
    samples: tuple[Samples, ...], tmp_path: Path
) -> None:
    path = tmp_path / "samples.npz"
    save_samples(path, KEY, samples)
    whole, wanted = path.read_bytes(), repr(load(path))
    assert wanted != "None"
    unused = 0
    for case in range(200):
        path.write_bytes(mutated.mutate_bytes(whole, np.random.default_rng(case)))
        found = load(path)
        unused += found is None
        # Not every byte of an archive matters.
        assert found is None or repr(found) == wanted
    assert unused > 100
