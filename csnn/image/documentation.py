"""Writes docs/image-format.md from the declarations that reader and writer follow.

`python -m csnn.image.documentation` writes it; a test compares the file with `document()`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csnn import prng, rows
from csnn.files import atomic_file
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.node_file import node_bytes
from csnn.image.store import SCHEMA
from csnn.markdown import table
from csnn.neurons.lif import LIF

DEFAULT_PATH = "docs/image-format.md"

# Seed, source and node of the published draws.
ROW_VECTORS = (
    (0x00000001, 0, 0),
    (0xDEADBEEF, 77168, 304),
    (0xFFFFFFFF, 131071, 65534),
    (0x9E3779B1, 0, 0),
)
# K, n, key and first stub word of the published targets.
STUB_VECTORS = (
    (32, 16, 0x00000000, 0x00000000),
    (1000, 213, 0xDEADBEEF, 0x0001F3D3),
    (100000, 250, 0x01234567, 0x01869FF5),
    (1 << 24, 256, 0xFFFFFFFF, 0xFFFFFFFB),
)
EXT_VECTOR = (123456789, 362436069, 521288629, 88675123)

MANIFEST_KEYS = (
    ("schema", "string", f'always "{SCHEMA}"'),
    ("version", "integer", "format version, as in the node files"),
    ("tools", "object", "versions of csnn, Python, NumPy and SciPy that made the image"),
    ("network", "string", "name of the network"),
    ("network_sha256", "string", "SHA-256 of `network.toml`"),
    ("notes", "list of strings", "what the description warns of, scaling for instance"),
    ("seed", "integer", "seed of everything random in the image"),
    ("dt_ms", "number", "duration of a step"),
    ("model", "string", "name of the neuron model"),
    ("weight_grid", "number", "one grid unit in the unit of weights, a power of two"),
    ("weight_unit", "string", "unit of weights: `pA`, `nS`, `mV` or `1`"),
    ("n_nodes", "integer", "node files, `node_00000.bin` and so on"),
    (
        "populations",
        "list of objects",
        "`name`, `size`, `first_neuron`, `nodes` and `expected_rate_hz` (for the load estimate "
        "only) of each population, in order of neuron numbers",
    ),
    ("synapses", "integer", "synapses of the whole network"),
    ("synapses_by_projection", "object", "the same by projection"),
    ("synapses_by_sampler", "object", "the same by sampler"),
    (
        "largest_sum_units",
        "integer",
        "largest sum of weight magnitudes of one neuron and sign, grid units; below 2^24",
    ),
    ("node_bytes", "integer", "bytes of all node files"),
    ("explicit_bytes", "integer", "bytes of the same synapses stored explicitly, 46 bits each"),
    ("expected_load_hz", "object", "`mean` and `max` over the nodes of synaptic events per second"),
    ("fidelity", "list of objects", "per projection, how closely the tables follow their target"),
    ("edge_fit", "object", "only for a network from an edge list: what its representation kept"),
    ("generate_s", "number", "wall time of the generator"),
    ("files", "object", "`bytes` and `sha256` of every file of the image but this one"),
    (
        "digest",
        "string",
        "SHA-256 of this object without `digest` and `generate_s`, as JSON with sorted keys, "
        "separators `,` and `:` and ASCII escapes; it identifies the image",
    ),
)


def example_node() -> NodeImage:
    """Return the node of the worked example: three rows, and no more of the rest than needed."""
    n = 200
    block = np.zeros(1, dtype=layout.BLOCK)
    block["source_first"], block["source_count"], block["row_count"] = 16, 3, 3
    weights = np.zeros((1, 64), dtype=layout.WEIGHT_TABLE)
    entry = np.arange(64)
    weights["H"] = (entry * 0x0400 + 0x0123).astype(np.uint32) << np.uint32(16)
    weights["own"] = rows.weight_code(1300 + 4 * entry)
    weights["alias"] = rows.weight_code(np.full(64, 1405))
    delays = np.zeros((1, 64), dtype=layout.DELAY_TABLE)
    delays["H"] = ((63 - entry) * 0x0400).astype(np.uint32) << np.uint32(16)
    delays["own"], delays["alias"] = entry, 14
    schedule = np.zeros(1, dtype=layout.EPOCH)
    schedule["first_step"], schedule["ext_table"] = 1, layout.NO_EXT_TABLE
    empty = np.empty(0, dtype=np.uint32)
    return NodeImage(
        node=1,
        population=0,
        first_neuron=200,
        n_neurons=n,
        n_sources=400,
        node_key=prng.node_key(1),
        ext_lanes=1,
        ext_weight=0,
        delay_slots=64,
        grid_exponent=-4,
        dt_ms=0.1,
        model="lif",
        blocks=block,
        weight_tables=weights,
        delay_tables=delays,
        ext_tables=np.zeros((0, 32), dtype=layout.EXT_TABLE),
        ext_states=np.ones((1, 4), dtype=np.uint32),
        schedule=schedule,
        constants=np.zeros(9, dtype=np.uint32),
        state=np.zeros((3, n), dtype=np.uint32),
        refractory=np.zeros(n, dtype=np.uint32),
        source_ids=np.arange(200, 400, dtype=np.uint32),
        seed=np.array([0x0BADCAFE, 0x12345678, 0x600DF00D], dtype=np.uint32),
        length=np.array([5, 2, 0], dtype=np.uint8),
        presence=empty,
        rank=empty,
        synapses=empty,
        delay_buffer=empty,
    )


def document() -> str:
    """Return the text of docs/image-format.md."""
    parts = (
        _introduction(),
        _node_file(),
        _sections(),
        _tables(),
        _models(),
        _generators(),
        _samplers(),
        _example(),
        _manifest(),
        _checks(),
        _versions(),
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


_KINDS = {"u": "unsigned", "i": "signed", "f": "IEEE-754", "S": "bytes"}


def _type(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "S":
        return f"{dtype.itemsize} bytes"
    return f"{_KINDS[dtype.kind]} {8 * dtype.itemsize}"


def _record(fields: Sequence[layout.Field]) -> str:
    dtype = layout.record(tuple(fields))
    places: Any = dtype.fields
    return table(
        ("offset", "bytes", "field", "type", "meaning"),
        [
            (
                str(places[field.name][1]),
                str(places[field.name][0].itemsize),
                f"`{field.name}`",
                _type(places[field.name][0]),
                field.meaning,
            )
            for field in fields
        ],
    )


def _introduction() -> str:
    return f"""
