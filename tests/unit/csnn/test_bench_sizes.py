"""Costs against size: what is measured, and what the table says of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from csnn import bench_sizes
from csnn.bench_sizes import Cost, arguments_of, draw, table
from csnn.errors import InvalidInputError, ToolFailedError

COST = Cost(
    size="1", threads=2, neurons=77_169, synapses=300_000_000, generate_s=2.0, load_s=1.25,
    rtf=2.4, events_per_s=4e8, image_mb=111.4, peak_mb=600.0,
)  # fmt: skip


def test_sizes_become_networks() -> None:
    assert arguments_of("0.1") == ["pd14", "--n-scale", "0.1"]
    assert arguments_of("1") == ["pd14", "--n-scale", "1"]
    assert arguments_of("4") == ["columns", "--columns", "4"]


@pytest.mark.parametrize("size", ["0", "-1", "1.5", "nan", "inf", "257", "x", ""])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(InvalidInputError, match="from 0 to 1, or a whole number up to 256"):
        arguments_of(size)


def test_costs_per_synapse_and_event() -> None:
    assert COST.ns_per_synapse == pytest.approx(8.0)
    assert COST.ns_per_event == pytest.approx(2.5)
    assert COST.bytes_per_synapse == pytest.approx(2.0)
    assert table([COST])[2] == (
        "| 1 | 2 | 77,169 | 300,000,000 | 2.0 | 1.2 | 2.40 | 8.00 | 2.50 | 2.00 | 600 | 111.4 |"
    )
    assert table([COST])[0].count("|") == table([COST])[2].count("|")


def test_rounds_keep_the_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []
    speeds = iter([9.0, 3.0, 4.0, 2.0, 5.0])

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        found = {**vars(COST), "rtf": next(speeds), "network": "pd14"}
        found["threads"] = int(command[command.index("--threads") + 1])
        return SimpleNamespace(returncode=0, stdout=json.dumps(found), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    out, figure = tmp_path / "sizes.json", tmp_path / "sizes.svg"
    bench_sizes.main(["--sizes", "0.5", "--threads", "1", "2", "--repeat", "2",
                      "--out", str(out), "--figure", str(figure)])  # fmt: skip
    # The first is for the compiler only.
    assert len(asked) == 5
    assert asked[0][asked[0].index("--time-ms") + 1] == "1"
    costs = json.loads(out.read_text())["costs"]
    assert [(cost["threads"], cost["rtf"]) for cost in costs] == [(1, 2.0), (2, 4.0)]
    assert figure.read_text().count("<svg") == 1
    assert "| 0.5 | 1 |" in capsys.readouterr().out


def test_no_rounds_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="repeat = 0"):
        bench_sizes.main(["--repeat", "0"])


def test_a_failed_measurement_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=3, stdout="", stderr="csnn: error: no\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ToolFailedError, match="size 1 failed: csnn: error: no"):
        bench_sizes.measure("1", 2, time_ms=1.0, warmup_ms=0.0)


def test_every_thread_count_has_its_line() -> None:
    figure = draw([COST, Cost(**{**vars(COST), "threads": 1}), Cost(**{**vars(COST), "size": "2"})])
    for axes in figure.axes:
        assert [len(line.get_xdata()) for line in axes.lines] == [1, 2]
