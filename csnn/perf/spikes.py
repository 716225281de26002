"""The spikes that a machine is modelled with: those of a run, or of a simulation made for it."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError, reject
from csnn.image.store import Image
from csnn.perf.rows import read_rows
from csnn.perf.workload import Workload, make_workload
from csnn.progress import progress
from csnn.simulator.session import make_simulator, run_steps, whole_steps
from csnn.spec import checks
from csnn.spec.machine import Run

U32 = npt.NDArray[np.uint32]
MAX_STEPS = 10**6


def read_workload(
    options: argparse.Namespace, image: Image, *, default_ms: float | None = None
) -> Workload:
    """Return the work of the steps that the options of `add_spike_options` ask for.

    Parameters
    ----------
    options : argparse.Namespace
    image : Image
    default_ms : float, optional
        Model time without `--time-ms`; of a run that is shorter, all of it.

    Raises
    ------
    InvalidInputError
        If an option or the run breaks a rule.
    """
    step, source, first, steps = _spikes(options, image, default_ms)
    with progress(None, "read the rows"):
        return make_workload(image, step, source, first, steps, read_rows(image))


def run_spikes(directory: Path, image: Image) -> tuple[U32, U32, int, int]:
    """Return steps and sources of a run's spikes, its first step and how many there are.

    Raises
    ------
    InvalidInputError
        If there is no such run, or it is one of another image.
    """
    result = output.read_result(directory)
    if result["image_digest"] != image.digest:
        raise InvalidInputError(f"{directory}: is a run of another image than {image.path}")
    first = whole_steps("run", "warmup_ms", result["warmup_ms"], image.dt_ms) + 1
    step, source = output.read_spikes(directory)
    return step, source, first, result["last_step"] - first + 1


def _spikes(
    options: argparse.Namespace, image: Image, default_ms: float | None
) -> tuple[U32, U32, int, int]:
    """Return steps and sources of spikes, the first step and how many there are."""
    if options.run is not None:
        if options.warmup_ms is not None:
            raise reject("--warmup-ms", options.warmup_ms, "excludes --run, which has its own")
        if options.threads is not None:
            raise reject("--threads", options.threads, "excludes --run: nothing is simulated")
        directory = Path(options.run)
        step, source, first, steps = run_spikes(directory, image)
        if options.time_ms is not None:
            wanted = whole_steps("perf", "time_ms", options.time_ms, image.dt_ms)
            if wanted > steps:
                rule = f"must be within the {steps * image.dt_ms:g} ms of {directory}"
                raise reject("--time-ms", options.time_ms, rule)
            steps = wanted
        elif default_ms is not None:
            steps = min(steps, whole_steps("perf", "time_ms", default_ms, image.dt_ms))
    else:
        usual = 100.0 if default_ms is None else default_ms
        time_ms = usual if options.time_ms is None else options.time_ms
        warmup_ms = 500.0 if options.warmup_ms is None else options.warmup_ms
        checks.non_negative("perf", "warmup_ms", warmup_ms)
        warmup, end = run_steps(time_ms, warmup_ms, image.dt_ms)
        first, steps = warmup + 1, end - warmup
    if not 2 <= steps <= MAX_STEPS:
        rule = f"the model needs 2 to {MAX_STEPS} steps"
        raise reject("--time-ms", options.time_ms, f"{rule}; these are {steps}")
    if options.run is None:
        threads = (Run() if options.threads is None else Run(threads=options.threads)).threads
        with progress(None, "simulate the network"):
            simulator = make_simulator(image, threads=threads)
            simulator.run(warmup)
            recording = simulator.run(steps)
        step, source = recording.step, recording.source
    return step, source, first, steps
