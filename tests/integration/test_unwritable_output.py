"""Output that cannot be written: foreign directories and full disks leave what was there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from commands import (
    RUN_FILES,
    csnn,
    files_up_to,
    names,
    refused,
    require_modules,
    succeed,
    tree,
    unchanged,
)

from csnn import output
from csnn import run as csnn_run


@pytest.mark.parametrize("command", ["run", "generate", "simulate"])
@pytest.mark.parametrize("holds", ["a file", "a foreign manifest"])
def test_foreign_directory(command: str, holds: str, copy: Path) -> None:
    foreign = copy / "foreign"
    foreign.mkdir()
    name = "thesis.tex" if holds == "a file" else "manifest.json"
    (foreign / name).write_text('{"schema": "photos"}')
    with unchanged(copy):
        what = copy / ("image" if command == "simulate" else "small.toml")
        refused(csnn(command, what, "--out", foreign), str(foreign), "was not written by csnn")


def test_a_directory_with_an_image_of_its_own_takes_no_other(copy: Path) -> None:
    succeed("run", copy / "small.toml", "--seed", "5", "--out", copy / "own")
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--out", copy / "own")
        refused(outcome, f"{copy}/own/image: exists and is not {copy}/image")


# Disks that fill up


@pytest.mark.parametrize("size", [0, 100, 3000])
@pytest.mark.parametrize(
    "line",
    [
        "generate {}/small.toml --out {}/new",
        "generate {}/small.toml --seed 9 --out {}/image",
        "run {}/small.toml --out {}/new",
        # Whose image is a link, which is taken away first.
        "run {}/small.toml --seed 9 --out {}/run",
        "simulate {}/image --out {}/new",
        "simulate {}/image --record 0-9 --time-ms 50 --out {}/run",
        "simulate {}/image --resume --time-ms 90 --out {}/run",
        "report {}/run",
        "export edges {}/image --out {}/new.csv",
        "export edges {}/image --out {}/new.csv.gz",
        "export edges {}/image --out {}/new.npz",
        "export spikes {}/run --out {}/new.npz",
        "export spikes {}/run --out {}/new.dat",
        "export spikes {}/run --out {}/new.h5",
        "export spikes {}/run --populations P --out {}/new.nix",
    ],
)
def test_a_disk_that_fills_up(line: str, size: int, copy: Path) -> None:
    if line.endswith((".h5", ".nix")):
        require_modules("sonata,neo", "h5py", "neo", "nixio")
    with unchanged(copy), files_up_to(size):
        outcome = csnn(*(part.replace("{}", str(copy)) for part in line.split()))
    refused(outcome, str(copy), "File too large")


@pytest.mark.parametrize("name", ["result.json", "spikes.npz", "traces.npz", "checkpoint.npz"])
def test_a_disk_that_is_full_at_the_end(
    name: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.fsync

    def fsync(descriptor: int) -> None:
        if name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        before(descriptor)

    options = ("--record", "0", "--checkpoint", "--time-ms", "30")
    monkeypatch.setattr(os, "fsync", fsync)
    for out in ("new", "run"):
        with unchanged(copy):
            outcome = csnn("simulate", copy / "image", *options, "--out", copy / out)
            refused(outcome, f"{copy / out}/{name}: No space left on device")


def test_a_read_only_directory_is_refused_before_the_work(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.open

    def read_only(path: str | Path, flags: int, *arguments: int, **options: int) -> int:
        if flags & os.O_CREAT and str(copy / "run") in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return before(path, flags, *arguments, **options)

    def never(*arguments: object) -> None:
        raise AssertionError("it was simulated")

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(csnn_run, "_simulated", never)
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--out", copy / "run")
        refused(outcome, f"csnn: {copy}/run: Read-only file system\n")
        # Neither needs to write there.
        succeed("validate", copy / "run")
    succeed("export", "spikes", copy / "run", "--out", copy / "spikes.npz")


# What happens in which order


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_link_to_an_image_comes_back_if_none_takes_its_place(
    error: BaseException, copy: Path
) -> None:
    def fail(made: bool) -> None:
        with output.own_image(copy / "run") as path:
            assert path == copy / "run" / "image"
            assert not path.is_symlink()
            if made:
                path.mkdir()
            raise error

    with unchanged(copy), pytest.raises(type(error)):
        fail(made=False)
    before = tree(copy / "image")
    with pytest.raises(type(error)):
        fail(made=True)
    assert not (copy / "run" / "image").is_symlink()
    assert tree(copy / "image") == before


def test_the_manifest_takes_its_name_last(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    replace = Path.replace

    def noted(path: Path, target: Path) -> Path:
        # What the manifest vouches for has its name by then; what it does not is gone.
        if not target.name.startswith(".tmp-"):
            renamed.append(target.name)
        if target == copy / "run" / "manifest.json":
            listed = set(json.loads(path.read_bytes())["files"])
            there = names(copy / "run") - {"manifest.json", "image", "figures", path.name}
            assert listed == there
        return replace(path, target)

    succeed("report", copy / "run")
    assert names(copy / "run") >= {"checkpoint.npz", "report.html", "figures"}
    monkeypatch.setattr(Path, "replace", noted)
    succeed("simulate", copy / "image", "--record", "0", "--out", copy / "run")
    assert sorted(renamed[:-1]) == ["result.json", "spikes.npz", "traces.npz"]
    assert renamed[-1] == "manifest.json"
    assert names(copy / "run") == RUN_FILES | {"traces.npz"}
    renamed.clear()
    succeed("report", copy / "run")
    assert renamed[-2:] == ["result.json", "manifest.json"]
