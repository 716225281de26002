"""The stages of one seed: image, simulation, samples; each is kept, and reused if it is whole.

In the folder of a seed, `image` is removed when the run is done unless it is to be kept; `run`
holds spikes and result, as `csnn simulate` writes them; `samples.npz` holds FR, CV and CC with the
digest of the spikes that they are of; `made.json` names the computer and the versions that
simulated it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csnn import journal, output
from csnn.errors import InvalidInputError, reject
from csnn.files import MANIFEST_NAME, remove_directory, reported, require_kind
from csnn.image.origin import is_image_of
from csnn.image.store import Image, open_image
from csnn.journal import Warn
from csnn.progress import progress
from csnn.protocol.computer import describe_computer, describe_software
from csnn.protocol.samples import Populations, Samples, load_samples, save_samples, take_samples
from csnn.protocol.settings import Settings
from csnn.run import run_simulation
from csnn.spec.description import Description
from csnn.spec.machine import Run
from csnn.spec.toml import dumps
from csnn.validation.statistics import Window

Generate = Callable[..., Image]
IMAGE, RUN, SAMPLES, MADE = "image", "run", "samples.npz", "made.json"
# What is kept of the result of a run.
FACTS = ("neurons", "synapses", "spikes", "events", "rtf", "timings", "peak_mb", "mean_rates_hz",
         "image_digest", "command", "warnings", "manifest")  # fmt: skip
# Half a minute of wall time at full scale, which a kill may cost.
PERIOD_MS = 10_000.0


class Unfinished(Exception):
    """The simulation was interrupted and saved; the same command continues it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """What one seed gave.

    Attributes
    ----------
    seed : int
    windows : tuple of Samples
        One for each window that was asked for.
    facts : dict
        What the run measured, the SHA-256 of its spikes, and what it was `made` by: computer,
        tools and threads, None if that is not known.
    reused : bool
        Whether nothing had to be simulated.
    spent_s : float
        Wall time of this call.
    work_s : float
        Wall time of all that the seed took, what was done before it was resumed included.
    """

    seed: int
    windows: tuple[Samples, ...]
    facts: dict[str, Any]
    reused: bool
    spent_s: float
    work_s: float


def run_seed(
    seed: int,
    folder: Path,
    settings: Settings,
    description: Description,
    generate: Generate,
    windows: Sequence[Window],
    *,
    keep_image: bool = False,
    command: str | None = None,
    warn: Warn = lambda notes: None,
) -> Candidate:
    """Do what is not done yet of a seed.

    Parameters
    ----------
    seed : int
    folder : Path
        Of this seed.
    settings : Settings
    description : Description
        The network that must have been simulated.
    generate : callable
        `netgen.build.generate`.
    windows : sequence of Window
        To take samples of.
    keep_image : bool
        Leave the image where it is; that of a finished seed is made again if it is missing. Else it
        is removed, but not if the seed was finished before, by a command that kept it.
    command : str, optional
        To be recorded in the result of the run.
    warn : callable
        Takes warnings about damaged files that are passed over.

    Returns
    -------
    Candidate

    Raises
    ------
    InvalidInputError
        If the folder holds a run of something else, or a damaged one, or, where the image of a
        finished run is to be kept, something else lies in its place or it cannot be made again.
    Unfinished
        If Ctrl-C ended the simulation.
    """
    began = time.perf_counter()
    with reported(folder):
        folder.mkdir(exist_ok=True)
    run = settings.run(seed)
    network = _network_digest(description)
    # A run whose journal is there was killed, perhaps while its files took their names.
    unfinished = journal.is_there(folder / RUN)
    try:
        require_kind(folder / RUN, output.SCHEMA)
        result = None if unfinished else finished_run(folder / RUN, run, network)
    except InvalidInputError as error:
        hint = f"remove {folder / RUN}, and the same command simulates the seed again"
        raise InvalidInputError(f"{error}; {hint}") from None
    reused = result is not None
    if result is None:
        made = {"machine": describe_computer(), "tools": describe_software()}
        output.write_json(folder / MADE, {**made, "threads": settings.threads})
        # Of another run, if there are any; these would say that the seed was finished.
        with reported(folder / SAMPLES):
            (folder / SAMPLES).unlink(missing_ok=True)
        image = _image(folder / IMAGE, description, seed, settings.threads, generate)
        result = simulate_seed(image, run, folder / RUN, command, warn)
    elif keep_image:
        _restore_image(folder, description, result, settings.threads, generate)
    # Samples are made after it: while they are missing, nobody has finished the seed.
    if not keep_image and not (folder / SAMPLES).exists():
        _remove_image(folder / IMAGE)
    populations = [(p.name, p.size) for p in description.network.populations]
    simulated = time.perf_counter()
    samples, digest = _samples(folder, populations, windows, settings.recipe.all_pairs)
    facts = {name: result[name] for name in FACTS if name in result}
    facts |= {"spikes_sha256": digest, "made": _made(folder / MADE)}
    now = time.perf_counter()
    return Candidate(
        seed=seed,
        windows=samples,
        facts=facts,
        reused=reused,
        spent_s=now - began,
        work_s=max(now - began, sum(facts["timings"].values()) + now - simulated),
    )


