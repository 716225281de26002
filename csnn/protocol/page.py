"""The report of a protocol as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from csnn.protocol.course import OFTEN
from csnn.protocol.verdict import FAMILY_P, ProtocolCell, ProtocolVerdict, Range
from csnn.report.comparison import STATISTIC_NAMES
from csnn.report.markup import (
    STYLE,
    definitions,
    escape,
    figure_block,
    flat,
    number,
    section,
    table,
)
from csnn.validation.statistics import STATISTICS


def render(
    content: Mapping[str, Any], verdict: ProtocolVerdict, images: Mapping[str, bytes]
) -> str:
    """Return the page.

    Parameters
    ----------
    content : mapping
        What protocol.json holds.
    verdict : ProtocolVerdict
    images : mapping of name to PNG file
        "distances", "distributions" and, of long runs, "course".
    """
    encoded = {name: base64.b64encode(png).decode("ascii") for name, png in images.items()}
    body = "\n".join(
        (
            _headline(content, verdict),
            _distances(verdict, encoded),
            _distributions(content, encoded),
            _seeds(content, verdict),
            _course(content, encoded),
            _whole(content),
            _origin(content),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>CsNN: PD14 protocol</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _headline(content: Mapping[str, Any], verdict: ProtocolVerdict) -> str:
    if verdict.passed:
        told = "does not tell candidates from NEST"
        if verdict.smallest_p > FAMILY_P:
            told = "says nothing with so few realisations"
        banner = (
            "<p class='verdict pass'><b>&#10003; Agrees with NEST.</b> All distances over "
            f"{number(verdict.judged_ms / 1000)} s lie within the thresholds, and no more seeds "
            f"fail alone than chance explains; the permutation test {told}.{_followed(content)}</p>"
        )
    else:
        reasons = "; ".join(verdict.reasons)
        banner = (
            f"<p class='verdict fail'><b>&#10007; Differs from NEST:</b> {escape(reasons)}.</p>"
        )
    settings = content["settings"]
    facts = (
        ("seeds", number(len(verdict.seeds))),
        ("model time per seed", f"{number(settings['time_ms'] / 1000)} s"),
        ("discarded", f"{number(settings['warmup_ms'])} ms"),
        ("judged", f"{number(verdict.judged_ms / 1000)} s"),
        ("permutation p", f"{verdict.family_p:.2g}"),
    )
    tiles = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in facts
    )
    notes = "".join(f'<p class="note">{escape(note)}.</p>' for note in verdict.notes)
    return (
        "<header><p class='kicker'>CsNN, PD14 benchmark protocol</p><h1>pd14</h1>"
        f"{banner}<div class='tiles'>{tiles}</div>"
        f"<p class='quiet'>{escape(content['reference']['recipe'])}</p>{notes}</header>"
    )


def _followed(content: Mapping[str, Any]) -> str:
    course = content["course"]
    if course is None:
        return ""
    failures = [tests for seed in course["seeds"] for tests in seed["failures"]]
    failed = sum(bool(tests) for tests in failures)
    return f" Of the {len(failures)} windows of that length in the runs, {failed} fail alone."


def _span(values: Range | None) -> str:
    return "–" if values is None else f"{values.low:.3f} – {values.high:.3f}"


def _row(cell: ProtocolCell) -> tuple[str, ...]:
    equal = "–"
    if cell.ratio_low is not None and cell.ratio_high is not None:
        equal = f"{cell.ratio_low:.2f} – {cell.ratio_high:.2f}"
    return (
        cell.population,
        f"{cell.to_nest.mean:.3f}",
        _span(cell.to_nest),
        f"{cell.threshold:.3f}",
        _span(cell.nest),
        _span(cell.among),
        f"{cell.ratio:.2f}",
        equal,
        f"{cell.p:.2g}",
        "✓ pass" if cell.passed else "✗ fail",
    )


def _distances(verdict: ProtocolVerdict, images: Mapping[str, str]) -> str:
    head = ("population", "to NEST", "seeds", "limit", "NEST – NEST", "candidates", "ratio",
            "if equal", "p", "verdict")  # fmt: skip
    blocks = figure_block(
        images.get("distances"),
        "Mean distance to the NEST windows: of each candidate (dots) and of all together (diamond: "
        "passes, cross: fails); of the NEST windows to those of other realisations (grey band and "
        "mark); pairs of candidates (line below); threshold (black mark).",
    )
    for statistic in STATISTICS:
        cells = [c for c in (*verdict.cells, *verdict.pooled) if c.statistic == statistic]
        blocks += f"<h3>KS distance, {STATISTIC_NAMES[statistic]}</h3>"
        blocks += table(head, map(_row, cells), marked=[not c.passed for c in cells])
    ways = f"{verdict.ways:,} {'labellings' if verdict.exact else 'random labellings'}"
    blocks += (
        "<p class='quiet'>Ratio: distance to NEST over that of NEST to itself, of the first window "
        "of each realisation; “if equal”: where it lies in at least 95 % of all cases when the "
        "labels of whole realisations are exchanged. Row “all”: geometric mean of distance over "
        "the distance expected of another NEST realisation. p of a row is of the same labels (of "
        "the distance between the groups minus those within them) and is not corrected for the "
        f"others; that of the protocol is, over {ways}: it fails at "
        f"{FAMILY_P:g}, and the smallest p there can be is {verdict.smallest_p:.2g}. Of NEST's own "
        f"{verdict.nest_windows} windows {verdict.nest_alarms} fail the limits when each "
        "realisation is judged by the others.</p>"
    )
    return section("Distances", blocks)


def _distributions(content: Mapping[str, Any], images: Mapping[str, str]) -> str:
    pairs = "all pairs" if content["settings"]["all_pairs"] else "pairs of 250 neurons"
    caption = (
        "Firing rate of all neurons, CV of the intervals of neurons with more than 2 spikes, "
        f"correlation of spike counts in 2 ms bins of {pairs}. Lines: candidates. Grey band and "
        "line: range and mean of the NEST windows."
    )
    return section("Distributions", figure_block(images.get("distributions"), caption))


def _seeds(content: Mapping[str, Any], verdict: ProtocolVerdict) -> str:
    rows, marked = [], []
    for seed, failed, facts in zip(
        verdict.seeds, verdict.seed_failures, content["seeds"], strict=True
    ):
        rtf = facts.get("rtf")
        rows.append(
            (
                seed,
                number(facts["spikes"]),
                "–" if rtf is None else f"{rtf:.2f}",
                f"{facts['peak_mb']:,.0f}",
                ", ".join(failed) or "none",
            )
        )
        marked.append(bool(failed))
    blocks = table(
        ("seed", "spikes", "wall time / model time", "peak memory (MB)", "fails alone in"),
        rows,
        marked=marked,
    )
    if len(verdict.seeds) == 1:
        return section("Seeds", blocks)
    blocks += (
        f"<p class='quiet'>At most {verdict.allowed_failures} of {len(verdict.seeds)} seeds may "
        "fail alone: NEST realisations do so, too, now and then.</p>"
    )
    return section("Seeds", blocks)


def _course(content: Mapping[str, Any], images: Mapping[str, str]) -> str:
    course = content["course"]
    if course is None:
        return ""
    window = f"{number(course['window_ms'] / 1000)} s"
    blocks = figure_block(
        images.get("course"),
        f"Windows of {window}, each judged as a seed alone: geometric mean over populations of the "
        "distance to NEST over the one expected of another realisation (dots; crosses: fails some "
        "test). Grey band: NEST's own windows. Black line: limit.",
    )
    rows = []
    for seed in course["seeds"]:
        failed = [
            f"from {number(i * course['window_ms'] / 1000)} s: {', '.join(tests)}"
            for i, tests in enumerate(seed["failures"])
            if tests
        ]
        where = "; ".join(failed) or "none"
        rows.append((seed["seed"], len(seed["failures"]), len(failed), seed["silent"], where))
    head = ("seed", "windows", "fail alone", "neurons fallen silent", "where, and in what")
    blocks += table(head, rows)
    blocks += (
        "<p class='quiet'>Distances are judged over the first window. Windows of one run share "
        "its network and fail together, so that the protocol fails only if more than half of "
        "them do, if one fails in many tests, or if a neuron falls silent: "
        f"{OFTEN} spikes or more in the first half of the run, none in the second.</p>"
    )
    return section("The whole runs, window by window", blocks)


def _whole(content: Mapping[str, Any]) -> str:
    whole = content["whole"]
    if whole is None or whole["candidate_candidate"] is None:
        return ""
    rows = [
        (statistic, *(f"{low:.3f} – {high:.3f}" for low, high in zip(*ends, strict=True)))
        for statistic, ends in whole["candidate_candidate"].items()
    ]
    text = (
        "<p class='quiet'>No NEST realisation covers this duration, so these distances are judged "
        "by nothing.</p>"
    )
    return section(
        f"Candidates among themselves over {number(whole['duration_ms'] / 1000)} s",
        table(("KS distance", *content["populations"]), rows) + text,
    )


def _origin(content: Mapping[str, Any]) -> str:
    blocks = ""
    if content["command"]:
        blocks += f"<p class='quiet'>Made by</p><pre>{escape(content['command'])}</pre>"
    nest = [
        (entry.get("file"), entry.get("seed", "–"), entry.get("nest", "–"), entry["sha256"][:16])
        for entry in content["reference"]["realisations"]
    ]
    blocks += "<h3>NEST realisations</h3>"
    blocks += table(("file", "seed", "NEST", "SHA-256 (first 16 digits)"), nest)
    return section("Origin", blocks + definitions(flat({**content["machine"], **content["tools"]})))
