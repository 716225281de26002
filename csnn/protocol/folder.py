"""The output directory of a protocol: whose it is, one process at a time, what it vouches for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from csnn.directory_lock import held
from csnn.errors import InvalidInputError, reject
from csnn.files import (
    MANIFEST_NAME,
    remove_leftovers,
    reported,
    require_outside,
    sha256,
)
from csnn.image.store import content_digest, has_own_digest, tool_versions
from csnn.json_fields import Kind, check_fields, is_not_negative, is_positive, is_truth
from csnn.output import write_json

SCHEMA, VERSION = "csnn-protocol", 1
RESULT, REPORT, FIGURES, NEST = "protocol.json", "report.html", "figures", "nest"
_FIXED: dict[str, tuple[Kind, str]] = {
    "time_ms": (is_positive, "a number > 0"),
    "warmup_ms": (is_not_negative, "a number >= 0"),
    "all_pairs": (is_truth, "true or false"),
}


def seed_folder(directory: Path, seed: int) -> Path:
    """Return the folder of a seed."""
    return directory / f"seed_{seed}"


@contextmanager
def claimed(path: str | Path, fixed: Mapping[str, Any]) -> Iterator[Path]:
    """Hold the output directory of a protocol for this process alone.

    Parameters
    ----------
    path : str or Path
        Absent, empty, or the directory of an earlier command with the same `fixed` settings.
    fixed : mapping
        Settings that all seeds in it have in common.

    Yields
    ------
    Path

    Raises
    ------
    InvalidInputError
        If it is something else, of other settings, or another process is at work in it.
    """
    place = os.path.realpath(path)
    require_outside(place)
    with held(place, SCHEMA, partial(write_manifest, fixed=fixed), (NEST,)) as directory:
        _check_fixed(directory / MANIFEST_NAME, fixed)
        _clean(directory)
        yield directory


def _check_fixed(manifest: Path, fixed: Mapping[str, Any]) -> None:
    content = json.loads(manifest.read_bytes())
    if content.get("version") != VERSION:
        raise reject(f"{manifest}: version", content.get("version"), f"must be {VERSION}")
    earlier = content.get("settings")
    if not isinstance(earlier, dict) or not has_own_digest(content):
        rule = "digest: the manifest was altered or truncated; choose another directory"
        raise InvalidInputError(f"{manifest}: {rule}")
    check_fields(f"{manifest}: settings", earlier, _FIXED)
    for name, value in fixed.items():
        if earlier.get(name) != value:
            rule = f"must be {earlier.get(name)!r}, as before in {manifest.parent}"
            raise reject(f"protocol.{name}", value, rule)


def _clean(directory: Path) -> None:
    """Remove what a killed process left half written; nobody else is at work here."""
    inside = (directory / FIGURES, directory / NEST)
    for folder in (*inside, *directory.glob("seed_*"), *directory.glob("seed_*/run")):
        remove_leftovers(folder)


def keep_partial(directory: Path, content: dict[str, Any]) -> None:
    """Replace protocol.json, and remove report and figures, which are of an earlier command."""
    write_json(directory / RESULT, content)
    with reported(directory):
        (directory / REPORT).unlink(missing_ok=True)
        for figure in (directory / FIGURES).glob("*.png"):
            figure.unlink()


def write_manifest(directory: Path, fixed: Mapping[str, Any]) -> None:
    """Write the manifest of what the directory holds; seeds have digests of their own."""
    with reported(directory):
        files = {
            str(path.relative_to(directory)): sha256(path)
            for path in (
                directory / RESULT,
                directory / REPORT,
                *sorted((directory / FIGURES).glob("*.png")),
            )
            if path.is_file()
        }
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "tools": tool_versions(),
        "settings": dict(fixed),
        "files": files,
    }
    content["digest"] = content_digest(content)
    write_json(directory / MANIFEST_NAME, content)
