"""From description to image: what is written, what is refused, and that nothing is left behind."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

import netgen.build
import netgen.crew
import netgen.sums
from csnn.errors import InvalidInputError
from csnn.files import sha256
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.store import open_image
from csnn.rows import Sampler
from csnn.spec.distributions import Constant, Normal
from csnn.spec.network import (
    AllToAll,
    EdgeList,
    FixedIndegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    PoissonInput,
)
from netgen.export import export_edges
from netgen.grid import GridTooFineError
from netgen.sums import weight_sums


def assert_refused(tmp_path: Path, network: Network, rule: str, **machine: Any) -> None:
    """Require a one-line error, and that neither image nor temporary files are left."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidInputError, match=rule) as caught:
        networks.image(network, tmp_path / "new" / "image", **machine)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def one_projection(**changes: Any) -> Network:
    rule = changes.pop("rule", FixedIndegree(indegree=5))
    return networks.network(networks.projection("E", "I", rule, **changes))


# What is refused.


@pytest.mark.parametrize(
    "delay", [Constant(value=6.5), Constant(value=0.04), Normal(mu=1.0, sigma=2.0, minimum=0.05)]
)
def test_delays_out_of_range_are_refused(tmp_path: Path, delay: Any) -> None:
    assert_refused(tmp_path, one_projection(delay=delay), r"^projection E->I.delay_ms = ")


def test_delays_beyond_the_slots_are_refused(tmp_path: Path) -> None:
    network = one_projection(delay=Constant(value=1.7))
    networks.image(network, tmp_path / "image", delay_slots=32)
    rule = r"^projection E->I.delay_ms = 1.7: must be from 0.1 to 1.6 ms \(1 to 16 steps\)$"
    assert_refused(tmp_path, network, rule, delay_slots=16)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weights_off_the_given_grid_are_refused(tmp_path: Path, sign: float) -> None:
    rule = r"^projection E->I.weight_pA = .*exceeds 32767 units of 0.0078125 pA"
    network = one_projection(weight=Constant(value=sign * 300.0))
    assert_refused(tmp_path, network, rule, weight_grid=2.0**-7)
    rule = r"^projection E->I.weight_pA = .*rounds to zero on the grid of 2 pA"
    network = one_projection(weight=Constant(value=sign * 0.9))
    assert_refused(tmp_path, network, rule, weight_grid=2.0)
    rule = r"^projection E->I.weight_pA = .*does not keep mean and variance to 0.001"
    network = one_projection(weight=Constant(value=sign * 10.3))
    assert_refused(tmp_path, network, rule, weight_grid=2.0)


def test_external_weights_off_the_grid_are_refused(tmp_path: Path) -> None:
    for weight, rule in ((0.2, "rounds to zero"), (40000.0, "must be <= 32767"), (1.2, "1e-3")):
        network = networks.driven(3, poisson=PoissonInput(rate_hz=1.0, weight=weight))
        rule = rf"^population E.poisson.weight_pA = {weight}: .*{rule}"
        assert_refused(tmp_path, network, rule, weight_grid=1.0)


@pytest.mark.parametrize("source", ["E", "I"])
def test_a_grid_that_breaks_the_sum_bound_is_refused(tmp_path: Path, source: str) -> None:
    # 600 x 29,952 units onto X, the last neuron; 500 x 29,952 onto the others stay below 2^24.
    kind = "excitatory" if source == "E" else "inhibitory"
    weight = Constant(value=117.0 if source == "E" else -117.0)
    network = networks.network(
        networks.projection(source, "X", FixedIndegree(indegree=600), weight=weight),
        networks.projection(source, "E", FixedIndegree(indegree=500), weight=weight),
        populations=(
            networks.population("E", 61, poisson=None),
            networks.population("I", 9, poisson=None),
            networks.population("X", 1, poisson=None),
        ),
    )
    rule = (
        rf"^machine.weight_grid_pA = 0.00390625: the {kind} synapses of neuron 70 \(X\) sum to "
        rf"{600 * 117 * 256} units; must be < 2\^24 = 16777216$"
    )
    assert_refused(tmp_path, network, rule, weight_grid=2.0**-8)
    image = networks.image(network, tmp_path / "image")
    assert image.manifest["weight_grid"] == 2.0**-7
    assert image.manifest["largest_sum_units"] == 600 * 117 * 128