# Image format, version {layout.FORMAT_VERSION}

<!-- Generated by `python -m csnn.image.documentation`; do not edit. -->

An image is a directory: one node file per compute node (`node_00000.bin`, `node_00001.bin`, ...),
the description it was made from (`network.toml`; an edge list in it by absolute path and SHA-256),
and `manifest.json`, which vouches for the other files. A node file holds what is loaded into the
memories of its node. Simulators and RTL test benches read the same files, and nothing else passes
between generator and machine.

Conventions: all numbers are little-endian; `x[h:l]` are bits h down to l of x; records are packed,
without padding between their fields; neurons, sources, nodes and populations count from 0, steps
from 1. A *grid unit* is 2^`grid_exponent` in the unit of weights (pA, nS, mV or
1, by the kind of synapses), the unit of all weights and of what they add up to.
"""


def _node_file() -> str:
    entry = layout.SECTION_ENTRY.itemsize
    return f"""
## Node file

| offset | bytes | what |
| --- | --- | --- |
| 0 | {layout.HEADER.itemsize} | header |
| {layout.HEADER.itemsize} | {len(layout.SECTIONS)} x {entry} | section table |
| next multiple of {layout.ALIGNMENT} | | sections, in the order of the table |

Every section starts at the first multiple of {layout.ALIGNMENT} bytes behind the one before, the
gap being zeros; the file ends with the last section. An empty section has an entry too.

### Header ({layout.HEADER.itemsize} bytes)

{_record(layout.HEADER_FIELDS)}

