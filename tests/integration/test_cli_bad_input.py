"""Bad input: one line naming place, value and rule, exit 3 (2 for usage), nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from commands import Outcome, csnn, network_file, require_nest, succeed, tree

from csnn import output
from csnn.files import sha256
from csnn.image.store import content_digest, open_image

Change = tuple[str, str]
FIRST_RULE = '{ name = "fixed_indegree", indegree = 10 }'
FIRST_WEIGHT = '{ distribution = "normal", mu = 90.0, sigma = 9.0, minimum = 0.0 }'
FIRST_DELAY = '{ distribution = "normal", mu = 1.5, sigma = 0.75, minimum = 0.1 }'
INPUT = "weight_pA = 90.0 }\nV_init_mV = { distribution"

# What is changed in the description, and what the message must say, in this order.
DESCRIPTIONS: dict[str, tuple[list[Change], tuple[str, ...]]] = {
    # Keys, types, TOML
    "unknown key at the top": ([("[run]", "speed = 3\n[run]")], ("speed = 3", "is not a key")),
    "unknown key in a table": ([("seed = 3", "seeds = 3")], ("run.seeds = 3", "did you mean seed")),
    "unknown key of a population": (
        [('name = "P"\nsize', 'name = "P"\nbias = 1\nsize')],
        ("population P.bias = 1", "is not a key"),
    ),
    "missing key": ([('name = "P"\nsize = 5', 'name = "P"')], ("population P.size", "missing")),
    "text for a number": ([("size = 80", 'size = "many"')], ("E.size = 'many'", "integer")),
    "fraction for an integer": ([("size = 80", "size = 8.5")], ("E.size = 8.5", "integer")),
    "truth for a number": ([("V_init_mV = -40.0", "V_init_mV = true")], ("P.V_init_mV", "True")),
    "table for a number": (
        [("time_ms = 60.0", "time_ms = { a = 1 }")],
        ("run.time_ms = {'a': 1}", "must be a finite number > 0"),
    ),
    "number for a table": (
        [("[run]", "machine = 1\n[run]"), ("[machine]\n", "")],
        ("machine = 1", "table"),
    ),
    "no TOML": ([("seed = 3", "seed = ")], ("line 6", "Invalid value")),
    "a key twice": ([("seed = 3", "seed = 3\nseed = 4")], ("line 7", "overwrite")),
    # Numbers
    "NaN time": ([("time_ms = 60.0", "time_ms = nan")], ("run.time_ms = nan", "finite")),
    "infinite time": ([("time_ms = 60.0", "time_ms = inf")], ("run.time_ms = inf", "finite")),
    "negative warm-up": ([("warmup_ms = 20.0", "warmup_ms = -1")], ("run.warmup_ms = -1", ">= 0")),
    "time between steps": (
        [("time_ms = 60.0", "time_ms = 0.05")],
        ("run.time_ms = 0.05", "must be a multiple of dt_ms = 0.1"),
    ),
    "more steps than there are": (
        [("time_ms = 60.0", "time_ms = 1e308")],
        ("run.time_ms = 1e+308", "2^32 steps"),
    ),
    "time that rounds to no step": (
        [("time_ms = 60.0", "time_ms = 1e-300")],
        ("run.time_ms = 1e-300", "must be a multiple of dt_ms = 0.1"),
    ),
    "negative seed": ([("seed = 3", "seed = -3")], ("run.seed = -3", "integer from 0")),
    "no threads": ([("threads = 1", "threads = 0")], ("run.threads = 0", "from 1")),
    "recorded neuron": (
        [("threads = 1", "threads = 1\nrecord = [105]")],
        ("run.record = 105", "below 105"),
    ),
    "nodes too large": (
        [("neurons_per_node = 40", "neurons_per_node = 257")],
        ("machine.neurons_per_node = 257", "from 1 to 256"),
    ),
    "too few nodes": (
        [("neurons_per_node = 40", 'neurons_per_node = 40\npartition = "load"\nn_nodes = 3')],
        ("machine.n_nodes = 3", "must be >= 4"),
    ),
    "nodes without balancing": (
        [("neurons_per_node = 40", "neurons_per_node = 40\nn_nodes = 9")],
        ("machine.n_nodes = 9", 'needs partition = "load"'),
    ),
    "odd delay slots": (
        [("neurons_per_node = 40", "delay_slots = 63")],
        ("machine.delay_slots = 63", "power of two"),
    ),
    "grid that is no power of two": (
        [("neurons_per_node = 40", "weight_grid_pA = 0.3")],
        ("machine.weight_grid_pA = 0.3", "power of two"),
    ),
    "grid beyond all others": (
        [("neurons_per_node = 40", "weight_grid_pA = 5e-324")],
        ("machine.weight_grid_pA = 5e-324", "power of two from 2^-60 to 2^60"),
    ),
    "empty population": ([("size = 80", "size = 0")], ("population E.size = 0", "from 1")),
    "negative size": ([("size = 80", "size = -4")], ("population E.size = -4", "from 1")),
    "negative membrane time": (
        [("size = 80", "size = 80\nneuron = { tau_m_ms = -10.0 }")],
        ("population E.neuron.tau_m_ms = -10.0", "> 0"),
    ),
    "NaN capacitance": (
        [("size = 80", "size = 80\nneuron = { C_m_pF = nan }")],
        ("population E.neuron.C_m_pF = nan", "finite"),
    ),
    "reset above threshold": (
        [("size = 80", "size = 80\nneuron = { V_reset_mV = -50.0 }")],
        ("population E.neuron.V_reset_mV = -50.0", "V_th_mV"),
    ),
    "reset above threshold in binary32": (
        [("size = 80", "size = 80\nneuron = { E_L_mV = 1e30 }")],
        ("population E.neuron.V_reset_mV = -65.0", "must be < V_th_mV in binary32"),
    ),
    "initial potential beyond binary32": (
        [("V_init_mV = -40.0", "V_init_mV = 1e39")],
        ("population P.V_init_mV", "1e+39", "binary32"),
    ),
    "initial current beyond binary32": (
        [
            (
                "V_init_mV = -40.0",
                'I_in_init_pA = { distribution = "uniform", low = -1e300, high = 0 }',
            )
        ],
        ("population P.I_in_init_pA", "1e+300", "binary32"),
    ),
    "change after the last step there is": (
        [("V_init_mV = -40.0", "dc = { changes = [[1.0, 3.0], [1e300, 4.0]] }")],
        ("population P.dc.changes = 1e+300", "below 2^32 steps"),
    ),
    "change of input after the last step there is": (
        [
            (
                "V_init_mV = -40.0",
                "poisson = { rate_hz = 1, weight_pA = 90, changes = [[429496729.5, 3]] }",
            )
        ],
        ("population P.poisson.changes = 429496729.5", "below 2^32 steps"),
    ),
    "expected rate above one spike per step": (
        [("V_init_mV = -40.0", "expected_rate_hz = 10001.0")],
        ("population P.expected_rate_hz = 10001.0", "<= 10000", "one spike per step"),
    ),
    "a name without end": (
        [('name = "P"', f'name = "{"P" * 10000}"')],
        ("population PPP", "name = 'PPP", "at most 100"),
    ),
    "refractory between steps": (
        [("size = 80", "size = 80\nneuron = { t_ref_ms = 0.25 }")],
        ("population E.neuron.t_ref_ms = 0.25", "multiple of dt_ms"),
    ),
    "time constant of NaN propagators": (
        [("size = 80", "size = 80\nneuron = { tau_m_ms = 1e-320 }")],
        ("population E.neuron", "underflows binary32"),
    ),
    "negative Poisson rate": (
        [
            (
                'name = "P"\nsize = 5',
                'name = "P"\nsize = 5\npoisson = { rate_hz = -1.0, weight_pA = 1 }',
            )
        ],
        ("population P.poisson.rate_hz = -1.0", ">= 0"),
    ),
    "Poisson rate beyond 31 spikes a step": (
        [
            (
                'name = "P"\nsize = 5',
                'name = "P"\nsize = 5\npoisson = { rate_hz = 1e7, weight_pA = 1 }',
            )
        ],
        ("population P.poisson", "10000000.0"),
    ),
    "empty range": (
        [("V_init_mV = -40.0", 'V_init_mV = { distribution = "uniform", low = 1, high = 1 }')],
        ("population P.V_init_mV.low = 1", "must be < high"),
    ),
    "unknown distribution": (
        [(FIRST_DELAY, '{ distribution = "gauss", mu = 1.0 }')],
        ("projection E->E.delay_ms.distribution = 'gauss'", "known"),
    ),
    "negative deviation": (
        [(FIRST_DELAY, '{ distribution = "normal", mu = 1.0, sigma = -1.0 }')],
        ("projection E->E.delay_ms.sigma = -1.0", "> 0"),
    ),
    "a population twice": ([('name = "I"', 'name = "E"')], ("population", "'E'", "differ")),
    # Synapses
    "unknown rule": ([(FIRST_RULE, '"all"')], ("projection E->E.rule.name = 'all'", "all_to_all")),
    "key of a rule without keys": (
        [(FIRST_RULE, '{ name = "all_to_all", p = 0.1 }')],
        ("projection E->E.rule.p = 0.1", "is not a key here; known: none"),
    ),
    "missing population": (
        [('source = "I"', 'source = "J"')],
        ("projection J->E.source = 'J'", "must be one of"),
    ),
    "probability above 1": (
        [("p = 0.1", "p = 1.1")],
        ("projection E->I.rule.p = 1.1", "must be in [0, 1]"),
    ),
    "negative probability": (
        [("p = 0.1", "p = -0.1")],
        ("projection E->I.rule.p = -0.1", "must be in [0, 1]"),
    ),
    "NaN probability": ([("p = 0.1", "p = nan")], ("projection E->I.rule.p = nan", "[0, 1]")),
    "negative count": (
        [("count = 400", "count = -400")],
        ("projection I->E.rule.count = -400", "integer from 0"),
    ),
    "more distinct sources than there are": (
        [(FIRST_RULE, FIRST_RULE.replace("10", "81") + "\nallow_multapses = false")],
        ("projection E->E.rule = 81", "<= 80 without multapses"),
    ),
    "one to one between different sizes": (
        [('{ name = "pairwise_bernoulli", p = 0.1 }', '"one_to_one"')],
        ("projection E->I.rule = 'one_to_one'", "equal sizes"),
    ),
    "delay beyond the buffer": (
        [("delay_ms = 0.8", "delay_ms = 6.5")],
        ("projection I->E.delay_ms", "6.5", "6.4"),
    ),
    "delay below a step": (
        [("delay_ms = 0.8", "delay_ms = 0.04")],
        ("projection I->E.delay_ms", "0.04"),
    ),
    "negative delay": ([("delay_ms = 0.8", "delay_ms = -1.0")], ("I->E.delay_ms = -1.0", "> 0")),
    "delays beyond the buffer": (
        [(FIRST_DELAY, '{ distribution = "uniform", low = 5.0, high = 9.0 }')],
        ("projection E->E.delay_ms", "6.4"),
    ),
    "weight beyond the grid": (
        [
            ("neurons_per_node = 40", "weight_grid_pA = 0.0078125"),
            ("weight_pA = -360.0", "weight_pA = -3600.0"),
        ],
        ("projection I->E.weight_pA", "3600"),
    ),
    "weight that rounds to zero": (
        [
            ("neurons_per_node = 40", "weight_grid_pA = 512.0"),
            ("weight_pA = -360.0", "weight_pA = -100.0"),
        ],
        ("weight_pA",),
    ),
    "small weight beside large ones": (
        [("weight_pA = -360.0", "weight_pA = -1e-6")],
        ("projection I->E.weight_pA", "1e-06"),
    ),
    "sum of weights beyond 24 bits": (
        [
            ("neurons_per_node = 40", "weight_grid_pA = 0.015625"),
            (FIRST_RULE, '{ name = "fixed_indegree", indegree = 4000 }'),
        ],
        ("2^24",),
    ),
    "weight beyond every grid": (
        [("weight_pA = -360.0", "weight_pA = -1e308")],
        ("projection I->E.weight_pA = 1e+308", "at most 3.77778e+22"),
    ),
    "spread of weights beyond every grid": (
        [(FIRST_WEIGHT, '{ distribution = "normal", mu = 90.0, sigma = 1e300 }')],
        ("projection E->E.weight_pA", "e+300", "at most 3.77778e+22"),
    ),
    "weights beyond every grid on a given one": (
        [
            (FIRST_WEIGHT, '{ distribution = "lognormal", mu_log = 300, sigma_log = 10 }'),
            ("neurons_per_node = 40", "weight_grid_pA = 0.5"),
        ],
        ("projection E->E.weight_pA", "at most 3.77778e+22"),
    ),
    "weight of input beyond every grid": (
        [("V_init_mV = -40.0", "poisson = { rate_hz = 1, weight_pA = 1e300 }")],
        ("population P.poisson.weight_pA = 1e+300", "at most 3.77778e+22"),
    ),
    "NaN weight": (
        [("weight_pA = -360.0", "weight_pA = nan")],
        ("projection I->E.weight_pA = nan", "finite"),
    ),
    # Edge lists
    "edge list that is not there": (
        [("[machine]", '[edges]\npath = "none.npz"\n[machine]')],
        ("none.npz", "No such file"),
    ),
    "edge list of an unknown kind": (
        [("[machine]", '[edges]\npath = "small.toml"\n[machine]')],
        ("small.toml", ".npz, .csv or .csv.gz"),
    ),
    "edge list with a null byte in its name": (
        [("[machine]", '[edges]\npath = "a\\u0000.csv"\n[machine]')],
        ("edges.path = 'a\\x00.csv'", "must be a file name"),
    ),
    "unknown representation": (
        [("[machine]", '[edges]\npath = "a.csv"\nrepresentation = "kept"\n[machine]')],
        ("edges.representation = 'kept'", "stored, fitted"),
    ),
}


def refused(outcome: Outcome, *words: str, code: int = 3) -> None:
    """Require one line on standard error that holds `words` in this order, and nothing else."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1, outcome.err
    at = 0
    for word in words:
        found = outcome.err.find(word, at)
        assert found >= 0, (word, outcome.err)
        at = found + len(word)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with small.toml, its image and a run with a checkpoint; only read."""
    folder = tmp_path_factory.mktemp("place")
    network_file(folder)
    succeed("generate", folder / "small.toml", "--out", folder / "image")
    succeed("simulate", folder / "image", "--checkpoint", "--out", folder / "run")
    return folder


@pytest.fixture
def copy(place: Path, tmp_path: Path) -> Path:
    """Return a copy of `place` to be damaged; its run is of its own image."""
    shutil.copytree(place / "image", tmp_path / "image")
    shutil.copytree(place / "run", tmp_path / "run", symlinks=True)
    (tmp_path / "run" / "image").unlink()
    (tmp_path / "run" / "image").symlink_to(tmp_path / "image")
    shutil.copy(place / "small.toml", tmp_path)
    return tmp_path


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    before = tree(folder)
    yield
    after = tree(folder)
    assert sorted(after) == sorted(before)
    assert after == before


def test_there_are_enough_cases() -> None:
    assert len(DESCRIPTIONS) >= 40


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_description(name: str, tmp_path: Path) -> None:
    changes, words = DESCRIPTIONS[name]
    path = network_file(tmp_path, *changes)
    with unchanged(tmp_path):
        outcome = csnn("run", path, "--out", tmp_path / "new" / "run")
        refused(outcome, *words)
        assert "small.toml" in outcome.err or "none.npz" in outcome.err


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("105,0,1.0,1.0", ("row 2: source = 105", "the network has 105")),
        ("0,999999999999,1.0,1.0", ("row 2: target = 999999999999", "105")),
        ("-1,0,1.0,1.0", ("row 2: source = -1", ">= 0")),
        ("0.5,0,1.0,1.0", ("row 2: source = 0.5", "integer")),
        ("0,0,nan,1.0", ("row 2: weight_pA = nan", "finite")),
        ("0,0,1.0,0.0", ("row 2: delay_ms = 0.0", "> 0")),
        ("0,0,1.0,6.5", ("row 2", "delay_ms = 6.5", "6.4")),
        ("0,0,1.0,0.04", ("row 2", "delay_ms = 0.04")),
        ("0,0,1.0,1e308", ("row 2", "delay_ms = 1e+308", "6.4")),
        ("0,0,1e308,1.0", ("row 2: weight_pA = 1e+308", "at most 3.77778e+22")),
        ("0,0,1e-9,1.0", ("weight_pA = 1e-09", "must round to 1")),
        ("0,1e300,1.0,1.0", ("row 2: target = 1e+300: must be below 105",)),
        ("0,0,x,1.0", ("row 2: weight_pA = 'x'", "number")),
        ("0,0,1.0", ("row 2", "4 values")),
    ],
)
def test_edge_list(row: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text(
        f"source,target,weight_pA,delay_ms\n1,2,100.0,1.5\n{row}\n", encoding="utf-8"
    )
    path = network_file(tmp_path, ("[machine]", '[edges]\npath = "edges.csv"\n[machine]'))
    with unchanged(tmp_path):
        refused(csnn("generate", path, "--out", tmp_path / "image"), "edges.csv", *words)


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


def _flip(path: Path, at: int = -40) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _edit(path: Path, key: str, value: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


IMAGE_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p / "node_00001.bin"), "node_00001.bin: altered"),
    "a cut node": (lambda p: os.truncate(p / "node_00001.bin", 100), "node_00001.bin: truncated"),
    "an empty node": (lambda p: os.truncate(p / "node_00001.bin", 0), "node_00001.bin: truncated"),
    "a missing node": (lambda p: (p / "node_00003.bin").unlink(), "node_00003.bin: missing"),
    "another network": (lambda p: _flip(p / "network.toml", 9), "network.toml: altered"),
    "a cut manifest": (lambda p: os.truncate(p / "manifest.json", 99), "manifest.json: cannot"),
    "an empty manifest": (lambda p: os.truncate(p / "manifest.json", 0), "manifest.json: cannot"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json: cannot"),
    "an altered manifest": (
        lambda p: _edit(p / "manifest.json", "seed", 9),
        "manifest.json: digest",
    ),
    "a later version": (
        lambda p: _edit(p / "manifest.json", "version", 2),
        "version = 2: must be 1",
    ),
    "another schema": (lambda p: _edit(p / "manifest.json", "schema", "x"), "schema must be"),
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGE)
@pytest.mark.parametrize("command", ["simulate", "export edges"])
def test_damaged_image(damage: str, command: str, copy: Path) -> None:
    spoil, words = IMAGE_DAMAGE[damage]
    spoil(copy / "image")
    with unchanged(copy):
        outcome = csnn(*command.split(), copy / "image", "--out", copy / "new.npz")
        refused(outcome, str(copy / "image"), words)


def _vouch(path: Path, **changes: object) -> None:
    """Change a manifest and give it a valid digest again; None removes a key."""
    manifest = {**json.loads(path.read_text()), **changes}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    manifest["digest"] = content_digest(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tools": "numpy 2"}, "tools = 'numpy 2': must be an object of versions"),
        ({"notes": "small"}, "notes = 'small': must be a list of strings"),
        ({"fidelity": [{"projection": "E->E"}]}, "fidelity = [{'projection': 'E->E'}]: must be"),
        ({"edge_fit": {"overall": 1}}, "edge_fit = {'overall': 1}: must be an object"),
        ({"explicit_bytes": 1.5}, "explicit_bytes = 1.5: must be an integer"),
        ({"generate_s": "long"}, "generate_s = 'long': must be a number >= 0"),
        ({"seed": 2**64}, "seed = 18446744073709551616: must be an integer"),
        ({"weight_grid_pA": 0.5}, "header: grid_exponent = "),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "export edges"])
def test_image_that_vouches_for_itself_is_checked(
    changes: dict[str, object], words: str, command: str, copy: Path
) -> None:
    _vouch(copy / "image" / "manifest.json", **changes)
    with unchanged(copy):
        outcome = csnn(*command.split(), copy / "image", "--out", copy / "new.npz")
        refused(outcome, f"{copy}/image/", words)


def test_image_with_the_description_of_another_is_refused(copy: Path) -> None:
    description = copy / "image" / "network.toml"
    manifest = copy / "image" / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    text, n_changes = re.subn(r'(name += "P"\nsize += )5', r"\g<1>6", description.read_text())
    assert n_changes == 1
    description.write_text(text)
    entry = {"bytes": description.stat().st_size, "sha256": sha256(description)}
    _vouch(manifest, files={**files, "network.toml": entry})
    outcome = csnn("simulate", copy / "image", "--record", "0", "--out", copy / "new")
    refused(outcome, str(description), "populations", "must be those of the manifest")
    del files["network.toml"]
    _vouch(manifest, files=files)
    outcome = csnn("simulate", copy / "image", "--out", copy / "new")
    refused(outcome, str(manifest), "must list network.toml")
    assert not (copy / "new").exists()


RUN_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p / "spikes.npz", 200), "spikes.npz: altered"),
    "cut spikes": (lambda p: os.truncate(p / "spikes.npz", 100), "spikes.npz: altered"),
    "no spikes": (lambda p: (p / "spikes.npz").unlink(), "spikes.npz: No such file"),
    "an altered result": (
        lambda p: _edit(p / "result.json", "warmup_ms", 0),
        "result.json: altered",
    ),
    "an altered manifest": (
        lambda p: _edit(p / "manifest.json", "image", 0),
        "manifest.json: digest",
    ),
    "a later version": (
        lambda p: _edit(p / "manifest.json", "version", 2),
        "version = 2: must be 1",
    ),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json: cannot be read"),
    "no image": (lambda p: (p / "image").unlink(), "image/manifest.json: cannot be read"),
}


@pytest.mark.parametrize("damage", RUN_DAMAGE)
@pytest.mark.parametrize("command", ["validate", "report"])
def test_damaged_run(damage: str, command: str, copy: Path) -> None:
    spoil, words = RUN_DAMAGE[damage]
    spoil(copy / "run")
    with unchanged(copy):
        refused(csnn(command, copy / "run"), str(copy / "run"), words)


def test_spikes_that_vouch_for_themselves_are_checked(copy: Path) -> None:
    image = open_image(copy / "image")
    for step, source, words in (
        ([300], [105], "neuron"),
        ([300, 300], [1], "equally long"),
        ([200], [1], "spikes.npz: step = 200: must be from 201 to 800, the steps of the run"),
        ([300, 801], [1, 1], "spikes.npz: step = 801: must be from 201 to 800"),
        ([-1], [1], "lists of numbers"),
    ):
        np.savez(copy / "run" / "spikes.npz", step=np.array(step), source=np.array(source))
        if min(step) > 0:
            arrays = {"step": np.array(step, np.uint32), "source": np.array(source, np.uint32)}
            np.savez(copy / "run" / "spikes.npz", **arrays)
        output.write_manifest(copy / "run", image)
        refused(csnn("validate", copy / "run"), words)
    (copy / "run" / "spikes.npz").write_bytes(b"PK\x03\x04 no archive")
    output.write_manifest(copy / "run", image)
    refused(csnn("validate", copy / "run"), "spikes.npz", "cannot be read")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warmup_ms": "20"}, "warmup_ms = '20': must be a number >= 0"),
        ({"warmup_ms": 0.05}, "run.warmup_ms = 0.05: must be a multiple"),
        ({"last_step": -1}, "last_step = -1: must be an integer >= 0"),
        ({"last_step": 200}, "must be from 201 to 200"),
        ({"time_ms": None}, "time_ms = None: must be a number > 0"),
        ({"record": "all"}, "record = 'all': must be a list of integers"),
        ({"timings": {"load_s": "x"}}, "timings = {'load_s': 'x'}: must be an object of numbers"),
        ({"image": {"bytes": "x"}}, "image = {'bytes': 'x'}: must be an object that holds bytes"),
        ({"fidelity": [3]}, "fidelity = [3]: must be a list of the errors"),
        ({"command": ["csnn"]}, "command = ['csnn']: must be a string or null"),
        ({"complete": 1}, "complete = 1: must be true or false"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "report", "simulate"])
def test_result_that_vouches_for_itself_is_checked(
    changes: dict[str, object], words: str, command: str, copy: Path
) -> None:
    path = copy / "run" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    output.write_manifest(copy / "run", open_image(copy / "image"))
    arguments = [command, copy / "run"]
    if command == "simulate":
        arguments = [command, copy / "image", "--resume", "--out", copy / "run"]
        words = words if "must be from" not in words else "belong to different runs"
    with unchanged(copy):
        refused(csnn(*arguments), words)


@pytest.mark.parametrize("name", ["step", "neuron", "V_mV", "words"])
def test_traces_that_vouch_for_themselves_are_checked(name: str, copy: Path) -> None:
    traced = ("--record", "0,1", "--checkpoint", "--out", copy / "run")
    succeed("simulate", copy / "image", *traced)
    path = copy / "run" / "traces.npz"
    with np.load(path) as data:
        arrays = dict(data)
    resume = ("simulate", copy / "image", "--resume", "--time-ms", "70", "--out", copy / "run")
    for changed in (arrays[name][:1], arrays[name].astype(np.float32), arrays[name][..., None]):
        np.savez(path, **{**arrays, name: changed})
        output.write_manifest(copy / "run", open_image(copy / "image"))
        with unchanged(copy):
            refused(csnn(*resume), "traces.npz: ", "is of another shape or type")
    np.savez(path, **{**arrays, "neuron": arrays["neuron"] + np.uint32(1)})
    output.write_manifest(copy / "run", open_image(copy / "image"))
    refused(csnn(*resume), "traces.npz: neuron: holds other neurons")


@pytest.mark.parametrize("command", ["validate", "report", "simulate"])
def test_spikes_out_of_order(command: str, copy: Path) -> None:
    path = copy / "run" / "spikes.npz"
    with np.load(path) as data:
        step, source = data["step"], data["source"]
    assert len(step) > 2
    np.savez(path, step=step, source=source)
    output.write_manifest(copy / "run", open_image(copy / "image"))
    resume = ("simulate", copy / "image", "--resume", "--time-ms", "70", "--out", copy / "run")
    arguments = resume if command == "simulate" else (command, copy / "run")
    for places in (slice(None, None, -1), [0, *range(len(step))]):
        np.savez(path, step=step[places], source=source[places])
        output.write_manifest(copy / "run", open_image(copy / "image"))
        with unchanged(copy):
            refused(csnn(*arguments), "spikes.npz: must ascend in step and source")


@pytest.mark.parametrize("name", ["manifest.json", "result.json", "spikes.npz"])
def test_pipes_in_place_of_files_do_not_hang(name: str, copy: Path) -> None:
    (copy / "run" / name).unlink()
    os.mkfifo(copy / "run" / name)
    refused(csnn("report", copy / "run"), f"{name}: is not a regular file")
    (copy / "image" / "manifest.json").unlink()
    os.mkfifo(copy / "image" / "manifest.json")
    refused(csnn("simulate", copy / "image", "--out", copy / "new"), "is not a regular file")


def test_a_run_of_another_image_is_not_judged_by_this_one(copy: Path) -> None:
    shutil.rmtree(copy / "image")
    succeed("generate", copy / "small.toml", "--seed", "8", "--out", copy / "image")
    refused(csnn("validate", copy / "run"), "is another image than the one that was simulated")
    outcome = csnn("simulate", copy / "image", "--resume", "--out", copy / "run")
    refused(outcome, "is a run of another image")


CHECKPOINT_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda p: _flip(p, 400), "checkpoint.npz: altered"),
    "a cut one": (lambda p: os.truncate(p, 300), "checkpoint.npz: altered"),
    "none": (lambda p: p.unlink(), "checkpoint.npz: No such file"),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGE)
def test_damaged_checkpoint(damage: str, copy: Path) -> None:
    spoil, words = CHECKPOINT_DAMAGE[damage]
    spoil(copy / "run" / "checkpoint.npz")
    with unchanged(copy):
        refused(csnn("simulate", copy / "image", "--resume", "--out", copy / "run"), words)


def test_checkpoint_of_another_image(copy: Path) -> None:
    succeed("generate", copy / "small.toml", "--seed", "8", "--out", copy / "other")
    succeed("simulate", copy / "other", "--checkpoint", "--out", copy / "foreign")
    shutil.copy(copy / "foreign" / "checkpoint.npz", copy / "run")
    output.write_manifest(copy / "run", open_image(copy / "image"))
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--resume", "--out", copy / "run")
        refused(outcome, "checkpoint.npz", "belongs to another image")


@pytest.mark.parametrize("command", ["run", "generate", "simulate"])
@pytest.mark.parametrize("holds", ["a file", "a foreign manifest"])
def test_foreign_directory(command: str, holds: str, copy: Path) -> None:
    foreign = copy / "foreign"
    foreign.mkdir()
    name = "thesis.tex" if holds == "a file" else "manifest.json"
    (foreign / name).write_text('{"schema": "photos"}')
    with unchanged(copy):
        what = copy / ("image" if command == "simulate" else "small.toml")
        refused(csnn(command, what, "--out", foreign), str(foreign), "was not written by csnn")


def test_a_directory_with_an_image_of_its_own_takes_no_other(copy: Path) -> None:
    succeed("run", copy / "small.toml", "--seed", "5", "--out", copy / "own")
    with unchanged(copy):
        outcome = csnn("simulate", copy / "image", "--out", copy / "own")
        refused(outcome, f"{copy}/own/image: exists and is not {copy}/image")


# Disks that fill up


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100, 3000])
@pytest.mark.parametrize(
    "line",
    [
        "generate {}/small.toml --out {}/new",
        "generate {}/small.toml --seed 9 --out {}/image",
        "run {}/small.toml --out {}/new",
        "simulate {}/image --out {}/new",
        "simulate {}/image --record 0-9 --time-ms 50 --out {}/run",
        "simulate {}/image --resume --time-ms 90 --out {}/run",
        "report {}/run",
        "export edges {}/image --out {}/new.csv",
        "export edges {}/image --out {}/new.csv.gz",
        "export edges {}/image --out {}/new.npz",
    ],
)
def test_a_disk_that_fills_up(line: str, size: int, copy: Path) -> None:
    with unchanged(copy), files_up_to(size):
        outcome = csnn(*(part.replace("{}", str(copy)) for part in line.split()))
    refused(outcome, str(copy), "File too large")


@pytest.mark.parametrize("name", ["result.json", "spikes.npz", "traces.npz", "checkpoint.npz"])
def test_a_disk_that_is_full_at_the_end(
    name: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.fsync

    def fsync(descriptor: int) -> None:
        if name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        before(descriptor)

    options = ("--record", "0", "--checkpoint", "--time-ms", "30")
    monkeypatch.setattr(os, "fsync", fsync)
    for out in ("new", "run"):
        with unchanged(copy):
            outcome = csnn("simulate", copy / "image", *options, "--out", copy / out)
            refused(outcome, f"{copy / out}/{name}: No space left on device")


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