def test_external_spikes_count_in_the_sum_bound(tmp_path: Path) -> None:
    # 515 x 32,512 units are below 2^24; with 31 external spikes of as much they are not.
    def network(poisson: PoissonInput | None) -> Network:
        weight = Constant(value=127.0)
        return networks.network(
            networks.projection("E", "E", FixedIndegree(indegree=515), weight=weight),
            populations=(networks.population("E", 5, poisson=poisson),),
        )

    image = networks.image(network(None), tmp_path / "image", weight_grid=2.0**-8)
    assert image.manifest["largest_sum_units"] == 515 * 127 * 256
    poisson = PoissonInput(rate_hz=1.0, weight=127.0)
    rule = "excitatory synapses of neuron 0 .E. sum to 17751552 units"
    assert_refused(tmp_path, network(poisson), rule, weight_grid=2.0**-8)


def test_a_chosen_grid_is_coarsened_until_the_sums_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netgen.build, "choose_exponent", lambda *_: -9)
    weight = Constant(value=50.0)
    network = networks.network(
        networks.projection("E", "E", FixedIndegree(indegree=4000), weight=weight),
        populations=(networks.population("E", 5, poisson=None),),
    )
    image = networks.image(network, tmp_path / "image")
    assert image.manifest["weight_grid"] == 2.0**-6
    assert image.manifest["largest_sum_units"] < 2**24 <= 2 * image.manifest["largest_sum_units"]
    assert sorted(tmp_path.iterdir()) == [image.path]


def test_rows_of_more_than_16_bits_are_refused(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "I", FixedTotalNumber(count=70_000)),
        populations=(networks.population("E", 1), networks.population("I", 3)),
    )
    rule = r"^projection E->I.rule = 70000: a source has at most 65535 synapses in one node$"
    assert_refused(tmp_path, network, rule)
    edges = networks.random_edges(66_000, 1, n_neurons=networks.E_SIZE + networks.I_SIZE)
    edges.source[:] = 3
    edges.target[:] = 2
    (tmp_path / "many").mkdir()
    network = networks.edge_network(tmp_path / "many", "stored", edges)
    assert_refused(tmp_path, network, r"edges of one source = 66000: a source has at most 65535")


def test_a_missing_edge_list_is_refused(tmp_path: Path) -> None:
    network = networks.network(
        edges=EdgeList(path=str(tmp_path / "no.csv"), representation="stored")
    )
    assert_refused(tmp_path, network, r"no.csv: No such file")


def test_too_few_nodes_are_refused(tmp_path: Path) -> None:
    network = one_projection()
    rule = r"^machine.n_nodes = 3: must be >= 4"
    assert_refused(tmp_path, network, rule, partition="load", n_nodes=3)


# Nothing is left behind.


