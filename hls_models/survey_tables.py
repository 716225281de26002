"""Tables of a survey: CSV for programs, Markdown and rows of HTML for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from hls_models.dse import Design
from hls_models.survey import Entry, Projection

_DESIGN = ("II", "IL", "B", "T", "FADD", "FMUL", "FEXP", "LUT", "FF", "DSP", "BRAM36")
_MODEL = ("model", "neuron", "kernel", "coupling", "solver", "operators", "neurons")
BEST_HEAD = (*_MODEL, *_DESIGN, "step_us", "speed_up", "loss_percent")
FRONT_HEAD = (*_MODEL, *_DESIGN)
SHOWN_HEAD = ("model", "II", "IL", "B", "T", "FADD", "FMUL", "FEXP", "LUT", "FF", "DSP", "BRAM")
PROJECTED_HEAD = ("step (us)", "speed-up", "loss")


def design_row(design: Design, neurons: int) -> list[int | float]:
    """Return II, IL, B, T_N, operators of a block, and the resources of all blocks."""
    operators = dict(design.instances)
    total = design.total
    return [
        design.ii,
        design.latency,
        design.blocks,
        design.cycles(neurons),
        *(operators.get(name, 0) for name in ("fadd", "fmul", "fexp")),
        round(total.luts),
        round(total.registers),
        total.dsps,
        total.blocks,
    ]


def _model_row(entry: Entry, neurons: int) -> list[str | int]:
    c = entry.combination
    return [c.name, c.neuron, c.kernel, c.coupling, c.solver, entry.library, neurons]


def best_csv(
    entries: Iterable[Entry], projections: Mapping[tuple[str, str], Projection], projected_for: int
) -> str:
    """Return the fastest design of each model; the speed is that of nodes of `projected_for`."""

    def rows() -> Iterable[list[object]]:
        for entry in entries:
            for neurons, design in entry.best:
                found = projections.get((entry.combination.name, entry.library))
                speed: list[object] = ["", "", ""]
                if found is not None and neurons == projected_for:
                    speed = [
                        f"{found.step_us:.4f}",
                        f"{found.speed_up:.4f}",
                        f"{100 * found.loss:.3f}",
                    ]
                yield [*_model_row(entry, neurons), *design_row(design, neurons), *speed]

    return _csv(BEST_HEAD, rows())


def fronts_csv(entries: Iterable[Entry]) -> str:
    """Return the Pareto fronts of all models."""
    rows = (
        [*_model_row(entry, neurons), *design_row(design, neurons)]
        for entry in entries
        for neurons, front in entry.fronts
        for design in front
    )
    return _csv(FRONT_HEAD, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def shown_rows(
    entries: Iterable[Entry],
    neurons: int,
    projections: Mapping[tuple[str, str], Projection] | None = None,
) -> list[list[str]]:
    """Return the fastest designs as text, with the projected speed if it is given."""
    found = []
    for entry in entries:
        if not entry.best:
            blank = [""] * (len(SHOWN_HEAD) - 2 + (len(PROJECTED_HEAD) if projections else 0))
            found.append([entry.combination.name, "none fits", *blank])
            continue
        design = dict(entry.best)[neurons]
        row = [entry.combination.name, *(f"{v:,g}" for v in design_row(design, neurons))]
        if projections is not None:
            speed = projections[entry.combination.name, entry.library]
            row += [f"{speed.step_us:.2f}", f"{speed.speed_up:.3f}", f"{100 * speed.loss:.1f} %"]
        found.append(row)
    return found


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are aligned at the right."""
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
