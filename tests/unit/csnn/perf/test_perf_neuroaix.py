"""The step model of neuroAIx, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.perf.neuroaix import (
    MEASURED_NS,
    NeuroAix,
    mean_step_ns,
    neuroaix_step_ns,
    sensitivities,
)

NEURONS = 77_169
NONE = np.zeros(0, np.int64)
DEGREE = np.full(NEURONS, 3873.0)
# Of 221 neurons to a core, in a pipeline of 30 stages.
CALCULATION_NS = 251 / 0.189393
SILENT_NS = 4306.29


def test_parameters_are_those_published() -> None:
    assert MEASURED_NS == 4894.5
    assert asdict(NeuroAix()) == {
        "rows": 5,
        "columns": 7,
        "cores": 10,
        "depth": 30,
        "neuron_mhz": 189.393,
        "router_ns": 43.0,
        "crossing_ns": 60.0,
        "dispatcher_ns": 880.0,
        "transceiver_ns": 600.0,
        "extra_hop_ns": 309.0,
        "cable_ns": 17.0,
        "link_gbps": 5.82,
        "flit_bits": 128,
        "memory_bytes_per_ns": 24.24,
        "bytes_per_synapse": 8,
        "fetch_bytes": 64,
    }


def test_a_silent_step_is_the_sum_of_its_stages() -> None:
    silent, parts = neuroaix_step_ns(NeuroAix(), NONE, NEURONS, DEGREE)
    assert silent == pytest.approx(SILENT_NS, abs=0.01)
    # Two dimensions of a router and a hop each, a router at the end, clocks crossed twice.
    network = 2 * (43 + 600 + 17 + 309) + 43 + 2 * 60
    assert parts == pytest.approx(
        {"neurons": CALCULATION_NS, "network": network, "dispatcher": 880.0}
    )
    one, _ = neuroaix_step_ns(NeuroAix(), np.array([5]), NEURONS, DEGREE)
    assert one == silent


def test_a_spike_goes_through_every_stage() -> None:
    """One of neuron 0 with so many synapses that their memory is what the step waits for."""
    degree = np.full(NEURONS, 350_000.0)
    found, parts = neuroaix_step_ns(NeuroAix(), np.array([0]), NEURONS, degree)
    hop, flit = 43 + 128 / 5.82 + 600 + 17 + 309, 10_000 * 8 / 24.24
    expected = 30 / 0.189393 + 60 + 2 * hop + 43 + 60 + flit + 880
    assert found == pytest.approx(expected)
    assert parts["queues"] == pytest.approx(expected - SILENT_NS, abs=0.01)


def test_spikes_wait_for_each_other() -> None:
    cluster, spikes = NeuroAix(), np.arange(0, NEURONS, 300)
    many, _ = neuroaix_step_ns(cluster, spikes, NEURONS, DEGREE)
    # Every node fetches every row: 258 rows of 896 bytes.
    assert many > len(spikes) * 896 / cluster.memory_bytes_per_ns
    slower = replace(cluster, memory_bytes_per_ns=10.0)
    assert neuroaix_step_ns(slower, spikes, NEURONS, DEGREE)[0] > 2 * many


def test_the_mean_is_over_the_steps() -> None:
    spikes = np.arange(0, NEURONS, 300)
    many, _ = neuroaix_step_ns(NeuroAix(), spikes, NEURONS, DEGREE)
    mean = mean_step_ns(NeuroAix(), [NONE, spikes, NONE], NEURONS, DEGREE)
    assert mean == pytest.approx((2 * SILENT_NS + many) / 3, abs=0.01)


def test_sensitivities_are_of_ten_per_cent_more() -> None:
    found = sensitivities(NeuroAix(), [NONE, NONE], NEURONS, DEGREE)
    more_ns = {
        "neuron_mhz": CALCULATION_NS * (1 / 1.1 - 1),
        "router_ns": 3 * 4.3,
        "crossing_ns": 2 * 6.0,
        "dispatcher_ns": 88.0,
        "transceiver_ns": 2 * 60.0,
        "extra_hop_ns": 2 * 30.9,
        "cable_ns": 2 * 1.7,
        "link_gbps": 0.0,
        "memory_bytes_per_ns": 0.0,
    }
    silent = {name: value / SILENT_NS for name, value in more_ns.items()}
    assert found == pytest.approx(silent, abs=1e-6)
    loud = sensitivities(NeuroAix(), [np.arange(0, NEURONS, 300)], NEURONS, DEGREE)
    # Rows queue for the memory: its rate is then nearly all that counts.
    assert -0.09 < loud["memory_bytes_per_ns"] < -0.06
    assert loud["link_gbps"] < 0


def test_parameters_are_checked() -> None:
    with pytest.raises(InvalidInputError, match=r"neuroaix\.link_gbps = 0: must be"):
        NeuroAix(link_gbps=0)