def full_disk(node: int) -> Any:
    """Return a stand-in for `write_node` that fills the disk halfway through one node."""
    write = netgen.crew.write_node

    def write_node(path: Path, image: NodeImage) -> None:
        write(path, image)
        if image.node == node:
            path.write_bytes(path.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    return write_node


@pytest.mark.parametrize("threads", [1, 3])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(netgen.crew, "write_node", full_disk(2))
    rule = rf"^{tmp_path}/new/image/node_00002.bin: No space left on device$"
    assert_refused(tmp_path, one_projection(), rule, threads=threads)


def test_a_full_disk_leaves_the_older_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = networks.image(one_projection(), tmp_path / "image")
    with monkeypatch.context() as patch:
        patch.setattr(netgen.crew, "write_node", full_disk(0))
        with pytest.raises(InvalidInputError, match="No space left on device"):
            networks.image(one_projection(), tmp_path / "image", seed=2)

        def no_manifest(directory: Path, content: dict[str, Any]) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(directory / "manifest.json"))

        patch.undo()
        patch.setattr(netgen.build, "write_manifest", no_manifest)
        with pytest.raises(InvalidInputError, match=rf"^{tmp_path}/image/manifest.json: No space"):
            networks.image(one_projection(), tmp_path / "image", seed=2)
    assert open_image(tmp_path / "image").digest == older.digest
    assert sorted(tmp_path.iterdir()) == [tmp_path / "image"]
    newer = networks.image(one_projection(), tmp_path / "image", seed=2)
    assert newer.digest != older.digest
    assert sorted(tmp_path.iterdir()) == [tmp_path / "image"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(netgen.crew, "write_node", interrupted)
    with pytest.raises(KeyboardInterrupt):
        networks.image(one_projection(), tmp_path / "new" / "image", threads=2)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_destinations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="Not a directory"):
        networks.image(one_projection(), tmp_path / "file" / "image")
    with pytest.raises(InvalidInputError, match="exists and is not a directory"):
        networks.image(one_projection(), tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    with pytest.raises(InvalidInputError, match="was not written by csnn"):
        networks.image(one_projection(), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "mine"]


# What is written.


def everything(tmp_path: Path) -> Network:
    """Return a network with all samplers, mixed inputs and an edge list."""
    edges = networks.edge_network(tmp_path, "fitted")
    return networks.network(
        networks.projection("E", "E", networks.RULES["fixed_total_number"], autapses=False),
        networks.projection("E", "E", networks.RULES["one_to_one"]),
        networks.projection("E", "I", networks.RULES["fixed_indegree"]),
        networks.projection("I", "E", networks.RULES["pairwise_bernoulli"]),
        edges=edges.edges,
    )


def test_an_image_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    network = everything(tmp_path)
    images = [
        networks.image(
            network, tmp_path / f"image{k}", seed=seed, threads=threads, random_delay_buffer=True
        )
        for k, (seed, threads) in enumerate([(7, 1), (7, 2), (7, 5), (8, 2)])
    ]
    first = images[0]
    files = sorted(first.manifest["files"])
    for image in images[1:3]:
        assert image.digest == first.digest
        for name in files:
            assert sha256(image.path / name) == sha256(first.path / name)
        rest = [{k: v for k, v in i.manifest.items() if k != "generate_s"} for i in (first, image)]
        assert rest[0] == rest[1]
    assert images[3].digest != first.digest
    assert all(
        sha256(images[3].path / name) != sha256(first.path / name)
        for name in files
        if name.startswith("node_")
    )


@pytest.mark.parametrize("autapses", [True, False])
def test_sums_are_those_of_the_unrolled_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autapses: bool
) -> None:
    network = networks.network(
        networks.projection(
            "E", "E", FixedTotalNumber(count=2000), weight=Normal(mu=5.0, sigma=20.0)
        ),
        networks.projection("E", "E", networks.RULES["fixed_total_number"], autapses=autapses),
        networks.projection("E", "E", networks.RULES["fixed_outdegree"], multapses=False),
        networks.projection("E", "E", networks.RULES["fixed_indegree"], autapses=autapses),
        networks.projection("E", "I", networks.RULES["fixed_indegree"]),
    )
    image = networks.image(network, tmp_path / "image")
    compiled = [weight_sums(node) for node in image.nodes]
    edges = export_edges(image)
    grid = image.manifest["weight_grid"]
    for node, sums in zip(image.nodes, compiled, strict=True):
        for kind, sign in enumerate((1.0, -1.0)):
            for neuron in (0, node.n_neurons - 1):
                of = (edges.target == node.first_neuron + neuron) & (sign * edges.weight > 0)
                assert sums[kind, neuron] * grid == abs(edges.weight[of].sum())
    assert image.manifest["largest_sum_units"] == max(int(sums.max()) for sums in compiled)
    monkeypatch.setattr(netgen.sums, "compiled_rows", lambda: None)
    for node, sums in zip(image.nodes, compiled, strict=True):
        assert np.array_equal(weight_sums(node), sums)


def test_networks_without_synapses(tmp_path: Path) -> None:
    empty = networks.network(
        networks.projection("E", "I", FixedTotalNumber(count=0)),
        networks.projection("E", "E", FixedIndegree(indegree=0)),
        populations=(networks.population("E", 5), networks.population("I", 2, poisson=None)),
    )
    for number, network in enumerate((empty, networks.driven(5))):
        image = networks.image(network, tmp_path / f"image{number}", random_delay_buffer=True)
        assert image.manifest["synapses"] == 0
        assert image.manifest["largest_sum_units"] == 0
        assert all(len(node.blocks) == 0 for node in open_image(image.path).nodes)
        assert len(export_edges(image)) == 0


def test_a_single_neuron(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "E", FixedTotalNumber(count=3), delay=Constant(value=0.1)),
        populations=(networks.population("E", 1),),
    )
    image = networks.image(network, tmp_path / "image")
    assert (image.n_nodes, image.n_neurons) == (1, 1)
    edges = export_edges(image)
    assert edges.target.tolist() == [0, 0, 0]
    assert edges.delay_ms.tolist() == [0.1] * 3


