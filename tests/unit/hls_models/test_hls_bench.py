"""The emitted test bench: what it says of a difference, and that it finds what is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from many_benches import SMALL

from csnn.errors import InvalidInputError, ToolFailedError, ToolMissingError
from csnn.neurons.lif import LIF
from csnn.spec.network import LifNeuron
from hls_models import artifact, build, emit_cpp
from hls_models.emit_cpp import Block
from hls_models.stimulus import CORNERS, DT_MS, WEIGHT_GRID, sections
from hls_models.vectors import DRIVEN, MAGIC, Section, file_content, packed

# Less than a group, no multiple of one: 37 neurons on 8 pipelines.
BLOCK = Block(model=LIF, neurons=37, pipelines=8)
STEPS = 400


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emitted") / "lif"
    artifact.emit(BLOCK, out, steps=STEPS, seed=5)
    return out


@pytest.fixture(scope="module")
def parts() -> list[Section]:
    constants = LIF.constants(LifNeuron(), dt_ms=DT_MS, weight_grid=WEIGHT_GRID)
    return sections(BLOCK, packed(LIF, constants), {}, steps=STEPS, seed=5)


@pytest.fixture(scope="module")
def bench(emitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("bench") / "bench"
    build.compile_cpp([emitted / "lif.cpp", emitted / "bench.cpp"], program)
    return program


def run(bench: Path, content: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = bench.with_name("given.bin")
    path.write_bytes(content)
    command = [str(bench), str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def changed(part: Section, field: str, place: tuple[int, ...], bit: int) -> Section:
    """Return a section with one bit of a field turned over."""
    words = getattr(part, field).copy()
    words[place] = ~words[place] if words.dtype == np.bool_ else words[place] ^ np.uint32(1 << bit)
    return replace(part, **{field: words})


def with_changed(parts: list[Section], number: int, *change: object) -> bytes:
    return file_content(BLOCK, [
        changed(part, *change) if i == number else part  # type: ignore[arg-type]
        for i, part in enumerate(parts)
    ])  # fmt: skip


def test_vectors_are_those_of_the_sections(emitted: Path, parts: list[Section]) -> None:
    assert (emitted / "vectors.bin").read_bytes() == file_content(BLOCK, parts)
    assert [part.kind for part in parts].index(DRIVEN) == len(parts) - 1
    special = np.isin(np.concatenate([part.states[:3].ravel() for part in parts]), CORNERS)
    assert special.sum() > 100


def test_equal_words_are_counted(bench: Path, emitted: Path, parts: list[Section]) -> None:
    done = run(bench, (emitted / "vectors.bin").read_bytes())
    assert done.returncode == 0
    spikes = [sum(int(p.spikes.sum()) for p in parts if p.kind == kind) for kind in (0, 1)]
    assert done.stdout == (
        f"lif: equal in {16 * 37} steps from random words ({spikes[0]} spikes) and in {STEPS} "
        f"steps of 16 neurons driven by spikes ({spikes[1]} spikes)\n"
    )
    assert min(spikes) > 0


@pytest.mark.parametrize("float_cores", [False, True])
def test_directory_is_checked_where_it_lies(emitted: Path, float_cores: bool) -> None:
    before = {path: path.read_bytes() for path in emitted.iterdir()}
    is_equal, said = build.run_bench(emitted, float_cores=float_cores)
    assert is_equal
    assert said.startswith("lif: equal in ")
    assert {path: path.read_bytes() for path in emitted.iterdir()} == before


@pytest.mark.parametrize(
    ("number", "step", "k", "neuron", "bit"),
    [(0, 1, 0, 0, 0), (6, 1, 3, 36, 31), (16, 397, 1, 15, 7)],
)
def test_flipped_bit_is_named(
    bench: Path, parts: list[Section], number: int, step: int, k: int, neuron: int, bit: int
) -> None:
    done = run(bench, with_changed(parts, number, "next_states", (step - 1, k, neuron), bit))
    word = int(parts[number].next_states[step - 1, k, neuron])
    kind = "driven by spikes" if number == 16 else "random words"
    assert done.returncode == 1
    assert done.stdout == (
        f"lif: section {number} ({kind}), step {step}, neuron {neuron}, "
        f"{BLOCK.state_words[k]}: found 0x{word:08x}, expected 0x{word ^ 1 << bit:08x}\n"
    )


def test_missing_spike_is_named(bench: Path, parts: list[Section]) -> None:
    steps, neurons = np.nonzero(parts[-1].spikes)
    done = run(bench, with_changed(parts, 16, "spikes", (steps[2], neurons[2]), 0))
    assert done.returncode == 1
    place = f"step {steps[2] + 1}, neuron {neurons[2]}, spike: found 0x00000001, expected 0x0000000"
    assert place in done.stdout


def test_first_of_several_differences_is_named(bench: Path, parts: list[Section]) -> None:
    """By step, then by neuron, then by variable."""
    run_ = parts[-1]
    for place in ((200, 0, 0), (100, 2, 9), (100, 1, 9), (100, 2, 8), (300, 0, 0)):
        run_ = changed(run_, "next_states", place, 3)
    done = run(bench, file_content(BLOCK, [*parts[:-1], run_]))
    assert "step 101, neuron 8, I_in: " in done.stdout


@pytest.mark.parametrize(
    ("field", "place", "bit"),
    [
        ("constants", (0,), 0),  # P22, by a unit in the last place
        ("constants", (8,), 0),  # the refractory time, by a step
        ("states", (0, 15), 29),
        ("inputs", (50, 0, 15), 0),
    ],
)
def test_wrong_word_of_a_run_is_found(
    bench: Path, parts: list[Section], field: str, place: tuple[int, ...], bit: int
) -> None:
    done = run(bench, with_changed(parts, 16, field, place, bit))
    assert done.returncode == 1
    first = 51 if field == "inputs" else 1
    step = int(re.search(r"section 16 .* step (\d+), ", done.stdout)[1])  # type: ignore[index]
    assert step >= first


def test_steps_can_be_limited(bench: Path, parts: list[Section]) -> None:
    content = with_changed(parts, 16, "next_states", (9, 0, 0), 0)
    done = run(bench, content, "9")
    assert done.returncode == 0
    assert "in 9 steps of 16 neurons" in done.stdout
    assert done.stdout.endswith("; the vectors have more steps\n")
    assert run(bench, content, "10").returncode == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda good: good[:-1], "ends too early"),
        (lambda good: good + b"\0", "goes on after its last section"),
        (lambda good: b"", "ends too early"),
        (lambda good: good[:20] + b"\1" + good[21:], "holds no vectors of this lif"),
        (lambda good: b"CSNNVEC2" + good[len(MAGIC) :], "holds no vectors of this lif"),
        (lambda good: good[:60] + b"\x26" + good[61:], "section 0 does not fit 37 neurons"),
    ],
)
def test_damaged_file_is_no_answer(bench: Path, emitted: Path, content: object, said: str) -> None:
    done = run(bench, content((emitted / "vectors.bin").read_bytes()))  # type: ignore[operator]
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_missing_vectors_are_reported(emitted: Path, tmp_path: Path) -> None:
    own = shutil.copytree(emitted, tmp_path / "lif")
    (own / "vectors.bin").unlink()
    with pytest.raises(ToolFailedError, match=r"test bench: .*vectors\.bin: cannot be read"):
        build.run_bench(own)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("lif.h", "constant_P11_ex = constant[3]", "constant_P11_ex = constant[4]", ", I_ex: "),
        ("lif.h", "fadd(n25, n26)", "fsub(n25, n26)", ", I_ex: "),
        ("lif.h", "n23 ? constant_V_reset : n22", "n23 ? n22 : constant_V_reset", ", V: "),
        ("lif.h", "fge(n22, constant_theta)", "!flt(n22, constant_theta)", ", V: "),
        ("lif.h", "idec(state_refractory)", "state_refractory", ", refractory: "),
        # Neurons that do not exist, and one that is left out.
        ("lif.cpp", "int groups =", "int groups = (count = NEURONS, 0) +", "neuron 16, "),
        ("lif.cpp", "if (n < count)", "if (n + 1 < count)", "neuron 36, "),
        ("lif.cpp", "out_spike[n] = spikes;", "if (spikes) out_spike[n] = spikes;", ", spike: "),
    ],
)
def test_planted_fault_is_found(
    emitted: Path, tmp_path: Path, name: str, old: str, new: str, said: str
) -> None:
    own = shutil.copytree(emitted, tmp_path / "lif")
    text = (own / name).read_text()
    assert text.count(old) == 1
    (own / name).write_text(text.replace(old, new))
    is_equal, found = build.run_bench(own)
    assert not is_equal
    assert said in found
    assert ", expected 0x" in found


def test_directives_are_seen_by_synthesis_alone(emitted: Path, tmp_path: Path) -> None:
    """Every directive is guarded, and what synthesis compiles is correct."""
    named = set()
    for path in [*emitted.glob("*.h"), *emitted.glob("*.cpp")]:
        text = path.read_text()
        guarded = re.findall(r"^#ifdef __SYNTHESIS__\n((?:#pragma HLS .*\n)+)#endif$", text, re.M)
        assert sum(part.count("\n") for part in guarded) == text.count("#pragma")
        for name in re.findall(r"#pragma HLS .*(?:variable|port)=(\w+)", text):
            assert name == "return" or re.search(rf" {name}(\[|,| =)", text)
            named.add(name)
    assert {"constant", "state", "in", "next", "out_spike", "TABLE", "sum"} <= named
    program = tmp_path / "bench"
    options = ("-D__SYNTHESIS__", "-Wno-unknown-pragmas")
    build.compile_cpp([emitted / "lif.cpp", emitted / "bench.cpp"], program, options, SMALL)
    assert run(program, (emitted / "vectors.bin").read_bytes()).returncode == 0


def test_pipelines_have_memories_of_their_own() -> None:
    text = emit_cpp.source(BLOCK, "lif.h")
    assert "ARRAY_PARTITION variable=state type=cyclic factor=8 dim=2" in text
    assert "LOOP_TRIPCOUNT min=1 max=5" in text
    assert "cyclic" not in emit_cpp.source(Block(model=LIF), "lif.h")


def test_same_arguments_give_the_same_files(emitted: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    artifact.emit(BLOCK, again, steps=STEPS, seed=5)
    artifact.emit(BLOCK, other, steps=STEPS, seed=6)
    for path in emitted.iterdir():
        same = path.read_bytes() == (again / path.name).read_bytes()
        assert same, path
    assert (emitted / "vectors.bin").read_bytes() != (other / "vectors.bin").read_bytes()


def test_steps_may_be_left_out(tmp_path: Path) -> None:
    manifest = artifact.emit(replace(BLOCK, neurons=1, pipelines=1), tmp_path / "lif", steps=0)
    assert manifest["vectors"]["driven_steps"] == 0
    is_equal, said = build.run_bench(tmp_path / "lif")
    assert is_equal
    assert "equal in 16 steps from random words" in said


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("neurons", 0, "from 1 to 256"),
        ("neurons", 257, "from 1 to 256"),
        ("pipelines", 3, "a power of two"),
        ("pipelines", 64, "from 1 to 32"),
    ],
)
def test_sizes_out_of_range_are_refused(field: str, value: int, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=f"block.{field} = {value}: must be .*{rule}"):
        replace(BLOCK, **{field: value})


def test_missing_compiler_is_reported(emitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolMissingError, match=r"no C\+\+ compiler: install g\+\+"):
        build.run_bench(emitted)


def test_failing_compiler_is_reported(emitted: Path, tmp_path: Path) -> None:
    own = shutil.copytree(emitted, tmp_path / "lif")
    (own / "lif.h").write_text("#error out of order\n")
    with pytest.raises(ToolFailedError, match=r"error.* out of order"):
        build.run_bench(own)
