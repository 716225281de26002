"""`csnn emit hls`: what is written is whole, and its test bench finds every word equal."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import csnn, refused, succeed, unchanged

from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import DESCRIPTIONS, named
from hls_models import artifact
from hls_models.cpp_library import cpp_library

FILES = {
    *("lif.h", "lif.cpp", "bench.cpp", "csnn_bench.h", "csnn_primitives.h"),
    *("csnn_exponential.h", "csnn_exponential_table.h"),
    *("Makefile", "csynth.tcl", "README.md", "vectors.bin"),
}
SMALL = ("--neurons", 20, "--pipelines", 4, "--steps", 200, "--seed", 3)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emitted") / "lif"
    succeed("emit", "hls", "lif", *SMALL, "--out", out)
    return out


def test_manifest_names_every_file(emitted: Path) -> None:
    manifest = json.loads((emitted / "manifest.json").read_text())
    assert {path.name for path in emitted.iterdir()} == FILES | {"manifest.json"}
    assert set(manifest["files"]) == FILES
    for name, entry in manifest["files"].items():
        content = (emitted / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_manifest_tells_what_it_is(emitted: Path) -> None:
    manifest = json.loads((emitted / "manifest.json").read_text())
    expected = {
        "schema": "csnn-hls",
        "model": "lif",
        "top": "lif_block",
        "graph_sha256": LIF.graph.digest(),
        "neurons": 20,
        "pipelines": 4,
        "seed": 3,
        "states": ["V", "I_ex", "I_in", "refractory"],
    }
    assert {key: manifest[key] for key in expected} == expected
    assert manifest["vectors"]["random_neuron_steps"] == 320
    assert manifest["vectors"]["driven_steps"] == 200
    assert manifest["constants"]["ref_steps"] == 20


def test_a_second_of_model_time_is_the_default(tmp_path: Path) -> None:
    """The whole of it, compared by the command itself."""
    outcome = succeed("emit", "hls", "lif", "--check", "--json", "--out", tmp_path / "lif")
    assert outcome.json["check"]["equal"] is True
    spikes = outcome.json["vectors"]["driven_spikes"]
    assert spikes > 500
    assert outcome.json["check"]["said"].endswith(
        f"in 10000 steps of 16 neurons driven by spikes ({spikes} spikes)"
    )
    assert outcome.json["neurons"] == 256


# The state before the first step of a run; zero is what is left out.
BEGINNINGS: dict[str, dict[str, float]] = {
    "lif": {},
    "mat2_exp_cuba_exact": {},
    "amat2_exp_coba_rk2": {},
    "izhikevich_delta_cuba_euler_x2": {"V": -65.0, "u": -13.0},
    "adex_exp_coba_ps2": {},
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_every_neuron_spikes_in_its_bench(name: str, tmp_path: Path) -> None:
    """Input makes it fire: it begins at rest, where it would stay without."""
    assert {name.split("_")[0] for name in BEGINNINGS} == set(DESCRIPTIONS)
    outcome = succeed("emit", "hls", name, *SMALL, "--check", "--json", "--out", tmp_path / "out")
    spikes = outcome.json["vectors"]["driven_spikes"]
    assert spikes > 0
    assert outcome.json["check"]["equal"] is True
    assert outcome.json["check"]["said"].endswith(f"driven by spikes ({spikes} spikes)")
    model = named(name)
    begin, trains = driven(tmp_path / "out" / "vectors.bin", model)
    for state, values in zip(model.float_states, begin.view(np.float32), strict=False):
        assert values == pytest.approx(BEGINNINGS[name].get(state, 0.0), rel=1e-6), state
    # Synapses of a 256th of a unit do nothing; from zero Izhikevich's neuron would fire anyway.
    assert trains[:, 0].sum() == 0
    assert trains.sum() == spikes


def driven(path: Path, model: NeuronModel) -> tuple[Any, Any]:
    """Return states before the run that ends a file, (S, n), and its spikes, (T, n)."""
    words = np.frombuffer(path.read_bytes(), "<u4", offset=8)
    constants, states = words[:2].tolist()
    at = 11
    for _ in range(words[10]):
        _, steps, n = words[at : at + 3].tolist()
        at += 3 + constants
        begin = words[at : at + states * n].reshape(states, n)
        at += states * n
        rows = words[at : at + steps * (states + 3) * n].reshape(steps, states + 3, n)
        at += rows.size
    assert at == len(words)
    return begin, rows[:, -1]


def test_lines_for_people(tmp_path: Path) -> None:
    out = tmp_path / "lif"
    lines = succeed("emit", "hls", "lif", *SMALL, "--check", "--out", out).out.splitlines()
    assert lines[0] == f"{out}: lif as C++, lif_block for up to 20 neurons"
    assert lines[1].startswith("vectors: 320 steps from random words, 200 steps of 16 neurons")
    assert lines[2].startswith("g++: lif: equal in 320 steps from random words")


@pytest.mark.parametrize("target", ["check", "check-cores"])
def test_makefile_builds_and_compares(emitted: Path, tmp_path: Path, target: str) -> None:
    own = shutil.copytree(emitted, tmp_path / "lif")
    done = subprocess.run(["make", target], cwd=own, capture_output=True, text=True, check=True)
    assert "lif: equal in 320 steps" in done.stdout
    # A word that is not right makes it fail.
    content = bytearray((own / "vectors.bin").read_bytes())
    content[-4 * 16] ^= 1
    (own / "vectors.bin").write_bytes(content)
    done = subprocess.run(["make", target], cwd=own, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "section 16 (driven by spikes), step 200, neuron 0, spike: found" in done.stdout
    subprocess.run(["make", "clean"], cwd=own, capture_output=True, check=True)
    assert {path.name for path in own.iterdir()} == FILES | {"manifest.json"}


def test_script_for_vitis_names_what_is_there(emitted: Path) -> None:
    text = (emitted / "csynth.tcl").read_text()
    assert set(re.findall(r"\$folder ([\w.]+)\]", text)) == {"lif.cpp", "bench.cpp", "vectors.bin"}
    assert "set_top lif_block\n" in text
    assert "xc7z045" in text
    assert text.count("{") == text.count("}")


def test_difference_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bench says of a faulty library is the command's answer."""
    files = cpp_library()
    files["csnn_primitives.h"] = files["csnn_primitives.h"].replace(
        "return x == 0;", "return x < 2;"
    )
    assert files != cpp_library()
    monkeypatch.setattr(artifact, "cpp_library", lambda: files)
    outcome = csnn("emit", "hls", "lif", *SMALL, "--check", "--out", tmp_path / "lif")
    assert outcome.code == 1
    assert re.search(r"g\+\+: lif: section \d+ .*, expected 0x", outcome.out)