def simulate_seed(
    image: Image, run: Run, directory: Path, command: str | None, warn: Warn
) -> dict[str, Any]:
    """Simulate a seed into its directory, or go on from where it was stopped or killed.

    Returns
    -------
    dict
        The content of result.json.

    Raises
    ------
    Unfinished
        If Ctrl-C stops it (again).
    """
    with output.prepared(directory):
        result = run_simulation(
            image,
            run,
            directory,
            resume=journal.is_there(directory) or (directory / output.CHECKPOINT).exists(),
            checkpoint_every_ms=PERIOD_MS,
            timings={"generate_s": image.manifest["generate_s"]},
            command=command,
            warn=warn,
            going_on="the same command continues",
        )
    if not result["complete"]:
        raise Unfinished
    return result


def _made(path: Path) -> dict[str, Any] | None:
    """Return what a seed was simulated by, the last part of it if it was resumed."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def is_finished(folder: Path) -> bool:
    """Tell whether the simulation of a seed seems to be over; its files are not checked."""
    try:
        result = json.loads((folder / RUN / output.RESULT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    complete = isinstance(result, dict) and result.get("complete") is True
    return complete and not journal.is_there(folder / RUN)


def _network_digest(description: Description) -> str:
    return hashlib.sha256(dumps(description).encode()).hexdigest()


def finished_run(directory: Path, run: Run, network_sha256: str) -> dict[str, Any] | None:
    """Return the result of a complete run; None if there is none or it was interrupted.

    Raises
    ------
    InvalidInputError
        If what is there is damaged, or is of another network or other settings.
    """
    if not (directory / output.RESULT).exists():
        return None
    result = output.read_result(directory)
    wanted: dict[str, Any] = {
        "seed": run.seed,
        "warmup_ms": run.warmup_ms,
        "time_ms": run.time_ms,
    }
    for name, value in wanted.items():
        if result[name] != value:
            raise reject(f"{directory / output.RESULT}: {name}", result[name], f"must be {value}")
    if result["manifest"].get("network") != network_sha256:
        raise InvalidInputError(f"{directory}: is a run of another network")
    if result["complete"]:
        return result
    if (directory / output.CHECKPOINT).exists():
        # What the simulation will go on from.
        output.check(directory, output.CHECKPOINT)
    return None


def _restore_image(
    folder: Path,
    description: Description,
    result: dict[str, Any],
    threads: int,
    generate: Generate,
) -> None:
    """Make the image of a finished run again if it is gone; what lies there is not replaced."""
    path, digest = folder / IMAGE, result["image_digest"]
    if os.path.lexists(path):
        hint = "move it away, and the same command makes the image again"
        try:
            image = open_image(path)
        except InvalidInputError as error:
            raise InvalidInputError(f"{error}; {hint}") from None
        if image.digest != digest:
            rule = f"is not the image that {folder / RUN} is a run of"
            raise InvalidInputError(f"{path}: {rule}; {hint}")
    else:
        image = generate(description, result["seed"], path, threads=threads)
        if image.digest != digest:
            remove_directory(path)
            rule = f"made again, it is not the image that {folder / RUN} is a run of"
            hint = "other versions of csnn or NumPy make another; go on without --keep-images"
            raise InvalidInputError(f"{path}: {rule}: {hint}")
    # The link names a whole path, and the folder may have been moved.
    output.link_image(folder / RUN, image)


def _remove_image(path: Path) -> None:
    # What a link names is somebody else's.
    if path.is_dir() and not path.is_symlink():
        remove_directory(path)


def _image(
    path: Path, description: Description, seed: int, threads: int, generate: Generate
) -> Image:
    """Return the image of a seed, made if it is not there, or not whole, or of something else."""
    if path.exists():
        try:
            image = open_image(path)
        except InvalidInputError:
            pass  # made again below
        else:
            if is_image_of(image, description, seed):
                return image
    if path.is_symlink():
        # The new one is to take its place, not that of what it names.
        with reported(path):
            path.unlink()
    return generate(description, seed, path, threads=threads)


def _samples(
    folder: Path, populations: Populations, windows: Sequence[Window], all_pairs: bool
) -> tuple[tuple[Samples, ...], str]:
    """Return the samples of a finished run, from their file if it is of the same spikes."""
    manifest = json.loads((folder / RUN / MANIFEST_NAME).read_bytes())
    digest = str(manifest["files"][output.SPIKES]["sha256"])
    key = {
        "spikes_sha256": digest,
        "windows": [(w.first_step, w.n_steps, w.dt_ms) for w in windows],
        "all_pairs": all_pairs,
        "populations": list(populations),
    }
    found = load_samples(folder / SAMPLES, key, populations, len(windows))
    if found is None:
        step, source = output.read_spikes(folder / RUN)
        with progress(len(windows), "statistics", "windows") as bar:
            taken = []
            for window in windows:
                taken.append(take_samples(step, source, populations, window, all_pairs=all_pairs))
                bar.update()
        found = tuple(taken)
        save_samples(folder / SAMPLES, key, found)
    return found, digest
