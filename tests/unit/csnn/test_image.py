"""Images on disk: round trip, and refusal of everything that is not what was written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn import rows
from csnn.errors import InvalidInputError
from csnn.files import MANIFEST_NAME
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.node_file import read_node, write_node
from csnn.image.store import Image, content_digest, node_file, open_image, write_manifest
from csnn.prng import node_key
from csnn.rows import Sampler

N_SOURCES = 90
NODE_SIZES = (40, 50)
SECTIONS = [section.name for section in layout.SECTIONS]


def make_node(node: int = 0, *, delay_buffer: bool = True, wide: bool = False) -> NodeImage:
    """Build a node with a block of every sampler, dense and sparse, and every section filled."""
    rng = np.random.default_rng(100 + node)
    first, n = sum(NODE_SIZES[:node]), NODE_SIZES[node]
    blocks = np.zeros(5, dtype=layout.BLOCK)
    seeds, lengths, presence = [], [], []
    rows_so_far = words_so_far = 0
    synapses = 0
    kinds = [
        (Sampler.INDEPENDENT, 0),
        (Sampler.DISTINCT, layout.SKIP_SELF_FLAG),
        (Sampler.STUBS, 0),
        (Sampler.STORED, layout.SPARSE_FLAG),
        (Sampler.INDEPENDENT, layout.SPARSE_FLAG | layout.SKIP_SELF_FLAG),
    ]
    for index, (sampler, flags) in enumerate(kinds):
        source_first, count = 15 * index, 30
        length = rng.integers(0, 300 if wide and not index else n, count)
        seed = rng.integers(1, 2**32, count)
        if sampler is Sampler.STUBS:
            # The last row ends with the last stub.
            length *= 3
            k = -(-int(length.sum()) // n)
            length[-1] += k * n - length.sum()
            blocks[index]["in_degree"], blocks[index]["stub_key"] = k, 0xABCD1234
            seed = rows.stub_word(np.cumsum(length) - length, n)
        if sampler is Sampler.STORED:
            length[::3] = 0
            seed = np.cumsum(length) - length
            synapses = int(length.sum())
        present = np.ones(count, dtype=bool)
        if flags & layout.SPARSE_FLAG:
            present = length > 0
            blocks[index]["presence_first"] = words_so_far
            bits = np.zeros(32, dtype=bool)
            bits[:count] = present
            presence.append(np.packbits(bits, bitorder="little").view("<u4"))
            words_so_far += 1
        for name, value in {
            "source_first": source_first,
            "source_count": count,
            "row_first": rows_so_far,
            "row_count": present.sum(),
            "selector": index % 2,
            "sampler": sampler,
            "flags": flags,
        }.items():
            blocks[index][name] = value
        seeds.append(seed[present])
        lengths.append(length[present])
        rows_so_far += int(present.sum())
    weights = np.zeros((2, 64), dtype=layout.WEIGHT_TABLE)
    delays = np.zeros((2, 64), dtype=layout.DELAY_TABLE)
    for field in ("own", "alias"):
        weights[field] = rows.weight_code(rng.integers(-32767, 32768, (2, 64)))
        delays[field] = rng.integers(0, 16, (2, 64))
    weights["H"], delays["H"] = rng.integers(0, 2**32, (2, 2, 64))
    ext = np.zeros((1, 32), dtype=layout.EXT_TABLE)
    ext["H"], ext["own"], ext["alias"] = rng.integers(0, 2**32, 32), np.arange(32), 3
    schedule = np.zeros(2, dtype=layout.EPOCH)
    schedule["first_step"], schedule["ext_table"] = (1, 50), (0, layout.NO_EXT_TABLE)
    schedule["dc"] = 0.0, 1.5
    buffer = rng.integers(0, 2**24, (16, 2, n)) if delay_buffer else []
    u32: Callable[[Any], Any] = lambda values: np.asarray(values, dtype=np.uint32)  # noqa: E731
    return NodeImage(
        node=node,
        population=node,
        first_neuron=first,
        n_neurons=n,
        n_sources=N_SOURCES,
        node_key=node_key(node),
        ext_lanes=4,
        ext_weight=1405,
        delay_slots=16,
        grid_exponent=-4,
        dt_ms=0.1,
        model="lif",
        blocks=blocks,
        weight_tables=weights,
        delay_tables=delays,
        ext_tables=ext,
        ext_states=u32(rng.integers(1, 2**32, (4, 4))),
        schedule=schedule,
        constants=np.array([0.9] * 8 + [0.0], dtype=np.float32).view(np.uint32),
        state=rng.normal(size=(3, n)).astype(np.float32).view(np.uint32),
        refractory=u32(rng.integers(0, 20, n)),
        source_ids=u32(np.arange(first, first + n)),
        seed=u32(np.concatenate(seeds)),
        length=np.concatenate(lengths).astype(np.uint16 if wide else np.uint8),
        presence=u32(np.concatenate(presence)),
        rank=u32(np.zeros(len(presence))),
        synapses=rows.synapse_word(
            rng.integers(0, n, synapses),
            rng.integers(0, 16, synapses),
            rows.weight_code(rng.integers(-100, 100, synapses)),
        ),
        delay_buffer=u32(buffer),
    )


def manifest_content() -> dict[str, Any]:
    populations = [
        {
            "name": name,
            "size": size,
            "first_neuron": first,
            "nodes": 1,
            "expected_rate_hz": 2.5,
        }
        for name, size, first in (("E", 40, 0), ("I", 50, 40))
    ]
    return {
        "network": "tiny",
        "seed": 7,
        "dt_ms": 0.1,
        "model": "lif",
        "weight_grid": 0.0625,
        "weight_unit": "pA",
        "n_nodes": 2,
        "populations": populations,
        "synapses": 1,
    }


def make_image(path: Path) -> Image:
    path.mkdir()
    for k in range(2):
        write_node(path / node_file(k), make_node(k, wide=k == 1, delay_buffer=k == 0))
    (path / "network.toml").write_text("# nothing\n")
    write_manifest(path, manifest_content())
    return open_image(path)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return make_image(tmp_path / "image")


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest and give it a valid digest again."""
    manifest = json.loads((path / MANIFEST_NAME).read_text())
    change(manifest)
    manifest["digest"] = content_digest(manifest)
    (path / MANIFEST_NAME).write_text(json.dumps(manifest))


