"""Checkpoints: round trip, and refusal in one line of everything that is not what was written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.image.store import Image, content_digest
from csnn.simulator.plain import PlainSimulator
from csnn.simulator.state import MachineState, load_checkpoint, save_checkpoint
from csnn.spec.network import FixedIndegree


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    network = networks.network(
        networks.projection("E", "I", FixedIndegree(indegree=4)),
        populations=(networks.population("E", 30), networks.population("I", 10)),
    )
    return networks.image(network, tmp_path_factory.mktemp("image") / "image")


@pytest.fixture(scope="module")
def state(image: Image) -> MachineState:
    simulator = PlainSimulator(image)
    simulator.run(20)
    return simulator.state()


@pytest.fixture
def path(image: Image, state: MachineState, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint.npz", state, image)
    return tmp_path / "checkpoint.npz"


def refusal(path: Path, image: Image) -> str:
    """Return the message of the refusal, after requiring that it is one line about the file."""
    with pytest.raises(InvalidInputError) as caught:
        load_checkpoint(path, image)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_round_trip(path: Path, image: Image, state: MachineState) -> None:
    assert state.delay_buffer.any()
    assert load_checkpoint(path, image).first_difference(state) is None


# A file that is left open would fail these tests: warnings are errors.


def test_a_cut_file_is_refused(path: Path, image: Image) -> None:
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        starts = [member.header_offset for member in archive.infolist()]
        starts.append(archive.start_dir)
    places = {0, 1, 2, 3, 4, *range(0, len(whole), 97), *range(len(whole) - 30, len(whole))}
    for start in starts:
        places |= {start - 1, start, start + 1, start + 4, start + 29, start + 30, start + 40}
    for place in sorted(place for place in places if 0 <= place < len(whole)):
        path.write_bytes(whole[:place])
        refusal(path, image)


def test_a_flipped_bit_is_refused_or_without_effect(
    path: Path, image: Image, state: MachineState
) -> None:
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    rng = np.random.default_rng(1)
    places = [*rng.integers(0, directory, 500), *rng.integers(directory, len(whole), 500)]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = load_checkpoint(path, image)
        except InvalidInputError:
            refusal(path, image)
            refused += 1
        else:
            # Dates and the like, which nothing reads.
            assert loaded.first_difference(state) is None
    assert refused > 600


def test_other_files_are_refused(path: Path, image: Image) -> None:
    for content in (b"", b"PK\x03\x04", b"\0" * 1000, b"{}", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        refusal(path, image)
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    refusal(path, image)
    np.savez(path, header=np.array([1, 2], dtype=object))
    refusal(path, image)
    path.unlink()
    assert "No such file" in refusal(path, image)
    path.mkdir()
    assert "Is a directory" in refusal(path, image)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the members of the file and leave its digests as they are."""
    with np.load(path) as data:
        members = {name: data[name] for name in data.files}
    change(members)
    np.savez(path, **members)


def with_header(**changes: Any) -> Callable[[dict[str, Any]], object]:
    def change(members: dict[str, Any]) -> None:
        header = {**json.loads(str(members["header"])), **changes}
        header["digest"] = content_digest(header)
        members["header"] = np.array(json.dumps(header))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("state"), "cannot be read"),
        (lambda m: m.update(header=np.array("no JSON")), "cannot be read"),
        (lambda m: m.update(header=np.array("[" * 100000)), "cannot be read"),
        (lambda m: m.update(header=np.array("[]")), "schema must be"),
        (lambda m: m.update(header=np.array('{"schema": NaN}')), "cannot be read"),
        (lambda m: m["state"].__setitem__((0, 0), 1), "digest"),
        (lambda m: m.update(step=m["step"] + 1), "digest"),
        (lambda m: m.update(state=m["state"].astype(np.uint64)), "digest"),
        (with_header(schema="csnn-image"), "schema must be"),
        (with_header(version=2), "version = 2: must be 1"),
        (with_header(version=[1]), "version = [1]: must be 1"),
        (with_header(arrays=None), "digest"),
        (with_header(image="0" * 64), "belongs to another image"),
    ],
)
def test_altered_contents_are_refused(
    path: Path, image: Image, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    rewrite(path, change)
    assert words in refusal(path, image)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": -1}, "step: must be from 0"),
        ({"step": 1.5}, "type of step = float64"),
        ({"step": np.array([1, 2])}, "shape of step = (2,): must be ()"),
        ({"state": np.zeros((3, 39), np.uint32)}, "shape of state = (3, 39): must be (3, 40)"),
        ({"refractory": np.zeros(40, np.int64)}, "type of refractory = int64"),
        ({"refractory": np.full(40, 2**31, np.uint32)}, "refractory: must be below 2^31"),
        ({"delay_buffer": np.full((64, 2, 40), 2**24, np.uint32)}, "delay_buffer: must be below"),
        ({"ext_states": np.zeros((3, 1), np.uint32)}, "shape of ext_states"),
        ({"ext_states": np.zeros((3, 8, 4), np.uint32)}, "ext_states: a generator"),
        ({"saturated": np.zeros(3, np.uint8)}, "type of saturated = uint8"),
    ],
)
def test_states_that_do_not_fit_the_image_are_refused(
    tmp_path: Path, image: Image, state: MachineState, changes: dict[str, Any], words: str
) -> None:
    # Such a file vouches for itself; compiled code must not trust it.
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, replace(state, **changes), image)
    assert words in refusal(path, image)
