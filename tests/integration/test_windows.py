"""What of a run is judged, drawn and told: its first and last step, and every failed test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import spikes, succeed

from csnn.cli.runs import _result_lines
from csnn.report import figures
from csnn.run import validate_run
from csnn.validation.statistics import Window

POPULATIONS = (("E", 0, 80), ("I", 80, 20), ("P", 100, 5))


@pytest.fixture(scope="module", params=["from the start", "after a warm-up"])
def edged(request: pytest.FixtureRequest, image: Path) -> tuple[Path, int, int]:
    """Return a run with spikes in its first and last step, and these steps."""
    folder = image.parent / request.param.replace(" ", "-")
    all_of_it = ("--warmup-ms", "0", "--time-ms", "80")
    succeed("simulate", image, *all_of_it, "--out", folder / "all")
    step = spikes(folder / "all")[0]
    # Neurons 100 to 104 spike in step 1.
    first = 1 if request.param == "from the start" else int(step[step > 200][0])
    last = int(step[step < 700][-1])
    times = ("--warmup-ms", f"{(first - 1) / 10}", "--time-ms", f"{(last - first + 1) / 10}")
    succeed("simulate", image, *times, "--out", folder / "run")
    own = spikes(folder / "run")[0]
    assert (own[0], own[-1]) == (first, last)
    return folder / "run", first, last


def test_statistics_count_the_spikes_of_the_first_and_the_last_step(
    edged: tuple[Path, int, int],
) -> None:
    run, first, last = edged
    step, source = spikes(run)
    seconds = (last - first + 1) * 1e-4
    found = validate_run(run).statistics
    assert found.window == Window(first_step=first, n_steps=last - first + 1, dt_ms=0.1)
    told = succeed("validate", run, "--json").json["statistics"]
    assert told["first_step"] == first
    assert told["duration_ms"] == pytest.approx(1000 * seconds)
    assert sum(p["spikes"] for p in told["populations"]) == step.size
    for own, summary, (name, start, size) in zip(
        found.populations, told["populations"], POPULATIONS, strict=True
    ):
        trains = [step[source == n].astype(float) for n in range(start, start + size)]
        counts = [train.size for train in trains]
        intervals = [np.diff(train) for train in trains if train.size > 2]
        assert (summary["name"], summary["neurons"], summary["spikes"]) == (name, size, sum(counts))
        np.testing.assert_allclose(own.rate, np.array(counts) / seconds, rtol=1e-12)
        np.testing.assert_allclose(own.cv, [np.std(i) / np.mean(i) for i in intervals], rtol=1e-12)
        assert summary["FR"]["mean"] == pytest.approx(np.mean(counts) / seconds)
        assert summary["CV"]["n"] == len(intervals)


def test_the_raster_is_that_of_the_whole_run(
    edged: tuple[Path, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, first, last = edged
    drawn = []
    raster = figures.raster

    def kept(*arguments: Any) -> Any:
        drawn.append(raster(*arguments))
        return drawn[-1]

    monkeypatch.setattr(figures, "raster", kept)
    succeed("report", run)
    [axes] = drawn[0].axes
    assert axes.get_xlim() == (-(last - first + 1) * 0.1, 0.0)
    lines = [line for line in axes.get_lines() if line.get_marker() == "."]
    times = np.sort(np.concatenate([line.get_xdata() for line in lines]))
    np.testing.assert_allclose(times, np.sort((spikes(run)[0] - float(last)) * 0.1), atol=1e-9)


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ((), "compared with NEST: passed"),
        (("FR of L4E",), "compared with NEST: failed in FR of L4E"),
        (("CC of all",), "compared with NEST: failed in CC of all"),
        (("CV of L4E", "FR of all"), "compared with NEST: failed in CV of L4E, FR of all"),
    ],
)
def test_the_summary_names_every_failed_test(failed: tuple[str, ...], told: str) -> None:
    cells = [
        {"statistic": s, "population": "L4E", "passed": f"{s} of L4E" not in failed}
        for s in ("FR", "CV", "CC")
    ]
    pooled = [{"statistic": s, "passed": f"{s} of all" not in failed} for s in ("FR", "CV", "CC")]
    result = {
        "network": "pd14",
        "neurons": 77169,
        "synapses": 298880968,
        "nodes": 305,
        "image": {"bytes": 1e8},
        "mean_rates_hz": {"L4E": 4.4},
        "rtf": 60.0,
        "peak_mb": 700.0,
        "verdict": {"cells": cells, "pooled": pooled, "passed": not failed},
    }
    assert [line for line in _result_lines(result) if line.startswith("compared")] == [told]
