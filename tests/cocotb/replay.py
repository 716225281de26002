"""Replay of a network's traffic in a node, all of it inside a cocotb simulation.

    python tests/cocotb/replay.py IMAGE --node 0 --steps 2000

prints cycles, seconds and cycles per second of the replay, loading of the node included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import simulator

from csnn.cache import cache_folder
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import Region, Words, node_words
from csnn.hardware.recorder import RECORD
from csnn.hardware.registers import OFFSETS
from csnn.image.node import NodeImage
from csnn.image.store import Image, open_image
from csnn.neurons.registry import MODELS
from csnn.packets import Kind, encode, packet_words, spike_sum
from csnn.simulator.plain import Node as ReferenceNode
from csnn.simulator.state import with_state
from csnn.spec.machine import SUM_LIMIT_UNITS
from csnn.verify import Traffic, record_traffic
from rtl.gated_clock import gate_clock
from rtl.node import Node
from rtl.ode_unit import PIPELINE_ENABLE
from rtl.verilog import cached_verilog

U32 = npt.NDArray[np.uint32]
PORTS = ("rst", "entries", "expected", "fault_cycle", "done", "cycles", "sent", "recorded")
RESULT = "result.json"
NEVER = 2**32 - 1
# As many packets and records as the bench has room for.
_ROOM = 1 << 19
# Long enough for the router to finish the spikes of the last step.
_SETTLING = 60_000


@dataclass(frozen=True)
class Script:
    """What is offered to the node, and what it must answer.

    Attributes
    ----------
    waits : ndarray of bool, shape (n,)
        Whether the packet waits for the barrier message of the step before.
    gaps : ndarray of uint32, shape (n,)
        Idle cycles before the packet.
    packets : ndarray of uint32, shape (n, 3)
    answers : ndarray of uint32, shape (m, 3)
    records : ndarray of `RECORD`, shape (r,)
        What the node must record.
    """

    waits: npt.NDArray[np.bool_]
    gaps: U32
    packets: U32
    answers: U32
    records: npt.NDArray[np.void]


def script(
    image: Image, node: int, config: NodeConfig, traffic: Traffic, rng: np.random.Generator
) -> Script:
    """Return the script of a replay: load, all steps, halt, read everything back.

    The answers come from the plain simulator.
    """
    start = with_state(image.nodes[node], traffic.state)
    reference = ReferenceNode(
        image.nodes[node], MODELS[start.model], traffic.state, SUM_LIMIT_UNITS
    )
    entries = [(False, 0, words) for words in map(_written, node_words(config, start))]
    step = traffic.state.step
    settings = {"recorder_page": 0, "recorder_size": _ROOM, "step": step, "control": 3}
    entries += [(False, 0, _register(name, value)) for name, value in settings.items()]
    answers: list[U32] = []
    records: list[tuple[int, int]] = []
    before = np.empty(0, np.uint32)
    for sources in traffic.spikes:
        sync = {"count": len(before), "step": step & 63, "sum": spike_sum(before, step)}
        step += 1
        entries += [
            (True, 3, packet_words(encode(Kind.SYNC, **sync))[np.newaxis]),
            (False, 32, _packets(Kind.SPIKE, sources, step)),
        ]
        spikes = reference.compute(step)
        reference.receive(sources, step)
        barrier = {"count": len(spikes), "step": step & 63, "sum": spike_sum(spikes, step)}
        answers += [
            _packets(Kind.AER, spikes, step),
            packet_words(encode(Kind.BARRIER, node=start.node, **barrier))[np.newaxis],
        ]
        records += [(step, source) for source in spikes.tolist()]
        before = sources
    entries.append((True, _SETTLING, _register("control", 0)))
    found = {
        "errors": 0,
        "step": step,
        "synapses": reference.router.events,
        "recorded": len(records),
    }
    for name, value in found.items():
        word = Words(Region.REGISTERS, _u32(OFFSETS[name]), _u32(value))
        entries.append((False, _SETTLING if name == "errors" else 0, _asked(word)))
        answers.append(_answered(word))
    for words in node_words(config, _now(start, reference)):
        entries.append((False, 0, _asked(words)))
        answers.append(_answered(words))
    packets = [packets for _, _, packets in entries]
    waits = np.concatenate([np.arange(len(packets)) < int(waits) for waits, _, packets in entries])
    gaps = np.concatenate([_gaps(rng, gap, len(packets)) for _, gap, packets in entries])
    return Script(
        waits,
        gaps,
        np.concatenate(packets),
        np.concatenate(answers),
        np.array(records, dtype=RECORD),
    )


def _gaps(rng: np.random.Generator, gap: int, count: int) -> U32:
    if gap == _SETTLING:
        return np.full(count, gap, np.uint32)
    return rng.integers(0, gap + 1, count).astype(np.uint32)


def _now(start: NodeImage, reference: ReferenceNode) -> NodeImage:
    """Return the memories of a node as they are after the reference's last step."""
    return replace(
        start,
        state=reference.ode.state,
        refractory=reference.ode.refractory,
        delay_buffer=reference.buffer.words.astype(np.uint32),
        ext_states=reference.external.state,
    )


