"""The report: one self-contained, escaped page, complete or absent."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from csnn.drawing import population_colour
from csnn.errors import InvalidInputError
from csnn.report import figures
from csnn.report.html import write_report
from csnn.report.markup import number, table
from csnn.validation.baseline import load_baseline
from csnn.validation.criteria import judge_spikes
from csnn.validation.poisson_control import poisson_spikes
from csnn.validation.statistics import Window, compute_statistics

OWN = [("E", 80), ("I", 20)]


def moments(mean, unit_error=1e-9):
    """Return the fidelity of one table, as a manifest has it."""
    return {
        "target_mean": mean,
        "target_sd": 0.1 * abs(mean),
        "table_mean": mean,
        "table_sd": 0.1 * abs(mean),
        "mean_error": unit_error,
        "variance_error": 2 * unit_error,
        "ks_distance": 0.0127,
        "wasserstein_distance": 0.02,
        "n_outcomes": 64,
    }


def projection(label, weight):
    tables = {
        "weight": moments(weight),
        "delay": moments(1.5),
        "delay_unrounded": moments(1.5, 1e-3),
    }
    return {"projection": label} | tables


RESULT = {
    "network": "a <b>bold</b> & 'quoted' name",
    "neurons": 100,
    "synapses": 12345678,
    "time_ms": 300.0,
    "warmup_ms": 50.0,
    "seed": 7,
    "command": "csnn run 'a b' --seed 7",
    "rtf": 2.5,
    "notes": ["<script>alert(1)</script>"],
    "weight_unit": "pA",
    "fidelity": [
        projection("E->E", 87.8085),
        projection("I->E", -351.234),
        projection("E->I", 87.8085),
        projection("I->I", -351.234),
        projection("E->I twice", 175.617),
    ],
    "image": {"bytes": 100_000_000, "explicit_bytes": 2_000_000_000, "full_scale_pd14": True},
    "timings": {
        "generate_s": 12.5,
        "load_s": 1.25,
        "warmup_s": 2.25,
        "simulate_s": 3.25,
        "validate_s": 4.25,
        "report_s": 5.25,
        "other": 6.25,
    },
    "peak_mb": 700.0,
    "manifest": {"spec_hash": "abc", "tools": {"numpy": "2"}},
}


class Page(HTMLParser):
    """Collects headings, text, and tags; checks that tags balance."""

    VOID = ("meta", "img")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def own_run(rate=20.0):
    window = Window(first_step=1, n_steps=3000)
    step, source = poisson_spikes(np.full(100, rate), window, np.random.default_rng(1))
    return step, source, compute_statistics(step, source, OWN, window)


def write_own(folder, result=RESULT, rate=20.0):
    step, source, statistics = own_run(rate)
    return write_report(folder, result, step, source, OWN, statistics, None, None)


def test_page_is_self_contained_balanced_and_escaped(tmp_path):
    path = write_own(tmp_path)
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert path == tmp_path / "report.html"
    assert page.open == []
    assert not {"script", "link", "iframe", "b>"} & {tag for tag, _ in page.tags}
    assert "<b>bold</b>" not in source
    assert "a <b>bold</b> & 'quoted' name" in page.text
    assert "<script>alert(1)</script>" in page.text
    for _, attributes in page.tags:
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "href" not in attributes
    assert "http" not in source
    assert "url(" not in source


def test_sections_and_files(tmp_path):
    page = Page(write_own(tmp_path).read_text(encoding="utf-8"))
    for text in (
        "No verdict",
        "12,345,678",
        "Table fidelity",
        "Machine image",
        "20.0",  # explicit over image
        "3.5",  # the paper's image over this one
        "25.0",  # the paper's explicit network over this image
        "generate the image12.50 s",
        "load and compile1.25 s",
        "simulate the warm-up2.25 s",
        "simulate3.25 s",
        "validate4.25 s",
        "report5.25 s",
        "other6.25 s",
        "700 MB",
        "tools: numpy",
        "seed 7 · warm-up 50 ms",
        "csnn run 'a b' --seed 7",
        "csnn run image/network.toml --time-ms 300 --warmup-ms 50 --seed 7 --out AGAIN",
    ):
        assert text in page.text
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == [
        "distributions.png",
        "raster.png",
        "rates.png",
    ]
    summary = json.loads((tmp_path / "statistics.json").read_text())
    assert summary["verdict"] is None
    assert summary["statistics"]["populations"][0]["neurons"] == 80
    assert not list(tmp_path.rglob("*.tmp*"))


@pytest.mark.parametrize("rate", [0.0, 5.0])
def test_missing_sections_are_left_out(tmp_path, rate):
    page = Page(write_own(tmp_path, {}, rate).read_text(encoding="utf-8"))
    for title in ("Table fidelity", "Machine image", "Origin", "Time and memory"):
        assert title not in page.text
    assert "Activity" in page.text


def test_projections_with_equal_tables_share_a_row(tmp_path):
    page = Page(write_own(tmp_path).read_text(encoding="utf-8"))
    assert "5 projections use 3 different pairs of tables" in page.text
    for text, count in (
        ("E->E and 1 more87.81 ± 8.78 pA1e-092e-090.01364", 1),
        ("I->E and 1 more-351.2 ± 35.1 pA", 1),
        ("E->I twice175.6 ± 17.6 pA", 1),
        ("1.5 ± 0.15 ms1e-092e-090.013640.002", 3),
        ("E->E, E->I", 1),
        ("I->E, I->I", 1),
    ):
        assert page.text.count(text) == count, text


def test_an_interrupted_run_says_so(tmp_path):
    part = {**RESULT, "complete": False, "last_step": 1500, "dt_ms": 0.1}
    page = Page(write_own(tmp_path, part).read_text(encoding="utf-8"))
    assert "Interrupted after 0.1 s of 0.3 s." in page.text
    assert "0.1 smodel time" in page.text
    whole = {**part, "complete": True}
    page = Page(write_own(tmp_path, whole).read_text(encoding="utf-8"))
    assert "Interrupted" not in page.text
    assert "0.3 smodel time" in page.text


@pytest.mark.parametrize(("last_step", "n_steps"), [(9000, 8950), (None, 1000)])
def test_raster_is_of_the_whole_run_where_its_beginning_is_judged(
    tmp_path, monkeypatch, last_step, n_steps
):
    windows = []
    raster = figures.raster
    monkeypatch.setattr(figures, "raster", lambda *a: windows.append(a[3]) or raster(*a))
    judged = Window(first_step=51, n_steps=1000, dt_ms=0.2)
    silent = np.empty(0, np.uint32)
    statistics = compute_statistics(silent, silent, OWN, judged)
    result = {} if last_step is None else {"last_step": last_step}
    write_report(tmp_path, result, silent, silent, OWN, statistics, None, None)
    assert windows == [Window(first_step=51, n_steps=n_steps, dt_ms=0.2)]


def test_failed_verdict_is_shown(tmp_path):
    baseline = load_baseline(1000)
    populations = list(baseline.populations)
    window = Window(first_step=1, n_steps=12000)
    step, source = poisson_spikes(np.full(77169, 3.0), window, np.random.default_rng(2))
    statistics, baseline, verdict = judge_spikes(step, source, populations, window)
    path = write_report(tmp_path, {}, step, source, populations, statistics, verdict, baseline)
    page = Page(path.read_text(encoding="utf-8"))
    assert "Differs from NEST" in page.text
    assert "Agrees with NEST" not in page.text
    assert "The first 1000 ms of 1200 ms were judged" in page.text
    assert f"{len(verdict.failures)} of 27 tests" in page.text
    assert page.text.count("✗ fail") == len(verdict.failures) > len(verdict.failed) > 0
    assert page.text.count("✓ pass") == 27 - len(verdict.failures)
    assert f"{verdict.pooled[1].ratio:.2f}" in page.text
    assert "NEST 3.10.0, seeds 123450, 123451, 123452, 30 windows of 1 s" in page.text
    assert "after 0.5 s of warm-up" in page.text
    # Means of NEST beside those of the run: 4.4 spikes/s in L4E, 7.8 in L6I.
    for name, size, nest in (
        ("L4E", "21,915", (4.394, 0.5952, 0.0028)),
        ("L6I", "2,948", (7.838, 0.6085, 0.0008)),
    ):
        own = next(p for p in statistics.populations if p.name == name)
        cells = (f"{own.sample(s).mean():.4f}" for s in ("FR", "CV", "CC"))
        row = "".join(f"{mean}(-?[0-9.]{{6}})" for mean in cells)
        found = re.search(f"{name}{size}[0-9,]*?{row}(?=L|$|[^0-9.])", page.text)
        assert found is not None
        assert [float(text) for text in found.groups()] == pytest.approx(nest, abs=1e-3)
    assert (tmp_path / "figures" / "ks.png").is_file()
    summary = json.loads((tmp_path / "statistics.json").read_text())
    assert summary["verdict"]["passed"] is False
    assert summary["baseline"]["realisations"][0]["seed"] == 123450


def test_unwritable_folder_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(InvalidInputError, match="figures"):
        write_own(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures"]


def test_numbers_are_readable():
    assert [number(x) for x in (1234567, 0.5, 1e-7, 123456.7, 0.0, True, "x", None)] == [
        "1,234,567",
        "0.5",
        "1e-07",
        "123,457",
        "0",
        "True",
        "x",
        "None",
    ]
    assert "&lt;i&gt;" in table(("<i>",), [("a",)])


def test_inhibitory_populations_differ_in_colour():
    assert population_colour("L4I") == population_colour("I") != population_colour("L4E")
