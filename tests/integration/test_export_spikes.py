"""`csnn export spikes`: files that other tools write and read alike, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import csnn, network_file, refused, require_modules, require_nest, succeed, unchanged

from csnn import spikes
from csnn.recorded import recorded_spikes
from csnn.run import validate_run
from csnn.spikes import Spikes

MS = {"warmup": 20.0, "stop": 620.0}
# Population P spikes in step 1 only, which is in the warm-up.
POPULATIONS = {"E": (0, 80), "I": (80, 20), "P": (100, 5)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spikes")
    network = network_file(folder, ("time_ms = 60.0", "time_ms = 600.0"))
    succeed("generate", network, "--out", folder / "image")
    succeed("simulate", folder / "image", "--out", folder / "run")
    succeed("simulate", folder / "image", "--warmup-ms", "0", "--time-ms", "620",
            "--out", folder / "all")  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def recorded(run: Path) -> Spikes:
    return recorded_spikes(run)


def test_the_spikes_are_those_of_the_run(run: Path, recorded: Spikes) -> None:
    with np.load(run / "spikes.npz") as data:
        assert recorded.step.tolist() == data["step"].tolist()
        assert recorded.source.tolist() == data["source"].tolist()
    assert len(recorded) > 300
    assert {p.name: (p.first, p.size) for p in recorded.populations} == POPULATIONS
    assert (recorded.t_start_ms, recorded.t_stop_ms) == (MS["warmup"], MS["stop"])
    assert (recorded.window.first_step, recorded.last_step) == (201, 6200)
    assert {p.name: len(step) for p, step, _ in recorded.of_populations()}["P"] == 0


@pytest.mark.parametrize(("kind", "suffix"), [("npz", "npz"), ("nest", "dat"), ("sonata", "h5")])
def test_what_is_exported_is_read_back(
    kind: str, suffix: str, run: Path, recorded: Spikes, tmp_path: Path
) -> None:
    if kind == "sonata":
        require_modules("sonata", "h5py")
    path = tmp_path / f"x.{suffix}"
    outcome = succeed("export", "spikes", run, "--out", path)
    assert outcome.out == f"{path}: {len(recorded):,} spikes\n"
    read = {
        "npz": lambda p: spikes.read_npz(p),
        "nest": lambda p: spikes.read_nest(p, recorded.populations, recorded.window),
        "sonata": lambda p: spikes.read_sonata(p, recorded.populations, recorded.window),
    }[kind]
    assert read(path) == recorded
    other = tmp_path / "no.suffix"
    succeed("export", "spikes", run, "--format", kind, "--out", other)
    assert read(other) == recorded
    # An existing file is replaced.
    succeed("export", "spikes", run, "--populations", "P,I", "--out", path)
    chosen = read(path)
    assert chosen.source.tolist() == recorded.source[recorded.source >= 80].tolist()


def test_one_json_object_says_what_was_written(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    content = succeed("export", "spikes", run, "--json", "--populations", "P", "--out", path).json
    assert content == {
        "spikes": 0,
        "populations": ["P"],
        "t_start_ms": 20.0,
        "t_stop_ms": 620.0,
        "format": "nest",
        "file": str(path),
    }
    assert path.read_text().count("\n") == 3


def test_the_program_in_the_document_runs(
    run: Path, recorded: Spikes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_modules("neo", "neo")
    text = (Path(__file__).parents[2] / "docs" / "spikes.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(program, "docs/spikes.md", "exec"), names)
    assert names["again"] == recorded
    assert len(names["block"].segments[0].spiketrains) == POPULATIONS["E"][1]


# Equal to NEST

REPLAY = """
import json, sys
import nest
job = json.load(sys.stdin)
nest.verbosity = nest.VerbosityLevel.ERROR
nest.resolution = 0.1
nest.data_path = job["folder"]
neurons = nest.Create("parrot_neuron", 105)
generators = nest.Create("spike_generator", 105)
for generator, steps in zip(generators, job["steps"]):
    # A parrot repeats a spike after its delay.
    generator.set(spike_times=[round((k - 1) * 0.1, 1) for k in steps])
