"""The report of a run as one self-contained HTML page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from csnn.files import atomic_file, reported
from csnn.report import figures
from csnn.report.markup import (
    STYLE,
    definitions,
    escape,
    figure_block,
    number,
    section,
    table,
)
from csnn.validation.baseline import Baseline
from csnn.validation.criteria import Verdict
from csnn.validation.statistics import STATISTICS, Statistics

# Sizes Heittmann et al. (2022) give for the same network.
PAPER_IMAGE_BYTES = 348e6
PAPER_EXPLICIT_BYTES = 2.5e9
STATISTIC_NAMES = {
    "FR": "firing rate",
    "CV": "irregularity (CV of inter-spike intervals)",
    "CC": "pairwise correlation",
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
        `warmup_ms`, `rtf`, `seed`, `threads`, `notes` (list of str), `verdict_note` (why there is
        no verdict), `fidelity` (list of dict), `image` (dict with `bytes`, `explicit_bytes` and
        anything else), `timings` (stage to seconds), `peak_mb`, `manifest` (dict).
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
        "raster": figures.raster(step, source, populations, statistics.window.dt_ms),
        "rates": figures.rates(statistics, baseline),
        "distributions": figures.distributions(statistics, baseline),
    }
    if verdict is not None:
        drawn["ks"] = figures.ks_overview(verdict)
    with reported(out_dir):
        (out_dir / "figures").mkdir(exist_ok=True)
    images = {}
    for name, figure in drawn.items():
        png = figures.to_png(figure)
        with atomic_file(out_dir / "figures" / f"{name}.png") as path:
            path.write_bytes(png)
        images[name] = base64.b64encode(png).decode("ascii")
    summary = {
        "statistics": statistics.to_dict(),
        "verdict": None if verdict is None else verdict.to_dict(),
        "baseline": None if baseline is None else baseline.provenance,
    }
    with atomic_file(out_dir / "statistics.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    page = render_page(result, populations, statistics, verdict, baseline, images)
    with atomic_file(out_dir / "report.html") as path:
        path.write_text(page, encoding="utf-8")
    return out_dir / "report.html"


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
    parts = [
        _headline(network, result, populations, statistics, verdict),
        _activity(images, baseline),
        _comparison(images, statistics, verdict, baseline),
        _fidelity(result.get("fidelity")),
        _image(result.get("image")),
        _cost(result),
        section("Manifest", definitions(_flat(result.get("manifest") or {}))),
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
    model_ms = float(result.get("time_ms", statistics.duration_ms))
    facts.append(("model time", f"{number(model_ms / 1000)} s"))
    if "rtf" in result:
        facts.append(("wall time / model time", number(result["rtf"])))
    if result.get("peak_mb") is not None:
        facts.append(("peak memory", f"{number(result['peak_mb'])} MB"))
    tiles = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in facts
    )
    run = [
        f"{label} {number(result[key])}{unit}"
        for key, label, unit in (
            ("warmup_ms", "warm-up", " ms"),
            ("seed", "seed", ""),
            ("threads", "threads", ""),
        )
        if key in result
    ]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in result.get("notes") or ())
    return (
        f"<header><p class='kicker'>CsNN run report</p><h1>{escape(network)}</h1>"
        f"{_verdict_banner(result, verdict)}<div class='tiles'>{tiles}</div>"
        f"<p class='quiet'>{escape(' · '.join(run))}</p>{notes}</header>"
    )


def _verdict_banner(result: Mapping[str, Any], verdict: Verdict | None) -> str:
    if verdict is None:
        why = result.get("verdict_note") or "there is no NEST baseline for this network"
        return f"<p class='verdict none'><b>No verdict:</b> {escape(why)}.</p>"
    total, failed = len(verdict.cells), verdict.failed
    note = f" {escape(verdict.note)}." if verdict.note else ""
    if verdict.passed:
        return (
            f"<p class='verdict pass'><b>&#10003; Agrees with NEST.</b> All {total} distributions "
            f"lie as close to NEST as NEST realisations lie to each other, within the tolerance "
            f"fixed for {number(verdict.judged_ms / 1000)} s.{note}</p>"
        )
    shown = ", ".join(f"{cell.statistic} of {cell.population}" for cell in failed[:8])
    more = f" and {len(failed) - 8} more" if len(failed) > 8 else ""
    return (
        f"<p class='verdict fail'><b>&#10007; Differs from NEST</b> in {len(failed)} of {total} "
        f"distributions: {escape(shown)}{more}.{note}</p>"
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


def _comparison(
    images: Mapping[str, str],
    statistics: Statistics,
    verdict: Verdict | None,
    baseline: Baseline | None,
) -> str:
    seconds = number(statistics.duration_ms / 1000)
    caption = (
        f"Distributions over {seconds} s: firing rate of all neurons, CV of the intervals of "
        "neurons with more than 2 spikes, correlation of spike counts in 2 ms bins of pairs of "
        "250 neurons."
    )
    if baseline is not None:
        caption += " Coloured: this run. Grey band and line: range and mean of the NEST runs."
    blocks = figure_block(images.get("distributions"), caption)
    if verdict is None:
        return section("Distributions", blocks + _sample_table(statistics))
    blocks += figure_block(
        images.get("ks"),
        "Distance to NEST (dot: passes, cross: fails), the range of distances between NEST "
        "realisations (grey), and the threshold (black mark).",
    )
    blocks += _ks_tables(verdict)
    blocks += (
        f"<p class='quiet'>NEST seeds {escape(', '.join(map(str, verdict.seeds)))}. The thresholds "
        f"are fixed in advance, for all cells together to reject another NEST realisation with a "
        f"probability of about {verdict.family_false_alarm:.0%}.</p>"
    )
    return section("Comparison with NEST", blocks)


def _ks_tables(verdict: Verdict) -> str:
    blocks = ""
    for statistic in STATISTICS:
        rows = [
            (
                cell.population,
                f"{cell.distance:.3f}",
                f"{cell.nest_low:.3f} – {cell.nest_high:.3f}",
                f"{cell.threshold:.3f}",
                "✓ pass" if cell.passed else "✗ fail",
            )
            for cell in verdict.cells
            if cell.statistic == statistic
        ]
        head = ("population", "this run – NEST", "NEST – NEST", "threshold", "verdict")
        blocks += f"<h3>KS distance, {STATISTIC_NAMES[statistic]}</h3>" + table(
            head, rows, marked=[row[-1].startswith("✗") for row in rows]
        )
    return blocks


def _sample_table(statistics: Statistics) -> str:
    rows = [
        (
            p.name,
            number(p.size),
            number(p.n_spikes),
            *(number(float(s.mean())) if s.size else "–" for s in (p.rate, p.cv, p.cc)),
        )
        for p in statistics.populations
    ]
    return table(("population", "neurons", "spikes", "mean FR (/s)", "mean CV", "mean CC"), rows)


def _fidelity(rows: Sequence[Mapping[str, Any]] | None) -> str:
    if not rows:
        return ""
    head = list(dict.fromkeys(key for row in rows for key in row))
    return section(
        "Table fidelity",
        table(
            [key.replace("_", " ") for key in head],
            [[number(row.get(key, "–")) for key in head] for row in rows],
        ),
    )


def _image(image: Mapping[str, Any] | None) -> str:
    if not image:
        return ""
    size, explicit = image.get("bytes"), image.get("explicit_bytes")
    rows = [("this image", _megabytes(size), "1")] if size else []
    if size and explicit:
        rows.append(("every synapse stored", _megabytes(explicit), f"{explicit / size:.1f}"))
    if size and image.get("full_scale_pd14"):
        rows += [
            (label, _megabytes(paper), f"{paper / size:.1f}")
            for label, paper in (
                ("image of Heittmann et al. (2022)", PAPER_IMAGE_BYTES),
                ("explicit network, same paper", PAPER_EXPLICIT_BYTES),
            )
        ]
    known = {"bytes", "explicit_bytes", "full_scale_pd14"}
    rest = _flat({k: v for k, v in image.items() if k not in known})
    sizes = table(("", "size", "relative"), rows) if rows else ""
    return section("Machine image", sizes + definitions(rest))


def _megabytes(size: float) -> str:
    return f"{number(size / 1e6)} MB"


def _cost(result: Mapping[str, Any]) -> str:
    timings = result.get("timings") or {}
    blocks = ""
    if timings:
        rows = [(stage.replace("_", " "), f"{value:.2f} s") for stage, value in timings.items()]
        blocks += table(("stage", "wall time"), rows)
    facts = {}
    if result.get("peak_mb") is not None:
        facts["peak memory"] = f"{number(result['peak_mb'])} MB"
    return section("Time and memory", blocks + definitions(facts))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            flat[name] = ", ".join(str(item) for item in value)
        else:
            flat[name] = value
    return flat
