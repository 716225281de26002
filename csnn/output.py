"""The output directory of a run: spikes, traces, result, checkpoint, and the manifest over them.

A run's files are written under temporary names and renamed together, so that the directory holds
one run, complete, or the one before. What the files of an earlier run no longer describe (its
report, its traces) is removed with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.directory_lock import held
from csnn.errors import InvalidInputError, reject
from csnn.files import (
    MANIFEST_NAME,
    atomic_file,
    reported,
    require_regular,
    sha256,
)
from csnn.image.store import (
    Image,
    content_digest,
    has_own_digest,
    is_weight_unit,
    tool_versions,
)
from csnn.json_fields import (
    Kind,
    anything,
    check_fields,
    is_count,
    is_fidelity,
    is_not_negative,
    is_positive,
    is_real,
    is_text,
    is_truth,
    list_of,
    object_of,
    or_null,
)

U32 = npt.NDArray[np.uint32]
Writer = Callable[[Path], object]
SCHEMA = "csnn-run"
RESULT_SCHEMA = "csnn-result"
VERSION = 1
_U32 = np.dtype(np.uint32)
IMAGE_DIRECTORY = "image"
SPIKES, TRACES = "spikes.npz", "traces.npz"
RESULT, CHECKPOINT, REPORT = "result.json", "checkpoint.npz", "report.html"
STATISTICS, FIGURES = "statistics.json", "figures"
_MAX_JSON_BYTES = 64 * 2**20


def _is_period(value: Any) -> bool:
    return is_count(value) and value > 0


def _is_image(value: Any) -> bool:
    return (
        object_of(anything, "bytes")(value)
        and is_count(value["bytes"])
        and or_null(is_count)(value.get("explicit_bytes"))
    )


_COUNT, _TEXT = (is_count, "an integer >= 0"), (is_text, "a string")
_TEXTS, _REALS = (
    (list_of(is_text), "a list of strings"),
    (object_of(is_real), "an object of numbers"),
)
# What is read of a result.
_RESULT_FIELDS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys(("network", "simulator", "image_digest"), _TEXT),
    "command": (or_null(is_text), "a string or null"),
    **dict.fromkeys(
        ("neurons", "synapses", "nodes", "seed", "threads", "last_step", "spikes", "events"), _COUNT
    ),
    "time_ms": (is_positive, "a number > 0"),
    **dict.fromkeys(("warmup_ms", "peak_mb", "events_per_s"), (is_not_negative, "a number >= 0")),
    "rtf": (or_null(is_real), "a number or null"),
    "record": (list_of(is_count), "a list of integers >= 0"),
    "complete": (is_truth, "true or false"),
    "mean_rates_hz": _REALS,
    "timings": _REALS,
    **dict.fromkeys(("notes", "warnings"), _TEXTS),
    "image": (_is_image, "an object that holds bytes"),
    "weight_unit": (is_weight_unit, "pA, nS, mV or 1"),
    "fidelity": (is_fidelity, "a list of the errors of each projection's tables"),
    "manifest": (object_of(anything), "an object"),
    "checkpoint_every_steps": (or_null(_is_period), "an integer >= 1 or null"),
}
# Results of earlier versions are without it.
_OPTIONAL_FIELDS = ("checkpoint_every_steps",)


@contextmanager
def prepared(path: str | Path) -> Iterator[Path]:
    """Create the output directory, or accept an empty one or one of an earlier run.

    Until the body ends no other process can do the same. What a killed one left under temporary
    names is removed. If the body raises, so is what was created here, unless the body put files
    there.

    Yields
    ------
    Path
        The directory.

    Raises
    ------
    InvalidInputError
        If it cannot be created or written to, holds something else, or another process is writing
        there.
    """
    with held(path, SCHEMA, lambda directory: write_manifest(directory, None)) as directory:
        yield directory


def write_manifest(directory: Path, image: Image | None) -> None:
    """Write the manifest of what the directory holds now."""
    write_json(directory / MANIFEST_NAME, _manifest(directory, image))


def _manifest(
    directory: Path,
    image: Image | None,
    new: Mapping[str, Path] | None = None,
    stale: Collection[str] = (),
) -> dict[str, Any]:
    """Describe the directory as it will be with the files `new` and without those of `stale`."""
    with reported(directory):
        paths = {
            path.name: path
            for path in directory.iterdir()
            if path.is_file() and path.name not in stale and not path.name.startswith(".tmp-")
        }
        paths.pop(MANIFEST_NAME, None)
        paths.update(new or {})
        files = {
            name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for name, path in sorted(paths.items())
        }
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "tools": tool_versions(),
        "image": image.digest if image else None,
        "files": files,
    }
    manifest["digest"] = content_digest(manifest)
    return manifest


def check(directory: Path, *names: str) -> None:
    """Compare files with the directory's manifest.

    Raises
    ------
    InvalidInputError
        If the directory or its manifest is not one of a run, or a file is missing or altered.
    """
    where = directory / MANIFEST_NAME
    manifest = _read_json(where)
    if manifest.get("schema") != SCHEMA:
        raise InvalidInputError(f"{where}: schema must be {SCHEMA!r}: not a directory of a run")
    if manifest.get("version") != VERSION:
        raise reject(f"{where}: version", manifest.get("version"), f"must be {VERSION}")
    if not has_own_digest(manifest) or not isinstance(manifest.get("files"), dict):
        raise InvalidInputError(f"{where}: digest: the manifest was altered or truncated")
    for name in names:
        entry = manifest["files"].get(name)
        if not isinstance(entry, dict):
            raise InvalidInputError(f"{directory}: holds no {name}: nothing was simulated there")
        if sha256(directory / name) != entry.get("sha256"):
            rule = "its SHA-256 is not the manifest's"
            raise InvalidInputError(f"{directory / name}: altered: {rule}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(encode_json(content))


def encode_json(content: dict[str, Any]) -> bytes:
    """Return an object as strict JSON text."""
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    require_regular(path)
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise InvalidInputError(f"{path}: larger than {_MAX_JSON_BYTES} bytes")
        content = json.loads(path.read_text("utf-8"))
        # Python reads numbers that are none, which JSON does not know.
        json.dumps(content, allow_nan=False)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not valid JSON"
        raise InvalidInputError(f"{path}: cannot be read ({reason})") from None
    if not isinstance(content, dict):
        raise InvalidInputError(f"{path}: must hold a JSON object")
    return content


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file; equal arrays make equal bytes."""
    members: dict[str, Any] = dict(arrays)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **members)
        file.flush()
        os.fsync(file.fileno())