nest.Connect(generators, neurons, "one_to_one", {"delay": 0.1})
recorder = {"record_to": "ascii", "start": job["warmup"], "stop": job["stop"]}
all_of_them = nest.Create("spike_recorder", params={**recorder, "label": "all"})
nest.Connect(neurons, all_of_them)
some = nest.Create("spike_recorder", params={**recorder, "label": "some"})
nest.Connect(neurons[80:100], some)
steps = nest.Create("spike_recorder", params={**recorder, "label": "steps", "time_in_steps": True})
nest.Connect(neurons, steps)
nest.Prepare()
nest.Run(job["warmup"])
nest.Run(job["stop"] + 10.0 - job["warmup"])
nest.Cleanup()
"""


def replay_in_nest(run: Path, folder: Path) -> dict[str, Path]:
    """Let neurons in NEST spike in the steps of a run from its start; return its files."""
    with np.load(run.parent / "all" / "spikes.npz") as data:
        late = data["step"] > 1  # a generator's first spike comes in step 2
        steps = [data["step"][late & (data["source"] == n)].tolist() for n in range(105)]
    job = {"folder": str(folder), "steps": steps, **MS}
    command = [sys.executable, "-c", REPLAY]
    done = subprocess.run(command, input=json.dumps(job), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return {path.name.split("-")[0]: path for path in folder.glob("*.dat")}


def test_nest_writes_the_same_files(run: Path, recorded: Spikes, tmp_path: Path) -> None:
    require_nest()
    (tmp_path / "nest").mkdir()
    theirs = replay_in_nest(run, tmp_path / "nest")
    assert set(theirs) == {"all", "some", "steps"}
    for name, options in (("all", ()), ("some", ("--populations", "I"))):
        mine = tmp_path / f"{name}.dat"
        succeed("export", "spikes", run, *options, "--out", mine)
        first, *lines = mine.read_text().splitlines(keepends=True)
        their_first, *their_lines = theirs[name].read_text().splitlines(keepends=True)
        assert lines == their_lines
        assert first.startswith("# CsNN version: ")
        assert their_first.startswith("# NEST version: ")
        assert len(lines) > 50
    for name in ("all", "steps"):
        found = spikes.read_nest(theirs[name], recorded.populations, recorded.window)
        assert found == recorded
    # A recorder that began a step earlier or later would not agree: spikes are there.
    with np.load(run.parent / "all" / "spikes.npz") as data:
        assert {200, 201} & set(data["step"].tolist())


# FR, CV and CC by elephant


def elephant_statistics(end: list[Any], middle: list[Any]) -> dict[str, np.ndarray]:
    """Return the samples of a population's trains, with the choices of docs/spikes.md."""
    import quantities as pq
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient
    from elephant.statistics import cv, isi, mean_firing_rate

    rates = [float(mean_firing_rate(train).rescale("1/s")) for train in end]
    cvs = [float(cv(isi(train))) for train in end if len(train) > 2]
    bin_size = 2.0 * pq.ms
    n_bins = int((middle[0].t_stop - middle[0].t_start) / bin_size)
    stop = middle[0].t_start + n_bins * bin_size

    def binned(trains: list[Any]) -> Any:
        return BinnedSpikeTrain(
            trains, bin_size=bin_size, n_bins=n_bins, t_start=middle[0].t_start, t_stop=stop
        )

    with warnings.catch_warnings():
        # It says so where a train has no spikes.
        warnings.simplefilter("ignore")
        varies = binned(middle).to_array().var(axis=1) > 0
    kept = [train for train, chosen in zip(middle, varies, strict=True) if chosen]
    matrix = correlation_coefficient(binned(kept), binary=False) if len(kept) > 1 else np.eye(1)
    return {
        "FR": np.array(rates),
        "CV": np.array(cvs),
        "CC": matrix[np.triu_indices(len(matrix), 1)],
    }


def differences(found: dict[str, np.ndarray], own: Any) -> dict[str, float]:
    """Return the largest difference of each sample; infinite where sizes differ."""
    result = {}
    for statistic, sample in found.items():
        expected = own.sample(statistic)
        same = sample.shape == expected.shape
        result[statistic] = float(np.abs(sample - expected).max(initial=0)) if same else np.inf
    return result


def trains_of(block: Any, population: str) -> list[Any]:
    trains = block.segments[0].spiketrains
    return [train for train in trains if train.annotations["population"] == population]


