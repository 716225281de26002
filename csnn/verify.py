"""Verification of a node's hardware against the definition, on the traffic of its network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from csnn.errors import CsnnError, InvalidInputError, reject
from csnn.files import atomic_file, reported, sha256
from csnn.hardware import devices
from csnn.hardware.config import NodeConfig
from csnn.image.store import Image, open_image
from csnn.progress import progress
from csnn.simulator.session import make_simulator, whole_steps
from csnn.simulator.state import MachineState, load_checkpoint, save_checkpoint
from csnn.validation.replay import Device, Mismatch, Replay, Replayer

U32 = npt.NDArray[np.uint32]

SCHEMA = "csnn-replay"
VERSION = 1
RECORD, CHECKPOINT, TRAFFIC, WAVEFORM = (
    "replay.json",
    "checkpoint.npz",
    "spikes.npz",
    "waveform.vcd",
)
# The waveform begins so many steps before the one that differs, and ends with it.
STEPS_BEFORE = 2
STALL_RATE = 0.1


class Recorder(Device, Protocol):
    """A device that can write waveforms."""

    def record(self, path: Path | None) -> None:
        """Write a waveform to `path` from here on; None ends it."""


MakeDevice = Callable[[NodeConfig, bool], Recorder]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What the machine broadcasts from a given state on.

    Attributes
    ----------
    state : MachineState
        Where the replay starts.
    spikes : tuple of ndarray of uint32
        Sources of each step.
    """

    state: MachineState
    spikes: tuple[U32, ...]


def record_traffic(image: Image, *, warmup_ms: float, steps: int, threads: int) -> Traffic:
    """Simulate the network and keep the state after the warm-up and the spikes after it."""
    warmup = whole_steps("run", "warmup_ms", warmup_ms, image.dt_ms)
    with progress(None, "load and compile"):
        simulator = make_simulator(image, threads=threads)
        simulator.run(0)
    with progress(None, "simulate the network"):
        simulator.run(warmup)
        state = simulator.state()
        recording = simulator.run(steps)
    ends = np.searchsorted(recording.step, np.arange(warmup + 1, warmup + steps + 2))
    spikes = tuple(recording.source[ends[i] : ends[i + 1]] for i in range(steps))
    return Traffic(state=state, spikes=spikes)


def verify_node(
    image: Image,
    node: int,
    traffic: Traffic,
    make_device: MakeDevice,
    *,
    seed: int = 1,
    out: Path | None = None,
    target: devices.Device = devices.DEVICES["xc7z045"],
) -> Replay:
    """Replay traffic in a node's hardware and compare every bit.

    Parameters
    ----------
    image : Image
    node : int
        Number of the node.
    traffic : Traffic
    make_device : callable
        Makes a device of a configuration; the second argument asks for waveforms.
    seed : int
        Of the idle cycles between packets and of back-pressure.
    out : Path, optional
        Where a mismatch is laid down, with a waveform; checked before anything runs. If it cannot
        be written all the same, `not_laid_down` of the result says why.
    target : devices.Device
        What the node is built for: its operators are.

    Raises
    ------
    InvalidInputError
        If there is no such node, or `out` is no folder and can be none.
    """
    if not 0 <= node < image.n_nodes:
        raise reject("--node", node, f"must be from 0 to {image.n_nodes - 1}")
    if out is not None:
        _require_folder(out)
    config = NodeConfig.for_nodes(image.nodes, target.operators)
    with progress(None, "build the hardware"):
        device = make_device(config, False)
    result = _replay(image, node, config, device, traffic, seed, len(traffic.spikes))
    if result.mismatch is not None and out is not None:
        steps = result.steps
        # What was found is told whatever happens to the files.
        try:
            with reported(out):
                _lay_down(out, image, node, traffic, seed, target, result.mismatch)
                with progress(None, "build the hardware for the waveform"):
                    device = make_device(config, True)
                _replay(image, node, config, device, traffic, seed, steps, waveform=out / WAVEFORM)
        except CsnnError as error:
            result = replace(result, not_laid_down=str(error))
    return result


