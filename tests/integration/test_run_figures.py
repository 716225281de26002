"""What a run's files say, computed again from others: traces, rates, events, times, bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import spikes, succeed

from csnn import output, run
from csnn.image.store import Image, open_image
from csnn.oracle import exact
from csnn.run import run_simulation
from csnn.simulator import session
from csnn.spec.machine import Run
from csnn.spec.network import FixedIndegree, LifNeuron
from csnn.validation.explicit import edges_of, experiment_of

# Traces


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return an image of populations that differ in rest, reset and synaptic time constants."""
    neurons = {
        "A": LifNeuron(t_ref_ms=0.5, tau_syn_in_ms=1.5),
        "B": LifNeuron(t_ref_ms=0.5, E_L_mV=-72.0, V_reset_mV=-70.0, tau_syn_ex_ms=0.8),
        "I": LifNeuron(t_ref_ms=0.5, E_L_mV=-61.0, V_reset_mV=-66.0, tau_syn_in_ms=2.0),
    }
    network = networks.network(
        *(networks.projection("A", target, FixedIndegree(indegree=9)) for target in neurons),
        *(networks.projection("I", target, FixedIndegree(indegree=5)) for target in neurons),
        populations=tuple(
            networks.population(name, size, neuron=neurons[name])
            for name, size in (("A", 31), ("B", 20), ("I", 12))
        ),
    )
    folder = tmp_path_factory.mktemp("unlike")
    return networks.image(network, folder / "image", random_delay_buffer=True)


@pytest.mark.parametrize("warmup_ms", [0.0, 5.0])
def test_traces_are_those_of_the_exact_solution(
    unlike: Image, tmp_path: Path, warmup_ms: float
) -> None:
    # All populations and nodes; neither in ascending order nor each once.
    record = (60, 3, 31, 50, 3, 23, 0)
    options = Run(time_ms=25.0 - warmup_ms, warmup_ms=warmup_ms, record=record)
    with output.prepared(tmp_path / "run") as directory:
        run_simulation(unlike, options, directory)
    expected = exact.simulate(experiment_of(unlike, 250, record=record))
    first = round(warmup_ms / unlike.dt_ms) + 1
    late = expected.step >= first
    step, source = spikes(directory)
    # Only as long as the same neurons spike are there states to compare.
    assert step.tolist() == expected.step[late].tolist()
    assert source.tolist() == expected.source[late].tolist()
    with np.load(directory / "traces.npz") as file:
        traces = dict(file)
    assert traces["neuron"].tolist() == list(record)
    assert traces["step"].tolist() == list(range(first, 251))
    near = {"rtol": 1e-5, "atol": 1e-3}
    for name in ("V_mV", "I_ex_pA", "I_in_pA"):
        theirs = getattr(expected, name)
        np.testing.assert_allclose(traces[name], theirs[first - 1 :], **near, err_msg=name)
        # Every neuron has signals of its own, so that none can stand for another.
        distance = np.abs(theirs[:, :, None] - theirs[:, None, :]).max(axis=0)
        alike = [[a == b for b in record] for a in record]
        assert np.array_equal(distance < 1.0, alike), name
    # What enters a current is what it does not keep from the step before.
    neurons = [n for n, size in experiment_of(unlike, 1).neurons for _ in range(size)]
    for kind in ("ex", "in"):
        tau = np.array([getattr(neurons[n], f"tau_syn_{kind}_ms") for n in record])
        current = getattr(expected, f"I_{kind}_pA")
        entered = current[first:] - np.exp(-unlike.dt_ms / tau) * current[first - 1 : -1]
        np.testing.assert_allclose(traces[f"input_{kind}_pA"][1:], entered, **near, err_msg=kind)
        assert np.abs(entered).max(axis=0).min() > 50.0


# result.json


def test_rates_are_those_of_the_spikes(finished: Path) -> None:
    result = output.read_result(finished)
    _, source = spikes(finished)
    # Sizes 80, 20 and 5; 60 ms after the warm-up.
    bounds = {"E": (0, 80), "I": (80, 100), "P": (100, 105)}
    expected = {
        name: np.count_nonzero((source >= first) & (source < stop)) / ((stop - first) * 0.06)
        for name, (first, stop) in bounds.items()
    }
    assert result["mean_rates_hz"] == pytest.approx(expected, rel=1e-12)
    assert expected["E"] > 0 < expected["I"]
    assert result["spikes"] == len(source)


def test_rates_of_populations_of_unlike_sizes() -> None:
    source = np.array([0, 1, 1, 2, 3, 3, 3], dtype=np.uint32)
    sizes = [("A", 2), ("none", 1), ("B", 4)]
    rates = session.mean_rates_hz(source, sizes, 0.5)
    assert rates == {"A": 3.0, "none": 2.0, "B": 1.5}
    assert session.mean_rates_hz(source, sizes, 0.0) == dict.fromkeys(rates, 0.0)


def test_costs_in_the_result_follow_from_spikes_image_and_times(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(*arguments: Any, **options: Any) -> session.Session:
        done = session.simulate(*arguments, **options)
        return dataclasses.replace(done, load_s=3.0, warmup_s=0.5, simulate_s=0.25)

    monkeypatch.setattr(run, "simulate", timed)
    monkeypatch.setattr(run, "peak_mb", lambda: 123.44)
    monkeypatch.setattr("csnn.result.peak_mb", lambda: 23.44)
    result = succeed("simulate", image, "--out", tmp_path / "run", "--json").json
    machine = open_image(image)
    edges = edges_of(machine)
    _, source = spikes(tmp_path / "run")
    # Every synapse of every recorded spike is an event.
    events = int(np.bincount(edges.source, minlength=machine.n_neurons)[source].sum())
    assert result["events"] == events > len(source) > 0
    assert result["events_per_s"] == events / 0.25
    assert result["rtf"] == pytest.approx(0.25 / 0.06, rel=1e-12)
    assert result["timings"] == {"load_s": 3.0, "warmup_s": 0.5, "simulate_s": 0.25}
    assert result["peak_mb"] == 123.4
    assert (result["neurons"], result["nodes"]) == (105, len(machine.nodes))
    assert result["synapses"] == edges.size
    node_files = sorted(image.glob("node_*.bin"))
    assert len(node_files) == len(machine.nodes)
    size = result["image"]
    assert size["bytes"] == sum(path.stat().st_size for path in node_files)
    assert size["explicit_bytes"] == edges.size * 46 // 8 != size["bytes"]