# Elephant's own way with quantities.
@pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")
def test_elephant_finds_the_same_statistics(run: Path, recorded: Spikes, tmp_path: Path) -> None:
    require_modules("dev", "elephant", "neo", "nixio")
    import neo.io

    succeed("export", "spikes", run, "--populations", "I,P", "--out", tmp_path / "x.nix")
    io = neo.io.NixIO(str(tmp_path / "x.nix"), "ro")
    (from_file,) = io.read_all_blocks()
    io.close()
    end, middle = spikes.to_neo(recorded), spikes.to_neo(recorded, "middle")
    own = {p.name: p for p in validate_run(run).statistics.populations}
    for population, block in (("E", end), ("I", end), ("I", from_file), ("P", from_file)):
        trains = trains_of(block, population)
        assert len(trains) == POPULATIONS[population][1]
        found = elephant_statistics(trains, trains_of(middle, population))
        assert max(differences(found, own[population]).values()) < 1e-12
        if population != "P":
            assert min(len(sample) for sample in found.values()) >= 20

    # Each choice matters: with another one the comparison fails.
    trains, middles = trains_of(end, "I"), trains_of(middle, "I")
    with pytest.warns(UserWarning, match="discarded 1 last spike"):
        at_the_edges = elephant_statistics(trains, trains)
    assert differences(at_the_edges, own["I"])["CC"] > 1e-3
    shorter = [train.time_slice(None, 600.0 * train.units) for train in trains]
    assert differences(elephant_statistics(shorter, middles), own["I"])["FR"] > 1e-3
    fewer = [train[1:] for train in trains]
    assert differences(elephant_statistics(fewer, middles), own["I"])["CV"] > 1e-3
    one_less = [middles[0][1:], *middles[1:]]
    assert differences(elephant_statistics(trains, one_less), own["I"])["CC"] > 1e-3


# What is refused


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ("run --format csv --out {}/x.csv", ("--format", "'csv'", "npz", "neo"), 2),
        ("run", ("required: --out",), 2),
        ("run --out {}/x.txt", ("x.txt", "must end in .npz, .dat, .h5"), 3),
        ("run --out ''", ("--out = ''", "must not be empty"), 3),
        ("'' --out {}/x.npz", ("DIR = ''", "must not be empty"), 3),
        ("none --out {}/x.npz", ("none/manifest.json", "No such file"), 3),
        ("run/image --out {}/x.npz", ("schema must be 'csnn-run'",), 3),
        ("run --populations Q --out {}/x.npz", ("populations = 'Q'", "E, I, P"), 3),
        ("run --populations= --out {}/x.npz", ("populations = ''", "E, I, P"), 3),
        ("run --out {}/run/spikes.npz", ("spikes.npz", "lies in", "as a whole"), 3),
        ("run --out {}/run/image/x.dat", ("x.dat", "lies in", "as a whole"), 3),
        ("run --out {}/none/x.dat", ("none does not exist",), 3),
        ("run --out {}/d.npz", ("d.npz", "not a regular file"), 3),
        ("run --out /dev/full", ("/dev/full", "must end in"), 3),
        ("run --format nest --out /dev/full", ("/dev/full", "not a regular file"), 3),
        ("run --out /proc/x.npz", ("/proc/x.npz",), 3),
    ],
)
def test_bad_command_lines(line: str, words: tuple[str, ...], code: int, copy: Path) -> None:
    (copy / "d.npz").mkdir()
    what, *rest = ("" if part == "''" else part.replace("{}", str(copy)) for part in line.split())
    with unchanged(copy):
        outcome = csnn("export", "spikes", copy / what if what else "", *rest)
        refused(outcome, *words, code=code)


def test_damaged_runs(copy: Path) -> None:
    out = copy / "x.npz"
    whole = (copy / "run" / "spikes.npz").read_bytes()
    (copy / "run" / "spikes.npz").write_bytes(whole[:-1])
    refused(csnn("export", "spikes", copy / "run", "--out", out), "spikes.npz: altered")
    (copy / "run" / "spikes.npz").unlink()
    refused(csnn("export", "spikes", copy / "run", "--out", out), "spikes.npz", "No such file")
    assert not out.exists()


@pytest.mark.parametrize(("kind", "modules"), [("sonata", ["h5py"]), ("neo", ["neo", "nixio"])])
def test_a_format_whose_package_is_missing(
    kind: str, modules: list[str], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with unchanged(copy):
        outcome = csnn("export", "spikes", copy / "run", "--format", kind, "--out", copy / "x")
        refused(outcome, f'pip install "csnn[{kind}]"', code=4)
