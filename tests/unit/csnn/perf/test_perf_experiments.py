"""Experiments on the model, and the fit of links."""

from __future__ import annotations

import re

import pytest
from perf_machines import machine

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
from csnn.perf.parameters import Wires
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


def test_fit_is_on_the_longest_echo() -> None:
    """Not on the mean: frames that are late at random put the two apart."""
    topology = mesh_topology(MESH)
    late = machine(wires=Wires(jitter_ns=100.0))
    echo = measure_echo(with_latency(late, fit_latency(late, topology, 9.0)), topology)
    assert echo.most_us == pytest.approx(9.0, abs=0.005)
    assert echo.mean_us < 8.95


@pytest.mark.parametrize("round_trip_us", [0.5, 18.0])
def test_fit_refuses_what_no_latency_gives(round_trip_us: float) -> None:
    """Two hops cannot take 18 us, since frames would be sent again; nor as little as 0.5 us."""
    topology = mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=8))
    told = rf"round_trip_us = {round_trip_us}: cannot be reached: the longest echo of 8 nodes, 2 "
    with pytest.raises(InvalidInputError, match=told) as raised:
        fit_latency(machine(), topology, round_trip_us)
    ends = re.search(r"takes ([\d.]+) to ([\d.]+) us .* 0 to (\d+) ns$", str(raised.value))
    assert ends is not None
    least, most, longest_ns = map(float, ends.groups())
    assert 0.5 < least < 1.0 < most < 18.0
    assert longest_ns == pytest.approx(machine().longest_latency_ns, abs=1)
    # What is said to be possible is.
    for possible_us in (least, most):
        assert 0 <= fit_latency(machine(), topology, possible_us) <= longest_ns + 1


def test_inc_3000_is_the_papers() -> None:
    topology = mesh_topology(inc_3000())
    assert topology.places == 432
    assert len(topology.nodes) == 305
    assert topology.diameter == 8
