"""fast = plain = resumed = any thread count, bit for bit: spikes, traces and every state word."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

from csnn import edges as edge_files
from csnn.edges import Edges
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.neurons.lif import LIF
from csnn.rows import WORD_WEIGHT_SHIFT, Sampler
from csnn.simulator.fast import FastSimulator
from csnn.simulator.kernels import BLOCK_WORDS, NODES_PER_SHARD
from csnn.simulator.plain import PlainSimulator
from csnn.simulator.recording import Recording, join
from csnn.simulator.state import MachineState, load_checkpoint, save_checkpoint
from csnn.spec.brunel import brunel
from csnn.spec.distributions import Constant
from csnn.spec.network import (
    AllToAll,
    DcInput,
    EdgeList,
    FixedIndegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    PoissonInput,
)
from csnn.spec.pd14 import pd14

THREADS = (1, 2, 3, 5)
STEPS = 41


def record_of(image: Image) -> list[int]:
    """Return neurons to trace: first and last, and some between, out of order."""
    n = image.n_neurons
    return sorted({0, n - 1, n // 2, n // 3}, reverse=True)


def run_plain(image: Image, steps: int, **options: Any) -> tuple[Recording, MachineState]:
    simulator = PlainSimulator(image, record=record_of(image), **options)
    return simulator.run(steps), simulator.state()


def run_fast(
    image: Image, steps: int, threads: int, **options: Any
) -> tuple[Recording, MachineState]:
    simulator = FastSimulator(image, record=record_of(image), threads=threads, **options)
    return simulator.run(steps), simulator.state()


def run_resumed(
    image: Image, folder: Path, steps: int, **options: Any
) -> tuple[Recording, MachineState]:
    """Run in four legs, each from the checkpoint file of the one before."""
    # Steps of each leg, and who runs it: 0 is the plain simulator, else the number of threads.
    legs = ((7, 2), (1, 0), (steps // 3, 3), (steps - steps // 3 - 8, 1))
    parts: list[Recording] = []
    state: MachineState | None = None
    path = folder / "state.npz"
    for leg, threads in legs:
        if threads:
            part, state = run_fast(image, leg, threads, state=state, **options)
        else:
            part, state = run_plain(image, leg, state=state, **options)
        save_checkpoint(path, state, image)
        state = load_checkpoint(path, image)
        parts.append(part)
    assert state is not None
    return join(parts), state


def difference(a: tuple[Recording, MachineState], b: tuple[Recording, MachineState]) -> str | None:
    """Describe the first difference of two runs, spikes and traces first; None if equal."""
    found = a[0].first_difference(b[0]) or a[1].first_difference(b[1])
    if found is None and a[0].events != b[0].events:
        return f"events: {a[0].events} and {b[0].events}"
    return found


def check_all(
    image: Image,
    folder: Path,
    *,
    pool_blocks: tuple[int, ...] = (),
    threads: tuple[int, ...] = THREADS,
    steps: int = STEPS,
    **options: Any,
) -> tuple[Recording, MachineState]:
    """Require that every way of running the image gives the plain simulator's bits."""
    wanted = run_plain(image, steps, **options)
    for count in threads:
        assert difference(wanted, run_fast(image, steps, count, **options)) is None
    assert difference(wanted, run_resumed(image, folder, steps, **options)) is None
    for blocks in pool_blocks:
        got = run_fast(image, steps, 2, pool_blocks=blocks, **options)
        assert difference(wanted, got) is None
    return wanted


def check_lively(wanted: tuple[Recording, MachineState], image: Image) -> None:
    """Require spikes in most nodes, and events: an equality of silent networks proves little."""
    first = np.array([node.first_neuron for node in image.nodes])
    nodes = np.unique(np.searchsorted(first, wanted[0].source, side="right"))
    assert len(nodes) > image.n_nodes / 2
    assert wanted[0].events > 150