@pytest.mark.parametrize(("size", "nodes"), [(255, [255]), (256, [256]), (257, [129, 128])])
def test_nodes_hold_at_most_256_neurons(tmp_path: Path, size: int, nodes: list[int]) -> None:
    network = networks.network(
        networks.projection("E", "E", AllToAll(), weight=Constant(value=1.0)),
        populations=(networks.population("E", size),),
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    assert [node.n_neurons for node in image.nodes] == nodes
    assert image.manifest["synapses"] == size * size
    edges = export_edges(image)
    pairs = edges.source.astype(np.int64) * size + edges.target
    assert np.array_equal(np.sort(pairs), np.arange(size * size))
    # Lengths of 256 need two bytes.
    assert image.nodes[0].length.dtype.itemsize == (2 if max(nodes) == 256 else 1)


def test_weights_of_both_signs(tmp_path: Path) -> None:
    distribution = Normal(mu=10.0, sigma=40.0)
    network = networks.network(
        networks.projection("E", "E", FixedTotalNumber(count=40_000), weight=distribution)
    )
    image = networks.image(network, tmp_path / "image", random_delay_buffer=True)
    weight = export_edges(image).weight
    assert abs(weight.mean() - 10.0) < 4 * 40.0 / math.sqrt(40_000)
    assert abs(weight.std() / 40.0 - 1.0) < 0.02
    assert abs((weight < 0).mean() - 0.4013) < 0.01
    for node in image.nodes:
        sums = weight_sums(node)
        assert sums.min() >= 0
        # Both types of synapse fill the initial buffer of E.
        if node.population == 0:
            assert node.delay_buffer[:, 0].any()
            assert node.delay_buffer[:, 1].any()


def test_two_projections_between_the_same_populations(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "E", FixedTotalNumber(count=700), weight=Constant(value=20.0)),
        networks.projection(
            "E",
            "E",
            FixedIndegree(indegree=35),
            weight=Constant(value=-50.0),
            delay=Constant(value=1.5),
        ),
    )
    image = networks.image(network, tmp_path / "image")
    edges = export_edges(image)
    assert image.manifest["synapses_by_projection"] == {"E->E": 700 + 35 * 61}
    assert (edges.weight == 20.0).sum() == 700
    second = edges.weight == -50.0
    assert (edges.delay_ms[second] == 1.5).all()
    assert (np.bincount(edges.target[second], minlength=61)[:61] == 35).all()
    assert len(image.nodes[0].weight_tables) == 2
    assert [entry["projection"] for entry in image.manifest["fidelity"]] == ["E->E", "E->E"]


def test_input_changes_become_epochs(tmp_path: Path) -> None:
    image = networks.image(networks.changing_inputs(), tmp_path / "image")
    excitatory, inhibitory = image.nodes[0], image.nodes[-1]
    # Poisson changes at 1.0, 2.45 and 3.0 ms, direct current at 0.3 and 2.45 ms: a change is in
    # force from the first step that begins at its time or later; step k begins at (k - 1) dt.
    assert excitatory.schedule["first_step"].tolist() == [1, 4, 11, 26, 31]
    none = layout.NO_EXT_TABLE
    assert excitatory.schedule["ext_table"].tolist() == [0, 0, none, 1, 0]
    assert len(excitatory.ext_tables) == 2
    P20 = 10.0 / 250.0 * -math.expm1(-0.01)
    wanted = np.float32([100.0 * P20, -200.0 * P20, -200.0 * P20, 400.0 * P20, 400.0 * P20])
    assert excitatory.schedule["dc"].tolist() == wanted.tolist()
    assert inhibitory.schedule["first_step"].tolist() == [1, 16]
    assert inhibitory.schedule["ext_table"].tolist() == [none, none]
    assert inhibitory.schedule["dc"].tolist() == [0.0, float(np.float32(900.0 * P20))]


def test_initial_state_has_its_distribution(tmp_path: Path) -> None:
    network = networks.driven(
        5000,
        neuron=LifNeuron(E_L_mV=-70.0),
        V_init_mV=Normal(mu=-60.0, sigma=3.0),
        I_ex_init_pA=Constant(value=8.0),
        I_in_init_pA=Constant(value=-4.0),
    )
    image = networks.image(network, tmp_path / "image", neurons_per_node=256)
    words = np.concatenate([node.state for node in image.nodes], axis=1).view(np.float32)
    assert abs(words[0].mean() - 10.0) < 4 * 3.0 / math.sqrt(5000)
    assert abs(words[0].std() - 3.0) < 0.2
    grid = image.manifest["weight_grid"]
    assert np.unique(words[1]).tolist() == [8.0 / grid]
    assert np.unique(words[2]).tolist() == [4.0 / grid]