def write_spikes(directory: Path, step: U32, source: U32) -> None:
    """Write spikes.npz: `step` (from 1, warm-up counted) and `source` (global neuron number)."""
    with atomic_file(directory / SPIKES) as temporary:
        write_arrays(temporary, {"step": step, "source": source})


def write_run(directory: Path, contents: Mapping[str, Writer], image: Image) -> None:
    """Replace the run in `directory` by one of `image`.

    `contents` maps the name of each file to what writes it to a given path. Other files of an
    earlier run are removed.
    """
    stale = {TRACES, CHECKPOINT, REPORT, STATISTICS} - set(contents)
    with _replacing(directory, contents, image, stale):
        link_image(directory, image)
        for name in stale:
            with reported(directory / name):
                (directory / name).unlink(missing_ok=True)
        with reported(directory / FIGURES):
            if (directory / FIGURES).is_dir():
                shutil.rmtree(directory / FIGURES)


def write_result(directory: Path, result: dict[str, Any], image: Image) -> None:
    """Replace result.json, and the manifest with it."""
    with _replacing(directory, {RESULT: partial(write_json, content=result)}, image):
        pass


@contextmanager
def _replacing(
    directory: Path,
    contents: Mapping[str, Writer],
    image: Image,
    stale: Collection[str] = (),
) -> Iterator[None]:
    """Write files and their manifest; after the body, let all of them take their names."""
    with ExitStack() as stack:
        # Contexts end in reverse order: the manifest, which vouches for the rest, comes last.
        temporary = {
            name: stack.enter_context(atomic_file(directory / name))
            for name in (MANIFEST_NAME, *contents)
        }
        manifest = temporary.pop(MANIFEST_NAME)
        for name, write in contents.items():
            _write(write, temporary[name], directory / name)
        content = _manifest(directory, image, temporary, stale)
        _write(partial(write_json, content=content), manifest, directory / MANIFEST_NAME)
        yield