@pytest.mark.parametrize(("rule", "autapses", "multapses"), networks.rule_cases())
def test_every_connection_rule(tmp_path: Path, rule: str, autapses: bool, multapses: bool) -> None:
    network = networks.rule_network(rule, autapses, multapses)
    dense = networks.image(network, tmp_path / "dense", row_layout="dense")
    wanted = check_all(dense, tmp_path)
    check_lively(wanted, dense)
    # The same rows in the other layout: other files, the same network.
    sparse = networks.image(network, tmp_path / "sparse", row_layout="sparse")
    assert sparse.digest != dense.digest
    for threads in THREADS:
        assert difference(wanted, run_fast(sparse, STEPS, threads)) is None
    assert difference(wanted, run_resumed(sparse, tmp_path, STEPS)) is None


@pytest.mark.parametrize("row_layout", ["dense", "sparse"])
@pytest.mark.parametrize("representation", ["stored", "fitted"])
def test_edge_lists(tmp_path: Path, representation: str, row_layout: str) -> None:
    network = networks.edge_network(tmp_path, representation)
    image = networks.image(network, tmp_path / "image", row_layout=row_layout)
    check_lively(check_all(image, tmp_path), image)


@pytest.mark.parametrize("delay_slots", [16, 64])
@pytest.mark.parametrize("ext_lanes", [1, 4, 8, 32])
def test_external_lanes_and_delay_slots(tmp_path: Path, ext_lanes: int, delay_slots: int) -> None:
    network = networks.rule_network("fixed_outdegree", False, True)
    image = networks.image(
        network, tmp_path / "image", ext_lanes=ext_lanes, delay_slots=delay_slots
    )
    assert image.nodes[0].ext_states.shape == (ext_lanes, 4)
    check_lively(check_all(image, tmp_path, threads=(1, 3)), image)


def test_random_delay_buffer(tmp_path: Path) -> None:
    network = networks.rule_network("fixed_total_number", True, True)
    image = networks.image(network, tmp_path / "image", random_delay_buffer=True, delay_slots=16)
    assert all(node.delay_buffer.any() for node in image.nodes if node.population == 0)
    check_lively(check_all(image, tmp_path), image)


def test_random_delay_buffer_of_an_edge_list(tmp_path: Path) -> None:
    network = networks.edge_network(tmp_path, "stored")
    image = networks.image(network, tmp_path / "image", random_delay_buffer=True, delay_slots=16)
    assert all(node.delay_buffer.any() for node in image.nodes)
    check_lively(check_all(image, tmp_path, threads=(2,)), image)


def test_input_changes(tmp_path: Path) -> None:
    image = networks.image(networks.changing_inputs(), tmp_path / "image")
    recording, _ = check_all(image, tmp_path)
    traced = recording.traces[:, -2, record_of(image).index(0)]
    # No external spike while the rate is zero: steps 11 to 25 (offsets 10 to 24).
    assert not traced[10:25].any()
    assert traced[:10].any()
    assert traced[25:].any()


def test_neurons_without_refractory_time(tmp_path: Path) -> None:
    population = networks.population(
        "E",
        50,
        neuron=LifNeuron(t_ref_ms=0.0),
        dc=DcInput(current_pA=30000.0),
    )
    network = networks.network(networks.projection("E", "E", AllToAll()), populations=(population,))
    image = networks.image(network, tmp_path / "image")
    recording, _ = check_all(image, tmp_path)
    # Some neuron spikes in two steps running.
    spikes = set(zip(recording.source.tolist(), recording.step.tolist(), strict=True))
    assert any((source, step + 1) in spikes for source, step in spikes)


