"""Devices that a node may be built for, and whether its memories fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from csnn.errors import InvalidInputError
from csnn.exponential import ENTRY_BITS, TABLE
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from csnn.hardware.recorder import FIFO_RECORDS, RECORD_BYTES
from csnn.neurons.graph import Op
from csnn.neurons.operators import ECP5_OPERATORS, Operators
from csnn.packets import ANSWERS, PACKET_BITS, PAYLOAD_BITS
from csnn.rows import WORD_WEIGHT_SHIFT
from csnn.spec.machine import EXT_FRACTION_BITS, EXT_OUTCOMES, RTR_OUTCOMES, SUM_LIMIT_UNITS

# Memories of fewer bits than this become look-up tables rather than block RAM.
_SMALLEST_BLOCK_BITS = 2048


@dataclass(frozen=True)
class Device:
    """A device: blocks of memory with the shapes (depth, width) that a block may take.

    Attributes
    ----------
    name, family, part : str
    luts, registers, dsps, blocks : int
        What it has.
    shapes : tuple of (int, int)
    """

    name: str
    family: str
    part: str
    luts: int
    registers: int
    dsps: int
    blocks: int
    shapes: tuple[tuple[int, int], ...]

    @property
    def operators(self) -> Operators:
        """How operators are built on it."""
        return ECP5_OPERATORS if self.family == "ecp5" else Operators()


_RAMB36 = ((1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1))
_DP16KD = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
DEVICES = {
    device.name: device
    for device in (
        Device("xc7z045", "xc7", "xc7z045ffg900-2", 218_600, 437_200, 900, 545, _RAMB36),
        Device("xczu9eg", "xcup", "xczu9eg-ffvb1156-2-e", 274_080, 548_160, 2520, 912, _RAMB36),
        Device("xcku5p", "xcup", "xcku5p-ffvb676-2-e", 216_960, 433_920, 1824, 480, _RAMB36),
        Device("lfe5u-85f", "ecp5", "LFE5U-85F-8BG756", 83_640, 83_640, 156, 208, _DP16KD),
    )
}


@dataclass(frozen=True)
class NodeMemory:
    """A memory of a node: how many of one depth and width, and what for."""

    name: str
    count: int
    depth: int
    width: int

    @property
    def bits(self) -> int:
        """Bits of all of them."""
        return self.count * self.depth * self.width

    def blocks(self, device: Device) -> int:
        """Return how many blocks of memory they take; 0 if they are small."""
        if self.depth * self.width < _SMALLEST_BLOCK_BITS:
            return 0
        return self.count * min(
            -(-self.depth // depth) * -(-self.width // width) for depth, width in device.shapes
        )


def node_memories(config: NodeConfig) -> Iterator[NodeMemory]:
    """Yield the memories of a node."""
    lanes, sum_bits = config.pipelines, (SUM_LIMIT_UNITS - 1).bit_length()
    groups = 1 << config.group_bits
    entries = config.selectors * RTR_OUTCOMES
    ext_entries = config.ext_tables * EXT_OUTCOMES
    yield NodeMemory("circular buffer", 2 * lanes, groups << config.slot_bits, sum_bits)
    yield NodeMemory("seed table", 1, config.rows, 32)
    yield NodeMemory("lengths", 1, config.rows, config.length_bits)
    if config.presence_words:
        yield NodeMemory("presence and rank of rows", 2, config.presence_words, 32)
    if config.synapses:
        yield NodeMemory("synapse memory", 1, config.synapses, WORD_WEIGHT_SHIFT + 16)
    yield NodeMemory("weight tables, H", 1, entries, 16)
    yield NodeMemory("weight tables, outcomes", 1, entries, 32)
    yield NodeMemory("delay tables, H", 1, entries, 16)
    yield NodeMemory("delay tables, outcomes", 1, entries, 12)
    yield NodeMemory("EXT tables, H", lanes, ext_entries, EXT_FRACTION_BITS)
    yield NodeMemory("EXT tables, outcomes", lanes, ext_entries, 10)
    yield NodeMemory("states", lanes * len(config.state_words), groups, 32)
    exponentials = config.neuron_model.graph.operator_counts().get(Op.FEXP, 0)
    if exponentials:
        yield NodeMemory("exponentials", lanes * exponentials, len(TABLE), ENTRY_BITS + 2)
    yield NodeMemory("SS buffer", 2 * lanes, groups, sum_bits)
    yield NodeMemory("ES buffer", lanes, groups, 20)
    yield NodeMemory("index translation", 1, 1 << NEURON_BITS, 32)
    yield NodeMemory("input schedule", 3, config.epochs, 32)
    yield NodeMemory("spike recorder", 1, FIFO_RECORDS, 8 * RECORD_BYTES)
    yield NodeMemory("input FIFO", 1, config.event_fifo, PACKET_BITS)
    yield NodeMemory("answers", 1, ANSWERS, PAYLOAD_BITS)
    yield NodeMemory("output FIFO", 1, groups, config.group_bits + lanes)


def memory_blocks(config: NodeConfig, device: Device) -> int:
    """Return how many blocks of memory a node takes in a device, by the shapes of its memories."""
    return sum(memory.blocks(device) for memory in node_memories(config))


def multipliers(config: NodeConfig) -> int:
    """Return how many multipliers (DSP) a node takes: pipelines, EXT and the spike router."""
    narrow = config.operators.narrow_multipliers
    counts = config.neuron_model.graph.operator_counts()
    # A product of significands is four of 12 by 12 bits or two of 25 by 18; an exponential has a
    # square, a product with a constant, and one of 17 by 24 bits; EXT has one for each pipeline.
    units = counts.get(Op.FMUL, 0) * (4 if narrow else 2)
    units += counts.get(Op.FEXP, 0) * (4 if narrow else 3)
    return config.pipelines * (units + 1) + (5 if narrow else 4)


def require_fit(config: NodeConfig, device: Device) -> int:
    """Return the blocks of memory that a node takes.

    Look-up tables and registers are not known before synthesis.

    Raises
    ------
    InvalidInputError
        If the device has fewer, naming the largest memory, or too few multipliers.
    """
    needed = multipliers(config)
    if needed > device.dsps:
        raise InvalidInputError(
            f"device {device.name} has {device.dsps} multipliers: the node needs {needed}, for "
            f"{config.pipelines} pipelines; `ext_lanes` of the machine sets them"
        )
    blocks = memory_blocks(config, device)
    if blocks > device.blocks:
        largest = max(node_memories(config), key=lambda memory: memory.blocks(device))
        raise InvalidInputError(
            f"device {device.name} has {device.blocks} blocks of memory: the node needs {blocks}, "
            f"{largest.blocks(device)} of them for the {largest.name} ({largest.depth:,} words of "
            f"{largest.width} bits)"
        )
    return blocks
