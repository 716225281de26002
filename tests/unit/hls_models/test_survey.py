"""Surveys of models: projections, tables, and what is said of the paper's claim."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from hls_models.dse import PAPER_LIMITS, Limits
from hls_models.survey import (
    PAPER_STEP_CYCLES,
    REFERENCE,
    Entry,
    legal_models,
    paper_step_us,
    projected,
    survey,
)
from hls_models.survey_report import answer, verdict, write_survey
from hls_models.survey_tables import best_csv, fronts_csv, markdown, shown_rows

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
    with pytest.raises(ValueError, match="is missing"):
        projected(entries[1:])


def test_verdict_counts_what_loses_more_than_seven_percent(entries: list[Entry]) -> None:
    slow = projected(entries, lambda extra: 1.0 + max(extra, 0.0) / 100.0)
    found = verdict(slow)["ours"]
    losses = [p.loss for p in slow.values()]
    assert found["models"] == 3
    assert found["lose_more_than_claimed"] == sum(loss > 0.07 for loss in losses) > 0
    assert found["largest_loss"] == max(losses)
    assert "does not hold" in answer("ours", found)
    nothing = verdict(projected(entries, lambda extra: 1.0))["ours"]
    assert nothing["lose_more_than_claimed"] == 0
    assert "speed holds: 0 of 3" in answer("ours", nothing)


def test_tables_hold_every_design(entries: list[Entry]) -> None:
    rows = list(csv.DictReader(io.StringIO(best_csv(entries, projected(entries), 256))))
    assert len(rows) == len(entries) * len(SIZES)
    for row in rows:
        II, IL, B, T = (int(row[name]) for name in ("II", "IL", "B", "T"))
        assert IL + -(-int(row["neurons"]) // B) * II == T
        assert int(row["LUT"]) <= PAPER_LIMITS.luts
        assert int(row["DSP"]) <= PAPER_LIMITS.dsps
        assert bool(row["speed_up"]) == (row["neurons"] == "256")
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
        out, entries, projected(entries), sizes=SIZES, projected_for=256, limits=PAPER_LIMITS,
        rests_on="a test", command="csnn dse",
    )  # fmt: skip
    files = {path.name for path in out.iterdir()}
    assert files == {*manifest["files"], "manifest.json"}
    assert {"best.csv", "fronts.csv", "tables.md", "dse.html", "speed.svg"} <= files
    page = (out / "dse.html").read_text()
    for entry in entries:
        assert entry.combination.name in page
    assert json.loads((out / "manifest.json").read_text())["claim"] == manifest["claim"]
