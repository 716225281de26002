"""Surveys of models: projections, tables, and what is said of the paper's claim."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from csnn.neurons.registry import Combination, parse
from hls_models.dse import PAPER_LIMITS, Design, Limits
from hls_models.library import Cost
from hls_models.survey import (
    PAPER_STEP_CYCLES,
    REFERENCE,
    Entry,
    Projection,
    Speeds,
    extra_cycles,
    interpolated,
    legal_models,
    modelled_lengths,
    paper_step_us,
    projected,
    survey,
)
from hls_models.survey_report import answer, answers, verdict, write_survey
from hls_models.survey_tables import (
    best_csv,
    by_solver,
    claim_table,
    cycles_cell,
    fronts_csv,
    losses_cell,
    markdown,
    shown_rows,
)

SIZES = (32, 256)
NAMES = ["lif", "lif_exp_coba_rk4", "izhikevich_delta_cuba_euler"]


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return list(survey(legal_models(NAMES), intervals=(1, 2, 4)))


def test_models_by_name_follow_the_reference() -> None:
    assert [c.name for c in legal_models(NAMES)] == [REFERENCE.name, *NAMES[1:]]
    assert legal_models(["lif", "lif", REFERENCE.name]) == [REFERENCE]
    assert [c.name for c in legal_models(["adex_exp_coba_rk4_x4"])][1:] == ["adex_exp_coba_rk4_x4"]
    assert len(legal_models()) == 375


def test_result_does_not_depend_on_processes(entries: list[Entry]) -> None:
    assert list(survey(legal_models(NAMES), intervals=(1, 2, 4), processes=2)) == entries


def test_paper_step_is_its_speed_up() -> None:
    assert paper_step_us(0.0) == pytest.approx(24.633, abs=1e-3)
    assert paper_step_us(150.0) - paper_step_us(0.0) == pytest.approx(1.0)


def test_projection_is_the_step_with_another_ode_unit(entries: list[Entry]) -> None:
    found = projected(entries)
    reference = found[REFERENCE.name, "ours"]
    assert (reference.loss, reference.speed_up) == (0.0, pytest.approx(4.0595, abs=1e-3))
    for entry in entries:
        extra = entry.cycles(256) - entries[0].cycles(256)
        cycles = PAPER_STEP_CYCLES + extra
        speed = found[entry.combination.name, "ours"]
        assert speed.loss == pytest.approx(extra / cycles)
        assert speed.speed_up == pytest.approx(100.0 / (cycles / 150.0))
    slower = projected(entries, lambda extra: 20.0 + extra, dt_ms=0.5)[REFERENCE.name, "ours"]
    assert slower.speed_up == 25.0
    with pytest.raises(ValueError, match="is missing"):
        projected(entries[1:])


def made(name: str, ii: int, latency: int, blocks: int) -> Entry:
    """Return a model whose fastest design for every size is this one."""
    combination = parse(name)
    assert isinstance(combination, Combination)
    design = Design(ii=ii, latency=latency, blocks=blocks, block=Cost(1000, 1, 1), instances=())
    return Entry(
        combination=combination, library="ours", best=tuple((n, design) for n in SIZES),
        fronts=tuple((n, (design,)) for n in SIZES), refusal="",
    )  # fmt: skip


# T_32 = 20 + 4, 100 + 11 * 2, 900 + 32 * 4; T_256 = 20 + 32, 100 + 86 * 2, 900 + 256 * 4.
BY_HAND = [
    made("lif_exp_cuba_exact", 1, 20, 8),
    made("lif_exp_coba_rk4", 2, 100, 3),
    made("adex_beta_coba_ps6", 4, 900, 1),
    made("adex_beta_coba_rk4_x2", 4, 900, 1),
]
# One that does not fit, and by the account no speed is known of.
WITHOUT = Entry(
    combination=Combination(neuron="adex", kernel="beta", coupling="coba", solver="ps5"),
    library="ours", best=(), fronts=(), refusal="too large",
)  # fmt: skip


def speeds(account: str, **losses: float) -> Speeds:
    """Return projections of which only the losses matter."""
    of = {
        (name, "ours"): Projection(step_us=1.0, speed_up=100.0, loss=loss)
        for name, loss in losses.items()
    }
    return Speeds(account=account, rests_on="a test", of=of)


def test_cycles_by_solver() -> None:
    head, rows = by_solver([*BY_HAND, WITHOUT], partial(cycles_cell, 32))
    assert head == ("model", "exact", "rk4", "ps5", "ps6")
    assert rows == [
        ["lif exp cuba", "24 (1 x 8)", "", "", ""],
        ["lif exp coba", "-", "122 (2 x 3)", "", ""],
        ["adex beta coba", "-", "", "none fits", "1,028 (4 x 1)"],
        ["adex beta coba x2", "-", "1,028 (4 x 1)", "", ""],
    ]
    _, rows = by_solver(BY_HAND, partial(cycles_cell, 256))
    assert [rows[0][1], rows[1][2], rows[2][3]] == ["52 (1 x 8)", "272 (2 x 3)", "1,924 (4 x 1)"]


def test_every_legal_model_has_a_cell() -> None:
    models = [
        Entry(combination=c, library="ours", best=(), fronts=(), refusal="")
        for c in legal_models()
    ]  # fmt: skip
    head, rows = by_solver(models, lambda entry: entry.combination.name)
    assert len(head) == 11
    assert len(rows) == 40
    cells = [cell for row in rows for cell in row[1:]]
    assert [cell for cell in cells if cell != "-"] == [entry.combination.name for entry in models]
    assert cells.count("-") == 400 - 375


def test_losses_by_solver_and_what_is_more_than_claimed() -> None:
    paper = speeds(
        "paper", lif_exp_cuba_exact=0.0, lif_exp_coba_rk4=0.0701, adex_beta_coba_ps6=0.34
    )
    model = speeds(
        "model", lif_exp_cuba_exact=-0.002, lif_exp_coba_rk4=0.0699, adex_beta_coba_ps6=0.4
    )
    shown = [*BY_HAND[:3], WITHOUT]
    head, rows = by_solver(shown, partial(losses_cell, [paper, model]))
    assert head == ("model", "exact", "rk4", "ps5", "ps6")
    assert rows == [
        ["lif exp cuba", "0.0 / -0.2", "", "", ""],
        ["lif exp coba", "-", "7.0 / 7.0", "", ""],
        ["adex beta coba", "-", "", "none fits", "34.0 / 40.0"],
    ]
    assert losses_cell([], BY_HAND[0]) == "not judged"
    losses = {name: found.loss for name, found in paper.by("ours").items()}
    head, rows = claim_table(shown, losses)
    assert head == ("neuron", "exact", "rk4", "ps6", "all")
    assert rows == [
        ["lif", "0 of 1", "1 of 1", "-", "1 of 2"],
        ["adex", "-", "-", "1 of 1", "1 of 1"],
        ["all", "0 of 1", "1 of 1", "1 of 1", "2 of 3"],
    ]
    losses = {name: found.loss for name, found in model.by("ours").items()}
    assert claim_table(shown, losses)[1][-1] == ["all", "0 of 1", "0 of 1", "1 of 1", "1 of 3"]
    assert paper.by("vendor") == {}
    said = answers([paper, model], shown)
    assert [line.split(":")[0] for line in said] == [
        "Speed by the paper", "Operators ours", "Speed by the model", "Operators ours",
    ]  # fmt: skip
    assert "2 of 3 models lose more" in said[1]
    assert "1 of 3 models lose more" in said[3]


def test_extra_cycles_are_against_the_reference() -> None:
    assert extra_cycles(BY_HAND[:3], 256) == {
        ("lif_exp_cuba_exact", "ours"): 0,
        ("lif_exp_coba_rk4", "ours"): 272 - 52,
        ("adex_beta_coba_ps6", "ours"): 1924 - 52,
    }
    assert extra_cycles(BY_HAND[:2], 32)["lif_exp_coba_rk4", "ours"] == 122 - 24


def test_few_lengths_are_modelled() -> None:
    assert modelled_lengths([0]) == [0]
    assert modelled_lengths([300, 0, 300, -7, 20]) == [-7, 0, 20, 300]
    assert modelled_lengths(range(0, 500, 5)) == [0, 125, 250, 370, 495]
    assert modelled_lengths([-20, -10, 0, 10, 20, 400, 1000, 3000]) == [-20, 0, 400, 3000]
    for extras in (range(-24, 3000, 7), range(-300, 1), [*range(-5, 90), 4000]):
        lengths = modelled_lengths(extras)
        assert 4 <= len(lengths) <= 5
        assert (lengths[0], lengths[-1]) == (min(extras), max(extras))
        assert {0, *extras} >= set(lengths) >= {0}


def test_step_is_linear_between_lengths() -> None:
    step_us = interpolated([-10, 0, 100], [19.5, 20.0, 30.0])
    assert [step_us(extra) for extra in (-10, 0, 100)] == [19.5, 20.0, 30.0]
    assert step_us(-5) == 19.75
    assert step_us(70) == 27.0
    for extra in (-11, 101):
        with pytest.raises(ValueError, match="outside of -10 to 100"):
            step_us(extra)


def test_verdict_counts_what_loses_more_than_seven_percent(entries: list[Entry]) -> None:
    slow = projected(entries, lambda extra: 1.0 + max(extra, 0.0) / 100.0)
    found = verdict(slow, entries)["ours"]
    losses = [p.loss for p in slow.values()]
    assert found["models"] == 3
    assert found["lose_more_than_claimed"] == sum(loss > 0.07 for loss in losses) > 0
    assert found["largest_loss"] == max(losses)
    assert "does not hold" in answer("ours", found)
    nothing = verdict(projected(entries, lambda extra: 1.0), entries)["ours"]
    assert nothing["lose_more_than_claimed"] == 0
    assert "speed holds for those explored: 0 of 3" in answer("ours", nothing)


def test_verdict_does_not_count_what_does_not_fit(entries: list[Entry]) -> None:
    large = replace(entries[1], best=(), fronts=((32, ()), (256, ())), refusal="too large")
    same = projected([entries[0]], lambda extra: 1.0)
    alone = verdict(same, [entries[0], large])["ours"]
    assert (alone["models"], alone["do_not_fit"]) == (1, 1)
    assert "is not judged: lif_exp_cuba_exact is compared with nothing; of 1 more" in answer(
        "ours", alone
    )
    some = [entries[0], large, entries[2]]
    equal = verdict(projected(some, lambda extra: 1.0), some)["ours"]
    assert "is not decided: 0 of 2 models lose more" in answer("ours", equal)
    slow = verdict(projected(some, lambda extra: 1.0 + max(extra, 0.0)), some)["ours"]
    assert "does not hold: 1 of 2 models lose more" in answer("ours", slow)
    assert answer("ours", slow).endswith("; of 1 more no design fits.")


def by_paper(entries: list[Entry]) -> Speeds:
    """Return the projections by the paper's step."""
    return Speeds(account="paper", rests_on="a test", of=projected(entries))


