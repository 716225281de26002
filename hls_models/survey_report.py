"""What a survey found: one page, its tables and figures, in a folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from csnn.drawing import to_png, write_svg
from csnn.files import MANIFEST_NAME, atomic_directory, sha256
from csnn.image.store import tool_versions
from csnn.report.markup import STYLE, disclosure, escape, figure_block, section, table
from hls_models import survey_figures
from hls_models.dse import Limits
from hls_models.library import LIBRARIES
from hls_models.survey import CLAIMED_LOSS, REFERENCE, Entry, Projection, Speeds
from hls_models.survey_tables import (
    PROJECTED_HEAD,
    SHOWN_HEAD,
    best_csv,
    by_solver,
    claim_table,
    cycles_cell,
    fronts_csv,
    losses_cell,
    markdown,
    shown_rows,
)

SCHEMA, VERSION = "csnn-dse", 1
# The tables of solvers are wider than a report.
_WIDE = "main{max-width:82rem}figure,p{max-width:60rem}"
_UNITS = (
    "T_N in cycles. FADD, FMUL and FEXP are the operators of one block; LUT, FF, DSP and BRAM are "
    "the resources of all B blocks."
)
# By the first word of a figure's name.
_CAPTIONS = {
    "cycles": "A mark for each model: the cycles in which its fastest design advances all neurons "
    "of a node by a step. Models of the same cycles hide each other.",
    "fronts": "Cycles against look-up tables: to the left designs of fewer "
    "blocks, or of operators that more operations share.",
    "speed": "Models ordered by what they lose, for each account of a step and make of operators.",
}
_Table = tuple[str, tuple[str, ...], list[list[str]]]


def verdict(
    projections: Mapping[tuple[str, str], Projection], entries: Sequence[Entry]
) -> dict[str, dict[str, Any]]:
    """Return by library how many models lose more than the paper's 7 %, and which loses most.

    Parameters
    ----------
    projections : mapping
        By names of model and library.
    entries : sequence of Entry
        All that were explored: those without a projection do not fit.
    """
    found = {}
    for library in dict.fromkeys(library for _, library in projections):
        losses = {model: p.loss for (model, own), p in projections.items() if own == library}
        worst = max(losses, key=lambda model: losses[model])
        explored = [entry for entry in entries if entry.library == library]
        found[library] = {
            "models": len(losses),
            "do_not_fit": sum(not entry.best for entry in explored),
            "lose_more_than_claimed": sum(loss > CLAIMED_LOSS for loss in losses.values()),
            "largest_loss": losses[worst],
            "largest_loss_model": worst,
        }
    return found


def answer(library: str, found: Mapping[str, Any]) -> str:
    """Return in a sentence what the verdict says of a library."""
    more, models, unfit = (
        found[name] for name in ("lose_more_than_claimed", "models", "do_not_fit")
    )
    claim = f"Operators {library}: the claim that no model costs more than about 7 % of speed"
    missing = f"; of {unfit} more no design fits" if unfit else ""
    if models == 1:
        return f"{claim} is not judged: {REFERENCE.name} is compared with nothing{missing}."
    holds = "does not hold" if more else "is not decided" if unfit else "holds for those explored"
    return (
        f"{claim} {holds}: {more} of {models} models lose more; the most, "
        f"{100 * found['largest_loss']:.1f} %, {found['largest_loss_model']}{missing}."
    )


def write_survey(
    out: Path,
    entries: Sequence[Entry],
    speeds: Sequence[Speeds],
    *,
    sizes: Sequence[int],
    projected_for: int,
    limits: Limits,
    command: str,
) -> dict[str, Any]:
    """Write best.csv, fronts.csv, tables.md, dse.html, figures and the manifest.

    Parameters
    ----------
    out : Path
        Folder, made or replaced as a whole.
    entries : sequence of Entry
    speeds : sequence of Speeds
        Empty if no design of the reference fits. Long tables have the last.
    sizes : sequence of int
        Numbers of neurons of a node.
    projected_for : int
        That of the projections.
    limits : Limits
    command : str
        What the user typed.

    Returns
    -------
    dict
        The manifest.
    """
    libraries = list(dict.fromkeys(entry.library for entry in entries))
    drawn: dict[str, Figure] = {}
    for library in libraries:
        own = [entry for entry in entries if entry.library == library]
        for size in sizes:
            drawn[f"cycles_{size}_{library}"] = survey_figures.draw_cycles(own, size)
        drawn[f"fronts_{library}"] = survey_figures.draw_fronts(own, projected_for, limits)
    if speeds:
        drawn["speed"] = survey_figures.draw_losses(speeds)
    compact, long = _compact(entries, speeds, sizes, projected_for), []
    for library in libraries:
        own = [entry for entry in entries if entry.library == library]
        long += _long(library, own, speeds, sizes, projected_for)
    with atomic_directory(out) as folder, rc_context({"svg.hashsalt": SCHEMA}):
        for name, figure in drawn.items():
            write_svg(figure, folder / f"{name}.svg")
        (folder / "best.csv").write_text(best_csv(entries, speeds, projected_for))
        (folder / "fronts.csv").write_text(fronts_csv(entries))
        (folder / "tables.md").write_text(_markdown([*compact, *long]))
        page = _page(entries, speeds, drawn, compact, long, limits, command)
        (folder / "dse.html").write_text(page, encoding="utf-8")
        files = sorted(path.name for path in folder.iterdir())
        manifest = {
            "schema": SCHEMA,
            "version": VERSION,
            "command": command,
            "limits": asdict(limits),
            "sizes": list(sizes),
            "operators": {name: LIBRARIES[name].source for name in libraries},
            "rests_on": {account.account: account.rests_on for account in speeds},
            "claim": {account.account: verdict(account.of, entries) for account in speeds},
            "tools": tool_versions(),
            "files": {name: sha256(folder / name) for name in files},
        }
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def answers(speeds: Sequence[Speeds], entries: Sequence[Entry]) -> list[str]:
    """Return what the verdicts say, and what each rests on."""
    lines = [
        line
        for account in speeds
        for line in (
            f"Speed by the {account.account}: {account.rests_on}",
            *(answer(name, found) for name, found in verdict(account.of, entries).items()),
        )
    ]
    fitting = {entry.library for entry in entries if entry.combination == REFERENCE and entry.best}
    for library in dict.fromkeys(entry.library for entry in entries):
        if library not in fitting:
            lines.append(
                f"Operators {library}: the claim is not judged: no design of {REFERENCE.name}, "
                "which speed is compared with, fits."
            )
    return lines


def _compact(
    entries: Sequence[Entry], speeds: Sequence[Speeds], sizes: Sequence[int], projected_for: int
) -> list[_Table]:
    """Return title, head and rows of the tables with a column for each solver."""
    found: list[_Table] = []
    for library in dict.fromkeys(entry.library for entry in entries):
        own = [entry for entry in entries if entry.library == library]
        for size in sizes:
            title = f"T_{size} in cycles (II x B), operators {library}"
            found.append((title, *by_solver(own, partial(cycles_cell, size))))
        if not speeds:
            continue
        accounts = " / ".join(f"by the {account.account}" for account in speeds)
        title = f"Speed lost in %, {accounts}, {projected_for} neurons, operators {library}"
        found.append((title, *by_solver(own, partial(losses_cell, speeds))))
        for account in speeds:
            losses = {model: p.loss for model, p in account.by(library).items()}
            title = (
                f"Models that lose more than {100 * CLAIMED_LOSS:g} %, by the {account.account}, "
                f"{projected_for} neurons, operators {library}"
            )
            found.append((title, *claim_table(own, losses)))
    return found


def _long(
    library: str,
    entries: Sequence[Entry],
    speeds: Sequence[Speeds],
    sizes: Sequence[int],
    projected_for: int,
) -> list[_Table]:
    """Return title, head and rows of the tables with a row for each model."""
    found: list[_Table] = []
    for size in sizes:
        title = f"{size} neurons, operators {library}"
        if not speeds or size != projected_for:
            found.append((title, SHOWN_HEAD, shown_rows(entries, size)))
            continue
        head = (*SHOWN_HEAD, *PROJECTED_HEAD)
        title = f"{title}, speed by the {speeds[-1].account}"
        found.append((title, head, shown_rows(entries, size, speeds[-1].of)))
    return found


def _markdown(tables: Sequence[_Table]) -> str:
    note = f"{_UNITS}\n\n"
    return note + "\n".join(f"## {title}\n\n{markdown(head, rows)}" for title, head, rows in tables)


def _page(
    entries: Sequence[Entry],
    speeds: Sequence[Speeds],
    drawn: Mapping[str, Figure],
    compact: Sequence[_Table],
    long: Sequence[_Table],
    limits: Limits,
    command: str,
) -> str:
    models = len({entry.combination for entry in entries})
    facts = [
        f"{models} models; II and B under {limits.luts:,} look-up tables and {limits.dsps} "
        "multipliers. IL, II and operators are those of schedules, which the emitted pipelines "
        "have exactly; look-up tables and registers are estimates. Nothing was placed and routed.",
        _UNITS,
        f"Speed is compared with {REFERENCE.name} by operators of the same make.",
        *answers(speeds, entries),
    ]
    blocks = "".join(f"<p>{escape(fact)}</p>" for fact in facts)
    blocks += "".join(
        f"<p class='quiet'>Operators {escape(name)}: {escape(LIBRARIES[name].source)}</p>"
        for name in dict.fromkeys(entry.library for entry in entries)
    )
    content = section("Design space of the neuron models", blocks)
    for name, figure in drawn.items():
        encoded = base64.b64encode(to_png(figure)).decode("ascii")
        content += figure_block(encoded, _CAPTIONS[name.split("_")[0]])
    for title, head, rows in compact:
        content += section(title, table(head, rows))
    every = "".join(disclosure(title, table(head, rows)) for title, head, rows in long)
    content += section("Fastest design of each model", every)
    content += f"<p class='quiet'>{escape(command)}</p>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>CsNN design space"
        f"</title><style>{STYLE}{_WIDE}</style></head><body><main>{content}</main></body></html>\n"
    )
