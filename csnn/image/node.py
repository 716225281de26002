"""The contents of one node file: read, memory-mapped, and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.image import layout
from csnn.image.consistency import header_fault, node_fault, shapes
from csnn.rows import Block, Sampler

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class NodeImage:
    """Memories of one node; arrays as `csnn.image.layout` declares them.

    The scalar fields are the header's, the array fields are the sections.
    """

    node: int
    population: int
    first_neuron: int
    n_neurons: int
    n_sources: int
    node_key: int
    ext_lanes: int
    ext_weight: int
    delay_slots: int
    grid_exponent: int
    dt_ms: float
    model: str
    blocks: npt.NDArray[np.void]
    weight_tables: npt.NDArray[np.void]
    delay_tables: npt.NDArray[np.void]
    ext_tables: npt.NDArray[np.void]
    ext_states: U32
    schedule: npt.NDArray[np.void]
    constants: U32
    state: U32
    refractory: U32
    source_ids: U32
    seed: U32
    length: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    presence: U32
    rank: U32
    synapses: U32
    delay_buffer: U32

    def block(self, index: int) -> Block:
        """Return block `index` with its tables, ready to unroll rows."""
        entry = self.blocks[index]
        if entry["sampler"] == Sampler.STORED:
            weights, delays = np.zeros(64, layout.WEIGHT_TABLE), np.zeros(64, layout.DELAY_TABLE)
        else:
            weights = self.weight_tables[entry["selector"]]
            delays = self.delay_tables[entry["selector"]]
        return Block(
            sampler=Sampler(int(entry["sampler"])),
            n_neurons=self.n_neurons,
            skip_self=bool(entry["flags"] & layout.SKIP_SELF_FLAG),
            first_neuron=self.first_neuron,
            node_key=self.node_key,
            weight_H=weights["H"],
            weight_own=weights["own"],
            weight_alias=weights["alias"],
            delay_H=delays["H"],
            delay_own=delays["own"],
            delay_alias=delays["alias"],
            n_stubs=int(entry["n_stubs"]),
            stub_key=int(entry["stub_key"]),
            synapses=self.synapses,
        )

    def rows(self, index: int) -> tuple[U32, U32, npt.NDArray[np.integer[Any]]]:
        """Return source, seed and length of every row of block `index`."""
        entry = self.blocks[index]
        first, count = int(entry["row_first"]), int(entry["row_count"])
        seed, length = self.seed[first : first + count], self.length[first : first + count]
        if entry["flags"] & layout.SPARSE_FLAG:
            words = (int(entry["source_count"]) + 31) // 32
            start = int(entry["presence_first"])
            bits = np.unpackbits(
                np.ascontiguousarray(self.presence[start : start + words]).view(np.uint8),
                bitorder="little",
            )
            offsets = np.flatnonzero(bits).astype(np.uint32)
        else:
            offsets = np.arange(count, dtype=np.uint32)
        return offsets + np.uint32(entry["source_first"]), seed, length

    def find_rows(self, index: int, source: U32) -> tuple[U32, U32, npt.NDArray[np.integer[Any]]]:
        """Return source, seed and length of the rows of block `index` for the given spikes.

        This is the look-up of the spike router: sources outside the block have no row, sparse
        blocks find theirs by presence bit and rank.
        """
        entry = self.blocks[index]
        first = np.uint32(entry["source_first"])
        hit = source[(source >= first) & (source - first < entry["source_count"])]
        offset = hit - first
        if entry["flags"] & layout.SPARSE_FLAG:
            word = offset // np.uint32(32) + entry["presence_first"]
            bit = offset % np.uint32(32)
            present = (self.presence[word] >> bit & np.uint32(1)).astype(bool)
            below = self.presence[word] & ((np.uint32(1) << bit) - np.uint32(1))
            offset = (self.rank[word] + np.bitwise_count(below))[present]
            hit = hit[present]
        row = offset.astype(np.int64) + int(entry["row_first"])
        return hit, self.seed[row], self.length[row]


_ARRAYS = tuple(section.name for section in layout.SECTIONS)
_SCALARS = tuple(field.name for field in fields(NodeImage) if field.name not in _ARRAYS)


def write_node(path: Path, node: NodeImage) -> None:
    """Write a node file (not atomically: the image directory as a whole is)."""
    with path.open("wb") as file:
        for piece in _pieces(node):
            file.write(piece)


def node_bytes(node: NodeImage) -> bytes:
    """Return what the file of a node holds."""
    return b"".join(_pieces(node))


def _pieces(node: NodeImage) -> Iterator[bytes | memoryview]:
    arrays = {name: np.ascontiguousarray(getattr(node, name)) for name in _ARRAYS}
    header = np.zeros((), dtype=layout.HEADER)
    for name in _SCALARS:
        header[name] = getattr(node, name)
    header["magic"] = layout.MAGIC
    header["version"] = layout.FORMAT_VERSION
    header["n_sections"] = len(_ARRAYS)
    header["n_blocks"] = len(node.blocks)
    header["n_selectors"] = len(node.weight_tables)
    header["n_ext_tables"] = len(node.ext_tables)
    header["length_bytes"] = node.length.dtype.itemsize
    table = np.zeros(len(_ARRAYS), dtype=layout.SECTION_ENTRY)
    position = header.nbytes + table.nbytes
    for entry, name in zip(table, _ARRAYS, strict=True):
        position = -(-position // layout.ALIGNMENT) * layout.ALIGNMENT
        entry["name"], entry["offset"], entry["size"] = name, position, arrays[name].nbytes
        position += arrays[name].nbytes
    yield header.tobytes()
    yield table.tobytes()
    end = header.nbytes + table.nbytes
    for entry, name in zip(table, _ARRAYS, strict=True):
        yield bytes(int(entry["offset"]) - end)
        yield arrays[name].data
        end = int(entry["offset"]) + arrays[name].nbytes


def read_node(path: Path) -> NodeImage:
    """Memory-map a node file.

    Raises
    ------
    InvalidInputError
        If the file is missing, truncated, of another version, or inconsistent: see
        `csnn.image.consistency` for what is checked. Padding is not.
    """
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: cannot be read as a node file ({error})") from None

    def invalid(rule: str) -> InvalidInputError:
        return InvalidInputError(f"{path}: {rule}")

    if len(data) < layout.HEADER.itemsize:
        raise invalid("truncated: shorter than its header")
    header = data[: layout.HEADER.itemsize].view(layout.HEADER)[0]
    if header["magic"] != layout.MAGIC:
        raise invalid("not a node file (magic number)")
    if header["version"] != layout.FORMAT_VERSION:
        raise invalid(f"format version {header['version']}, but {layout.FORMAT_VERSION} is read")
    if header["n_sections"] != len(_ARRAYS):
        raise invalid(f"n_sections = {header['n_sections']}: must be {len(_ARRAYS)}")
    fault = header_fault(header)
    if fault is not None:
        raise invalid(fault)
    arrays = _sections(data, header, invalid)
    scalars: dict[str, Any] = {name: header[name].item() for name in _SCALARS}
    scalars["model"] = scalars["model"].decode("ascii")
    node = NodeImage(**scalars, **arrays)
    fault = node_fault(node)
    if fault is not None:
        raise invalid(fault)
    return node


def _sections(
    data: npt.NDArray[np.uint8],
    header: npt.NDArray[np.void],
    invalid: Callable[[str], InvalidInputError],
) -> dict[str, Any]:
    """Return the sections as views of `data`, in their declared shapes."""
    start = layout.HEADER.itemsize
    end = start + len(_ARRAYS) * layout.SECTION_ENTRY.itemsize
    if len(data) < end:
        raise invalid("truncated: shorter than its section table")
    table = data[start:end].view(layout.SECTION_ENTRY)
    arrays: dict[str, Any] = {}
    for entry, section in zip(table, layout.SECTIONS, strict=True):
        dtype = section.dtype
        if section.name == "length" and header["length_bytes"] == 1:
            dtype = np.dtype("<u1")
        begin, size = int(entry["offset"]), int(entry["size"])
        if entry["name"] != section.name.encode() or size % dtype.itemsize:
            raise invalid(f"the entry of section {section.name} is damaged")
        # Sections follow each other without gaps, so that no byte of the file has two meanings.
        if begin != -(-end // layout.ALIGNMENT) * layout.ALIGNMENT:
            raise invalid(f"section {section.name} starts at {begin}, not behind the one before")
        end = begin + size
        if end > len(data):
            raise invalid(f"truncated: section {section.name} ends beyond the file")
        arrays[section.name] = data[begin:end].view(dtype)
    if end != len(data):
        raise invalid(f"{len(data) - end} bytes follow the last section")
    declared = shapes(header, {name: len(array) for name, array in arrays.items()})
    for name, shape in declared.items():
        if arrays[name].size != math.prod(shape):
            raise invalid(f"section {name} has {arrays[name].size} entries, must be {shape}")
        arrays[name] = arrays[name].reshape(shape)
    return arrays
