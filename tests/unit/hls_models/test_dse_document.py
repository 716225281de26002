"""docs/dse.md: its tables agree with each other, and with what is explored anew for some."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from hls_models.library import LIBRARIES
from hls_models.survey import legal_models, survey
from hls_models.survey_tables import by_solver, cycles_cell

TEXT = (Path(__file__).parents[3] / "docs" / "dse.md").read_text(encoding="utf-8")
QUICK = ["lif", "izhikevich_delta_cuba_euler", "adex_delta_cuba_ps2"]
# The cells of a table by the first cell of the row and the title of the column.
Table = dict[tuple[str, str], str]


def tables(text: str) -> dict[str, Table]:
    """Return the tables that stand right below a title, by title."""
    found = {}
    for title, rows in re.findall(r"^#+ (.+)\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows.splitlines()]
        found[title] = {
            (line[0], column): cell
            for line in lines[2:]
            for column, cell in zip(lines[0][1:], line[1:], strict=True)
        }
    return found


def chosen(losses: Table, neuron: str, solver: str) -> list[list[float]]:
    """Return the losses, by all accounts, of the models that a cell of a claim's table counts."""
    return [
        [float(loss) for loss in cell.split(" / ")]
        for (model, own), cell in losses.items()
        if cell != "-" and solver in (own, "all") and neuron in (model.split()[0], "all")
    ]


def check_losses(text: str, library: str) -> None:
    """Compare losses by the paper with the cycles, and what is counted with the losses."""
    found = tables(text)
    cells = found[f"T_256 in cycles (II x B), operators {library}"]
    cycles = {key: int(c.split()[0].replace(",", "")) for key, c in cells.items() if c != "-"}
    assert len(cycles) == 375
    losses = found[
        f"Speed lost in %, by the paper / by the model, 256 neurons, operators {library}"
    ]
    assert {key for key, cell in losses.items() if cell != "-"} == set(cycles)
    for key, t in cycles.items():
        extra = t - cycles["lif exp cuba", "exact"]
        by_paper, by_model = map(float, losses[key].split(" / "))
        assert by_paper == pytest.approx(100 * extra / (3695 + extra), abs=0.0501)
        # The model's step grows by a cycle for each, but for 0.06 cycles.
        assert by_model == pytest.approx(100 * extra / (2442.5 + extra), abs=0.0601)
    for place, account in enumerate(("paper", "model")):
        title = (
            f"Models that lose more than 7 %, by the {account}, 256 neurons, operators {library}"
        )
        claim = found[title]
        for (neuron, solver), cell in claim.items():
            lost = [both[place] for both in chosen(losses, neuron, solver)]
            if cell == "-":
                assert not lost
                continue
            more, models = (int(number) for number in cell.split(" of "))
            assert models == len(lost)
            # Of a loss that rounds to 7.0 it cannot be told whether it is more.
            assert sum(loss > 7.0 for loss in lost) <= more <= sum(loss >= 7.0 for loss in lost)
        by_neuron = [claim[key] for key in claim if key[0] != "all" and key[1] == "all"]
        summed = sum(int(cell.split(" of ")[0]) for cell in by_neuron)
        assert claim["all", "all"] == f"{summed} of 375"
        check_answer(text, library, account, claim["all", "all"], place, losses)


