"""Designs: what is faster, what fits, which of them are best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.explore.design import Design
from csnn.explore.evaluate import Point, evaluate
from csnn.explore.mapping import bounds_of, cube, machine_topology, make_machine, node_config
from csnn.explore.network import Network
from csnn.explore.resources import XC7_UNITS
from csnn.explore.room import fill, measure_room
from csnn.explore.sweeps import (
    balanced,
    boards,
    candidates,
    front,
    ideals,
    near_front,
    sparser,
)
from csnn.explore.tables import tell_fronts, tell_variations
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import Mesh
from csnn.perf.model import simulate
from csnn.perf.parameters import Machine
from csnn.perf.rows import row_words
from csnn.perf.topology import make_topology, mesh_topology
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
    assert point.speed_limit == "synchronisation through the network"
    same = Machine(node=network.config, master=MasterConfig(nodes=32))
    mesh = mesh_topology(Mesh(shape=(3, 3, 3), n_nodes=NODES))
    assert point.summary.mean == simulate(same, mesh, network.work).cycles().mean()
    assert sum(point.summary.parts.values()) == pytest.approx(point.summary.mean)


def test_less_of_a_cost_is_never_slower(network: Network) -> None:
    factors = {
        name: evaluate(network, design).real_time_factor
        for name, design in ideals(Design(), NODES, NODES * SIZE).items()
    }
    base = factors.pop("as it is")
    # It has larger nodes as well.
    factors.pop("balanced nodes, up to twice as large")
    assert all(factor <= base for factor in factors.values())
    assert len(factors) == 7
    assert factors["links without latency"] < 0.6 * base
    assert evaluate(network, Design(), spikes=False).real_time_factor < base


def test_unrolling_is_divided_by_lanes_and_balance(network: Network) -> None:
    """On one chip nothing else takes long."""
    large = fill(network, Design(
        chip="xcvu37p", neurons=1040, partition="equal", pipelines=4, rows="outside",
        app_mhz=250.0, comm_mhz=250.0, link_gbps=25.0,
    ))  # fmt: skip
    assert large is not None
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
    assert design is not None
    assert 1 < design.nodes_per_chip < 82
    assert measure_room(network, design).fits
    more = replace(design, nodes_per_chip=design.nodes_per_chip + 1)
    assert not measure_room(network, more).fits
    # A tree needs more links, which leave less room.
    tree = fill(network, Design(neurons=64, partition="equal", pipelines=2, board="tree", arity=15))
    assert tree is not None
    assert measure_room(network, tree).fits
    assert (
        fill(network, Design(chip="lfe5u-85f", neurons=256, partition="equal", pipelines=16))
        is None
    )


def test_candidates_fit_and_their_front_is_not_beaten(network: Network) -> None:
    short = network.steps(4)
    designs = list(candidates(network, ["xc7z045"], 10**6))
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
    assert min(design.neurons / design.pipelines for design in designs) == 16
    assert {design.neurons for design in designs} == {64, 128, 256, 512, 1024}
    few = list(candidates(network, ["xc7z045"], 5))
    assert few == [design for design in designs if measure_room(network, design).devices <= 5]


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
        ({"nodes_per_chip": 2}, r"design\.nodes_per_chip = 2: needs shared devices"),
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


def test_the_machine_is_that_of_the_design(network: Network) -> None:
    design = Design(
        chip="xcvu37p", neurons=512, partition="equal", pipelines=4, lanes=2, shared=True,
        nodes_per_chip=5, app_mhz=250.0, comm_mhz=250.0, link_gbps=25.0, rows="outside",
        link_latency_ns=300.0, board="tree",
    )  # fmt: skip
    config = node_config(network, design, bounds_of(network, design))
    machine = make_machine(design, config, 11)
    assert (machine.clocks.app_mhz, machine.clocks.comm_mhz) == (250.0, 250.0)
    # 160 bits at 25 Gb/s are 6.4 ns, 250 ns of HBM 62.5 cycles.
    assert (machine.wires.config.frame_cycles, machine.wires.latency_ns) == (2, 300.0)
    assert (machine.inside.config.frame_cycles, machine.inside.latency_ns) == (1, 8.0)
    assert (machine.fetch_cycles, machine.crossing_sink) == (63, 1)
    assert (config.pipelines, config.neurons, config.rows) == (4, 473, NODES * SIZE)
    topology = machine_topology(design, 11)
    assert (len(topology.nodes), max(topology.devices)) == (11, 2)
    # One clock for nodes and routers, or two.
    slow = make_machine(replace(design, comm_mhz=100.0), config, 11)
    assert (slow.crossing_sink, slow.wires.config.frame_cycles) == (3, 1)
    assert make_machine(Design(), network.config, NODES).fetch_cycles == 0


def test_rows_that_are_rare_are_not_stored(network: Network) -> None:
    """In nodes of 8 neurons most rows of 10 or 30 synapses to 200 neurons are empty."""
    small = Design(neurons=8, partition="equal", pipelines=1)
    config = node_config(network, small, bounds_of(network, small))
    assert config.presence_words == 2 * -(-NODES * SIZE // 32)
    # Poisson of 3 x 10 x 8 / 200: 70 %.
    assert 0.65 * NODES * SIZE < config.rows < 0.76 * NODES * SIZE


def test_the_rate_of_the_memory_outside(network: Network) -> None:
    design = Design(rows="outside", shared=True, nodes_per_chip=4, lanes=2)
    point = evaluate(network, design)
    rate = network.work.counts.sum() / STEPS * 4 * 2 * 5 / (point.summary.mean_us * 1e-6)
    assert point.outside_share == pytest.approx(rate / 2e9)


def test_machines_of_one_node_need_one_device_if_it_is_shared(network: Network) -> None:
    design = Design(neurons=8192, partition="equal", pipelines=32, shared=True, chip="xcvu37p")
    assert measure_room(network, design).devices == 1
    assert measure_room(network, replace(design, shared=False)).devices == 2


def test_devices_may_hold_fewer_nodes(network: Network) -> None:
    """Of 11 nodes 8 fit: a half and a quarter of them, linked in other ways where that differs."""
    design = Design(
        neurons=512, partition="equal", pipelines=1, rows="outside", shared=True, nodes_per_chip=8
    )
    point = evaluate(network.steps(3), design)
    found = list(sparser(network, [point], 100))
    assert [(one.nodes_per_chip, one.board, one.arity) for one in found] == [
        (4, "mesh", 6),
        (4, "tree", 4),
        (2, "mesh", 6),
        (2, "tree", 4),
        (2, "tree", 15),
    ]
    for one in found:
        assert replace(one, nodes_per_chip=8, board="mesh", arity=6) == design
    assert [one for one in found if one.nodes_per_chip == 4] == list(sparser(network, [point], 3))
    # What was looked at already is not tried again, and a single node cannot be divided.
    half = evaluate(network.steps(3), found[0])
    assert found[0] not in list(sparser(network, [point, half], 100))
    alone = evaluate(network.steps(3), replace(design, shared=False, nodes_per_chip=1))
    assert list(sparser(network, [alone], 100)) == []


def test_machines_of_too_many_nodes_are_not_tried(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csnn.explore.sweeps.MOST_NODES", 20)
    found = {design.neurons for design in candidates(network, ["xc7z045"], 10**6)}
    assert found == {512, 1024}


def test_lines_of_a_front_tell_the_limits_within_80_columns(network: Network) -> None:
    base = evaluate(network.steps(3), Design())
    limits = {
        "synchronisation through the network": "synchronisation",
        "unrolling of rows": "unrolling",
        "neuron update": "neuron update",
        "master node": "master node",
    }
    for limit, short in limits.items():
        room = replace(base.room, shares={"look-up tables": 1.0}, devices=65_536)
        point = replace(
            base,
            summary=replace(base.summary, limit=limit),
            room=replace(room, nodes=65_535, largest=1_946),
            design=replace(base.design, neurons=973, partition="balanced", pipelines=32, lanes=4),
        )
        lines = tell_fronts([point], [point])
        assert lines[-1].endswith(f"1946 bal.   32     4  {short}; look-up tables")
        assert max(map(len, lines)) <= 80


def test_lines_of_variations(network: Network) -> None:
    one = evaluate(network.steps(3), Design())
    slow = replace(one, summary=replace(one.summary, real_time_factor=123.4))
    alone = replace(one, room=replace(one.room, devices=1))
    lines = tell_variations({
        "1 x xc7z045": {"as assumed": alone, "clocks x 0.6": slow},
        "27 x xc7z045": {"as assumed": one, "clocks x 0.6": slow, "100 ns": one},
    })  # fmt: skip
    factor = f"{one.real_time_factor:.4f}"
    assert lines == [
        "               as clocks    100",
        "  devices assumed   x0.6     ns",
        "  xc7z045",
        f"        1  {factor}  123.4      -",
        f"       27  {factor}  123.4 {factor}",
    ]
    assert tell_variations({}) == []


def test_points_near_the_front_are_at_most_15_percent_slower(network: Network) -> None:
    best = evaluate(network.steps(3), Design())
    slower = [
        replace(best, summary=replace(best.summary, real_time_factor=share * best.real_time_factor))
        for share in (1.14, 1.16)
    ]
    assert near_front([best, *slower]) == [best, slower[0]]


@pytest.mark.parametrize(("places", "shape"), [(306, (7, 7, 7)), (27, (3, 3, 3)), (2, (2, 1, 1))])
def test_cubes_have_room(places: int, shape: tuple[int, int, int]) -> None:
    assert cube(places) == shape
    assert np.prod(shape) >= places


def test_a_node_more_in_a_device_is_a_node_with_two_ends_of_links(network: Network) -> None:
    """Both machines have more than 9 devices in a mesh, so the links between them are as many."""
    one, two = (
        measure_room(network, Design(shared=True, nodes_per_chip=count)).shares["look-up tables"]
        for count in (1, 2)
    )
    node = XC7_UNITS.node + XC7_UNITS.pipeline * 8 + XC7_UNITS.lane
    inner = 2 * (XC7_UNITS.port.luts + 200) + 2 * 89
    assert two - one == pytest.approx((node.luts + inner) / (0.7 * 218_600))
