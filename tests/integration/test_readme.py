"""The README's commands and programs run as they stand; `document_blocks` explains the marks."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from document_blocks import blocks, execute, execute_all, run

from csnn.spec.toml import loads

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKE_RUN = "csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 --threads 2 --out"


def test_blocks_are_found_and_failures_are_seen(tmp_path: Path) -> None:
    found = blocks(README)
    assert len(found) == README.count("\n```") // 2
    assert {"sh", "python", "toml", "csv", "text"} == {block.language for block in found}
    assert sum(block.run == "yes" and block.language == "sh" for block in found) >= 5
    planted = blocks("```sh\ncsnn show none-such\n```\n<!-- run: slow -->\n```sh\nfalse\n```\n")
    assert [block.run for block in planted] == ["yes", "slow"]
    with pytest.raises(AssertionError):
        execute(planted[0], tmp_path)
    for shown in ("c\n", "b\na\n", "a\na\n", "a b\n"):
        planted = blocks(f"```sh\nprintf 'a\\nb\\n'\n```\n\n```text\n{shown}```\n")
        with pytest.raises(AssertionError):
            execute_all(planted, tmp_path, "yes")
        assert execute_all(planted, tmp_path, "slow") == []


def test_every_block_runs(tmp_path: Path) -> None:
    printed = execute_all(blocks(README), tmp_path, "yes")
    assert "synapses onto L5I" in printed[-1]
    tenth = json.loads((tmp_path / "out/tenth/result.json").read_text())
    assert tenth["neurons"] == 7717
    assert (tmp_path / "out/tenth/report.html").exists()
    # The spike runs round the ring: neurons 0, 1, 2, 3, 0 and so on.
    with np.load(tmp_path / "out/ring/spikes.npz") as ring:
        assert ring["step"][0] == 1
        assert ring["source"].tolist() == [i % 4 for i in range(len(ring["source"]))]
        assert len(ring["source"]) >= 5
    again = (tmp_path / "out/again.csv").read_text().splitlines()
    assert sorted(again) == sorted((tmp_path / "ring.csv").read_text().splitlines())
    part = json.loads((tmp_path / "out/part/result.json").read_text())
    assert part["last_step"] == 3000
    assert loads((tmp_path / "brunel.toml").read_text()).network.name == "brunel"


def test_links_and_pictures_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert any(target.endswith(".png") for target in targets)
    for target in targets:
        path = ROOT / target
        assert path.exists(), target
        assert not target.endswith(".png") or path.stat().st_size < 300_000


def test_the_two_commands_stand_on_the_first_screen() -> None:
    screen = "\n".join(README.splitlines()[:24])
    assert "make run" in screen
    assert "make test" in screen
    assert "![" in screen


@pytest.mark.parametrize("target", ["run", "test", "test-full", "lint"])
def test_make_targets_are_there(target: str) -> None:
    assert re.search(rf"make {target}\b", README + (ROOT / "CONTRIBUTING.md").read_text())
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_make_run_is_the_command_of_the_readme() -> None:
    assert f"{MAKE_RUN} out/pd14" in (ROOT / "Makefile").read_text()
    assert MAKE_RUN.removesuffix(" --threads 2 --out") in README


@pytest.mark.slow
def test_slow_blocks_run(tmp_path: Path) -> None:
    found = [block for block in blocks(README) if "balanced" not in block.text]
    assert any(block.run == "slow" for block in found)
    execute_all(found, tmp_path, "yes", "slow")


@pytest.mark.slow
def test_an_own_network_from_its_description_to_hardware_and_speed(tmp_path: Path) -> None:
    """Hardware has the spikes of the run, and the model the cycles of the hardware."""
    found = [block for block in blocks(README) if "balanced" in block.text]
    printed = execute_all(found, tmp_path, "yes", "slow")
    hardware = next(text for text in printed if "bit-exact" in text)
    [counts] = re.findall(r"^(\d+) steps \([\d.]+ ms\), (\d+) spikes", hardware, re.M)
    steps, spikes = map(int, counts)
    with np.load(tmp_path / "out/balanced/spikes.npz") as data:
        # The warm-up takes 1,000 steps.
        assert spikes == np.count_nonzero(data["step"] <= 1000 + steps)
    [mean] = re.findall(r"MHz: mean ([\d,.]+), longest", hardware)
    model = f"csnn perf out/balanced/image --run out/balanced --mesh 2,2,2 --time-ms {steps / 10}"
    out, _ = run([*shlex.split(model), "--json"], tmp_path)
    assert json.loads(out)["mean"] == pytest.approx(float(mean.replace(",", "")), rel=0.001)
    assert f"`--time-ms {steps // 10}`" in README


@pytest.mark.slow
def test_what_make_run_runs(tmp_path: Path) -> None:
    printed, _ = run([*shlex.split(MAKE_RUN), "out/pd14"], tmp_path)
    assert printed == "out/pd14/report.html\n"
    result = json.loads((tmp_path / "out/pd14/result.json").read_text())
    assert result["verdict"]["passed"]
    # The figures of the README.
    assert round(result["image"]["bytes"] / 1e6, 1) == 111.4
    assert round(result["image"]["explicit_bytes"] / result["image"]["bytes"], 1) == 15.4
    assert result["peak_mb"] < 1000
