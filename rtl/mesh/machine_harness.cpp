// A machine of tiles: clocks, links, the host's port, external memories, faults.
//
// Tiles touch each other only through links, whose latency is a thousand nanoseconds or so. So each
// tile runs on its own for a window as long as the shortest latency; what it sent in a window is
// taken over by the others at the beginning of the next. Threads share nothing within a window.
//
// Times are in femtoseconds.

#include "tiles.h"

#include <algorithm>
#include <array>
#include <barrier>
#include <cstring>
#include <deque>
#include <memory>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using Time = std::uint64_t;
constexpr Time NEVER = ~Time{0};
// Where no link ends one.
constexpr Time LONGEST_WINDOW = 10'000'000'000;
constexpr std::uint32_t AER = 1, SPIKE = 2;
constexpr std::uint32_t CRC_REFLECTED = 0x82F63B78;
constexpr std::size_t BODY_BITS = 128;

// Marsaglia's xorshift64.
std::uint64_t draw(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

struct Frame {
  Time arrival;
  bool late = false;  // held back by a fault, and not overtaken yet
  std::uint32_t words[FRAME_WORDS];

  std::uint32_t channel() const { return words[3] & 3; }
  std::uint32_t kind() const { return words[0] >> 24; }

  void sign() {
    std::uint32_t crc = ~0u;
    for (std::size_t i = 0; i < BODY_BITS; ++i) {
      const std::uint32_t bit = (crc ^ words[i / 32] >> (i % 32)) & 1;
      crc = crc >> 1 ^ (bit ? CRC_REFLECTED : 0);
    }
    words[4] = ~crc;
  }
};

enum FaultKind : std::uint32_t { DROP, DOUBLE, CORRUPT, REORDER, FORGE, STUCK };

// What happens to a frame with a packet, or, if `spikes`, with a spike.
struct Fault {
  std::uint32_t kind;
  std::uint64_t after;  // so many such frames are left alone
  std::uint64_t argument;
  std::uint64_t hits;
};

// One direction of a link.
struct Wire {
  std::uint32_t to;
  Time latency, jitter;
  std::uint64_t random;
  Time last = 0;
  std::vector<Frame> outgoing[2];
  std::deque<Frame> queue;
  std::vector<Fault> faults;
  std::uint64_t packets = 0, frames = 0, overtaken = 0;
  bool stuck = false;

  void insert(Frame frame) {
    const auto later = [](Time t, const Frame& f) { return t < f.arrival; };
    const auto place = std::upper_bound(queue.begin(), queue.end(), frame.arrival, later);
    for (auto passed = place; passed != queue.end(); ++passed) {
      overtaken += passed->late;
      passed->late = false;
    }
    queue.insert(place, frame);
  }

  void send(Time now, const std::uint32_t* words, int window) {
    Frame frame;
    std::memcpy(frame.words, words, sizeof frame.words);
    ++frames;
    const bool live = frame.channel() != 0;
    const bool spikes = live && (frame.kind() == AER || frame.kind() == SPIKE);
    bool drop = false, twice = false;
    Time extra = 0;
    for (Fault& fault : faults) {
      if (fault.hits || !(fault.kind == FORGE ? spikes : live)) continue;
      if (fault.after) {
        --fault.after;
        continue;
      }
      ++fault.hits;
      switch (fault.kind) {
        case DROP:
          drop = true;
          break;
        case DOUBLE:
          twice = true;
          break;
        case CORRUPT:
          frame.words[fault.argument / 32 % FRAME_WORDS] ^= 1u << fault.argument % 32;
          break;
        case REORDER:
          extra = fault.argument;
          break;
        case FORGE:
          frame.words[1] ^= 1u << fault.argument % 32;
          frame.sign();
          break;
        case STUCK:
          stuck = true;
          break;
      }
    }
    packets += live;
    if (stuck || drop) return;
    frame.arrival = now + latency + (jitter ? draw(random) % jitter : 0);
    if (!extra) {
      frame.arrival = std::max(frame.arrival, last + 1);
      last = frame.arrival;
    }
    frame.arrival += extra;
    frame.late = extra != 0;
    outgoing[window & 1].push_back(frame);
    if (twice) {
      frame.arrival += latency / 8;
      outgoing[window & 1].push_back(frame);
    }
  }

  void take_over(int window) {
    auto& frames = outgoing[window & 1];
    for (const Frame& frame : frames) insert(frame);
    frames.clear();
  }
};

// What an AXI4 port writes to; it is often not ready.
struct Memory {
  std::unordered_map<std::uint64_t, std::uint64_t> words;
  std::uint64_t address = 0, stalls = 1;
  bool in_burst = false, answers = false;

  void take(const MemoryPorts& p) {
    if (*p.awvalid && *p.awready) {
      address = *p.awaddr;
      in_burst = true;
    }
    if (*p.wvalid && *p.wready) {
      words[address] = *p.wdata;
      address += 8;
      if (*p.wlast) {
        in_burst = false;
        answers = true;
      }
    }
    if (*p.bvalid && *p.bready) answers = false;
  }

  void offer(const MemoryPorts& p) {
    const std::uint64_t bits = draw(stalls);
    *p.awready = !in_burst && !answers && (bits & 3) == 0;
    *p.wready = in_burst && (bits & 12) != 0;
    *p.bvalid = answers && (*p.bvalid || (bits & 48) == 0);
    *p.bresp = 0;
  }
};

struct Clock {
  Time period = 0, next = 0;
  Time stop_from = NEVER, stop_until = NEVER;

  void advance() {
    next += period;
    if (next >= stop_from && next < stop_until) {
      // It goes on as if it had been slow.
      next = stop_until;
    }
  }
};

struct Place {
  std::unique_ptr<Tile> tile;
  Clock app, comm;
  std::vector<std::uint32_t> in, out;  // wires by direction; ~0: none
  Memory memory;
  bool is_host = false;
  std::uint32_t step = 0;
  std::uint64_t app_cycles = 0, full_cycles = 0;
  std::vector<StepTime> times;
  std::vector<std::uint32_t> snapshots;
};

struct Machine {
  std::vector<Place> places;
  std::vector<Wire> wires;
  std::uint32_t host = 0;
  std::deque<std::array<std::uint32_t, 3>> to_host, from_host;
  Time now = 0, window = LONGEST_WINDOW;
  int parity = 0;
  bool takes_snapshots = false;

  void lower(Place& p, bool app, bool comm) {
    Ports& ports = p.tile->ports;
    if ((app && *ports.clk) || (comm && *ports.comm_clk)) {
      *ports.clk = *ports.comm_clk = 0;
      p.tile->eval();
    }
    // The other clock falls together with the edge of this one: nothing looks at falling edges.
    if (!app) *ports.clk = 0;
    if (!comm) *ports.comm_clk = 0;
  }

  void before_comm(Place& p, Time t) {
    Ports& ports = p.tile->ports;
    for (std::size_t d = 0; d < DIRECTIONS; ++d) {
      *ports.rx_valid[d] = 0;
      if (p.in[d] == ~0u) continue;
      auto& queue = wires[p.in[d]].queue;
      if (!queue.empty() && queue.front().arrival <= t) {
        std::memcpy(ports.rx_frame[d], queue.front().words, sizeof queue.front().words);
        *ports.rx_valid[d] = 1;
        queue.pop_front();
      }
    }
    if (!p.is_host) return;
    *ports.m_axis_tready = 1;
    *ports.s_axis_tvalid = !from_host.empty();
    if (!from_host.empty()) std::memcpy(ports.s_axis_tdata, from_host.front().data(), 12);
    // What the host sees depends on what it offers.
    p.tile->eval();
    if (*ports.s_axis_tvalid && *ports.s_axis_tready) from_host.pop_front();
    if (*ports.m_axis_tvalid) {
      to_host.emplace_back();
      std::memcpy(to_host.back().data(), ports.m_axis_tdata, 12);
    }
  }

  void after_comm(Place& p, Time t) {
    Ports& ports = p.tile->ports;
    for (std::size_t d = 0; d < DIRECTIONS; ++d)
      if (*ports.tx_valid[d] && p.out[d] != ~0u) wires[p.out[d]].send(t, ports.tx_frame[d], parity);
  }

  void after_app(Place& p, Time t) {
    ++p.app_cycles;
    p.full_cycles += p.tile->is_full();
    if (!p.tile->is_node) return;
    p.memory.offer(p.tile->memory);
    const std::uint32_t step = p.tile->step();
    if (step == p.step) return;
    // The register goes on before anything of the step before is overwritten.
    if (takes_snapshots) snapshot(p, t);
    p.step = step;
  }

  void snapshot(Place& p, Time t) {
    p.times.push_back({t, p.app_cycles, p.step});
    const std::size_t size = p.tile->snapshot_words();
    p.snapshots.resize(p.snapshots.size() + size);
    p.tile->snapshot(p.snapshots.data() + p.snapshots.size() - size);
  }

  void run_place(Place& p, Time end) {
    for (const std::uint32_t wire : p.in)
      if (wire != ~0u) wires[wire].take_over(parity ^ 1);
    Ports& ports = p.tile->ports;
    while (true) {
      const Time t = std::min(p.app.next, p.comm.next);
      if (t >= end) return;
      const bool app = p.app.next == t, comm = p.comm.next == t;
      lower(p, app, comm);
      if (comm) before_comm(p, t);
      if (app && p.tile->is_node) p.memory.take(p.tile->memory);
      if (app) *ports.clk = 1;
      if (comm) *ports.comm_clk = 1;
      p.tile->eval();
      if (comm) {
        after_comm(p, t);
        p.comm.advance();
      }
      if (app) {
        after_app(p, t);
        p.app.advance();
      }
    }
  }

  bool satisfied(std::int64_t wanted) const {
    return from_host.empty() && static_cast<std::int64_t>(to_host.size()) >= wanted;
  }

  // Runs to `end`, or, if so many are wanted, until the host has been heard and `wanted` packets
  // wait for it.
  bool run(Time end, std::int64_t wanted, unsigned threads) {
    bool done = false;
    const auto next = [&]() noexcept {
      now = std::min(end, now + window);
      parity ^= 1;
      done = now >= end || (wanted >= 0 && satisfied(wanted));
    };
    const auto work = [&](unsigned thread, auto& turn) {
      while (!done) {
        const Time until = std::min(end, now + window);
        for (std::size_t i = thread; i < places.size(); i += threads) run_place(places[i], until);
        turn.arrive_and_wait();
      }
    };
    if (now >= end) return satisfied(wanted);
    std::barrier turn(threads, next);
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back([&, i] { work(i, turn); });
    work(0, turn);
    others.clear();
    return satisfied(wanted);
  }

  // Reads a word likewise. The external memory stands still, too.
  std::uint32_t window_read(Place& p, std::uint32_t address) {
    const WindowPorts& w = p.tile->window;
    const MemoryPorts& m = p.tile->memory;
    Ports& ports = p.tile->ports;
    const CData kept[3] = {*m.awready, *m.wready, *m.bvalid};
    *m.awready = *m.wready = *m.bvalid = 0;
    *w.araddr = address;
    *w.arvalid = *w.rready = 1;
    for (int cycle = 0; cycle < 1000; ++cycle) {
      *ports.clk = 0;
      p.tile->eval();
      const bool address_goes = *w.arvalid && *w.arready, answered = *w.rvalid;
      const std::uint32_t value = *w.rdata;
      *ports.clk = 1;
      p.tile->eval();
      if (address_goes) *w.arvalid = 0;
      if (answered) {
        *w.rready = 0;
        *m.awready = kept[0];
        *m.wready = kept[1];
        *m.bvalid = kept[2];
        return value;
      }
    }
    throw std::runtime_error("a node does not answer");
  }

  // Writes a word through a node's AXI4-Lite window while everything else stands still.
  void window_write(Place& p, std::uint32_t address, std::uint32_t value) {
    const WindowPorts& w = p.tile->window;
    Ports& ports = p.tile->ports;
    *w.awaddr = address;
    *w.wdata = value;
    *w.wstrb = 15;
    *w.awvalid = *w.wvalid = *w.bready = 1;
    for (int cycle = 0; cycle < 1000; ++cycle) {
      *ports.clk = *ports.comm_clk = 0;
      p.tile->eval();
      const bool address_goes = *w.awvalid && *w.awready, data_goes = *w.wvalid && *w.wready;
      const bool answered = *w.bvalid;
      *ports.clk = 1;
      p.tile->eval();
      if (address_goes) *w.awvalid = 0;
      if (data_goes) *w.wvalid = 0;
      if (answered) {
        *w.bready = 0;
        return;
      }
    }
    throw std::runtime_error("a node does not answer");
  }
};

Machine& of(void* handle) { return *static_cast<Machine*>(handle); }

}  // namespace

