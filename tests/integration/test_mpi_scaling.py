"""Measuring how a step scales: figures that are there, and agree with each other."""

from __future__ import annotations

import json
from pathlib import Path

import mpi_jobs
import pytest

from csnn.errors import ToolMissingError
from csnn.mpi import scaling


@pytest.mark.slow
def test_scaling_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mpi_jobs.mpiexec()
    for name, value in mpi_jobs.environment().items():
        monkeypatch.setenv(name, value)
    arguments = ["--n-scale", "0.02", "--k-scale", "0.02", "--folder", str(tmp_path / "images")]
    assert scaling.main([*arguments, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    for kind in ("weak", "strong"):
        one, two = content[kind]
        assert (one["ranks"], two["ranks"]) == (1, 2)
        assert one["undivided_us"] > 0
        assert two["undivided_us"] is None
        for row in (one, two):
            assert row["exchange_us"] > 0
            assert 0 < row["own_us"] < row["step_us"]
            assert row["least_us"] <= row["mean_us"]
    assert content["weak"][1]["neurons"] == pytest.approx(
        2 * content["weak"][0]["neurons"], rel=0.01
    )
    # Any number of ranks runs the same network.
    assert content["strong"][0]["events"] == content["strong"][1]["events"] > 0
    table = scaling.lines("weak", content["weak"])
    assert max(map(len, table)) <= 80


def test_bad_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling.main(["--n-scale", "2"]) == 3
    assert scaling.main(["--ranks", "0"]) == 3
    err = capsys.readouterr().err
    assert err.splitlines() == [
        "csnn: --n-scale = 2.0: must be above 0 and at most 1",
        "csnn: --ranks = '0': must be numbers of at least 1",
    ]


def test_no_launcher_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolMissingError, match="mpiexec is missing"):
        scaling.find_mpiexec()
