"""Recordings of NEST as files of spikes: arrays `sender` (from 0), `step`, and perhaps `timing`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError, reject
from csnn.files import reported, require_regular, sha256
from csnn.json_fields import (
    Kind,
    check_fields,
    is_count,
    is_not_negative,
    is_positive,
    is_positive_count,
    is_text,
)
from csnn.spec.pd14 import DT_MS

FEWEST = 3
ARRAYS = ("step", "sender")
_MS_STEPS = round(1.0 / DT_MS)
# So much of a recording may pass before its first and after its last spike; of small networks does.
_SILENT_MS = 5.0
# What is read of `timing`; all of it may be missing.
_TIMING: dict[str, tuple[Kind, str]] = {
    "seed": (is_count, "an integer >= 0"),
    "threads": (is_positive_count, "an integer >= 1"),
    **dict.fromkeys(("T_ms", "scale"), (is_positive, "a number > 0")),
    **dict.fromkeys(("warmup_ms", "sim_s", "rtf"), (is_not_negative, "a number >= 0")),
    **dict.fromkeys(("bg", "nest"), (is_text, "a string")),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class NestRecording:
    """What is known of a recording; its spikes are read when they are needed.

    Attributes
    ----------
    path : Path
    sha256 : str
    first_step, last_step : int
        What was recorded, in steps counted from 1: from the whole millisecond of the first spike
        to that of the last, or for as long as the file says.
    timing : dict
        What the file says of its simulation; empty if it says nothing.
    """

    path: Path
    sha256: str
    first_step: int
    last_step: int
    timing: dict[str, Any]

    def spikes(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return `step` and `sender` of every spike."""
        step, sender = output.read_arrays(self.path, *ARRAYS)
        return step, sender


def find_recordings(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are named, of folders every .npz in them, in order of their names.

    Raises
    ------
    InvalidInputError
        If a folder holds none, or fewer than three files are left: with fewer it is not known how
        far NEST realisations lie from each other.
    """
    found: list[Path] = []
    for path in paths:
        with reported(path):
            path.stat()
            inside = sorted(path.glob("*.npz")) if path.is_dir() else [path]
            # Hidden ones are half written.
            inside = [file for file in inside if not file.name.startswith(".") or file == path]
        if not inside:
            raise InvalidInputError(f"{path}: holds no .npz file")
        found.extend(inside)
    if len(found) < FEWEST:
        raise reject("--nest", len(found), f"must name {FEWEST} or more recordings")
    return found


def read_recordings(paths: Sequence[Path], *, scale: float = 1.0) -> list[NestRecording]:
    """Read what the recordings are.

    Parameters
    ----------
    paths : sequence of Path
    scale : float
        Of the network that is judged; a recording that tells another one is refused.

    Raises
    ------
    InvalidInputError
        If a file is missing, damaged, of another network or background, or there twice.
    """
    recordings = [_read(path, scale) for path in paths]
    for field in ("sha256", "seed"):
        seen: dict[Any, Path] = {}
        for recording in recordings:
            value = recording.sha256 if field == "sha256" else recording.timing.get("seed")
            if value is not None and value in seen:
                rule = f"is of the same {field} as {seen[value]}; realisations must differ"
                raise InvalidInputError(f"{recording.path}: {rule}")
            seen[value] = recording.path
    return recordings


def _read(path: Path, scale: float) -> NestRecording:
    require_regular(path)
    step, sender = output.read_arrays(path, *ARRAYS)
    for name, array in zip(ARRAYS, (step, sender), strict=True):
        if array.ndim != 1 or array.dtype.kind not in "ui" or array.size == 0:
            found = f"{array.dtype} {array.shape}"
            raise reject(f"{path}: {name}", found, "must be a list of integers, not empty")
    if step.size != sender.size:
        raise reject(f"{path}: sender", sender.size, f"must be as long as step ({step.size})")
    if int(step.min()) < 1:
        raise reject(f"{path}: step", int(step.min()), "must be >= 1")
    first = (int(step.min()) - 1) // _MS_STEPS * _MS_STEPS + 1
    last = -(-int(step.max()) // _MS_STEPS) * _MS_STEPS
    timing = _timing(path)
    covered_ms = (last - first + 1) * DT_MS
    told_ms = timing.get("T_ms", covered_ms)
    if not 0 <= told_ms - covered_ms <= _SILENT_MS:
        rule = f"must be the time that its spikes cover, {covered_ms:g} ms"
        raise reject(f"{path}: timing.T_ms", told_ms, rule)
    if "warmup_ms" in timing:
        first = round(timing["warmup_ms"] / DT_MS) + 1
    else:
        first = _begin_ms(first // _MS_STEPS, told_ms - covered_ms) * _MS_STEPS + 1
    last = first + round(told_ms / DT_MS) - 1
    if int(step.min()) < first or int(step.max()) > last:
        rule = f"its spikes are in the steps {int(step.min())} to {int(step.max())}"
        raise reject(f"{path}: timing.warmup_ms, T_ms", f"steps {first} to {last}", rule)
    for name, wanted, rule in (
        ("scale", scale, "as in the network that is judged"),
        ("bg", "poisson", "as in the network that is judged"),
    ):
        if name in timing and timing[name] != wanted:
            raise reject(f"{path}: timing.{name}", timing[name], f"must be {wanted}, {rule}")
    return NestRecording(
        path=path, sha256=sha256(path), first_step=first, last_step=last, timing=timing
    )


def _begin_ms(first_ms: int, silent_ms: float) -> int:
    """Return when a recording begins whose first spike is in a millisecond: a round number."""
    rounded = [first_ms // unit * unit for unit in (100, 10, 1)]
    return next(begin for begin in rounded if first_ms - begin <= silent_ms + 1e-6)


def _timing(path: Path) -> dict[str, Any]:
    """Return what a recording says of its making; nothing if it holds no `timing`."""
    with reported(path), np.load(path, allow_pickle=False) as arrays:
        if "timing" not in arrays.files:
            return {}
    (text,) = output.read_arrays(path, "timing")
    try:
        timing = json.loads(str(text))
    except (ValueError, RecursionError):
        timing = None
    if not isinstance(timing, dict):
        raise InvalidInputError(f"{path}: timing: must be a JSON object")
    check_fields(f"{path}: timing", timing, _TIMING, optional=_TIMING)
    return timing
