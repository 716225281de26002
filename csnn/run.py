"""The stages of a run after its image exists: simulate, validate, report."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from csnn import journal, output
from csnn.errors import InvalidInputError, located, reject
from csnn.image.store import NETWORK_FILE, Image, open_image
from csnn.journal_files import summed
from csnn.neurons.final_state import warnings_of
from csnn.neurons.registry import MODELS, rest_mV
from csnn.progress import progress
from csnn.report.neurons import describe
from csnn.simulator.recording import Recording, join
from csnn.simulator.session import (
    Session,
    mean_rates_hz,
    simulate,
    simulate_parts,
    whole_steps,
)
from csnn.simulator.state import (
    MachineState,
    initial_state,
    load_checkpoint,
    save_checkpoint,
)
from csnn.spec.machine import Run
from csnn.spec.network import Population
from csnn.spec.neuron import weight_suffix
from csnn.spec.pd14 import synapse_counts
from csnn.spec.toml import load
from csnn.spikes.trains import Spikes, numbered
from csnn.validation.baseline import Baseline, choose_duration, has_baseline
from csnn.validation.criteria import Verdict, judge_spikes
from csnn.validation.statistics import Statistics, Window, compute_statistics

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


def is_full_scale_pd14(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is of the network that published sizes of images are about."""
    populations = [(p["name"], p["size"]) for p in manifest["populations"]]
    return (
        manifest["network"] == "pd14"
        and has_baseline(populations)
        and manifest["synapses"] == int(synapse_counts().sum())
    )


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


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
        Model time between two entries of the journal; by default that of the journal to be
        resumed, else there is none.
    timings : dict
        Earlier stages' seconds, to be kept in the result.
    command : str
        The command line to be recorded in the result; None if there was none.
    warn : callable
        Takes warnings about files that are passed over.
    team : Team, optional
        Ranks over which the simulator is divided; rank 0 calls this.

    Returns
    -------
    dict
        The content of result.json.
    """
    output.check_link(directory, image)
    rest = _rest_mV(image, run)
    has_journal = journal.is_there(directory)
    period = None
    if checkpoint_every_ms is not None:
        period = journal.period_steps(checkpoint_every_ms, image.dt_ms)
    if has_journal and not resume:
        journal.require_none(directory)
    book = None
    if has_journal or period is not None:
        session, costs, book = _journaled(
            image, run, directory, kind, period, resume, timings or {}, warn, team
        )
    else:
        past = _past(directory, image, run) if resume else None
        session, costs = _simulated(image, run, kind, past, timings or {}, team)
    result = {
        "schema": output.RESULT_SCHEMA,
        "command": command,
        **_result(image, run, kind, session, costs),
    }
    result["manifest"]["ranks"] = 1 if team is None else team.size
    recording = session.recording
    spikes = {"step": recording.step, "source": recording.source}
    files: dict[str, output.Writer] = {
        output.SPIKES: partial(output.write_arrays, arrays=spikes),
        output.RESULT: partial(output.write_json, content=result),
    }
    if run.record:
        traces = _traces(image, run, recording.traces, rest)
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


@dataclass(frozen=True, eq=False)
class _Past:
    """What an earlier run in the directory recorded, its costs, and its last state."""

    recording: Recording
    costs: dict[str, float]
    state: MachineState


def _simulated(
    image: Image,
    run: Run,
    kind: str,
    past: _Past | None,
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
    team: Team | None,
) -> tuple[Session, dict[str, float], journal.Journal]:
    """Simulate part by part, each of which is kept before the next begins."""
    book, state = journal.recover(directory, image, run, period, warn)
    if state is None:
        past = None
        if resume and (directory / output.RESULT).exists():
            past = _past(directory, image, run)
        elif resume:
            warn([f"{directory}: no checkpoint to resume from: the run starts from step 0"])
        if past is None and team is None:
            past = _beginning(image, run)
        # Rank 0 of a team has read its own nodes only, and begins without an entry of step 0.
        if past is not None:
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


def _beginning(image: Image, run: Run) -> _Past:
    """Return what a run has recorded before its first step."""
    words = len(MODELS[image.manifest["model"]].float_states) + 2
    empty, traces = np.empty(0, np.uint32), np.empty((0, words, len(run.record)), np.uint32)
    return _Past(Recording(empty, empty, traces, 0), summed([]), initial_state(image))


def _costs(session: Session) -> dict[str, float]:
    """Return what a part of a run cost."""
    stages = {stage: getattr(session, stage) for stage in ("load_s", "warmup_s", "simulate_s")}
    return {**stages, "peak_mb": round(peak_mb(), 1)}


def _whole(image: Image, run: Run, last: Session, recording: Recording) -> Session:
    """Return the last part of a run with what all parts recorded."""
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    return replace(last, recording=recording, first_traced_step=warmup + 1)


def _past(directory: Path, image: Image, run: Run) -> _Past:
    """Read the run that `run` continues."""
    earlier = _earlier(directory, image, run)
    state = load_checkpoint(directory / output.CHECKPOINT, image)
    if state.step != earlier["last_step"]:
        raise InvalidInputError(f"{directory}: checkpoint and result belong to different runs")
    step, source = _spikes(directory, earlier, image)
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    words = _earlier_words(directory, image, run, max(0, state.step - warmup))
    recording = Recording(step, source, words, earlier["events"])
    return _Past(recording, {**earlier["timings"], "peak_mb": earlier["peak_mb"]}, state)


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


def _spikes(directory: Path, result: dict[str, Any], image: Image) -> tuple[U32, U32]:
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


def _earlier_words(directory: Path, image: Image, run: Run, n_steps: int) -> U32:
    """Return the traced words of the run to be resumed, after checking all of its traces."""
    model = MODELS[image.manifest["model"]]
    words = np.empty((n_steps, len(model.float_states) + 2, len(run.record)), np.uint32)
    if not run.record:
        return words
    path = directory / output.TRACES
    like = _traces(image, run, words[:0], _rest_mV(image, run))
    before = dict(zip(like, output.read_arrays(path, *like), strict=True))
    for name, part in like.items():
        shape = part.shape if name == "neuron" else (n_steps, *part.shape[1:])
        if before[name].shape != shape or before[name].dtype != part.dtype:
            raise InvalidInputError(f"{path}: {name}: is of another shape or type than a trace")
    if not np.array_equal(before["neuron"], like["neuron"]):
        raise InvalidInputError(f"{path}: neuron: holds other neurons than the run recorded")
    traced: U32 = before["words"]
    return traced


def _populations(image: Image) -> tuple[Population, ...]:
    """Return the populations of an image as its network describes them."""
    path = image.path / NETWORK_FILE
    populations = load(path).network.populations
    if [(p.name, p.size) for p in populations] != image.populations:
        raise InvalidInputError(f"{path}: populations: must be those of the manifest")
    return populations


def _neuron_model(image: Image, populations: Sequence[Population]) -> dict[str, Any]:
    """Return what a result says of the neurons."""
    neurons = [(p.name, p.neuron) for p in populations]
    return describe(image.manifest["model"], neurons, image.dt_ms)


def _rest_mV(image: Image, run: Run) -> npt.NDArray[np.float64]:
    """Return the resting potentials of the recorded neurons."""
    if not run.record:
        return np.empty(0)
    populations = _populations(image)
    rest = np.repeat([rest_mV(p.neuron) for p in populations], [p.size for p in populations])
    return np.asarray(rest[list(run.record)], np.float64)


def _physical(
    name: str, values: npt.NDArray[np.float64], grid: float, unit: str
) -> tuple[str, npt.NDArray[np.float64]]:
    """Return a state variable with its unit: synaptic ones leave the grid, currents get a sign."""
    if not name.endswith(("_ex", "_in")):
        return name, values
    is_negative = name.endswith("I_in")
    return f"{name}{unit}", values * (-grid if is_negative else grid)


def _traces(
    image: Image, run: Run, traced: U32, rest: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """Return the traces that a run holds, from the words that were traced since the warm-up."""
    first = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms) + 1
    names = MODELS[image.manifest["model"]].float_states
    unit = weight_suffix(image.manifest["weight_unit"])
    values = dict(zip(names, np.moveaxis(traced[:, :-2].view(np.float32), 1, 0), strict=True))
    inputs = traced[:, -2:].astype(np.float64)
    grid = float(image.manifest["weight_grid"])
    return {
        "step": np.arange(first, first + len(traced), dtype=np.uint32),
        "neuron": np.array(run.record, dtype=np.uint32),
        "V_mV": values.pop("V").astype(np.float64) + rest,
        **dict(
            _physical(name, words.astype(np.float64), grid, unit) for name, words in values.items()
        ),
        f"input_ex{unit}": inputs[:, 0] * grid,
        f"input_in{unit}": -inputs[:, 1] * grid,
        "words": traced,
    }


def _result(
    image: Image, run: Run, kind: str, session: Session, costs: dict[str, float]
) -> dict[str, Any]:
    """Return the content of result.json; recording and costs are those of all parts of a run."""
    manifest, populations = image.manifest, _populations(image)
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    recorded_s = max(0, session.last_step - warmup) * image.dt_ms * 1e-3
    source, events = session.recording.source, session.recording.events
    simulate_s = costs["simulate_s"]
    full_scale = is_full_scale_pd14(manifest)
    return {
        "network": manifest["network"],
        "neurons": image.n_neurons,
        "synapses": manifest["synapses"],
        "nodes": image.n_nodes,
        "dt_ms": image.dt_ms,
        "neuron_model": _neuron_model(image, populations),
        "time_ms": run.time_ms,
        "warmup_ms": run.warmup_ms,
        "seed": run.seed,
        "threads": run.threads,
        "simulator": kind,
        "record": list(run.record),
        "complete": session.complete,
        "last_step": session.last_step,
        "spikes": len(source),
        "mean_rates_hz": mean_rates_hz(source, image.populations, recorded_s),
        "events": events,
        "events_per_s": events / simulate_s if simulate_s else 0.0,
        "rtf": simulate_s / recorded_s if recorded_s else None,
        "timings": {
            stage: round(costs[stage], 3)
            for stage in ("generate_s", "load_s", "warmup_s", "simulate_s")
            if stage in costs
        },
        "peak_mb": max(costs["peak_mb"], round(peak_mb(), 1)),
        "notes": manifest.get("notes", []),
        "warnings": warnings_of(
            populations,
            session.state.state.view(np.float32),
            dt_ms=image.dt_ms,
            weight_grid=float(manifest["weight_grid"]),
            step=session.last_step,
        ),
        "image_digest": image.digest,
        "image": {
            "bytes": image.node_bytes,
            "explicit_bytes": manifest.get("explicit_bytes"),
            "full_scale_pd14": full_scale,
            "nodes": image.n_nodes,
            "weight_grid": manifest["weight_grid"],
            "largest_sum_units": manifest.get("largest_sum_units"),
            "synapses_by_sampler": manifest.get("synapses_by_sampler"),
            **({"edge_fit": _overall(manifest["edge_fit"])} if "edge_fit" in manifest else {}),
        },
        "fidelity": manifest.get("fidelity", []),
        "weight_unit": manifest["weight_unit"],
        "manifest": {
            "image": image.digest,
            "network": manifest.get("network_sha256"),
            "seed": manifest["seed"],
            "processors": os.cpu_count(),
            **manifest.get("tools", {}),
        },
    }


def _overall(edge_fit: dict[str, Any]) -> dict[str, Any]:
    """Return the report on an edge list without its part per pair of populations."""
    rest = {key: value for key, value in edge_fit.items() if key not in ("pairs", "overall")}
    return {**rest, **edge_fit.get("overall", {})}


def recorded_spikes(directory: Path) -> Spikes:
    """Read the spikes of a run, with its populations and the steps that it recorded.

    Raises
    ------
    InvalidInputError
        If the directory holds no run, or nothing was simulated after the warm-up.
    """
    return _recorded(directory, output.read_result(directory))


def _recorded(directory: Path, result: dict[str, Any]) -> Spikes:
    image = _image_of(directory, result)
    step, source = _spikes(directory, result, image)
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


def validate_run(directory: Path) -> Validation:
    """Compute the statistics of a finished run and judge them where a baseline exists.

    Raises
    ------
    InvalidInputError
        If the directory holds no run, or nothing was simulated after the warm-up.
    """
    result = output.read_result(directory)
    spikes = _recorded(directory, result)
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


def _image_of(directory: Path, result: dict[str, Any]) -> Image:
    path = directory / output.IMAGE_DIRECTORY
    image = open_image(path, verify=False)
    if image.digest != result["image_digest"]:
        raise InvalidInputError(f"{path}: is another image than the one that was simulated")
    return image


def report_run(directory: Path) -> Path:
    """Validate a run, record the verdict in its result, and write its report."""
    # Loads matplotlib, which simulating does not need.
    from csnn.report.html import write_report

    began = time.perf_counter()
    validation = validate_run(directory)
    result = output.read_result(directory)
    image = _image_of(directory, result)
    result["neuron_model"] = _neuron_model(image, _populations(image))
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
