"""Reading a run's directory back: its spikes, its image, and what a run that continues it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError, located, reject
from csnn.image.store import Image, open_image
from csnn.neurons.registry import MODELS
from csnn.simulator.recording import Recording
from csnn.simulator.session import whole_steps
from csnn.simulator.state import MachineState, load_checkpoint
from csnn.spec.machine import Run
from csnn.spikes.trains import Spikes, numbered
from csnn.traces import physical_traces, resting_mV
from csnn.validation.statistics import Window

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Past:
    """What an earlier run in the directory recorded, its costs, and its last state."""

    recording: Recording
    costs: dict[str, float]
    state: MachineState


def read_past(directory: Path, image: Image, run: Run) -> Past:
    """Read the run that `run` continues."""
    earlier = _earlier(directory, image, run)
    state = load_checkpoint(directory / output.CHECKPOINT, image)
    if state.step != earlier["last_step"]:
        raise InvalidInputError(f"{directory}: checkpoint and result belong to different runs")
    step, source = checked_spikes(directory, earlier, image)
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    words = _earlier_words(directory, image, run, max(0, state.step - warmup))
    recording = Recording(step, source, words, earlier["events"])
    return Past(recording, {**earlier["timings"], "peak_mb": earlier["peak_mb"]}, state)


def _earlier(directory: Path, image: Image, run: Run) -> dict[str, Any]:
    """Return the result of the run to be resumed, after checking that `run` continues it."""
    result = output.read_result(directory)
    if result["image_digest"] != image.digest:
        raise InvalidInputError(f"{directory}: is a run of another image than {image.path}")
    for field, value in (("warmup_ms", run.warmup_ms), ("record", list(run.record))):
        if result[field] != value:
            rule = f"must be {result[field]!r}, as in the run that {directory} resumes"
            raise reject(f"run.{field}", value, rule)
    output.check(directory, output.CHECKPOINT, *([output.TRACES] if run.record else []))
    return result


def _earlier_words(directory: Path, image: Image, run: Run, n_steps: int) -> U32:
    """Return the traced words of the run to be resumed, after checking all of its traces."""
    model = MODELS[image.manifest["model"]]
    words = np.empty((n_steps, len(model.float_states) + 2, len(run.record)), np.uint32)
    if not run.record:
        return words
    path = directory / output.TRACES
    like = physical_traces(image, run, words[:0], resting_mV(image, run))
    before = dict(zip(like, output.read_arrays(path, *like), strict=True))
    for name, part in like.items():
        shape = part.shape if name == "neuron" else (n_steps, *part.shape[1:])
        if before[name].shape != shape or before[name].dtype != part.dtype:
            raise InvalidInputError(f"{path}: {name}: is of another shape or type than a trace")
    if not np.array_equal(before["neuron"], like["neuron"]):
        raise InvalidInputError(f"{path}: neuron: holds other neurons than the run recorded")
    traced: U32 = before["words"]
    return traced


def recorded_spikes(directory: Path) -> Spikes:
    """Read the spikes of a run, with its populations and the steps that it recorded.

    Raises
    ------
    InvalidInputError
        If the directory holds no run, or nothing was simulated after the warm-up.
    """
    return spikes_of(directory, output.read_result(directory))


def spikes_of(directory: Path, result: dict[str, Any]) -> Spikes:
    """Read the spikes of a run whose result is known; raises as `recorded_spikes`."""
    image = image_of(directory, result)
    step, source = checked_spikes(directory, result, image)
    warmup = whole_steps("run", "warmup_ms", result["warmup_ms"], image.dt_ms)
    n_steps = result["last_step"] - warmup
    if n_steps <= 0:
        raise InvalidInputError(f"{directory}: nothing was simulated after the warm-up")
    window = Window(first_step=warmup + 1, n_steps=n_steps, dt_ms=image.dt_ms)
    try:
        return Spikes(
            step=step, source=source, populations=numbered(image.populations), window=window
        )
    except InvalidInputError as error:
        raise located(str(directory / output.SPIKES), error) from None


def checked_spikes(directory: Path, result: dict[str, Any], image: Image) -> tuple[U32, U32]:
    """Read the spikes of a run; InvalidInputError if one is out of its time or out of order."""
    step, source = output.read_spikes(directory)
    first = whole_steps("run", "warmup_ms", result["warmup_ms"], image.dt_ms) + 1
    outside = (step < first) | (step > result["last_step"])
    if outside.any():
        rule = f"must be from {first} to {result['last_step']}, the steps of the run"
        raise reject(f"{directory / output.SPIKES}: step", int(step[outside][0]), rule)
    order = step.astype(np.uint64) << np.uint64(32) | source
    if (order[1:] <= order[:-1]).any():
        raise InvalidInputError(f"{directory / output.SPIKES}: must ascend in step and source")
    return step, source


def image_of(directory: Path, result: dict[str, Any]) -> Image:
    """Open the image that was simulated; InvalidInputError if it is gone, or another lies there."""
    path = directory / output.IMAGE_DIRECTORY
    if not path.exists():
        seed, place, rule = result["seed"], path, "the image of this run is gone"
        if path.is_symlink():
            place = path.readlink()
            rule = f"there is no image at {place} (ln -sfn names another place)"
        raise InvalidInputError(
            f"{path}: {rule}; csnn generate NETWORK --seed {seed} --out {place} makes it again, "
            "with the options that made it; for a seed of a protocol, the protocol's command with "
            "--keep-images"
        )
    image = open_image(path, verify=False)
    if image.digest != result["image_digest"]:
        raise InvalidInputError(f"{path}: is another image than the one that was simulated")
    return image