### Section table ({entry} bytes per entry)

{_record(layout.SECTION_ENTRY_FIELDS)}
"""


def _sections() -> str:
    overview = table(
        ("section", "entry", "bytes", "shape", "meaning"),
        [
            (
                f"`{section.name}`",
                "record, below" if section.fields else _type(section.dtype),
                str(section.dtype.itemsize),
                section.shape,
                section.meaning,
            )
            for section in layout.SECTIONS
        ],
    )
    records = "\n\n".join(
        f"### `{section.name}` ({section.dtype.itemsize} bytes per entry)\n\n"
        + _record(section.fields)
        for section in layout.SECTIONS
        if section.fields
    )
    return f"""
## Sections

Arrays are stored row by row, the last index running fastest.

{overview}

{records}

### Rows and blocks

A *row* is one (source, node) pair: a seed and a length L. A *block* is the part of a projection
that ends in this node: the rows of a range of sources that share sampler and tables. A spike of
source s meets every block with `source_first` <= s < `source_first + source_count`; several blocks
may contain s. With o = s - `source_first`, its row is

* dense: `row_first + o`;
* sparse (flag bit {layout.SPARSE_FLAG.bit_length() - 1}): with w = `presence_first` +
  floor(o / 32), there is no row if bit o mod 32 of `presence[w]` is 0; otherwise the row is
  `row_first + rank[w]` + (number of ones of `presence[w]` below that bit).

`selector` is the paper's S. Rows of sampler 3 use no table, and their selector means nothing.

### Time

Step t reads slot t mod `delay_slots` of the circular buffer, then clears it; a synapse of a spike
of step t adds its weight to slot (t + delay_steps) mod `delay_slots`. `delay_buffer` is the
buffer before step 1 (all zero if the section is empty). The epoch in force in a step is the last
one whose `first_step` is not after it.
"""


def _tables() -> str:
    return f"""
## Alias tables

An entry of a table holds two outcomes and a fraction H, an unsigned 32-bit fixed-point number in
units of 2^-32. A draw chooses an entry uniformly and then `own` if its random fraction is below H,
`alias` otherwise. The hardware compares leading bits of H only; the generator of images leaves the
others zero and rounds probabilities to what is compared, so that what a table yields is known
exactly.

| table | entries | entry from | compared | probabilities are multiples of |
| --- | --- | --- | --- | --- |
| weight | 64 | A[5:0] | B[31:16] < H[31:16] | 2^-22 |
| delay | 64 | A[11:6] | B[15:0] < H[31:16] | 2^-22 |
| EXT | 32 | w[4:0] | w[31:5] < H[31:5] | 2^-32 |

A and B are the words of the row generator's draw, w is an output of an EXT generator. An entry that
is certain has `own` = `alias`: a fraction of one cannot be written. `own` of an EXT entry that can
yield it and another outcome is the number of the entry.