def test_random_delay_buffer_has_the_expected_input(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "E", FixedTotalNumber(count=900)),
        networks.projection("I", "E", FixedTotalNumber(count=150)),
        populations=(
            networks.population("E", networks.E_SIZE),
            networks.population("I", networks.I_SIZE, expected_rate_hz=50.0),
        ),
    )
    plain = networks.image(network, tmp_path / "plain")
    image = networks.image(network, tmp_path / "image", random_delay_buffer=True)
    buffers = {kind: [] for kind in range(2)}
    expected = {kind: [] for kind in range(2)}
    for node, without in zip(image.nodes, plain.nodes, strict=True):
        assert without.delay_buffer.size == 0
        assert node.delay_buffer.shape == (64, 2, node.n_neurons)
        sums = weight_sums(node)
        assert (node.delay_buffer <= sums).all()
        if node.population == 0:
            for kind in range(2):
                # Sources spike 200 (E) and 50 (I) times per second: 2 and 0.5 % in 0.1 ms.
                buffers[kind].append(node.delay_buffer[:, kind].mean())
                expected[kind].append((0.02, 0.005)[kind] * sums[kind].mean())
    for kind in range(2):
        assert np.mean(buffers[kind]) == pytest.approx(np.mean(expected[kind]), rel=0.05)
    # The bound counts what is under way already.
    worst = max(int((weight_sums(n) + n.delay_buffer.max(axis=0)).max()) for n in image.nodes)
    assert image.manifest["largest_sum_units"] == worst > plain.manifest["largest_sum_units"]


def test_load_partition_gives_busy_populations_more_nodes(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "I", AllToAll()),
        populations=(networks.population("E", 40), networks.population("I", 40)),
    )
    image = networks.image(network, tmp_path / "image", partition="load", n_nodes=7)
    assert [p["nodes"] for p in image.manifest["populations"]] == [2, 5]
    assert [node.n_neurons for node in image.nodes] == [20, 20, 8, 8, 8, 8, 8]
    assert image.manifest["expected_load_hz"]["max"] == 8 * 40 * 200.0
    equal = networks.image(network, tmp_path / "equal")
    assert equal.manifest["expected_load_hz"]["max"] == 20 * 40 * 200.0


def test_manifest_accounts_for_everything(tmp_path: Path) -> None:
    network = everything(tmp_path)
    image = networks.image(network, tmp_path / "image")
    manifest = json.loads((image.path / "manifest.json").read_text())
    assert manifest == image.manifest
    n = int(sum(node.length.sum(dtype=np.int64) for node in image.nodes))
    assert manifest["synapses"] == n == sum(manifest["synapses_by_projection"].values())
    assert n == sum(manifest["synapses_by_sampler"].values())
    assert manifest["synapses_by_projection"]["edges"] == 1500
    assert manifest["explicit_bytes"] == n * 46 // 8
    assert manifest["node_bytes"] == image.node_bytes
    by_sampler = {name.name.lower(): 0 for name in Sampler}
    for node in image.nodes:
        for index, entry in enumerate(node.blocks):
            name = Sampler(int(entry["sampler"])).name.lower()
            by_sampler[name] += int(node.rows(index)[2].sum(dtype=np.int64))
    assert manifest["synapses_by_sampler"] == by_sampler
    assert manifest["edge_fit"]["representation"] == "fitted"
    rules = {(p["source"], p["target"]) for p in manifest["edge_fit"]["pairs"]}
    assert rules == {("E", "E"), ("E", "I"), ("I", "E"), ("I", "I")}


def test_fidelity_of_delays_is_measured_against_whole_steps(tmp_path: Path) -> None:
    delay = Normal(mu=1.5, sigma=0.75, minimum=0.05)
    image = networks.image(one_projection(delay=delay), tmp_path / "image")
    (entry,) = image.manifest["fidelity"]
    k = np.arange(1, 65)
    p = delay.cdf((k + 0.5) * 0.1) - delay.cdf((k - 0.5) * 0.1)
    mean = float(k @ p / p.sum()) * 0.1
    assert entry["delay"]["target_mean"] == pytest.approx(mean, rel=1e-12)
    assert entry["delay_unrounded"]["target_mean"] == pytest.approx(delay.mean(), rel=1e-12)
    # Rounding to steps is no error of the table, but shows in the plain number.
    assert entry["delay"]["mean_error"] < 1e-6
    assert entry["delay"]["variance_error"] < 1e-6
    assert entry["delay"]["ks_distance"] < 1e-6
    assert 0.02 < entry["delay_unrounded"]["ks_distance"] < 0.03
    assert entry["delay_unrounded"]["variance_error"] > 1e-4
    for moments in (entry["weight"], entry["delay"]):
        assert moments["mean_error"] <= 1e-3
        assert moments["variance_error"] <= 1e-3


def test_the_sum_bound_error_is_an_input_error() -> None:
    assert issubclass(GridTooFineError, InvalidInputError)
    assert GridTooFineError.exit_code == 3
