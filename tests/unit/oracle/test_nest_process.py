"""What the NEST runner does before and around NEST; none of this needs NEST."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csnn.errors import InvalidInputError, ToolFailedError, ToolMissingError
from csnn.oracle import _nest_process, nest
from csnn.oracle.experiment import Edges, Experiment
from csnn.spec.brunel import brunel
from csnn.spec.distributions import Constant
from csnn.spec.network import (
    AllToAll,
    EdgeList,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    PairwiseBernoulli,
    Population,
    Projection,
)
from csnn.spec.pd14 import pd14

EXPERIMENT = Experiment(neurons=((LifNeuron(), 2),), steps=3, edges=Edges.none())


def test_missing_nest_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not nest.is_installed()
    with pytest.raises(ToolMissingError, match=r"csnn\[nest\]"):
        nest.run_explicit(EXPERIMENT)


@pytest.mark.parametrize("script", ["exit 3", "cat >/dev/null; echo out of memory >&2; exit 3"])
def test_a_process_that_dies_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(_nest_process, "is_installed", lambda: True)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ToolFailedError, match="exit code 3") as caught:
        nest.run_explicit(EXPERIMENT)
    assert "\n" not in str(caught.value)
    assert ("out of memory" in str(caught.value)) == ("out of memory" in script)


def test_threads_suffice_for_the_synapses() -> None:
    assert nest.local_threads(pd14(n_scale=0.1, k_scale=0.1), 2) == 2
    # 299 million synapses, at most 134 million to a thread.
    assert [nest.local_threads(pd14(), threads) for threads in (1, 2, 3, 4, 8)] == [3, 4, 3, 4, 8]


def test_expected_synapses_of_every_rule() -> None:
    populations = (Population(name="A", size=10), Population(name="B", size=10))
    network = Network(name="n", populations=populations)
    rules = {
        FixedTotalNumber(count=7): 7,
        FixedOutdegree(outdegree=3): 30,
        PairwiseBernoulli(p=0.25): 25,
        AllToAll(): 100,
        OneToOne(): 10,
    }
    for rule, expected in rules.items():
        projection = Projection(
            source="A",
            target="B",
            rule=rule,
            weight=Constant(value=1.0),
            delay_ms=Constant(value=1.0),
        )
        assert nest.expected_synapses(network, projection) == expected
    small = brunel(order=10)
    assert sum(nest.expected_synapses(small, p) for p in small.projections) == 50 * (4 + 1)


def test_input_events_are_sorted_by_neuron_and_step() -> None:
    dense = np.zeros((3, 2))
    dense[2, 0], dense[0, 1] = 5.0, 6.0
    experiment = replace(
        EXPERIMENT,
        I_in_init_pA=np.array([-1.0, 0.0]),
        external_ex_pA=dense,
        external_in_pA=lambda step: np.array([-2.0 * (step == 3), -3.0]),
    )
    neuron, step, weight = nest._external_events(experiment)
    rows = sorted(zip(neuron.tolist(), step.tolist(), weight.tolist(), strict=True))
    assert rows == [
        (0, 0, -1.0),
        (0, 3, -2.0),
        (0, 3, 5.0),
        (1, 1, -3.0),
        (1, 1, 6.0),
        (1, 2, -3.0),
        (1, 3, -3.0),
    ]
    keys = list(zip(neuron.tolist(), step.tolist(), strict=True))
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 0), ("time_ms", 0.0), ("warmup_ms", -1.0), ("threads", 0)]
)
def test_bad_run_arguments_are_refused(field: str, value: float) -> None:
    arguments = {"time_ms": 10.0, "seed": 1, field: value}
    with pytest.raises(InvalidInputError, match=field):
        nest.run_network(brunel(order=10), **arguments)


def test_what_nest_cannot_build_is_refused() -> None:
    network = pd14(n_scale=0.01, k_scale=0.01)
    projection = replace(network.projections[0], allow_multapses=False)
    with pytest.raises(InvalidInputError, match="without multapses"):
        nest.run_network(replace(network, projections=(projection,)), time_ms=1.0, seed=1)
    with pytest.raises(InvalidInputError, match=r"edges\.csv"):
        nest.run_network(replace(network, edges=EdgeList(path="edges.csv")), time_ms=1.0, seed=1)
