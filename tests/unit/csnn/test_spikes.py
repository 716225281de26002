"""Times of spikes, spikes of populations, and their files: what is written is read back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import require_modules

from csnn import __version__, spikes
from csnn.errors import InvalidInputError, ToolMissingError
from csnn.spikes import SpikePopulation, Spikes, numbered, step_times_ms, time_steps
from csnn.validation.statistics import Window

POPULATIONS = numbered([("E", 3), ("silent", 2), ("I", 1)])
# Steps of 0.1 and 0.7 ms are no binary fractions, nor are most of their multiples.
STEP, SOURCE = [3, 3, 6, 7, 10], [0, 5, 2, 2, 5]


def make(dt_ms: float = 0.1, **changes: Any) -> Spikes:
    values: dict[str, Any] = {
        "step": np.array(STEP, np.uint32),
        "source": np.array(SOURCE, np.uint32),
        "populations": POPULATIONS,
        "window": Window(first_step=3, n_steps=8, dt_ms=dt_ms),
    }
    return Spikes(**{**values, **changes})


# Times


@pytest.mark.parametrize("dt_ms", [0.1, 0.3, 0.7, 0.025, 0.001, 1.0, 0.0625, 1 / 3, 1e-7, 25.0])
def test_a_spike_of_step_k_has_the_time_k_dt_rounded_once(dt_ms: float) -> None:
    random = np.random.default_rng(1)
    step = np.unique([*range(3000), *random.integers(0, 2**32, 3000), 2**32 - 1]).astype(np.uint32)
    times = step_times_ms(step, dt_ms)
    exact = [float(k * Decimal(repr(dt_ms))) for k in step.tolist()]
    assert times.tolist() == exact
    assert time_steps("x", times, dt_ms).tolist() == step.tolist()


def test_a_product_of_binary64_would_be_another_time() -> None:
    step = np.arange(100)
    assert float(step_times_ms(3, 0.1)) == 0.3 != 3 * 0.1
    assert (step_times_ms(step, 0.1) != step * 0.1).any()


def test_times_of_other_tools_may_be_rounded_otherwise() -> None:
    step = np.arange(5000)
    assert time_steps("x", step * 0.1, 0.1).tolist() == step.tolist()
    assert time_steps("x", np.cumsum(np.full(5000, 0.1)), 0.1).tolist() == (step + 1).tolist()


@pytest.mark.parametrize(
    ("time_ms", "rule"),
    [(0.25, "multiple of dt_ms = 0.1"), (-0.1, "2\\^32"), (1e12, "2\\^32"), (np.nan, "2\\^32")],
)
def test_times_off_the_grid_are_refused(time_ms: float, rule: str) -> None:
    with pytest.raises(InvalidInputError, match=f"x: spike 2: time_ms = .*{rule}"):
        time_steps("x", np.array([0.2, time_ms]), 0.1)


def test_the_window_is_the_recorded_time() -> None:
    found = make()
    assert (found.t_start_ms, found.t_stop_ms) == (0.2, 1.0)
    assert found.time_ms.tolist() == [0.3, 0.3, 0.6, 0.7, 1.0]


# Spikes of populations


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": np.array(STEP, np.int64)}, "spikes.step = 'int64"),
        ({"source": np.array(SOURCE[1:], np.uint32)}, "spikes.source = "),
        ({"step": np.array([2, *STEP[1:]], np.uint32)}, "spikes.step = 2: must be from 3 to 10"),
        ({"step": np.array([*STEP[:4], 11], np.uint32)}, "spikes.step = 11: must be from 3 to 10"),
        ({"step": np.array([3, 3, 7, 6, 10], np.uint32)}, "spike 4 = 6: must ascend"),
        ({"source": np.array([5, 5, 2, 2, 5], np.uint32)}, "spike 2 = 3: must ascend"),
        ({"source": np.array([0, 6, 2, 2, 5], np.uint32)}, "spikes.source = 6: must be a neuron"),
        ({"populations": POPULATIONS[1:]}, "spikes.source = 0: must be a neuron"),
        ({"populations": POPULATIONS[::-1]}, "population silent = 3: must hold"),
        (
            {"populations": (*POPULATIONS, SpikePopulation(name="E", first=6, size=1))},
            "must have different names",
        ),
    ],
)
def test_spikes_that_contradict_themselves_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        make(**changes)
    assert words in str(error.value)


def test_selected_populations_keep_their_neurons() -> None:
    chosen = make().select(["I", "silent"])
    assert chosen.populations == POPULATIONS[1:]
    assert (chosen.step.tolist(), chosen.source.tolist()) == ([3, 10], [5, 5])
    assert chosen.window == make().window
    assert [n.tolist() for _, _, n in chosen.of_populations()] == [[], [0, 0]]
    with pytest.raises(InvalidInputError, match="populations = 'X': must be among E, silent, I"):
        make().select(["X"])
    with pytest.raises(InvalidInputError, match="must be some of E, silent, I"):
        make().select([])


def test_one_spike_more_makes_others() -> None:
    more = make(step=np.array([*STEP[:4], 9], np.uint32))
    assert make() == make()
    assert make() != more
    assert make() != make(dt_ms=0.2)
    assert make() != make(populations=numbered([("E", 3), ("other", 2), ("I", 1)]))


# Files


def read_nest(path: Path, like: Spikes) -> Spikes:
    return spikes.read_nest(path, like.populations, like.window)


def read_sonata(path: Path, like: Spikes) -> Spikes:
    return spikes.read_sonata(path, like.populations, like.window)


READERS: dict[str, Callable[[Path, Spikes], Spikes]] = {
    "npz": lambda path, like: spikes.read_npz(path),
    "nest": read_nest,
    "sonata": read_sonata,
    "neo": lambda path, like: spikes.read_neo(path),
}
SUFFIXES = {"npz": "npz", "nest": "dat", "sonata": "h5", "neo": "nix"}
MODULES = {"sonata": ("h5py",), "neo": ("neo", "nixio")}


def test_the_formats_are_these() -> None:
    assert tuple(READERS) == spikes.FORMATS


def require_format(kind: str) -> None:
    require_modules(kind, *MODULES.get(kind, ()))


NONE = np.empty(0, np.uint32)
CASES = {
    "0.1 ms": make(),
    "0.7 ms": make(0.7),
    "a binary fraction": make(0.0625),
    "a selection": make().select(["I"]),
    "no spikes": make(step=NONE, source=NONE),
    "late": make(
        step=np.array([2**32 - 2], np.uint32),
        source=np.array([5], np.uint32),
        window=Window(first_step=2**32 - 5, n_steps=4, dt_ms=0.1),
    ),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_written_is_read_back(kind: str, case: Spikes, tmp_path: Path) -> None:
    require_format(kind)
    path = tmp_path / f"x.{SUFFIXES[kind]}"
    spikes.write(path, case)
    again = READERS[kind](path, case)
    assert again == case
    assert again.time_ms.tolist() == case.time_ms.tolist()
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("place", [b"f\xff/x", b"x\xff"], ids=["folder", "file"])
def test_names_that_are_not_utf_8(kind: str, place: bytes, tmp_path: Path) -> None:
    require_format(kind)
    path = tmp_path / os.fsdecode(place + f".{SUFFIXES[kind]}".encode())
    path.parent.mkdir(exist_ok=True)
    if kind != "neo":
        spikes.write(path, make())
        assert READERS[kind](path, make()) == make()
        return
    with pytest.raises(InvalidInputError, match="whole path of a NIX file must be UTF-8"):
        spikes.write(path, make())
    assert list(path.parent.iterdir()) == []
    spikes.write(tmp_path / "x.nix", make())
    (tmp_path / "x.nix").rename(path)
    with pytest.raises(InvalidInputError, match="whole path of a NIX file must be UTF-8"):
        spikes.read_neo(path)


@pytest.mark.parametrize("kind", READERS)
def test_reading_back_sees_a_spike_that_moved(kind: str, tmp_path: Path) -> None:
    require_format(kind)
    # A format that is chosen needs no suffix.
    for moved in ({"step": np.array([*STEP[:4], 9], np.uint32)},
                  {"source": np.array([*SOURCE[:4], 4], np.uint32)}):  # fmt: skip
        spikes.write(tmp_path / "plain", make(**moved), kind)
        assert READERS[kind](tmp_path / "plain", make()) != make()


def test_npz_holds_the_arrays_of_the_document(tmp_path: Path) -> None:
    spikes.write(tmp_path / "x.npz", make())
    with np.load(tmp_path / "x.npz") as arrays:
        assert {name: arrays[name].tolist() for name in arrays.files} == {
            "step": STEP,
            "source": SOURCE,
            "time_ms": [0.3, 0.3, 0.6, 0.7, 1.0],
            "population": ["E", "silent", "I"],
            "population_first": [0, 3, 5],
            "population_size": [3, 2, 1],
            "first_step": 3,
            "last_step": 10,
            "dt_ms": 0.1,
            "t_start_ms": 0.2,
            "t_stop_ms": 1.0,
        }
        text = (Path(__file__).parents[3] / "docs" / "spikes.md").read_text("utf-8")
        assert [name for name in arrays.files if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": None}, "cannot be read"),
        ({"step": np.array(STEP)}, "step = 'int64 (5,)': must be of type u4"),
        ({"population_size": np.array([3, 2], np.uint32)}, "population_size = 2: must be as long"),
        ({"time_ms": np.array(STEP) * 0.1}, "time_ms: is not what steps and dt_ms make it"),
        ({"t_stop_ms": np.float64(2)}, "t_stop_ms: is not what"),
        ({"last_step": np.uint32(9)}, "spikes.step = 10: must be from 3 to 9"),
        ({"last_step": np.uint32(2)}, "window.n_steps = 0"),
        ({"dt_ms": np.float64(0)}, "window.dt_ms = 0.0"),
    ],
)
def test_npz_that_contradicts_itself_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.npz"
    spikes.write(path, make())
    with np.load(path) as arrays:
        content = {**arrays, **changes}
    np.savez(path, **{name: values for name, values in content.items() if values is not None})
    with pytest.raises(InvalidInputError) as error:
        spikes.read_npz(path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


HEADER = "# NEST version: 3.10.0\n# RecordingBackendASCII version: 2\n"


def test_nest_file_is_one_of_its_recorder(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    spikes.write(path, make())
    assert path.read_text() == (
        f"# CsNN version: {__version__}\n# RecordingBackendASCII version: 2\nsender\ttime_ms\n"
        "1\t0.300\n6\t0.300\n3\t0.600\n3\t0.700\n6\t1.000\n"
    )
    # NEST's own tools skip three lines.
    assert np.loadtxt(path, skiprows=3).shape == (5, 2)
    spikes.write(path, make(0.0625))
    assert path.read_text().splitlines()[3] == "1\t0.1875"


def test_nest_files_of_several_threads_and_steps(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text(f"{HEADER}sender\ttime_ms\n13\t0.700\n16\t0.300\n13\t0.600\n")
    (tmp_path / "b.dat").write_text(
        f"{HEADER}sender\ttime_step\ttime_offset\n16\t10\t0.000\n11\t3\t0.000\n"
    )
    (tmp_path / "c.dat").write_text(f"{HEADER}sender\ttime_ms\n")
    files = sorted(tmp_path.iterdir())
    found = spikes.read_nest(files, POPULATIONS, make().window, first_node_id=11)
    assert found == make()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "header = ''"),
        ("sender\ttime\n", "header = 'sender\\ttime'"),
        ("sender\ttime_ms\n1\t0.35\n", "spike 1: time_ms = 0.35: must be a multiple"),
        ("sender\ttime_ms\n0\t0.3\n", "spike 1: sender = 0: must be a node ID from 1"),
        ("sender\ttime_ms\n1.5\t0.3\n", "1.5"),
        ("sender\ttime_ms\n1\n", "x.dat: "),
        ("sender\ttime_ms\n7\t0.3\n", "spikes.source = 6: must be a neuron"),
        ("sender\ttime_ms\n1\t0.2\n", "spikes.step = 2: must be from 3 to 10"),
        ("sender\ttime_ms\n1\t0.3\n1\t0.3\n", "must ascend in step and source, no spike twice"),
        ("sender\ttime_step\ttime_offset\n1\t3\t0.05\n", "time_offset = 0.05: must be 0"),
        ("sender\ttime_step\ttime_offset\n1\t-3\t0.0\n", "time_step"),
    ],
)
def test_nest_files_that_are_none_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_text(HEADER + text)
    with pytest.raises(InvalidInputError) as error:
        read_nest(path, make())
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="is not text"):
        read_nest(path, make())


def test_sonata_file_has_the_names_of_the_specification(tmp_path: Path) -> None:
    require_format("sonata")
    import h5py

    spikes.write(tmp_path / "x.h5", make())
    with h5py.File(tmp_path / "x.h5", "r") as file:
        assert file.attrs["magic"] == 0x0A7A
        assert file.attrs["version"].tolist() == [0, 1]
        assert set(file["spikes"]) == {"E", "silent", "I"}
        for name, times, nodes in (
            ("E", [0.3, 0.6, 0.7], [0, 2, 2]),
            ("silent", [], []),
            ("I", [0.3, 1.0], [0, 0]),
        ):
            group = file[f"/spikes/{name}"]
            assert set(group) == {"timestamps", "node_ids"}
            kinds = h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype)
            assert kinds == {"none": 0, "by_id": 1, "by_time": 2}
            assert group.attrs["sorting"] == kinds["by_time"]
            assert group["timestamps"].dtype == np.float64
            assert group["timestamps"].attrs["units"] == "ms"
            assert group["timestamps"][()].tolist() == times
            assert group["node_ids"].dtype == np.uint64
            assert group["node_ids"][()].tolist() == nodes


def test_sonata_files_of_other_tools(tmp_path: Path) -> None:
    require_format("sonata")
    import h5py

    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["spikes/I/timestamps"] = np.array([1.0, 3 * 0.1])
        file["spikes/I/timestamps"].attrs["units"] = "milliseconds"
        file["spikes/I/node_ids"] = np.array([0, 0], np.int32)
        file["spikes/E/timestamps"] = np.array([0.6, 0.3, 0.7], np.float32)
        file["spikes/E/node_ids"] = np.array([2, 0, 2])
    assert read_sonata(path, make()) == make()
    for spoil, words in (
        (lambda f: f["spikes/I/timestamps"].attrs.update(units="s"), "units = 's': must be ms"),
        (lambda f: f.move("spikes/I", "spikes/J"), "must be among E, silent, I"),
        (lambda f: f["spikes/I/node_ids"].write_direct(np.array([0, 1])), "node_ids = 1: must be"),
        (lambda f: f.pop("spikes/I/node_ids"), "node_ids: must be a list of numbers"),
        (lambda f: f.pop("spikes"), "holds no group /spikes"),
    ):
        damaged = tmp_path / "damaged.h5"
        damaged.write_bytes(path.read_bytes())
        with h5py.File(damaged, "a") as file:
            spoil(file)
        with pytest.raises(InvalidInputError) as error:
            read_sonata(damaged, make())
        assert str(error.value).startswith(str(damaged))
        assert words in str(error.value)


def test_neo_block_says_what_it_holds(tmp_path: Path) -> None:
    require_format("neo")
    block = spikes.to_neo(make())
    trains = block.segments[0].spiketrains
    assert len(trains) == 6
    for neuron, (train, population, node, times) in enumerate(
        zip(
            trains,
            ["E", "E", "E", "silent", "silent", "I"],
            [0, 1, 2, 0, 1, 0],
            [[0.3], [], [0.6, 0.7], [], [], [0.3, 1.0]],
            strict=True,
        )
    ):
        assert train.annotations == {"population": population, "neuron": neuron}
        assert train.name == f"{population} {node}"
        assert train.units.dimensionality.string == "ms"
        assert train.magnitude.tolist() == times
        assert (float(train.t_start), float(train.t_stop)) == (0.2, 1.0)
    middle = spikes.to_neo(make(), "middle").segments[0].spiketrains
    assert middle[2].magnitude.tolist() == [0.55, 0.65]
    assert (float(middle[2].t_start), float(middle[2].t_stop)) == (0.2, 1.0)
    assert spikes.from_neo(block) == make()
    with pytest.raises(InvalidInputError, match="stamp = 'middle': must be end"):
        spikes.from_neo(spikes.to_neo(make(), "middle"))
    with pytest.raises(InvalidInputError, match="stamp = 'start': must be end or middle"):
        spikes.to_neo(make(), "start")  # type: ignore[arg-type]
    del block.annotations["dt_ms"]
    with pytest.raises(InvalidInputError, match="dt_ms: is missing"):
        spikes.from_neo(block)


ODD: tuple[Any, ...] = (None, "x", True, float("nan"), float("inf"), -1, 0, 1.5, 2**32, 10**400,
                        {}, [1, [2, 3]], [0.5, 1.5, 2.5], ["a", "a", "a"])  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=[f"value{i}" for i in range(len(ODD))])
def test_a_neo_block_of_wrong_types_is_refused(value: Any) -> None:
    require_format("neo")
    names = ("population_names", "population_first", "population_size", "first_step", "last_step",
             "dt_ms", "stamp")  # fmt: skip
    for name in names:
        block = spikes.to_neo(make())
        block.annotations[name] = value
        # Of another length of step no spike is a multiple, or it lies before the recorded ones.
        with pytest.raises(InvalidInputError, match=f"{name}|dt_ms = |different|spikes.step"):
            spikes.from_neo(block)
    if value == 0:
        return
    block = spikes.to_neo(make())
    block.segments[0].spiketrains[0].annotations["neuron"] = value
    with pytest.raises(InvalidInputError, match=r"neuron = .*must be an integer from 0"):
        spikes.from_neo(block)


def test_what_is_no_neo_block_is_refused() -> None:
    require_format("neo")
    block = spikes.to_neo(make())
    for other in (None, "spikes.nix", block.segments[0], [block]):
        with pytest.raises(InvalidInputError, match=r"must be a neo\.Block"):
            spikes.from_neo(other)
    block.segments[0].spiketrains[0].annotations = None
    with pytest.raises(InvalidInputError, match="annotation neuron: is missing"):
        spikes.from_neo(block)
    block.annotations = None
    with pytest.raises(InvalidInputError, match="annotation population_names: is missing"):
        spikes.from_neo(block)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_is_none_is_refused(kind: str, tmp_path: Path) -> None:
    require_format(kind)
    path = tmp_path / f"x.{SUFFIXES[kind]}"
    spikes.write(path, make())
    whole = path.read_bytes()
    for content in (None, b"", b"nothing of the kind\n", whole[: len(whole) // 2]):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        if kind == "nest" and content == whole[: len(whole) // 2]:
            # A text ends anywhere; whole lines of it are a shorter file.
            continue
        with pytest.raises(InvalidInputError) as error:
            READERS[kind](path, make())
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
    with pytest.raises(InvalidInputError, match="embedded null"):
        READERS[kind](tmp_path / f"a\0b.{SUFFIXES[kind]}", make())


@pytest.mark.parametrize("kind", MODULES)
def test_a_package_that_is_missing_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in MODULES[kind]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ToolMissingError, match=rf'pip install "csnn\[{kind}\]"'):
        spikes.write(tmp_path / "x", make(), kind)
    with pytest.raises(ToolMissingError, match=rf'pip install "csnn\[{kind}\]"'):
        READERS[kind](tmp_path / "x", make())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", MODULES)
def test_room_is_asked_for_before_hdf5_writes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_format(kind)
    asked: list[int] = []
    monkeypatch.setattr(f"csnn.spikes.{kind}.require_room", lambda path, room: asked.append(room))
    for case in (make(), make(step=NONE, source=NONE), make().select(["I"])):
        spikes.write(tmp_path / "x", case, kind)
        assert (tmp_path / "x").stat().st_size <= asked.pop()


def test_names_tell_formats() -> None:
    for kind, suffix in SUFFIXES.items():
        assert spikes.choose_format(f"a/b.{suffix}") == kind
        assert spikes.choose_format(f"a/B.{suffix.upper()}") == kind
    assert spikes.choose_format("x.hdf5") == "sonata"
    with pytest.raises(InvalidInputError, match=r"must end in .npz, .dat, .h5, .hdf5, .nix"):
        spikes.choose_format("x.txt")
    with pytest.raises(InvalidInputError, match="format = 'csv': must be one of npz, nest"):
        spikes.write("x", make(), "csv")
