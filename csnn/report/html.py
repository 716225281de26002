"""The report of a run as one self-contained HTML page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from csnn.drawing import to_png
from csnn.files import atomic_file, reported
from csnn.image.store import NETWORK_FILE
from csnn.report import figures
from csnn.report.comparison import banner, comparison
from csnn.report.machine import cost, fidelity, image_sizes
from csnn.report.markup import STYLE, definitions, escape, figure_block, flat, number, section
from csnn.report.neurons import neurons
from csnn.validation.baseline import Baseline
from csnn.validation.criteria import Verdict
from csnn.validation.statistics import Statistics, Window

RUN_FACTS = {
    "seed": "seed {}",
    "warmup_ms": "warm-up {:g} ms, not recorded",
    "nodes": "{:,} compute nodes",
    "simulator": "{} simulator",
    "threads": "{} threads",
}


def write_report(
    out_dir: Path,
    result: Mapping[str, Any],
    step: npt.NDArray[Any],
    source: npt.NDArray[Any],
    populations: Sequence[tuple[str, int]],
    statistics: Statistics,
    verdict: Verdict | None,
    baseline: Baseline | None,
) -> Path:
    """Write report.html, figures/*.png and statistics.json into `out_dir`.

    Parameters
    ----------
    out_dir : Path
        Existing folder of the run.
    result : mapping
        What the run measured. Used where present: `network`, `neurons`, `synapses`, `time_ms`,
        `warmup_ms`, `rtf`, `seed`, `threads`, `nodes`, `simulator`, `neuron_model` (dict,
        `csnn.report.neurons.describe`), `command` (what the user typed), `notes` and `warnings`
        (lists of str), `verdict_note` (why there is no verdict), `fidelity` (list of dict), `image`
        (dict with `bytes`, `explicit_bytes` and anything else), `timings` (stage to seconds),
        `events_per_s`, `peak_mb`, `manifest` (dict), `last_step` (of the run; without it, that of
        the statistics), `complete` (False needs `last_step`, `dt_ms` and `warmup_ms`).
    step, source : ndarray of integers, shape (spikes,)
        Spikes after the warm-up.
    populations : sequence of (name, size)
        In order.
    statistics : Statistics
        Of these spikes, or of the stretch that was judged.
    verdict, baseline : optional
        None if there is nothing to compare with.

    Returns
    -------
    Path
        The HTML file. Each file is complete or absent.

    Raises
    ------
    InvalidInputError
        If the folder cannot be written.
    """
    drawn = {
        "raster": figures.raster(step, source, populations, _whole(result, statistics.window)),
        "rates": figures.rates(statistics, baseline),
        "distributions": figures.distributions(statistics, baseline),
    }
    if verdict is not None:
        drawn["ks"] = figures.ks_overview(verdict)
    files = {f"figures/{name}.png": to_png(figure) for name, figure in drawn.items()}
    images = {
        name: base64.b64encode(files[f"figures/{name}.png"]).decode("ascii") for name in drawn
    }
    summary = {
        "statistics": statistics.to_dict(),
        "verdict": None if verdict is None else verdict.to_dict(),
        "baseline": None if baseline is None else baseline.provenance,
    }
    files["statistics.json"] = (json.dumps(summary, indent=2) + "\n").encode()
    page = render_page(result, populations, statistics, verdict, baseline, images)
    files["report.html"] = page.encode()
    _write(out_dir, files)
    return out_dir / "report.html"


def _whole(result: Mapping[str, Any], judged: Window) -> Window:
    """Return the window of the whole run; what is judged may be only its beginning."""
    if "last_step" not in result:
        return judged
    return replace(judged, n_steps=result["last_step"] - judged.first_step + 1)


def _write(out_dir: Path, files: Mapping[str, bytes]) -> None:
    """Write all files under temporary names before the first takes its own."""
    folder = out_dir / "figures"
    with reported(folder):
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
    try:
        with ExitStack() as stack:
            for name, content in files.items():
                stack.enter_context(atomic_file(out_dir / name)).write_bytes(content)
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def render_page(
    result: Mapping[str, Any],
    populations: Sequence[tuple[str, int]],
    statistics: Statistics,
    verdict: Verdict | None,
    baseline: Baseline | None,
    images: Mapping[str, str],
) -> str:
    """Return the page; `images` are PNG files in base64 by figure name."""
    network = str(result.get("network", "network"))
    weight_unit = str(result.get("weight_unit", "1"))
    parts = [
        _headline(network, result, populations, statistics, verdict),
        _activity(images, baseline),
        comparison(images, statistics, verdict, baseline),
        neurons(result.get("neuron_model")),
        fidelity(result.get("fidelity"), weight_unit),
        image_sizes(result.get("image"), weight_unit),
        cost(result),
        _reproduction(result),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>CsNN run: {escape(network)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _headline(
    network: str,
    result: Mapping[str, Any],
    populations: Sequence[tuple[str, int]],
    statistics: Statistics,
    verdict: Verdict | None,
) -> str:
    facts: list[tuple[str, str]] = [
        ("neurons", number(result.get("neurons", sum(size for _, size in populations))))
    ]
    if "synapses" in result:
        facts.append(("synapses", number(result["synapses"])))
    asked_ms = model_ms = float(result.get("time_ms", statistics.duration_ms))
    notes = [*(result.get("notes") or ()), *(result.get("warnings") or ())]
    if result.get("complete") is False:
        model_ms = max(0.0, result["last_step"] * result["dt_ms"] - result["warmup_ms"])
        notes.insert(
            0, f"Interrupted after {number(model_ms / 1000)} s of {number(asked_ms / 1000)} s."
        )
    facts.append(("model time", f"{number(model_ms / 1000)} s"))
    if "rtf" in result:
        facts.append(("wall time / model time", number(result["rtf"])))
    if result.get("peak_mb") is not None:
        facts.append(("peak memory", f"{number(result['peak_mb'])} MB"))
    tiles = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in facts
    )
    run = [text.format(result[key]) for key, text in RUN_FACTS.items() if key in result]
    if "neuron_model" in result:
        run.insert(0, f"neuron model {result['neuron_model']['model']}")
    if statistics.duration_ms < model_ms:
        run.append(f"statistics of the first {number(statistics.duration_ms / 1000)} s")
    warnings = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (
        f"<header><p class='kicker'>CsNN run report</p><h1>{escape(network)}</h1>"
        f"{banner(result, verdict)}<div class='tiles'>{tiles}</div>"
        f"<p class='quiet'>{escape(' · '.join(run))}</p>{warnings}</header>"
    )


def _activity(images: Mapping[str, str], baseline: Baseline | None) -> str:
    against = " Black marks: the NEST realisations." if baseline is not None else ""
    return section(
        "Activity",
        figure_block(
            images.get("raster"),
            "Spikes at the end of the run; one dot per spike. Blue: excitatory, "
            "vermilion: inhibitory populations.",
        )
        + figure_block(images.get("rates"), f"Mean firing rate of each population.{against}"),
    )


def _reproduction(result: Mapping[str, Any]) -> str:
    """Return the commands that made the run and repeat it, and the manifest."""
    blocks = ""
    if result.get("command"):
        blocks += "<p class='quiet'>This run was made by</p>" + _command(str(result["command"]))
    if {"time_ms", "warmup_ms", "seed"} <= set(result):
        # The image names its network; a scaled or edited one is repeated as well.
        again = (
            f"csnn run image/{NETWORK_FILE} --time-ms {result['time_ms']:g} --warmup-ms "
            f"{result['warmup_ms']:g} --seed {result['seed']} --out AGAIN"
        )
        blocks += (
            "<p class='quiet'>In the folder of this page, the run is repeated, and its spikes are "
            "judged once more, by</p>" + _command(f"{again}\ncsnn validate .")
        )
    return section("Origin", blocks + definitions(flat(result.get("manifest") or {})))


def _command(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
