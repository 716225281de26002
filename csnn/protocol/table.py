"""The verdict as text that fits 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from csnn.protocol.verdict import ProtocolCell, ProtocolVerdict, Range

_HEAD = ("", "to NEST", "limit", "NEST-NEST", "candidates", "ratio", "if equal", "p")
_NAMED = 6
_WIDTHS = (9, 7, 7, 11, 11, 6, 11, 7)


def lines(verdict: ProtocolVerdict, course: Mapping[str, Any] | None = None) -> list[str]:
    """Return the verdict as lines of 79 characters at most; failed tests are marked with "!".

    Parameters
    ----------
    verdict : ProtocolVerdict
    course : mapping, optional
        What `csnn.protocol.course.summary` returned.
    """
    judged = f"{verdict.judged_ms / 1000:g} s"
    seeds = _plural(len(verdict.seeds), "candidate", "candidates")
    found = [
        f"KS distances over {judged}: {seeds} and {verdict.nest_windows} windows of NEST",
        _row(*_HEAD),
        *(_cell(cell, 3) for cell in verdict.cells),
        "all populations: geometric mean of distance / expected distance of NEST",
        *(_cell(cell, 2) for cell in verdict.pooled),
    ]
    for seed, failed in zip(verdict.seeds, verdict.seed_failures, strict=True):
        if failed:
            more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
            text = f"seed {seed} alone fails in {', '.join(failed[:_NAMED])}{more}"
            found += textwrap.wrap(text.replace(" of ", "\xa0of\xa0"), 79, subsequent_indent="  ")
    alone = sum(bool(failed) for failed in verdict.seed_failures)
    if len(verdict.seeds) > 1:
        found.append(
            f"seeds that fail alone: {alone} of {len(verdict.seeds)} "
            f"(at most {verdict.allowed_failures} may)"
        )
    found.append(
        f"permutation test of all cells: p = {verdict.family_p:.2g}, smallest possible "
        f"{verdict.smallest_p:.2g}"
    )
    found.append(
        f"NEST by the same limits, each realisation against the others: {verdict.nest_alarms} of "
        f"{verdict.nest_windows} fail"
    )
    for note in verdict.notes:
        found += textwrap.wrap(f"note: {note}", 79, subsequent_indent="  ")
    found += course_lines(course)
    if verdict.passed:
        found.append("passed")
    else:
        text = f"failed: {'; '.join(verdict.reasons)}".replace(" of ", "\xa0of\xa0")
        found += textwrap.wrap(text, 79, subsequent_indent="  ")
    return [line.replace("\xa0", " ").rstrip() for line in found]


def course_lines(course: Mapping[str, Any] | None) -> list[str]:
    """Return what became of the windows of long runs, in lines of 79 characters at most."""
    if course is None:
        return []
    failures = [tests for seed in course["seeds"] for tests in seed["failures"]]
    failed = sum(bool(tests) for tests in failures)
    silent = sum(seed["silent"] for seed in course["seeds"])
    text = (
        f"whole runs, in windows of {course['window_ms'] / 1000:g} s: {failed} of {len(failures)} "
        f"fail alone; neurons that fall silent: {silent}"
    )
    return textwrap.wrap(text, 79, subsequent_indent="  ")


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _row(*cells: str) -> str:
    return "".join(
        f"{cell:<{width}}" if i == 0 else f" {cell:>{width}}"
        for i, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    ).rstrip()


def _cell(cell: ProtocolCell, digits: int) -> str:
    if cell.ratio_low is None or cell.ratio_high is None:
        equal = "-"
    else:
        equal = f"{cell.ratio_low:.2f}-{cell.ratio_high:.2f}"
    return _row(
        f"{cell.statistic} {cell.population}",
        _short(cell.to_nest.mean, digits) + (" " if cell.passed else "!"),
        _short(cell.threshold, digits),
        _span(cell.nest, digits),
        "-" if cell.among is None else _span(cell.among, digits),
        f"{cell.ratio:.2f}",
        equal,
        f"{cell.p:.2g}" if cell.p >= 1e-3 else f"{cell.p:.0e}",
    )


def _span(values: Range, digits: int) -> str:
    return f"{_short(values.low, digits)}-{_short(values.high, digits)}"


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if digits == 3 else text
