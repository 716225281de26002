"""The protocol on a small network, whose "NEST" are runs of the machine with other seeds."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from commands import csnn, refused, tree, unchanged
from protocols import network, never, run, settings

import csnn as csnn_package
import csnn.protocol.seeds as stages
import csnn.run as csnn_run
from csnn import output
from csnn.errors import InvalidInputError
from csnn.image.store import open_image
from csnn.journal import Journal
from csnn.protocol import folder
from csnn.protocol.computer import checkout_commit
from csnn.protocol.seeds import Unfinished
from netgen.build import generate


@pytest.fixture(scope="module")
def finished(recordings, tmp_path_factory) -> Path:
    """Return the directory of a protocol of two seeds; tests only read or copy it."""
    out = tmp_path_factory.mktemp("protocol") / "deep" / "out"
    said: list[str] = []
    warned: list[object] = []
    outcome = run(recordings, out, settings(1, 2), command="csnn validate", tell=said.append,
                  warn=warned.append)  # fmt: skip
    assert warned == []
    assert outcome.verdict.passed, outcome.verdict.reasons
    assert [line.split(":")[0] for line in said] == ["seed 1, 1 of 2", "seed 2, 2 of 2"]
    assert said[0].endswith("left")
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))


def test_what_a_protocol_leaves(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        "manifest.json", "protocol.json", "report.html", "figures", "nest", "seed_1",
        "seed_2",
    }  # fmt: skip
    assert {path.name for path in (finished / "seed_1").iterdir()} == {
        "run", "samples.npz", "made.json",
    }  # fmt: skip
    content = json.loads((finished / "protocol.json").read_text(), parse_constant=pytest.fail)
    assert content["complete"]
    assert content["command"] == "csnn validate"
    assert content["tools"]["numba"] == numba.__version__
    assert content["tools"]["numpy"] == np.__version__
    root = Path(csnn_package.__file__).resolve().parents[1]
    assert content["tools"].get("commit") == checkout_commit(root)
    assert [seed["seed"] for seed in content["seeds"]] == [1, 2]
    shape = np.array(content["distances"]["candidate_nest"]).shape
    assert shape == (3, 8, 2, 3)
    assert content["whole"] is None
    assert content["course"] is None
    assert content["verdict"]["smallest_p"] == pytest.approx(0.1)
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "Agrees with NEST" in page
    manifest = json.loads((finished / "manifest.json").read_text())
    assert set(manifest["files"]) == {
        "protocol.json", "report.html", "figures/distances.png", "figures/distributions.png",
    }  # fmt: skip


def test_a_repeated_command_reuses_every_stage(recordings, copy: Path, monkeypatch) -> None:
    before = {k: v for k, v in tree(copy).items() if k.startswith(("seed_", "nest"))}
    monkeypatch.setattr(stages, "run_simulation", never)
    said: list[str] = []
    outcome = run(recordings, copy, settings(2, 1), make=never, tell=said.append)
    # Nothing takes time any more.
    assert said == [f"seed {seed}, {n} of 2: already simulated" for n, seed in ((1, 2), (2, 1))]
    assert outcome.verdict.seeds == (2, 1)
    after = {k: v for k, v in tree(copy).items() if k.startswith(("seed_", "nest"))}
    assert after == before


def test_seeds_are_added_and_partial_results_kept(recordings, copy: Path, monkeypatch) -> None:
    made: list[int] = []

    def make(description, seed, *arguments, **options):
        made.append(seed)
        partial = json.loads((copy / "protocol.json").read_text())
        assert [s["seed"] for s in partial["seeds"]] == [1, 2]
        assert not partial["complete"]
        assert not (copy / "report.html").exists()
        return generate(description, seed, *arguments, **options)

    outcome = run(recordings, copy, settings(1, 2, 3), make=make)
    assert made == [3]
    assert outcome.content["complete"]
    assert len(outcome.verdict.seed_failures) == 3


def test_lost_samples_are_taken_again_and_are_the_same(recordings, copy: Path) -> None:
    wanted = json.loads((copy / "protocol.json").read_text())["distances"]
    (copy / "seed_1" / "samples.npz").write_bytes(b"damaged")
    (copy / "seed_2" / "samples.npz").unlink()
    for path in (copy / "nest").iterdir():
        path.unlink()
    outcome = run(recordings, copy, settings(1, 2), make=never)
    assert outcome.content["distances"] == wanted


def test_a_whole_image_is_simulated_and_a_damaged_one_made_again(recordings, copy: Path) -> None:
    wanted = json.loads((copy / "protocol.json").read_text())["distances"]
    image = copy / "seed_1" / "image"
    for damage, maker in ((False, never), (True, generate)):
        shutil.rmtree(copy / "seed_1")
        image.parent.mkdir()
        generate(network(), 1, image)
        if damage:
            with (image / "node_00000.bin").open("r+b") as file:
                file.seek(-1, 2)
                last = file.read(1)
                file.seek(-1, 2)
                file.write(bytes([last[0] ^ 1]))
        outcome = run(recordings, copy, settings(1, 2), make=maker)
        assert outcome.content["distances"] == wanted
        assert not image.exists()


def test_images_are_kept_and_made_again_if_it_is_asked_for(recordings, copy: Path) -> None:
    image = copy / "seed_1" / "image"
    place = copy / "seed_1" / "run"
    digest = output.read_result(place)["image_digest"]
    there = (place / "image").readlink()
    gone = f"{place}/image: there is no image at {there} (ln -sfn names another place); csnn "
    gone += f"generate NETWORK --seed 1 --out {there} makes it again"
    for command in ("validate", "report"):
        refused(csnn(command, place), gone, "the protocol's command with --keep-images")
    refused(csnn("export", "spikes", place, "--out", copy.parent / "spikes.npz"), gone)
    shutil.rmtree(copy / "seed_2")
    run(recordings, copy, settings(1, 2), keep_images=True)
    assert (copy / "seed_2" / "image" / "manifest.json").exists()
    assert open_image(image).digest == digest
    assert csnn("validate", place).code == 0
    before = tree(image)
    # Neither is it made again while it is whole, nor removed by a command that does not ask for it.
    for keep in (True, False):
        run(recordings, copy, settings(1, 2), make=never, keep_images=keep)
        assert tree(image) == before


@pytest.mark.parametrize("what", ["damaged", "another", "link to another", "dangling link"])
def test_what_lies_in_the_place_of_an_image_is_not_replaced(
    recordings, copy: Path, tmp_path: Path, what: str
) -> None:
    image = place = copy / "seed_1" / "image"
    if "link" in what:
        place = tmp_path / "elsewhere"
        image.symlink_to(place)
    if what != "dangling link":
        generate(network(), 1 if what == "damaged" else 2, place)
    if what == "damaged":
        flip(place / "node_00000.bin")
    before = tree(place)
    with pytest.raises(InvalidInputError, match="; move it away, and the same command makes the"):
        run(recordings, copy, settings(1, 2), make=never, keep_images=True)
    assert tree(place) == before
    assert image.is_symlink() == ("link" in what)


def test_linked_images_are_used_and_left_alone(recordings, copy: Path, tmp_path: Path) -> None:
    image = copy / "seed_1" / "image"
    place = tmp_path / "elsewhere"
    generate(network(), 1, place)
    before = tree(place)
    image.symlink_to(place)
    run(recordings, copy, settings(1), make=never, keep_images=True)
    # Not even where one of its own would be removed.
    (copy / "seed_1" / "samples.npz").unlink()
    run(recordings, copy, settings(1), make=never)
    assert image.is_symlink()
    assert tree(place) == before
    shutil.rmtree(copy / "seed_2")
    (copy / "seed_2").mkdir()
    (copy / "seed_2" / "image").symlink_to(place)
    made: list[Path] = []

    def make(description, seed, path, **options):
        made.append(path)
        return generate(description, seed, path, **options)

    run(recordings, copy, settings(2), make=make)
    assert made == [copy / "seed_2" / "image"]
    assert tree(place) == before


def test_a_journal_that_is_a_link_is_refused_before_the_work(recordings, copy: Path) -> None:
    shutil.rmtree(copy / "seed_1")
    (copy / "seed_2" / "run" / "progress").symlink_to(copy)
    with pytest.raises(InvalidInputError, match="progress: is a symbolic link"):
        run(recordings, copy, settings(1, 2), make=never)


def test_an_image_that_cannot_be_made_again_is_refused(recordings, copy: Path) -> None:
    def other(description, seed, *arguments, **options):
        return generate(description, seed + 1, *arguments, **options)

    words = "made again, it is not the image that .*seed_1/run is a run of"
    with pytest.raises(InvalidInputError, match=words):
        run(recordings, copy, settings(1, 2), make=other, keep_images=True)
    assert not (copy / "seed_1" / "image").exists()
    run(recordings, copy, settings(1, 2), make=never)


@pytest.mark.parametrize("again", [False, True], ids=["new", "again"])
def test_a_command_killed_before_it_removed_an_image_leaves_none(
    recordings, copy: Path, monkeypatch, again
) -> None:
    """Stands for a kill at the end of a run, whose folder may have held an older one's samples."""
    shutil.rmtree(copy / "seed_1" / ("run" if again else ""))
    with monkeypatch.context() as patch:
        whole = stages.simulate_seed

        def killed(*arguments):
            whole(*arguments)
            raise BrokenPipeError

        patch.setattr(stages, "simulate_seed", killed)
        with pytest.raises(BrokenPipeError):
            run(recordings, copy, settings(1, 2))
    assert (copy / "seed_1" / "image").exists()
    run(recordings, copy, settings(1, 2), make=never)
    assert {path.name for path in (copy / "seed_1").iterdir()} == {
        "run", "samples.npz", "made.json",
    }  # fmt: skip