Weight code: magnitude in grid units in [14:0], {rows.INHIBITORY:#06x} marks an inhibitory one.
Delays are stored as delay_steps - 1. Stored synapse word: neuron in [7:0], delay_steps - 1 in
[13:8], weight code in [29:14], zero in [31:30].
"""


def _models() -> str:
    models = table(
        ("model", "`constants`, in this order", "`state`, one row each, in this order"),
        [
            (
                f"`{model.name}`",
                ", ".join([f"{name} (f32)" for name in model.float_constants]
                          + [f"{name} (i32)" for name in model.int_constants]),
                ", ".join(f"{name} (f32)" for name in model.float_states),
            )
            for model in (LIF,)
        ],
    )  # fmt: skip
    return f"""
## Neuron models

The manifest names the model. f32 words are IEEE binary32, i32 words two's complement; the integer
state, where a model has one, is the section `refractory`. Potentials are in mV relative to the
resting potential (Izhikevich's: to 0), currents and conductances in grid units, those of inhibition
as magnitudes. What a step of `lif` does with them, and what the names mean, is in
[numerics.md](numerics.md). The schedule's `dc` replaces the constant `C_dc`.

{models}

Constants and states of the [other models](models.md) are listed by
`csnn.neurons.registry.named(NAME)`, in this order: `float_constants`, `int_constants`,
`float_states`.
"""


def _hex_pairs(pairs: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{a:08X} {b:08X}" for a, b in pairs)


def row_draws(seed: int, source: int, node: int, count: int) -> list[tuple[int, int]]:
    """Return the first draws (A, B) of a row."""
    x, y = prng.row_start(
        np.array([seed], dtype=np.uint32),
        np.array([source], dtype=np.uint32),
        prng.node_key(node),
    )
    draws = []
    for _ in range(count):
        x, y, a, b = prng.row_draw(x, y)
        draws.append((int(a[0]), int(b[0])))
    return draws


def _generators() -> str:
    a, b, c = prng.ROW_SHIFTS
    d, e, f = prng.EXT_SHIFTS
    vectors = table(
        ("seed", "source", "node", "A B of draws 0, 1, 2"),
        [
            (f"{seed:08X}", str(source), str(node), _hex_pairs(row_draws(seed, source, node, 3)))
            for seed, source, node in ROW_VECTORS
        ],
    )
    state = np.array([EXT_VECTOR], dtype=np.uint32)
    outputs = ", ".join(str(int(prng.ext_draw(state)[0])) for _ in range(5))
    return f"""
## Generators

All arithmetic is modulo 2^32; `<<` and `>>` shift in zeros.

### Row generator

State (x, y), two 32-bit words; period 2^64 - 1. One step is

    t = x ^ (x << {a});  x = y;  y = y ^ (y >> {c}) ^ t ^ (t >> {b})

A *draw* is two steps; its words A and B are the values of x + y after the first and the second. A
row starts from

    x = seed
    y = (seed ^ source ^ node_key) * {prng.ROW_SEED_MULTIPLIER:#010x}
    {2 * prng.ROW_WARMUP_DRAWS} steps

with the global number of the source and `node_key` = (node + 1) * {prng.NODE_KEY_MULTIPLIER:#010x}.
Seeds of generated rows are not zero, hence the state is not. Synapse i of the row uses draw i
after the warm-up.

{vectors}

### EXT generator

State w0, w1, w2, w3 as in `ext_states`; period 2^128 - 1. One step is

    t = w0 ^ (w0 << {d});  w0 = w1;  w1 = w2;  w2 = w3
    w3 = w3 ^ (w3 >> {f}) ^ t ^ (t >> {e})

and its output is the new w3. Neuron n draws from lane n mod `ext_lanes`; in a step with an EXT
table every lane draws ceil(n_neurons / ext_lanes) times, in the order of its neurons. In an image
the state of lane l of node k is that of lane 0 of node 0 advanced by
(k `ext_lanes` + l) 2^{prng.EXT_STREAM_SPACING_LOG2} steps.

From {", ".join(str(w) for w in EXT_VECTOR)} (Marsaglia's xor128): {outputs}.
"""


def _samplers() -> str:
    bits, turn = rows.TARGET_BITS, rows.STUB_KEY_ROTATION
    folds = " ^ ".join(f"h[{15 + shift}:{shift}]" for shift in rows.STUB_FOLDS[1:])
    multipliers = ", ".join(f"{m:#010x}" for m in rows.STUB_MULTIPLIERS)
    vectors = table(
        ("K", "n", "`stub_key`", "`seed`", "targets of a row of 5"),
        [
            (str(k), str(n), f"{key:08X}", f"{word:08X}", _stub_row(k, n, key, word, 5))
            for k, n, key, word in STUB_VECTORS
        ],
    )
    return f"""
## Samplers: from a draw to a target

Fields of a draw: A[31:{rows.TARGET_SHIFT}] target, A[11:6] delay entry, A[5:0] weight entry,
B[31:16] weight fraction, B[15:0] delay fraction. Let u = A[31:{rows.TARGET_SHIFT}] and n the number
of targets: `n_neurons`, or one less if the block skips the own neuron (flag bit
{layout.SKIP_SELF_FLAG.bit_length() - 1}) and the source lives in this node. Then every target from
the source's own local number on is raised by one.

* **0, independent.** target = floor(u n / 2^{bits}).
* **1, distinct** (Floyd). For synapse i of L: m = n - L + i and
  candidate = floor(u (m + 1) / 2^{bits}); the target is the candidate, or m if the candidate was a
  target of this row before.
* **2, stubs.** Every neuron has K = `in_degree` stubs; stub (l, r), l < K, is one of neuron r.
  K is {rows.MIN_STUB_INDEGREE} or more, n = `n_neurons` is {rows.MIN_STUB_NEURONS} or more. `seed`
  is the first stub, r in [7:0] and l in [31:8]; synapse i has the stub i places on, r first, with a
  carry into l at n. Its target is the r of P(l, r), where P permutes the stubs as below.
  The row generator starts from (seed + 1) * {rows.ROW_POSITION_MULTIPLIER:#010x}, or from 1 if
  that is 0; it serves delay and weight.
* **3, stored.** `seed` is the position in `synapses` of the first of L words; no generator runs.

The permutation P of (l, r): for i = 0 to {rows.STUB_ROUNDS - 1}, with k and h modulo 2^32,

    k = (stub_key rotated left by {turn} i bits) ^ (i * {rows.STUB_KEY_INCREMENT:#010x})
    i even: h = (r ^ k[16:0]) * (M[i / 2][23:0] ^ (r << {rows.STUB_R_SHIFT}))
            l = (l + floor(f K / 2^16)) mod K
    i odd:  h = (l ^ k[23:0]) * (M[(i - 1) / 2][16:0] ^ (l[7:0] << {rows.STUB_L_SHIFT}))
            r = (r + floor(f n / 2^16)) mod n

with M = {multipliers} and
f = h[31:16] ^ {folds} ^ h[15:0]. Both sums are below twice their modulus.

{vectors}
"""


def _stub_row(k: int, n: int, key: int, word: int, length: int) -> str:
    position = int(rows.stub_position(np.array([word], dtype=np.uint32), n)[0])
    left, right = np.divmod(np.arange(position, position + length), n)
    return ", ".join(str(r) for r in rows.permute_stubs(left, right, k, n, key)[1])


def section_offset(node: NodeImage, name: str) -> int:
    """Return where a section starts in the file of a node."""
    content = node_bytes(node)
    start = layout.HEADER.itemsize
    index = [section.name for section in layout.SECTIONS].index(name)
    entry = np.frombuffer(content, dtype=layout.SECTION_ENTRY, count=index + 1, offset=start)
    return int(entry["offset"][index])


def _example() -> str:
    node = example_node()
    block = node.blocks[0]
    source, n = 17, node.n_neurons
    row = int(block["row_first"]) + source - int(block["source_first"])
    seed, length = int(node.seed[row]), int(node.length[row])
    seed_at = section_offset(node, "seed") + 4 * row
    length_at = section_offset(node, "length") + row
    content = node_bytes(node)
    start_y = (seed ^ source ^ node.node_key) * prng.ROW_SEED_MULTIPLIER & 0xFFFFFFFF
    lines = []
    for i, (a, b) in enumerate(row_draws(seed, source, node.node, length)):
        u = a >> rows.TARGET_SHIFT
        target = u * n >> rows.TARGET_BITS
        w, d = a & 63, a >> 6 & 63
        weight, delay = node.weight_tables[0][w], node.delay_tables[0][d]
        own_w = b >> 16 < int(weight["H"]) >> 16
        own_d = b & 0xFFFF < int(delay["H"]) >> 16
        code = int(weight["own"] if own_w else weight["alias"])
        steps = int(delay["own"] if own_d else delay["alias"]) + 1
        compare = {True: "<", False: ">="}
        lines += [
            f"Draw {i}: A = {a:08X}, B = {b:08X}.",
            "",
            f"* target: u = A[31:12] = {u}, floor({u} * {n} / 2^20) = **neuron {target}**, global "
            f"number {node.first_neuron + target};",
            f"* weight: entry A[5:0] = {w} has H = {int(weight['H']):08X}, own = "
            f"{int(weight['own'])}, alias = {int(weight['alias'])}; B[31:16] = {b >> 16:04X} "
            f"{compare[own_w]} {int(weight['H']) >> 16:04X}, hence {'own' if own_w else 'alias'}, "
            f"code {code:#06x}: **{code & 0x7FFF} grid units** = "
            f"{(code & 0x7FFF) * 2.0**node.grid_exponent:g} pA, excitatory;",
            f"* delay: entry A[11:6] = {d} has H = {int(delay['H']):08X}, own = "
            f"{int(delay['own'])}, alias = {int(delay['alias'])}; B[15:0] = {b & 0xFFFF:04X} "
            f"{compare[own_d]} {int(delay['H']) >> 16:04X}, hence {'own' if own_d else 'alias'}: "
            f"**{steps} steps** = {steps * node.dt_ms:.1f} ms.",
            "",
        ]
    shown = "\n".join(lines)
    return f"""
## Worked example

`csnn.image.documentation.example_node()` builds a node file of {len(content)} bytes: node
{node.node} with {n} neurons from global number {node.first_neuron} on, one dense block
(`source_first` {block["source_first"]}, `source_count` {block["source_count"]}, `row_first`
{block["row_first"]}, sampler 0, S = 0), `grid_exponent` {node.grid_exponent}. Source {source}
spikes.

Its row is {block["row_first"]} + {source} - {block["source_first"]} = {row}. Section `seed` starts
at byte {section_offset(node, "seed")}; bytes {seed_at} to {seed_at + 3} are
`{content[seed_at : seed_at + 4].hex(" ")}`, the seed {seed:08X}. Section `length` starts at byte
{section_offset(node, "length")}, with one byte per row; byte {length_at} is
`{content[length_at]:02x}`: L = {length}.

`node_key` = {node.node_key:08X}, so x = {seed:08X} and y = ({seed:08X} ^ {source:08X} ^
{node.node_key:08X}) * {prng.ROW_SEED_MULTIPLIER:08X} = {start_y:08X}; after
{prng.ROW_WARMUP_DRAWS} unused draws:

{shown}
A spike of step t adds its weights to slot (t + delay_steps) mod `delay_slots`, here
{" and ".join(_slots(node, seed, source, length))} for t = 100.
"""


def _slots(node: NodeImage, seed: int, source: int, length: int) -> list[str]:
    unrolled = rows.unroll(
        node.block(0),
        np.array([source], dtype=np.uint32),
        np.array([seed], dtype=np.uint32),
        np.array([length]),
    )
    return [str((100 + int(delay) + 1) % node.delay_slots) for delay in unrolled.delay]


def _manifest() -> str:
    return f"""
## manifest.json

A JSON object in UTF-8:

{table(("key", "type", "meaning"), [(f"`{k}`", kind, text) for k, kind, text in MANIFEST_KEYS])}
"""


def _checks() -> str:
    return """
## What a reader checks

Opening an image compares the digest of the manifest, the types of the fields that readers use, and
size and SHA-256 of every file (the size only where speed matters more, right after generation).
Mapping a node file checks the magic number, the version, the header, the section table, and the
rules between them that bound every address: row ranges, selectors, presence bits and ranks, table
outcomes, stored words, epochs. Padding is not read. Whatever breaks a rule is refused with one line
that names the file and the rule.
"""


def _versions() -> str:
    return f"""
## Versions

The version is one integer, in the header of every node file and in the manifest; this is version
{layout.FORMAT_VERSION}. A reader accepts exactly its own: whatever changes a byte of a node file or
its meaning (a field, a section, a generator constant, a sampler) raises it. New manifest keys do
not, since readers ignore keys they do not know.
"""


def main(arguments: Sequence[str]) -> None:
    """Write the document to the given path, docs/image-format.md if none is given."""
    target = arguments[0] if arguments else DEFAULT_PATH
    with atomic_file(target) as path:
        Path(path).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