extern "C" {

void* machine_create() { return new Machine; }

void machine_destroy(void* handle) { delete static_cast<Machine*>(handle); }

// Clocks: period and first edge of the application, then of the communication.
void machine_add_place(void* handle, std::uint32_t kind, const std::uint8_t* site,
                       std::uint64_t exists, std::uint32_t is_host, const std::uint64_t* clocks) {
  Machine& m = of(handle);
  Place p;
  p.tile = make_tile(kind);
  p.app.period = clocks[0];
  p.app.next = clocks[1];
  p.comm.period = clocks[2];
  p.comm.next = clocks[3];
  p.in.assign(DIRECTIONS, ~0u);
  p.out.assign(DIRECTIONS, ~0u);
  p.memory.stalls = m.places.size() + 1;
  p.is_host = is_host;
  Ports& ports = p.tile->ports;
  *ports.here_x = site[0];
  *ports.here_y = site[1];
  *ports.here_z = site[2];
  *ports.has_host = is_host;
  set_exists(ports, exists);
  *ports.rst = *ports.comm_rst = 1;
  p.tile->eval();
  m.places.push_back(std::move(p));
}

void machine_add_wire(void* handle, std::uint32_t from, std::uint32_t out, std::uint32_t to,
                      std::uint32_t in, std::uint64_t latency, std::uint64_t jitter,
                      std::uint64_t seed) {
  Machine& m = of(handle);
  Wire wire;
  wire.to = to;
  wire.latency = latency;
  wire.jitter = jitter;
  wire.random = seed * 0x9E3779B97F4A7C15 + 1;
  m.places[from].out[out] = m.places[to].in[in] = m.wires.size();
  m.wires.push_back(std::move(wire));
  m.window = std::min(m.window, latency);
}

void machine_set_reset(void* handle, std::uint32_t value) {
  for (Place& p : of(handle).places) *p.tile->ports.rst = *p.tile->ports.comm_rst = value;
}

std::uint64_t machine_now(void* handle) { return of(handle).now; }

std::uint32_t machine_run(void* handle, std::uint64_t duration, std::int64_t wanted,
                          std::uint32_t threads) {
  Machine& m = of(handle);
  return m.run(m.now + duration, wanted, threads);
}

void machine_send(void* handle, const std::uint32_t* packets, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    of(handle).from_host.push_back({packets[3 * i], packets[3 * i + 1], packets[3 * i + 2]});
}

std::size_t machine_receive(void* handle, std::uint32_t* packets, std::size_t room) {
  auto& queue = of(handle).to_host;
  std::size_t count = 0;
  for (; count < room && !queue.empty(); ++count) {
    std::memcpy(packets + 3 * count, queue.front().data(), 12);
    queue.pop_front();
  }
  return count;
}

// Words of the three large memories go straight into the model, others through the window.
// Returns 0 if the node does not answer.
std::uint32_t machine_preload(void* handle, std::uint32_t place, std::uint32_t region,
                              const std::uint32_t* offsets, const std::uint32_t* values,
                              std::size_t count) {
  Machine& m = of(handle);
  Place& p = m.places[place];
  try {
    for (std::size_t i = 0; i < count; ++i)
      if (!p.tile->poke(region, offsets[i], values[i]))
        m.window_write(p, (region << 20 | offsets[i]) << 2, values[i]);
  } catch (const std::runtime_error&) {
    return 0;
  }
  p.step = p.tile->step();
  return 1;
}

// Reads words of a node through its window; returns 0 if it does not answer.
std::uint32_t machine_peek(void* handle, std::uint32_t place, const std::uint32_t* addresses,
                           std::uint32_t* values, std::size_t count) {
  Machine& m = of(handle);
  try {
    for (std::size_t i = 0; i < count; ++i)
      values[i] = m.window_read(m.places[place], addresses[i] << 2);
  } catch (const std::runtime_error&) {
    return 0;
  }
  return 1;
}

// From here on the memories of every node are kept at the end of every step.
void machine_watch(void* handle, std::uint32_t on) { of(handle).takes_snapshots = on; }

// Keeps the step that no other has followed yet.
void machine_snapshot_now(void* handle) {
  Machine& m = of(handle);
  for (Place& p : m.places)
    if (p.tile->is_node) m.snapshot(p, m.now);
}

std::size_t machine_snapshot_count(void* handle, std::uint32_t place) {
  return of(handle).places[place].times.size();
}

// Hands over all that was kept of a node, oldest first.
void machine_take_snapshots(void* handle, std::uint32_t place, std::uint64_t* times,
                            std::uint32_t* words) {
  Place& p = of(handle).places[place];
  for (std::size_t i = 0; i < p.times.size(); ++i) {
    times[3 * i] = p.times[i].time;
    times[3 * i + 1] = p.times[i].cycle;
    times[3 * i + 2] = p.times[i].step;
  }
  std::copy(p.snapshots.begin(), p.snapshots.end(), words);
  p.times.clear();
  p.snapshots.clear();
}

// Copies words of the memory behind a node's AXI4 port; ones where nothing was written.
void machine_memory(void* handle, std::uint32_t place, std::uint64_t address, std::size_t count,
                    std::uint64_t* words) {
  const auto& written = of(handle).places[place].memory.words;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = written.find(address + 8 * i);
    words[i] = found == written.end() ? ~std::uint64_t{0} : found->second;
  }
}

