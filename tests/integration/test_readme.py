"""The README's commands and programs run as they stand.

Code blocks run in order in one folder. `<!-- file: NAME -->` before a block saves it under that
name; `<!-- run: slow -->` leaves it to the slow tests, `<!-- run: no -->` to nobody. A block of
`text` holds lines that the block before it prints, in this order; what depends on the computer,
such as times, is left out.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from csnn.spec.toml import loads

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^<!-- (file|run): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)
MAKE_RUN = "csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 --threads 2 --out"


@dataclass(frozen=True)
class Block:
    """A code block with its mark."""

    language: str
    text: str
    file: str | None
    run: str


def blocks(readme: str = README) -> list[Block]:
    return [
        Block(
            language,
            text,
            value if mark == "file" else None,
            value if mark == "run" else "yes",
        )
        for mark, value, language, text in BLOCK.findall(readme)
    ]


def run(command: list[str], folder: Path, *, stdin: str | None = None) -> tuple[str, str]:
    """Run a command with the environment's programs on the path; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        input=stdin,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, stdin, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def execute(block: Block, folder: Path) -> str:
    """Do what a block says; return what was printed, messages first."""
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        return ""
    out, err = run(_command(block), folder, stdin=block.text if block.language == "sh" else None)
    return err + out


def _command(block: Block) -> list[str]:
    if block.language == "sh":
        return ["bash", "-eu"]
    if block.language == "python":
        return [sys.executable, "-W", "error", "-c", block.text]
    raise ValueError(f"no mark says what to do with a block of {block.language}")


def execute_all(found: list[Block], folder: Path, *runs: str) -> list[str]:
    """Run the blocks with one of these marks, compare what is shown of their output, return it."""
    printed: list[str] = []
    shown = False  # whether the block before was run
    for block in found:
        if block.language == "text":
            if shown:
                compare(block.text, printed[-1])
            continue
        shown = block.run in runs
        if shown:
            printed.append(execute(block, folder))
    return printed


def compare(shown: str, printed: str) -> None:
    """Require that the lines shown were printed in this order, possibly with others between."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        assert line in lines, (line, printed)


def test_blocks_are_found_and_failures_are_seen(tmp_path: Path) -> None:
    found = blocks()
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
    printed = execute_all(blocks(), tmp_path, "yes")
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
    found = [block for block in blocks() if "balanced" not in block.text]
    assert any(block.run == "slow" for block in found)
    execute_all(found, tmp_path, "yes", "slow")


@pytest.mark.slow
def test_an_own_network_from_its_description_to_hardware_and_speed(tmp_path: Path) -> None:
    """Hardware has the spikes of the run, and the model the cycles of the hardware."""
    found = [block for block in blocks() if "balanced" in block.text]
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
