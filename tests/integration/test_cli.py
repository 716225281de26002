"""The commands on small networks: files, streams, exit codes, resuming, interruption."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    REPORT_FILES,
    RUN_FILES,
    SMALL,
    csnn,
    names,
    network_file,
    require_nest,
    spikes,
    succeed,
    tree,
)

from csnn import edges as edge_files
from csnn import output
from csnn.cli import main
from csnn.image.store import open_image
from csnn.result import is_full_scale_pd14
from csnn.run import run_simulation
from csnn.spec.columns import columns
from csnn.spec.machine import Run
from csnn.spec.pd14 import POPULATIONS, SIZES
from csnn.spec.toml import loads
from csnn.validation.criteria import judge_spikes
from csnn.validation.statistics import Window

SCRIPT = Path(sys.executable).with_name("csnn")
COMMANDS = ("run", "generate", "simulate", "validate", "report", "bench", "show", "export edges",
            "export spikes")  # fmt: skip


def script(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


# What the commands leave and print


def test_run_leaves_a_complete_directory(finished: Path) -> None:
    assert names(finished) == RUN_FILES | REPORT_FILES
    result = json.loads((finished / "result.json").read_text(), parse_constant=pytest.fail)
    assert result["complete"]
    assert result["last_step"] == 800
    assert result["spikes"] == len(spikes(finished)[0]) > 0
    assert result["seed"] == 3
    assert result["verdict"] is None
    assert set(result["timings"]) >= {"generate_s", "simulate_s", "validate_s", "report_s"}
    page = (finished / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert open_image(finished / "image").digest == result["image_digest"]
    output.check(finished, "result.json", "spikes.npz", "report.html", "statistics.json")


def test_spikes_are_those_after_the_warmup_with_steps_from_its_start(
    image: Path, tmp_path: Path
) -> None:
    succeed("simulate", image, "--warmup-ms", "0", "--time-ms", "80", "--out", tmp_path / "all")
    succeed("simulate", image, "--out", tmp_path / "late")
    step, source = spikes(tmp_path / "all")
    # Neurons that start above threshold spike in the first step.
    assert step[0] == 1
    assert source[:5].tolist() == [100, 101, 102, 103, 104]
    assert np.all(np.diff(step.astype(np.int64)) >= 0)
    assert source.max() < 105
    kept = step > 200
    assert 0 < kept.sum() < len(step)
    late_step, late_source = spikes(tmp_path / "late")
    assert late_step.dtype == late_source.dtype == np.uint32
    assert late_step.tolist() == step[kept].tolist()
    assert late_source.tolist() == source[kept].tolist()


def test_a_seed_determines_image_and_spikes(network: Path, finished: Path, tmp_path: Path) -> None:
    for out, seed, threads in (("other", "4", "1"), ("same", "3", "2")):
        own = tmp_path / out / "image"
        succeed("generate", network, "--seed", seed, "--threads", threads, "--out", own)
        succeed("simulate", own, "--threads", threads, "--out", tmp_path / out / "run")
    images = [open_image(d / "image").digest for d in (finished, *sorted(tmp_path.iterdir()))]
    assert images[0] == images[2] != images[1]
    runs = [finished, *sorted(tmp_path.glob("*/run"))]
    content = [(run / "spikes.npz").read_bytes() for run in runs]
    assert content[0] == content[2] != content[1]


def test_threads_and_simulator_do_not_change_the_spikes(image: Path, tmp_path: Path) -> None:
    found = set()
    for i, options in enumerate((["--threads", "1"], ["--threads", "3"], ["--simulator", "plain"])):
        succeed("simulate", image, *options, "--out", tmp_path / str(i))
        found.add((tmp_path / str(i) / "spikes.npz").read_bytes())
    assert len(found) == 1


def test_simulate_reaches_its_image_through_the_directory(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert succeed("simulate", image, "--out", out).out == f"{out}/spikes.npz\n"
    assert names(out) == RUN_FILES
    assert (out / "image").resolve() == image.resolve()
    outcome = succeed("validate", out)
    assert outcome.out.splitlines()[0].split() == ["population", "spikes/s", "CV", "CC"]
    assert succeed("report", out).out == f"{out}/report.html\n"
    assert names(out) == RUN_FILES | REPORT_FILES


def test_traces_hold_the_recorded_neurons(image: Path, tmp_path: Path) -> None:
    succeed("simulate", image, "--record", "4,100-101", "--out", tmp_path / "run")
    with np.load(tmp_path / "run" / "traces.npz") as traces:
        assert traces["step"].tolist() == list(range(201, 801))
        assert traces["neuron"].tolist() == [4, 100, 101]
        assert traces["V_mV"].shape == traces["input_in_pA"].shape == (600, 3)
        # Population P has no input and decays to rest.
        assert np.abs(traces["V_mV"][-1, 1:] + 65.0).max() < 0.1
        assert np.ptp(traces["V_mV"][:, 0]) > 1.0


def test_every_command_prints_one_json_object(
    network: Path, image: Path, finished: Path, tmp_path: Path
) -> None:
    run = succeed("run", network, "--json", "--out", tmp_path / "run")
    assert run.json["report"] == str(tmp_path / "run" / "report.html")
    assert run.json["spikes"] > 0
    assert all(re.fullmatch(r"[a-z -]+: \d+\.\d s.*", line) for line in run.err.splitlines())
    generated = succeed("generate", network, "--json", "--out", tmp_path / "image")
    assert generated.json["digest"] == open_image(image).digest
    simulated = succeed("simulate", image, "--json", "--out", tmp_path / "simulated")
    assert simulated.json["spikes_file"] == str(tmp_path / "simulated" / "spikes.npz")
    validated = succeed("validate", finished, "--json").json
    assert validated["verdict"] is None
    assert [p["name"] for p in validated["statistics"]["populations"]] == ["E", "I", "P"]
    reported = succeed("report", tmp_path / "run", "--json").json
    assert reported == {"report": str(tmp_path / "run" / "report.html")}
    listed = succeed("show", "--json").json
    assert set(listed) == {"pd14", "columns", "brunel"}
    shown = succeed("show", network, "--json").json
    assert shown["projection"][0]["rule"] == {"name": "fixed_indegree", "indegree": 10}
    assert loads(shown["toml"]).network.size == 105
    exported = succeed("export", "edges", image, "--json", "--out", tmp_path / "edges.npz").json
    assert exported["edges"] == generated.json["synapses"]
    exported = succeed("export", "spikes", finished, "--json", "--out", tmp_path / "s.npz").json
    assert exported["spikes"] == len(spikes(finished)[0])


def test_quiet_leaves_out_progress_and_summary(
    network: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csnn.progress.DELAY_S", -1.0)
    monkeypatch.chdir(tmp_path)
    options: dict[str, tuple[str | Path, ...]] = {
        "run": (network, "--out", "run"),
        "generate": (network, "--out", "image"),
        "simulate": ("image", "--out", "simulated"),
        "validate": ("run",),
        "report": ("run",),
        "bench": (network, "--no-nest"),
        "show": (network,),
        "export edges": ("image", "--out", "edges.npz"),
        "export spikes": ("run", "--out", "spikes.npz"),
    }
    assert tuple(options) == COMMANDS
    for command, rest in options.items():
        loud = succeed(*command.split(), *rest)
        assert bool(loud.err) == (command not in ("validate", "show", "export spikes"))
        quiet = succeed(*command.split(), *rest, "--quiet")
        assert quiet.err == ""
        assert quiet.out.count("\n") == loud.out.count("\n") > 0


def test_show_prints_a_description_that_reads_back(tmp_path: Path) -> None:
    text = succeed("show", "pd14", "--scale", "0.1").out
    (tmp_path / "own.toml").write_text(text)
    again = succeed("show", tmp_path / "own.toml").out
    assert loads(again) == loads(text)
    assert loads(text).network.size == 7717
    # JSON has no infinity: an absent bound is null.
    shown = succeed("show", "pd14", "--json").json
    assert loads(shown["toml"]).network.size == 77169
    weights = [p["weight_pA"] for p in shown["projection"]]
    assert all(w.get("maximum") is None or w.get("minimum") is None for w in weights)


@pytest.mark.parametrize("suffix", ["npz", "csv", "csv.gz"])
def test_export_unrolls_the_image(image: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"edges.{suffix}"
    outcome = succeed("export", "edges", image, "--targets", "I,0:3", "--out", path)
    edges = edge_files.read(path, 105)
    assert outcome.out == f"{path}: {len(edges)} edges\n"
    assert set(edges.target.tolist()) == {0, 1, 2, *range(80, 100)}
    succeed("export", "edges", image, "--nodes", "0", "--sources", "E", "--out", path)
    assert edge_files.read(path, 105).source.max() < 80


def test_bench_names_its_figures(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = succeed("bench", network, "--no-nest", "--json").json
    keys = {"generate_s", "image_mb", "rtf", "peak_mb", "events_per_s"}
    assert keys | {"nest"} <= set(figures)
    assert all(figures[key] > 0 for key in keys)
    assert figures["nest"] is None
    result = succeed("run", network, "--out", tmp_path / "out", "--json").json
    seconds = result["timings"]["simulate_s"] / (result["time_ms"] * 1e-3)
    assert result["rtf"] == pytest.approx(seconds, abs=0.001 / (result["time_ms"] * 1e-3))
    events = figures["events_per_s"] * figures["rtf"] * figures["time_ms"] * 1e-3
    assert events == pytest.approx(result["events"], rel=1e-9)
    assert "NEST" not in succeed("bench", network, "--no-nest").out
    monkeypatch.setattr("csnn.bench.is_installed", lambda: False)
    outcome = succeed("bench", network)
    assert "pip install" in outcome.out
    assert succeed("bench", network, "--json").json["nest"] is None


def test_stored_weights_that_rounding_changes_are_pointed_out(tmp_path: Path) -> None:
    description = (
        'name = "two"\n[[population]]\nname = "A"\nsize = 3\n'
        '[edges]\npath = "list.csv"\nrepresentation = "stored"\n'
    )
    (tmp_path / "two.toml").write_text(description, "utf-8")
    lines = {"far": "0,1,1000.0,0.1\n0,2,0.045,0.1\n", "near": "0,1,1000.0,0.1\n0,2,500.0,0.1\n"}
    for name, edges in lines.items():
        (tmp_path / "list.csv").write_text("source,target,weight_pA,delay_ms\n" + edges, "utf-8")
        outcome = succeed("generate", tmp_path / "two.toml", "--out", tmp_path / name)
        told = "grid of 0.03125 pA changes weights of the edge list by up to 0.31" in outcome.err
        assert told == (name == "far")


def test_bench_warns_of_scaling() -> None:
    few = ("--scale", "0.01", "--time-ms", "1", "--warmup-ms", "0", "--no-nest")
    assert "correlations" in succeed("bench", "pd14", *few).err


def test_the_digest_follows_the_document(network: Path, tmp_path: Path) -> None:
    # docs/image-format.md: without two fields, sorted keys, no spaces, ASCII.
    succeed("generate", network, "--out", tmp_path / "image")
    manifest = json.loads((tmp_path / "image" / "manifest.json").read_text("utf-8"))
    digest = manifest.pop("digest")
    del manifest["generate_s"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert digest == hashlib.sha256(text.encode("ascii")).hexdigest()


def test_bench_leaves_nest_out_where_it_lacks_a_rule(tmp_path: Path) -> None:
    require_nest()
    path = network_file(tmp_path, ("count = 400 }", "count = 400 }\nallow_multapses = false"))
    figures = succeed("bench", path, "--json").json
    assert figures["nest"] is None
    assert "without multapses" in figures["nest_note"]


@pytest.mark.slow
def test_bench_measures_nest_in_the_same_call(network: Path) -> None:
    require_nest()
    figures = succeed("bench", network, "--nest-time-ms", "20", "--json").json
    for key in ("generate_s", "image_mb", "rtf", "peak_mb", "events_per_s"):
        assert figures["nest"][key] > 0


def test_scaling_is_warned_of(tmp_path: Path) -> None:
    outcome = succeed("generate", "pd14", "--scale", "0.004", "--out", tmp_path / "image")
    warning = outcome.err
    assert "down-scaling keeps firing rates but not correlations" in warning
    assert warning.count("\n") == 1
    # It protects the user from a wrong conclusion, so that --quiet does not silence it.
    options = ("--scale", "0.004", "--time-ms", "2", "--warmup-ms", "0", "--quiet")
    assert succeed("run", "pd14", *options, "--out", tmp_path / "run").err == warning


def test_fitted_edges_say_what_was_lost(tmp_path: Path) -> None:
    rows = [f"{s},{t},{100 + s % 3},1.5" for s in range(40) for t in range(0, 40, 2)]
    (tmp_path / "edges.csv").write_text("source,target,weight_pA,delay_ms\n" + "\n".join(rows))
    path = network_file(
        tmp_path,
        ("[machine]", '[edges]\npath = "edges.csv"\nrepresentation = "fitted"\n\n[machine]'),
        text=SMALL[: SMALL.index("[[projection]]")],
    )
    image, run = tmp_path / "image", tmp_path / "run"
    assert "% of them recovered" in succeed("generate", path, "--out", image).out
    result = succeed("simulate", image, "--json", "--time-ms", "1", "--out", run).json
    assert 0 < result["image"]["edge_fit"]["recovered_share"] <= 1


def test_an_image_of_an_edge_list_can_be_made_again_from_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"{s},{(3 * s + 1) % 40},50.0,1.5\n" for s in range(40))
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists" / "edges.csv"
    listed.write_text("source,target,weight_pA,delay_ms\n" + lines)
    network_file(
        tmp_path,
        ("[machine]", '[edges]\npath = "lists/edges.csv"\n\n[machine]'),
        text=SMALL[: SMALL.index("[[projection]]")],
    )
    monkeypatch.chdir(tmp_path)
    first = succeed("generate", "small.toml", "--out", "image", "--json").json
    recorded = tomllib.loads((tmp_path / "image" / "network.toml").read_text("utf-8"))["edges"]
    assert recorded["path"] == str(listed)
    assert recorded["sha256"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    monkeypatch.chdir(tmp_path / "lists")
    again = succeed("generate", "../image/network.toml", "--out", "../again", "--json").json
    assert again["digest"] == first["digest"]
    # Another list under the same name is not taken for the first.
    listed.write_text("source,target,weight_pA,delay_ms\n" + lines.replace("50.0", "51.0"))
    outcome = csnn("generate", "../image/network.toml", "--out", "../third")
    assert outcome.code == 3
    assert f"edges.sha256 = '{recorded['sha256']}': {listed} has " in outcome.err
    assert not (tmp_path / "third").exists()


def test_balancing_without_spare_nodes_is_pointed_out(network: Path, tmp_path: Path) -> None:
    load = ("--partition", "load")
    told = succeed("generate", network, *load, "--out", tmp_path / "a").err
    assert "has no node to spare without n_nodes" in told
    assert succeed("generate", network, *load, "--nodes", "9", "--out", tmp_path / "b").err == ""
    assert succeed("generate", network, "--out", tmp_path / "c").err == ""


def test_a_failed_criterion_is_exit_code_1(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_file(tmp_path, ('"small"', '"pd14"'))
    silent = np.empty(0, np.uint32)
    sizes = [(name, int(size)) for name, size in zip(POPULATIONS, SIZES, strict=True)]
    second = Window(first_step=1, n_steps=10000)
    monkeypatch.setattr("csnn.run.has_baseline", lambda populations: True)
    monkeypatch.setattr("csnn.run.choose_duration", lambda duration_ms: 1000)
    monkeypatch.setattr(
        "csnn.run.judge_spikes", lambda *ignored: judge_spikes(silent, silent, sizes, second)
    )
    outcome = csnn("run", network, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert "compared with NEST: failed in" in outcome.err
    assert (tmp_path / "run" / "report.html").exists()
    outcome = csnn("validate", tmp_path / "run")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    settled = "NEST was recorded after 500 ms, this run after 20"
    assert settled in " ".join(line.strip() for line in lines)
    verdict = judge_spikes(silent, silent, sizes, second)[2]
    table = verdict.lines()[:-1]
    assert lines[: len(table)] == [line.rstrip() for line in table]
    # Names of failed tests are not torn apart.
    told = "\n".join(lines[len(table) :])
    assert told.startswith("failed: ")
    assert all(name in told for name in verdict.failures)
    assert csnn("validate", tmp_path / "run", "--json").json["verdict"]["passed"] is False


def test_published_sizes_are_compared_with_the_same_network_only() -> None:
    populations = [{"name": n, "size": int(s)} for n, s in zip(POPULATIONS, SIZES, strict=True)]
    full = {"network": "pd14", "populations": populations, "synapses": 298_880_968}
    assert is_full_scale_pd14(full)
    assert not is_full_scale_pd14({**full, "network": "big"})
    assert not is_full_scale_pd14({**full, "synapses": 298_880_967})
    assert not is_full_scale_pd14({**full, "populations": populations[:7]})


def test_every_stage_shows_its_progress(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csnn.progress.DELAY_S", 0.0)

    def stages(*arguments: str | Path) -> list[str]:
        return re.findall(r"^([a-z -]+): [0-9.]+ s", succeed(*arguments).err, re.MULTILINE)

    simulated = ["load and compile", "warm-up", "simulate"]
    run = stages("run", network, "--out", tmp_path / "run")
    assert run == ["generate", *simulated, "report"]
    image, listed = tmp_path / "run" / "image", tmp_path / "edges.csv"
    assert stages("export", "edges", image, "--out", listed) == ["export", "write"]
    edges = ("[machine]", '[edges]\npath = "edges.csv"\n\n[machine]')
    again = network_file(tmp_path, edges, text=SMALL[: SMALL.index("[[projection]]")])
    assert stages("generate", again, "--out", tmp_path / "again") == ["read edges", "generate"]
    assert stages("bench", network, "--no-nest") == ["generate", *simulated]


@pytest.mark.parametrize("command", ["", "export", *COMMANDS])
def test_help_has_an_example_and_fits_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = succeed(*command.split(), "--help")
    assert outcome.err == ""
    quiet = re.search(r"  --quiet +no progress bars, no summary; warnings stay\n", outcome.out)
    assert (quiet is not None) == (command in COMMANDS)
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert f"csnn {command}".strip() in outcome.out.partition("\nexample:\n")[2]


@pytest.mark.parametrize("command", ["generate", "run", "show"])
def test_help_tells_how_large_columns_are(command: str) -> None:
    network = columns()
    n = sum(population.size for population in network.populations) // SIZES.sum()
    synapses = sum(projection.rule.count for projection in network.projections)
    text = " ".join(succeed(command, "--help").out.split())
    assert f"(default {n}: {synapses / 1e9:.1f} billion synapses)" in text


def test_output_for_people_fits_80_columns(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcomes = [
        succeed("run", network, "--out", "run"),
        succeed("generate", network, "--out", "image"),
        succeed("simulate", "image", "--out", "simulated"),
        succeed("validate", "run"),
        succeed("export", "edges", "image", "--out", "edges.npz"),
        succeed("export", "spikes", "run", "--out", "spikes.dat"),
        succeed("show"),
        succeed("bench", network, "--no-nest"),
    ]
    for outcome in outcomes:
        assert max(map(len, (outcome.out + outcome.err).splitlines())) <= 80


# The command that made a run


def test_result_and_report_say_which_command_made_them(
    network: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command_of(directory: Path) -> str | None:
        return output.read_result(directory)["command"]

    out = tmp_path / "it's a <run>"
    arguments = ["run", str(network), "--time-ms", "3e1", "--out", str(out)]
    succeed(*arguments)
    assert shlex.split(command_of(out) or "") == ["csnn", *arguments]
    page = html.unescape((out / "report.html").read_text())
    assert f"made by</p><pre>{shlex.join(['csnn', *arguments])}</pre>" in page
    # What resumes a run is what made the result.
    arguments = ["simulate", str(image), "--checkpoint", "--out", str(tmp_path / "parts")]
    succeed(*arguments, "--time-ms", "10")
    arguments += ["--resume", "--time-ms", "30"]
    succeed(*arguments)
    assert command_of(tmp_path / "parts") == shlex.join(["csnn", *arguments])
    # The console script takes its arguments from the process.
    arguments = ["simulate", str(image), "--time-ms", "1", "--quiet", "--out", str(tmp_path / "s")]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/csnn", *arguments])
    assert main() == 0
    assert command_of(tmp_path / "s") == shlex.join(["csnn", *arguments])


def test_a_run_made_in_python_has_no_command(image: Path, tmp_path: Path) -> None:
    with output.prepared(tmp_path / "run") as directory:
        run_simulation(open_image(image), Run(time_ms=5.0, warmup_ms=0.0), directory)
    assert output.read_result(directory)["command"] is None
    succeed("report", directory)
    page = (directory / "report.html").read_text()
    assert "This run was made by" not in page
    assert "csnn run image/network.toml" in page


def test_a_name_that_is_not_utf_8_is_no_obstacle(network: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    command = [os.fsencode(SCRIPT), b"run", os.fsencode(network), b"--out", name, b"--quiet"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, name + b"/report.html\n", b"")
    directory = Path(os.fsdecode(name))
    assert output.read_result(directory)["command"].endswith("caf\\udce9' --quiet")
    assert "caf\\udce9" in (directory / "report.html").read_text()


# Repeating into a directory


def test_an_earlier_runs_report_does_not_outlive_its_spikes(
    network: Path, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    succeed("run", network, "--record", "1", "--checkpoint", "--out", out)
    assert names(out) == RUN_FILES | REPORT_FILES | {"traces.npz", "checkpoint.npz"}
    succeed("simulate", out / "image", "--time-ms", "30", "--out", out)
    assert names(out) == RUN_FILES
    assert json.loads((out / "result.json").read_text())["time_ms"] == 30


def test_a_linked_image_is_not_replaced(network: Path, image: Path, tmp_path: Path) -> None:
    before = tree(image)
    succeed("simulate", image, "--out", tmp_path / "run")
    succeed("run", network, "--seed", "77", "--out", tmp_path / "run")
    assert tree(image) == before
    assert not (tmp_path / "run" / "image").is_symlink()


# The console script


def test_the_script_keeps_the_streams_apart(network: Path, tmp_path: Path) -> None:
    done = script("generate", network, "--json", "--out", tmp_path / "image")
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_nodes"] == 4
    # A machine so slow that it takes seconds may say so.
    assert re.fullmatch(r"(generate: [\d.]+ s \(4 nodes\)\n)?", done.stderr)
    refused = script("generate", network, "--seed", "-1", "--out", tmp_path / "image")
    assert refused.returncode == 3
    assert refused.stdout == ""
    assert refused.stderr == "csnn: run.seed = -1: must be an integer from 0 to " + f"{2**63 - 1}\n"
    assert script("simulate").returncode == 2
    assert script("--version").stdout.startswith("csnn ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_script_reports_a_full_standard_output() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [SCRIPT, "show", "pd14"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr == "csnn: No space left on device\n"


def test_the_script_ends_quietly_when_its_reader_does() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{SCRIPT}' show pd14 | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_without_numba_the_plain_simulator_works(
    network: Path, image: Path, tmp_path: Path
) -> None:
    program = """
import json, sys
sys.modules["numba"] = None
sys.modules["llvmlite"] = None
from csnn.cli import main
codes = [main(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps(codes))
"""
    short = ["--warmup-ms", "1", "--time-ms", "4"]
    own, out = str(tmp_path / "image"), str(tmp_path / "run")
    commands = [
        ["generate", str(network), "--out", own],
        ["simulate", own, *short, "--simulator", "plain", "--out", out],
        ["validate", out],
        ["simulate", own, *short, "--out", str(tmp_path / "fast")],
        ["run", str(network), "--out", str(tmp_path / "fast")],
        ["bench", str(network)],
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 0, 0, 4, 4, 4]
    assert "Traceback" not in done.stderr
    assert done.stderr.count("needs numba") == 3
    assert not (tmp_path / "fast").exists()
    # What was made without numba is what is made with it.
    assert open_image(own).digest == open_image(image).digest
    succeed("simulate", image, *short, "--out", tmp_path / "with")
    assert (tmp_path / "run" / "spikes.npz").read_bytes() == (
        tmp_path / "with" / "spikes.npz"
    ).read_bytes()
