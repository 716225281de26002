// What the machine sees of a tile, whatever stands there.
// Needs DIRECTIONS and FRAME_WORDS.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "verilated.h"

struct Ports {
  // A relay has no clock of the application.
  CData none = 0;
  CData *clk = &none, *rst = &none, *comm_clk, *comm_rst;
  CData *here_x, *here_y, *here_z, *has_host;
  CData* exists_8 = nullptr;
  SData* exists_16 = nullptr;
  std::array<WData*, DIRECTIONS> tx_frame, rx_frame;
  std::array<CData*, DIRECTIONS> tx_valid, rx_valid;
  WData *s_axis_tdata, *m_axis_tdata;
  CData *s_axis_tvalid, *s_axis_tready, *m_axis_tvalid, *m_axis_tready;
};

inline void set_exists(Ports& ports, std::uint64_t exists) {
  if (ports.exists_8) *ports.exists_8 = static_cast<CData>(exists);
  if (ports.exists_16) *ports.exists_16 = static_cast<SData>(exists);
}

inline void bind_exists(Ports& ports, CData& port) { ports.exists_8 = &port; }
inline void bind_exists(Ports& ports, SData& port) { ports.exists_16 = &port; }

template <class Top>
void bind_clock(Top& top, Ports& ports) {
  if constexpr (requires { top.clk; }) {
    ports.clk = &top.clk;
    ports.rst = &top.rst;
  }
}

// Of a node's spike recorder.
struct MemoryPorts {
  QData *awaddr, *wdata;
  CData *awvalid, *awready, *wvalid, *wready, *wlast, *bvalid, *bready, *bresp;
};

// Of a node's AXI4-Lite window.
struct WindowPorts {
  IData *awaddr, *wdata, *araddr, *rdata;
  CData *awvalid, *awready, *wvalid, *wready, *wstrb, *bvalid, *bready;
  CData *arvalid, *arready, *rvalid, *rready;
};

struct StepTime {
  std::uint64_t time, cycle;
  std::uint32_t step;
};

struct Tile {
  Ports ports;
  bool is_node = false;
  MemoryPorts memory{};
  WindowPorts window{};

  virtual ~Tile() = default;
  virtual void eval() = 0;
  // Whether the input FIFO of a node is full.
  virtual bool is_full() const { return false; }
  // Of a node: the step in its register, its memories at the end of a step, a word put into a
  // memory; false if that memory cannot be reached so.
  virtual std::uint32_t step() const { return 0; }
  virtual std::size_t snapshot_words() const { return 0; }
  virtual void snapshot(std::uint32_t*) const {}
  virtual bool poke(std::uint32_t, std::uint32_t, std::uint32_t) { return false; }
};

template <class Top>
struct TileOf : Tile {
  std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
  Top top{context.get()};

  TileOf() { bind(top, ports); }
  ~TileOf() override { top.final(); }
  void eval() override { top.eval(); }
};