def _write(write: Writer, temporary: Path, final: Path) -> None:
    """Write a file under a temporary name that messages must not show."""
    try:
        with reported(final, temporary):
            write(temporary)
    except InvalidInputError as error:
        raise InvalidInputError(str(error).replace(str(temporary), str(final))) from None


def read_arrays(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    """Read arrays of an .npz file; InvalidInputError if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return [np.asarray(data[name]) for name in names]
    except OSError as error:
        reason = error.strerror or "damaged"
        raise InvalidInputError(f"{path}: cannot be read ({reason})") from None
    except Exception:
        # Damaged bytes make zipfile, zlib and NumPy's parser raise types of their own.
        raise InvalidInputError(f"{path}: cannot be read (damaged or another file)") from None


def read_spikes(directory: Path) -> tuple[U32, U32]:
    """Read spikes.npz.

    Raises
    ------
    InvalidInputError
        If it is missing or damaged.
    """
    path = directory / SPIKES
    step, source = read_arrays(path, "step", "source")
    if step.shape != source.shape or step.ndim != 1 or {step.dtype, source.dtype} != {_U32}:
        rule = "must be equally long lists of numbers (uint32)"
        raise InvalidInputError(f"{path}: step and source {rule}")
    return step, source


def read_result(directory: Path) -> dict[str, Any]:
    """Read result.json; InvalidInputError if there is no run, or its result or spikes changed."""
    check(directory, RESULT, SPIKES)
    content = _read_json(directory / RESULT)
    if content.get("schema") != RESULT_SCHEMA:
        raise InvalidInputError(f"{directory / RESULT}: schema must be {RESULT_SCHEMA!r}")
    check_fields(directory / RESULT, content, _RESULT_FIELDS, optional=_OPTIONAL_FIELDS)
    return content


@contextmanager
def own_image(directory: Path) -> Iterator[Path]:
    """Yield the path for an image of the directory's own.

    A link to an image elsewhere is taken away first, lest what it names be replaced, and put back
    if the body raises.
    """
    path = directory / IMAGE_DIRECTORY
    with reported(path):
        target = path.readlink() if path.is_symlink() else None
        if target is not None:
            path.unlink()
    try:
        yield path
    except BaseException:
        with contextlib.suppress(OSError):
            if target is not None and not path.exists():
                path.symlink_to(target, target_is_directory=True)
        raise


def check_link(directory: Path, image: Image) -> None:
    """Raise InvalidInputError if `directory` holds another image than `image` itself."""
    path = directory / IMAGE_DIRECTORY
    own = path.exists() and not path.is_symlink()
    if own and path.resolve() != image.path.resolve():
        raise InvalidInputError(f"{path}: exists and is not {image.path}; choose another directory")


def link_image(directory: Path, image: Image) -> None:
    """Make the image reachable as `directory`/image, so that validate and report find it."""
    check_link(directory, image)
    path = directory / IMAGE_DIRECTORY
    if path.resolve() == image.path.resolve():
        return
    with reported(path):
        path.unlink(missing_ok=True)
        path.symlink_to(image.path.resolve(), target_is_directory=True)
