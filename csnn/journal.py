"""The journal of a run: what a killed or failed process has recorded, and where to go on.

It lies in the directory `progress` of a run until the run's own files have taken its place. What it
is made of, see `csnn.journal_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from csnn import journal_files as files
from csnn.errors import InvalidInputError, reject
from csnn.files import remove_directory, remove_leftovers, reported, sync_directory
from csnn.image.store import Image
from csnn.journal_files import CHECKPOINT, SEGMENT, Segment, settings_of, summed
from csnn.simulator.recording import Recording, join
from csnn.simulator.session import whole_steps
from csnn.simulator.state import MachineState
from csnn.spec.machine import Run

DIRECTORY = "progress"
# How a command goes on whose `--resume` is an option.
GOING_ON = "continue with the same command and --resume"
# One may be damaged; the other then is the one before it.
_KEPT_CHECKPOINTS = 2
_EMPTY = np.empty(0, np.uint32)
_NOTHING = Recording(_EMPTY, _EMPTY, _EMPTY, 0)

Warn = Callable[[Sequence[str]], None]


def is_there(directory: Path) -> bool:
    """Return whether the directory of a run holds a journal.

    Raises
    ------
    InvalidInputError
        If its name is a link's: what that names is not the run's to remove.
    """
    folder = directory / DIRECTORY
    if folder.is_symlink():
        raise InvalidInputError(f"{folder}: is a symbolic link, must be a folder; remove the link")
    return any(files.steps(folder, kind) for kind in (SEGMENT, CHECKPOINT))


def require_none(directory: Path) -> None:
    """Raise InvalidInputError if `directory` holds a journal, which a new run would destroy."""
    if is_there(directory):
        folder = directory / DIRECTORY
        rule = "holds an unfinished run; continue it with --resume, or remove this folder"
        raise InvalidInputError(f"{folder}: {rule}")


def period_steps(period_ms: float, dt_ms: float) -> int:
    """Return the steps between two checkpoints; InvalidInputError unless they are at least one."""
    if not period_ms > 0:
        raise reject("--checkpoint-every", period_ms, "must be a number of ms > 0")
    try:
        return whole_steps("run", "checkpoint_every", period_ms, dt_ms)
    except InvalidInputError:
        rule = f"must be a multiple of dt_ms = {dt_ms:g}, below 2^32 steps"
        raise reject("--checkpoint-every", period_ms, rule) from None


def last_settings(directory: Path, image: Image) -> dict[str, Any] | None:
    """Return the settings that the newest intact segment states; None if there is none."""
    folder = directory / DIRECTORY
    for step in reversed(files.steps(folder, SEGMENT)):
        try:
            segment = files.read_segment(folder, step, image)
        except InvalidInputError:
            continue
        if segment.image == image.digest:
            return segment.settings
    return None


class Journal:
    """The journal of one run, to which its parts are appended.

    Parameters
    ----------
    directory : Path
        Directory of the run, locked by this process.
    image : Image
    settings : dict
        See `csnn.journal_files.settings_of`.
    segments : list of int
        Last steps of the segments that it holds.
    going_on : str
        What a user whose run fails is told to do.
    """

    def __init__(
        self,
        directory: Path,
        image: Image,
        settings: dict[str, Any],
        segments: Sequence[int] = (),
        going_on: str = GOING_ON,
    ) -> None:
        self.folder = directory / DIRECTORY
        self.image = image
        self.settings = settings
        self._segments = list(segments)
        self._going_on = going_on
        # What the last part recorded, nothing, and cost.
        self._rest: list[tuple[Recording, dict[str, float]]] = []

    @property
    def last_step(self) -> int:
        """Last step that is recorded; 0 if none is."""
        return self._segments[-1] if self._segments else 0

    def append(self, recording: Recording, state: MachineState, costs: Mapping[str, float]) -> None:
        """Write what was recorded since the last step, then the state after it.

        Raises
        ------
        InvalidInputError
            If the system refuses; what was written before stays, and the message says so.
        """
        if self._segments and state.step == self.last_step:
            # Nothing was left to do but to load the machine.
            self._rest = [(recording, dict(costs))]
            return
        segment = Segment(
            image=self.image.digest,
            settings=self.settings,
            first_step=self.last_step + 1,
            last_step=state.step,
            recording=recording,
            costs=dict(costs),
        )
        try:
            if not self.folder.is_dir():
                with reported(self.folder):
                    self.folder.mkdir()
                sync_directory(self.folder.parent)
            files.write_segment(self.folder, segment)
            files.write_checkpoint(self.folder, state, self.image)
            self._segments.append(state.step)
            kept = files.steps(self.folder, CHECKPOINT)[-_KEPT_CHECKPOINTS:]
            files.remove(self.folder, CHECKPOINT, lambda step: step < kept[0])
        except InvalidInputError as error:
            raise InvalidInputError(f"{error}; {self.kept()}") from None

    def kept(self) -> str:
        """Say what a failed run leaves, and how to go on."""
        if not self._segments:
            return "nothing is recorded yet"
        return f"recorded up to step {self.last_step}: {self._going_on}"

    def whole(self) -> tuple[Recording, dict[str, float]]:
        """Read back what all parts recorded, and what they cost."""
        segments = [files.read_segment(self.folder, step, self.image) for step in self._segments]
        parts = [*((segment.recording, segment.costs) for segment in segments), *self._rest]
        return join([recording for recording, _ in parts]), summed([costs for _, costs in parts])

    def remove(self) -> None:
        """Remove the journal."""
        if self.folder.is_dir():
            remove_directory(self.folder)


def recover(
    directory: Path,
    image: Image,
    run: Run,
    period: int | None,
    warn: Warn,
    going_on: str = GOING_ON,
) -> tuple[Journal, MachineState | None]:
    """Open the journal of an unfinished run where it can be continued.

    That is at its newest intact checkpoint before which all segments are intact. Newer files are
    removed; those that were refused stay under another name and are warned of.

    Parameters
    ----------
    directory : Path
    image : Image
    run : Run
        Must continue what the segments state.
    period : int or None
        Steps between two checkpoints; None: as it was.
    warn : callable
        Takes warnings.
    going_on : str
        As for `Journal`.

    Returns
    -------
    journal : Journal
    state : MachineState or None
        None if no checkpoint is of use: the journal is empty.

    Raises
    ------
    InvalidInputError
        If the journal is one of another image, or of other settings, or `period` is None and no
        checkpoint is of use; the journal stays as it was.
    """
    folder = directory / DIRECTORY
    remove_leftovers(folder)
    refused: list[tuple[str, int]] = []
    chain: list[Segment] = []
    for step in files.steps(folder, SEGMENT):
        try:
            segment = _next_segment(folder, step, image, chain)
            # All recordings together may be large, and are needed at the end only.
            chain.append(replace(segment, recording=_NOTHING))
        except InvalidInputError as error:
            warn([f"{error}; it is not used"])
            refused.append((SEGMENT, step))
            break
    if chain:
        _require_same(directory, chain[0], image, run)
    ends = [segment.last_step for segment in chain]
    state = None
    for step in reversed(files.steps(folder, CHECKPOINT)):
        try:
            state = files.read_checkpoint(folder, step, image)
            if step in ends:
                break
            path = files.path_of(folder, CHECKPOINT, step)
            raise InvalidInputError(f"{path}: the recording before it is not intact")
        except InvalidInputError as error:
            state = None
            warn([f"{error}; the checkpoint before it is used, if there is one"])
            refused.append((CHECKPOINT, step))
    if state is None and period is None:
        rule = "no checkpoint is of use; give the whole command again, with --checkpoint-every"
        raise InvalidInputError(f"{folder}: {rule}")
    last = state.step if state is not None else -1
    for kind, step in refused:
        files.set_aside(folder, kind, step)
    for kind in (CHECKPOINT, SEGMENT):
        files.remove(folder, kind, lambda step: step > last)
    settings = settings_of(run, period or (chain[-1].settings["period_steps"] if chain else 0))
    kept = [end for end in ends if end <= last]
    return Journal(directory, image, settings, kept, going_on), state


def _next_segment(folder: Path, step: int, image: Image, chain: Sequence[Segment]) -> Segment:
    """Read a segment, which must follow those of `chain`."""
    segment = files.read_segment(folder, step, image)
    path = files.path_of(folder, SEGMENT, step)
    first = chain[-1].last_step + 1 if chain else 1
    if segment.first_step != first:
        raise reject(f"{path}: first_step", segment.first_step, f"must be {first}: one is missing")
    if chain:
        same = all(segment.settings[name] == chain[0].settings[name] for name in _LASTING)
        if segment.image != chain[0].image or not same:
            raise InvalidInputError(f"{path}: belongs to another run")
    return segment


# What a run cannot change on its way.
_LASTING = ("warmup_ms", "record")


def _require_same(directory: Path, first: Segment, image: Image, run: Run) -> None:
    """Raise InvalidInputError unless `run` of `image` continues the run of a segment."""
    folder = directory / DIRECTORY
    if first.image != image.digest:
        raise InvalidInputError(f"{folder}: is of a run of another image than {image.path}")
    wanted = settings_of(run, 0)
    for name in _LASTING:
        if wanted[name] != first.settings[name]:
            rule = f"must be {first.settings[name]!r}, as in the run that {directory} resumes"
            raise reject(f"run.{name}", wanted[name], rule)
