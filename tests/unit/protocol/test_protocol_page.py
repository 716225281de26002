"""The report of a protocol: its tables fit the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from csnn.protocol import page
from csnn.protocol.distances import Distances
from csnn.protocol.permutation import permutation_test
from csnn.protocol.table import lines
from csnn.protocol.verdict import ProtocolCell, ProtocolVerdict, Range
from csnn.report.markup import STYLE

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
RESULT = RESULTS / "ten-seeds" / "protocol.json"
REM_PX = 16.0


def verdict_of(content: dict[str, Any]) -> ProtocolVerdict:
    """Return the verdict that protocol.json holds."""
    stored = {key: value for key, value in content["verdict"].items() if key != "failures"}
    for key in ("cells", "pooled"):
        stored[key] = tuple(
            ProtocolCell(**{k: Range(**v) if isinstance(v, dict) else v for k, v in cell.items()})
            for cell in stored[key]
        )
    lists = {key: tuple(value) for key, value in stored.items() if isinstance(value, list)}
    return ProtocolVerdict(**stored | lists)


def css(pattern: str) -> float:
    match = re.search(pattern, STYLE)
    assert match is not None, pattern
    return float(match[1])


def width_px(text: str, bold: bool) -> float:
    """Return the width of a text in a table, in a wide font."""
    weight = "bold" if bold else "normal"
    font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
    font.set_size(css(r"table\{[^}]*font-size:([.0-9]+)rem") * REM_PX, 72)
    font.set_text(text)
    return float(font.get_width_height()[0] / 64)


def table_px(table: str, bold: bool) -> float:
    """Return the least width of a table whose cells do not wrap; of cells in bold, if they are."""
    assert re.search(r"th,td\{[^}]*white-space:nowrap", STYLE)
    rows = [
        [
            width_px(cell, bold or kind == "h")
            for kind, cell in re.findall(r"<t([hd])[^>]*>([^<]*)<", row)
        ]
        for row in table.split("<tr")[1:]
    ]
    padding = css(r"th,td\{padding:[.0-9]+rem ([.0-9]+)rem") * REM_PX
    # None left of the first and right of the last column.
    return sum(map(max, zip(*rows, strict=True))) + 2 * padding * (len(rows[0]) - 1)


@pytest.mark.parametrize("bold", [False, True], ids=["passed", "failed"])
def test_tables_fit_the_page(bold: bool) -> None:
    content = json.loads(RESULT.read_text("utf-8"))
    html = page.render(content, verdict_of(content), {})
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) == 5
    room = css(r"main\{max-width:([.0-9]+)rem") - 2 * css(r"main\{[^}]*padding:2rem ([.0-9]+)rem")
    widths = [table_px(table, bold) for table in tables[:4]]
    # Three of the distances and one of the seeds.
    assert min(widths[:3]) > 700
    assert max(widths) <= room * REM_PX


NAMES = sorted(path.parent.name for path in RESULTS.glob("*/protocol.json"))


@pytest.mark.parametrize("name", NAMES)
def test_results_follow_from_their_distances(name: str) -> None:
    content = json.loads((RESULTS / name / "protocol.json").read_text())
    stored = {key: np.array(value) for key, value in content["distances"].items()}
    windows = content["reference"]["windows"]
    first = [windows.index(realisation) for realisation in dict.fromkeys(windows)]
    distances = Distances(
        to_nest=stored["candidate_nest"],
        among=stored["candidate_candidate"],
        nest=stored["nest_nest"],
    )
    test = permutation_test(distances.of_realisations(first), len(first))
    verdict = verdict_of(content)
    assert verdict.family_p == pytest.approx(test.family_p)
    assert len(verdict.cells) == test.p.size
    for cell, p, ratio, low, high, to_nest in zip(
        verdict.cells,
        *(a.ravel() for a in (test.p, test.ratio, test.ratio_low, test.ratio_high)),
        distances.to_nest.mean(axis=(2, 3)).ravel(),
        strict=True,
    ):
        told = (cell.p, cell.ratio, cell.ratio_low, cell.ratio_high, cell.to_nest.mean)
        assert told == pytest.approx((p, ratio, low, high, to_nest))
        if len(first) == len(windows):
            assert cell.ratio == pytest.approx(cell.to_nest.mean / cell.nest.mean)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_told_as_they_are(name: str) -> None:
    content = json.loads((RESULTS / name / "protocol.json").read_text())
    assert content["complete"]
    told = "\n".join(lines(verdict_of(content), content["course"]))
    index = (RESULTS / "index.md").read_text()
    assert f"```text\n{told}\n```" in index
    assert content["command"] in index
    # A result that was altered is not the one that is told.
    content["verdict"]["cells"][3]["ratio"] += 0.01
    assert "\n".join(lines(verdict_of(content), content["course"])) not in index
