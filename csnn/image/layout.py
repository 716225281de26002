"""Layout of a node file, declared once; reader, writer and documentation follow it.

A node file is a header, a section table and sections. Everything is little-endian; sections
start at multiples of 64 bytes and are padded with zeros. The file is what is loaded into a node's
memories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FORMAT_VERSION = 3
MAGIC = int.from_bytes(b"CSNNNODE", "little")
ALIGNMENT = 64


@dataclass(frozen=True)
class Field:
    """A field of a record: name, little-endian NumPy type, meaning."""

    name: str
    dtype: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """A section: name, record type or record fields, shape in header terms, meaning."""

    name: str
    dtype: np.dtype
    shape: str
    meaning: str
    fields: tuple[Field, ...] = ()


def record(fields: tuple[Field, ...]) -> np.dtype:
    """Return the packed NumPy type of a record."""
    return np.dtype([(field.name, field.dtype) for field in fields])


HEADER_FIELDS = (
    Field("magic", "<u8", 'the bytes "CSNNNODE"'),
    Field("version", "<u4", f"format version, {FORMAT_VERSION}"),
    Field("n_sections", "<u4", "entries of the section table, which follows the header"),
    Field("node", "<u4", "number of the node, from 0"),
    Field("population", "<u4", "number of the population that the node's neurons belong to"),
    Field("first_neuron", "<u4", "global number of the node's neuron 0"),
    Field("n_neurons", "<u4", "neurons of the node, 1 to 256"),
    Field("n_sources", "<u4", "neurons of the network; source IDs are below it"),
    Field("node_key", "<u4", "enters the row generators: (node + 1) 0x9E3779B1 mod 2^32"),
    Field("n_blocks", "<u4", "entries of `blocks`"),
    Field("n_selectors", "<u4", "pairs of weight and delay tables, selected by S"),
    Field("n_ext_tables", "<u4", "EXT tables"),
    Field("ext_lanes", "<u4", "EXT generators; neuron n draws from lane n mod ext_lanes"),
    Field("ext_weight", "<u4", "weight of one external spike, grid units"),
    Field("delay_slots", "<u4", "slots of the circular buffer, 2 to 64, a power of two"),
    Field(
        "grid_exponent",
        "<i4",
        "the weight grid is 2^grid_exponent, in the unit of the weights",
    ),
    Field("length_bytes", "<u4", "width of `length`: 1 or 2 bytes"),
    Field("dt_ms", "<f8", "duration of a step"),
    Field("model", "S32", "name of the neuron model, zero-padded ASCII"),
)
SECTION_ENTRY_FIELDS = (
    Field("name", "S16", "name of the section, zero-padded ASCII"),
    Field("offset", "<u8", "position in the file, bytes"),
    Field("size", "<u8", "size without padding, bytes"),
)
BLOCK_FIELDS = (
    Field("source_first", "<u4", "first global source of the block"),
    Field("source_count", "<u4", "sources of the block"),
    Field("row_first", "<u4", "position of its first row in `seed` and `length`"),
    Field("row_count", "<u4", "its rows: source_count if dense, non-empty rows if sparse"),
    Field("presence_first", "<u4", "position of its first word in `presence` and `rank`; sparse"),
    Field("in_degree", "<u4", "K, stubs of each neuron, 32 to 2^24; sampler 2"),
    Field("stub_key", "<u4", "key of the permutation; sampler 2"),
    Field("selector", "<u2", "S: which weight and delay table"),
    Field("sampler", "<u1", "0 independent, 1 distinct, 2 stubs, 3 stored"),
    Field("flags", "<u1", "bit 0: sparse rows; bit 1: a local source skips itself"),
)
WEIGHT_TABLE_FIELDS = (
    Field("H", "<u4", "fixed-point fraction (32 bits); own if h16 < H[31:16]"),
    Field("own", "<u2", "weight code: magnitude in grid units [14:0], inhibitory [15]"),
    Field("alias", "<u2", "weight code taken otherwise"),
)
DELAY_TABLE_FIELDS = (
    Field("H", "<u4", "fixed-point fraction (32 bits); own if h16 < H[31:16]"),
    Field("own", "<u1", "delay_steps - 1"),
    Field("alias", "<u1", "delay_steps - 1 taken otherwise"),
    Field("reserved", "<u2", "zero"),
)
EXT_TABLE_FIELDS = (
    Field("H", "<u4", "fixed-point fraction (32 bits); own if h27 < H[31:5]"),
    Field("own", "<u1", "spikes"),
    Field("alias", "<u1", "spikes taken otherwise"),
    Field("reserved", "<u2", "zero"),
)
EPOCH_FIELDS = (
    Field("first_step", "<u4", "first step of the epoch, from 1"),
    Field("ext_table", "<u4", "EXT table in force; 0xFFFFFFFF: no external spikes"),
    Field("dc", "<f4", "the model's direct-current constant in force (binary32)"),
    Field("reserved", "<u4", "zero"),
)

SPARSE_FLAG = 1
SKIP_SELF_FLAG = 2
NO_EXT_TABLE = 0xFFFFFFFF

HEADER = record(HEADER_FIELDS)
SECTION_ENTRY = record(SECTION_ENTRY_FIELDS)
BLOCK = record(BLOCK_FIELDS)
WEIGHT_TABLE = record(WEIGHT_TABLE_FIELDS)
DELAY_TABLE = record(DELAY_TABLE_FIELDS)
EXT_TABLE = record(EXT_TABLE_FIELDS)
EPOCH = record(EPOCH_FIELDS)

_U32 = np.dtype("<u4")
SECTIONS = (
    Section("blocks", BLOCK, "n_blocks", "row directory, ascending source_first", BLOCK_FIELDS),
    Section(
        "weight_tables", WEIGHT_TABLE, "n_selectors, 64", "weight alias tables", WEIGHT_TABLE_FIELDS
    ),
    Section(
        "delay_tables", DELAY_TABLE, "n_selectors, 64", "delay alias tables", DELAY_TABLE_FIELDS
    ),
    Section("ext_tables", EXT_TABLE, "n_ext_tables, 32", "EXT alias tables", EXT_TABLE_FIELDS),
    Section("ext_states", _U32, "ext_lanes, 4", "EXT generator states, words 0 to 3"),
    Section("schedule", EPOCH, "epochs", "input in force from given steps on", EPOCH_FIELDS),
    Section("constants", _U32, "constants", "constants of the neuron model, in its order"),
    Section("state", _U32, "states, n_neurons", "initial state words, in the model's order"),
    Section("refractory", _U32, "n_neurons", "initial refractory counters, steps"),
    Section(
        "source_ids",
        _U32,
        "n_neurons",
        "index translation: global ID of each neuron, first_neuron + n",
    ),
    Section("seed", _U32, "rows", "seed of each row; a stub (sampler 2) or a position (3)"),
    Section("length", np.dtype("<u2"), "rows", "synapses of each row (u1 if length_bytes = 1)"),
    Section("presence", _U32, "words", "sparse blocks: bit s mod 32 of word s / 32, row present"),
    Section("rank", _U32, "words", "sparse blocks: rows of the block before each presence word"),
    Section("synapses", _U32, "words", "neuron [7:0], delay_steps - 1 [13:8], weight code [29:14]"),
    Section(
        "delay_buffer",
        _U32,
        "delay_slots, 2, n_neurons or empty",
        "initial circular buffer by slot, exc and inh, grid units",
    ),
)
