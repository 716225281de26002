"""Damaged images, runs and checkpoints are refused in one line, and nothing is changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import csnn, refused, succeed, unchanged

from csnn import output
from csnn.files import sha256
from csnn.image.layout import FORMAT_VERSION
from csnn.image.store import content_digest, open_image


def _flip(path: Path, at: int = -40) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _edit(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


IMAGE_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p / "node_00001.bin"), "node_00001.bin: altered"),
    "a cut node": (lambda p: os.truncate(p / "node_00001.bin", 100), "node_00001.bin: truncated"),
    "an empty node": (lambda p: os.truncate(p / "node_00001.bin", 0), "node_00001.bin: truncated"),
    "a missing node": (lambda p: (p / "node_00003.bin").unlink(), "node_00003.bin: missing"),
    "another network": (lambda p: _flip(p / "network.toml", 9), "network.toml: altered"),
    "a cut manifest": (lambda p: os.truncate(p / "manifest.json", 99), "manifest.json: cannot"),
    "an empty manifest": (lambda p: os.truncate(p / "manifest.json", 0), "manifest.json: cannot"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json: cannot"),
    "an altered manifest": (
        lambda p: _edit(p / "manifest.json", "seed", 9),
        "manifest.json: digest",
    ),
    "a later version": (
        lambda p: _edit(p / "manifest.json", "version", FORMAT_VERSION + 1),
        f"version = {FORMAT_VERSION + 1}: must be {FORMAT_VERSION}",
    ),
    "another schema": (lambda p: _edit(p / "manifest.json", "schema", "x"), "schema must be"),
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGE)
@pytest.mark.parametrize("command", ["simulate", "export edges"])
def test_damaged_image(damage: str, command: str, copy: Path) -> None:
    spoil, words = IMAGE_DAMAGE[damage]
    spoil(copy / "image")
    with unchanged(copy):
        outcome = csnn(*command.split(), copy / "image", "--out", copy / "new.npz")
        refused(outcome, str(copy / "image"), words)


def _vouch(path: Path, **changes: object) -> None:
    """Change a manifest and give it a valid digest again; None removes a key."""
    manifest = {**json.loads(path.read_text()), **changes}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    manifest["digest"] = content_digest(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tools": "numpy 2"}, "tools = 'numpy 2': must be an object of versions"),
        ({"notes": "small"}, "notes = 'small': must be a list of strings"),
        ({"fidelity": [{"projection": "E->E"}]}, "fidelity = [{'projection': 'E->E'}]: must be"),
        ({"edge_fit": {"overall": 1}}, "edge_fit = {'overall': 1}: must be an object"),
        ({"explicit_bytes": 1.5}, "explicit_bytes = 1.5: must be an integer"),
        ({"generate_s": "long"}, "generate_s = 'long': must be a number >= 0"),
        ({"seed": 2**64}, "seed = 18446744073709551616: must be an integer"),
        ({"weight_grid": 0.5}, "header: grid_exponent = "),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "export edges"])
def test_image_that_vouches_for_itself_is_checked(
    changes: dict[str, object], words: str, command: str, copy: Path
) -> None:
    _vouch(copy / "image" / "manifest.json", **changes)
    with unchanged(copy):
        outcome = csnn(*command.split(), copy / "image", "--out", copy / "new.npz")
        refused(outcome, f"{copy}/image/", words)


def test_image_with_the_description_of_another_is_refused(copy: Path) -> None:
    description = copy / "image" / "network.toml"
    manifest = copy / "image" / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    text, n_changes = re.subn(r'(name += "P"\nsize += )5', r"\g<1>6", description.read_text())
    assert n_changes == 1
    description.write_text(text)
    entry = {"bytes": description.stat().st_size, "sha256": sha256(description)}
    _vouch(manifest, files={**files, "network.toml": entry})
    outcome = csnn("simulate", copy / "image", "--record", "0", "--out", copy / "new")
    refused(outcome, str(description), "populations", "must be those of the manifest")
    del files["network.toml"]
    _vouch(manifest, files=files)
    outcome = csnn("simulate", copy / "image", "--out", copy / "new")
    refused(outcome, str(manifest), "must list network.toml")
    assert not (copy / "new").exists()


RUN_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p / "spikes.npz", 200), "spikes.npz: altered"),
    "cut spikes": (lambda p: os.truncate(p / "spikes.npz", 100), "spikes.npz: altered"),
    "no spikes": (lambda p: (p / "spikes.npz").unlink(), "spikes.npz: No such file"),
    "an altered result": (
        lambda p: _edit(p / "result.json", "warmup_ms", 0),
        "result.json: altered",
    ),
    "an altered manifest": (
        lambda p: _edit(p / "manifest.json", "image", 0),
        "manifest.json: digest",
    ),
    "a later version": (
        lambda p: _edit(p / "manifest.json", "version", 2),
        "version = 2: must be 1",
    ),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json: cannot be read"),
    "no image": (lambda p: (p / "image").unlink(), "image: the image of this run is gone"),
}


@pytest.mark.parametrize("damage", RUN_DAMAGE)
@pytest.mark.parametrize("command", ["validate", "report"])
def test_damaged_run(damage: str, command: str, copy: Path) -> None:
    spoil, words = RUN_DAMAGE[damage]
    spoil(copy / "run")
    with unchanged(copy):
        refused(csnn(command, copy / "run"), str(copy / "run"), words)


def test_spikes_that_vouch_for_themselves_are_checked(copy: Path) -> None:
    image = open_image(copy / "image")
    for step, source, words in (
        ([300], [105], "neuron"),
        ([300, 300], [1], "equally long"),
        ([200], [1], "spikes.npz: step = 200: must be from 201 to 800, the steps of the run"),
        ([300, 801], [1, 1], "spikes.npz: step = 801: must be from 201 to 800"),
        ([-1], [1], "lists of numbers"),
    ):
        np.savez(copy / "run" / "spikes.npz", step=np.array(step), source=np.array(source))
        if min(step) > 0:
            arrays = {"step": np.array(step, np.uint32), "source": np.array(source, np.uint32)}
            np.savez(copy / "run" / "spikes.npz", **arrays)
        output.write_manifest(copy / "run", image)
        refused(csnn("validate", copy / "run"), words)
    (copy / "run" / "spikes.npz").write_bytes(b"PK\x03\x04 no archive")
    output.write_manifest(copy / "run", image)
    refused(csnn("validate", copy / "run"), "spikes.npz", "cannot be read")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warmup_ms": "20"}, "warmup_ms = '20': must be a number >= 0"),
        ({"warmup_ms": 0.05}, "run.warmup_ms = 0.05: must be a multiple"),
        ({"last_step": -1}, "last_step = -1: must be an integer >= 0"),
        ({"last_step": 200}, "must be from 201 to 200"),
        ({"time_ms": None}, "time_ms = None: must be a number > 0"),
        ({"record": "all"}, "record = 'all': must be a list of integers"),
        ({"timings": {"load_s": "x"}}, "timings = {'load_s': 'x'}: must be an object of numbers"),
        ({"image": {"bytes": "x"}}, "image = {'bytes': 'x'}: must be an object that holds bytes"),
        ({"fidelity": [3]}, "fidelity = [3]: must be a list of the errors"),
        ({"command": ["csnn"]}, "command = ['csnn']: must be a string or null"),
        ({"complete": 1}, "complete = 1: must be true or false"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "report", "simulate"])
def test_result_that_vouches_for_itself_is_checked(
    changes: dict[str, object], words: str, command: str, copy: Path
) -> None:
    path = copy / "run" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    output.write_manifest(copy / "run", open_image(copy / "image"))
    arguments = [command, copy / "run"]
    if command == "simulate":
        arguments = [command, copy / "image", "--resume", "--out", copy / "run"]
        words = words if "must be from" not in words else "belong to different runs"
    with unchanged(copy):
        refused(csnn(*arguments), words)


@pytest.mark.parametrize("name", ["step", "neuron", "V_mV", "words"])
def test_traces_that_vouch_for_themselves_are_checked(name: str, copy: Path) -> None:
    traced = ("--record", "0,1", "--checkpoint", "--out", copy / "run")
    succeed("simulate", copy / "image", *traced)
    path = copy / "run" / "traces.npz"
    with np.load(path) as data:
        arrays = dict(data)
    resume = ("simulate", copy / "image", "--resume", "--time-ms", "70", "--out", copy / "run")
    for changed in (arrays[name][:1], arrays[name].astype(np.float32), arrays[name][..., None]):
        np.savez(path, **{**arrays, name: changed})
        output.write_manifest(copy / "run", open_image(copy / "image"))
        with unchanged(copy):
            refused(csnn(*resume), "traces.npz: ", "is of another shape or type")
    np.savez(path, **{**arrays, "neuron": arrays["neuron"] + np.uint32(1)})
    output.write_manifest(copy / "run", open_image(copy / "image"))
    refused(csnn(*resume), "traces.npz: neuron: holds other neurons")


@pytest.mark.parametrize("command", ["validate", "report", "simulate"])
def test_spikes_out_of_order(command: str, copy: Path) -> None:
    path = copy / "run" / "spikes.npz"
    with np.load(path) as data:
        step, source = data["step"], data["source"]
    assert len(step) > 2
    np.savez(path, step=step, source=source)
    output.write_manifest(copy / "run", open_image(copy / "image"))
    resume = ("simulate", copy / "image", "--resume", "--time-ms", "70", "--out", copy / "run")
    arguments = resume if command == "simulate" else (command, copy / "run")
    for places in (slice(None, None, -1), [0, *range(len(step))]):
        np.savez(path, step=step[places], source=source[places])
        output.write_manifest(copy / "run", open_image(copy / "image"))
        with unchanged(copy):
            refused(csnn(*arguments), "spikes.npz: must ascend in step and source")


@pytest.mark.parametrize("name", ["manifest.json", "result.json", "spikes.npz"])
def test_pipes_in_place_of_files_do_not_hang(name: str, copy: Path) -> None:
    (copy / "run" / name).unlink()
    os.mkfifo(copy / "run" / name)
    refused(csnn("report", copy / "run"), f"{name}: is not a regular file")
    (copy / "image" / "manifest.json").unlink()
    os.mkfifo(copy / "image" / "manifest.json")
    refused(csnn("simulate", copy / "image", "--out", copy / "new"), "is not a regular file")


def test_a_run_of_another_image_is_not_judged_by_this_one(copy: Path) -> None:
    shutil.rmtree(copy / "image")
    succeed("generate", copy / "small.toml", "--seed", "8", "--out", copy / "image")
    refused(csnn("validate", copy / "run"), "is another image than the one that was simulated")
    outcome = csnn("simulate", copy / "image", "--resume", "--out", copy / "run")
    refused(outcome, "is a run of another image")


CHECKPOINT_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p, 400), "checkpoint.npz: altered"),
    "a cut one": (lambda p: os.truncate(p, 300), "checkpoint.npz: altered"),
    "none": (lambda p: p.unlink(), "checkpoint.npz: No such file"),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGE)
def test_damaged_checkpoint(damage: str, copy: Path) -> None:
    spoil, words = CHECKPOINT_DAMAGE[damage]
    spoil(copy / "run" / "checkpoint.npz")
    with unchanged(copy):
        refused(csnn("simulate", copy / "image", "--resume", "--out", copy / "run"), words)


def test_checkpoint_of_another_image(copy: Path) -> None:
    succeed("generate", copy / "small.toml", "--seed", "8", "--out", copy / "other")
    succeed("simulate", copy / "other", "--checkpoint", "--out", copy / "foreign")
    shutil.copy(copy / "foreign" / "checkpoint.npz", copy / "run")
    output.write_manifest(copy / "run", open_image(copy / "image"))
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--resume", "--out", copy / "run")
        refused(outcome, "checkpoint.npz", "belongs to another image")