def test_nodes_of_every_size(tmp_path: Path) -> None:
    sizes = (1, 2, 7, 8, 9, 33, 100, 255, 256, 257)
    names = [f"E{size}" for size in sizes]
    network = networks.network(
        *(
            networks.projection(source, target, FixedTotalNumber(count=400))
            for source in ("E1", "E100")
            for target in names
        ),
        populations=tuple(
            networks.population(name, size) for name, size in zip(names, sizes, strict=True)
        ),
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    assert {node.n_neurons for node in image.nodes} == {*sizes, 128, 129} - {257}
    check_lively(check_all(image, tmp_path, steps=20, threads=(1, 3)), image)


def test_load_partition(tmp_path: Path) -> None:
    network = networks.rule_network("fixed_indegree", True, True)
    image = networks.image(network, tmp_path / "image", partition="load", n_nodes=9)
    assert image.n_nodes == 9
    check_lively(check_all(image, tmp_path), image)


@pytest.mark.parametrize("sizes", [(16, 17), (255, 256), (213, 16)])
@pytest.mark.parametrize("indegree", [32, 901])
def test_fixed_in_degrees_of_many_stubs(
    tmp_path: Path, indegree: int, sizes: tuple[int, int]
) -> None:
    # Few sources with long rows, so that a row carries often, and many with short ones.
    weight = Constant(value=2.0)
    populations = tuple(
        networks.population(name, size) for name, size in zip("ABC", (*sizes, 4), strict=True)
    )
    network = networks.network(
        networks.projection("A", "B", FixedIndegree(indegree=indegree), weight=weight),
        networks.projection("C", "A", FixedIndegree(indegree=indegree), weight=weight),
        networks.projection("B", "C", FixedIndegree(indegree=indegree), weight=weight),
        populations=populations,
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    samplers = [node.blocks["sampler"].tolist() for node in image.nodes]
    assert samplers == [[Sampler.STUBS], [Sampler.STUBS], [Sampler.STORED]]
    check_lively(check_all(image, tmp_path, steps=30, threads=(1, 3)), image)


@pytest.mark.parametrize("autapses", [True, False])
def test_exhausted_event_pool(tmp_path: Path, autapses: bool) -> None:
    # Several thousand events per step. Lists of 64 slots: fewer blocks than that are never used.
    network = networks.network(
        networks.projection("E", "E", AllToAll(), autapses=autapses),
        networks.projection("E", "E", FixedIndegree(indegree=200)),
        networks.projection("I", "E", FixedTotalNumber(count=9000)),
        populations=(networks.population("E", 200), networks.population("I", 40)),
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    recording, _ = check_all(image, tmp_path, pool_blocks=(0, 66, 80), threads=(2,), steps=24)
    assert recording.events > 50_000


def check_pool(w: Any) -> None:
    """Require that every block is free or in one list, once: a lost one would only cost speed."""
    blocks = w.free[: w.n_free[0]].tolist()
    for shard, slot in np.ndindex(*w.head.shape):
        block = int(w.head[shard, slot])
        while block != w.tail[shard, slot]:
            blocks.append(block)
            block = int(w.following[block])
        blocks.append(block)
    assert sorted(blocks) == list(range(len(w.free)))


@pytest.mark.parametrize("nodes_per_shard", [1, 2, 3])
@pytest.mark.parametrize("pool_blocks", [0, 4, 8, 1000])
def test_pool_that_shards_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool_blocks: int, nodes_per_shard: int
) -> None:
    monkeypatch.setattr("csnn.simulator.layout.NODES_PER_SHARD", nodes_per_shard)
    network = networks.network(
        networks.projection("E", "E", AllToAll(), autapses=False),
        networks.projection("E", "E", FixedIndegree(indegree=2000), weight=Constant(value=2.0)),
        networks.projection("I", "E", FixedTotalNumber(count=9000)),
        populations=(networks.population("E", 200), networks.population("I", 40)),
    )
    # Few slots: events are appended only while more blocks are free than there are slots.
    image = networks.image(network, tmp_path / "image", neurons_per_node=64, delay_slots=16)
    plain = PlainSimulator(image, record=record_of(image))
    simulators = [
        FastSimulator(image, record=record_of(image), threads=threads, pool_blocks=pool_blocks)
        for threads in (1, 2)
    ]
    workers = [w for simulator in simulators for w in simulator._workers]
    assert len(workers[0].head) > 1
    free = [int(w.n_free[0]) for w in workers]
    appended = spilled = False
    events = 0
    for steps in (1, 0, *[1] * 20, 3, 5):
        wanted = plain.run(steps)
        events += wanted.events
        for simulator in simulators:
            got = simulator.run(steps)
            assert difference((wanted, plain.state()), (got, simulator.state())) is None
        for w, n in zip(workers, free, strict=True):
            check_pool(w)
            appended |= int(w.n_free[0]) < n
            spilled |= bool(w.buffer_used.any())
    assert events > 50_000
    assert appended == (len(workers[0].head) * pool_blocks > 16)
    assert spilled == (pool_blocks < 1000)


@pytest.mark.parametrize("pool_blocks", [1, 8, 31, 32, 33, 80])
def test_event_pool_that_runs_out_inside_a_spike(tmp_path: Path, pool_blocks: int) -> None:
    # All lists get equally many events, so that one spike fills the last block of 32 of them.
    delays, sources = 32, 16
    targets = BLOCK_WORDS // sources
    assert targets * sources == BLOCK_WORDS
    source, delay, target = (
        grid.ravel().astype(np.uint32)
        for grid in np.meshgrid(
            np.arange(sources), np.arange(delays), np.arange(targets), indexing="ij"
        )
    )
    edges = Edges(
        source=source,
        target=target + np.uint32(sources),
        weight=np.full(len(source), 2.0),
        delay_ms=np.round(0.1 * (delay + 1.0), 1),
    )
    edge_files.write(tmp_path / "edges.npz", edges)
    # The sources spike together, every few steps; nothing else does.
    zero = Constant(value=0.0)
    silent: dict[str, Any] = {"poisson": None, "I_ex_init_pA": zero, "I_in_init_pA": zero}
    drive = DcInput(current_pA=2000.0)
    network = networks.network(
        populations=(
            networks.population("E", sources, V_init_mV=Constant(value=-60.0), dc=drive, **silent),
            networks.population("F", targets, V_init_mV=Constant(value=-65.0), **silent),
        ),
        edges=EdgeList(path=str(tmp_path / "edges.npz"), representation="stored"),
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    plain, fast = PlainSimulator(image), FastSimulator(image, threads=1, pool_blocks=pool_blocks)
    events = 0
    for _ in range(4 * delays):
        events += fast.run(1).events
        plain.run(1)
        assert plain.state().first_difference(fast.state()) is None
    assert events >= 3 * len(source)


@pytest.mark.parametrize("pool_blocks", [0, 2048])
def test_saturation(tmp_path: Path, pool_blocks: int) -> None:
    image = networks.image(networks.rule_network("all_to_all", True, True), tmp_path / "image")
    free = run_plain(image, STEPS)
    # The largest inhibitory input seen: words above two thirds of it saturate.
    limit = int(free[0].traces[:, -1].max()) * 2 // 3
    wanted = check_all(
        image, tmp_path, pool_blocks=(pool_blocks,), threads=(1, 3), saturation_limit=limit
    )
    assert wanted[1].saturated.any()
    assert difference(free, wanted) is not None
    # Not one step later: the flag is up as soon as the word is clipped.
    simulator = FastSimulator(image, saturation_limit=limit)
    plain = PlainSimulator(image, saturation_limit=limit)
    for _ in range(STEPS // 2):
        simulator.run(1)
        plain.run(1)
        assert plain.state().first_difference(simulator.state()) is None


def test_saturation_flags_stay_where_they_belong(tmp_path: Path) -> None:
    # Only I is driven hard enough to saturate; the flags of E stay down.
    network = networks.network(
        networks.projection("E", "I", AllToAll()),
        networks.projection("I", "E", AllToAll(), weight=Constant(value=-10.0)),
    )
    image = networks.image(network, tmp_path / "image")
    grid = 2.0 ** image.nodes[0].grid_exponent
    wanted = check_all(image, tmp_path, threads=(1, 2), saturation_limit=int(250.0 / grid))
    of_E = np.array([node.population == 0 for node in image.nodes])
    assert wanted[1].saturated.tolist() == (~of_E).tolist()


def test_saturation_flags_are_sticky(tmp_path: Path) -> None:
    # The drive ends early; long after the last clipped word the flags are still up.
    driven = networks.population(
        "E",
        40,
        poisson=PoissonInput(rate_hz=15000.0, weight=150.0, changes=((0.8, 0.0),)),
    )
    network = networks.network(
        networks.projection("E", "I", AllToAll()),
        populations=(driven, networks.population("I", 30, poisson=None)),
    )
    image = networks.image(network, tmp_path / "image")
    grid = 2.0 ** image.nodes[0].grid_exponent
    limit = int(250.0 / grid)
    _, state = check_all(image, tmp_path, steps=50, saturation_limit=limit)
    assert not state.delay_buffer.any()
    assert not state.saturated[:2].any()
    assert state.saturated[2:].any()


@pytest.mark.parametrize(
    ("network", "machine"),
    [
        (pd14(n_scale=0.02, k_scale=0.05), {"neurons_per_node": 256}),
        (brunel(order=60), {"neurons_per_node": 100}),
    ],
    ids=["pd14", "brunel"],
)
def test_built_in_networks(tmp_path: Path, network: Network, machine: dict[str, int]) -> None:
    image = networks.image(network, tmp_path / "image", **machine)
    recording, _ = check_all(image, tmp_path)
    assert recording.events > 500


def test_dense_rows_of_several_tables_and_shards(tmp_path: Path) -> None:
    # One worker has two shards; spikes of L4E have many rows in each, of two pairs of tables.
    network = pd14(n_scale=0.06, k_scale=0.2)
    image = networks.image(network, tmp_path / "image", neurons_per_node=16)
    assert NODES_PER_SHARD < len(image.nodes) < 2 * NODES_PER_SHARD
    wanted = check_all(image, tmp_path, threads=(1, 2))
    assert wanted[0].events > 10_000
    # The shards of a worker share its pool, which runs out at once or soon.
    for blocks in (0, 1, 33):
        assert difference(wanted, run_fast(image, STEPS, 1, pool_blocks=blocks)) is None


def test_runs_are_independent_of_how_they_are_cut(tmp_path: Path) -> None:
    image = networks.image(networks.rule_network("all_to_all", True, True), tmp_path / "image")
    wanted = run_fast(image, STEPS, 2)
    simulator = FastSimulator(image, record=record_of(image), threads=3)
    parts = [simulator.run(steps) for steps in (0, 1, 0, 20, STEPS - 21)]
    assert difference(wanted, (join(parts), simulator.state())) is None


@pytest.mark.parametrize("dt_ms", [0.05, 0.2])
def test_steps_of_other_lengths(tmp_path: Path, dt_ms: float) -> None:
    neuron = LifNeuron(t_ref_ms=0.4)
    network = networks.network(
        networks.projection("E", "E", networks.RULES["fixed_outdegree"]),
        networks.projection("E", "I", FixedIndegree(indegree=6)),
        networks.projection("I", "E", FixedTotalNumber(count=150)),
        populations=tuple(
            networks.population(name, size, neuron=neuron)
            for name, size in (("E", networks.E_SIZE), ("I", networks.I_SIZE))
        ),
        dt_ms=dt_ms,
    )
    image = networks.image(network, tmp_path / "image")
    check_lively(check_all(image, tmp_path, steps=round(8.0 / dt_ms)), image)


@pytest.mark.parametrize("simulator", [PlainSimulator, FastSimulator])
@pytest.mark.parametrize("dt_ms", [0.05, 0.1, 0.2])
def test_spike_times_do_not_depend_on_the_step(
    tmp_path: Path, dt_ms: float, simulator: type[PlainSimulator | FastSimulator]
) -> None:
    # A neuron under a direct current excites another one.
    zero = Constant(value=0.0)
    rest: dict[str, Any] = {
        "neuron": LifNeuron(t_ref_ms=0.4),
        "V_init_mV": Constant(value=-65.0),
        "I_ex_init_pA": zero,
        "I_in_init_pA": zero,
        "poisson": None,
    }
    network = networks.network(
        networks.projection("E", "I", AllToAll(), delay=Constant(value=1.0)),
        populations=(
            networks.population("E", 1, dc=DcInput(current_pA=1000.0), **rest),
            networks.population("I", 1, **rest),
        ),
        dt_ms=dt_ms,
    )
    image = networks.image(network, tmp_path / "image")
    recording = simulator(image, record=[1]).run(round(18.0 / dt_ms))
    # V = 40 mV (1 - exp(-t / 10 ms)) reaches 15 mV at 4.70 ms, and again as long after t_ref.
    first = math.ceil(10.0 * math.log(40.0 / 25.0) / dt_ms) * dt_ms
    spikes = [first + k * (first + 0.4) for k in range(3)]
    assert recording.source.tolist() == [0, 0, 0]
    assert (recording.step * dt_ms).tolist() == pytest.approx(spikes)
    arrivals = np.flatnonzero(recording.traces[:, -2, 0]) + 1
    assert (arrivals * dt_ms).tolist() == pytest.approx([time + 1.0 for time in spikes])


# Negative controls: one planted bit must be found, and its place named.


def planted(image: Image, number: int, **changes: Any) -> Image:
    """Return the image with arrays of one node replaced."""
    copy = Image(image.path, image.manifest)
    nodes = list(image.nodes)
    nodes[number] = dataclasses.replace(nodes[number], **changes)
    copy.__dict__["nodes"] = tuple(nodes)
    return copy


def flipped(array: np.ndarray, place: Any, bit: int) -> np.ndarray:
    changed = array.copy()
    changed[place] ^= array.dtype.type(1 << bit)
    return changed


def first_row(image: Image, sampler: Sampler) -> tuple[int, int, NodeImage, int, int]:
    """Return the earliest spike that meets a row of this sampler: (node, block, step, row)."""
    recording, _ = run_fast(image, STEPS, 1)
    for step, source in zip(recording.step, recording.source, strict=True):
        for number, node in enumerate(image.nodes):
            for index, entry in enumerate(node.blocks):
                sources, _, length = node.rows(index)
                at = np.flatnonzero((sources == source) & (length > 0))
                if entry["sampler"] == sampler and len(at):
                    return number, index, node, int(step), int(entry["row_first"]) + int(at[0])
    raise AssertionError("no such row was met")


def buffer_difference(image: Image, wrong: Image, step: int) -> tuple[int, int, int]:
    """Run to `step` with each simulator; return the place of the delay buffer that differs."""
    good, bad = run_plain(image, step), run_fast(wrong, step, 2)
    assert good[0].first_difference(bad[0]) is None
    found = good[1].first_difference(bad[1])
    assert found is not None
    place = re.fullmatch(
        rf"delay_buffer\[(\d+), (\d+), (\d+)\] after step {step}: (0x\w+) and (0x\w+)", found
    )
    assert place, found
    assert place[4] != place[5]
    assert difference(run_plain(image, STEPS), run_fast(wrong, STEPS, 2)) is not None
    return int(place[1]), int(place[2]), int(place[3])


def test_planted_synapse_word_is_found(tmp_path: Path) -> None:
    image = networks.image(networks.rule_network("one_to_one", True, True), tmp_path / "image")
    number, _, node, step, row = first_row(image, Sampler.STORED)
    word = int(node.seed[row])
    synapses = flipped(node.synapses, word, WORD_WEIGHT_SHIFT + 3)
    place = buffer_difference(image, planted(image, number, synapses=synapses), step)
    value = int(node.synapses[word])
    target = node.first_neuron + (value & 0xFF)
    assert place == ((step + 1 + (value >> 8 & 63)) % 64, value >> 29 & 1, target)


@pytest.mark.parametrize("sampler", [Sampler.INDEPENDENT, Sampler.DISTINCT, Sampler.STUBS])
@pytest.mark.parametrize("field", ["seed", "length"])
def test_planted_row_is_found(tmp_path: Path, field: str, sampler: Sampler) -> None:
    network = networks.network(
        networks.projection("E", "E", networks.RULES["fixed_outdegree"], multapses=False),
        networks.projection("E", "I", networks.RULES["fixed_indegree"]),
        networks.projection("I", "E", FixedTotalNumber(count=150)),
    )
    image = networks.image(network, tmp_path / "image")
    number, _, node, step, row = first_row(image, sampler)
    changed = flipped(getattr(node, field), row, 0)
    place = buffer_difference(image, planted(image, number, **{field: changed}), step)
    assert node.first_neuron <= place[2] < node.first_neuron + node.n_neurons


def test_planted_table_entry_is_found(tmp_path: Path) -> None:
    image = networks.image(networks.rule_network("all_to_all", True, True), tmp_path / "image")
    number, index, node, step, _ = first_row(image, Sampler.DISTINCT)
    tables = node.delay_tables.copy()
    tables["own"][int(node.blocks[index]["selector"])] ^= 1
    place = buffer_difference(image, planted(image, number, delay_tables=tables), step)
    assert node.first_neuron <= place[2] < node.first_neuron + node.n_neurons


@pytest.mark.parametrize(
    ("constant", "bit"),
    # One bit of the threshold decides only where a potential lies just between: take a higher one.
    [("P22", 0), ("P11_ex", 0), ("P11_in", 0), ("V_reset", 0), ("theta", 20), ("ref_steps", 0)],
)
def test_planted_constant_is_found(tmp_path: Path, constant: str, bit: int) -> None:
    image = networks.image(networks.rule_network("fixed_indegree", True, True), tmp_path / "image")
    number = 2
    node = image.nodes[number]
    index = [*LIF.float_constants, *LIF.int_constants].index(constant)
    wrong = planted(image, number, constants=flipped(node.constants, index, bit))
    good, bad = run_plain(image, STEPS), run_fast(wrong, STEPS, 2)
    assert difference(good, bad) is not None
    # From the same state one step leaves a difference in no other node.
    simulator = PlainSimulator(image)
    while True:
        state = simulator.state()
        simulator.run(1)
        found = simulator.state().first_difference(run_fast(wrong, 1, 2, state=state)[1])
        if found is not None:
            break
    place = re.match(r"(state\[\d, |refractory\[)(\d+)\] after step (\d+): ", found)
    assert place, found
    assert node.first_neuron <= int(place[2]) < node.first_neuron + node.n_neurons
    assert int(place[3]) == simulator.step


def test_planted_external_state_is_found_in_its_lane(tmp_path: Path) -> None:
    image = networks.image(networks.driven(40), tmp_path / "image", ext_lanes=8)
    node = image.nodes[1]
    wrong = planted(image, 1, ext_states=flipped(node.ext_states, (5, 1), 7))
    found = run_plain(image, 1)[1].first_difference(run_fast(wrong, 1, 1)[1])
    assert found is not None
    assert found.startswith("ext_states[1, 5, ")


def test_recordings_name_their_first_difference() -> None:
    def recording(step: list[int], source: list[int], traces: np.ndarray) -> Recording:
        return Recording(
            np.array(step, dtype=np.uint32), np.array(source, dtype=np.uint32), traces, 0
        )

    traces = np.zeros((2, 5, 1), dtype=np.uint32)
    good = recording([1, 2], [7, 9], traces)
    assert good.first_difference(recording([1, 2], [7, 9], traces.copy())) is None
    assert good.first_difference(recording([1, 2], [7, 8], traces)) == (
        "spike 1: neuron 9 at step 2 and neuron 8 at step 2"
    )
    assert good.first_difference(recording([1], [7], traces)) == (
        "spike 1: neuron 9 at step 2 and no spike"
    )
    other = flipped(traces, (1, 4, 0), 31)
    assert good.first_difference(recording([1, 2], [7, 9], other)) == (
        "trace at step offset 1, word 4, neuron 0: 0x0 and 0x80000000"
    )
    assert good.first_difference(recording([1, 2], [7, 9], traces[:1])) is not None


def test_states_name_their_first_difference(tmp_path: Path) -> None:
    image = networks.image(networks.driven(3), tmp_path / "image")
    _, state = run_plain(image, 2)
    assert state.first_difference(state) is None
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if field.name == "step":
            assert state.first_difference(dataclasses.replace(state, step=3)) == "step: 2 and 3"
            continue
        last = tuple(n - 1 for n in value.shape)
        changed = value.copy()
        changed[last] ^= True
        found = state.first_difference(dataclasses.replace(state, **{field.name: changed}))
        assert found is not None
        assert found.startswith(f"{field.name}{list(last)} after step 2")