def test_interrupted_simulation_goes_on(recordings, copy: Path, monkeypatch) -> None:
    wanted = (copy / "seed_1" / "run" / "spikes.npz").read_bytes()
    shutil.rmtree(copy / "seed_1")
    whole = stages.run_simulation

    def halved(image, run, directory, **options):
        import dataclasses

        result = whole(image, dataclasses.replace(run, time_ms=700.0), directory,
                       checkpoint=True, **options)  # fmt: skip
        # What Ctrl-C would have left: the time that was asked for, and that it is not over.
        result |= {"complete": False, "time_ms": run.time_ms}
        output.write_result(directory, result, image)
        return result

    monkeypatch.setattr(stages, "run_simulation", halved)
    with pytest.raises(Unfinished):
        run(recordings, copy, settings(1, 2))
    assert (copy / "seed_1" / "image").exists()
    monkeypatch.setattr(stages, "run_simulation", whole)
    outcome = run(recordings, copy, settings(1, 2), make=never)
    assert outcome.content["complete"]
    assert (copy / "seed_1" / "run" / "spikes.npz").read_bytes() == wanted


def test_a_killed_simulation_goes_on_from_its_last_checkpoint(
    recordings, finished: Path, tmp_path: Path, monkeypatch
) -> None:
    """Stands for a kill: nothing after the third entry of the journal is done."""
    monkeypatch.setattr(stages, "PERIOD_MS", 500.0)
    with monkeypatch.context() as patch:
        append = Journal.append

        def killed(self, recording, state, costs):
            # As if these three had taken 50 minutes.
            append(self, recording, state, {**costs, "simulate_s": 1000.0})
            if state.step == 10_000:
                raise BrokenPipeError

        patch.setattr(Journal, "append", killed)
        with pytest.raises(BrokenPipeError):
            run(recordings, tmp_path / "out", settings(2))
    begun: list[int] = []
    parts = csnn_run.simulate_parts

    def noted(*arguments, start=None, **options):
        begun.append(start.step)
        return parts(*arguments, start=start, **options)

    def stop(line):
        said.append(line)
        raise BrokenPipeError

    said: list[str] = []
    monkeypatch.setattr(csnn_run, "simulate_parts", noted)
    with pytest.raises(BrokenPipeError):
        run(recordings, tmp_path / "out", settings(2, 1, 3), tell=stop)
    assert begun == [10_000]
    # Two seeds, each of which takes what the parts of the first have taken together.
    assert re.fullmatch(r"seed 2, 1 of 3: done in .* s; about 1 h 4[0-9] min left", said[0])
    for mine, theirs in zip(
        output.read_spikes(tmp_path / "out/seed_2/run"),
        output.read_spikes(finished / "seed_2/run"),
        strict=True,
    ):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("named", [True, False], ids=["all", "some"])
