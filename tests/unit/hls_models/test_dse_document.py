"""docs/dse.md: its tables agree with each other, and with what is explored anew for some."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from hls_models.library import LIBRARIES
from hls_models.survey import legal_models, survey
from hls_models.survey_tables import by_solver, cycles_cell

DOCUMENT = Path(__file__).parents[3] / "docs" / "dse.md"
QUICK = ["lif", "izhikevich_delta_cuba_euler"]


def tables(text: str) -> dict[str, dict[tuple[str, str], str]]:
    """Return the tables by their titles: cells by first cell of the row and title of the column."""
    found = {}
    for title, rows in re.findall(r"^#+ (.+)\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows.splitlines()]
        head = lines[0]
        found[title] = {
            (line[0], column): cell
            for line in lines[2:]
            for column, cell in zip(head[1:], line[1:], strict=True)
        }
    return found


@pytest.fixture(scope="module")
def document() -> dict[str, dict[tuple[str, str], str]]:
    return tables(DOCUMENT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("neurons", [32, 256])
def test_designs_are_what_is_explored(
    document: dict[str, dict[tuple[str, str], str]], library: str, neurons: int
) -> None:
    entries = list(survey(legal_models(QUICK), libraries=[library]))
    head, rows = by_solver(entries, partial(cycles_cell, neurons))
    shown = document[f"T_{neurons} in cycles (II x B), operators {library}"]
    for row in rows:
        for column, cell in zip(head[1:], row[1:], strict=True):
            if cell:
                assert shown[row[0], column] == cell


@pytest.mark.parametrize("library", LIBRARIES)
def test_losses_by_the_paper_follow_from_the_cycles(
    document: dict[str, dict[tuple[str, str], str]], library: str
) -> None:
    cycles = {
        model: int(cell.split()[0].replace(",", ""))
        for model, cell in document[f"T_256 in cycles (II x B), operators {library}"].items()
        if cell != "-"
    }
    assert len(cycles) == 375
    extra = {key: t - cycles["lif exp cuba", "exact"] for key, t in cycles.items()}
    loss = {key: e / (3695 + e) for key, e in extra.items()}
    (title,) = [
        name for name in document if name.startswith("Speed lost") and name.endswith(library)
    ]
    assert title == (
        f"Speed lost in %, by the paper / by the model, 256 neurons, operators {library}"
    )
    shown = {key: cell for key, cell in document[title].items() if cell != "-"}
    assert shown.keys() == loss.keys()
    for key, cell in shown.items():
        assert float(cell.split(" / ")[0]) == pytest.approx(100 * loss[key], abs=0.0501)
    claim = document[
        f"Models that lose more than 7 %, by the paper, 256 neurons, operators {library}"
    ]
    for (neuron, solver), cell in claim.items():
        chosen = [
            lost
            for (model, own), lost in loss.items()
            if solver in (own, "all") and neuron in (model.split()[0], "all")
        ]
        more = sum(lost > 0.07 for lost in chosen)
        assert cell == (f"{more} of {len(chosen)}" if chosen else "-")
