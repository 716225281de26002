"""Bad descriptions and edge lists: one line naming place, value and rule, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import csnn, network_file, refused, unchanged

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