def test_a_run_killed_while_its_files_take_their_names_goes_on(
    recordings, finished: Path, tmp_path: Path, monkeypatch, named
) -> None:
    """Stands for a kill: the journal is still there, and `named` tells of the files."""
    with monkeypatch.context() as patch:

        def killed(self):
            raise BrokenPipeError

        patch.setattr(Journal, "remove", killed)
        with pytest.raises(BrokenPipeError):
            run(recordings, tmp_path / "out", settings(2))
    place = tmp_path / "out/seed_2/run"
    if not named:
        # The manifest is the one that the run began with.
        (place / "spikes.npz").unlink()
        output.write_manifest(place, None)
    assert (place / "progress").exists()
    run(recordings, tmp_path / "out", settings(2))
    assert not (place / "progress").exists()
    wanted = finished / "seed_2/run/spikes.npz"
    assert (place / "spikes.npz").read_bytes() == wanted.read_bytes()


def test_what_a_killed_process_left_is_removed(recordings, copy: Path) -> None:
    left = [copy / ".tmp-1234abcd-protocol.json", copy / "seed_1" / "run" / ".tmp-00ff00ff-x.npz"]
    for path in left:
        path.write_bytes(b"half")
    (copy / "seed_1" / "image.tmp-00ff00ff").mkdir()
    run(recordings, copy, settings(1, 2), make=never)
    assert not any(path.exists() for path in [*left, copy / "seed_1" / "image.tmp-00ff00ff"])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def interrupt(place: Path) -> None:
    """Leave what Ctrl-C does, with a damaged checkpoint."""
    result = output.read_result(place) | {"complete": False}
    (place / "result.json").write_bytes(output.encode_json(result))
    output.write_manifest(place, None)
    flip(place / "checkpoint.npz")


