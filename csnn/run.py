"""The stages of a run after its image exists: simulate, validate, report."""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn import output
from csnn.errors import InvalidInputError
from csnn.files import atomic_file
from csnn.image.store import NETWORK_FILE, Image, open_image
from csnn.neurons.registry import MODELS
from csnn.progress import progress
from csnn.report.html import write_report
from csnn.simulator.recording import Recording
from csnn.simulator.session import Session, mean_rates_hz, simulate, whole_steps
from csnn.simulator.state import load_checkpoint, save_checkpoint
from csnn.spec.machine import Run
from csnn.spec.toml import load
from csnn.validation.baseline import Baseline, choose_duration, has_baseline
from csnn.validation.criteria import Verdict, judge_spikes
from csnn.validation.statistics import Statistics, Window, compute_statistics

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Validation:
    """Statistics of a run, and the verdict where a baseline exists."""

    statistics: Statistics
    baseline: Baseline | None
    verdict: Verdict | None
    note: str


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
    timings: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Simulate an image into `directory`.

    Writes spikes.npz, traces.npz (if neurons are recorded), result.json, the manifest, and
    checkpoint.npz if it is asked for or the run was interrupted.

    Parameters
    ----------
    image : Image
    run : Run
    directory : Path
        Prepared output directory.
    kind : str
        "fast" or "plain".
    resume : bool
        Continue from the directory's checkpoint and append to its spikes.
    checkpoint : bool
        Save the final state.
    timings : dict
        Earlier stages' seconds, to be kept in the result.

    Returns
    -------
    dict
        The content of result.json.
    """
    start, before = None, None
    if resume:
        start = load_checkpoint(directory / output.CHECKPOINT, image)
        before = _earlier_spikes(directory, image, run, start.step)
    session = simulate(
        image,
        time_ms=run.time_ms,
        warmup_ms=run.warmup_ms,
        kind=kind,
        threads=run.threads,
        record=run.record,
        start=start,
    )
    step, source = session.recording.step, session.recording.source
    if before is not None:
        step = np.concatenate([before[0], step])
        source = np.concatenate([before[1], source])
    output.write_spikes(directory, step, source)
    if run.record:
        _write_traces(directory, image, run, session)
    if checkpoint or not session.complete:
        save_checkpoint(directory / output.CHECKPOINT, session.state, image)
    result = _result(image, run, kind, session, source, timings or {})
    output.write_json(directory / output.RESULT, result)
    output.write_manifest(directory, image)
    return result


def _earlier_spikes(directory: Path, image: Image, run: Run, last_step: int) -> tuple[U32, U32]:
    result = output.read_result(directory)
    if result["warmup_ms"] != run.warmup_ms:
        raise InvalidInputError(
            f"run.warmup_ms = {run.warmup_ms}: must be {result['warmup_ms']}, as in the run that "
            f"{directory} resumes"
        )
    if result["last_step"] != last_step or result["image_digest"] != image.digest:
        raise InvalidInputError(f"{directory}: checkpoint and result belong to different runs")
    return output.read_spikes(directory)


def _write_traces(directory: Path, image: Image, run: Run, session: Session) -> None:
    recording: Recording = session.recording
    network = load(image.path / NETWORK_FILE).network
    rest = np.repeat(
        [p.neuron.E_L_mV for p in network.populations], [p.size for p in network.populations]
    )[list(run.record)]
    names = MODELS[image.nodes[0].model].float_states
    values = dict(
        zip(names, np.moveaxis(recording.traces[:, :-2].view(np.float32), 1, 0), strict=True)
    )
    inputs = recording.traces[:, -2:].astype(np.float64)
    grid = float(image.manifest["weight_grid_pA"])
    with atomic_file(directory / output.TRACES) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            step=np.arange(session.first_traced_step, session.last_step + 1, dtype=np.uint32),
            neuron=np.array(run.record, dtype=np.uint32),
            V_mV=values["V"].astype(np.float64) + rest,
            I_ex_pA=values["I_ex"].astype(np.float64) * grid,
            I_in_pA=-values["I_in"].astype(np.float64) * grid,
            input_ex_pA=inputs[:, 0] * grid,
            input_in_pA=-inputs[:, 1] * grid,
            words=recording.traces,
        )


def _result(
    image: Image,
    run: Run,
    kind: str,
    session: Session,
    source: U32,
    timings: dict[str, float],
) -> dict[str, Any]:
    manifest = image.manifest
    warmup = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms)
    recorded_s = max(0, session.last_step - warmup) * image.dt_ms * 1e-3
    model_s = session.simulated_steps * image.dt_ms * 1e-3
    events = session.recording.events
    full_scale = has_baseline(image.populations)
    return {
        "schema": "csnn-result",
        "network": manifest["network"],
        "neurons": image.n_neurons,
        "synapses": manifest["synapses"],
        "nodes": image.n_nodes,
        "dt_ms": image.dt_ms,
        "time_ms": run.time_ms,
        "warmup_ms": run.warmup_ms,
        "seed": run.seed,
        "threads": run.threads,
        "simulator": kind,
        "complete": session.complete,
        "last_step": session.last_step,
        "spikes": len(source),
        "mean_rates_hz": mean_rates_hz(source, image.populations, recorded_s),
        "events": events,
        "events_per_s": events / session.simulate_s if session.simulate_s else 0.0,
        "rtf": session.simulate_s / model_s if model_s else None,
        "timings": {
            **timings,
            "load_s": round(session.load_s, 3),
            "warmup_s": round(session.warmup_s, 3),
            "simulate_s": round(session.simulate_s, 3),
        },
        "peak_mb": round(peak_mb(), 1),
        "notes": manifest["notes"],
        "image_digest": image.digest,
        "image": {
            "bytes": manifest["node_bytes"],
            "explicit_bytes": manifest["explicit_bytes"],
            "full_scale_pd14": full_scale,
            "nodes": image.n_nodes,
            "weight_grid_pA": manifest["weight_grid_pA"],
            "largest_sum_units": manifest["largest_sum_units"],
            "synapses_by_sampler": manifest["synapses_by_sampler"],
        },
        "fidelity": manifest["fidelity"],
        "manifest": {
            "image": image.digest,
            "network": manifest["network_sha256"],
            "seed": manifest["seed"],
            "processors": os.cpu_count(),
            **manifest["tools"],
        },
    }


def validate_run(directory: Path) -> Validation:
    """Compute the statistics of a finished run and judge them where a baseline exists.

    Raises
    ------
    InvalidInputError
        If the directory holds no run, or nothing was simulated after the warm-up.
    """
    result = output.read_result(directory)
    image = open_image(directory / output.IMAGE_DIRECTORY, verify=False)
    step, source = output.read_spikes(directory)
    warmup = whole_steps("run", "warmup_ms", result["warmup_ms"], image.dt_ms)
    n_steps = result["last_step"] - warmup
    if n_steps <= 0:
        raise InvalidInputError(f"{directory}: nothing was simulated after the warm-up")
    window = Window(first_step=warmup + 1, n_steps=n_steps, dt_ms=image.dt_ms)
    populations = image.populations
    if result["network"] == "pd14" and has_baseline(populations):
        try:
            choose_duration(window.duration_ms)
        except InvalidInputError as error:
            return Validation(
                compute_statistics(step, source, populations, window), None, None, str(error)
            )
        with progress(None, "validate"):
            statistics, baseline, verdict = judge_spikes(step, source, populations, window)
        return Validation(statistics, baseline, verdict, verdict.note)
    note = "no NEST baseline is shipped for this network: statistics only, no verdict"
    return Validation(compute_statistics(step, source, populations, window), None, None, note)


def report_run(directory: Path, validation: Validation | None = None) -> Path:
    """Validate a run (unless that is given), record the verdict, and write its report."""
    began = time.perf_counter()
    if validation is None:
        validation = validate_run(directory)
    result = output.read_result(directory)
    result["verdict"] = validation.verdict.to_dict() if validation.verdict else None
    result["verdict_note"] = validation.note
    result["timings"].setdefault("validate_s", round(time.perf_counter() - began, 3))
    step, source = output.read_spikes(directory)
    populations = [
        tuple(p) for p in open_image(directory / output.IMAGE_DIRECTORY, verify=False).populations
    ]
    with progress(None, "report"):
        path = write_report(
            directory,
            result,
            step,
            source,
            populations,
            validation.statistics,
            validation.verdict,
            validation.baseline,
        )
    result["timings"]["report_s"] = round(
        time.perf_counter() - began - result["timings"]["validate_s"], 3
    )
    result["peak_mb"] = max(result["peak_mb"], round(peak_mb(), 1))
    output.write_json(directory / output.RESULT, result)
    output.write_manifest(directory, open_image(directory / output.IMAGE_DIRECTORY, verify=False))
    return path
