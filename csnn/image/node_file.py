"""The file of one node: written, and read by mapping it into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError
from csnn.image import layout
from csnn.image.consistency import header_fault, node_fault, shapes
from csnn.image.node import NodeImage

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
