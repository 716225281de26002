"""The numbers in the tables of a comparison with NEST, and in the sentence above them."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from csnn.report.comparison import banner, comparison
from csnn.report.machine import image_sizes
from csnn.validation.criteria import Cell, PooledTest, Verdict
from csnn.validation.statistics import STATISTICS, Window, compute_statistics

OWN = [("E", 80), ("I", 20)]
HEAD = ["this run", "NEST", "threshold", "verdict"]


def text(html):
    """Return the text of a piece of a page."""
    return "".join(ElementTree.fromstring(html).itertext())


def tables(html):
    """Return rows of cells of each table in a piece of a page, the head first."""
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in ElementTree.fromstring(html).iter("table")
    ]


def marked(html):
    """Return the first cells of the rows that stand out."""
    rows = ElementTree.fromstring(html).iterfind(".//tr[@class='marked']")
    return [row[0].text for row in rows]


def own_verdict(passed=False):
    """Return a verdict on one second of 2.5 s; its numbers are all different."""
    pairs = [(statistic, name) for statistic in STATISTICS for name, _ in OWN]
    return Verdict(
        cells=tuple(
            Cell(
                population=name,
                statistic=statistic,
                distance=0.5 + i / 100,
                nest_low=0.1 + i / 100,
                nest_mean=0.2 + i / 100,
                nest_high=0.3 + i / 100,
                threshold=0.4 + i / 100,
                passed=passed or i % 2 == 0,
            )
            for i, (statistic, name) in enumerate(pairs)
        ),
        pooled=tuple(
            PooledTest(
                statistic=statistic,
                ratio=5.0 + i / 10,
                nest_low=1.0 + i / 10,
                nest_high=2.0 + i / 10,
                threshold=3.0 + i / 10,
                passed=passed or statistic != "CV",
            )
            for i, statistic in enumerate(STATISTICS)
        ),
        passed=passed,
        judged_ms=1000.0,
        candidate_ms=2500.0,
        seeds=(5, 9),
        family_false_alarm=0.01,
        note="",
    )


def own_comparison(verdict):
    silent = np.empty(0, np.uint32)
    window = Window(first_step=1, n_steps=10000)
    return comparison({}, compute_statistics(silent, silent, OWN, window), verdict, None)


def test_tables_show_distance_range_threshold_and_verdict():
    html = own_comparison(own_verdict())
    ok, bad = "✓ pass", "✗ fail"
    assert tables(html)[:4] == [
        [
            ["population", *HEAD],
            ["E", "0.500", "0.100 – 0.300", "0.400", ok],
            ["I", "0.510", "0.110 – 0.310", "0.410", bad],
        ],
        [
            ["population", *HEAD],
            ["E", "0.520", "0.120 – 0.320", "0.420", ok],
            ["I", "0.530", "0.130 – 0.330", "0.430", bad],
        ],
        [
            ["population", *HEAD],
            ["E", "0.540", "0.140 – 0.340", "0.440", ok],
            ["I", "0.550", "0.150 – 0.350", "0.450", bad],
        ],
        [
            ["statistic", *HEAD],
            ["FR", "5.00", "1.00 – 2.00", "3.00", ok],
            ["CV", "5.10", "1.10 – 2.10", "3.10", bad],
            ["CC", "5.20", "1.20 – 2.20", "3.20", ok],
        ],
    ]
    titles = [h.text for h in ElementTree.fromstring(html).iter("h3")]
    assert [title.partition(",")[2].split()[0] for title in titles[:3]] == [
        "firing",
        "irregularity",
        "pairwise",
    ]
    assert titles[3] == "All populations together"
    assert marked(html) == ["I", "I", "I", "CV"]


@pytest.mark.parametrize(("judged_ms", "seconds"), [(1000.0, "1"), (10000.0, "10")])
def test_banner_gives_the_time_that_was_judged(judged_ms, seconds):
    verdict = replace(own_verdict(passed=True), judged_ms=judged_ms, candidate_ms=25000.0)
    assert text(banner({"time_ms": 25000.0}, verdict)) == (
        "✓ Agrees with NEST. All 6 distributions, each alone and each statistic over all "
        "populations, lie as close to NEST as NEST realisations lie to each other, within the "
        f"tolerance fixed for {seconds} s."
    )


def test_banner_names_what_failed_and_what_was_left_out():
    verdict = replace(own_verdict(), note="The first 1000 ms of 2500 ms were judged")
    assert text(banner({}, verdict)) == (
        "✗ Differs from NEST in 4 of 9 tests: FR of I, CV of I, CC of I, CV of all. "
        "The first 1000 ms of 2500 ms were judged."
    )
    assert text(banner({"verdict_note": "too short"}, None)) == "No verdict: too short."


@pytest.mark.parametrize("full_scale", [True, False, None])
def test_sizes_of_the_paper_stand_beside_its_network_only(full_scale):
    image = {"bytes": 100_000_000, "explicit_bytes": 2_000_000_000}
    if full_scale is not None:
        image["full_scale_pd14"] = full_scale
    [rows] = tables(image_sizes(image, "pA"))
    own = [
        ["", "size", "ratio"],
        ["this image", "100 MB", "1"],
        ["every synapse stored (46 bits)", "2000 MB", "20.0"],
    ]
    paper = [
        ["image of Heittmann et al. (2022)", "348 MB", "3.5"],
        ["explicit network, same paper", "2500 MB", "25.0"],
    ]
    assert rows == own + (paper if full_scale else [])
