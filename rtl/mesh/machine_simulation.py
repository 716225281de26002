"""A machine of tiles in a Verilator simulation: every place, every link, the host's port."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from csnn.cache import cache_folder
from csnn.errors import ToolFailedError, reject
from csnn.hardware.config import NodeConfig
from csnn.hardware.frames import FRAME_BITS
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.memory_map import NEURON_BITS, Region, Words
from csnn.hardware.mesh import Direction, LinkConfig, Mesh, Site
from csnn.hardware.mesh_latency import link_jitter, link_round_trip
from rtl.gated_clock import gate_clock
from rtl.mesh.tile import Tile
from rtl.ode_unit import PIPELINE_ENABLE
from rtl.verilator_build import build_library
from rtl.verilog import cached_verilog

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
PACKET_WORDS = 3
FS_PER_NS = 1_000_000
_FOLDER = Path(__file__).parent
_CORE = "__DOT__node__DOT__core__DOT__"
_FIFO_LEVEL = "__DOT__node__DOT__fifo__DOT__level"
_LOOKUP = "router__DOT__lookup__DOT__"
# Memories with a word per address.
_PLAIN_REGIONS = {
    Region.SEED: f"{_LOOKUP}seed__DOT__memory",
    Region.LENGTH: f"{_LOOKUP}length__DOT__memory",
}


class Role(IntEnum):
    """What stands at a place."""

    NODE = 0
    MASTER = 1
    RELAY = 2


class FaultKind(IntEnum):
    """What happens to a frame on its way."""

    DROP = 0
    DOUBLE = 1
    CORRUPT = 2
    REORDER = 3
    FORGE = 4
    STUCK = 5


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What the logic does not decide.

    Attributes
    ----------
    app_mhz, comm_mhz : float
        Clocks of the application and of the communication.
    ppm : float
        Every clock differs from these by up to so much.
    latency_ns, jitter_ns : float
        Of a link, from serialiser to serialiser; every frame is late by up to the jitter.
    spread_ns : float
        Links differ in their latency by up to so much.
    seed : int
        Of phases, clocks, latencies and jitter.
    """

    app_mhz: float = 150.0
    comm_mhz: float = 100.0
    ppm: float = 100.0
    latency_ns: float = 800.0
    jitter_ns: float = 0.0
    spread_ns: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("app_mhz", 1.0, 1000.0),
            ("comm_mhz", 1.0, 1000.0),
            ("ppm", 0.0, 10_000.0),
            # Less than a cycle of a clock would need places to run in step.
            ("latency_ns", 10.0, 1e6),
            ("jitter_ns", 0.0, 1e6),
            ("spread_ns", 0.0, 1e6),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise reject(f"physics.{name}", value, f"must be from {low:g} to {high:g}")

    def check_links(self, link: LinkConfig) -> None:
        """Refuse delays that links of a configuration cannot work with."""
        cycle_ns = 1e3 / self.comm_mhz
        limit = link_jitter(link.window, link.buffer, link.frame_cycles) * cycle_ns
        if self.jitter_ns > limit:
            rule = f"must be at most {limit:g}, lest numbers of frames go round"
            raise reject("physics.jitter_ns", self.jitter_ns, rule)
        longest_ns = self.latency_ns + self.spread_ns + self.jitter_ns
        trip = link_round_trip(link.frame_cycles, math.ceil(longest_ns / cycle_ns))
        if trip > link.timeout:
            rule = f"must give a round trip of link.timeout = {link.timeout} cycles, not {trip}"
            raise reject("physics.latency_ns", self.latency_ns, rule)


@dataclass(frozen=True)
class Snapshots:
    """Memories of a node at the ends of steps.

    Attributes
    ----------
    step : ndarray of uint32, shape (n,)
    time_fs : ndarray of uint64, shape (n,)
        When the next step began.
    cycle : ndarray of uint64, shape (n,)
        The same in cycles of the node's clock since the reset.
    words : dict of str to ndarray of uint32, shape (n, neurons)
    """

    step: U32
    time_fs: U64
    cycle: U64
    words: dict[str, U32]