def _require_folder(path: Path) -> None:
    """Raise InvalidInputError if `path` is neither a folder that can be written nor can be made."""
    existing = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not existing.is_dir():
        raise InvalidInputError(f"{path}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InvalidInputError(f"{path}: {existing} cannot be written")


def _replay(
    image: Image,
    node: int,
    config: NodeConfig,
    device: Recorder,
    traffic: Traffic,
    seed: int,
    steps: int,
    waveform: Path | None = None,
) -> Replay:
    gaps = np.random.default_rng(seed)
    with progress(None, "load the node"):
        replayer = Replayer(
            image, node, config, device, traffic.state, gaps=gaps, stall_rate=STALL_RATE
        )
    cycles: list[int] = []
    mismatch: Mismatch | None = None
    with progress(steps, f"replay node {node}", "steps") as bar:
        for index in range(steps):
            if waveform is not None and index == max(0, steps - 1 - STEPS_BEFORE):
                device.record(waveform)
            mismatch, used = replayer.advance(traffic.spikes[index])
            cycles.append(used)
            bar.update(1)
            if mismatch is not None:
                break
        else:
            mismatch = replayer.finish()
    if waveform is not None:
        device.record(None)
    return Replay(
        mismatch,
        len(cycles),
        np.array(cycles, dtype=np.int64),
        replayer.spikes,
        replayer.synapses,
        replayer.digests,
    )


def _lay_down(
    out: Path,
    image: Image,
    node: int,
    traffic: Traffic,
    seed: int,
    target: devices.Device,
    mismatch: Mismatch,
) -> None:
    """Write what is needed to replay a mismatch."""
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out / CHECKPOINT, traffic.state, image)
    counts = np.array([len(sources) for sources in traffic.spikes], dtype=np.int64)
    with atomic_file(out / TRAFFIC) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, counts=counts, sources=np.concatenate(traffic.spikes))
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "image": str(image.path.resolve()),
        "image_digest": image.digest,
        "node": node,
        "seed": seed,
        "device": target.name,
        "mismatch": str(mismatch),
        "step": mismatch.step,
    }
    record["sha256"] = {name: sha256(out / name) for name in (CHECKPOINT, TRAFFIC)}
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def open_replay(
    folder: Path, image_path: str | Path | None = None
) -> tuple[Image, int, int, Traffic, devices.Device]:
    """Return image, node, seed, traffic and device of a replay that was laid down.

    Parameters
    ----------
    folder : Path
    image_path : str or Path, optional
        Where the image is now; where it was without it.

    Raises
    ------
    InvalidInputError
        If the folder holds none, or one that is damaged or of another image.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA or record["version"] != VERSION:
            raise ValueError("schema or version")
        image_path = image_path or str(record["image"])
        node, seed = int(record["node"]), int(record["seed"])
        for name in (CHECKPOINT, TRAFFIC):
            if sha256(folder / name) != record["sha256"][name]:
                raise ValueError(f"{name} was altered")
        target = devices.DEVICES[record["device"]]
        with np.load(folder / TRAFFIC, allow_pickle=False) as data:
            counts, sources = np.asarray(data["counts"]), np.asarray(data["sources"])
        if counts.ndim != 1 or not len(counts) or counts.min() < 0:
            raise ValueError("counts")
        if counts.sum() != len(sources) or sources.dtype != np.uint32:
            raise ValueError("sources")
        if seed < 0:
            raise ValueError("seed")
    except Exception as error:
        raise InvalidInputError(f"{folder}: cannot be read as a replay ({error})") from None
    image = open_image(image_path)
    if image.digest != record["image_digest"]:
        raise InvalidInputError(f"{folder}: belongs to another image than {image_path}")
    if not 0 <= node < image.n_nodes:
        raise InvalidInputError(f"{folder}: {image_path} has no node {node}")
    if len(sources) and sources.max() >= image.n_neurons:
        raise InvalidInputError(f"{folder}: a source is not a neuron of {image_path}")
    state = load_checkpoint(folder / CHECKPOINT, image)
    spikes = tuple(np.split(sources, np.cumsum(counts)[:-1]))
    return image, node, seed, Traffic(state=state, spikes=spikes), target


def summary(result: Replay, dt_ms: float) -> Iterator[str]:
    """Yield what a replay found, for people."""
    if result.mismatch is not None:
        yield f"mismatch at {result.mismatch}"
    yield (
        f"{result.steps:,} steps ({result.steps * dt_ms:g} ms), {result.spikes:,} spikes, "
        f"{result.synapses:,} synapses" + ("" if result.mismatch else ": bit-exact")
    )
    cycles = result.answered
    if len(cycles):
        yield (
            f"cycles from sync to barrier: mean {cycles.mean():.1f}, largest {cycles.max()} "
            "(with drawn gaps between packets and drawn stalls)"
        )
    if result.digests:
        yield f"read back: {len(result.digests)} memories; recorded: all {result.spikes:,} spikes"