def refused(action: Callable[[], object], match: str | None = None) -> str:
    """Require a one-line InvalidInputError and return its message."""
    with pytest.raises(InvalidInputError, match=match) as caught:
        action()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert caught.value.exit_code == 3
    return message


def write_over(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("delay_buffer", [False, True])
def test_nodes_round_trip(tmp_path: Path, wide: bool, delay_buffer: bool) -> None:
    node = make_node(1, wide=wide, delay_buffer=delay_buffer)
    write_node(tmp_path / "node", node)
    again = read_node(tmp_path / "node")
    for field in fields(NodeImage):
        written, read = getattr(node, field.name), getattr(again, field.name)
        if isinstance(written, np.ndarray):
            assert read.shape == written.shape, field.name
            assert read.dtype == written.dtype, field.name
            assert np.array_equal(read, written), field.name
            assert not read.flags.writeable
        else:
            assert read == written, field.name
    content = (tmp_path / "node").read_bytes()
    write_node(tmp_path / "again", again)
    assert (tmp_path / "again").read_bytes() == content


def test_files_are_little_endian_and_aligned(tmp_path: Path) -> None:
    node = make_node()
    write_node(tmp_path / "node", node)
    content = (tmp_path / "node").read_bytes()
    assert content[:8] == b"CSNNNODE"
    table = layout.HEADER.itemsize
    for section in layout.SECTIONS:
        name = content[table : table + 16].rstrip(b"\0").decode()
        offset = int.from_bytes(content[table + 16 : table + 24], "little")
        size = int.from_bytes(content[table + 24 : table + 32], "little")
        assert name == section.name
        assert offset % 64 == 0
        assert size == getattr(node, name).nbytes
        if name == "seed":
            assert int.from_bytes(content[offset : offset + 4], "little") == int(node.seed[0])
        table += 32
    assert offset + size == len(content)


def test_dense_and_sparse_rows_are_found(image: Image) -> None:
    for node in image.nodes:
        for index, entry in enumerate(node.blocks):
            source, seed, length = node.rows(index)
            first, count = int(entry["source_first"]), int(entry["source_count"])
            assert (np.diff(source.astype(int)) > 0).all()
            assert ((source >= first) & (source < first + count)).all()
            asked = np.arange(N_SOURCES, dtype=np.uint32)
            found = node.find_rows(index, asked)
            for have, want in zip(found, (source, seed, length), strict=True):
                assert np.array_equal(have, want)
            if entry["flags"] & layout.SPARSE_FLAG:
                assert (length > 0).all()


def test_an_image_opens_and_describes_itself(image: Image) -> None:
    assert image.n_nodes == 2
    assert image.n_neurons == N_SOURCES
    assert image.populations == [("E", 40), ("I", 50)]
    assert image.dt_ms == 0.1
    assert image.digest == content_digest(image.manifest)
    assert image.node_bytes == sum((image.path / node_file(k)).stat().st_size for k in (0, 1))
    for name, entry in image.manifest["files"].items():
        content = (image.path / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert [node.node for node in image.nodes] == [0, 1]


def test_truncated_node_files_are_refused(image: Image) -> None:
    path = image.path / node_file(0)
    content = path.read_bytes()
    ends = {0, 1, 7, 8, 95, 96, 97, 300, len(content) - 1}
    ends |= {int(x) for x in np.linspace(0, len(content) - 1, 60)}
    for end in sorted(ends):
        write_over(path, content[:end])
        refused(lambda: open_image(image.path))
        refused(lambda: open_image(image.path, verify=False), "truncated or altered")
        refused(lambda: read_node(path))
    write_over(path, content + b"\0")
    refused(lambda: read_node(path), "follow the last section")


@pytest.mark.parametrize("section", SECTIONS)
def test_an_altered_byte_in_any_section_is_refused(image: Image, section: str) -> None:
    path = image.path / node_file(0)
    content = bytearray(path.read_bytes())
    offset, size = section_place(content, section)
    assert size > 0
    content[offset + size // 2] ^= 0x10
    write_over(path, bytes(content))
    assert "SHA-256" in refused(lambda: open_image(image.path))


def section_place(content: bytes | bytearray, section: str) -> tuple[int, int]:
    entry = layout.HEADER.itemsize + 32 * SECTIONS.index(section)
    return (
        int.from_bytes(content[entry + 16 : entry + 24], "little"),
        int.from_bytes(content[entry + 24 : entry + 32], "little"),
    )


def check_in_range(node: NodeImage) -> None:
    """Unroll everything: what was opened must stay inside the node's memories."""
    asked = np.arange(min(node.n_sources, 1000), dtype=np.uint32)
    asked[-1] = node.n_sources - 1
    for index in range(len(node.blocks)):
        source, seed, length = node.rows(index)
        synapses = rows.unroll(node.block(index), source, seed, length)
        assert len(synapses.neuron) == length.sum(dtype=np.int64)
        assert (synapses.neuron < node.n_neurons).all()
        assert (synapses.delay < node.delay_slots).all()
        node.find_rows(index, asked)


def altered_copies(content: bytes, seed: int, count: int, first: int = 0) -> list[bytes]:
    """Return damaged versions: flipped bits, bytes at their extremes, words, cuts and swaps."""
    rng = np.random.default_rng(seed)
    copies = []
    for i in range(count):
        damaged = bytearray(content)
        place = int(rng.integers(first, len(content)))
        kind = i % 5
        if kind == 0:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            damaged[place] = int(rng.choice([0x00, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            word = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, int(rng.integers(2**32))])
            place -= place % 4
            damaged[place : place + 4] = int(word).to_bytes(4, "little")
        elif kind == 3:
            del damaged[place:]
        else:
            other = int(rng.integers(first, len(content)))
            damaged[place], damaged[other] = damaged[other], damaged[place]
        if bytes(damaged) != content:
            copies.append(bytes(damaged))
    return copies


@pytest.mark.parametrize(("node", "count"), [(0, 150), (1, 40)])
def test_fuzzed_node_files_are_refused_or_harmless(image: Image, node: int, count: int) -> None:
    path = image.path / node_file(node)
    content = path.read_bytes()
    meta = layout.HEADER.itemsize + 32 * len(SECTIONS) + layout.BLOCK.itemsize * 6
    copies = altered_copies(content, 1, count) + altered_copies(content[:meta], 2, 4 * count)
    read = refusals = 0
    for damaged in copies:
        whole = damaged + content[meta:] if len(damaged) == meta else damaged
        write_over(path, whole)
        refused(lambda: open_image(image.path))
        try:
            found = read_node(path)
        except InvalidInputError:
            refusals += 1
        else:
            read += 1
            check_in_range(found)
    assert refusals > 2 * count
    assert read > count / 15


@pytest.mark.parametrize("field", layout.HEADER.names)
def test_absurd_header_values_are_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "node"
    node = make_node()
    write_node(path, node)
    content = path.read_bytes()
    for value in (0, 1, 2**16, 2**31, 2**32 - 1):
        header = np.frombuffer(content[: layout.HEADER.itemsize], dtype=layout.HEADER).copy()
        kind = header.dtype[field].kind
        with np.errstate(over="ignore"):
            new = value - 2**32 if kind == "i" and value >= 2**31 else value
            header[field] = str(value) if kind == "S" else new
        if kind == "f":
            header[field] = {0: 0.0, 1: -1.0, 2**16: np.nan, 2**31: np.inf}.get(value, -np.inf)
        if header.tobytes() == content[: layout.HEADER.itemsize]:
            continue
        write_over(path, header.tobytes() + content[layout.HEADER.itemsize :])
        try:
            found = read_node(path)
        except InvalidInputError:
            continue
        # What is read nevertheless is a legal other value.
        assert field in ("population", "first_neuron", "n_sources", "ext_weight", "grid_exponent")
        check_in_range(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", 2**16),
        ("n_neurons", 0),
        ("n_neurons", 257),
        ("first_neuron", N_SOURCES - 39),
        ("node_key", 5),
        ("ext_lanes", 3),
        ("ext_lanes", 64),
        ("ext_weight", 2**15),
        ("delay_slots", 1),
        ("delay_slots", 48),
        ("delay_slots", 128),
        ("grid_exponent", 1023),
        ("length_bytes", 4),
        ("dt_ms", np.inf),
        ("model", "izhikevich9"),
    ],
)
def test_header_rules_name_the_field(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "node"
    write_node(path, make_node(delay_buffer=False))
    content = path.read_bytes()
    header = np.frombuffer(content[: layout.HEADER.itemsize], dtype=layout.HEADER).copy()
    header[field] = value
    write_over(path, header.tobytes() + content[layout.HEADER.itemsize :])
    refused(lambda: read_node(path), f"header: {field} = ")


@pytest.mark.parametrize("field", ["offset", "size"])
@pytest.mark.parametrize("value", [0, 1, 63, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 64])
def test_section_tables_that_overflow_are_refused(tmp_path: Path, field: str, value: int) -> None:
    path = tmp_path / "node"
    write_node(path, make_node())
    content = path.read_bytes()
    for index in range(len(SECTIONS)):
        damaged = bytearray(content)
        place = layout.HEADER.itemsize + 32 * index + (16 if field == "offset" else 24)
        damaged[place : place + 8] = value.to_bytes(8, "little")
        write_over(path, bytes(damaged))
        refused(lambda: read_node(path))


def drop_last_word(node: NodeImage) -> None:
    """Take the last stored word away."""
    object.__setattr__(node, "synapses", node.synapses[:-1])


INCONSISTENT: list[tuple[str, Callable[[NodeImage], object], str]] = [
    ("rows", lambda n: put(n.blocks, 0, "row_first", 10**6), "beyond the rows"),
    ("sources", lambda n: put(n.blocks, 4, "source_count", 10**6), "beyond n_sources"),
    ("dense", lambda n: put(n.blocks, 0, "row_count", 29), "dense rows"),
    ("order", lambda n: put(n.blocks, 0, "source_first", 60), "must not decrease"),
    ("selector", lambda n: put(n.blocks, 0, "selector", 2), "n_selectors"),
    ("sampler", lambda n: put(n.blocks, 0, "sampler", 4), "unknown"),
    ("flags", lambda n: put(n.blocks, 0, "flags", 4), "unknown"),
    ("skip", lambda n: put(n.blocks, 2, "flags", 2), "cannot skip"),
    ("presence", lambda n: put(n.blocks, 3, "presence_first", 2), "presence words"),
    ("popcount", lambda n: put(n.presence, 0, None, 0xFFFF), "presence bits"),
    ("rank", lambda n: put(n.rank, 1, None, 1), "rank"),
    ("stubs", lambda n: put(n.blocks, 2, "in_degree", 32), "beyond its memory"),
    ("last stub", lambda n: put(n.seed, 89, None, n.seed[89] + 1), "beyond its memory"),
    ("far stub", lambda n: put(n.seed, 70, None, 2**32 - 256), "beyond its memory"),
    ("no neuron", lambda n: put(n.seed, 70, None, 40), "a stub of no neuron"),
    ("large K", lambda n: put(n.blocks, 2, "in_degree", 2**24 + 1), "must be from 32 to 16777216"),
    ("last word", lambda n: drop_last_word(n), "beyond its memory"),
    ("no stubs", lambda n: put(n.blocks, 2, "in_degree", 31), "must be from 32"),
    ("distinct", lambda n: put(n.length, 31, None, 41), "distinct targets"),
    ("own neuron", lambda n: put(n.length, 31, None, 40), "distinct targets"),
    ("stored", lambda n: put(n.seed, 95, None, 2**31), "beyond its memory"),
    ("neuron", lambda n: put(n.synapses, 9, None, 40), "n_neurons"),
    ("delay", lambda n: put(n.synapses, 9, None, 16 << 8), "delay_slots"),
    ("delay table", lambda n: put(n.delay_tables, (1, 5), "alias", 16), "delay_slots"),
    ("ext table", lambda n: put(n.ext_tables, (0, 5), "own", 32), "below 32"),
    ("ext own", lambda n: put(n.ext_tables, (0, 5), "own", 6), "number of its entry"),
    ("ext state", lambda n: put(n.ext_states, 2, None, 0), "zero never"),
    ("epoch order", lambda n: put(n.schedule, 1, "first_step", 1), "increase"),
    ("epoch start", lambda n: put(n.schedule, 0, "first_step", 2), "start with 1"),
    ("epoch table", lambda n: put(n.schedule, 0, "ext_table", 1), "n_ext_tables"),
    ("dc", lambda n: put(n.schedule, 0, "dc", np.nan), "finite"),
    ("refractory", lambda n: put(n.refractory, 3, None, 2**31), "2\\^31"),
    ("ids", lambda n: put(n.source_ids, 3, None, N_SOURCES), "first_neuron"),
    (
        "order of ids",
        lambda n: put(n.source_ids, slice(None), None, n.source_ids[::-1].copy()),
        "source_ids: must count from first_neuron",
    ),
    ("buffer", lambda n: put(n.delay_buffer, 3, None, 2**24), "2\\^24"),
]


def put(array: Any, place: Any, field: str | None, value: Any) -> None:
    if field is None:
        array[place] = value
    else:
        array[field][place] = value


@pytest.mark.parametrize(("name", "damage", "match"), INCONSISTENT)
def test_inconsistent_sections_are_refused(
    tmp_path: Path, name: str, damage: Callable[[NodeImage], object], match: str
) -> None:
    node = make_node()
    damage(node)
    write_node(tmp_path / "node", node)
    refused(lambda: read_node(tmp_path / "node"), match)


def test_a_lone_neuron_cannot_skip_itself_for_nothing(tmp_path: Path) -> None:
    node = make_node()
    whole = {field.name: getattr(node, field.name) for field in fields(NodeImage)}
    block = node.blocks[:1].copy()
    block["flags"], block["source_count"], block["row_count"] = layout.SKIP_SELF_FLAG, 2, 2
    lone = {
        **whole,
        "n_neurons": 1,
        "blocks": block,
        "seed": node.seed[:2],
        "state": node.state[:, :1],
        "refractory": node.refractory[:1],
        "source_ids": node.source_ids[:1],
        "presence": node.presence[:0],
        "rank": node.rank[:0],
        "synapses": node.synapses[:0],
        "delay_buffer": node.delay_buffer[:0].ravel(),
    }
    path = tmp_path / "node"
    write_node(path, NodeImage(**{**lone, "length": np.array([0, 4], dtype=np.uint8)}))
    check_in_range(read_node(path))
    write_node(path, NodeImage(**{**lone, "length": np.array([1, 4], dtype=np.uint8)}))
    refused(lambda: read_node(path), "no target")


def _uneven(manifest: dict[str, Any]) -> None:
    for population, size in zip(manifest["populations"], (39, 51), strict=True):
        population["size"] = size


def _of_population_0(path: Path) -> None:
    path.unlink()
    write_node(path, NodeImage(**{**make_node(1, wide=True).__dict__, "population": 0}))


def test_nodes_must_fit_together(image: Image) -> None:
    for change, match in (
        (lambda: shutil.copy(image.path / node_file(0), image.path / node_file(1)), "node = 0"),
        (lambda: reseal(image.path, lambda m: m["populations"][0].update(size=41)), "n_sources"),
        (lambda: reseal(image.path, _uneven), "nodes of population E hold 40 neurons: must be 39"),
        (lambda: _of_population_0(image.path / node_file(1)), "population = 0: must be 1"),
        (lambda: reseal(image.path, lambda m: m.update(dt_ms=0.2)), "dt_ms"),
        (lambda: reseal(image.path, lambda m: m.update(model="other")), "model"),
    ):
        keep = {p.name: p.read_bytes() for p in image.path.iterdir()}
        change()
        for name in (node_file(1),):
            size = (image.path / name).stat().st_size
            reseal(image.path, lambda m, n=name, s=size: m["files"][n].update(bytes=s))
        found = open_image(image.path, verify=False)
        refused(lambda found=found: found.nodes, match)
        for name, content in keep.items():
            write_over(image.path / name, content)
    open_image(image.path)


def test_other_versions_are_refused(image: Image) -> None:
    path = image.path / node_file(0)
    content = bytearray(path.read_bytes())
    content[8] = 1
    write_over(path, bytes(content))
    refused(lambda: read_node(path), "version 1")
    for version in (0, 1, 3, "2", 2.0, True, None, [1]):
        reseal(image.path, lambda m, v=version: m.update(version=v))
        refused(lambda: open_image(image.path), "version")
    reseal(image.path, lambda m: m.update(version=2, schema="csnn-checkpoint"))
    refused(lambda: open_image(image.path), "schema")


def test_missing_files_and_foreign_directories_are_refused(image: Image, tmp_path: Path) -> None:
    refused(lambda: open_image(tmp_path / "absent"), "No such file")
    refused(lambda: open_image(image.path / "network.toml"), "Not a directory")
    refused(lambda: open_image("a\0b"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    refused(lambda: open_image(foreign), "manifest")
    for text in ("", "{", "[]", "null", "3", '"csnn-image"', "{}", '{"schema": "other"}', "\ufeff"):
        (foreign / MANIFEST_NAME).write_text(text, encoding="utf-8")
        refused(lambda: open_image(foreign), "manifest")
    (foreign / MANIFEST_NAME).write_bytes(b"\xff\xfe\x00")
    refused(lambda: open_image(foreign), "not valid JSON")
    (foreign / MANIFEST_NAME).write_text("[" * 100000)
    refused(lambda: open_image(foreign), "not valid JSON")
    (foreign / MANIFEST_NAME).write_text('{"schema": "csnn-image", "version": 3, "x": NaN}')
    refused(lambda: open_image(foreign), "no manifest has")
    (foreign / MANIFEST_NAME).unlink()
    (foreign / MANIFEST_NAME).mkdir()
    refused(lambda: open_image(foreign), "directory")
    refused(lambda: read_node(foreign))
    (image.path / node_file(1)).unlink()
    refused(lambda: open_image(image.path, verify=False), "missing")
    refused(lambda: read_node(image.path / node_file(1)))
    (image.path / node_file(1)).write_bytes(b"")
    refused(lambda: read_node(image.path / node_file(1)))


WRONG_VALUES = (None, True, -1, 0, 1.5, "x", [], {}, [1], {"a": 1}, 10**400, "\ud800", "a\nb")


def paths_of(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [p for key, v in items for p in [(*prefix, key), *paths_of(v, (*prefix, key))]]


def test_wrong_types_in_a_resealed_manifest_are_refused_or_unused(image: Image) -> None:
    original = json.loads((image.path / MANIFEST_NAME).read_text())
    refusals: set[tuple[Any, ...]] = set()
    messages: list[str] = []
    for path in paths_of(original):
        if path == ("digest",):
            continue
        for wrong in (*WRONG_VALUES, "absent"):
            manifest = json.loads(json.dumps(original))
            parent = manifest
            for key in path[:-1]:
                parent = parent[key]
            if wrong == "absent":
                del parent[path[-1]]
            else:
                parent[path[-1]] = wrong
            manifest["digest"] = content_digest(manifest)
            (image.path / MANIFEST_NAME).write_text(json.dumps(manifest))
            try:
                found = open_image(image.path)
                used = (found.n_nodes, found.n_neurons, found.populations, found.nodes)
                assert len(used[3]) == 2
                assert isinstance((found.dt_ms, found.node_bytes, found.digest), tuple)
            except InvalidInputError as error:
                messages.append(str(error))
                refusals.add(path)
    assert not [message for message in messages if "\n" in message]
    used_fields = {"schema", "version", "files", "n_nodes", "populations", "dt_ms", "model"}
    assert used_fields <= {path[0] for path in refusals}


def test_names_that_leave_the_image_are_refused(image: Image) -> None:
    for name in ("../image/network.toml", "/etc/hostname", "", ".", "..", "a/b", "a\0b"):
        entry = {"bytes": 10, "sha256": ""}
        reseal(image.path, lambda m, n=name, e=entry: m["files"].update({n: e}))
        refused(lambda: open_image(image.path), "name of a file")
        reseal(image.path, lambda m, n=name: m["files"].pop(n))
    open_image(image.path)


def test_absurd_node_counts_are_refused_at_once(image: Image) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["n_nodes"] = manifest["populations"][0]["nodes"] = 10**18
        manifest["populations"] = manifest["populations"][:1]

    reseal(image.path, change)
    refused(lambda: open_image(image.path), "n_nodes")


def test_fuzzed_manifests_are_refused(image: Image) -> None:
    path = image.path / MANIFEST_NAME
    content = path.read_bytes()
    meant = json.loads(content)
    for verify in (True, False):
        for damaged in altered_copies(content, 3, 200):
            path.write_bytes(damaged)
            try:
                same = json.loads(damaged) == meant
            except ValueError:
                same = False
            if same:  # the damage hit white space
                assert open_image(image.path, verify=verify).manifest == meant
            else:
                refused(lambda verify=verify: open_image(image.path, verify=verify))


def test_altered_other_files_are_refused(image: Image) -> None:
    write_over(image.path / "network.toml", b"# Nothing\n")
    refused(lambda: open_image(image.path), "SHA-256")
    open_image(image.path, verify=False)
