"""`csnn perf`: figures, files, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import csnn, names, network_file, refused, succeed, unchanged

FIGURES = {
    f"{name}.svg"
    for name in (
        *("6a_spikes_per_step", "6b_spikes_per_node", "6c_echo", "6d_step_cycles"),
        *("6e_unroll_cycles", "8c_breakdown", "fixed_clock", "locality"),
    )
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("perf")
    succeed("generate", network_file(path), "--out", path / "image")
    succeed("simulate", path / "image", "--out", path / "run")
    return path


def test_figures_of_a_run(folder: Path) -> None:
    found = succeed(
        "perf", folder / "image", "--run", folder / "run", "--out", folder / "perf", "--json"
    ).json
    assert names(folder / "perf") == FIGURES | {"perf.json", "steps.npz", "manifest.json"}
    manifest = json.loads((folder / "perf" / "manifest.json").read_text())
    assert manifest["schema"] == "csnn-perf"
    assert set(manifest["files"]) == FIGURES | {"perf.json", "steps.npz"}
    with np.load(folder / "perf" / "steps.npz") as data:
        cycles = data["cycles"]
    assert len(cycles) == found["steps"] == 599
    assert found["mean"] == pytest.approx(cycles.mean())
    assert found["most"] == cycles.max()
    assert found["real_time_factor"] == pytest.approx(cycles.mean() / 150e6 / 1e-4)
    assert sum(found["parts"].values()) == pytest.approx(found["mean"])
    assert sum(found["worst_parts"].values()) == pytest.approx(found["most"])
    assert found["limit"] == "synchronisation through the network"
    assert found["silent_mean"] < found["mean"]
    # It may be written again, with equal bytes, and only where nothing else is.
    with unchanged(folder / "perf"):
        succeed("perf", folder / "image", "--run", folder / "run", "--out", folder / "perf")
    outcome = csnn("perf", folder / "image", "--run", folder / "run", "--out", folder / "run")
    refused(outcome, str(folder / "run"))


def test_simulated_spikes_are_those_of_the_run(folder: Path) -> None:
    run = succeed("perf", folder / "image", "--run", folder / "run", "--json").json
    options = ("--time-ms", "60", "--warmup-ms", "20", "--json")
    simulated = succeed("perf", folder / "image", *options).json
    assert simulated == run
    shorter = succeed(
        "perf", folder / "image", "--run", folder / "run", "--time-ms", "30", "--json"
    ).json
    assert shorter["steps"] == 299
    assert shorter != run


def test_every_topology(folder: Path) -> None:
    means = {}
    for topology in ("mesh", "tree", "ring", "direct", "chip"):
        given = ("perf", folder / "image", "--run", folder / "run", "--topology", topology)
        means[topology] = succeed(*given, "--json").json["mean"]
    assert means["chip"] < means["direct"] < means["mesh"]
    assert means["direct"] <= means["tree"] < means["ring"] + 1


def test_lines_for_people(folder: Path) -> None:
    told = succeed("perf", folder / "image", "--run", folder / "run", "--mesh", "3,3,3").out
    for words in ("3x3x3", "cycles per step at 150 MHz", "real-time factor", "limit:"):
        assert words in told
    # No line is folded, lest the columns break.
    rows = told.splitlines()
    assert "cycles of a step                        mean  longest" in rows
    assert sum(row.startswith("  sync message to the node") for row in rows) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mesh", "9" * 5000 + ",1,1"), ("--mesh", "three whole numbers")),
        (("--threads", "0"), ("run.threads = 0",)),
        (("--mesh", "3,3"), ("--mesh = '3,3'", "three whole numbers")),
        (("--mesh", "1,1,2"), ("mesh.shape = 1,1,2", "has 2 places")),
        (("--express", "1,0,0"), ("router.express", "2 places or more")),
        (("--topology", "ring", "--mesh", "3,3,1"), ("--mesh = '3,3,1'", "excludes")),
        (("--mesh", "200,200,200"), ("mesh.shape = 200,200,200", "8000000 places", "65536")),
        (("--express", "100,0,0"), ("router.express = (100, 0, 0)", "than the 3 places along X")),
        (("--topology", "tree", "--express", "2,0,0"), ("--express = '2,0,0'", "excludes")),
        (("--arity", "3"), ("--arity = 3", "excludes --topology mesh")),
        *(
            (("--topology", kind, "--arity", "3"), ("--arity = 3", f"excludes --topology {kind}"))
            for kind in ("mesh", "ring", "direct", "chip")
        ),
        *(
            (("--topology", "chip", option, value), (f"{option} = ", "excludes --topology chip"))
            for option, value in (
                *(("--link-latency-ns", "800"), ("--link-jitter-ns", "0")),
                *(("--comm-mhz", "100"), ("--frame-cycles", "4")),
            )
        ),
        (("--link-latency-ns", "4000"), ("--link-latency-ns = 4000.0", "at most 2400, or frames")),
        (
            ("--link-latency-ns", "2300", "--link-jitter-ns", "200"),
            ("--link-latency-ns = 2300.0", "at most 2200"),
        ),
        (("--link-jitter-ns", "1700"), ("--link-jitter-ns = 1700.0", "at most 1600")),
        (("--comm-mhz", "10000"), ("--comm-mhz = 10000.0", "at most 300")),
        (("--frame-cycles", "256"), ("--frame-cycles = 256", "at most 84")),
        (
            ("--frame-cycles", "256", "--link-latency-ns", "700"),
            ("--frame-cycles = 256", "at most 89"),
        ),
        (
            ("--frame-cycles", "256", "--link-latency-ns", "9000"),
            ("--link-latency-ns = 9000.0", "less, and others too"),
        ),
        (("--topology", "tree", "--arity", "0"), ("topology.arity = 0",)),
        (("--link-latency-ns", "-1"), ("link.latency_ns = -1.0",)),
        (("--link-latency-ns", "nan"), ("link.latency_ns = nan",)),
        (("--window", "3"), ("link.window = 3", "power of two")),
        (("--app-mhz", "0"), ("clocks.app_mhz = 0.0",)),
        (("--branch-buffer", "3"), ("router.branch_buffer = 3",)),
        (("--time-ms", "0.1"), ("--time-ms = 0.1", "2 to 1000000 steps")),
        (("--time-ms", "0.05"), ("time_ms = 0.05", "multiple of dt_ms")),
        (("--warmup-ms", "-1"), ("perf.warmup_ms = -1.0",)),
    ],
)
def test_bad_options_are_refused(folder: Path, options: tuple[str, ...], words: list[str]) -> None:
    refused(csnn("perf", folder / "image", *options), *words)


def test_bad_runs_are_refused(folder: Path) -> None:
    given = ("perf", folder / "image", "--run", folder / "run")
    refused(csnn(*given, "--time-ms", "61"), "--time-ms = 61.0", "must be within the 60 ms")
    refused(csnn(*given, "--warmup-ms", "5"), "--warmup-ms = 5.0", "excludes --run")
    refused(csnn(*given, "--threads", "-5"), "--threads = -5", "excludes --run")
    refused(csnn("perf", folder / "image", "--run", folder / "none"), str(folder / "none"))
    refused(csnn("perf", folder / "none"), str(folder / "none"))
    hint = f"the image is {folder / 'run' / 'image'}"
    refused(csnn("perf", folder / "run"), "schema must be 'csnn-image'", hint)
    refused(csnn(*given, "--out", folder), str(folder), "holds the image")
    succeed("generate", network_file(folder), "--seed", "9", "--out", folder / "other")
    outcome = csnn("perf", folder / "other", "--run", folder / "run")
    refused(outcome, "is a run of another image")


@pytest.mark.parametrize(
    "options",
    [
        ("--link-latency-ns", "2400"),
        ("--link-jitter-ns", "1600"),
        ("--comm-mhz", "300"),
        ("--frame-cycles", "84"),
        ("--express", "2,2,0"),
        # The links of other machines play no part inside a device.
        ("--topology", "chip", "--app-mhz", "2000"),
    ],
)
def test_options_at_their_limits(folder: Path, options: tuple[str, ...]) -> None:
    given = ("perf", folder / "image", "--run", folder / "run", "--time-ms", "1")
    assert succeed(*given, *options, "--json").json["steps"] == 9


def test_nothing_is_written_inside_what_is_written_as_a_whole(folder: Path, tmp_path: Path) -> None:
    given = (folder / "image", "--run", folder / "run")
    succeed("perf", *given, "--out", tmp_path / "found")
    for command in ("perf", "explore"):
        for inside in (folder / "image", folder / "run", tmp_path / "found"):
            for out in (inside / "sub", inside / "sub" / "deeper"):
                with unchanged(inside):
                    refused(csnn(command, *given, "--out", out), str(out), f"lies in {inside}")
        # Through a link, and without being told of the run.
        out = folder / "run" / "image" / "sub"
        with unchanged(folder / "image"):
            refused(csnn(command, *given, "--out", out), f"lies in {folder / 'image'}")
        out = folder / "run" / "sub"
        refused(csnn(command, folder / "image", "--out", out), f"lies in {folder / 'run'}")


def test_a_run_inside_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    succeed("perf", folder / "image", "--run", folder / "run", "--out", out)
    shutil.copytree(folder / "run", out / "run", symlinks=True)
    with unchanged(out):
        outcome = csnn("perf", folder / "image", "--run", out / "run", "--out", out)
        refused(outcome, str(out), f"holds the run {out / 'run'}")


def test_usage(folder: Path) -> None:
    refused(csnn("perf", folder / "image", "--topology", "star"), "star", code=2)
    refused(csnn("perf"), "IMAGE", code=2)
