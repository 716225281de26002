"""The memory of the event loop, filled for a machine, a topology and a workload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.hardware import latency, mesh_latency
from csnn.perf.engine import memory as layout
from csnn.perf.engine.memory import NEVER, Base, Fixed, Master
from csnn.perf.parameters import FS_PER_NS, Machine
from csnn.perf.topology import Topology
from csnn.perf.workload import Workload

I64 = npt.NDArray[np.int64]
Records = npt.NDArray[Any]
# Before the first cycle.
_LONG_AGO = -1000
_LINK_RINGS = (
    *("FLIGHT_CHANNEL", "FLIGHT_CODE"),
    *("TOLD_CYCLE", "TOLD_RECEIVED", "TOLD_UNICAST", "TOLD_BROADCAST"),
)


@dataclass(frozen=True, eq=False)
class Memory:
    """All words, and views of its tables."""

    words: I64
    links: Records
    ports: Records
    branches: Records
    places: Records
    nodes: Records
    steps: Records
    begins: I64


def _table(kind: type[IntEnum], rows: int) -> Records:
    return np.zeros(max(1, rows), np.dtype([(name, np.int64) for name in kind.__members__]))


def prepare(
    machine: Machine,
    topology: Topology,
    workload: Workload,
    *,
    first_sync_ns: float,
    echo: bool,
) -> Memory:
    """Return a machine that waits for its first sync message; see `csnn.perf.model.simulate`."""
    tables = _connect(machine, topology)
    tables["NODES"] = _nodes(machine, topology, workload, echo)
    tables["STEPS"] = _table(layout.Step, workload.steps)
    ring = _ring_size(machine)
    queue = machine.master.fifo + mesh_latency.CROSSING_DEPTH
    n_links, n_ports, n_branches = (len(tables[name]) for name in ("LINKS", "PORTS", "BRANCHES"))
    n_places, n_nodes = topology.places, workload.nodes
    heap = 4 * (n_links + n_places) + 64 * n_nodes + 4096
    sizes = {
        **dict.fromkeys(_LINK_RINGS, n_links * ring),
        **dict.fromkeys(("PORT_CODE", "PORT_OFFER", "PORT_LEFT"), n_ports * ring),
        **dict.fromkeys(("BRANCH_OFFER", "BRANCH_LEFT"), n_branches * ring),
        **dict.fromkeys(("PLACE_OFFER", "PLACE_POP"), n_places * ring),
        "NODE_POPPED": n_nodes * machine.node.event_fifo,
        **dict.fromkeys(("NODE_STORED", "STALL_FROM", "STALL_UNTIL"), n_nodes * ring),
        **dict.fromkeys(("MASTER_CODE", "MASTER_OFFER"), queue),
        "CODES": len(workload.source) + workload.steps + 1,
        "BEGINS": workload.steps * n_nodes,
        **dict.fromkeys(("HEAP_TIME", "HEAP_KEY"), heap),
        "HEAP_SIZE": 1,
    }
    lists = {
        "SPIKE_SOURCE": workload.source,
        "SPIKE_GROUP": workload.local // machine.node.pipelines,
        "SPIKE_FIRST": workload.first,
    }
    parts: list[I64] = [np.zeros(layout.WORDS, np.int64)]
    header, at = parts[0], layout.WORDS
    tables_at = {}
    for name, table in tables.items():
        tables_at[name] = (at, table)
        parts.append(table.view(np.int64))
        header[Base[name]], at = at, at + len(parts[-1])
    for name, values in lists.items():
        parts.append(values)
        header[Base[name]], at = at, at + len(values)
    for name, size in sizes.items():
        parts.append(np.zeros(size, np.int64))
        header[Base[name]], at = at, at + size
    header[Base.RING], header[Base.HEAP_CAPACITY], header[Base.MASTER_SIZE] = ring, heap, queue
    header[Base.N_NODES], header[Base.N_STEPS] = n_nodes, workload.steps
    for field, value in _fixed(machine).items():
        header[field] = value
    app_fs = tables["PLACES"]["APP_FS"][topology.master]
    header[Master.PLACE], header[Master.NODES] = topology.master, n_nodes
    header[Master.STEPS] = workload.steps
    header[[Master.LAST_SPIKE, Master.LAST_POPPED, Master.LAST_HANDLED]] = _LONG_AGO
    header[Master.OWES_SYNC] = 1
    header[Master.SYNC_FROM] = round(first_sync_ns * FS_PER_NS) // app_fs
    words = np.concatenate(parts)
    views = {
        name.lower(): words[start : start + len(table.view(np.int64))].view(table.dtype)
        for name, (start, table) in tables_at.items()
    }
    begins = header[Base.BEGINS]
    return Memory(words=words, begins=words[begins : begins + sizes["BEGINS"]], **views)


def _ring_size(machine: Machine) -> int:
    """Return a power of two above what may be under way on a link or wait in a buffer."""
    link = machine.wires.config
    cycles = (machine.wires.latency_ns + machine.wires.jitter_ns) * machine.clocks.comm_mhz * 1e-3
    frames = int(cycles) // link.frame_cycles + 16
    largest = max(2 * link.buffer, 2 * link.window, machine.branch_buffer + 1, frames, 64)
    return 1 << (largest - 1).bit_length()


def _connect(machine: Machine, topology: Topology) -> dict[str, Records]:
    """Return links, ports, branches and places."""
    numbers: dict[tuple[int, int], int] = {}
    for place, children in enumerate(topology.down):
        for other in (*topology.inputs[place], *children):
            for pair in ((other, place), (place, other)):
                numbers.setdefault(pair, len(numbers))
    links = _table(layout.Link, len(numbers))
    for (source, target), number in numbers.items():
        links["SOURCE"][number], links["TARGET"][number] = source, target
        links["REVERSE"][number] = numbers[target, source]
    rng = np.random.default_rng(machine.clocks.seed + 1)
    links["BRANCH"] = links["PORT"] = -1
    for (source, target), number in numbers.items():
        wires = machine.between(topology, source, target)
        links["LATENCY_FS"][number] = round(wires.latency_ns * FS_PER_NS)
        links["JITTER_FS"][number] = round(wires.jitter_ns * FS_PER_NS)
        links["FRAME_CYCLES"][number] = wires.config.frame_cycles
        links["KEEPALIVE"][number] = max(wires.config.keepalive, wires.config.frame_cycles)
        links["SEND"][number], links["CHECK"][number] = wires.send_cycles, wires.check_cycles
    links["RANDOM"] = rng.integers(2**31, size=len(links))
    links["LAST_BEGIN"], links["WAKE"] = _LONG_AGO, NEVER
    ports: list[int] = []
    branches: list[int] = []
    places = _table(layout.Place, topology.places)
    places["NODE"] = places["ENTRY"] = places["LAST_GRANT"] = -1
    places["NODE"][list(topology.nodes)] = np.arange(len(topology.nodes))
    for place, parent in enumerate(topology.up):
        places["UP"][place] = numbers[place, parent] if parent >= 0 else -1
        places["FIRST_PORT"][place], places["FIRST_BRANCH"][place] = len(ports), len(branches)
        for other in topology.inputs[place]:
            links["PORT"][numbers[other, place]] = len(ports)
            ports.append(numbers[other, place])
        # The last one is that of the unit of the place.
        ports.append(-1)
        for other in topology.down[place]:
            links["BRANCH"][numbers[place, other]] = len(branches)
            branches.append(numbers[place, other])
            places["ENTRY"][other] = numbers[place, other]
        places["PORTS"][place] = len(ports) - places["FIRST_PORT"][place]
        places["BRANCHES"][place] = len(branches) - places["FIRST_BRANCH"][place]
    clocks = machine.clocks.draw(max(topology.devices) + 1)
    for k, name in enumerate(("APP_FS", "APP_PHASE_FS", "COMM_FS", "COMM_PHASE_FS")):
        places[name] = clocks[list(topology.devices), k]
    places["WAKE"] = NEVER
    for name in ("LAST_POP", "LAST_MOVE", "LAST_COPY"):
        places[name] = _LONG_AGO
    port_table = _table(layout.Port, len(ports))
    port_table["LINK"], port_table["SINCE"], port_table["LAST_LEFT"] = ports, NEVER, _LONG_AGO
    branch_table = _table(layout.Branch, len(branches))
    branch_table["LINK"][: len(branches)] = branches
    branch_table["LAST_LEFT"] = _LONG_AGO
    return {"LINKS": links, "PORTS": port_table, "BRANCHES": branch_table, "PLACES": places}


def _fixed(machine: Machine) -> dict[Fixed, int]:
    """Return latencies and sizes."""
    link, node = machine.wires.config, machine.node
    return {
        Fixed.WINDOW: link.window,
        Fixed.BUFFER: link.buffer,
        Fixed.BRANCH_BUFFER: machine.branch_buffer,
        Fixed.NODE_FIFO: node.event_fifo,
        Fixed.CROSSING_SOURCE: mesh_latency.CROSSING_SOURCE,
        Fixed.CROSSING_SINK: machine.crossing_sink,
        Fixed.CROSSING_DEPTH: mesh_latency.CROSSING_DEPTH,
        Fixed.FIFO: latency.FIFO,
        Fixed.DECODER: latency.PACKET_DECODER,
        Fixed.ENCODER: latency.PACKET_ENCODER,
        Fixed.LOCAL_ARBITER: mesh_latency.STREAM_ARBITER,
        Fixed.SPIKE_SUM: latency.SPIKE_SUM,
        Fixed.COLLECT: mesh_latency.MASTER_COLLECT,
        Fixed.LOOKUP: latency.row_lookup_latency(node) + machine.fetch_cycles,
        Fixed.UNROLLER: latency.unroller_latency(node),
        Fixed.STORE: latency.STORE,
        Fixed.ABSENT_ROW: latency.ABSENT_ROW,
        Fixed.EMPTY_ROW: latency.empty_row_latency(node),
        Fixed.BEGIN: latency.SYNC_TO_NEXT_STEP,
        Fixed.EAGER: machine.eager,
        Fixed.PIPELINED: machine.pipelined,
    }


def _nodes(machine: Machine, topology: Topology, workload: Workload, echo: bool) -> Records:
    """Return the nodes."""
    config = machine.node
    nodes = _table(layout.Node, workload.nodes)
    nodes["PLACE"] = topology.nodes
    for number, size in enumerate(workload.sizes.tolist()):
        busy = latency.step_cycles(config, size) + machine.ode_extra_cycles
        if busy < 1:
            rule = f"leaves a step of {busy} cycles"
            raise reject("machine.ode_extra_cycles", machine.ode_extra_cycles, rule)
        nodes["STEP_CYCLES"][number] = 1 if echo else busy
        nodes["ACCEPT_CYCLES"][number] = latency.accept_cycles(config, size)
    nodes["FIRST_SPIKE"] = (
        latency.SYNC_TO_START
        + latency.EXTERNAL
        + latency.ode_latency(config)
        + machine.ode_extra_cycles
        + latency.SPIKE_OUTPUT
    )
    for name in nodes.dtype.names or ():
        if name.startswith("LAST_") or name in ("QUIET", "ACCEPT_FROM", "NEXT_ENTRY"):
            nodes[name] = _LONG_AGO
    nodes["UNROLLER_FREE"] = _LONG_AGO
    return nodes
