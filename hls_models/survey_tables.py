"""Tables of a survey: CSV for programs, Markdown and rows of HTML for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from csnn.neurons.registry import Combination
from csnn.spec.neuron import SOLVERS
from hls_models.dse import Design
from hls_models.survey import ACCOUNTS, CLAIMED_LOSS, Entry, Projection, Speeds

_DESIGN = ("II", "IL", "B", "T", "FADD", "FMUL", "FEXP", "LUT", "FF", "DSP", "BRAM36")
_MODEL = ("model", "neuron", "kernel", "coupling", "solver", "operators", "neurons")
_SPEED = ("step_us", "speed_up", "loss_percent")
BEST_HEAD = (*_MODEL, *_DESIGN, *(f"{a}_{name}" for a in ACCOUNTS for name in _SPEED))
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


def best_csv(entries: Iterable[Entry], speeds: Iterable[Speeds], projected_for: int) -> str:
    """Return the fastest design of each model; the speed is that of nodes of `projected_for`."""
    known = {account.account: account.of for account in speeds}

    def rows() -> Iterable[list[object]]:
        for entry in entries:
            for neurons, design in entry.best:
                row: list[object] = [*_model_row(entry, neurons), *design_row(design, neurons)]
                for account in ACCOUNTS:
                    found = known.get(account, {}).get((entry.combination.name, entry.library))
                    row += _speed_row(found if neurons == projected_for else None)
                yield row

    return _csv(BEST_HEAD, rows())


def _speed_row(found: Projection | None) -> list[str]:
    if found is None:
        return [""] * len(_SPEED)
    return [f"{found.step_us:.4f}", f"{found.speed_up:.4f}", f"{100 * found.loss:.3f}"]


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
            speed = projections.get((entry.combination.name, entry.library))
            row += _projected(speed) if speed else [""] * len(PROJECTED_HEAD)
        found.append(row)
    return found


def _projected(speed: Projection) -> list[str]:
    return [f"{speed.step_us:.2f}", f"{speed.speed_up:.3f}", f"{100 * speed.loss:.1f} %"]


def by_solver(
    entries: Sequence[Entry], cell: Callable[[Entry], str]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return head and rows of a table: a row for neuron and synapses, a column for each solver.

    A dash stands where mathematics allows no model, nothing where one was not explored.

    Parameters
    ----------
    entries : sequence of Entry
        By operators of one make.
    cell : callable
        What is shown of a model.
    """
    found = {entry.combination: entry for entry in entries}
    solvers = [name for name in SOLVERS if any(c.solver == name for c in found)]

    def text(c: Combination) -> str:
        if c in found:
            return cell(found[c])
        return "-" if c.refusal() else ""

    rows = [
        [_synapses(c), *(text(replace(c, solver=solver)) for solver in solvers)]
        for c in dict.fromkeys(replace(c, solver="") for c in found)
    ]
    return ("model", *solvers), rows


def _synapses(c: Combination) -> str:
    parts = f" x{c.substeps}" if c.substeps > 1 else ""
    return f"{c.neuron} {c.kernel} {c.coupling}{parts}"


def cycles_cell(neurons: int, entry: Entry) -> str:
    """Return T_N of the fastest design with its II and B."""
    if not entry.best:
        return "none fits"
    design = dict(entry.best)[neurons]
    return f"{design.cycles(neurons):,} ({design.ii} x {design.blocks})"


def losses_cell(speeds: Iterable[Speeds], entry: Entry) -> str:
    """Return the part of the speed that is lost in percent, by each account.

    Without a reference by the same operators there is nothing to lose.
    """
    if not entry.best:
        return "none fits"
    key = entry.combination.name, entry.library
    losses = [account.of[key].loss for account in speeds if key in account.of]
    return " / ".join(f"{100 * loss:.1f}" for loss in losses) or "not judged"


def claim_table(
    entries: Sequence[Entry], losses: Mapping[str, float]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return head and rows: how many models of a neuron and solver lose more than is claimed.

    Parameters
    ----------
    entries : sequence of Entry
        By operators of one make.
    losses : mapping of str to float
        By name of the model; those without one are left out.
    """
    counted = [entry.combination for entry in entries if entry.combination.name in losses]
    solvers = [name for name in SOLVERS if any(c.solver == name for c in counted)]

    def count(models: Sequence[Combination]) -> str:
        more = sum(losses[c.name] > CLAIMED_LOSS for c in models)
        return f"{more} of {len(models)}" if models else "-"

    def row(title: str, models: Sequence[Combination]) -> list[str]:
        own = [[c for c in models if c.solver == solver] for solver in solvers]
        return [title, *map(count, own), count(models)]

    neurons = dict.fromkeys(c.neuron for c in counted)
    rows = [row(name, [c for c in counted if c.neuron == name]) for name in neurons]
    return ("neuron", *solvers, "all"), [*rows, row("all", counted)]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are aligned at the right."""
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
