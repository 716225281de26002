"""What a survey found: one page, its tables and figures, in a folder."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from csnn.files import MANIFEST_NAME, atomic_directory, sha256
from csnn.image.store import tool_versions
from csnn.report.markup import STYLE, escape, figure_block, section, table
from hls_models import survey_figures
from hls_models.dse import Limits
from hls_models.library import LIBRARIES
from hls_models.survey import REFERENCE, Entry, Projection
from hls_models.survey_tables import (
    PROJECTED_HEAD,
    SHOWN_HEAD,
    best_csv,
    fronts_csv,
    markdown,
    shown_rows,
)

SCHEMA, VERSION = "csnn-dse", 1
CLAIM = survey_figures.CLAIMED_LOSS


def verdict(projections: Mapping[tuple[str, str], Projection]) -> dict[str, dict[str, Any]]:
    """Return by library how many models lose more than the paper's 7 %, and which loses most."""
    found = {}
    for library in dict.fromkeys(library for _, library in projections):
        losses = {model: p.loss for (model, own), p in projections.items() if own == library}
        worst = max(losses, key=lambda model: losses[model])
        found[library] = {
            "models": len(losses),
            "lose_more_than_claimed": sum(loss > CLAIM for loss in losses.values()),
            "largest_loss": losses[worst],
            "largest_loss_model": worst,
        }
    return found


def answer(library: str, found: Mapping[str, Any]) -> str:
    """Return in a sentence what the verdict says of a library."""
    more, models = found["lose_more_than_claimed"], found["models"]
    holds = "holds" if more == 0 else "does not hold"
    return (
        f"{library} operators: the claim that no model costs more than about 7 % of speed {holds}: "
        f"{more} of {models} models lose more; the most, {100 * found['largest_loss']:.1f} %, "
        f"{found['largest_loss_model']}."
    )


def write_survey(
    out: Path,
    entries: Sequence[Entry],
    projections: Mapping[tuple[str, str], Projection],
    *,
    sizes: Sequence[int],
    projected_for: int,
    limits: Limits,
    rests_on: str,
    command: str,
) -> dict[str, Any]:
    """Write best.csv, fronts.csv, tables.md, dse.html, figures and the manifest.

    Parameters
    ----------
    out : Path
        Folder, made or replaced as a whole.
    entries : sequence of Entry
    projections : mapping
        Empty if the reference model was not explored.
    sizes : sequence of int
        Numbers of neurons of a node.
    projected_for : int
        That of the projections.
    limits : Limits
    rests_on : str
        What the projections rest on.
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
    if projections:
        drawn["speed"] = survey_figures.draw_losses(projections, rests_on)
    found = verdict(projections)
    with atomic_directory(out) as folder, rc_context({"svg.hashsalt": SCHEMA}):
        for name, figure in drawn.items():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        (folder / "best.csv").write_text(best_csv(entries, projections, projected_for))
        (folder / "fronts.csv").write_text(fronts_csv(entries))
        (folder / "tables.md").write_text(_markdown(entries, projections, sizes, projected_for))
        page = _page(entries, projections, drawn, sizes, projected_for, limits, rests_on, command)
        (folder / "dse.html").write_text(page, encoding="utf-8")
        files = sorted(path.name for path in folder.iterdir())
        manifest = {
            "schema": SCHEMA,
            "version": VERSION,
            "command": command,
            "limits": asdict(limits),
            "sizes": list(sizes),
            "operators": {name: LIBRARIES[name].source for name in libraries},
            "rests_on": rests_on,
            "claim": found,
            "tools": tool_versions(),
            "files": {name: sha256(folder / name) for name in files},
        }
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _tables(
    entries: Sequence[Entry],
    projections: Mapping[tuple[str, str], Projection],
    sizes: Sequence[int],
    projected_for: int,
) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Return title, head and rows of each table."""
    found: list[tuple[str, tuple[str, ...], list[list[str]]]] = []
    for library in dict.fromkeys(entry.library for entry in entries):
        own = [entry for entry in entries if entry.library == library]
        for size in sizes:
            with_speed = projections if projections and size == projected_for else None
            head = (*SHOWN_HEAD, *PROJECTED_HEAD) if with_speed else SHOWN_HEAD
            title = f"{size} neurons, {library} operators"
            found.append((title, head, shown_rows(own, size, with_speed)))
    return found


def _markdown(
    entries: Sequence[Entry],
    projections: Mapping[tuple[str, str], Projection],
    sizes: Sequence[int],
    projected_for: int,
) -> str:
    return "\n".join(
        f"## {title}\n\n{markdown(head, rows)}"
        for title, head, rows in _tables(entries, projections, sizes, projected_for)
    )


def _page(
    entries: Sequence[Entry],
    projections: Mapping[tuple[str, str], Projection],
    drawn: Mapping[str, Figure],
    sizes: Sequence[int],
    projected_for: int,
    limits: Limits,
    rests_on: str,
    command: str,
) -> str:
    models = len({entry.combination for entry in entries})
    facts = [
        f"{models} models; II and B under {limits.luts:,} look-up tables and {limits.dsps} "
        "multipliers. IL, II and operators are those of schedules, which the emitted pipelines "
        "have exactly; look-up tables and registers are estimates.",
        f"Speed: {rests_on}; against {REFERENCE.name} by operators of the same make.",
        *(answer(library, found) for library, found in verdict(projections).items()),
    ]
    blocks = "".join(f"<p>{escape(fact)}</p>" for fact in facts)
    blocks += "".join(
        f"<p class='quiet'>{escape(name)} operators: {escape(LIBRARIES[name].source)}</p>"
        for name in dict.fromkeys(entry.library for entry in entries)
    )
    content = section("Design space of the neuron models", blocks)
    for name, figure in drawn.items():
        png = io.BytesIO()
        figure.savefig(png, format="png")
        encoded = base64.b64encode(png.getvalue()).decode("ascii")
        content += figure_block(encoded, name.replace("_", " "))
    for title, head, rows in _tables(entries, projections, sizes, projected_for):
        content += section(title, table(head, rows))
    content += f"<p class='quiet'>{escape(command)}</p>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>CsNN design space"
        f"</title><style>{STYLE}</style></head><body><main>{content}</main></body></html>\n"
    )
