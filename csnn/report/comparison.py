"""The parts of a report that compare a run with NEST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from csnn.report.markup import disclosure, escape, figure_block, number, section, table
from csnn.validation.baseline import RESOLUTION, Baseline
from csnn.validation.criteria import Verdict
from csnn.validation.statistics import STATISTICS, Statistics

STATISTIC_NAMES = {
    "FR": "firing rate",
    "CV": "irregularity (CV of inter-spike intervals)",
    "CC": "pairwise correlation",
}


def banner(result: Mapping[str, Any], verdict: Verdict | None) -> str:
    """Return the verdict in a sentence or two."""
    if verdict is None:
        why = result.get("verdict_note") or "there is no NEST baseline for this network"
        return f"<p class='verdict none'><b>No verdict:</b> {escape(why)}.</p>"
    note = f" {escape(verdict.note)}." if verdict.note else ""
    if verdict.passed:
        return (
            f"<p class='verdict pass'><b>&#10003; Agrees with NEST.</b> All {len(verdict.cells)} "
            f"distributions, each alone and each statistic over all populations, lie as close to "
            f"NEST as NEST realisations lie to each other, within the tolerance fixed for "
            f"{number(verdict.judged_ms / 1000)} s.{note}</p>"
        )
    failures = verdict.failures
    more = f" and {len(failures) - 8} more" if len(failures) > 8 else ""
    return (
        f"<p class='verdict fail'><b>&#10007; Differs from NEST</b> in {len(failures)} of "
        f"{len(verdict.cells) + len(verdict.pooled)} tests: "
        f"{escape(', '.join(failures[:8]))}{more}.{note}</p>"
    )


def comparison(
    images: Mapping[str, str],
    statistics: Statistics,
    verdict: Verdict | None,
    baseline: Baseline | None,
) -> str:
    """Return the section with distributions, distances and verdicts."""
    seconds = number(statistics.duration_ms / 1000)
    caption = (
        f"Distributions over {seconds} s: firing rate of all neurons, CV of the intervals of "
        "neurons with more than 2 spikes, correlation of spike counts in 2 ms bins of pairs of "
        "250 neurons."
    )
    if baseline is not None:
        caption += " Coloured: this run. Grey band and line: range and mean of the NEST runs."
    blocks = figure_block(images.get("distributions"), caption)
    means = _means(statistics, baseline)
    if verdict is None:
        return section("Distributions", blocks + means)
    if baseline is not None:
        blocks += f"<p class='quiet'>{escape(_origin(baseline))}</p>"
    blocks += figure_block(
        images.get("ks"),
        "Mean distance to the NEST windows (dot: passes, cross: fails), what the NEST windows have "
        "themselves, each to those of the other realisations (grey), and the threshold (mark).",
    )
    blocks += _tables(verdict)
    blocks += (
        f"<p class='quiet'>The thresholds are fixed in advance, for all "
        f"{len(verdict.cells) + len(verdict.pooled)} tests together to reject another NEST "
        f"realisation with a probability of about {verdict.family_false_alarm:.0%}; on NEST's own "
        f"windows it was found to be 1 to 3 %.</p>"
    )
    return section("Comparison with NEST", blocks + disclosure("Means of the samples", means))


def _origin(baseline: Baseline) -> str:
    origin = baseline.provenance
    versions = sorted({str(r["nest"]) for r in origin["realisations"]})
    count = len(baseline.window_seed)
    seconds = number(baseline.duration_ms / 1000)
    return (
        f"Baseline: NEST {', '.join(versions)}, seeds {', '.join(map(str, baseline.seeds))}, "
        f"{count} windows of {seconds} s ({count // len(baseline.seeds)} per realisation, after "
        f"{number(origin['warmup_ms'] / 1000)} s of warm-up)."
    )


def _tables(verdict: Verdict) -> str:
    head = ("population", "this run", "NEST", "threshold", "verdict")
    blocks = ""
    for statistic in STATISTICS:
        cells = [cell for cell in verdict.cells if cell.statistic == statistic]
        rows = [
            (
                cell.population,
                f"{cell.distance:.3f}",
                f"{cell.nest_low:.3f} – {cell.nest_high:.3f}",
                f"{cell.threshold:.3f}",
                _mark(cell.passed),
            )
            for cell in cells
        ]
        blocks += f"<h3>KS distance, {STATISTIC_NAMES[statistic]}</h3>"
        blocks += table(head, rows, marked=[not cell.passed for cell in cells])
    blocks += "<h3>All populations together</h3>"
    blocks += (
        "<p class='quiet'>Geometric mean over the populations of the distance over that expected "
        "of another NEST realisation: 1 is as far from NEST as NEST from itself.</p>"
    )
    pooled = [
        (
            test.statistic,
            f"{test.ratio:.2f}",
            f"{test.nest_low:.2f} – {test.nest_high:.2f}",
            f"{test.threshold:.2f}",
            _mark(test.passed),
        )
        for test in verdict.pooled
    ]
    return blocks + table(
        ("statistic", *head[1:]), pooled, marked=[not test.passed for test in verdict.pooled]
    )


def _mark(passed: bool) -> str:
    return "✓ pass" if passed else "✗ fail"


def _means(statistics: Statistics, baseline: Baseline | None) -> str:
    units = {"FR": "mean FR (/s)", "CV": "mean CV", "CC": "mean CC"}
    rows = []
    for p in statistics.populations:
        row = [p.name, number(p.size), number(p.n_spikes)]
        for s in STATISTICS:
            sample = p.sample(s)
            row.append(f"{sample.mean():.4f}" if sample.size else "–")
            if baseline is not None:
                windows = [w.mean() * RESOLUTION[s] for w in baseline.samples[s, p.name] if w.size]
                row.append(f"{np.mean(windows):.4f}" if windows else "–")
        rows.append(row)
    columns = [c for s in STATISTICS for c in ([units[s]] + (["NEST"] if baseline else []))]
    return table(("population", "neurons", "spikes", *columns), rows)