def test_unknown_model_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    for name, hint in (
        ("lfi", "did you mean lif?"),
        ("adex_exp_coba_rk5", "did you mean adex_exp_coba_rk"),
        ("", "<neuron>_<kernel>_<coupling>_<solver>"),
        ("x" * 1000, "<neuron>_<kernel>_<coupling>_<solver>"),
    ):
        with unchanged(tmp_path):
            outcome = csnn("emit", "hls", name, "--out", tmp_path / "out")
        refused(outcome, "MODEL", "is no neuron model", hint)


def test_model_that_mathematics_forbids_is_refused_with_the_reason(tmp_path: Path) -> None:
    with unchanged(tmp_path):
        outcome = csnn("emit", "hls", "adex_exp_coba_exact", "--out", tmp_path / "out")
    refused(outcome, "MODEL", "there is no such model", "linear")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--neurons", 0, ("block.neurons", "from 1 to 256")),
        ("--neurons", 257, ("block.neurons", "from 1 to 256")),
        ("--pipelines", 6, ("block.pipelines", "power of two")),
        ("--steps", -1, ("emit.steps", "from 0 to 100000")),
        ("--seed", -1, ("emit.seed", "from 0 to")),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, option: str, value: int, words: tuple[str, ...]
) -> None:
    with unchanged(tmp_path):
        outcome = csnn("emit", "hls", "lif", option, value, "--out", tmp_path / "lif")
    refused(outcome, *words)


def test_without_compiler_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with unchanged(tmp_path):
        outcome = csnn("emit", "hls", "lif", *SMALL, "--check", "--out", tmp_path / "lif")
    refused(outcome, "no C++ compiler", "g++", code=4)
    # Writing alone needs none.
    succeed("emit", "hls", "lif", *SMALL, "--out", tmp_path / "lif")


def test_nothing_else_is_replaced(emitted: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text('{"schema": "csnn-image"}\n')
    for out, words in (
        (own, (str(own), "was not written by csnn")),
        (other, ("holds a csnn-image, not a csnn-hls",)),
        (other / "lif", ("lies in", "written as a whole")),
        (own / "notes.txt", ("is not a directory",)),
        ("", ("--out", "must not be empty")),
    ):
        with unchanged(tmp_path):
            outcome = csnn("emit", "hls", "lif", *SMALL, "--out", out)
        refused(outcome, *words)
    again = shutil.copytree(emitted, tmp_path / "lif")
    succeed("emit", "hls", "lif", *SMALL, "--steps", 10, "--out", again)
    assert json.loads((again / "manifest.json").read_text())["vectors"]["driven_steps"] == 10


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "file_content", stop)
    with unchanged(tmp_path):
        assert csnn("emit", "hls", "lif", *SMALL, "--out", tmp_path / "lif").code == 130
