"""The format document: up to date, and true of real files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn import rows
from csnn.image import documentation, layout
from csnn.image.node_file import node_bytes, read_node, write_node
from csnn.spec.description import Description
from csnn.spec.distributions import Constant
from csnn.spec.machine import Machine
from csnn.spec.network import FixedTotalNumber, Network, Population, Projection
from netgen.build import generate

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_up_to_date() -> None:
    written = (ROOT / documentation.DEFAULT_PATH).read_text(encoding="utf-8")
    assert written == documentation.document(), "run python -m csnn.image.documentation"


def test_the_module_writes_the_document(tmp_path: Path) -> None:
    target = tmp_path / "format.md"
    documentation.main([str(target)])
    assert target.read_text(encoding="utf-8") == documentation.document()


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (layout, "FORMAT_VERSION", 4),
        (rows, "ROW_POSITION_MULTIPLIER", 0x12345),
        (rows, "STUB_MULTIPLIERS", (1, 2, 3)),
        (documentation.prng, "ROW_SHIFTS", (9, 13, 10)),
        (documentation.prng, "ROW_WARMUP_DRAWS", 3),
        (documentation.prng, "EXT_STREAM_SPACING_LOG2", 60),
        (layout, "HEADER_FIELDS", layout.HEADER_FIELDS[:-1]),
    ],
)
def test_the_document_follows_the_code(
    owner: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = documentation.document()
    monkeypatch.setattr(owner, name, value)
    assert documentation.document() != before


def test_every_section_and_field_is_described() -> None:
    text = documentation.document()
    named = [section.name for section in layout.SECTIONS]
    for fields in (layout.HEADER_FIELDS, *(section.fields for section in layout.SECTIONS)):
        named += [field.name for field in fields]
    assert not [name for name in named if f"`{name}`" not in text]


def test_header_offsets_are_those_of_a_real_file(tmp_path: Path) -> None:
    node = documentation.example_node()
    content = node_bytes(node)
    write_node(tmp_path / "node", node)
    assert (tmp_path / "node").read_bytes() == content
    read_node(tmp_path / "node")
    text = documentation.document()
    header = text[text.index("### Header") : text.index("### Section table")]
    found = re.findall(r"\| (\d+) \| (\d+) \| `(\w+)` \| unsigned", header)
    assert len(found) > 10
    for offset, size, name in found:
        value = int.from_bytes(content[int(offset) : int(offset) + int(size)], "little")
        expected = {
            "magic": layout.MAGIC,
            "version": layout.FORMAT_VERSION,
            "n_sections": len(layout.SECTIONS),
            "n_blocks": 1,
            "n_selectors": 1,
            "n_ext_tables": 0,
            "length_bytes": 1,
        }
        assert value == expected.get(name, getattr(node, name, None)), name


def test_the_worked_example_is_what_the_rows_unroll_to() -> None:
    text = documentation.document()
    example = text[text.index("## Worked example") : text.index("## manifest.json")]
    content = node_bytes(documentation.example_node())
    for first, last, shown in re.findall(r"bytes (\d+) to (\d+) are\s+`([0-9a-f ]+)`", example):
        assert content[int(first) : int(last) + 1] == bytes.fromhex(shown)
    byte = re.search(r"byte (\d+) is\s+`([0-9a-f]{2})`: L = (\d+)", example)
    assert byte is not None
    assert content[int(byte[1])] == int(byte[2], 16) == int(byte[3])
    node = documentation.example_node()
    source, seed, length = (np.array([array[1]]) for array in node.rows(0))
    assert int(source[0]) == 17
    unrolled = rows.unroll(node.block(0), source, seed, length)
    triples = [
        unrolled.neuron.tolist(),
        rows.weight_units(unrolled.code).tolist(),
        (unrolled.delay + 1).tolist(),
    ]
    patterns = (r"\*\*neuron (\d+)\*\*", r"\*\*(\d+) grid units\*\*", r"\*\*(\d+) steps\*\*")
    stated = [[int(v) for v in re.findall(p, example)] for p in patterns]
    assert stated == triples
    assert len(triples[0]) == 2
    # Both branches of an alias table are shown.
    assert "hence own" in example
    assert "hence alias" in example


def test_every_manifest_key_is_described(tmp_path: Path) -> None:
    population = Population(name="E", size=20)
    projection = Projection(
        source="E",
        target="E",
        rule=FixedTotalNumber(count=100),
        weight=Constant(value=10.0),
        delay_ms=Constant(value=1.0),
    )
    network = Network(name="tiny", populations=(population,), projections=(projection,))
    description = Description(network=network, machine=Machine(neurons_per_node=8))
    manifest = generate(description, 1, tmp_path / "image").manifest
    described = {key for key, _, _ in documentation.MANIFEST_KEYS}
    assert set(manifest) <= described
    assert described - set(manifest) <= {"edge_fit"}
    row = next(text for key, _, text in documentation.MANIFEST_KEYS if key == "populations")
    assert not [key for key in manifest["populations"][0] if f"`{key}`" not in row]
