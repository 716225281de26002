"""The output directory of a run: spikes, traces, result, checkpoint, and the manifest over them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.files import MANIFEST_NAME, atomic_file, is_own_directory, reported, sha256
from csnn.image.store import Image, content_digest, tool_versions

U32 = npt.NDArray[np.uint32]
SCHEMA = "csnn-run"
VERSION = 1
IMAGE_DIRECTORY = "image"
SPIKES, TRACES = "spikes.npz", "traces.npz"
RESULT, CHECKPOINT, REPORT = "result.json", "checkpoint.npz", "report.html"


def prepare(path: str | Path) -> Path:
    """Create the output directory, or accept an empty one or one of an earlier run.

    Raises
    ------
    InvalidInputError
        If it cannot be created or holds something else.
    """
    directory = Path(path)
    with reported(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if not is_own_directory(directory):
            raise InvalidInputError(
                f"{path}: exists and was not written by csnn (no {MANIFEST_NAME} of its own); "
                "choose another name or remove it"
            )
        # Claims the directory, so that an interrupted run can be repeated into it.
        write_manifest(directory, None)
    return directory


def write_manifest(directory: Path, image: Image | None) -> None:
    """Write the manifest of what the directory holds now."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith(".tmp-")
    }
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "tools": tool_versions(),
        "image": image.digest if image else None,
        "files": files,
    }
    manifest["digest"] = content_digest(manifest)
    write_json(directory / MANIFEST_NAME, manifest)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


def write_spikes(directory: Path, step: U32, source: U32) -> None:
    """Write spikes.npz: `step` (from 1, warm-up counted) and `source` (global neuron number)."""
    with atomic_file(directory / SPIKES) as temporary, temporary.open("wb") as file:
        np.savez(file, step=step, source=source)


def read_spikes(directory: Path) -> tuple[U32, U32]:
    """Read spikes.npz.

    Raises
    ------
    InvalidInputError
        If it is missing or damaged.
    """
    path = directory / SPIKES
    try:
        with np.load(path, allow_pickle=False) as data:
            step, source = data["step"], data["source"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "damaged or not a spike file"
        raise InvalidInputError(f"{path}: cannot be read ({reason})") from None
    if (
        step.shape != source.shape
        or step.ndim != 1
        or {step.dtype.kind, source.dtype.kind} != {"u"}
    ):
        raise InvalidInputError(f"{path}: step and source must be equally long lists of numbers")
    return step.astype(np.uint32), source.astype(np.uint32)


def read_result(directory: Path) -> dict[str, Any]:
    """Read result.json; InvalidInputError if it is missing or damaged."""
    path = directory / RESULT
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not valid JSON"
        raise InvalidInputError(f"{path}: cannot be read ({reason})") from None
    if not isinstance(content, dict) or content.get("schema") != "csnn-result":
        raise InvalidInputError(f"{path}: schema must be 'csnn-result'")
    return content


def link_image(directory: Path, image: Image) -> None:
    """Make the image reachable as `directory`/image, so that validate and report find it."""
    link = directory / IMAGE_DIRECTORY
    if link.resolve() == image.path.resolve():
        return
    with reported(link):
        if link.is_symlink():
            link.unlink()
        if link.exists():
            raise InvalidInputError(f"{link}: exists and is another image")
        link.symlink_to(image.path.resolve(), target_is_directory=True)
