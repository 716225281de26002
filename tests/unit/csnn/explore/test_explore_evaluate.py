"""Designs: what is faster, what fits, which of them are best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.explore.design import Design
from csnn.explore.evaluate import Network, Point, evaluate, fill, measure_room
from csnn.explore.sweeps import balanced, boards, candidates, front, ideals, near_front
from csnn.hardware.config import NodeConfig
from csnn.perf.rows import row_words
from csnn.perf.topology import make_topology
from csnn.perf.workload import Workload

NODES, SIZE, STEPS = 26, 200, 12


@pytest.fixture(scope="module")
def network() -> Network:
    """5,200 neurons, of which the last half gets three times as many synapses."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.4, size=(STEPS, NODES))
    local = [np.sort(rng.choice(SIZE, n, replace=False)) for n in counts.ravel()]
    node = np.tile(np.arange(NODES), STEPS)
    lengths = rng.poisson(10, size=(1, NODES * SIZE, NODES))
    lengths[:, :, NODES // 2 :] *= 3
    work = Workload(
        steps=STEPS,
        sizes=np.full(NODES, SIZE, np.int64),
        source=np.concatenate([n * SIZE + k for n, k in zip(node, local, strict=True)]),
        local=np.concatenate(local),
        first=np.concatenate([[0], np.cumsum(counts.ravel())]).astype(np.int64),
        rows=row_words(lengths),
    )
    return Network(
        work=work,
        sample=lengths[0, :500],
        config=NodeConfig(rows=NODES * SIZE),
        sources=NODES * SIZE,
        dt_ms=0.1,
    )


def test_a_design_as_generated_is_the_machine_of_the_model(network: Network) -> None:
    point = evaluate(network, Design())
    assert (point.room.nodes, point.room.devices, point.room.largest) == (NODES, NODES + 1, SIZE)
    assert point.room.fits
    assert point.summary.hops == 3
    assert 0.03 < point.real_time_factor < 0.2
    assert point.speed_limit == "synchronisation through the network"
    assert sum(point.summary.parts.values()) == pytest.approx(point.summary.mean)


def test_less_of_a_cost_is_never_slower(network: Network) -> None:
    factors = {
        name: evaluate(network, design).real_time_factor
        for name, design in ideals(Design()).items()
    }
    base = factors.pop("as it is")
    assert all(factor < base * 1.02 for factor in factors.values())
    assert factors["links without latency"] < 0.6 * base
    assert evaluate(network, Design(), spikes=False).real_time_factor < base


def test_unrolling_is_divided_by_lanes_and_balance(network: Network) -> None:
    """On one chip nothing else takes long."""
    large = fill(network, Design(
        chip="xcvu37p", neurons=1040, partition="equal", pipelines=4, rows="outside",
        app_mhz=250.0, link_gbps=25.0,
    ))  # fmt: skip
    one = evaluate(network, large)
    assert one.room.devices == 1
    assert one.summary.limit == "unrolling of rows"
    lanes = evaluate(network, replace(large, lanes=4))
    assert lanes.summary.parts["unroll"] < 0.5 * one.summary.parts["unroll"]
    even = evaluate(network, balanced(large))
    assert even.summary.parts["unroll"] < 0.9 * one.summary.parts["unroll"]
    assert even.room.largest > one.room.largest


def test_slow_memory_outside_holds_the_machine_up(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = Design(rows="outside")
    before = evaluate(network, design)
    assert before.outside_share < 1
    monkeypatch.setattr("csnn.explore.evaluate.OUTSIDE_RATE", 0.25 * before.outside_share)
    after = evaluate(network, design)
    assert after.outside_share == pytest.approx(2.0)
    assert after.real_time_factor == pytest.approx(2 * before.real_time_factor)
    assert after.speed_limit == "rate of DDR3"


def test_what_does_not_fit_is_told(network: Network) -> None:
    many = replace(Design(), board="direct")
    assert measure_room(network, many).limit == "links"
    assert not measure_room(network, many).fits
    small = Design(chip="lfe5u-85f", neurons=256, partition="equal", pipelines=16)
    assert not measure_room(network, small).fits
    assert measure_room(network, small).limit in ("look-up tables", "registers", "multipliers")


def test_a_device_is_filled_as_far_as_it_goes(network: Network) -> None:
    design = fill(network, Design(neurons=64, partition="equal", pipelines=2))
    assert 1 < design.nodes_per_chip < 82
    assert measure_room(network, design).fits
    more = replace(design, nodes_per_chip=design.nodes_per_chip + 1)
    assert not measure_room(network, more).fits


def test_candidates_fit_and_their_front_is_not_beaten(network: Network) -> None:
    short = network.steps(4)
    designs = list(candidates(network, ["xc7z045"]))
    assert len(set(designs)) == len(designs) > 20
    assert all(measure_room(network, design).fits for design in designs)
    points = [evaluate(short, design) for design in designs[::7]]
    best = front(points)
    for point in points:
        assert any(
            other.room.devices <= point.room.devices
            and other.real_time_factor <= point.real_time_factor
            for other in best
        )
    factors = [point.real_time_factor for point in best]
    assert factors == sorted(factors, reverse=True)
    near = near_front(points, 1.0)
    assert {id(point) for point in best} <= {id(point) for point in near}
    assert len(near) < len(points)


def test_boards_have_the_links_of_their_topologies(network: Network) -> None:
    def degree(design: Design) -> int:
        point: Point = evaluate(network.steps(2), design)
        return round(point.room.shares["links"] * design.device.links)

    found = {(design.board, design.arity): degree(design) for design in boards(Design())}
    assert found["ring", 6] == 2
    assert found["mesh", 6] == 6
    assert found["tree", 3] == 4
    assert found["direct", 6] == make_topology("direct", NODES).degree == NODES


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chip": "xc2c64"}, r"design\.chip = .*xc2c64"),
        ({"lanes": 4, "pipelines": 2}, r"design\.lanes = 4: must be at most 2"),
        ({"neurons": 64}, r"design\.partition = .*: goes with neurons = 0"),
        ({"partition": "equal"}, r"design\.partition"),
        ({"nodes_per_chip": 0}, r"design\.nodes_per_chip = 0"),
    ],
)
def test_designs_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Design(**values)  # type: ignore[arg-type]


def test_nodes_larger_than_the_hardware_are_only_projected(network: Network) -> None:
    with pytest.raises(InvalidInputError, match=r"node\.neurons = 512"):
        NodeConfig(neurons=512)
    point = evaluate(network.steps(3), Design(neurons=512, partition="equal", pipelines=16))
    assert point.room.nodes == 11
