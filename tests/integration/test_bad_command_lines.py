"""Bad command lines: one line on standard error, exit 3 (2 for usage), nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Outcome, csnn, refused, require_nest, unchanged

# Command lines; {} is the folder of `place`, '' an empty argument.
LINES: dict[str, tuple[str, tuple[str, ...], int]] = {
    "no command": ("", ("required: COMMAND", "--help"), 2),
    "unknown command": ("simulat", ("invalid choice: 'simulat'", "--help"), 2),
    "unknown option": ("show pd14 --sacle 1", ("--sacle", "csnn --help"), 2),
    "abbreviated option": ("run pd14 --time 5 --out {}/x", ("--time", "--help"), 2),
    "no output": ("run pd14", ("required: --out",), 2),
    "no number": ("run pd14 --time-ms soon --out {}/x", ("--time-ms", "'soon'"), 2),
    "no integer": ("generate pd14 --seed 1.5 --out {}/x", ("--seed", "'1.5'"), 2),
    "no such simulator": ("simulate {}/image --simulator best --out {}/x", ("'best'", "fast"), 2),
    "no such network": ("run pd15 --out {}/x", ("pd15: no such file", "did you mean pd14"), 3),
    "a folder for a network": ("run {}/image --out {}/x", ("image: Is a directory",), 3),
    "no scale": ("run pd14 --scale 0 --out {}/x", ("pd14.n_scale = 0.0", "(0, 10]"), 3),
    "NaN scale": ("run pd14 --scale nan --out {}/x", ("pd14.n_scale = nan", "(0, 10]"), 3),
    "two scales": ("run pd14 --scale 1 --k-scale 1 --out {}/x", ("pd14.scale", "k_scale"), 3),
    "scale of another network": ("show brunel --scale 1", ("brunel.scale = 1.0", "option"), 3),
    "scale of a file": ("show {}/small.toml --scale 0.1", ("--scale = 0.1", "in the file"), 3),
    "one node": ("run pd14 --nodes 1 --out {}/x", ("machine.n_nodes = 1", "partition"), 3),
    "one balanced node": (
        "run {}/small.toml --partition load --nodes 1 --out {}/x",
        ("machine.n_nodes = 1", "must be >= 4"),
        3,
    ),
    "no name of a network": ("run '' --out {}/x", ("NETWORK = ''", "must not be empty"), 3),
    "no name of an image": ("simulate '' --out {}/x", ("IMAGE = ''", "must not be empty"), 3),
    "no name of a run": ("report ''", ("DIR = ''", "must not be empty"), 3),
    "no name of the output": ("run {}/small.toml --out ''", ("--out = ''", "not be empty"), 3),
    "the folder itself by a detour": (
        "simulate {}/image --out {}/none/..",
        ("was not written by csnn",),
        3,
    ),
    "no time": ("run {}/small.toml --time-ms 0 --out {}/x", ("run.time_ms = 0", "> 0"), 3),
    "half a step": (
        "run {}/small.toml --time-ms 0.05 --out {}/x",
        ("csnn: run.time_ms = 0.05", "multiple of dt_ms"),
        3,
    ),
    "half a step of an image": (
        "simulate {}/image --time-ms 0.05 --out {}/x",
        ("csnn: run.time_ms = 0.05", "multiple of dt_ms"),
        3,
    ),
    "half a step of warm-up": (
        "simulate {}/image --warmup-ms 0.05 --out {}/x",
        ("run.warmup_ms = 0.05", "multiple of dt_ms"),
        3,
    ),
    "together too long": (
        "simulate {}/image --time-ms 4e8 --warmup-ms 4e8 --out {}/x",
        ("run.time_ms = 400000000.0", "2^32 steps"),
        3,
    ),
    "no threads": ("run {}/small.toml --threads 0 --out {}/x", ("run.threads = 0", "from 1"), 3),
    "no threads for an image": (
        "simulate {}/image --threads 0 --out {}/x",
        ("run.threads = 0", "from 1"),
        3,
    ),
    "negative seed": ("generate {}/small.toml --seed -1 --out {}/x", ("run.seed = -1",), 3),
    "no list": ("simulate {}/image --record a --out {}/x", ("--record = 'a'", "0,3-5"), 3),
    "an empty list": ("simulate {}/image --record= --out {}/x", ("--record = ''", "0,3-5"), 3),
    "digits without end": (
        "simulate {}/image --record " + "9" * 5000 + " --out {}/x",
        ("--record = '999", "0,3-5"),
        3,
    ),
    "a falling range": ("simulate {}/image --record 5-3 --out {}/x", ("'5-3'", "ascend"), 3),
    "a huge range": ("simulate {}/image --record 0-9999999 --out {}/x", ("1,000,000",), 3),
    "recording nobody": (
        "simulate {}/image --record 3,105 --out {}/x",
        ("run.record = 105", "below 105"),
        3,
    ),
    "recording nobody in a run": (
        "run {}/small.toml --record 105 --out {}/x",
        ("run.record = 105", "below 105"),
        3,
    ),
    "no image": ("simulate {}/none --out {}/x", ("none/manifest.json", "No such file"), 3),
    "a run for an image": ("simulate {}/run --out {}/x", ("schema must be 'csnn-image'",), 3),
    "an image for a run": ("validate {}/image", ("schema must be 'csnn-run'",), 3),
    "no run": ("report {}/none", ("none/manifest.json", "No such file"), 3),
    "nothing to resume": ("simulate {}/image --resume --out {}/x", ("x/manifest.json",), 3),
    "over an image": ("simulate {}/image --out {}/image", ("holds a csnn-image",), 3),
    "over a run": ("generate {}/small.toml --out {}/run", ("holds a csnn-run",), 3),
    "over a file": ("run {}/small.toml --out {}/small.toml", ("not a directory",), 3),
    "image over a file": ("generate {}/small.toml --out {}/small.toml", ("not a directory",), 3),
    "below a file": ("run {}/small.toml --out {}/small.toml/x", ("Not a directory",), 3),
    "image below a file": ("generate {}/small.toml --out {}/small.toml/x", ("Not a dir",), 3),
    "in /proc": ("run {}/small.toml --out /proc/csnn-test", ("/proc/csnn-test",), 3),
    "image in /proc": ("generate {}/small.toml --out /proc/csnn-test", ("/proc/csnn-test",), 3),
    "a name too long": ("run {}/small.toml --out {}/" + "x" * 300, ("name too long",), 3),
    "edges of another kind": ("export edges {}/image --out {}/x.txt", ("x.txt", ".npz"), 3),
    "edges into a missing folder": (
        "export edges {}/image --out {}/x/y.npz",
        ("does not exist",),
        3,
    ),
    "edges into a device": ("export edges {}/image --out /dev/full.npz/x.npz", ("full.npz",), 3),
    "edges into a folder": ("export edges {}/image --out {}/d.npz", ("not a regular file",), 3),
    "edges of no node": ("export edges {}/image --nodes 4 --out {}/x.npz", ("nodes = 4", "4"), 3),
    "edges of no population": (
        "export edges {}/image --targets Q --out {}/x.npz",
        ("targets = 'Q'", "E, I, P"),
        3,
    ),
    "edges of nothing": ("export edges {}/image --sources= --out {}/x.npz", ("sources = ''",), 3),
    "edges of no neuron": (
        "export edges {}/image --sources 0:99999999999999 --out {}/x.npz",
        ("sources = '0:99999999999999'", "105"),
        3,
    ),
    "edges of digits without end": (
        "export edges {}/image --sources 0:" + "9" * 5000 + " --out {}/x.npz",
        ("sources = '0:999", "105"),
        3,
    ),
    "negative time for NEST": (
        "bench {}/small.toml --nest-time-ms -1",
        ("bench.nest_time_ms = -1.0", "> 0"),
        3,
    ),
    "bench between steps": (
        "bench {}/small.toml --time-ms 0.05 --no-nest",
        ("run.time_ms = 0.05", "multiple"),
        3,
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_command_line(name: str, place: Path) -> None:
    line, words, code = LINES[name]
    if name == "edges into a folder":
        (place / "d.npz").mkdir(exist_ok=True)
    with unchanged(place):
        arguments = [part.replace("{}", str(place)) for part in line.split()]
        refused(csnn(*(a.replace("''", "") for a in arguments)), *words, code=code)


def test_memory_that_runs_out(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("csnn.run.simulate", simulate)
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--out", copy / "new")
    assert outcome == Outcome(3, "", "csnn: out of memory\n")


def test_nest_that_fails_is_exit_code_5(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_nest()
    monkeypatch.setattr("csnn.oracle._nest_process.sys.executable", "/bin/false")
    outcome = csnn("bench", place / "small.toml")
    refused(outcome, "NEST ended with exit code 1", code=5)