def vouched(place: Path, result: dict[str, object]) -> None:
    """Replace the result, and let the manifest vouch for it."""
    (place / "result.json").write_text(json.dumps(result))
    output.write_manifest(place, None)


# What is done to the run of a seed, what is said.
DAMAGED = {
    "spikes": (lambda place: flip(place / "spikes.npz"), "spikes.npz: altered"),
    "result": (lambda place: flip(place / "result.json"), "result.json: altered"),
    "manifest": (lambda place: (place / "manifest.json").write_text("{"), "not written by csnn"),
    "no manifest": (lambda place: (place / "manifest.json").unlink(), "not written by csnn"),
    "checkpoint": (interrupt, "checkpoint.npz: altered"),
    "no number": (
        lambda place: vouched(place, output.read_result(place) | {"manifest": {"x": float("nan")}}),
        "not valid JSON",
    ),
    "no count": (
        lambda place: vouched(place, output.read_result(place) | {"spikes": None}),
        "spikes = None: must be an integer",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_run_is_refused_with_what_to_remove(recordings, copy: Path, damage) -> None:
    place = copy / "seed_2" / "run"
    wanted = (place / "spikes.npz").read_bytes()
    spoil, words = DAMAGED[damage]
    spoil(place)
    hint = f"{words}.*; remove {re.escape(str(place))}, and the same command simulates the seed"
    with pytest.raises(InvalidInputError, match=hint):
        run(recordings, copy, settings(1, 2))
    if damage == "spikes":
        shutil.rmtree(place)
        run(recordings, copy, settings(1, 2))
        assert (place / "spikes.npz").read_bytes() == wanted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_ms": 1500.0}, "time_ms = 1500.0: must be 2000.0"),
        ({"warmup_ms": 600.0}, "warmup_ms = 600.0: must be 500.0"),
        ({"variant": "paper", "warmup_ms": 500.0}, "all_pairs = True: must be False"),
    ],
    ids=["time", "warm-up", "variant"],
)
def test_other_settings_need_another_directory(recordings, copy: Path, changes, words) -> None:
    with pytest.raises(InvalidInputError, match=words):
        run(recordings, copy, settings(1, 2, **changes))