def check_answer(
    text: str, library: str, account: str, more: str, place: int, losses: Table
) -> None:
    """Compare the first table of the document with the losses."""
    step = {"paper": "the paper's, ", "model": "performance model, "}[account]
    (row,) = re.findall(rf"^\| {library} \| {step}[\d,.]+ cycles \| (.+) \|$", text, re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[0] == more
    shown = {key: float(c.split(" / ")[place]) for key, c in losses.items() if c != "-"}
    for cell, limit in zip(cells[1:3], (10.0, 20.0), strict=True):
        least = sum(loss > limit for loss in shown.values())
        assert least <= int(cell) <= sum(loss >= limit for loss in shown.values())
    largest = max(shown.values())
    percent, name = re.fullmatch(r"([\d.]+) %, `(\w+)`", cells[3]).groups()
    model, solver = name.rsplit("_", 1)
    assert float(percent) == largest == shown[model.replace("_", " "), solver]


def check_cycles(text: str, library: str) -> None:
    """Compare cycles of 32 and 256 neurons: with the same II a model has the same IL."""
    found = tables(text)
    latencies: dict[tuple[str, str, int], int] = {}
    for neurons in (32, 256):
        cells = found[f"T_{neurons} in cycles (II x B), operators {library}"]
        for (model, solver), cell in cells.items():
            if cell == "-":
                continue
            t, ii, blocks = map(int, re.findall(r"\d+", cell.replace(",", "")))
            latency = t - -(-neurons // blocks) * ii
            assert latency > 0
            assert latencies.setdefault((model, solver, ii), latency) == latency
    # 375 models, most of which have one II for both.
    assert 375 <= len(latencies) < 2 * 375


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("neurons", [32, 256])
def test_designs_are_what_is_explored(library: str, neurons: int) -> None:
    entries = list(survey(legal_models(QUICK), libraries=[library]))
    head, rows = by_solver(entries, partial(cycles_cell, neurons))
    shown = tables(TEXT)[f"T_{neurons} in cycles (II x B), operators {library}"]
    compared = {
        (row[0], column): cell
        for row in rows
        for column, cell in zip(head[1:], row[1:], strict=True)
        if cell
    }
    assert len(compared) == 5
    assert {key: shown[key] for key in compared} == compared


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_all_designs_are_what_is_explored(library: str) -> None:
    entries = list(survey(legal_models(), libraries=[library]))
    for neurons in (32, 256):
        head, rows = by_solver(entries, partial(cycles_cell, neurons))
        shown = tables(TEXT)[f"T_{neurons} in cycles (II x B), operators {library}"]
        assert shown == {
            (row[0], column): cell
            for row in rows
            for column, cell in zip(head[1:], row[1:], strict=True)
        }


@pytest.mark.parametrize("library", LIBRARIES)
def test_blocks_of_32_and_256_neurons_agree(library: str) -> None:
    check_cycles(TEXT, library)


@pytest.mark.parametrize("library", LIBRARIES)
def test_losses_follow_from_cycles_and_counts_from_losses(library: str) -> None:
    check_losses(TEXT, library)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| 126 (1 x 4) | 307 (2 x 3) |", "| 126 (1 x 4) | 312 (2 x 3) |"),
        ("| 2.1 / 3.1 | 6.6 / 9.6 |", "| 2.1 / 3.1 | 7.1 / 9.6 |"),
        ("| 173 of 375 |", "| 172 of 375 |"),
        ("| 207 of 375 |", "| 206 of 375 |"),
        ("| 10.0 / 14.4 |", "| 10.0 / 44.4 |"),
        ("| 97 | 15 | 22.5 %,", "| 7 | 15 | 22.5 %,"),
        ("| 97 | 15 | 22.5 %,", "| 97 | 1 | 22.5 %,"),
        ("| 97 | 15 | 22.5 %,", "| 97 | 15 | 2.5 %,"),
        ("22.5 %, `adex_alpha_coba_ps6`", "22.5 %, `lif_delta_cuba_ps6`"),
    ],
)
def test_wrong_cells_are_found(right: str, wrong: str) -> None:
    assert right in TEXT
    with pytest.raises(AssertionError):
        check_losses(TEXT.replace(right, wrong), "ours")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| 234 (1 x 1) |", "| 23 (9 x 9) |"),
        ("| 126 (1 x 4) |", "| 126 (2 x 4) |"),
        ("| 126 (1 x 4) |", "| 126 (1 x 3) |"),
    ],
)
def test_wrong_designs_are_found(right: str, wrong: str) -> None:
    assert right in TEXT
    with pytest.raises(AssertionError):
        check_cycles(TEXT.replace(right, wrong), "ours")