def test_tables_hold_every_design(entries: list[Entry]) -> None:
    rows = list(csv.DictReader(io.StringIO(best_csv(entries, [by_paper(entries)], 256))))
    assert len(rows) == len(entries) * len(SIZES)
    for row in rows:
        II, IL, B, T = (int(row[name]) for name in ("II", "IL", "B", "T"))
        assert IL + -(-int(row["neurons"]) // B) * II == T
        assert int(row["LUT"]) <= PAPER_LIMITS.luts
        assert int(row["DSP"]) <= PAPER_LIMITS.dsps
        assert bool(row["paper_speed_up"]) == (row["neurons"] == "256")
        assert row["model_speed_up"] == ""
    fronts = list(csv.DictReader(io.StringIO(fronts_csv(entries))))
    for row in rows:
        own = [f for f in fronts if (f["model"], f["neurons"]) == (row["model"], row["neurons"])]
        assert min(int(f["T"]) for f in own) == int(row["T"])
        for a in own:
            assert not any(
                all(float(b[k]) <= float(a[k]) for k in ("T", "LUT", "DSP")) and b is not a
                for b in own
            )
    shown = markdown(("model", "II"), [row[:2] for row in shown_rows(entries, 256)])
    assert shown.count("\n") == 2 + len(entries)


def test_what_does_not_fit_is_told() -> None:
    limits = Limits(luts=700, dsps=524)
    (entry,) = survey([REFERENCE], limits=limits, intervals=(1, 16))
    assert entry.best == ()
    assert "look-up tables of 700" in entry.refusal
    assert shown_rows([entry], 256)[0][:2] == [REFERENCE.name, "none fits"]
    assert projected([entry]) == {}


def test_folder_is_whole(entries: list[Entry], tmp_path: Path) -> None:
    out = tmp_path / "dse"
    manifest = write_survey(
        out, entries, [by_paper(entries)], sizes=SIZES, projected_for=256, limits=PAPER_LIMITS,
        command="csnn dse",
    )  # fmt: skip
    files = {path.name for path in out.iterdir()}
    assert files == {*manifest["files"], "manifest.json"}
    assert {"best.csv", "fronts.csv", "tables.md", "dse.html", "speed.svg"} <= files
    page = (out / "dse.html").read_text()
    for entry in entries:
        assert entry.combination.name in page
    assert json.loads((out / "manifest.json").read_text())["claim"] == manifest["claim"]