class MachineSimulation:
    """A machine.

    Parameters
    ----------
    mesh : Mesh
    node : NodeConfig
        Serves every node.
    master : MasterConfig
    physics : Physics
    threads : int
    change : callable, optional
        Changes the Verilog of the tiles before it is compiled, by role: a planted fault.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If Verilator or the C++ compiler is not there, or fails.
    """

    def __init__(
        self,
        mesh: Mesh,
        node: NodeConfig,
        master: MasterConfig,
        physics: Physics | None = None,
        *,
        threads: int = 2,
        change: Callable[[Role, str], str] = lambda role, verilog: verilog,
    ) -> None:
        self.mesh, self.node = mesh, node
        self.physics = physics or Physics()
        self.physics.check_links(mesh.router.link)
        self.threads = threads
        units = {Role.NODE: node, Role.MASTER: master, Role.RELAY: None}
        designs = {}
        for role, unit in units.items():
            name = _module(role)
            key = f"tile {mesh.router!r} {unit!r}"
            tile = cached_verilog(
                lambda unit=unit: Tile(mesh.router, unit), key, cache_folder(), name
            )
            tile = change(role, tile)
            if role is Role.NODE and node.operators.clock_enable:
                tile = gate_clock(tile, PIPELINE_ENABLE)
            designs[name] = tile
        library = build_library(
            designs, (_FOLDER / "machine_harness.cpp").read_text(), {"tiles.h": self._header()}
        )
        self._library = ctypes.CDLL(str(library))
        self._library.machine_create.restype = ctypes.c_void_p
        for name in ("now", "app_cycles", "full_cycles"):
            getattr(self._library, f"machine_{name}").restype = ctypes.c_uint64
        for name in ("receive", "snapshot_count"):
            getattr(self._library, f"machine_{name}").restype = ctypes.c_size_t
        for name in ("run", "preload", "peek"):
            getattr(self._library, f"machine_{name}").restype = ctypes.c_uint32
        self._machine = ctypes.c_void_p(self._library.machine_create())
        self.places = {site: number for number, site in enumerate(mesh.sites)}
        self.wires: dict[tuple[Site, Direction], int] = {}
        self._assemble()

    def __del__(self) -> None:
        if hasattr(self, "_machine"):
            self._library.machine_destroy(self._machine)

    def role(self, site: Site) -> Role:
        """Return what stands at a place."""
        if site == self.mesh.master:
            return Role.MASTER
        return Role.NODE if site in self._nodes else Role.RELAY

    def _assemble(self) -> None:
        """Put tiles, clocks and links together, and reset."""
        mesh, physics = self.mesh, self.physics
        self._nodes = set(mesh.nodes)
        rng = np.random.default_rng(physics.seed)
        for site in mesh.sites:
            clocks = []
            for mhz in (physics.app_mhz, physics.comm_mhz):
                ppm = rng.uniform(-physics.ppm, physics.ppm) if physics.ppm else 0.0
                period = round(1e9 / mhz * (1 + 1e-6 * ppm))
                clocks += [period, int(rng.integers(period))]
            if self.role(site) is Role.RELAY:
                clocks[:2] = [_NEVER, _NEVER]
            exists = sum(1 << i for i, there in enumerate(mesh.links(site)) if there)
            self._library.machine_add_place(
                self._machine,
                ctypes.c_uint32(self.role(site)),
                _pointer(np.array(site, np.uint8)),
                ctypes.c_uint64(exists),
                ctypes.c_uint32(site == (0, 0, 0)),
                _pointer(np.array(clocks, np.uint64)),
            )
        directions = mesh.router.directions
        for site in mesh.sites:
            for out, (direction, there) in enumerate(
                zip(directions, mesh.links(site), strict=True)
            ):
                if not there:
                    continue
                number = len(self.wires)
                latency_ns = physics.latency_ns + physics.spread_ns * rng.random()
                self.wires[site, direction] = number
                self._library.machine_add_wire(
                    self._machine,
                    ctypes.c_uint32(self.places[site]),
                    ctypes.c_uint32(out),
                    ctypes.c_uint32(self.places[direction.from_site(site)]),
                    ctypes.c_uint32(directions.index(direction.opposite)),
                    ctypes.c_uint64(round(latency_ns * FS_PER_NS)),
                    ctypes.c_uint64(round(physics.jitter_ns * FS_PER_NS)),
                    ctypes.c_uint64(int(rng.integers(1, 1 << 32))),
                )
        self.run(200)
        self._library.machine_set_reset(self._machine, ctypes.c_uint32(0))

    def _header(self) -> str:
        lines = [
            f"#define DIRECTIONS {len(self.mesh.router.directions)}",
            f"#define FRAME_WORDS {FRAME_BITS // 32}",
            *(f'#include "V{_module(role)}.h"' for role in Role),
            f'#include "V{_module(Role.NODE)}___024root.h"',
            "template <class Top> void bind(Top& top, struct Ports& ports);",
            (_FOLDER / "machine_tile.h").read_text(),
            "template <class Top> void bind(Top& top, Ports& ports) {",
            *(f"  ports.{name} = &top.{name};" for name in _SCALARS),
            *(f"  ports.{name} = top.{name}.data();" for name in ("s_axis_tdata", "m_axis_tdata")),
            "  bind_exists(ports, top.exists);",
            "  bind_clock(top, ports);",
        ]
        for number, direction in enumerate(self.mesh.router.directions):
            for end in ("tx", "rx"):
                port = f"{direction.name}_{end}"
                lines += [
                    f"  ports.{end}_frame[{number}] = top.{_cpp(port)}_frame.data();",
                    f"  ports.{end}_valid[{number}] = &top.{_cpp(port)}_valid;",
                ]
        lines += [
            "}",
            *self._node_tile(),
            "inline std::unique_ptr<Tile> make_tile(unsigned kind) {",
        ]
        lines += [
            f"  if (kind == {role.value}) return std::make_unique<"
            + ("NodeTile" if role is Role.NODE else f"TileOf<V{_module(role)}>")
            + ">();"
            for role in Role
        ]
        lines += ["  return nullptr;", "}", ""]
        return "\n".join(lines)

    def _node_tile(self) -> list[str]:
        """Return the class of a node's tile, which knows where Verilator keeps the memories."""
        config = self.node
        tile = f"top.rootp->{_module(Role.NODE)}"
        root = tile + _CORE
        lanes = config.pipelines
        capacity = lanes << config.group_bits
        lines = [
            f"struct NodeTile : TileOf<V{_module(Role.NODE)}> {{",
            "  NodeTile() {",
            "    is_node = true;",
            *(f"    memory.{name} = &top.m_axi_{name};" for name in _MEMORY),
            *(f"    window.{name} = &top.s_axil_{name};" for name in _WINDOW),
            "  }",
            f"  bool is_full() const override {{ return {tile}{_FIFO_LEVEL} =="
            f" {config.event_fifo}; }}",
            f"  std::uint32_t step() const override {{ return {root}setting_step; }}",
            "  std::size_t snapshot_words() const override {",
            f"    return {len(snapshot_names(config)) * capacity};",
            "  }",
            "  void snapshot(std::uint32_t* words) const override {",
        ]
        for row, name in enumerate(snapshot_names(config)):
            for lane in range(lanes):
                path = f"ode__DOT__{name}_{lane}__DOT__memory"
                if name in _BUFFERS:
                    path = f"{name}__DOT__lane_{lane}"
                lines.append(
                    f"    for (int g = 0; g < {1 << config.group_bits}; ++g) "
                    f"words[{row * capacity + lane} + {lanes} * g] = {root}{path}[g];"
                )
        lines += [
            "  }",
            "  bool poke(std::uint32_t region, std::uint32_t offset, std::uint32_t value)"
            " override {",
        ]
        for region, path in _PLAIN_REGIONS.items():
            lines.append(
                f"    if (region == {region.value}) "
                f"{{ {root}{path}[offset] = value; return true; }}"
            )
        lines += [
            f"    if (region != {Region.DELAY_BUFFER.value}) return false;",
            f"    const std::uint32_t neuron = offset & {(1 << NEURON_BITS) - 1};",
            f"    const std::uint32_t at = offset >> {NEURON_BITS + 1} << {config.group_bits}"
            f" | neuron >> {config.lane_bits};",
            f"    switch ((offset >> {NEURON_BITS} & 1) << {config.lane_bits}"
            f" | (neuron & {lanes - 1})) {{",
        ]
        for kind in range(2):
            for lane in range(lanes):
                path = f"circular_buffer__DOT__bank_{kind}_{lane}"
                lines.append(
                    f"      case {kind << config.lane_bits | lane}: {root}{path}[at] = value;"
                    " return true;"
                )
        return [*lines, "    }", "    return false;", "  }", "};"]

    @property
    def now_ns(self) -> float:
        """Time simulated."""
        return int(self._library.machine_now(self._machine)) / FS_PER_NS

    def run(self, ns: float, *, wanted: int | None = None) -> bool:
        """Go on for a time, or until the host has `wanted` packets and all it sent has left it.

        Returns
        -------
        bool
            Whether that is so.
        """
        return bool(
            self._library.machine_run(
                self._machine,
                ctypes.c_uint64(round(ns * FS_PER_NS)),
                ctypes.c_int64(-1 if wanted is None else wanted),
                ctypes.c_uint32(self.threads),
            )
        )

    def send(self, packets: U32) -> None:
        """Give the host packets to send, shape (n, 3)."""
        given = np.ascontiguousarray(packets, dtype=np.uint32)
        self._library.machine_send(self._machine, _pointer(given), ctypes.c_size_t(len(given)))

    def receive(self, count: int) -> U32:
        """Return up to `count` packets that have reached the host, shape (n, 3)."""
        packets = np.empty((count, PACKET_WORDS), np.uint32)
        found = self._library.machine_receive(
            self._machine, _pointer(packets), ctypes.c_size_t(count)
        )
        return packets[:found]

    def preload(self, site: Site, words: Words) -> None:
        """Write words of a node that is halted, in no time and not through the mesh."""
        offsets, values = (
            np.ascontiguousarray(array, dtype=np.uint32) for array in (words.offset, words.value)
        )
        done = self._library.machine_preload(
            self._machine,
            ctypes.c_uint32(self.places[site]),
            ctypes.c_uint32(words.region),
            _pointer(offsets),
            _pointer(values),
            ctypes.c_size_t(len(offsets)),
        )
        if not done:
            raise ToolFailedError(f"the node at {site} does not answer")

    def peek(self, site: Site, addresses: U32) -> U32:
        """Return words of a node, shape (n,), not through the mesh; its links stand meanwhile."""
        asked = np.ascontiguousarray(addresses, dtype=np.uint32)
        values = np.empty_like(asked)
        done = self._library.machine_peek(
            self._machine,
            ctypes.c_uint32(self.places[site]),
            _pointer(asked),
            _pointer(values),
            ctypes.c_size_t(len(asked)),
        )
        if not done:
            raise ToolFailedError(f"the node at {site} does not answer")
        return values

    def watch(self, on: bool) -> None:
        """Keep the memories of every node at the end of every step from here on, or no more."""
        self._library.machine_watch(self._machine, ctypes.c_uint32(on))

    def snapshot_now(self) -> None:
        """Keep the memories as they are, of the step that no other has followed yet."""
        self._library.machine_snapshot_now(self._machine)

    def snapshots(self, site: Site) -> Snapshots:
        """Return and forget what was kept of a node."""
        place = ctypes.c_uint32(self.places[site])
        count = self._library.machine_snapshot_count(self._machine, place)
        names = snapshot_names(self.node)
        capacity = self.node.pipelines << self.node.group_bits
        times = np.empty((count, 3), np.uint64)
        words = np.empty((count, len(names), capacity), np.uint32)
        self._library.machine_take_snapshots(self._machine, place, _pointer(times), _pointer(words))
        by_name = {name: words[:, row] for row, name in enumerate(names)}
        return Snapshots(times[:, 2].astype(np.uint32), times[:, 0], times[:, 1], by_name)

    def memory(self, site: Site, address: int, size: int) -> bytes:
        """Return bytes of the memory that a node records into; ones where none was written."""
        words = np.empty(size // 8, dtype=np.uint64)
        self._library.machine_memory(
            self._machine,
            ctypes.c_uint32(self.places[site]),
            ctypes.c_uint64(address),
            ctypes.c_size_t(len(words)),
            _pointer(words),
        )
        return words.tobytes()

    def add_fault(
        self, site: Site, direction: Direction, kind: FaultKind, *, after: int, argument: int = 0
    ) -> None:
        """Plant a fault in the link that leaves a place.

        Parameters
        ----------
        site : tuple of int
        direction : Direction
        kind : FaultKind
        after : int
            So many frames with a packet pass before it (with a spike, for `FORGE`).
        argument : int
            Bit of the frame, of the source; femtoseconds of delay.
        """
        self._library.machine_add_fault(
            self._machine,
            ctypes.c_uint32(self.wires[site, direction]),
            ctypes.c_uint32(kind),
            ctypes.c_uint64(after),
            ctypes.c_uint64(argument),
        )

    def hits(self, site: Site, direction: Direction) -> int:
        """Return how many of the faults of a link have hit a packet."""
        return int(self._wire_counts(site, direction)[2])

    def overtaken(self, site: Site, direction: Direction) -> int:
        """Return how many frames that were held back on a link have been overtaken."""
        return int(self._wire_counts(site, direction)[3])

    def packets(self, site: Site, direction: Direction) -> int:
        """Return how many frames with a packet have been sent on a link."""
        return int(self._wire_counts(site, direction)[1])

    def _wire_counts(self, site: Site, direction: Direction) -> U64:
        counts = np.empty(4, np.uint64)
        wire = ctypes.c_uint32(self.wires[site, direction])
        self._library.machine_wire_counts(self._machine, wire, _pointer(counts))
        return counts

    def stop_clocks(
        self, site: Site, *, app: bool, comm: bool, from_ns: float, until_ns: float | None = None
    ) -> None:
        """Stop clocks of a place for a time; for good without `until_ns`."""
        until = _NEVER if until_ns is None else round(until_ns * FS_PER_NS)
        self._library.machine_stop_clocks(
            self._machine,
            ctypes.c_uint32(self.places[site]),
            ctypes.c_uint32(app),
            ctypes.c_uint32(comm),
            ctypes.c_uint64(round(from_ns * FS_PER_NS)),
            ctypes.c_uint64(until),
        )

    def app_cycles(self, site: Site) -> int:
        """Return the cycles of the application's clock at a place."""
        place = ctypes.c_uint32(self.places[site])
        return int(self._library.machine_app_cycles(self._machine, place))

    def full_cycles(self, site: Site) -> int:
        """Return the cycles in which the input FIFO of a node was full."""
        place = ctypes.c_uint32(self.places[site])
        return int(self._library.machine_full_cycles(self._machine, place))


_NEVER = (1 << 64) - 1
_BUFFERS = ("ss_ex", "ss_in", "es")
_SCALARS = (
    *("comm_clk", "comm_rst", "here_x", "here_y", "here_z", "has_host"),
    *("s_axis_tvalid", "s_axis_tready", "m_axis_tvalid", "m_axis_tready"),
)
_MEMORY = (
    *("awaddr", "wdata", "awvalid", "awready", "wvalid", "wready", "wlast"),
    *("bvalid", "bready", "bresp"),
)
_WINDOW = (
    *("awaddr", "wdata", "awvalid", "awready", "wvalid", "wready", "wstrb"),
    *("bvalid", "bready"),
    *("araddr", "rdata", "arvalid", "arready", "rvalid", "rready"),
)


def snapshot_names(config: NodeConfig) -> tuple[str, ...]:
    """Return the names of the words that are kept of every neuron."""
    return (*config.state_words, *_BUFFERS)


def _module(role: Role) -> str:
    return f"{role.name.lower()}_tile"


def _cpp(port: str) -> str:
    """Return a port as Verilator spells it."""
    return port.replace("__", "___05F")


def _pointer(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
