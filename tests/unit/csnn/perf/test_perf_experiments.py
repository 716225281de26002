"""Experiments, fits and other machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from perf_machines import machine, random_workload

from csnn.errors import InvalidInputError
from csnn.hardware.mesh import Mesh
from csnn.perf.experiments import (
    fit_latency,
    inc_3000,
    measure_echo,
    measure_hop,
    sweep_echo,
    with_latency,
)
from csnn.perf.neuroaix import NeuroAix, neuroaix_step_ns
from csnn.perf.paper import VARIANTS, changes, predict
from csnn.perf.topology import mesh_topology

MESH = Mesh(shape=(5, 5, 1), n_nodes=24)


def test_echo_grows_with_the_hops() -> None:
    echoes = sweep_echo(machine(), MESH, (1, 4, 12, 24))
    assert [echo.hops for echo in echoes] == [1, 1, 2, 4]
    assert [echo.nodes for echo in echoes] == [1, 4, 12, 24]
    times = [echo.mean_us for echo in echoes]
    assert times == sorted(times)
    assert times[-1] - times[1] > 2 * 3 * 0.8


def test_a_hop_is_latency_and_routers() -> None:
    # 0.8 us on the link; send, receive and route take 11 and 9 cycles of 10 ns, and half of one.
    assert measure_hop(machine()) == pytest.approx(800 + 90 + 5, abs=25)


def test_fit_finds_the_latency_that_was_there() -> None:
    topology = mesh_topology(MESH)
    hidden = with_latency(machine(), 617.0)
    found = fit_latency(machine(), topology, measure_echo(hidden, topology).most_us)
    assert found == pytest.approx(617.0, abs=3.0)


def test_inc_3000_is_the_papers() -> None:
    topology = mesh_topology(inc_3000())
    assert topology.places == 432
    assert len(topology.nodes) == 305
    assert topology.diameter == 8


def test_predictions_are_fitted_on_the_echo_alone() -> None:
    topology = mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=8))
    # 18 us on two hops: links of 4 us, which a larger window must bear.
    link = replace(machine().wires.config, timeout=4096)
    slow = replace(machine(), wires=replace(machine().wires, config=link))
    work = random_workload(8, 12, 1.0)
    found = [predict(slow, topology, work, variant) for variant in VARIANTS]
    assert found[0].mean < found[1].mean <= found[3].mean
    for prediction in found:
        assert prediction.latency_ns == pytest.approx(found[0].latency_ns, abs=10)
        assert prediction.mean > 18 * 150
        assert prediction.worst_over_mean >= 1
    assert len(dict(changes(slow))) == 4


def test_neuroaix_adds_up_and_queues() -> None:
    cluster, degree = NeuroAix(), np.full(70_000, 3500.0)
    none = np.zeros(0, np.int64)
    silent, parts = neuroaix_step_ns(cluster, none, 70_000, degree)
    assert silent == pytest.approx(sum(parts.values()))
    one, _ = neuroaix_step_ns(cluster, np.array([5]), 70_000, degree)
    assert one == silent
    many, _ = neuroaix_step_ns(cluster, np.arange(0, 70_000, 300), 70_000, degree)
    # Every node fetches every row: 233 rows of 832 bytes.
    assert many > 233 * 832 / cluster.memory_bytes_per_ns
    slower = replace(cluster, memory_bytes_per_ns=10.0)
    assert neuroaix_step_ns(slower, np.arange(0, 70_000, 300), 70_000, degree)[0] > 2 * many


def test_neuroaix_parameters_are_checked() -> None:
    with pytest.raises(InvalidInputError, match=r"neuroaix\.link_gbps = 0: must be"):
        NeuroAix(link_gbps=0)
