"""Files of a journal: parts of a recording and checkpoints, each written whole and made durable.

`segment-NNNNNNNNNN.npz` holds what was recorded up to a step, `checkpoint-NNNNNNNNNN.npz` the state
after it. A name is given to nothing but a complete file, and a segment has its name before its
checkpoint has. Only a power failure can leave a checkpoint without its recording; it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from csnn.errors import InvalidInputError, reject
from csnn.files import reported, sync_directory
from csnn.image.store import Image
from csnn.json_fields import (
    Kind,
    check_fields,
    is_count,
    is_not_negative,
    is_positive,
    is_positive_count,
    list_of,
    object_of,
)
from csnn.neurons.registry import MODELS
from csnn.sealed import read_sealed, write_sealed
from csnn.simulator.recording import Recording
from csnn.simulator.session import whole_steps
from csnn.simulator.state import MachineState, load_checkpoint, save_checkpoint
from csnn.spec.machine import Run

SCHEMA = "csnn-segment"
VERSION = 1
SEGMENT, CHECKPOINT = "segment", "checkpoint"
_NAME = re.compile(r"(segment|checkpoint)-([0-9]{10})\.npz")
_COSTS = ("load_s", "warmup_s", "simulate_s", "peak_mb")
_COUNT = (is_count, "an integer >= 0")
_FIELDS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys(("first_step", "last_step", "events"), _COUNT),
    **dict.fromkeys(("threads", "period_steps"), (is_positive_count, "an integer >= 1")),
    "time_ms": (is_positive, "a number > 0"),
    "warmup_ms": (is_not_negative, "a number >= 0"),
    "record": (list_of(is_count), "a list of integers >= 0"),
    "costs": (object_of(is_not_negative, *_COSTS), f"an object of {', '.join(_COSTS)}"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """What was recorded in consecutive steps, and of which run.

    Attributes
    ----------
    image : str
        Digest of the image.
    settings : dict
        `time_ms`, `warmup_ms`, `record`, `threads` and `period_steps` of the run.
    first_step, last_step : int
        First and last step of the segment, of the warm-up if it lies in that. The segment that a
        journal begins with ends before step 1.
    recording : Recording
        Of its steps after the warm-up.
    costs : dict of str to float
        Wall times in s of the part and peak memory in MB, as a result names them.
    """

    image: str
    settings: dict[str, Any]
    first_step: int
    last_step: int
    recording: Recording
    costs: dict[str, float]


def settings_of(run: Run, period_steps: int) -> dict[str, Any]:
    """Return the settings of a run as its segments state them."""
    return {
        "time_ms": run.time_ms,
        "warmup_ms": run.warmup_ms,
        "record": list(run.record),
        "threads": run.threads,
        "period_steps": period_steps,
    }


def path_of(folder: Path, kind: str, step: int) -> Path:
    """Return the path of the segment or checkpoint that ends with `step`."""
    return folder / f"{kind}-{step:010d}.npz"


def steps(folder: Path, kind: str) -> list[int]:
    """Return the last steps of all files of a kind, ascending; none if there is no folder."""
    with reported(folder):
        if not folder.is_dir():
            return []
        matches = [_NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(int(match[2]) for match in matches if match and match[1] == kind)


def write_segment(folder: Path, segment: Segment) -> None:
    """Write a segment; its content is durable, its name when the folder is synchronised."""
    recording = segment.recording
    header = {
        "schema": SCHEMA,
        "version": VERSION,
        "image": segment.image,
        **segment.settings,
        "first_step": segment.first_step,
        "last_step": segment.last_step,
        "events": int(recording.events),
        "costs": segment.costs,
    }
    arrays = {"step": recording.step, "source": recording.source, "traces": recording.traces}
    write_sealed(path_of(folder, SEGMENT, segment.last_step), header, arrays)


def read_segment(folder: Path, last_step: int, image: Image) -> Segment:
    """Read the segment that ends with `last_step`.

    Raises
    ------
    InvalidInputError
        If it is missing, damaged, another's under this name, or not of neurons and steps of
        `image`. Whether its image is this one is left to the caller.
    """
    path = path_of(folder, SEGMENT, last_step)
    header, arrays = read_sealed(path, SCHEMA, VERSION, ("step", "source", "traces"), SEGMENT)
    check_fields(path, header, _FIELDS)
    if not header["first_step"] - 1 <= header["last_step"] == last_step:
        raise reject(f"{path}: last_step", header["last_step"], "must be that of its name")
    segment = Segment(
        image=str(header.get("image")),
        settings={name: header[name] for name in settings_of(Run(), 0)},
        first_step=header["first_step"],
        last_step=header["last_step"],
        recording=Recording(arrays["step"], arrays["source"], arrays["traces"], header["events"]),
        costs={name: float(cost) for name, cost in header["costs"].items()},
    )
    fault = _fault(segment, image)
    if fault is not None:
        raise InvalidInputError(f"{path}: {fault}")
    return segment


def _fault(segment: Segment, image: Image) -> str | None:
    """Return the rule that a segment breaks although it vouches for itself, None if none."""
    recording, settings = segment.recording, segment.settings
    warmup = whole_steps("run", "warmup_ms", settings["warmup_ms"], image.dt_ms)
    first = max(segment.first_step, warmup + 1)
    step, source, traces = recording.step, recording.source, recording.traces
    if {array.dtype for array in (step, source, traces)} != {np.dtype(np.uint32)}:
        return "step, source and traces: must be of type uint32"
    if step.ndim != 1 or step.shape != source.shape:
        return "step and source: must be equally long lists"
    words = len(MODELS[image.manifest["model"]].float_states) + 2
    n_steps = max(0, segment.last_step + 1 - first)
    shape = (n_steps, words, len(settings["record"]))
    if traces.shape != shape:
        return f"traces: shape {traces.shape}: must be {shape}"
    if len(step) == 0:
        return None
    order = step.astype(np.uint64) << np.uint64(32) | source
    if step[0] < first or step[-1] > segment.last_step or (order[1:] <= order[:-1]).any():
        return f"step: must ascend from {first} to {segment.last_step}, and source within a step"
    return None if source.max() < image.n_neurons else "source: must be neurons of the image"


def write_checkpoint(folder: Path, state: MachineState, image: Image) -> None:
    """Write a checkpoint, and make durable which files the folder holds."""
    save_checkpoint(path_of(folder, CHECKPOINT, state.step), state, image)
    sync_directory(folder)


def read_checkpoint(folder: Path, step: int, image: Image) -> MachineState:
    """Read the checkpoint of `step`.

    Raises
    ------
    InvalidInputError
        If it is missing, damaged, of another image, or another's under this name.
    """
    path = path_of(folder, CHECKPOINT, step)
    state = load_checkpoint(path, image)
    if state.step != step:
        raise reject(f"{path}: step", state.step, "must be that of its name")
    return state


def remove(folder: Path, kind: str, which: Callable[[int], bool]) -> None:
    """Remove the files of a kind whose step `which` accepts."""
    for step in steps(folder, kind):
        if which(step):
            path = path_of(folder, kind, step)
            with reported(path):
                path.unlink(missing_ok=True)


def set_aside(folder: Path, kind: str, step: int) -> None:
    """Rename a file that was refused: it is out of the way, and can be looked at."""
    path = path_of(folder, kind, step)
    with reported(path):
        path.rename(path.with_name(f"refused-{path.name}"))


def summed(parts: list[Mapping[str, float]]) -> dict[str, float]:
    """Add up the wall times of parts; of peak memory and generation, which all share, the most."""
    total = dict.fromkeys(_COSTS, 0.0)
    for costs in parts:
        for name, cost in costs.items():
            shared = name in ("peak_mb", "generate_s")
            before = total.get(name, 0.0)
            total[name] = max(before, cost) if shared else before + cost
    return total
