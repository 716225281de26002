"""The stages of a run after its image exists: simulate, validate, report."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from csnn import journal, output
from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.journal_files import summed
from csnn.memory import peak_mb
from csnn.neurons.registry import MODELS
from csnn.progress import progress
from csnn.recorded import Past, image_of, read_past, spikes_of
from csnn.result import content_of, neuron_model, populations_of
from csnn.simulator import division
from csnn.simulator.recording import Recording, join
from csnn.simulator.session import (
    Session,
    simulate,
    simulate_parts,
    whole_steps,
)
from csnn.simulator.state import (
    initial_state,
    save_checkpoint,
)
from csnn.spec.machine import Run
from csnn.traces import physical_traces, resting_mV
from csnn.validation.baseline import Baseline, choose_duration, has_baseline
from csnn.validation.criteria import Verdict, judge_spikes
from csnn.validation.statistics import Statistics, compute_statistics

if TYPE_CHECKING:
    from csnn.simulator.divided import Team

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Validation:
    """Statistics of a run, and the verdict where a baseline exists."""

    statistics: Statistics
    baseline: Baseline | None
    verdict: Verdict | None
    note: str


def run_simulation(
    image: Image,
    run: Run,
    directory: Path,
    *,
    kind: str = "fast",
    resume: bool = False,
    checkpoint: bool = False,
    checkpoint_every_ms: float | None = None,
    timings: dict[str, float] | None = None,
    command: str | None = None,
    warn: journal.Warn = lambda notes: None,
    going_on: str = journal.GOING_ON,
    team: Team | None = None,
) -> dict[str, Any]:
    """Simulate an image into `directory`.

    Writes spikes.npz, traces.npz (if neurons are recorded), result.json, the manifest, the link to
    an image that lies elsewhere, and checkpoint.npz if it is asked for, the run was interrupted,
    resumes another or had checkpoints on its way. Until then the directory holds what it held
    before, and the journal of a run with checkpoints on its way.

    Parameters
    ----------
    image : Image
    run : Run
    directory : Path
        Prepared output directory.
    kind : str
        "fast" or "plain".
    resume : bool
        Continue from the directory's journal, or from its checkpoint, and append to what was
        recorded. With `checkpoint_every_ms`, start from step 0 if there is neither.
    checkpoint : bool
        Save the final state.
    checkpoint_every_ms : float, optional
        Model time between two entries of the journal; by default that of the run to be resumed,
        else there is no journal.
    timings : dict
        Earlier stages' seconds, to be kept in the result.
    command : str
        The command line to be recorded in the result; None if there was none.
    warn : callable
        Takes warnings about files that are passed over.
    going_on : str
        What the message of a failed run that can be continued tells to do.
    team : Team, optional
        Ranks over which the simulator is divided; rank 0 calls this.

    Returns
    -------
    dict
        The content of result.json.
    """
    output.check_link(directory, image)
    rest = resting_mV(image, run)
    has_journal = journal.is_there(directory)
    period = None
    if checkpoint_every_ms is not None:
        period = journal.period_steps(checkpoint_every_ms, image.dt_ms)
    elif resume and not has_journal:
        period = output.read_result(directory).get("checkpoint_every_steps")
    if has_journal and not resume:
        journal.require_none(directory)
    book = None
    if has_journal or period is not None:
        session, costs, book = _journaled(
            image, run, directory, kind, period, resume, timings or {}, warn, going_on, team
        )
    else:
        past = read_past(directory, image, run) if resume else None
        session, costs = _simulated(image, run, kind, past, timings or {}, team)
    result = {
        "schema": output.RESULT_SCHEMA,
        "command": command,
        **content_of(image, run, kind, session, costs),
        "checkpoint_every_steps": book.settings["period_steps"] if book else None,
    }
    result["manifest"]["ranks"] = 1 if team is None else team.size
    recording = session.recording
    spikes = {"step": recording.step, "source": recording.source}
    files: dict[str, output.Writer] = {
        output.SPIKES: partial(output.write_arrays, arrays=spikes),
        output.RESULT: partial(output.write_json, content=result),
    }
    if run.record:
        traces = physical_traces(image, run, recording.traces, rest)
        files[output.TRACES] = partial(output.write_arrays, arrays=traces)
    if checkpoint or resume or book or not session.complete:
        files[output.CHECKPOINT] = partial(save_checkpoint, state=session.state, image=image)
    try:
        output.write_run(directory, files, image)
    except InvalidInputError as error:
        if book is None:
            raise
        raise InvalidInputError(f"{error}; {book.kept()}") from None
    if book is not None:
        book.remove()
    return result


def _simulated(
    image: Image,
    run: Run,
    kind: str,
    past: Past | None,
    timings: dict[str, float],
    team: Team | None,
) -> tuple[Session, dict[str, float]]:
    """Simulate in one go; return a session of all that was recorded, and what all of it cost."""
    session = simulate(
        image,
        time_ms=run.time_ms,
        warmup_ms=run.warmup_ms,
        kind=kind,
        threads=run.threads,
        record=run.record,
        start=past.state if past else None,
        team=team,
    )
    costs = summed([*([past.costs] if past else []), {**timings, **_costs(session)}])
    recordings = [*([past.recording] if past else []), session.recording]
    return _whole(image, run, session, join(recordings)), costs


def _journaled(
    image: Image,
    run: Run,
    directory: Path,
    kind: str,
    period: int | None,
    resume: bool,
    timings: dict[str, float],
    warn: journal.Warn,
    going_on: str,
    team: Team | None,
) -> tuple[Session, dict[str, float], journal.Journal]:
    """Simulate part by part, each of which is kept before the next begins."""
    book, state = journal.recover(directory, image, run, period, warn, going_on)
    if state is None:
        past = None
        if resume and (directory / output.RESULT).exists():
            past = read_past(directory, image, run)
        elif resume:
            warn([f"{directory}: no checkpoint to resume from: the run starts from step 0"])
        if past is None:
            past = _beginning(image, run, team)
        state = past.state
        book.append(past.recording, state, past.costs)
    parts = simulate_parts(
        image,
        time_ms=run.time_ms,
        warmup_ms=run.warmup_ms,
        kind=kind,
        threads=run.threads,
        record=run.record,
        start=state,
        period_steps=book.settings["period_steps"],
        team=team,
    )
    with closing(parts):
        for session in parts:
            book.append(session.recording, session.state, {**timings, **_costs(session)})
    recording, costs = book.whole()
    return _whole(image, run, session, recording), costs, book


def _beginning(image: Image, run: Run, team: Team | None) -> Past:
    """Return what a run has recorded before its first step."""
    state = initial_state(image) if team is None else division.initial_state(image, team)
    words = len(MODELS[image.manifest["model"]].float_states) + 2
    empty, traces = np.empty(0, np.uint32), np.empty((0, words, len(run.record)), np.uint32)
    return Past(Recording(empty, empty, traces, 0), summed([]), state)


def _costs(session: Session) -> dict[str, float]:
    """Return what a part of a run cost."""
    stages = {stage: getattr(session, stage) for stage in ("load_s", "warmup_s", "simulate_s")}
    return {**stages, "peak_mb": round(peak_mb(), 1)}


def _whole(image: Image, run: Run, last: Session, recording: Recording) -> Session:
    """Return the last part of a run with what all parts recorded."""
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    return replace(last, recording=recording, first_traced_step=warmup + 1)


def validate_run(directory: Path) -> Validation:
    """Compute the statistics of a finished run and judge them where a baseline exists.

    Raises
    ------
    InvalidInputError
        If the directory holds no run, or nothing was simulated after the warm-up.
    """
    result = output.read_result(directory)
    spikes = spikes_of(directory, result)
    step, source, window = spikes.step, spikes.source, spikes.window
    populations = [(p.name, p.size) for p in spikes.populations]
    if result["network"] == "pd14" and has_baseline(populations):
        try:
            choose_duration(window.duration_ms)
        except InvalidInputError as error:
            return Validation(
                compute_statistics(step, source, populations, window), None, None, str(error)
            )
        with progress(None, "validate"):
            statistics, baseline, verdict = judge_spikes(step, source, populations, window)
        settled_ms = float(baseline.provenance["warmup_ms"])
        if result["warmup_ms"] < settled_ms:
            note = (
                f"{verdict.note}; " if verdict.note else ""
            ) + f"NEST was recorded after {settled_ms:g} ms, this run after {result['warmup_ms']:g}"
            verdict = replace(verdict, note=note)
        return Validation(statistics, baseline, verdict, verdict.note)
    note = "no NEST baseline is shipped for this network: statistics only, no verdict"
    return Validation(compute_statistics(step, source, populations, window), None, None, note)


def report_run(directory: Path) -> Path:
    """Validate a run, record the verdict in its result, and write its report."""
    # Loads matplotlib, which simulating does not need.
    from csnn.report.html import write_report

    began = time.perf_counter()
    validation = validate_run(directory)
    result = output.read_result(directory)
    image = image_of(directory, result)
    result["neuron_model"] = neuron_model(image, populations_of(image))
    result["verdict"] = validation.verdict.to_dict() if validation.verdict else None
    result["verdict_note"] = validation.note
    validated = time.perf_counter()
    result["timings"]["validate_s"] = round(validated - began, 3)
    step, source = output.read_spikes(directory)
    with progress(None, "report"):
        path = write_report(
            directory,
            result,
            step,
            source,
            image.populations,
            validation.statistics,
            validation.verdict,
            validation.baseline,
        )
    result["timings"]["report_s"] = round(time.perf_counter() - validated, 3)
    result["peak_mb"] = max(result["peak_mb"], round(peak_mb(), 1))
    output.write_result(directory, result, image)
    return path