def test_a_run_of_another_network_is_refused(recordings, copy: Path) -> None:
    with pytest.raises(InvalidInputError, match="another network"):
        run(recordings, copy, settings(1, 2), network(inhibition=-4.5))


def test_one_process_at_a_time(copy: Path) -> None:
    program = (
        "import sys, csnn.protocol.folder as f\n"
        f"with f.claimed({str(copy)!r}, {settings(1).fixed()!r}):\n"
        "    print('in', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(InvalidInputError, match="another process is writing there"),
            folder.claimed(copy, settings(1).fixed()),
        ):
            pass
        other.kill()
        other.wait()
        with folder.claimed(copy, settings(1).fixed()):
            pass
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_full_disk_leaves_nothing_or_what_was_finished(recordings, tmp_path, size) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(InvalidInputError, match="File too large"):
            run(recordings, tmp_path / "new" / "out", settings(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fills_up_on_the_way_says_how_to_go_on(
    recordings, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(stages, "PERIOD_MS", 500.0)
    before = os.fsync
    full: list[str] = []

    def fsync(descriptor: int) -> None:
        if full[-1] in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        before(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    # The last of 25,000 steps, and the run's own file after it.
    for name, step in (("25000.npz", 20_000), ("spikes.npz", 25_000)):
        full.append(name)
        hint = f"No space left on device; recorded up to step {step}: the same command continues$"
        with pytest.raises(InvalidInputError, match=hint):
            run(recordings, tmp_path / "out", settings(1))
    full.append("none")
    run(recordings, tmp_path / "out", settings(1))


def test_what_simulated_a_seed_is_kept(recordings, copy: Path, monkeypatch) -> None:
    made = json.loads((copy / "protocol.json").read_text())["seeds"][0]["made"]
    assert made["threads"] == 1
    assert made["tools"]["numba"]
    elsewhere = {"processor": "another"}
    monkeypatch.setattr("csnn.protocol.command.describe_computer", lambda: elsewhere)
    outcome = run(recordings, copy, settings(1, 2, threads=2), make=never)
    assert outcome.content["machine"] == elsewhere
    assert [seed["made"] for seed in outcome.content["seeds"]] == [made, made]
    assert not any("versions" in note for note in outcome.verdict.notes)
    other = {**made, "tools": {**made["tools"], "csnn": "0.0.1"}}
    (copy / "seed_1" / "made.json").write_text(json.dumps(other))
    outcome = run(recordings, copy, settings(1, 2), make=never)
    note = "the seeds were simulated by 2 versions of csnn; "
    assert any(note in said for said in outcome.content["verdict"]["notes"])
    assert note in outcome.report.read_text()
    (copy / "seed_1" / "made.json").write_text('{"tools": 3}')
    run(recordings, copy, settings(1, 2), make=never)
    (copy / "seed_1" / "made.json").unlink()
    outcome = run(recordings, copy, settings(1, 2), make=never)
    assert outcome.content["seeds"][0]["made"] is None


# Wrong networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "passes"), [({}, True), ({"inhibition": -3.5}, False)], ids=["right", "inhibition"]
)
def test_a_wrong_network_fails(recordings, tmp_path: Path, changes, passes) -> None:
    outcome = run(recordings, tmp_path / "out", settings(1, 2, 3), network(**changes))
    assert outcome.verdict.passed == passes
    assert ("FR of all" in outcome.verdict.failures) == (not passes)


@pytest.mark.slow
def test_swapped_populations_fail(recordings, finished: Path, tmp_path: Path) -> None:
    # Candidates in which L23E and L4E have changed places, or NEST in which they have.
    sizes = [p.size for p in network().network.populations]
    first = np.cumsum([0, *sizes])
    n = min(sizes[0], sizes[2])
    number = np.arange(first[-1])
    number[first[0] : first[0] + n], number[first[2] : first[2] + n] = (
        number[first[2] : first[2] + n].copy(),
        number[first[0] : first[0] + n].copy(),
    )
    swapped = []
    for path in recordings:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files}
        arrays["sender"] = number[arrays["sender"]]
        swapped.append(tmp_path / path.name)
        np.savez(swapped[-1], **arrays)
    copied = Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
    outcome = run(swapped, copied, settings(1, 2), make=never)
    assert {"FR of L23E", "FR of L4E", "FR of all"} <= set(outcome.verdict.failures)


@pytest.mark.slow
def test_the_command_at_full_scale(tmp_path: Path) -> None:
    line = ("validate", "--protocol", "pd14", "--seeds", "1-1", "--time-ms", "1000", "--out")
    outcome = csnn(*line, tmp_path / "out", "--json")
    assert outcome.code == 0, outcome
    assert outcome.json["verdict"]["passed"]
    assert Path(outcome.json["report"]).exists()
    again = csnn(*line, tmp_path / "out")
    assert again.code == 0
    assert "already simulated" in again.err
    assert again.out.splitlines()[-2:] == ["passed", str(tmp_path / "out" / "report.html")]
    assert max(map(len, again.out.splitlines()[:-1])) <= 79


# The command line, without simulating anything


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ("", "required: DIR or --protocol", 2),
        ("x --protocol pd14 --out o", "exclude each other", 2),
        ("--protocol pd14", "--protocol needs --out", 2),
        ("--protocol brunel --out o", "invalid choice", 2),
        ("x --seeds 3", "--seeds needs --protocol", 2),
        ("x --keep-images", "--keep-images needs --protocol", 2),
        ("--protocol pd14 --scale 0.1 --out o", "--scale = 0.1: must be 1", 3),
        ("--protocol pd14 --variant paper --out o", "needs --nest", 3),
        ("--protocol pd14 --variant mine --out o", "invalid choice", 2),
        ("--protocol pd14 --time-ms 500 --out o", "at least 1000", 3),
        ("--protocol pd14 --seeds 2,2 --out o", "different", 3),
        ("--protocol pd14 --seeds x --out o", "--seeds = 'x'", 3),
        ("--protocol pd14 --warmup-ms 100 --out o", "at least 500", 3),
        ("--protocol pd14 --nest none --out o", "none: No such file", 3),
        ("--protocol pd14 --out ''", "--out = ''", 3),
    ],
)
def test_bad_command_lines(line: str, words: str, code: int, tmp_path: Path, monkeypatch) -> None:
    import shlex

    monkeypatch.chdir(tmp_path)
    with unchanged(tmp_path):
        refused(csnn("validate", *shlex.split(line)), words, code=code)


@pytest.mark.parametrize("holds", ["a file", "an image", "a run"])
def test_foreign_directories_are_left_alone(holds: str, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if holds == "a file":
        out.mkdir()
        (out / "thesis.tex").write_text("x")
    else:
        shutil.copytree(place / holds.split()[-1], out, symlinks=True)
    with unchanged(tmp_path):
        outcome = csnn("validate", "--protocol", "pd14", "--time-ms", "1000", "--out", out)
        refused(outcome, str(out))