def _u32(value: int) -> U32:
    return np.array([value], dtype=np.uint32)


def _packets(kind: Kind, first: U32, second: npt.ArrayLike) -> U32:
    packets = np.zeros((len(first), 3), dtype=np.uint32)
    packets[:, 0], packets[:, 1], packets[:, 2] = kind << 24, first, second
    return packets


def _written(words: Words) -> U32:
    return _packets(Kind.CONFIG, words.address, words.value)


def _asked(words: Words) -> U32:
    return _packets(Kind.MONITOR, words.address, 0)


def _answered(words: Words) -> U32:
    return _packets(Kind.MONITOR, words.address, words.value)


def _register(name: str, value: int) -> U32:
    return _written(Words(Region.REGISTERS, _u32(OFFSETS[name]), _u32(value)))


def build(config: NodeConfig) -> Path:
    """Return the simulation of a node in its bench."""
    bench = (Path(__file__).parent / "replay_bench.v").read_text()
    node = cached_verilog(lambda: Node(config), f"node {config!r}", cache_folder(), "csnn_node")
    if config.operators.clock_enable:
        node = gate_clock(node, PIPELINE_ENABLE)
    return simulator.build(node + bench, PORTS, makes_clock=True)


def replay(
    folder: Path, simulation: Path, script: Script, *, fault_cycle: int = NEVER
) -> dict[str, Any]:
    """Run a script; return answers, records, and cycles and seconds of the simulation.

    Parameters
    ----------
    folder : Path
        Where the simulation runs.
    simulation : Path
        From `build`.
    script : Script
    fault_cycle : int
        In this cycle after the reset, counted from 0, a bit of the packet that is offered is wrong.
    """
    lines = (
        f"{int(wait):x}{gap:04x}{packet[2]:08x}{packet[1]:08x}{packet[0]:08x}"
        for wait, gap, packet in zip(
            script.waits.tolist(), script.gaps.tolist(), script.packets.tolist(), strict=True
        )
    )
    if max(len(script.packets), len(script.answers)) > _ROOM:
        raise ValueError(f"a script of more than {_ROOM:,} packets does not fit the bench")
    (folder / "traffic.hex").write_text("\n".join(lines) + "\n")
    environment = {
        "CSNN_REPLAY": json.dumps(
            {
                "entries": len(script.packets),
                "expected": len(script.answers),
                "fault_cycle": fault_cycle,
                "result": str(folder / RESULT),
            }
        )
    }
    plusargs = (f"+{name}={folder / name}.hex" for name in ("traffic", "answers", "records"))
    tests, failed = simulator.run(
        simulation, "in_replay", folder, environment=environment, plusargs=plusargs
    )
    if failed or not tests:
        raise RuntimeError((folder / "simulation.log").read_text())
    result = json.loads((folder / RESULT).read_text())
    result["answers"] = np.array([*_hex_words(folder / "answers.hex")], dtype=np.uint32)
    records = [tuple(words) for words in _hex_words(folder / "records.hex")]
    result["records"] = np.array(records, dtype=RECORD)
    return result


def equal(result: dict[str, Any], script: Script) -> bool:
    """Return whether a replay gave every answer and every record of its script, and no other."""
    return all(
        np.array_equal(result[name], getattr(script, name)) for name in ("answers", "records")
    )


def _hex_words(path: Path) -> Iterator[list[int]]:
    """Yield the 32-bit words of each entry of a memory, least significant first."""
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = line.split("//")[0].strip()
        if entry and not entry.startswith("@"):
            yield [int(entry[end - 8 : end], 16) for end in range(len(entry), 0, -8)]


def main() -> int:
    """Replay a node of an image and print the speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image")
    parser.add_argument("--node", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--warmup-ms", type=float, default=500.0)
    options = parser.parse_args()
    image = open_image(options.image)
    config = NodeConfig.for_nodes(image.nodes)
    traffic = record_traffic(image, warmup_ms=options.warmup_ms, steps=options.steps, threads=2)
    played = script(image, options.node, config, traffic, np.random.default_rng(1))
    simulation = build(config)
    with tempfile.TemporaryDirectory() as folder:
        result = replay(Path(folder), simulation, played)
    is_exact = equal(result, played)
    del result["answers"]
    result["records"] = len(result["records"])
    result |= {"cycles_per_s": round(result["cycles"] / result["seconds"]), "bit_exact": is_exact}
    print(json.dumps(result))
    return 0 if is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
