"""A node's RTL replays the traffic of its network, bit by bit; planted faults are found."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import networks
import numpy as np
import numpy.typing as npt
import pytest
from commands import csnn

from csnn.errors import InvalidInputError, ToolFailedError
from csnn.hardware.config import NodeConfig
from csnn.hardware.devices import DEVICES
from csnn.hardware.memory_map import Region, Words
from csnn.hardware.registers import OFFSETS, STATUS_BITS
from csnn.image.store import Image
from csnn.packets import Kind
from csnn.rows import Sampler
from csnn.simulator.state import initial_state
from csnn.spec.network import AllToAll, FixedIndegree, FixedOutdegree
from csnn.validation.replay import Replayer
from csnn.verify import STALL_RATE, Traffic, open_replay, record_traffic, summary, verify_node
from rtl.node_simulation import Exchange, NodeSimulation

U32 = npt.NDArray[np.uint32]
LANES, SLOTS = 2, 16
STEPS = 100
ROUTER_IDLE = next(1 << bit.position for bit in STATUS_BITS if bit.name == "router_idle")


def image_of(name: str, folder: Path) -> Image:
    """Return the image of a network, with lanes and slots that all of them share."""
    settings = {"ext_lanes": LANES, "delay_slots": SLOTS}
    if name in networks.RULES:
        network = networks.rule_network(name, True, True)
        settings["row_layout"] = "sparse"
    elif name.endswith("-distinct"):
        network = networks.rule_network(name.removesuffix("-distinct"), False, False)
        settings["row_layout"] = "dense"
    elif name == "stubs":
        network = networks.network(
            networks.projection("E", "E", FixedIndegree(indegree=40)),
            networks.projection("E", "I", FixedIndegree(indegree=35)),
            networks.projection("I", "E", FixedIndegree(indegree=33)),
        )
    elif name in ("stored", "fitted"):
        network = networks.edge_network(folder, name)
    elif name == "inputs":
        network = networks.changing_inputs()
    else:
        assert name == "initial-buffer"
        network = networks.network(networks.projection("E", "E", AllToAll()))
        settings["random_delay_buffer"] = True
    return networks.image(network, folder / name, **settings)


NAMES = (
    *networks.RULES,
    "fixed_total_number-distinct",
    "pairwise_bernoulli-distinct",
    "fixed_outdegree-distinct",
    "stubs",
    "stored",
    "fitted",
    "inputs",
    "initial-buffer",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    folder = tmp_path_factory.mktemp("images")
    return {name: image_of(name, folder) for name in NAMES}


@pytest.fixture(scope="module")
def config(images: dict[str, Image]) -> NodeConfig:
    """Return one hardware for the nodes of all images."""
    nodes = [node for image in images.values() for node in image.nodes]
    config = NodeConfig.for_nodes(nodes)
    assert set(config.samplers) == set(Sampler)
    return dataclasses.replace(config, neurons=32, event_fifo=32)


def make_device(config: NodeConfig, waveforms: bool) -> NodeSimulation:
    return NodeSimulation(config, waveforms=waveforms)


@pytest.fixture
def device(config: NodeConfig) -> NodeSimulation:
    simulation = NodeSimulation(config)
    simulation.reset()
    return simulation


def replayed(
    image: Image, node: int, config: NodeConfig, device: NodeSimulation, *, warmup_ms: float = 3.0
) -> Replayer:
    """Replay STEPS steps of a node and return the replayer, at its end."""
    traffic = record_traffic(image, warmup_ms=warmup_ms, steps=STEPS, threads=1)
    assert sum(map(len, traffic.spikes)) > 20
    replayer = Replayer(
        image,
        node,
        config,
        device,
        traffic.state,
        gaps=np.random.default_rng(node),
        stall_rate=STALL_RATE,
    )
    for sources in traffic.spikes:
        mismatch, _ = replayer.advance(sources)
        assert mismatch is None, str(mismatch)
    mismatch = replayer.finish()
    assert mismatch is None, str(mismatch)
    return replayer


@pytest.mark.parametrize("name", NAMES)
def test_every_node_of_a_network(
    images: dict[str, Image], config: NodeConfig, device: NodeSimulation, name: str
) -> None:
    """The same hardware is loaded anew for node after node."""
    image = images[name]
    spikes = synapses = 0
    for node in range(image.n_nodes):
        replayer = replayed(image, node, config, device)
        spikes += replayer.get("spikes_sent")
        synapses += replayer.get("synapses")
    assert spikes > 20
    assert synapses > 100


def test_from_the_initial_state(
    images: dict[str, Image], config: NodeConfig, device: NodeSimulation
) -> None:
    image = images["initial-buffer"]
    replayed(image, 0, config, device, warmup_ms=0.0)
    assert initial_state(image).delay_buffer.any()


def test_saturation_sticks(images: dict[str, Image], config: NodeConfig) -> None:
    """With a low limit, words of the circular buffer saturate alike, and the flag tells so."""
    limit = 2**9
    lowered = dataclasses.replace(config, sum_limit=limit)
    image = images["all_to_all"]
    start = initial_state(image)
    device = NodeSimulation(lowered)
    replayer = Replayer(image, 1, lowered, device, start, sum_limit=limit)
    every = np.arange(image.n_neurons, dtype=np.uint32)
    for sources in (every[:0], every, every, every[::2], every[:0]):
        assert replayer.advance(sources)[0] is None
    # The definition's flag and words are compared with the device's here.
    assert replayer.finish() is None
    assert replayer.get("status") >> 3 & 1


def test_a_halted_node_is_at_rest(
    images: dict[str, Image], config: NodeConfig, device: NodeSimulation
) -> None:
    """Halted amid many spikes it says so when their synapses are in the buffer, not before."""
    image = images["all_to_all"]
    replayer = Replayer(image, 0, config, device, initial_state(image))
    nobody = np.empty(0, np.uint32)
    assert replayer.advance(nobody)[0] is None
    every = np.arange(image.n_neurons, dtype=np.uint32)
    packets = np.zeros((len(every), 3), dtype=np.uint32)
    packets[:, 0], packets[:, 1], packets[:, 2] = Kind.SPIKE << 24, every, replayer.step
    device.exchange(packets)
    replayer._reference.receive(every, replayer.step)
    replayer._handled += len(every)
    assert replayer.get("status") & ROUTER_IDLE == 0
    # Reads all memories as soon as the node says that it is halted.
    assert replayer.finish() is None


class Faulty(NodeSimulation):
    """Hardware that keeps one wrong bit in the first word of a region that is written."""

    region = Region.SEED
    bit = 0

    def write(self, words: Words) -> None:
        if words.region is self.region and len(words.value):
            value = words.value.copy()
            value[0] ^= np.uint32(1 << self.bit)
            words = dataclasses.replace(words, value=value)
        super().write(words)


# Where one wrong bit shows first; a later symptom follows from it.
FAULTS = {
    Region.BLOCKS: (0, "ss_"),
    Region.WEIGHT_TABLES: (31, ""),
    Region.DELAY_TABLES: (31, ""),
    Region.EXT_TABLES: (31, ""),
    Region.EXT_STATES: (0, "es"),
    Region.CONSTANTS: (0, "V"),
    Region.STATE: (0, "V"),
    Region.SOURCE_IDS: (0, "spike"),
    Region.SEED: (7, "ss_"),
    Region.DELAY_BUFFER: (0, "ss_"),
}


@pytest.fixture(scope="module")
def traffic(images: dict[str, Image]) -> Traffic:
    return record_traffic(images["fixed_total_number"], warmup_ms=3.0, steps=STEPS, threads=1)


@pytest.mark.parametrize("region", FAULTS)
def test_one_wrong_bit_is_found(
    images: dict[str, Image], config: NodeConfig, traffic: Traffic, region: Region
) -> None:
    image = images["fixed_total_number"]
    device = Faulty(config)
    device.region, (device.bit, signal) = region, FAULTS[region]
    replayer = Replayer(image, 0, config, device, traffic.state)
    found = None
    for sources in traffic.spikes:
        found, _ = replayer.advance(sources)
        if found is not None:
            break
    else:
        found = replayer.finish()
    assert found is not None
    assert found.signal.startswith(signal) or region.name in found.signal
    assert found.expected != found.found


class Losing(NodeSimulation):
    """Hardware that a spike does not reach."""

    steps = 0

    def exchange(self, packets: U32, **options: Any) -> Exchange:
        spikes = np.flatnonzero(packets[:, 0] >> np.uint32(24) == Kind.SPIKE)
        self.steps += bool(len(spikes))
        if len(spikes) and self.steps == 3:
            packets = np.delete(packets, spikes[0], axis=0)
            options["gaps"] = np.delete(options["gaps"], spikes[0])
        return super().exchange(packets, **options)


def test_a_node_that_stops_is_laid_down(
    images: dict[str, Image], traffic: Traffic, tmp_path: Path
) -> None:
    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        return Losing(config, waveforms=waveforms)

    result = verify_node(images["fixed_total_number"], 0, traffic, make, out=tmp_path / "out")
    assert result.mismatch is not None
    assert result.mismatch.signal == "register errors (no barrier message of the step)"
    # Both the count and the sum of the sync message tell of it.
    assert result.mismatch.found == 0b11
    assert (tmp_path / "out" / "waveform.vcd").stat().st_size > 0


class Silent(NodeSimulation):
    """Hardware that answers nothing any more, not even requests."""

    steps = 0

    def exchange(self, packets: U32, **options: Any) -> Exchange:
        self.steps += bool(np.any(packets[:, 0] >> np.uint32(24) == Kind.SYNC))
        if self.steps < 3:
            return super().exchange(packets, **options)
        raise ToolFailedError("the node did not answer")


def test_a_node_that_hangs_is_laid_down(
    images: dict[str, Image], traffic: Traffic, tmp_path: Path
) -> None:
    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        return Silent(config, waveforms=waveforms)

    result = verify_node(images["fixed_total_number"], 0, traffic, make, out=tmp_path / "out")
    assert result.mismatch is not None
    assert result.mismatch.step == traffic.state.step + 3
    signal = "barrier message of the step (nor does it answer requests)"
    assert (result.mismatch.signal, result.mismatch.expected, result.mismatch.found) == (
        signal,
        1,
        0,
    )
    assert (tmp_path / "out" / "waveform.vcd").stat().st_size > 0
    assert "nan" not in "".join(summary(result, 0.1))


def test_rows_of_more_than_255_synapses_on_an_ecp5(tmp_path: Path) -> None:
    network = networks.network(
        networks.projection("E", "E", FixedOutdegree(outdegree=900)),
        networks.projection("E", "I", FixedOutdegree(outdegree=300)),
    )
    image = networks.image(network, tmp_path / "image", ext_lanes=LANES, delay_slots=SLOTS)
    assert max(int(node.length.max()) for node in image.nodes) > 255
    traffic = record_traffic(image, warmup_ms=3.0, steps=STEPS, threads=1)
    target = DEVICES["lfe5u-85f"]
    for node in range(image.n_nodes):
        result = verify_node(image, node, traffic, make_device, target=target)
        assert result.mismatch is None, str(result.mismatch)
        assert result.synapses > 1_000


class Forgetful(NodeSimulation):
    """Hardware whose memory holds one wrong bit."""

    place = 0

    def memory(self, address: int, size: int) -> bytes:
        content = bytearray(super().memory(address, size))
        content[self.place] ^= 1
        return bytes(content)


@pytest.mark.parametrize(("place", "signal"), [(0, "step of record 0"), (12, "source of record 1")])
def test_one_wrong_bit_of_a_record_is_found(
    images: dict[str, Image], config: NodeConfig, traffic: Traffic, place: int, signal: str
) -> None:
    device = Forgetful(config)
    device.place = place
    replayer = Replayer(images["fixed_total_number"], 0, config, device, traffic.state)
    for sources in traffic.spikes:
        assert replayer.advance(sources)[0] is None
    found = replayer.finish()
    assert found is not None
    assert found.signal == signal


def test_a_mismatch_is_laid_down_and_replayed(
    images: dict[str, Image], traffic: Traffic, tmp_path: Path
) -> None:
    image = images["fixed_total_number"]

    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        return Faulty(config, waveforms=waveforms)

    result = verify_node(image, 0, traffic, make, out=tmp_path / "out")
    assert result.mismatch is not None
    first = traffic.state.step + 1
    assert first < result.mismatch.step <= first + STEPS
    again, node, seed, same, target = open_replay(tmp_path / "out")
    assert again.digest == image.digest
    assert all(np.array_equal(a, b) for a, b in zip(same.spikes, traffic.spikes, strict=True))
    repeated = verify_node(again, node, same, make, seed=seed, target=target)
    assert repeated.mismatch == result.mismatch
    # The waveform holds the step that differs and those before it: the register that counts.
    waveform = (tmp_path / "out" / "waveform.vcd").read_text()
    assert "$enddefinitions" in waveform
    for step in range(result.mismatch.step - 2, result.mismatch.step + 1):
        assert f"b{step:b} " in waveform.replace("b" + "0" * (32 - step.bit_length()), "b")


def test_a_mismatch_is_told_if_it_cannot_be_laid_down(
    images: dict[str, Image], traffic: Traffic, tmp_path: Path
) -> None:
    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        if waveforms:
            raise ToolFailedError("the compiler failed")
        return Faulty(config)

    result = verify_node(images["fixed_total_number"], 0, traffic, make, out=tmp_path / "out")
    assert result.mismatch is not None
    assert result.not_laid_down == "the compiler failed"


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_no_folder_for_a_mismatch_is_refused_before_anything_runs(
    images: dict[str, Image], traffic: Traffic, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("")

    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        raise AssertionError("built all the same")

    with pytest.raises(InvalidInputError, match="is not a directory"):
        verify_node(images["fixed_total_number"], 0, traffic, make, out=tmp_path / out)


class Miscounting(NodeSimulation):
    """Hardware of which one counter is wrong."""

    counter = ""

    def read(self, region: Region, offset: npt.ArrayLike) -> U32:
        words = super().read(region, offset)
        if region is Region.REGISTERS and np.array_equal(offset, OFFSETS[self.counter]):
            words = words ^ np.uint32(1 << 24)
        return words


@pytest.mark.parametrize("counter", ["steps", "spikes_sent", "spikes_handled", "synapses"])
def test_a_wrong_counter_is_found(
    images: dict[str, Image], config: NodeConfig, traffic: Traffic, counter: str
) -> None:
    device = Miscounting(config)
    device.counter = counter
    replayer = Replayer(images["fixed_total_number"], 0, config, device, traffic.state)
    for sources in traffic.spikes[:5]:
        assert replayer.advance(sources)[0] is None
    found = replayer.finish()
    assert found is not None
    assert found.signal == f"register {counter}"


def test_the_first_step_is_timed_without_the_loading(
    images: dict[str, Image], config: NodeConfig, device: NodeSimulation
) -> None:
    image = images["fixed_total_number"]
    replayer = Replayer(image, 0, config, device, initial_state(image))
    nobody = np.empty(0, np.uint32)
    cycles = [replayer.advance(nobody)[1] for _ in range(3)]
    # An epoch of the input begins with the first step: 5 cycles, as `Control` says.
    assert list(image.nodes[0].schedule["first_step"]) == [1]
    assert cycles[0] - 5 == cycles[1] == cycles[2]


@pytest.fixture
def laid_down(images: dict[str, Image], traffic: Traffic, tmp_path: Path) -> Path:
    def make(config: NodeConfig, waveforms: bool) -> NodeSimulation:
        return Silent(config, waveforms=waveforms)

    verify_node(images["fixed_total_number"], 0, traffic, make, out=tmp_path / "out")
    return tmp_path / "out"


def test_a_damaged_replay_is_refused(laid_down: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be read as a replay"):
        open_replay(tmp_path)
    for name in ("spikes.npz", "checkpoint.npz"):
        content = (laid_down / name).read_bytes()
        (laid_down / name).write_bytes(content + b"x")
        with pytest.raises(InvalidInputError, match=f"{name} was altered"):
            open_replay(laid_down)
        (laid_down / name).write_bytes(content)
    record = json.loads((laid_down / "replay.json").read_text())
    for changes, message in (
        ({"seed": -5}, "seed"),
        ({"node": 99}, "has no node 99"),
        ({"image_digest": "0"}, "another image"),
    ):
        (laid_down / "replay.json").write_text(json.dumps(record | changes))
        with pytest.raises(InvalidInputError, match=message):
            open_replay(laid_down)


def test_a_replay_goes_with_an_image_that_was_moved(
    images: dict[str, Image], laid_down: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(images["fixed_total_number"].path, tmp_path / "moved")
    record = json.loads((laid_down / "replay.json").read_text())
    (laid_down / "replay.json").write_text(json.dumps(record | {"image": "nowhere"}))
    with pytest.raises(InvalidInputError, match="nowhere"):
        open_replay(laid_down)
    assert open_replay(laid_down, moved)[0].path == moved


def test_command_line(images: dict[str, Image]) -> None:
    path = str(images["stored"].path)
    done = csnn("verify", "rtl", path, "--node", "1", "--steps", "40", "--warmup-ms", "2", "--json")
    assert done.code == 0
    assert done.json["bit_exact"] is True
    assert done.json["steps"] == 40
    assert {"registers", "seed", "synapses", "delay_buffer"} <= set(done.json["digests"])
    for arguments, message in (
        ((path, "--node", "99"), "verify.node = 99: must be an integer from 0 to 3"),
        ((path, "--steps", "0"), "verify.steps = 0: must be an integer from 1 to 10000000"),
        ((), "verify rtl: needs IMAGE or --replay DIR"),
        ((path, "--replay", "x", "--node", "1"), "--replay = 'x': excludes node"),
        ((path, "--threads", "0"), "run.threads = 0: must be an integer from 1 to 256"),
    ):
        done = csnn("verify", "rtl", *arguments)
        assert (done.code, done.err.strip()) == (3, f"csnn: {message}")
