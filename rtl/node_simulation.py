"""A compute node in a Verilator simulation, driven by packets."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from csnn.cache import cache_folder
from csnn.errors import ToolFailedError
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import Region, Words
from csnn.packets import Kind
from rtl.gated_clock import gate_clock
from rtl.node import Node
from rtl.ode_unit import PIPELINE_ENABLE
from rtl.verilator_build import build_library
from rtl.verilog import cached_verilog

U32 = npt.NDArray[np.uint32]
WORDS = 3  # of 32 bits in a packet
_TIMED_OUT = -1
# Verilator spells two underscores in a name ___05F.
_HARNESS = r"""
#include "Vtop.h"
#include "Vtop___024root.h"
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// Marsaglia's xorshift32.
static std::uint32_t draw(std::uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

// What the node's AXI4 port writes to; it is often not ready.
struct Memory {
  std::unordered_map<std::uint64_t, std::uint64_t> words;
  std::uint64_t address = 0;
  std::uint32_t stalls = 1;
  bool in_burst = false, answers = false;

  // What moves at the clock edge that comes.
  void take(const Vtop& top) {
    if (top.m_axi_awvalid && top.m_axi_awready) {
      address = top.m_axi_awaddr;
      in_burst = true;
    }
    if (top.m_axi_wvalid && top.m_axi_wready) {
      words[address] = top.m_axi_wdata;
      address += 8;
      if (top.m_axi_wlast) {
        in_burst = false;
        answers = true;
      }
    }
    if (top.m_axi_bvalid && top.m_axi_bready) answers = false;
  }

  // What it offers after the edge.
  void offer(Vtop& top) {
    const std::uint32_t bits = draw(stalls);
    top.m_axi_awready = !in_burst && !answers && (bits & 3) == 0;
    top.m_axi_wready = in_burst && (bits & 12) != 0;
    top.m_axi_bvalid = answers && (top.m_axi_bvalid || (bits & 48) == 0);
    top.m_axi_bresp = 0;
  }
};

struct Simulation {
  VerilatedContext context;
  Vtop top{&context};
  std::uint64_t cycle = 0;
  std::uint32_t stalls = 1;
  Memory memory;
#if VM_TRACE
  VerilatedVcdC waveform;
#endif
};

// Whether the receiver of the node's packets is not ready.
static bool stalled(Simulation& s, std::uint32_t rate) { return (draw(s.stalls) >> 16) < rate; }

static void clock(Simulation& s) {
#if VM_TRACE
  if (s.waveform.isOpen()) {
    s.top.eval();
    s.waveform.dump(2 * s.cycle);
  }
#endif
  s.memory.take(s.top);
  s.top.clk = 1;
  s.top.eval();
#if VM_TRACE
  if (s.waveform.isOpen()) s.waveform.dump(2 * s.cycle + 1);
#endif
  s.memory.offer(s.top);
  s.top.clk = 0;
  s.top.eval();
  ++s.cycle;
}

extern "C" {

void* create() {
  auto* s = new Simulation;
#if VM_TRACE
  s->context.traceEverOn(true);
  s->top.trace(&s->waveform, 99);
#endif
  s->top.clk = 0;
  s->top.rst = 0;
  s->top.input___05Fvalid = 0;
  s->top.output___05Fready = 0;
  s->top.eval();
  return s;
}

void destroy(void* handle) {
  auto* s = static_cast<Simulation*>(handle);
  s->top.final();
  delete s;
}

void reset(void* handle, std::uint32_t cycles) {
  auto& s = *static_cast<Simulation*>(handle);
  s.top.rst = 1;
  for (std::uint32_t i = 0; i < cycles; ++i) clock(s);
  s.top.rst = 0;
  s.top.eval();
}

// Offers packets in order, each `gap` cycles after the one before was taken; collects what the
// node sends, until all were taken and `wanted` packets of a kind have come.
std::int64_t exchange(void* handle, std::size_t offered, const std::uint32_t* packets,
                      const std::uint32_t* gaps, std::uint32_t kind, std::uint32_t wanted,
                      std::uint32_t stall_rate, std::uint64_t max_cycles, std::size_t room,
                      std::uint32_t* sent, std::uint64_t* sent_cycles,
                      std::uint64_t* taken_cycles) {
  auto& s = *static_cast<Simulation*>(handle);
  std::size_t taken = 0, received = 0;
  std::uint32_t wait = offered ? gaps[0] : 0;
  const std::uint64_t end = s.cycle + max_cycles;
  while (taken < offered || wanted) {
    if (s.cycle == end || received == room) return -1;
    const bool offers = taken < offered && wait == 0;
    if (wait) --wait;
    s.top.input___05Fvalid = offers;
    if (offers) {
      for (int i = 0; i < 3; ++i) s.top.input___05Fpayload[i] = packets[3 * taken + i];
      if (s.top.input___05Fready) {
        taken_cycles[taken] = s.cycle;
        ++taken;
        wait = taken < offered ? gaps[taken] : 0;
      }
    }
    const bool ready = !stall_rate || !stalled(s, stall_rate);
    s.top.output___05Fready = ready;
    if (ready && s.top.output___05Fvalid) {
      for (int i = 0; i < 3; ++i) sent[3 * received + i] = s.top.output___05Fpayload[i];
      sent_cycles[received] = s.cycle;
      ++received;
      if (wanted && s.top.output___05Fpayload[0] >> 24 == kind) --wanted;
    }
    clock(s);
  }
  s.top.input___05Fvalid = 0;
  s.top.output___05Fready = 0;
  return static_cast<std::int64_t>(received);
}

// Writes a waveform from here on; an empty name ends it.
void waveform(void* handle, const char* path) {
#if VM_TRACE
  auto& s = *static_cast<Simulation*>(handle);
  if (*path) {
    s.waveform.open(path);
  } else {
    s.waveform.close();
  }
#endif
}

void idle(void* handle, std::uint32_t cycles) {
  auto& s = *static_cast<Simulation*>(handle);
  for (std::uint32_t i = 0; i < cycles; ++i) clock(s);
}

// Copies words of the memory behind the AXI4 port; ones where nothing was written.
void memory(void* handle, std::uint64_t address, std::size_t count, std::uint64_t* words) {
  const auto& written = static_cast<Simulation*>(handle)->memory.words;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = written.find(address + 8 * i);
    words[i] = found == written.end() ? ~std::uint64_t{0} : found->second;
  }
}

std::uint64_t cycle(void* handle) { return static_cast<Simulation*>(handle)->cycle; }

void snapshot(void* handle, std::uint32_t* words) {
  const auto& root = *static_cast<Simulation*>(handle)->top.rootp;
@SNAPSHOT@}

}
"""


@dataclass(frozen=True)
class Exchange:
    """What a node sent, and when.

    Attributes
    ----------
    packets : ndarray of uint32, shape (n, 3)
    cycles : ndarray of uint64, shape (n,)
        Cycle in which each packet was handed over.
    taken : ndarray of uint64, shape (m,)
        Cycle in which the node took each packet offered.
    """

    packets: U32
    cycles: npt.NDArray[np.uint64]
    taken: npt.NDArray[np.uint64]

    def of_kind(self, kind: Kind) -> U32:
        """Return the packets of a kind."""
        return self.packets[self.packets[:, 0] >> np.uint32(24) == kind]


class NodeSimulation:
    """A node of the given configuration.

    Parameters
    ----------
    config : NodeConfig
    waveforms : bool
        Whether waveforms can be written.
    change : callable, optional
        Changes the Verilog before it is compiled: a planted fault.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If Verilator or the C++ compiler is not there, or fails.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        waveforms: bool = False,
        change: Callable[[str], str] = lambda verilog: verilog,
    ) -> None:
        self.config = config
        # Before a request there may be an input FIFO full of spikes, each with the longest row.
        self._longest_wait = 1000 + (config.event_fifo << config.length_bits)
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        verilog = change(cached_verilog(lambda: Node(config), f"node {config!r}", folder))
        if config.operators.clock_enable:
            verilog = gate_clock(verilog, PIPELINE_ENABLE)
        library = build_library({"top": verilog}, _harness(config), waveform=waveforms)
        self._library = ctypes.CDLL(str(library))
        self._library.create.restype = ctypes.c_void_p
        self._library.exchange.restype = ctypes.c_int64
        self._library.cycle.restype = ctypes.c_uint64
        self._top = ctypes.c_void_p(self._library.create())

    def __del__(self) -> None:
        if hasattr(self, "_top"):
            self._library.destroy(self._top)

    @property
    def cycle(self) -> int:
        """Clock cycles simulated."""
        return int(self._library.cycle(self._top))

    def record(self, path: Path | None) -> None:
        """Write a waveform (VCD) to `path` from here on; None ends it."""
        name = b"" if path is None else os.fsencode(path)
        self._library.waveform(self._top, ctypes.c_char_p(name))

    def reset(self, cycles: int = 1) -> None:
        """Assert the reset."""
        self._library.reset(self._top, ctypes.c_uint32(cycles))

    def exchange(
        self,
        packets: U32,
        *,
        gaps: npt.ArrayLike = 0,
        until: tuple[Kind, int] | None = None,
        stall_rate: float = 0.0,
        max_cycles: int = 1_000_000,
    ) -> Exchange:
        """Offer packets and collect what the node sends.

        Parameters
        ----------
        packets : ndarray of uint32, shape (n, 3)
        gaps : array_like of int, shape () or (n,)
            Idle cycles before each packet is offered.
        until : tuple of Kind and int
            Goes on until so many packets of the kind have come.
        stall_rate : float
            Share of cycles in which the node's packets are not taken.
        max_cycles : int

        Raises
        ------
        ToolFailedError
            If the node has not done all this within `max_cycles`.
        """
        offered = np.ascontiguousarray(packets, dtype=np.uint32).reshape(-1, WORDS)
        waits = np.ascontiguousarray(np.broadcast_to(gaps, len(offered)), dtype=np.uint32)
        kind, wanted = until or (Kind.AER, 0)
        room = 1024 + wanted
        sent, cycles = np.empty((room, WORDS), np.uint32), np.empty(room, np.uint64)
        taken = np.zeros(len(offered), np.uint64)
        count = self._library.exchange(
            self._top,
            ctypes.c_size_t(len(offered)),
            _pointer(offered),
            _pointer(waits),
            ctypes.c_uint32(kind),
            ctypes.c_uint32(wanted),
            ctypes.c_uint32(round(stall_rate * 65536)),
            ctypes.c_uint64(max_cycles),
            ctypes.c_size_t(room),
            _pointer(sent),
            _pointer(cycles),
            _pointer(taken),
        )
        if count == _TIMED_OUT:
            raise ToolFailedError(f"the node did not answer within {max_cycles} cycles")
        return Exchange(sent[:count], cycles[:count], taken)

    def write(self, words: Words) -> None:
        """Write words through configuration packets."""
        packets = np.zeros((len(words.offset), WORDS), dtype=np.uint32)
        packets[:, 0] = Kind.CONFIG << 24
        packets[:, 1], packets[:, 2] = words.address, words.value
        self.exchange(packets, max_cycles=self._longest_wait + 16 * len(packets))

    def read(self, region: Region, offset: npt.ArrayLike) -> U32:
        """Return words asked for by monitoring packets, in the order of `offset`."""
        offsets = np.atleast_1d(np.asarray(offset, dtype=np.uint32))
        words = Words(region, offsets, np.zeros_like(offsets))
        packets = np.zeros((len(offsets), WORDS), dtype=np.uint32)
        packets[:, 0], packets[:, 1] = Kind.MONITOR << 24, words.address
        done = self.exchange(
            packets,
            until=(Kind.MONITOR, len(packets)),
            max_cycles=self._longest_wait + 32 * len(packets),
        )
        answers = done.of_kind(Kind.MONITOR)
        if len(answers) != len(done.packets):
            raise ToolFailedError("the node sent packets that nobody waited for")
        if not np.array_equal(answers[:, 1], words.address):
            raise ToolFailedError("the node answered another request")
        return answers[:, 2]

    def memory(self, address: int, size: int) -> bytes:
        """Return bytes of the memory that the node records into; ones where none was written.

        Parameters
        ----------
        address, size : int
            In bytes, multiples of 8.
        """
        words = np.empty(size // 8, dtype=np.uint64)
        self._library.memory(
            self._top, ctypes.c_uint64(address), ctypes.c_size_t(len(words)), _pointer(words)
        )
        return words.tobytes()

    def snapshot(self) -> dict[str, U32]:
        """Return the present words of every neuron, read beside the simulation.

        Returns
        -------
        dict of str to ndarray of uint32, shape (neurons,)
            Each state word; `ss_ex`, `ss_in` and `es`: the SS and ES buffers.
        """
        names = _snapshot_names(self.config)
        capacity = self.config.pipelines << self.config.group_bits
        words = np.empty((len(names), capacity), dtype=np.uint32)
        self._library.snapshot(self._top, _pointer(words))
        return dict(zip(names, words, strict=True))


def _snapshot_names(config: NodeConfig) -> tuple[str, ...]:
    return (*config.state_words, "ss_ex", "ss_in", "es")


def _harness(config: NodeConfig) -> str:
    """Return the C++ text; the snapshot reads the memories where Verilator keeps them."""
    lines = []
    for row, name in enumerate(_snapshot_names(config)):
        for lane in range(config.pipelines):
            path = f"ode__DOT__{name}_{lane}__DOT__memory"
            if name in ("ss_ex", "ss_in", "es"):
                path = f"{name}__DOT__lane_{lane}"
            first = row * (config.pipelines << config.group_bits) + lane
            lines.append(
                f"  for (int g = 0; g < {1 << config.group_bits}; ++g)\n"
                f"    words[{first} + {config.pipelines} * g] = "
                f"root.top__DOT__core__DOT__{path}[g];\n"
            )
    return _HARNESS.replace("@SNAPSHOT@", "".join(lines))


def _pointer(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