void machine_add_fault(void* handle, std::uint32_t wire, std::uint32_t kind, std::uint64_t after,
                       std::uint64_t argument) {
  of(handle).wires[wire].faults.push_back({kind, after, argument, 0});
}

// Frames, frames with a packet, hits of all faults, and how many that were late were overtaken.
void machine_wire_counts(void* handle, std::uint32_t wire, std::uint64_t* counts) {
  const Wire& w = of(handle).wires[wire];
  counts[0] = w.frames;
  counts[1] = w.packets;
  counts[2] = 0;
  for (const Fault& fault : w.faults) counts[2] += fault.hits;
  counts[3] = w.overtaken;
}

// Stops the clocks of a place in a span of time.
void machine_stop_clocks(void* handle, std::uint32_t place, std::uint32_t app, std::uint32_t comm,
                         std::uint64_t from, std::uint64_t until) {
  Place& p = of(handle).places[place];
  for (auto [clock, chosen] : {std::pair{&p.app, app}, std::pair{&p.comm, comm}})
    if (chosen) {
      clock->stop_from = from;
      clock->stop_until = until;
    }
}

// Cycles of the application in which the input FIFO of a node was full.
std::uint64_t machine_full_cycles(void* handle, std::uint32_t place) {
  return of(handle).places[place].full_cycles;
}

std::uint64_t machine_app_cycles(void* handle, std::uint32_t place) {
  return of(handle).places[place].app_cycles;
}

}
