"""`csnn emit rtl`: what is written is whole, and is what the node is loaded with."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import networks
import numpy as np
import pytest
from commands import csnn, refused, succeed, unchanged

from csnn.hardware import devices
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import OFFSET_BITS, Region, node_words
from csnn.image.store import Image
from csnn.neurons.operators import ECP5_OPERATORS
from csnn.spec.network import AllToAll

FILES = {
    *("csnn_node.v", "csnn_node.xdc", "csnn_node.lpf", "csnn_node.core", "registers.md"),
    *("vivado.tcl", "ecp5.sh", "load/README.md", "load/words.bin"),
}
NODE = 1


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    network = networks.network(networks.projection("E", "E", AllToAll()))
    return networks.image(network, tmp_path_factory.mktemp("image") / "image", ext_lanes=2)


@pytest.fixture(scope="module")
def emitted(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emitted") / "rtl"
    succeed("emit", "rtl", image.path, "--node", NODE, "--out", out)
    return out


def test_manifest_names_every_file(emitted: Path) -> None:
    manifest = json.loads((emitted / "manifest.json").read_text())
    files = {str(path.relative_to(emitted)) for path in emitted.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert files >= FILES
    for name, entry in manifest["files"].items():
        content = (emitted / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_ports_are_those_of_the_verilog(emitted: Path) -> None:
    manifest = json.loads((emitted / "manifest.json").read_text())
    verilog = (emitted / "csnn_node.v").read_text()
    header = verilog[verilog.index("module csnn_node(") :].split(");")[0]
    ports = {name.strip() for name in header.split("(")[1].split(",")}
    assert ports == {port["name"] for port in manifest["ports"]}


def test_memories_are_those_of_the_node(image: Image, emitted: Path) -> None:
    parts = list(node_words(NodeConfig.for_nodes(image.nodes), image.nodes[NODE]))
    loaded = np.fromfile(emitted / "load" / "words.bin", "<u4").reshape(-1, 2)
    expected = np.concatenate([np.stack([w.address, w.value], axis=1) for w in parts])
    np.testing.assert_array_equal(loaded, expected)
    for region in {words.region for words in parts}:
        memory: dict[int, int] = {}
        place = 0
        for line in (emitted / "memories" / f"{region.name.lower()}.hex").read_text().split():
            if line.startswith("@"):
                place = int(line[1:], 16)
            else:
                memory[place] = int(line, 16)
                place += 1
        of_region = [words for words in parts if words.region == region]
        offsets = np.concatenate([words.offset for words in of_region]).tolist()
        values = np.concatenate([words.value for words in of_region]).tolist()
        assert memory == dict(zip(offsets, values, strict=True))


def test_digests_are_those_of_the_words(emitted: Path) -> None:
    """Anyone can compute them from `words.bin`."""
    words = np.fromfile(emitted / "load" / "words.bin", "<u4").reshape(-1, 2)
    region, offset = words[:, 0] >> OFFSET_BITS, words[:, 0] & ((1 << OFFSET_BITS) - 1)
    found = {
        Region(number).name.lower(): hashlib.sha256(
            np.stack([offset, words[:, 1]], axis=1)[region == number].astype("<u4").tobytes()
        ).hexdigest()
        for number in np.unique(region)
    }
    assert found == json.loads((emitted / "manifest.json").read_text())["digests"]


def test_a_node_that_does_not_fit_is_refused(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = devices.Device("xc7z045", "xc7", "small", 1, 1, 900, 1, ((1024, 36),))
    monkeypatch.setitem(devices.DEVICES, "xc7z045", small)
    with unchanged(tmp_path):
        outcome = csnn("emit", "rtl", image.path, "--node", NODE, "--out", tmp_path / "rtl")
    refused(outcome, "xc7z045", "memory")


def test_more_multipliers_than_there_are_are_refused(tmp_path: Path) -> None:
    """Eight pipelines with multipliers of 12 by 12 bits are too many for an ECP5."""
    image = networks.image(networks.network(), tmp_path / "image")
    with unchanged(tmp_path):
        outcome = csnn(
            *("emit", "rtl", image.path, "--device", "lfe5u-85f", "--out", tmp_path / "rtl")
        )
    refused(outcome, "lfe5u-85f", "156 multipliers", "173")


def test_no_other_artifact_is_replaced(image: Image, emitted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    own = shutil.copytree(image.path, run / "image")
    shutil.copy(own / "manifest.json", run / "manifest.json")
    for out, message in ((own, "holds the image"), (run, "holds the image")):
        with unchanged(tmp_path):
            outcome = csnn("emit", "rtl", own, "--out", out)
        refused(outcome, str(out), message)
    with unchanged(tmp_path):
        outcome = csnn("emit", "rtl", image.path, "--out", own)
    refused(outcome, str(own), "holds a csnn-image, not a csnn-rtl")
    with unchanged(tmp_path):
        outcome = csnn("emit", "rtl", image.path, "--out", own / "rtl")
    refused(outcome, str(own / "rtl"), "lies in", "written as a whole")
    again = shutil.copytree(emitted, tmp_path / "rtl")
    succeed("emit", "rtl", image.path, "--out", again)


def test_registers_are_described_with_the_regions_of_the_node(emitted: Path) -> None:
    text = (emitted / "registers.md").read_text()
    listed = set(re.findall(r"^\| \d+ \| `(\w+)` \| 0x", text, re.MULTILINE))
    loaded = {path.stem for path in (emitted / "memories").iterdir()}
    assert listed == loaded | {"synaptic_input", "external_input"}
    assert "### SYNC (4)" in text


def test_an_unknown_node_is_refused(image: Image, tmp_path: Path) -> None:
    outcome = csnn("emit", "rtl", image.path, "--node", image.n_nodes, "--out", tmp_path / "rtl")
    refused(outcome, "node", str(image.n_nodes))


def test_node_is_built_for_its_device(image: Image, tmp_path: Path) -> None:
    succeed("emit", "rtl", image.path, "--device", "lfe5u-85f", "--out", tmp_path / "rtl")
    manifest = json.loads((tmp_path / "rtl" / "manifest.json").read_text())
    latencies = manifest["parameters"]["operator_latencies"]
    assert latencies["fadd"] == ECP5_OPERATORS.fadd
    assert latencies["narrow_multipliers"]
    assert latencies["clock_enable"] is False
    assert "not Xilinx's" in (tmp_path / "rtl" / "vivado.tcl").read_text()


def test_script_for_open_tools_hands_files_on(emitted: Path, tmp_path: Path) -> None:
    """What the tools are called with, each recorded in a file: none of them is run."""
    for name in ("yosys", "nextpnr"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/{name}.txt"\n')
        tool.chmod(0o755)
    tools = {"YOSYS": str(tmp_path / "yosys"), "NEXTPNR": str(tmp_path / "nextpnr")}
    subprocess.run([emitted / "ecp5.sh"], env={**os.environ, **tools}, check=True)
    synthesis = (tmp_path / "yosys.txt").read_text()
    assert "read_verilog csnn_node.v; hierarchy -top csnn_node; proc; flatten" in synthesis
    assert "synth_ecp5 -top csnn_node -json csnn_node.json" in synthesis
    routing = (tmp_path / "nextpnr.txt").read_text().split()
    given = dict(itertools.pairwise(routing))
    assert given["--freq"] == "150"
    assert given["--placer"] == "static"
    assert given["--json"] == "csnn_node.json"
